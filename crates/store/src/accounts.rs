//! Accounts of people. Each change that must end the account's sessions moves its generation, in the same
//! statement; a session of an earlier generation is none.

use palisade_core::Timestamp;
use sqlx::{AnyConnection, any::AnyRow};

use crate::{RoleAssignment, Store, StoreError, row, transaction::Lane};

/// An account of a person.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name, in small letters.
    pub name: String,
    /// Its roles, by name.
    pub roles: Vec<String>,
    /// The hash of its password, in PHC form.
    pub password: String,
    /// Whether the password must be changed before anything else.
    pub must_change: bool,
    /// Whether it is disabled.
    pub disabled: bool,
    /// Moves with each change that ends its sessions.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its password was last changed.
    pub password_changed_at: Timestamp,
    /// When somebody last logged in to it.
    pub last_login_at: Option<Timestamp>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// The role without which nobody could administer.
pub(crate) const OWNER: &str = "%\"owner\"%";
/// Whether an owner is left besides $1; $2 is [`OWNER`].
const ANOTHER_OWNER: &str = "EXISTS (SELECT 1 FROM accounts o WHERE o.name <> $1 AND o.disabled = 0 \
                             AND o.roles LIKE $2)";

/// Whether an owner is left when the roles of $1 are $3; $2 is [`OWNER`].
pub(crate) const LEAVES_AN_OWNER: &str = "($3 LIKE $2 OR disabled = 1 OR roles NOT LIKE $2 \
     OR EXISTS (SELECT 1 FROM accounts o WHERE o.name <> $1 AND o.disabled = 0 AND o.roles LIKE $2))";

/// What removes everything that is kept of a person, besides the account.
const OF_IT: [&str; 19] = [
    "DELETE FROM password_history WHERE account = $1",
    "DELETE FROM account_sessions WHERE account = $1",
    "DELETE FROM second_factors WHERE account = $1",
    "DELETE FROM recovery_codes WHERE account = $1",
    "DELETE FROM passkeys WHERE account = $1",
    "DELETE FROM account_handles WHERE account = $1",
    "DELETE FROM account_assignments WHERE account = $1",
    "DELETE FROM account_identities WHERE account = $1",
    "DELETE FROM elevations WHERE account = $1",
    "DELETE FROM account_notices WHERE account = $1",
    "DELETE FROM account_letters WHERE account = $1",
    "DELETE FROM account_places WHERE account = $1",
    "DELETE FROM account_emails WHERE account = $1",
    "DELETE FROM access_log WHERE subject = $1 AND kind = 'account'",
    "DELETE FROM access_uses WHERE subject = $1 AND kind = 'account'",
    "DELETE FROM access_places WHERE subject = $1 AND kind = 'account'",
    "DELETE FROM account_role_changes WHERE account = $1",
    "DELETE FROM access_review_plan WHERE owner = $1",
    "UPDATE access_review_plan SET planned_by = '' WHERE planned_by = $1",
];

/// The tables that these are about, each once.
pub(crate) fn tables_about_persons() -> impl Iterator<Item = &'static str> {
    let named = OF_IT.iter().filter_map(|statement| {
        let rest = statement
            .strip_prefix("DELETE FROM ")
            .or_else(|| statement.strip_prefix("UPDATE "))?;
        rest.split_whitespace().next()
    });
    let all: std::collections::BTreeSet<_> = named.chain(["accounts"]).collect();
    all.into_iter()
}

/// The repository of accounts.
#[derive(Debug)]
pub struct Accounts<'a> {
    store: &'a Store,
}

impl Store {
    /// Accounts of people.
    #[must_use]
    pub fn accounts(&self) -> Accounts<'_> {
        Accounts { store: self }
    }
}

