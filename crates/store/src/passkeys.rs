//! Passkeys of people: public keys, none of them secret. What makes an account's first second factor, or takes a
//! way in away, moves the account's generation in the same transaction: its sessions end.

use palisade_core::{Timestamp, TokenId};
use sqlx::{AnyConnection, any::AnyRow};

use crate::{Account, Store, StoreError, row, transaction::Lane};

/// A passkey of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyRecord {
    /// Its name here.
    pub id: TokenId,
    /// Whose it is.
    pub account: String,
    /// Its name in its authenticator.
    pub credential: Vec<u8>,
    /// What its person calls it.
    pub name: String,
    /// Its public key and what else is checked of it, in JSON.
    pub public_key: String,
    /// What its authenticator last counted.
    pub counter: u32,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// When somebody last logged in with it.
    pub last_used_at: Option<Timestamp>,
}

/// What came of a passkey that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasskeyAdded {
    /// It was added.
    Added {
        /// It is the account's first second factor: all its sessions have ended.
        is_first: bool,
        /// There were no recovery codes, and those that were brought are the account's now.
        with_recovery: bool,
    },
    /// The account has as many as it may.
    Full,
    /// The account was changed meanwhile.
    Changed,
}

/// Whether an account has a second factor that counts; $1 is the account.
const HAS_FACTOR: &str = "(EXISTS (SELECT 1 FROM passkeys WHERE account = $1) OR EXISTS \
     (SELECT 1 FROM second_factors WHERE account = $1 AND confirmed = 1))";

/// The repository of passkeys.
#[derive(Debug)]
pub struct Passkeys<'a> {
    store: &'a Store,
}

impl Store {
    /// Passkeys of people.
    #[must_use]
    pub fn passkeys(&self) -> Passkeys<'_> {
        Passkeys { store: self }
    }
}

