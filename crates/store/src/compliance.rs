//! What audit checks ask of the fleet. Each list comes in parts, after the key of the last one read, so
//! that a fleet of a million devices is looked through in bounded memory.

use palisade_core::{DeviceId, Lifecycle, ProductId, Serial, Timestamp};
use sqlx::{Row, any::AnyRow};

use crate::{Store, StoreError, row, transaction::Lane};

/// A certificate that ends soon and has no successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiringCertificate {
    /// Whom it names, as `device/<id>` or `service/<id>`.
    pub principal: String,
    /// Its serial number.
    pub serial: Serial,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

/// A certificate whose key no audit read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UncheckedKey {
    /// Its serial number.
    pub serial: Serial,
    /// The certificate.
    pub der: Vec<u8>,
}

/// The key of a certificate, as an audit read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedKey {
    /// The certificate's serial number.
    pub serial: Serial,
    /// Whom the certificate names; empty where the key is written and not read.
    pub principal: String,
    /// SHA-256 of the public key.
    pub hash: Vec<u8>,
    /// What kind of key it is (`RSA of 1024 bits`).
    pub kind: String,
    /// Whether it is weaker than it should be.
    pub weak: bool,
}

/// What a device says of its firmware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceVersion {
    /// Which device.
    pub device: DeviceId,
    /// Its type.
    pub product: ProductId,
    /// The version.
    pub version: String,
    /// When it said so.
    pub at: Timestamp,
}

/// A version that devices of a product run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionInUse {
    /// The product.
    pub product: String,
    /// The version.
    pub version: String,
    /// Since when a device has run it.
    pub since: Timestamp,
    /// How many devices run it.
    pub devices: u64,
}

/// Something that was seen on the stream of events and an audit is to speak of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// For which check.
    pub check: String,
    /// About which device.
    pub device: DeviceId,
    /// What was seen last, in one sentence.
    pub detail: String,
    /// How often.
    pub seen: u64,
    /// When last.
    pub last_at: Timestamp,
}

/// The repository of what audit checks ask.
#[derive(Debug)]
pub struct Compliance<'a> {
    store: &'a Store,
}

impl Store {
    /// What audit checks ask.
    #[must_use]
    pub fn compliance(&self) -> Compliance<'_> {
        Compliance { store: self }
    }
}

