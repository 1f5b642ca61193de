//! Log-in sessions of people. Of a session's secret only its hash is kept.

use palisade_core::{Timestamp, TokenId};
use sqlx::any::AnyRow;

use crate::{Store, StoreError, row, transaction::Lane};

/// A log-in session of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSession {
    /// Its name; not the secret.
    pub id: TokenId,
    /// SHA-256 of the secret.
    pub hash: Vec<u8>,
    /// Whose it is.
    pub account: String,
    /// The account's generation when it began; it ends when that moves.
    pub generation: u64,
    /// Whether a second factor was shown.
    pub second_factor: bool,
    /// From where it began.
    pub source: Option<String>,
    /// The browser that it is used from, by the SHA-256 of what that says of itself; unknown before its first use.
    pub browser: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub seen_at: Timestamp,
    /// When it ends, however much it is used.
    pub expires_at: Timestamp,
}

/// The repository of log-in sessions.
#[derive(Debug)]
pub struct AccountSessions<'a> {
    store: &'a Store,
}

impl Store {
    /// Log-in sessions of people.
    #[must_use]
    pub fn account_sessions(&self) -> AccountSessions<'_> {
        AccountSessions { store: self }
    }
}

impl AccountSessions<'_> {
    /// Writes a new session down; of the account's others the newest `keep` stay, and none that ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add(&self, session: &AccountSession, keep: u32) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::People).await?;
        sqlx::query(
            "DELETE FROM account_sessions WHERE account = $1 AND (expires_at <= $2 OR generation < $3 \
             OR id NOT IN (SELECT id FROM account_sessions WHERE account = $1 \
             ORDER BY id DESC LIMIT $4))",
        )
        .bind(session.account.as_str())
        .bind(row::nanos(session.created_at))
        .bind(session.generation as i64)
        .bind(i64::from(keep))
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "INSERT INTO account_sessions VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(session.id.to_string())
        .bind(session.hash.as_slice())
        .bind(session.account.as_str())
        .bind(session.generation as i64)
        .bind(i64::from(session.second_factor))
        .bind(session.source.as_deref())
        .bind(row::nanos(session.created_at))
        .bind(row::nanos(session.seen_at))
        .bind(row::nanos(session.expires_at))
        .bind(session.browser.as_deref())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Finds a session by the hash of its secret.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, hash: &[u8]) -> Result<Option<AccountSession>, StoreError> {
        sqlx::query("SELECT * FROM account_sessions WHERE hash = $1")
            .bind(hash)
            .fetch_optional(self.store.readers())
            .await?
            .map(|found| read(&found))
            .transpose()
    }

    /// An account's sessions, the oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of(&self, account: &str) -> Result<Vec<AccountSession>, StoreError> {
        let rows =
            sqlx::query("SELECT * FROM account_sessions WHERE account = $1 ORDER BY id LIMIT 1000")
                .bind(account)
                .fetch_all(self.store.readers())
                .await?;
        rows.iter().map(read).collect()
    }

    /// Notes that a session was used.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn touch(&self, id: TokenId, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE account_sessions SET seen_at = $2 WHERE id = $1")
            .bind(id.to_string())
            .bind(row::nanos(now))
            .execute(self.store.writer())
            .await?;
        Ok(())
    }

    /// Binds a session to the browser of its first request, and gives the one that it is bound to: another, where
    /// another was faster. None where the session has ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bind(&self, id: TokenId, browser: &str) -> Result<Option<String>, StoreError> {
        let bound = sqlx::query(
            "UPDATE account_sessions SET browser = COALESCE(browser, $2) WHERE id = $1 RETURNING browser",
        )
        .bind(id.to_string())
        .bind(browser)
        .fetch_optional(self.store.writer())
        .await?;
        bound.map(|found| row::text(&found, "browser")).transpose()
    }

    /// Ends a session of an account; `false` where it has no such session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove(&self, account: &str, id: TokenId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM account_sessions WHERE account = $1 AND id = $2")
            .bind(account)
            .bind(id.to_string())
            .execute(self.store.writer())
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

fn read(found: &AnyRow) -> Result<AccountSession, StoreError> {
    Ok(AccountSession {
        id: row::parse(found, "id", TokenId::parse)?,
        hash: row::bytes(found, "hash")?,
        account: row::text(found, "account")?,
        generation: row::unsigned(found, "generation")?,
        second_factor: row::flag(found, "second_factor")?,
        source: row::optional_text(found, "source")?,
        browser: row::optional_text(found, "browser")?,
        created_at: row::time(found, "created_at")?,
        seen_at: row::time(found, "seen_at")?,
        expires_at: row::time(found, "expires_at")?,
    })
}
