//! What time it was when the vault looked last.

use palisade_core::Timestamp;

use crate::{StoreError, Vault, row};

/// What time it was, and whether that is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaultClock {
    /// What time it was.
    pub seen_at: Timestamp,
    /// Since when the clock is ahead of what was to be expected.
    pub jumped_at: Option<Timestamp>,
}

impl Vault<'_> {
    /// What time it was when that was last written down.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn clock(&self) -> Result<Option<VaultClock>, StoreError> {
        let found = sqlx::query("SELECT * FROM vault_clock WHERE id = 1")
            .fetch_optional(self.store.readers())
            .await?;
        let Some(found) = found else {
            return Ok(None);
        };
        Ok(Some(VaultClock {
            seen_at: row::time(&found, "seen_at")?,
            jumped_at: row::optional_time(&found, "jumped_at")?,
        }))
    }

    /// Writes down what time it is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_clock(&self, clock: VaultClock) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO vault_clock VALUES (1, $1, $2) ON CONFLICT (id) DO UPDATE SET \
             seen_at = excluded.seen_at, jumped_at = excluded.jumped_at",
        )
        .bind(row::nanos(clock.seen_at))
        .bind(clock.jumped_at.map(row::nanos))
        .execute(self.store.writer())
        .await?;
        Ok(())
    }
}
