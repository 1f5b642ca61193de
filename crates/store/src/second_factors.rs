//! Second factors of people, sealed, and the hashes of their recovery codes.

use palisade_core::Timestamp;

use crate::{Store, StoreError, row, transaction::Lane};

/// A second factor of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondFactor {
    /// Its secret, sealed.
    pub sealed: Vec<u8>,
    /// Whether its owner has shown that it works.
    pub confirmed: bool,
}

/// The repository of second factors.
#[derive(Debug)]
pub struct SecondFactors<'a> {
    store: &'a Store,
}

impl Store {
    /// Second factors.
    #[must_use]
    pub fn second_factors(&self) -> SecondFactors<'_> {
        SecondFactors { store: self }
    }
}

impl SecondFactors<'_> {
    /// Writes a factor down that is not confirmed yet; `false` where there is one that is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put(
        &self,
        account: &str,
        kind: &str,
        sealed: &[u8],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO second_factors (account, kind, sealed, confirmed, last_step, created_at) \
             VALUES ($1, $2, $3, 0, 0, $4) ON CONFLICT (account, kind) DO UPDATE SET \
             sealed = excluded.sealed, last_step = 0, created_at = excluded.created_at \
             WHERE second_factors.confirmed = 0",
        )
        .bind(account)
        .bind(kind)
        .bind(sealed)
        .bind(row::nanos(now))
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Finds an account's factor of a kind.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(
        &self,
        account: &str,
        kind: &str,
    ) -> Result<Option<SecondFactor>, StoreError> {
        let found = sqlx::query("SELECT * FROM second_factors WHERE account = $1 AND kind = $2")
            .bind(account)
            .bind(kind)
            .fetch_optional(self.store.readers())
            .await?;
        let read = |found: sqlx::any::AnyRow| {
            Ok(SecondFactor {
                sealed: row::bytes(&found, "sealed")?,
                confirmed: row::flag(&found, "confirmed")?,
            })
        };
        found.map(read).transpose()
    }

    /// Takes a step of a factor that counts them, and confirms the factor; `false` where that step or a
    /// later one was taken before. Two at once never take the same.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_step(
        &self,
        account: &str,
        kind: &str,
        step: u64,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE second_factors SET last_step = $3, confirmed = 1 \
             WHERE account = $1 AND kind = $2 AND last_step < $3",
        )
        .bind(account)
        .bind(kind)
        .bind(step as i64)
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Replaces an account's recovery codes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_recovery(&self, account: &str, hashes: &[Vec<u8>]) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::People).await?;
        sqlx::query("DELETE FROM recovery_codes WHERE account = $1")
            .bind(account)
            .execute(&mut *transaction)
            .await?;
        for hash in hashes {
            sqlx::query(
                "INSERT INTO recovery_codes (account, hash, used_at) VALUES ($1, $2, NULL)",
            )
            .bind(account)
            .bind(hash.as_slice())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// How many recovery codes of an account were not taken, and how many there are in all.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_recovery(&self, account: &str) -> Result<(u64, u64), StoreError> {
        let found = sqlx::query(
            "SELECT COUNT(*) - COUNT(used_at) AS free, COUNT(*) AS made FROM recovery_codes \
             WHERE account = $1",
        )
        .bind(account)
        .fetch_one(self.store.readers())
        .await?;
        Ok((
            row::unsigned(&found, "free")?,
            row::unsigned(&found, "made")?,
        ))
    }

    /// Takes a recovery code; `false` where there is none of that hash, or it was taken before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_recovery(
        &self,
        account: &str,
        hash: &[u8],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE recovery_codes SET used_at = $3 WHERE account = $1 AND hash = $2 \
             AND used_at IS NULL",
        )
        .bind(account)
        .bind(hash)
        .bind(row::nanos(now))
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Removes an account's factors, passkeys and recovery codes, and ends its sessions.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_all(&self, account: &str) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::People).await?;
        for statement in [
            "DELETE FROM second_factors WHERE account = $1",
            "DELETE FROM passkeys WHERE account = $1",
            "DELETE FROM recovery_codes WHERE account = $1",
            "UPDATE accounts SET generation = generation + 1 WHERE name = $1",
        ] {
            sqlx::query(statement)
                .bind(account)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
