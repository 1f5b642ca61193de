//! Small values of the installation itself: CA certificates, the set-up token's hash.

use palisade_core::Timestamp;

use crate::{Store, StoreError, row};

const LEDGER_VERIFIED: &str = "ledger_verified_at";
const KEYS_ROTATED: &str = "keys_rotated_at";

/// The repository of settings and counters.
#[derive(Debug)]
pub struct Settings<'a> {
    store: &'a Store,
}

impl Store {
    /// Settings and counters.
    #[must_use]
    pub fn settings(&self) -> Settings<'_> {
        Settings { store: self }
    }
}

impl Settings<'_> {
    /// Reads a setting.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query("SELECT value FROM settings WHERE name = $1")
            .bind(name)
            .fetch_optional(self.store.readers())
            .await?
            .map(|found| row::bytes(&found, "value"))
            .transpose()
    }

    /// Writes a setting.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO settings (name, value) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(name)
        .bind(value)
        .execute(self.store.writer())
        .await?;
        Ok(())
    }

    /// When the ledger was last verified and found whole, if it was.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ledger_verified_at(&self) -> Result<Option<Timestamp>, StoreError> {
        self.time(LEDGER_VERIFIED).await
    }

    async fn time(&self, name: &'static str) -> Result<Option<Timestamp>, StoreError> {
        let Some(value) = self.get(name).await? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&value);
        let time = text.parse::<Timestamp>();
        time.map(Some)
            .map_err(|error| StoreError::corrupt(name, error))
    }

    /// When all keys were last sealed under another key-encryption key, if they were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keys_rotated_at(&self) -> Result<Option<Timestamp>, StoreError> {
        self.time(KEYS_ROTATED).await
    }

    /// Notes that all keys were sealed under another key-encryption key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_keys_rotated(&self, at: Timestamp) -> Result<(), StoreError> {
        self.put(KEYS_ROTATED, at.to_string().as_bytes()).await
    }

    /// Notes that the ledger was verified and found whole.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_ledger_verified(&self, at: Timestamp) -> Result<(), StoreError> {
        self.put(LEDGER_VERIFIED, at.to_string().as_bytes()).await
    }

    /// Removes a setting where it still has this value; of two at once, one gets `true`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take(&self, name: &str, value: &[u8]) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM settings WHERE name = $1 AND value = $2")
            .bind(name)
            .bind(value)
            .execute(self.store.writer())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The settings whose names begin with `prefix`, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn with_prefix(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, value FROM settings WHERE SUBSTR(name, 1, CAST($1 AS INTEGER)) = $2 ORDER BY name",
        )
        .bind(prefix.chars().count() as i64)
        .bind(prefix)
        .fetch_all(self.store.readers())
        .await?;
        rows.iter()
            .map(|found| Ok((row::text(found, "name")?, row::bytes(found, "value")?)))
            .collect()
    }

    /// Moves a counter forward and returns its new value; the first is 1.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next(&self, counter: &str) -> Result<u64, StoreError> {
        let moved = sqlx::query(
            "INSERT INTO counters (name, value) VALUES ($1, 1) \
             ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value",
        )
        .bind(counter)
        .fetch_one(self.store.writer())
        .await?;
        row::unsigned(&moved, "value")
    }
}
