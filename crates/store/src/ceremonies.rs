//! What waits for a browser to come back: a challenge that was given to an authenticator, a state that was sent
//! along to a provider. Each counts once, for a short while, for whichever process of the server it comes back to.

use palisade_core::Timestamp;

use crate::{Store, StoreError, row, transaction::Lane};

/// What was begun, and with whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceremony {
    /// What it is for; it is good for nothing else.
    pub kind: String,
    /// For whom it was begun: an account, or the network that asked.
    pub holder: String,
    /// What whoever ends it must know.
    pub state: String,
    /// When it is void.
    pub expires_at: Timestamp,
}

/// How many may wait at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CeremonyLimits {
    /// Of one holder.
    pub of_holder: u32,
    /// Of one kind.
    pub of_kind: u32,
}

/// The repository of ceremonies.
#[derive(Debug)]
pub struct Ceremonies<'a> {
    store: &'a Store,
}

impl Store {
    /// What waits for a browser to come back.
    #[must_use]
    pub fn ceremonies(&self) -> Ceremonies<'_> {
        Ceremonies { store: self }
    }
}

impl Ceremonies<'_> {
    /// Writes down what was begun, under the hash of its secret. What has ended goes, and so do the oldest where
    /// there are too many: first those of the same holder.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin(
        &self,
        hash: &[u8],
        ceremony: &Ceremony,
        limits: CeremonyLimits,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::People).await?;
        sqlx::query("DELETE FROM ceremonies WHERE expires_at <= $1")
            .bind(row::nanos(now))
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "DELETE FROM ceremonies WHERE kind = $1 AND holder = $2 AND hash NOT IN \
             (SELECT hash FROM ceremonies WHERE kind = $1 AND holder = $2 \
             ORDER BY expires_at DESC LIMIT $3)",
        )
        .bind(ceremony.kind.as_str())
        .bind(ceremony.holder.as_str())
        .bind(i64::from(limits.of_holder.saturating_sub(1)))
        .execute(&mut *transaction)
        .await?;
        let found = sqlx::query("SELECT COUNT(*) AS count FROM ceremonies WHERE kind = $1")
            .bind(ceremony.kind.as_str())
            .fetch_one(&mut *transaction)
            .await?;
        let over = row::integer(&found, "count")? + 1 - i64::from(limits.of_kind);
        if over > 0 {
            sqlx::query(
                "DELETE FROM ceremonies WHERE hash IN (SELECT hash FROM ceremonies \
                 WHERE kind = $1 ORDER BY expires_at LIMIT $2)",
            )
            .bind(ceremony.kind.as_str())
            .bind(over)
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query(
            "INSERT INTO ceremonies (hash, kind, holder, state, expires_at) \
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(hash)
        .bind(ceremony.kind.as_str())
        .bind(ceremony.holder.as_str())
        .bind(ceremony.state.as_str())
        .bind(row::nanos(ceremony.expires_at))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Takes what was begun: once, and not after its end. Two at once never take the same.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take(
        &self,
        kind: &str,
        hash: &[u8],
        now: Timestamp,
    ) -> Result<Option<Ceremony>, StoreError> {
        let taken = sqlx::query(
            "DELETE FROM ceremonies WHERE hash = $1 AND kind = $2 AND expires_at > $3 RETURNING *",
        )
        .bind(hash)
        .bind(kind)
        .bind(row::nanos(now))
        .fetch_optional(self.store.writer())
        .await?;
        let read = |found: sqlx::any::AnyRow| {
            Ok(Ceremony {
                kind: row::text(&found, "kind")?,
                holder: row::text(&found, "holder")?,
                state: row::text(&found, "state")?,
                expires_at: row::time(&found, "expires_at")?,
            })
        };
        taken.map(read).transpose()
    }

    /// How many of a kind wait.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn waiting(&self, kind: &str) -> Result<u64, StoreError> {
        let found = sqlx::query("SELECT COUNT(*) AS count FROM ceremonies WHERE kind = $1")
            .bind(kind)
            .fetch_one(self.store.readers())
            .await?;
        row::unsigned(&found, "count")
    }
}
