//! Certificates that were issued, and which of them are revoked.

use palisade_core::{Serial, Timestamp};
use sqlx::any::AnyRow;

use crate::{Store, StoreError, row};

/// A certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRecord {
    /// Its serial number.
    pub serial: Serial,
    /// Whom it names, as `device/<id>` or `service/<id>`.
    pub principal: String,
    /// Who issued it.
    pub issuer: String,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// The certificate.
    pub der: Vec<u8>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Its revocation, if it is revoked.
    pub revocation: Option<Revocation>,
}

/// The revocation of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// Why, by its RFC 5280 name.
    pub reason: String,
}

/// The repository of certificates.
#[derive(Debug)]
pub struct Certificates<'a> {
    store: &'a Store,
}

impl Store {
    /// Certificates.
    #[must_use]
    pub fn certificates(&self) -> Certificates<'_> {
        Certificates { store: self }
    }
}

impl Certificates<'_> {
    /// Writes a certificate down.
    ///
    /// # Errors
    /// When its serial number is taken, or the database fails.
    pub async fn add(&self, record: &CertificateRecord) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO certificates (serial, principal, issuer, not_before, not_after, der, \
             issued_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(record.serial.to_string())
        .bind(record.principal.as_str())
        .bind(record.issuer.as_str())
        .bind(row::nanos(record.not_before))
        .bind(row::nanos(record.not_after))
        .bind(record.der.as_slice())
        .bind(row::nanos(record.issued_at))
        .execute(self.store.writer())
        .await
        .map_err(|error| {
            StoreError::on_insert(error, || format!("certificate {}", record.serial))
        })?;
        Ok(())
    }

    /// Finds a certificate.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, serial: &Serial) -> Result<Option<CertificateRecord>, StoreError> {
        sqlx::query("SELECT * FROM certificates WHERE serial = $1")
            .bind(serial.to_string())
            .fetch_optional(self.store.readers())
            .await?
            .map(|found| read(&found))
            .transpose()
    }

    /// The certificates of a principal, newest first, at most a hundred.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of(&self, principal: &str) -> Result<Vec<CertificateRecord>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM certificates WHERE principal = $1 ORDER BY issued_at DESC LIMIT 100",
        )
        .bind(principal)
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Revokes all certificates of a principal that are not revoked yet, and returns their serial
    /// numbers.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke_all_of(
        &self,
        principal: &str,
        revocation: &Revocation,
    ) -> Result<Vec<Serial>, StoreError> {
        let rows = sqlx::query(
            "UPDATE certificates SET revoked_at = $1, revocation_reason = $2 \
             WHERE principal = $3 AND revoked_at IS NULL RETURNING serial",
        )
        .bind(row::nanos(revocation.at))
        .bind(revocation.reason.as_str())
        .bind(principal)
        .fetch_all(self.store.writer())
        .await?;
        rows.iter()
            .map(|found| row::parse(found, "serial", str::parse))
            .collect()
    }

    /// Revokes one certificate; `false` where there is none or it is revoked already.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke(
        &self,
        serial: &Serial,
        revocation: &Revocation,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE certificates SET revoked_at = $1, revocation_reason = $2 \
             WHERE serial = $3 AND revoked_at IS NULL",
        )
        .bind(row::nanos(revocation.at))
        .bind(revocation.reason.as_str())
        .bind(serial.to_string())
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The revoked certificates that would still be valid at `now`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoked(&self, now: Timestamp) -> Result<Vec<(Serial, Revocation)>, StoreError> {
        let rows = sqlx::query(
            "SELECT serial, revoked_at, revocation_reason FROM certificates \
             WHERE revoked_at IS NOT NULL AND not_after > $1",
        )
        .bind(row::nanos(now))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter()
            .map(|found| {
                let revocation = Revocation {
                    at: row::time(found, "revoked_at")?,
                    reason: row::text(found, "revocation_reason")?,
                };
                Ok((row::parse(found, "serial", str::parse)?, revocation))
            })
            .collect()
    }
}

fn read(found: &AnyRow) -> Result<CertificateRecord, StoreError> {
    let revocation = match row::optional_time(found, "revoked_at")? {
        Some(at) => Some(Revocation {
            at,
            reason: row::text(found, "revocation_reason")?,
        }),
        None => None,
    };
    Ok(CertificateRecord {
        serial: row::parse(found, "serial", str::parse)?,
        principal: row::text(found, "principal")?,
        issuer: row::text(found, "issuer")?,
        not_before: row::time(found, "not_before")?,
        not_after: row::time(found, "not_after")?,
        der: row::bytes(found, "der")?,
        issued_at: row::time(found, "issued_at")?,
        revocation,
    })
}
