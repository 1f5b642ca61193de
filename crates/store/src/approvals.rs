//! Acts that a second person must approve, and roles that were asked for, for a time.

use palisade_core::{Timestamp, TokenId};
use sqlx::any::AnyRow;

use crate::{Store, StoreError, row, transaction::Lane};

/// An act that waits, or waited, for a second person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Its name.
    pub id: TokenId,
    /// The act.
    pub act: String,
    /// On which path.
    pub path: String,
    /// The digest of the whole request.
    pub digest: Vec<u8>,
    /// Its body, as far as people can read it.
    pub body: String,
    /// Who asks: `account:<name>` or `token:<id>`.
    pub asker: String,
    /// `waiting`, `approved`, `rejected` or `used`.
    pub state: String,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// Until when it can be approved and used.
    pub expires_at: Timestamp,
    /// Who decided.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<Timestamp>,
}

/// A role that was asked for, for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elevation {
    /// Its name.
    pub id: TokenId,
    /// Whose account.
    pub account: String,
    /// Which role.
    pub role: String,
    /// Why.
    pub reason: String,
    /// For how many minutes from its approval on.
    pub minutes: u64,
    /// `waiting`, `approved` or `rejected`.
    pub state: String,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// Who decided.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// When it ends, if it was approved.
    pub ends_at: Option<Timestamp>,
}

/// How a second person decided.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// `approved` or `rejected`.
    pub state: &'a str,
    /// By whom.
    pub by: &'a str,
    /// When.
    pub now: Timestamp,
}

/// The repository of what a second person decides.
#[derive(Debug)]
pub struct Approvals<'a> {
    store: &'a Store,
}

impl Store {
    /// What a second person decides.
    #[must_use]
    pub fn approvals(&self) -> Approvals<'_> {
        Approvals { store: self }
    }
}

