//! Devices that are asked for a new key.

use palisade_core::{ActionId, DeviceId, Serial, Timestamp};
use sqlx::any::AnyRow;

use crate::{Revocation, Store, StoreError, row};

/// How far a rotation came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RotationState {
    /// The device was asked.
    Asked,
    /// It has a certificate for a new key, and did not use it yet.
    Issued,
    /// Certificates for two new keys were issued: two may hold the old one.
    Contested,
    /// The old certificates are revoked.
    Done,
    /// Somebody took it back.
    Cancelled,
}

/// A device that is asked for a new key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The action that asks.
    pub action: ActionId,
    /// Which device.
    pub device: DeviceId,
    /// How far it came.
    pub state: RotationState,
    /// Since when.
    pub asked_at: Timestamp,
    /// When it should have followed.
    pub follow_by: Timestamp,
    /// How long the old certificates stay once there is a new one, in seconds.
    pub keep_old_s: u64,
    /// The keys that are to be replaced, by the SHA-256 of each in lower-case hexadecimal digits.
    pub old_keys: Vec<String>,
    /// The new certificate.
    pub serial: Option<Serial>,
    /// When the old certificates end at the latest.
    pub ends_at: Option<Timestamp>,
}

impl RotationState {
    const ALL: [Self; 5] = [
        Self::Asked,
        Self::Issued,
        Self::Contested,
        Self::Done,
        Self::Cancelled,
    ];

    /// The name in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Issued => "issued",
            Self::Contested => "contested",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether it is under way.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Asked | Self::Issued | Self::Contested)
    }
}

/// The repository of rotations.
#[derive(Debug)]
pub struct Rotations<'a> {
    store: &'a Store,
}

impl Store {
    /// Rotations.
    #[must_use]
    pub fn rotations(&self) -> Rotations<'_> {
        Rotations { store: self }
    }
}

impl Rotations<'_> {
    /// Begins a rotation; `false` where this action began one already, or another is open for the device.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin(&self, rotation: &Rotation) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO rotations VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, NULL) ON CONFLICT DO NOTHING",
        )
        .bind(rotation.action.to_string())
        .bind(rotation.device.as_str())
        .bind(rotation.state.as_str())
        .bind(row::nanos(rotation.asked_at))
        .bind(row::nanos(rotation.follow_by))
        .bind(i64::try_from(rotation.keep_old_s).unwrap_or(i64::MAX))
        .bind(row::to_json(&rotation.old_keys, "old_keys")?)
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Writes down how far a rotation came, where it is still in the state `expected`; `false` where somebody
    /// was faster.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replace(
        &self,
        expected: RotationState,
        rotation: &Rotation,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE rotations SET state = $3, serial = $4, ends_at = $5 WHERE action = $1 AND state = $2",
        )
        .bind(rotation.action.to_string())
        .bind(expected.as_str())
        .bind(rotation.state.as_str())
        .bind(rotation.serial.map(|serial| serial.to_string()))
        .bind(rotation.ends_at.map(row::nanos))
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Finds the rotation of an action.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, action: ActionId) -> Result<Option<Rotation>, StoreError> {
        sqlx::query("SELECT * FROM rotations WHERE action = $1")
            .bind(action.to_string())
            .fetch_optional(self.store.readers())
            .await?
            .map(|found| read(&found))
            .transpose()
    }

    /// The newest rotation of a device that nobody took back.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of(&self, device: &DeviceId) -> Result<Option<Rotation>, StoreError> {
        sqlx::query(
            "SELECT * FROM rotations WHERE device = $1 AND state <> 'cancelled' \
             ORDER BY asked_at DESC LIMIT 1",
        )
        .bind(device.as_str())
        .fetch_optional(self.store.readers())
        .await?
        .map(|found| read(&found))
        .transpose()
    }

    /// Rotations under way, by action, after one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open_after(
        &self,
        after: Option<ActionId>,
        limit: u32,
    ) -> Result<Vec<Rotation>, StoreError> {
        let after = after.map(|action| action.to_string()).unwrap_or_default();
        let rows = sqlx::query(
            "SELECT * FROM rotations WHERE state IN ('asked', 'issued', 'contested') AND action > $1 \
             ORDER BY action LIMIT $2",
        )
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Revokes all certificates of a principal but some, and returns the serial numbers of those that were not
    /// revoked before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke_all_but(
        &self,
        principal: &str,
        keep: &[Serial],
        revocation: &Revocation,
    ) -> Result<Vec<Serial>, StoreError> {
        let mut query: crate::query_builder::QueryBuilder =
            crate::query_builder::QueryBuilder::new("UPDATE certificates SET revoked_at = ");
        query.push_bind(row::nanos(revocation.at));
        query.push(", revocation_reason = ");
        query.push_bind(revocation.reason.clone());
        query.push(" WHERE revoked_at IS NULL AND principal = ");
        query.push_bind(principal.to_owned());
        for serial in keep {
            query.push(" AND serial <> ").push_bind(serial.to_string());
        }
        query.push(" RETURNING serial");
        let rows = query.build().fetch_all(self.store.writer()).await?;
        rows.iter()
            .map(|found| row::parse(found, "serial", str::parse))
            .collect()
    }
}

fn read(found: &AnyRow) -> Result<Rotation, StoreError> {
    let serial = row::optional_text(found, "serial")?;
    Ok(Rotation {
        action: row::parse(found, "action", ActionId::parse)?,
        device: row::parse(found, "device", DeviceId::parse)?,
        state: row::parse(found, "state", |text| {
            RotationState::parse(text).ok_or("no state of a rotation")
        })?,
        asked_at: row::time(found, "asked_at")?,
        follow_by: row::time(found, "follow_by")?,
        keep_old_s: row::unsigned(found, "keep_old_s")?,
        old_keys: row::json(found, "old_keys")?,
        serial: match serial {
            Some(text) => Some(
                text.parse()
                    .map_err(|error| StoreError::corrupt("serial", error))?,
            ),
            None => None,
        },
        ends_at: row::optional_time(found, "ends_at")?,
    })
}