impl Passkeys<'_> {
    /// The random name by which authenticators know an account; `new` where it had none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn handle(&self, account: &str, new: &[u8]) -> Result<Vec<u8>, StoreError> {
        sqlx::query(
            "INSERT INTO account_handles (account, handle) VALUES ($1, $2) \
             ON CONFLICT (account) DO NOTHING",
        )
        .bind(account)
        .bind(new)
        .execute(self.store.writer())
        .await?;
        let found = sqlx::query("SELECT handle FROM account_handles WHERE account = $1")
            .bind(account)
            .fetch_one(self.store.writer())
            .await?;
        row::bytes(&found, "handle")
    }

    /// Whose random name it is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn account_of(&self, handle: &[u8]) -> Result<Option<String>, StoreError> {
        let found = sqlx::query("SELECT account FROM account_handles WHERE handle = $1")
            .bind(handle)
            .fetch_optional(self.store.readers())
            .await?;
        found.map(|found| row::text(&found, "account")).transpose()
    }

    /// An account's passkeys, the oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of(&self, account: &str) -> Result<Vec<PasskeyRecord>, StoreError> {
        let rows = sqlx::query("SELECT * FROM passkeys WHERE account = $1 ORDER BY id LIMIT 1000")
            .bind(account)
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read).collect()
    }

    /// Finds a passkey by its name in its authenticator.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, credential: &[u8]) -> Result<Option<PasskeyRecord>, StoreError> {
        sqlx::query("SELECT * FROM passkeys WHERE credential = $1")
            .bind(credential)
            .fetch_optional(self.store.readers())
            .await?
            .map(|found| read(&found))
            .transpose()
    }

    /// Adds a passkey to an account that has fewer than `most`, and the recovery codes where there are none left.
    ///
    /// # Errors
    /// When a passkey of that name in an authenticator is there, or the database fails.
    pub async fn add(
        &self,
        account: &Account,
        passkey: &PasskeyRecord,
        most: u32,
        recovery: &[Vec<u8>],
    ) -> Result<PasskeyAdded, StoreError> {
        let mut transaction = self.store.begin(Lane::People).await?;
        let before = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE accounts SET generation = generation + CASE WHEN {HAS_FACTOR} THEN 0 ELSE 1 END \
             WHERE name = $1 AND disabled = 0 AND generation = $2 RETURNING generation"
        )))
        .bind(passkey.account.as_str())
        .bind(account.generation as i64)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(now) = before else {
            return Ok(PasskeyAdded::Changed);
        };
        let is_first = row::unsigned(&now, "generation")? != account.generation;
        let count = "SELECT COUNT(*) AS count FROM passkeys WHERE account = $1";
        if counted(&mut transaction, count, &passkey.account).await? >= i64::from(most) {
            return Ok(PasskeyAdded::Full);
        }
        insert(&mut transaction, passkey).await?;
        let count =
            "SELECT COUNT(*) AS count FROM recovery_codes WHERE account = $1 AND used_at IS NULL";
        let with_recovery = counted(&mut transaction, count, &passkey.account).await? == 0;
        for hash in recovery.iter().filter(|_| with_recovery) {
            sqlx::query(
                "INSERT INTO recovery_codes (account, hash, used_at) VALUES ($1, $2, NULL)",
            )
            .bind(passkey.account.as_str())
            .bind(hash.as_slice())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(PasskeyAdded::Added {
            is_first,
            with_recovery,
        })
    }

    /// Notes that somebody logged in with a passkey, and what its authenticator counted; `false` where that is
    /// not more than before, of an authenticator that counts. Two at once never use the same count.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn used(
        &self,
        passkey: &PasskeyRecord,
        counter: u32,
        public_key: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE passkeys SET counter = $2, public_key = $3, last_used_at = $4 \
             WHERE id = $1 AND (counter < $2 OR (counter = 0 AND $2 = 0))",
        )
        .bind(passkey.id.to_string())
        .bind(i64::from(counter))
        .bind(public_key)
        .bind(row::nanos(now))
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Removes a passkey of an account and ends the account's sessions; `false` where that would leave an account
    /// that must have a second factor without one, or there is no such passkey. Recovery codes that stand in for
    /// nothing go with the last factor.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove(
        &self,
        account: &str,
        id: TokenId,
        needs_factor: bool,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.store.begin(Lane::People).await?;
        sqlx::query("UPDATE accounts SET generation = generation + 1 WHERE name = $1")
            .bind(account)
            .execute(&mut *transaction)
            .await?;
        let done = sqlx::query("DELETE FROM passkeys WHERE account = $1 AND id = $2")
            .bind(account)
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await?;
        let has_factor = format!("SELECT CASE WHEN {HAS_FACTOR} THEN 1 ELSE 0 END AS count");
        let is_left = counted(&mut transaction, &has_factor, account).await? == 1;
        if done.rows_affected() != 1 || (needs_factor && !is_left) {
            return Ok(false);
        }
        if !is_left {
            sqlx::query("DELETE FROM recovery_codes WHERE account = $1")
                .bind(account)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}

/// The number that a query of this file's own text counts for an account.
async fn counted(
    connection: &mut AnyConnection,
    sql: &str,
    account: &str,
) -> Result<i64, StoreError> {
    let found = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()))
        .bind(account)
        .fetch_one(connection)
        .await?;
    row::integer(&found, "count")
}

async fn insert(connection: &mut AnyConnection, passkey: &PasskeyRecord) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO passkeys (id, account, credential, name, public_key, counter, created_at, \
         last_used_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(passkey.id.to_string())
    .bind(passkey.account.as_str())
    .bind(passkey.credential.as_slice())
    .bind(passkey.name.as_str())
    .bind(passkey.public_key.as_str())
    .bind(i64::from(passkey.counter))
    .bind(row::nanos(passkey.created_at))
    .bind(passkey.last_used_at.map(row::nanos))
    .execute(connection)
    .await
    .map_err(|error| StoreError::on_insert(error, || "this passkey".to_owned()))?;
    Ok(())
}

fn read(found: &AnyRow) -> Result<PasskeyRecord, StoreError> {
    Ok(PasskeyRecord {
        id: row::parse(found, "id", TokenId::parse)?,
        account: row::text(found, "account")?,
        credential: row::bytes(found, "credential")?,
        name: row::text(found, "name")?,
        public_key: row::text(found, "public_key")?,
        counter: u32::try_from(row::integer(found, "counter")?).unwrap_or(u32::MAX),
        created_at: row::time(found, "created_at")?,
        last_used_at: row::optional_time(found, "last_used_at")?,
    })
}
