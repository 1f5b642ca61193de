//! Reviews of who may what: what a review looks at of all accounts at once, and those that somebody signed.

use std::collections::BTreeMap;

use palisade_core::{EventId, Timestamp};
use sqlx::any::AnyRow;

use crate::{Store, StoreError, row, transaction::Lane};

/// A review that somebody signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessReview {
    /// Its name.
    pub id: EventId,
    /// Who looked.
    pub reviewer: String,
    /// When.
    pub reviewed_at: Timestamp,
    /// The digest of what was seen, in hexadecimal digits.
    pub digest: String,
    /// Over how many days it was looked for uses.
    pub days: u64,
    /// How many accounts were seen.
    pub accounts: u64,
    /// How many suggestions were seen.
    pub suggestions: u64,
    /// What the reviewer says.
    pub note: String,
}

/// Who is to review access, how often, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewPlan {
    /// Whose review it is: the name of an account.
    pub owner: String,
    /// How often, in days.
    pub every_days: u64,
    /// Until when the next one is to be signed.
    pub due_at: Timestamp,
    /// Who planned it.
    pub planned_by: String,
    /// When.
    pub planned_at: Timestamp,
}

/// What an account proves itself with, and where it is signed in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountFacts {
    /// Whether it has an authenticator app.
    pub totp: bool,
    /// How many passkeys it has.
    pub passkeys: u64,
    /// How many log-in sessions it has.
    pub sessions: u64,
    /// How many providers of identities say who its person is.
    pub providers: u64,
    /// When what it is was last changed, if that was seen.
    pub roles_at: Option<Timestamp>,
}

const TOTP: &str =
    "SELECT account, COUNT(*) AS n FROM second_factors WHERE confirmed = 1 GROUP BY account";
const PASSKEYS: &str = "SELECT account, COUNT(*) AS n FROM passkeys GROUP BY account";
const PROVIDERS: &str = "SELECT account, COUNT(*) AS n FROM account_identities GROUP BY account";
const SESSIONS: &str = "SELECT s.account AS account, COUNT(*) AS n FROM account_sessions s \
                        JOIN accounts a ON a.name = s.account WHERE s.expires_at > $1 \
                        AND s.seen_at > $2 AND s.generation = a.generation AND a.disabled = 0 \
                        GROUP BY s.account";

/// The repository of reviews.
#[derive(Debug)]
pub struct AccessReviews<'a> {
    store: &'a Store,
}

impl Store {
    /// Reviews of who may what.
    #[must_use]
    pub fn access_reviews(&self) -> AccessReviews<'_> {
        AccessReviews { store: self }
    }
}

impl AccessReviews<'_> {
    /// The plan, where there is one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn plan(&self) -> Result<Option<ReviewPlan>, StoreError> {
        let found = sqlx::query("SELECT * FROM access_review_plan")
            .fetch_optional(self.store.readers())
            .await?;
        found
            .map(|found| {
                Ok(ReviewPlan {
                    owner: row::text(&found, "owner")?,
                    every_days: row::unsigned(&found, "every_days")?,
                    due_at: row::time(&found, "due_at")?,
                    planned_by: row::text(&found, "planned_by")?,
                    planned_at: row::time(&found, "planned_at")?,
                })
            })
            .transpose()
    }

    /// Plans reviews from now on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_plan(&self, plan: &ReviewPlan) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO access_review_plan (one, owner, every_days, due_at, planned_by, planned_at) \
             VALUES (1, $1, $2, $3, $4, $5) ON CONFLICT (one) DO UPDATE SET owner = excluded.owner, \
             every_days = excluded.every_days, due_at = excluded.due_at, \
             planned_by = excluded.planned_by, planned_at = excluded.planned_at",
        )
        .bind(plan.owner.as_str())
        .bind(plan.every_days as i64)
        .bind(row::nanos(plan.due_at))
        .bind(plan.planned_by.as_str())
        .bind(row::nanos(plan.planned_at))
        .execute(self.store.writer())
        .await?;
        Ok(())
    }

    /// Plans no more reviews; `false` where none were planned.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drop_plan(&self) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM access_review_plan")
            .execute(self.store.writer())
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Writes down that a review was signed, and until when the next one is due where this was the planned one.
    ///
    /// # Errors
    /// When its id is taken, or the database fails.
    pub async fn add(
        &self,
        review: &AccessReview,
        next_due: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::People).await?;
        sqlx::query("INSERT INTO access_reviews VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind(review.id.to_string())
            .bind(review.reviewer.as_str())
            .bind(row::nanos(review.reviewed_at))
            .bind(review.digest.as_str())
            .bind(review.days as i64)
            .bind(review.accounts as i64)
            .bind(review.suggestions as i64)
            .bind(review.note.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(|error| StoreError::on_insert(error, || format!("review {}", review.id)))?;
        if let Some(due) = next_due {
            sqlx::query("UPDATE access_review_plan SET due_at = $1")
                .bind(row::nanos(due))
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Reviews before `before`, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(
        &self,
        before: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<AccessReview>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM access_reviews WHERE $1 = '' OR id < $1 ORDER BY id DESC LIMIT $2",
        )
        .bind(before.map(|id| id.to_string()).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read).collect()
    }

    /// What each account proves itself with, and where it is signed in at a time, by account; a session that
    /// was last used before `idle_since` has ended. An account that has nothing of it is not there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn facts(
        &self,
        now: Timestamp,
        idle_since: Timestamp,
    ) -> Result<BTreeMap<String, AccountFacts>, StoreError> {
        let mut all: BTreeMap<String, AccountFacts> = BTreeMap::new();
        for (account, count) in self.count(TOTP, &[]).await? {
            all.entry(account).or_default().totp = count > 0;
        }
        for (account, count) in self.count(PASSKEYS, &[]).await? {
            all.entry(account).or_default().passkeys = count;
        }
        for (account, count) in self.count(PROVIDERS, &[]).await? {
            all.entry(account).or_default().providers = count;
        }
        for (account, count) in self.count(SESSIONS, &[now, idle_since]).await? {
            all.entry(account).or_default().sessions = count;
        }
        let changes = sqlx::query("SELECT account, at FROM account_role_changes")
            .fetch_all(self.store.readers())
            .await?;
        for found in &changes {
            let facts = all.entry(row::text(found, "account")?).or_default();
            facts.roles_at = Some(row::time(found, "at")?);
        }
        Ok(all)
    }

    async fn count(
        &self,
        sql: &'static str,
        times: &[Timestamp],
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let mut query = sqlx::query(sql);
        for time in times {
            query = query.bind(row::nanos(*time));
        }
        let rows = query.fetch_all(self.store.readers()).await?;
        rows.iter()
            .map(|found| Ok((row::text(found, "account")?, row::unsigned(found, "n")?)))
            .collect()
    }

    /// By whose doing API tokens came to be, by token.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn token_makers(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let rows = sqlx::query("SELECT token, account FROM api_token_makers")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter()
            .map(|found| Ok((row::text(found, "token")?, row::text(found, "account")?)))
            .collect()
    }
}

fn read(found: &AnyRow) -> Result<AccessReview, StoreError> {
    Ok(AccessReview {
        id: row::parse(found, "id", EventId::parse)?,
        reviewer: row::text(found, "reviewer")?,
        reviewed_at: row::time(found, "reviewed_at")?,
        digest: row::text(found, "digest")?,
        days: row::unsigned(found, "days")?,
        accounts: row::unsigned(found, "accounts")?,
        suggestions: row::unsigned(found, "suggestions")?,
        note: row::text(found, "note")?,
    })
}
