//! Identities: by whom providers (OpenID Connect) say that accounts' people are. An identity is an issuer and its own
//! name for somebody, never an address or a name that it could give to another.

use palisade_core::Timestamp;
use sqlx::any::AnyRow;

use crate::{Account, Store, StoreError, accounts, row, transaction::Lane};

/// By whom a provider says that an account's person is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountIdentity {
    /// Who says so.
    pub issuer: String,
    /// Its name for them.
    pub subject: String,
    /// The account.
    pub account: String,
    /// What the provider was called here when it was last used.
    pub provider: String,
    /// Whether the account came to be by it.
    pub is_made: bool,
    /// Since when it is bound to the account.
    pub created_at: Timestamp,
    /// When somebody last logged in by it.
    pub last_used_at: Option<Timestamp>,
}

/// What came of roles that were to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolesSet {
    /// The account has them already.
    Same,
    /// They were set, and all sessions of the account have ended.
    Changed,
    /// The account is the last owner and would be none.
    LastOwner,
}

/// The repository of identities.
#[derive(Debug)]
pub struct Identities<'a> {
    store: &'a Store,
}

impl Store {
    /// By whom providers say that accounts' people are.
    #[must_use]
    pub fn identities(&self) -> Identities<'_> {
        Identities { store: self }
    }
}

impl Identities<'_> {
    /// Whose identity it is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<AccountIdentity>, StoreError> {
        sqlx::query("SELECT * FROM account_identities WHERE issuer = $1 AND subject = $2")
            .bind(issuer)
            .bind(subject)
            .fetch_optional(self.store.readers())
            .await?
            .map(|found| read(&found))
            .transpose()
    }

    /// An account's identities, by issuer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of(&self, account: &str) -> Result<Vec<AccountIdentity>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM account_identities WHERE account = $1 ORDER BY issuer LIMIT 100",
        )
        .bind(account)
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Writes a new account down and the identity that it comes of: both or neither.
    ///
    /// # Errors
    /// When there is an account of that name, the identity is bound already, or the database fails.
    pub async fn make(
        &self,
        account: &Account,
        identity: &AccountIdentity,
    ) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::People).await?;
        accounts::insert(&mut transaction, account).await?;
        insert(&mut transaction, identity).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Binds an identity to an account that is as it was looked at; `false` where it was changed or disabled meanwhile.
    ///
    /// # Errors
    /// When the identity is bound already, the account has one of that issuer, or the database fails.
    pub async fn link(
        &self,
        identity: &AccountIdentity,
        generation: u64,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.store.begin(Lane::People).await?;
        let found = sqlx::query(
            "UPDATE accounts SET generation = generation WHERE name = $1 AND generation = $2 \
             AND disabled = 0",
        )
        .bind(identity.account.as_str())
        .bind(generation as i64)
        .execute(&mut *transaction)
        .await?;
        if found.rows_affected() != 1 {
            return Ok(false);
        }
        insert(&mut transaction, identity).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Takes an identity from an account and ends the account's sessions; `false` where it has none of that issuer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unlink(&self, account: &str, issuer: &str) -> Result<bool, StoreError> {
        let mut transaction = self.store.begin(Lane::People).await?;
        let done = sqlx::query("DELETE FROM account_identities WHERE account = $1 AND issuer = $2")
            .bind(account)
            .bind(issuer)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        sqlx::query("UPDATE accounts SET generation = generation + 1 WHERE name = $1")
            .bind(account)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Notes that somebody logged in by an identity.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn used(&self, identity: &AccountIdentity, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE account_identities SET last_used_at = $3, provider = $4 \
             WHERE issuer = $1 AND subject = $2",
        )
        .bind(identity.issuer.as_str())
        .bind(identity.subject.as_str())
        .bind(row::nanos(now))
        .bind(identity.provider.as_str())
        .execute(self.store.writer())
        .await?;
        Ok(())
    }

    /// Sets an account's plain roles, as its provider says; its sessions end where they are others than before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_roles(&self, account: &str, roles: &[String]) -> Result<RolesSet, StoreError> {
        let text = row::to_json(&roles, "roles")?;
        let has = sqlx::query("SELECT name FROM accounts WHERE name = $1 AND roles = $2")
            .bind(account)
            .bind(text.as_str())
            .fetch_optional(self.store.writer())
            .await?;
        if has.is_some() {
            return Ok(RolesSet::Same);
        }
        let sql = format!(
            "UPDATE accounts SET roles = $3, generation = generation + 1 WHERE name = $1 AND {}",
            accounts::LEAVES_AN_OWNER
        );
        let statement = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(account)
            .bind(accounts::OWNER)
            .bind(text.as_str());
        let done = self.store.execute_in(Lane::People, statement).await?;
        Ok(match done {
            1 => RolesSet::Changed,
            _ => RolesSet::LastOwner,
        })
    }
}

async fn insert(
    connection: &mut sqlx::AnyConnection,
    identity: &AccountIdentity,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO account_identities VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(identity.issuer.as_str())
        .bind(identity.subject.as_str())
        .bind(identity.account.as_str())
        .bind(identity.provider.as_str())
        .bind(i64::from(identity.is_made))
        .bind(row::nanos(identity.created_at))
        .bind(identity.last_used_at.map(row::nanos))
        .execute(connection)
        .await
        .map_err(|error| StoreError::on_insert(error, || "this identity".to_owned()))?;
    Ok(())
}

fn read(found: &AnyRow) -> Result<AccountIdentity, StoreError> {
    Ok(AccountIdentity {
        issuer: row::text(found, "issuer")?,
        subject: row::text(found, "subject")?,
        account: row::text(found, "account")?,
        provider: row::text(found, "provider")?,
        is_made: row::flag(found, "is_made")?,
        created_at: row::time(found, "created_at")?,
        last_used_at: row::optional_time(found, "last_used_at")?,
    })
}
