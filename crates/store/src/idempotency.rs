//! Writes that a client may repeat without doing them twice.

use palisade_core::Timestamp;

use crate::{Store, StoreError, row};

/// What is known of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Nothing: go on, and report the answer with [`Idempotency::finish`].
    First,
    /// The same request was answered so.
    Answered {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: Vec<u8>,
    },
    /// The same request is under way, or ended without an answer.
    UnderWay,
    /// The key was used for another request.
    Mismatch,
}

/// The repository of idempotency keys.
#[derive(Debug)]
pub struct Idempotency<'a> {
    store: &'a Store,
}

impl Store {
    /// Idempotency keys.
    #[must_use]
    pub fn idempotency(&self) -> Idempotency<'_> {
        Idempotency { store: self }
    }
}

impl Idempotency<'_> {
    /// Takes a key for a request; of two at once, one is first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin(
        &self,
        key: &str,
        fingerprint: &[u8],
        now: Timestamp,
    ) -> Result<Seen, StoreError> {
        let done = sqlx::query(
            "INSERT INTO idempotency (name, fingerprint, created_at) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(key)
        .bind(fingerprint)
        .bind(row::nanos(now))
        .execute(self.store.writer())
        .await?;
        if done.rows_affected() == 1 {
            return Ok(Seen::First);
        }
        let found = sqlx::query(
            "SELECT fingerprint, COALESCE(status, 0) AS status, COALESCE(body, $2) AS body \
             FROM idempotency WHERE name = $1",
        )
        .bind(key)
        .bind(Vec::<u8>::new())
        .fetch_optional(self.store.writer())
        .await?;
        let Some(found) = found else {
            return Ok(Seen::UnderWay);
        };
        if row::bytes(&found, "fingerprint")? != fingerprint {
            return Ok(Seen::Mismatch);
        }
        match row::unsigned(&found, "status")? {
            0 => Ok(Seen::UnderWay),
            status => Ok(Seen::Answered {
                status: status as u16,
                body: row::bytes(&found, "body")?,
            }),
        }
    }

    /// Keeps the answer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn finish(&self, key: &str, status: u16, body: &[u8]) -> Result<(), StoreError> {
        sqlx::query("UPDATE idempotency SET status = $1, body = $2 WHERE name = $3")
            .bind(i64::from(status))
            .bind(body)
            .bind(key)
            .execute(self.store.writer())
            .await?;
        Ok(())
    }

    /// Lets go of a key whose request came to nothing, so that it can be tried again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget(&self, key: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM idempotency WHERE name = $1 AND status IS NULL")
            .bind(key)
            .execute(self.store.writer())
            .await?;
        Ok(())
    }

    /// Removes keys from before `before`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune(&self, before: Timestamp) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM idempotency WHERE created_at < $1")
            .bind(row::nanos(before))
            .execute(self.store.writer())
            .await?;
        Ok(())
    }
}