impl Accounts<'_> {
    /// Writes a new account down.
    ///
    /// # Errors
    /// When there is one of that name, or the database fails.
    pub async fn add(&self, account: &Account) -> Result<(), StoreError> {
        let mut connection = self.store.writer().acquire().await?;
        insert(&mut connection, account).await
    }

    /// Finds an account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, name: &str) -> Result<Option<Account>, StoreError> {
        sqlx::query("SELECT * FROM accounts WHERE name = $1")
            .bind(name)
            .fetch_optional(self.store.readers())
            .await?
            .map(|found| read(&found))
            .transpose()
    }

    /// The first ten thousand accounts, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self) -> Result<Vec<Account>, StoreError> {
        let rows = sqlx::query("SELECT * FROM accounts ORDER BY name LIMIT 10000")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read).collect()
    }

    /// Whether an owner is there who is not disabled.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_owner(&self) -> Result<bool, StoreError> {
        let found =
            sqlx::query("SELECT name FROM accounts WHERE disabled = 0 AND roles LIKE $1 LIMIT 1")
                .bind(OWNER)
                .fetch_optional(self.store.writer())
                .await?;
        Ok(found.is_some())
    }

    /// Notes that what an account is changes now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_role_change(&self, name: &str, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO account_role_changes VALUES ($1, $2) \
             ON CONFLICT (account) DO UPDATE SET at = excluded.at",
        )
        .bind(name)
        .bind(row::nanos(now))
        .execute(self.store.writer())
        .await?;
        Ok(())
    }

    /// Sets all that an account is, its plain roles and what it is besides within bounds or for a time, and
    /// ends its sessions; `false` where there is no such account, or it is the last owner and would be none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_roles(
        &self,
        name: &str,
        roles: &[String],
        besides: &[RoleAssignment],
    ) -> Result<bool, StoreError> {
        let sql = format!(
            "UPDATE accounts SET roles = $3, generation = generation + 1 WHERE name = $1 \
             AND {LEAVES_AN_OWNER}"
        );
        let mut transaction = self.store.begin(Lane::People).await?;
        let done = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(name)
            .bind(OWNER)
            .bind(row::to_json(&roles, "roles")?)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO account_assignments VALUES ($1, $2) \
             ON CONFLICT (account) DO UPDATE SET assignments = excluded.assignments",
        )
        .bind(name)
        .bind(row::to_json(&besides, "assignments")?)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Disables or enables an account and ends its sessions; `false` where there is no such account, or it
    /// is the last owner.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_disabled(&self, name: &str, disabled: bool) -> Result<bool, StoreError> {
        let sql = format!(
            "UPDATE accounts SET disabled = $3, generation = generation + 1 WHERE name = $1 \
             AND ($3 = 0 OR roles NOT LIKE $2 OR {ANOTHER_OWNER})"
        );
        let statement = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(name)
            .bind(OWNER)
            .bind(i64::from(disabled));
        let done = self.store.execute_in(Lane::People, statement).await?;
        Ok(done == 1)
    }

    /// Sets an account's password, ends its sessions, and keeps `history` passwords of before; `false`
    /// where there is no such account, or its password is no longer the one that was looked at.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_password(
        &self,
        looked_at: &Account,
        (password, must_change): (&str, bool),
        history: u32,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.store.begin(Lane::People).await?;
        let done = sqlx::query(
            "UPDATE accounts SET password = $2, must_change = $3, generation = generation + 1, \
             password_changed_at = $4 WHERE name = $1 AND generation = $5",
        )
        .bind(looked_at.name.as_str())
        .bind(password)
        .bind(i64::from(must_change))
        .bind(row::nanos(now))
        .bind(looked_at.generation as i64)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        retire(&mut transaction, looked_at, history, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The newest passwords that an account had before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn previous_passwords(
        &self,
        name: &str,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query(
            "SELECT password FROM password_history WHERE account = $1 \
             ORDER BY retired_at DESC LIMIT $2",
        )
        .bind(name)
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter()
            .map(|found| row::text(found, "password"))
            .collect()
    }

    /// Notes that somebody logged in.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn touch(&self, name: &str, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE accounts SET last_login_at = $2 WHERE name = $1")
            .bind(name)
            .bind(row::nanos(now))
            .execute(self.store.writer())
            .await?;
        Ok(())
    }

    /// Removes an account that is disabled and everything that is kept of its person, the log of access included; `false`
    /// where there is no such account, or it is not disabled.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn erase(&self, name: &str) -> Result<bool, StoreError> {
        // What others asked for about the account.
        const ABOUT_IT: &str = "UPDATE access_log SET resource = '/api/v1/accounts/erased', reason = NULL \
             WHERE resource = $1 OR SUBSTR(resource, 1, LENGTH($1) + 1) = $1 || '/'";
        let mut transaction = self.store.begin(Lane::People).await?;
        let found = sqlx::query("SELECT name FROM accounts WHERE name = $1 AND disabled = 1")
            .bind(name)
            .fetch_optional(&mut *transaction)
            .await?;
        if found.is_none() {
            return Ok(false);
        }
        for query in OF_IT {
            sqlx::query(query)
                .bind(name)
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query(ABOUT_IT)
            .bind(format!("/api/v1/accounts/{name}"))
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM accounts WHERE name = $1")
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Ends all sessions of an account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_sessions(&self, name: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE accounts SET generation = generation + 1 WHERE name = $1")
            .bind(name)
            .execute(self.store.writer())
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

pub(crate) async fn insert(
    connection: &mut AnyConnection,
    account: &Account,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO accounts VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
        .bind(account.name.as_str())
        .bind(row::to_json(&account.roles, "roles")?)
        .bind(account.password.as_str())
        .bind(i64::from(account.must_change))
        .bind(i64::from(account.disabled))
        .bind(account.generation as i64)
        .bind(row::nanos(account.created_at))
        .bind(row::nanos(account.password_changed_at))
        .bind(account.last_login_at.map(row::nanos))
        .execute(connection)
        .await
        .map_err(|error| StoreError::on_insert(error, || format!("account {}", account.name)))?;
    Ok(())
}

async fn retire(
    connection: &mut AnyConnection,
    account: &Account,
    history: u32,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO password_history (account, retired_at, password) VALUES ($1, $2, $3) \
         ON CONFLICT (account, retired_at) DO NOTHING",
    )
    .bind(account.name.as_str())
    .bind(row::nanos(now))
    .bind(account.password.as_str())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "DELETE FROM password_history WHERE account = $1 AND retired_at NOT IN \
         (SELECT retired_at FROM password_history WHERE account = $1 \
          ORDER BY retired_at DESC LIMIT $2)",
    )
    .bind(account.name.as_str())
    .bind(i64::from(history))
    .execute(connection)
    .await?;
    Ok(())
}

fn read(found: &AnyRow) -> Result<Account, StoreError> {
    Ok(Account {
        name: row::text(found, "name")?,
        roles: row::json(found, "roles")?,
        password: row::text(found, "password")?,
        must_change: row::flag(found, "must_change")?,
        disabled: row::flag(found, "disabled")?,
        generation: row::unsigned(found, "generation")?,
        created_at: row::time(found, "created_at")?,
        password_changed_at: row::time(found, "password_changed_at")?,
        last_login_at: row::optional_time(found, "last_login_at")?,
    })
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;

    #[tokio::test]
    async fn an_erased_account_leaves_nothing_in_any_table_that_is_about_accounts() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path()).await.expect("opens");
        let tables = sqlx::query("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
            .fetch_all(store.writer())
            .await;
        for table in tables.expect("reads") {
            let (name, sql): (String, String) = (table.get(0), table.get(1));
            let begin = format!("DELETE FROM {name} WHERE ");
            let is_erased = OF_IT.iter().any(|query| query.starts_with(&begin));
            let is_about_accounts = sql.contains("REFERENCES accounts (name)");
            assert!(is_erased || !is_about_accounts, "{name} is forgotten");
        }
    }
}