impl Compliance<'_> {
    /// How many devices are at a point of life.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_devices(&self, lifecycle: Lifecycle) -> Result<u64, StoreError> {
        let found = sqlx::query("SELECT COUNT(*) FROM devices WHERE lifecycle = $1")
            .bind(lifecycle.as_str())
            .fetch_one(self.store.readers())
            .await?;
        first_count(&found)
    }

    /// How many certificates are in force at `now`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_certificates(&self, now: Timestamp) -> Result<u64, StoreError> {
        let found = sqlx::query(
            "SELECT COUNT(*) FROM certificates WHERE revoked_at IS NULL AND not_after > $1",
        )
        .bind(row::nanos(now))
        .fetch_one(self.store.readers())
        .await?;
        first_count(&found)
    }

    /// Devices at a point of life, by id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn devices_at(
        &self,
        lifecycle: Lifecycle,
        after: &str,
        limit: u32,
    ) -> Result<Vec<DeviceId>, StoreError> {
        let rows = sqlx::query(
            "SELECT id FROM devices WHERE lifecycle = $1 AND id > $2 ORDER BY id LIMIT $3",
        )
        .bind(lifecycle.as_str())
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        let id = |found| row::parse(found, "id", DeviceId::parse);
        rows.iter().map(id).collect()
    }

    /// Active devices that were not heard of since a moment, by id, with when they were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn dormant(
        &self,
        since: Timestamp,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(DeviceId, Option<Timestamp>)>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, last_seen_at FROM devices WHERE lifecycle = 'active' AND id > $1 \
             AND COALESCE(last_seen_at, registered_at) < $2 ORDER BY id LIMIT $3",
        )
        .bind(after)
        .bind(row::nanos(since))
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter()
            .map(|found| {
                let id = row::parse(found, "id", DeviceId::parse)?;
                Ok((id, row::optional_time(found, "last_seen_at")?))
            })
            .collect()
    }

    /// Certificates of devices (`device/`) or services (`service/`) that end before `soon`, are past 72
    /// of 100 parts of their life, and have no successor; by principal.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn expiring(
        &self,
        kind: &str,
        (now, soon): (Timestamp, Timestamp),
        after: &str,
        limit: u32,
    ) -> Result<Vec<ExpiringCertificate>, StoreError> {
        let rows = sqlx::query(
            "SELECT c.principal, c.serial, c.not_after FROM certificates c WHERE \
             c.principal > $1 AND SUBSTR(c.principal, 1, CAST($2 AS INTEGER)) = $3 AND c.revoked_at IS NULL \
             AND c.not_after > $4 AND c.not_after <= $5 \
             AND $4 - c.not_before > (c.not_after - c.not_before) / 100 * 72 \
             AND NOT EXISTS (SELECT 1 FROM certificates n WHERE n.principal = c.principal \
             AND n.revoked_at IS NULL AND (n.not_after > c.not_after OR \
             (n.not_after = c.not_after AND n.serial > c.serial))) \
             AND NOT EXISTS (SELECT 1 FROM devices d WHERE d.id = SUBSTR(c.principal, 8) \
             AND $3 = 'device/' AND d.lifecycle IN ('revoked', 'retired')) \
             ORDER BY c.principal LIMIT $6",
        )
        .bind(after)
        .bind(kind.chars().count() as i64)
        .bind(kind)
        .bind(row::nanos(now))
        .bind(row::nanos(soon))
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter()
            .map(|found| {
                Ok(ExpiringCertificate {
                    principal: row::text(found, "principal")?,
                    serial: row::parse(found, "serial", str::parse)?,
                    not_after: row::time(found, "not_after")?,
                })
            })
            .collect()
    }

    /// Certificates whose keys were not read yet, by serial number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unchecked_keys(
        &self,
        after: &str,
        limit: u32,
    ) -> Result<Vec<UncheckedKey>, StoreError> {
        let rows = sqlx::query(
            "SELECT c.serial, c.der FROM certificates c LEFT JOIN certificate_keys k \
             ON k.serial = c.serial WHERE k.serial IS NULL AND c.serial > $1 \
             ORDER BY c.serial LIMIT $2",
        )
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter()
            .map(|found| {
                Ok(UncheckedKey {
                    serial: row::parse(found, "serial", str::parse)?,
                    der: row::bytes(found, "der")?,
                })
            })
            .collect()
    }

    /// Writes down keys that were read, all or none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_keys(&self, keys: &[IssuedKey]) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Audits).await?;
        for key in keys {
            sqlx::query(
                "INSERT INTO certificate_keys VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (serial) DO NOTHING",
            )
            .bind(key.serial.to_string())
            .bind(key.hash.as_slice())
            .bind(key.kind.as_str())
            .bind(i64::from(key.weak))
            .execute(&mut *transaction)
            .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Certificates in force whose key another principal has a certificate in force for, by serial
    /// number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn shared_keys(
        &self,
        now: Timestamp,
        after: &str,
        limit: u32,
    ) -> Result<Vec<IssuedKey>, StoreError> {
        let rows = sqlx::query(
            "SELECT c.serial, c.principal, k.key_hash, k.kind, k.weak FROM certificate_keys k \
             JOIN certificates c ON c.serial = k.serial WHERE k.serial > $1 AND c.revoked_at IS NULL \
             AND c.not_after > $2 AND EXISTS (SELECT 1 FROM certificate_keys l JOIN certificates d \
             ON d.serial = l.serial WHERE l.key_hash = k.key_hash AND d.principal <> c.principal \
             AND d.revoked_at IS NULL AND d.not_after > $2) ORDER BY k.serial LIMIT $3",
        )
        .bind(after)
        .bind(row::nanos(now))
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read_key).collect()
    }

    /// Certificates in force whose keys are weak, by serial number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn weak_keys(
        &self,
        now: Timestamp,
        after: &str,
        limit: u32,
    ) -> Result<Vec<IssuedKey>, StoreError> {
        let rows = sqlx::query(
            "SELECT c.serial, c.principal, k.key_hash, k.kind, k.weak FROM certificate_keys k \
             JOIN certificates c ON c.serial = k.serial WHERE k.weak = 1 AND k.serial > $1 \
             AND c.revoked_at IS NULL AND c.not_after > $2 ORDER BY k.serial LIMIT $3",
        )
        .bind(after)
        .bind(row::nanos(now))
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read_key).collect()
    }

    /// Writes down what devices say of their firmware, all or none. A version that is the same as before
    /// keeps since when it is there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_versions(&self, versions: &[DeviceVersion]) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Audits).await?;
        for one in versions {
            sqlx::query(
                "INSERT INTO device_versions VALUES ($1, $2, $3, $4, $4) ON CONFLICT (device) \
                 DO UPDATE SET since = CASE WHEN device_versions.version = excluded.version \
                 THEN device_versions.since ELSE excluded.since END, product = excluded.product, \
                 version = excluded.version, reported_at = excluded.reported_at",
            )
            .bind(one.device.as_str())
            .bind(one.product.as_str())
            .bind(one.version.as_str())
            .bind(row::nanos(one.at))
            .execute(&mut *transaction)
            .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// The versions that devices run, by product: at most `limit` in all.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn versions(&self, limit: u32) -> Result<Vec<VersionInUse>, StoreError> {
        let rows = sqlx::query(
            "SELECT product, version, MIN(since) AS since, COUNT(*) AS devices FROM device_versions \
             GROUP BY product, version ORDER BY product, version LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter()
            .map(|found| {
                Ok(VersionInUse {
                    product: row::text(found, "product")?,
                    version: row::text(found, "version")?,
                    since: row::time(found, "since")?,
                    devices: row::unsigned(found, "devices")?,
                })
            })
            .collect()
    }

    /// Active devices of a product that run a version, by id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn devices_with(
        &self,
        (product, version): (&str, &str),
        after: &str,
        limit: u32,
    ) -> Result<Vec<DeviceId>, StoreError> {
        let rows = sqlx::query(
            "SELECT v.device FROM device_versions v JOIN devices d ON d.id = v.device \
             WHERE v.product = $1 AND v.version = $2 AND v.device > $3 AND d.lifecycle = 'active' \
             ORDER BY v.device LIMIT $4",
        )
        .bind(product)
        .bind(version)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        let id = |found| row::parse(found, "device", DeviceId::parse);
        rows.iter().map(id).collect()
    }

    /// Adds to what was seen on the stream, all or none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_marks(&self, marks: &[Mark]) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Audits).await?;
        for mark in marks {
            sqlx::query(
                "INSERT INTO audit_marks VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (audit_check, device) DO UPDATE SET detail = excluded.detail, \
                 seen = audit_marks.seen + excluded.seen, last_at = excluded.last_at",
            )
            .bind(mark.check.as_str())
            .bind(mark.device.as_str())
            .bind(mark.detail.as_str())
            .bind(mark.seen as i64)
            .bind(row::nanos(mark.last_at))
            .execute(&mut *transaction)
            .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// What was seen for a check, by device, after a device. What was not seen since a moment is
    /// forgotten.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn marks(
        &self,
        (check, since): (&str, Timestamp),
        after: &str,
        limit: u32,
    ) -> Result<Vec<Mark>, StoreError> {
        sqlx::query("DELETE FROM audit_marks WHERE audit_check = $1 AND last_at < $2")
            .bind(check)
            .bind(row::nanos(since))
            .execute(self.store.writer())
            .await?;
        let rows = sqlx::query(
            "SELECT * FROM audit_marks WHERE audit_check = $1 AND device > $2 \
             ORDER BY device LIMIT $3",
        )
        .bind(check)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter()
            .map(|found| {
                Ok(Mark {
                    check: row::text(found, "audit_check")?,
                    device: row::parse(found, "device", DeviceId::parse)?,
                    detail: row::text(found, "detail")?,
                    seen: row::unsigned(found, "seen")?,
                    last_at: row::time(found, "last_at")?,
                })
            })
            .collect()
    }
}

fn first_count(found: &AnyRow) -> Result<u64, StoreError> {
    Ok(u64::try_from(found.try_get::<i64, _>(0)?).unwrap_or_default())
}

fn read_key(found: &AnyRow) -> Result<IssuedKey, StoreError> {
    Ok(IssuedKey {
        serial: row::parse(found, "serial", str::parse)?,
        principal: row::text(found, "principal")?,
        hash: row::bytes(found, "key_hash")?,
        kind: row::text(found, "kind")?,
        weak: row::flag(found, "weak")?,
    })
}
