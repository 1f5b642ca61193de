//! Devices whose grants are restricted to a few topics.

use palisade_core::{ActionId, DeviceId, TopicPattern};
use serde::Serialize;
use sqlx::any::AnyRow;

use crate::{Store, StoreError, row};

/// A device whose grants count on some topics only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restriction {
    /// Which device.
    pub device: DeviceId,
    /// The action that restricts it.
    pub action: ActionId,
    /// The topics on which its grants still count.
    pub topics: Vec<TopicPattern>,
}

/// The repository of restrictions.
#[derive(Debug)]
pub struct Restrictions<'a> {
    store: &'a Store,
}

impl Store {
    /// Restrictions.
    #[must_use]
    pub fn restrictions(&self) -> Restrictions<'_> {
        Restrictions { store: self }
    }
}

impl Restrictions<'_> {
    /// Restricts a device, in place of any earlier restriction.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put(&self, restriction: &Restriction) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO restrictions VALUES ($1, $2, $3) ON CONFLICT (device) DO UPDATE SET \
             action = excluded.action, topics = excluded.topics",
        )
        .bind(restriction.device.as_str())
        .bind(restriction.action.to_string())
        .bind(row::to_json(&restriction.topics, "topics")?)
        .execute(self.store.writer())
        .await?;
        Ok(())
    }

    /// Restricts a device no longer, where this action is what restricts it; `false` where it is not.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove(&self, device: &DeviceId, action: ActionId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM restrictions WHERE device = $1 AND action = $2")
            .bind(device.as_str())
            .bind(action.to_string())
            .execute(self.store.writer())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// All restrictions.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn all(&self) -> Result<Vec<Restriction>, StoreError> {
        let rows = sqlx::query("SELECT * FROM restrictions ORDER BY device")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read).collect()
    }
}

fn read(found: &AnyRow) -> Result<Restriction, StoreError> {
    Ok(Restriction {
        device: row::parse(found, "device", DeviceId::parse)?,
        action: row::parse(found, "action", ActionId::parse)?,
        topics: row::json(found, "topics")?,
    })
}
