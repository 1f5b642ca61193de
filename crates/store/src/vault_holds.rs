//! Holds: what the vault must not take away, whatever retention says.

use palisade_core::Timestamp;
use sqlx::any::AnyRow;

use crate::{StoreError, Vault, row};

/// A hold on messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultHold {
    /// Its name: a ULID.
    pub id: String,
    /// Of this device; of all where there is none.
    pub device: Option<String>,
    /// That came at this time or later, in nanoseconds since 1970.
    pub from_at: Option<i64>,
    /// That came before this time.
    pub until_at: Option<i64>,
    /// Why.
    pub reason: String,
    /// Who made it.
    pub created_by: String,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when it stood, where it does not stand any more.
    pub released_at: Option<Timestamp>,
}

impl Vault<'_> {
    /// Adds a hold.
    ///
    /// # Errors
    /// When its name is taken, or the database fails.
    pub async fn add_hold(&self, hold: &VaultHold) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO vault_holds VALUES ($1, $2, $3, $4, $5, $6, $7, NULL)")
            .bind(hold.id.as_str())
            .bind(hold.device.as_deref())
            .bind(hold.from_at)
            .bind(hold.until_at)
            .bind(hold.reason.as_str())
            .bind(hold.created_by.as_str())
            .bind(row::nanos(hold.created_at))
            .execute(self.store.writer())
            .await
            .map_err(|error| StoreError::on_insert(error, || format!("hold {}", hold.id)))?;
        Ok(())
    }

    /// Ends a hold; `false` where none of this name stands.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_hold(&self, id: &str, at: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE vault_holds SET released_at = $2 WHERE id = $1 AND released_at IS NULL",
        )
        .bind(id)
        .bind(row::nanos(at))
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Holds, the oldest first: those that stand, or all that there ever were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn holds(&self, standing: bool) -> Result<Vec<VaultHold>, StoreError> {
        let query = match standing {
            true => "SELECT * FROM vault_holds WHERE released_at IS NULL ORDER BY id",
            false => "SELECT * FROM vault_holds ORDER BY id",
        };
        let rows = sqlx::query(query).fetch_all(self.store.readers()).await?;
        rows.iter().map(read).collect()
    }
}

fn read(found: &AnyRow) -> Result<VaultHold, StoreError> {
    Ok(VaultHold {
        id: row::text(found, "id")?,
        device: row::optional_text(found, "device")?,
        from_at: row::optional_integer(found, "from_at")?,
        until_at: row::optional_integer(found, "until_at")?,
        reason: row::text(found, "reason")?,
        created_by: row::text(found, "created_by")?,
        created_at: row::time(found, "created_at")?,
        released_at: row::optional_time(found, "released_at")?,
    })
}
