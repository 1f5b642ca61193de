//! People whom a provider of identities knows, and their accounts here.

use crate::{Account, Store, StoreError, accounts, row};

/// The repository of people whom providers know.
#[derive(Debug)]
pub struct OidcSubjects<'a> {
    store: &'a Store,
}

impl Store {
    /// People whom providers know.
    #[must_use]
    pub fn oidc_subjects(&self) -> OidcSubjects<'_> {
        OidcSubjects { store: self }
    }
}

impl OidcSubjects<'_> {
    /// The account of somebody whom a provider knows by `subject`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn account_of(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<String>, StoreError> {
        let found =
            sqlx::query("SELECT account FROM oidc_subjects WHERE issuer = $1 AND subject = $2")
                .bind(issuer)
                .bind(subject)
                .fetch_optional(self.store.writer())
                .await?;
        found.map(|found| row::text(&found, "account")).transpose()
    }

    /// Makes an account for somebody whom a provider knows: both or neither.
    ///
    /// # Errors
    /// When there is an account of that name or for that person, or the database fails.
    pub async fn add(
        &self,
        issuer: &str,
        subject: &str,
        account: &Account,
    ) -> Result<(), StoreError> {
        let mut transaction = self.store.writer().begin().await?;
        accounts::insert(&mut transaction, account).await?;
        sqlx::query("INSERT INTO oidc_subjects (issuer, subject, account) VALUES ($1, $2, $3)")
            .bind(issuer)
            .bind(subject)
            .bind(account.name.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(|error| {
                StoreError::on_insert(error, || format!("account {}", account.name))
            })?;
        transaction.commit().await?;
        Ok(())
    }
}