impl Approvals<'_> {
    /// Writes down that an act waits, unless `limit` of the asker's wait already; `false` then.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ask(&self, approval: &Approval, limit: u32) -> Result<bool, StoreError> {
        let statement = sqlx::query(
            "INSERT INTO approvals SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, NULL, NULL \
             WHERE (SELECT COUNT(*) FROM approvals WHERE asker = $6 AND state = 'waiting' \
             AND expires_at > $8) < $10",
        )
        .bind(approval.id.to_string())
        .bind(approval.act.as_str())
        .bind(approval.path.as_str())
        .bind(approval.digest.as_slice())
        .bind(approval.body.as_str())
        .bind(approval.asker.as_str())
        .bind(approval.state.as_str())
        .bind(row::nanos(approval.asked_at))
        .bind(row::nanos(approval.expires_at))
        .bind(i64::from(limit));
        let done = self.store.execute_in(Lane::People, statement).await?;
        Ok(done == 1)
    }

    /// The newest, at most a thousand.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self) -> Result<Vec<Approval>, StoreError> {
        let rows = sqlx::query("SELECT * FROM approvals ORDER BY id DESC LIMIT 1000")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read).collect()
    }

    /// Finds one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, id: TokenId) -> Result<Option<Approval>, StoreError> {
        sqlx::query("SELECT * FROM approvals WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.store.writer())
            .await?
            .map(|found| read(&found))
            .transpose()
    }

    /// Decides one that waits; of two who do at once, one does. `false` where it does not wait any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn decide(&self, id: TokenId, decision: Decision<'_>) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE approvals SET state = $2, decided_by = $3, decided_at = $4 WHERE id = $1 \
             AND state = 'waiting' AND expires_at > $4",
        )
        .bind(id.to_string())
        .bind(decision.state)
        .bind(decision.by)
        .bind(row::nanos(decision.now))
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Uses up an approval for the request it was given for; `false` where it is none for it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take(
        &self,
        id: TokenId,
        digest: &[u8],
        asker: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE approvals SET state = 'used' WHERE id = $1 AND state = 'approved' AND digest = $2 \
             AND asker = $3 AND expires_at > $4",
        )
        .bind(id.to_string())
        .bind(digest)
        .bind(asker)
        .bind(row::nanos(now))
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Forgets what was asked for before a time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune(&self, before: Timestamp) -> Result<(), StoreError> {
        for sql in [
            "DELETE FROM approvals WHERE asked_at < $1",
            "DELETE FROM elevations WHERE asked_at < $1",
        ] {
            sqlx::query(sql)
                .bind(row::nanos(before))
                .execute(self.store.writer())
                .await?;
        }
        Ok(())
    }

    /// Notes by whose doing an API token came to be.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_maker(&self, token: TokenId, account: &str) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO api_token_makers VALUES ($1, $2) ON CONFLICT (token) DO NOTHING")
            .bind(token.to_string())
            .bind(account)
            .execute(self.store.writer())
            .await?;
        Ok(())
    }

    /// By whose doing an API token came to be, where that is known.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn maker(&self, token: TokenId) -> Result<Option<String>, StoreError> {
        sqlx::query("SELECT account FROM api_token_makers WHERE token = $1")
            .bind(token.to_string())
            .fetch_optional(self.store.writer())
            .await?
            .map(|found| row::text(&found, "account"))
            .transpose()
    }

    /// Writes down that a role is asked for, unless `limit` of the account's wait already; `false` then.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ask_role(&self, elevation: &Elevation, limit: u32) -> Result<bool, StoreError> {
        let statement = sqlx::query(
            "INSERT INTO elevations SELECT $1, $2, $3, $4, $5, 'waiting', $6, NULL, NULL, NULL \
             WHERE (SELECT COUNT(*) FROM elevations WHERE account = $2 AND state = 'waiting') < $7",
        )
        .bind(elevation.id.to_string())
        .bind(elevation.account.as_str())
        .bind(elevation.role.as_str())
        .bind(elevation.reason.as_str())
        .bind(elevation.minutes as i64)
        .bind(row::nanos(elevation.asked_at))
        .bind(i64::from(limit));
        let done = self.store.execute_in(Lane::People, statement).await?;
        Ok(done == 1)
    }

    /// The newest elevations, at most a thousand.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn elevations(&self) -> Result<Vec<Elevation>, StoreError> {
        let rows = sqlx::query("SELECT * FROM elevations ORDER BY id DESC LIMIT 1000")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read_elevation).collect()
    }

    /// Finds an elevation.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn elevation(&self, id: TokenId) -> Result<Option<Elevation>, StoreError> {
        sqlx::query("SELECT * FROM elevations WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.store.writer())
            .await?
            .map(|found| read_elevation(&found))
            .transpose()
    }

    /// Decides an elevation that waits; `false` where it does not wait any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn decide_role(
        &self,
        id: TokenId,
        decision: Decision<'_>,
        ends_at: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE elevations SET state = $2, decided_by = $3, decided_at = $4, ends_at = $5 \
             WHERE id = $1 AND state = 'waiting'",
        )
        .bind(id.to_string())
        .bind(decision.state)
        .bind(decision.by)
        .bind(row::nanos(decision.now))
        .bind(ends_at.map(row::nanos))
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends an elevation that holds now; `false` where it does not.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_role(&self, id: TokenId, now: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE elevations SET ends_at = $2 WHERE id = $1 AND state = 'approved' AND ends_at > $2",
        )
        .bind(id.to_string())
        .bind(row::nanos(now))
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

fn read(found: &AnyRow) -> Result<Approval, StoreError> {
    Ok(Approval {
        id: row::parse(found, "id", TokenId::parse)?,
        act: row::text(found, "act")?,
        path: row::text(found, "path")?,
        digest: row::bytes(found, "digest")?,
        body: row::text(found, "body")?,
        asker: row::text(found, "asker")?,
        state: row::text(found, "state")?,
        asked_at: row::time(found, "asked_at")?,
        expires_at: row::time(found, "expires_at")?,
        decided_by: row::optional_text(found, "decided_by")?,
        decided_at: row::optional_time(found, "decided_at")?,
    })
}

fn read_elevation(found: &AnyRow) -> Result<Elevation, StoreError> {
    Ok(Elevation {
        id: row::parse(found, "id", TokenId::parse)?,
        account: row::text(found, "account")?,
        role: row::text(found, "role")?,
        reason: row::text(found, "reason")?,
        minutes: row::unsigned(found, "minutes")?,
        state: row::text(found, "state")?,
        asked_at: row::time(found, "asked_at")?,
        decided_by: row::optional_text(found, "decided_by")?,
        decided_at: row::optional_time(found, "decided_at")?,
        ends_at: row::optional_time(found, "ends_at")?,
    })
}
