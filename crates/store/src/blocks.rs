//! Source addresses that the doors refuse.

use palisade_core::{ActionId, Timestamp};
use serde::Serialize;
use sqlx::any::AnyRow;

use crate::{Store, StoreError, row};

/// A network that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Block {
    /// The action that blocks it.
    pub action: ActionId,
    /// Which, as `<address>/<prefix length>`.
    pub network: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// The repository of blocked networks.
#[derive(Debug)]
pub struct Blocks<'a> {
    store: &'a Store,
}

impl Store {
    /// Blocked networks.
    #[must_use]
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks { store: self }
    }
}

impl Blocks<'_> {
    /// Blocks a network; a second time under one action is once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put(&self, block: &Block) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO blocked_addresses VALUES ($1, $2, $3, $4) ON CONFLICT (action) DO UPDATE SET \
             network = excluded.network, reason = excluded.reason",
        )
        .bind(block.action.to_string())
        .bind(block.network.as_str())
        .bind(block.reason.as_str())
        .bind(row::nanos(block.since))
        .execute(self.store.writer())
        .await?;
        Ok(())
    }

    /// Blocks it no longer; `false` where it was not blocked.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove(&self, action: ActionId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM blocked_addresses WHERE action = $1")
            .bind(action.to_string())
            .execute(self.store.writer())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// All that are blocked, the oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn all(&self) -> Result<Vec<Block>, StoreError> {
        let rows = sqlx::query("SELECT * FROM blocked_addresses ORDER BY action")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read).collect()
    }
}

fn read(found: &AnyRow) -> Result<Block, StoreError> {
    Ok(Block {
        action: row::parse(found, "action", ActionId::parse)?,
        network: row::text(found, "network")?,
        reason: row::text(found, "reason")?,
        since: row::time(found, "since")?,
    })
}
