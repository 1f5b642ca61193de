//! Transactions: one writer at a time of what hangs together, by means of the database.

use sqlx::{Any, Transaction, any::AnyArguments, query::Query};

use crate::{Engine, Store, StoreError};

/// What a transaction writes. Two that are of one lane run one after the other, in whatever process they are: what one
/// reads and decides upon cannot change under it. SQLite has one writer as it is; PostgreSQL is asked for an advisory lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Rows that are decided upon one by one: their own locks are enough.
    Rows,
    /// The ledger and the outbox: numbers without a gap, in the order in which they become visible.
    Journal,
    /// Accounts and all that is about them, roles, teams, approvals.
    People,
    /// Cases, actions, findings.
    Cases,
    /// Grants and policies.
    Policy,
    /// Audits and what they look at.
    Audits,
    /// Devices and imports of them.
    Devices,
    /// Files and keys of the vault.
    Vault,
    /// Letters that are due.
    Notices,
}

/// Tells Palisade's advisory locks from those of others in the database: "pali".
pub(crate) const LOCKS: i32 = 0x7061_6C69;

impl Store {
    /// Begins a transaction.
    ///
    /// # Errors
    /// When the database fails, or others hold the lane for too long.
    pub(crate) async fn begin(&self, lane: Lane) -> Result<Transaction<'static, Any>, StoreError> {
        let mut transaction = self.writer().begin().await?;
        if self.engine() == Engine::Postgres && lane != Lane::Rows {
            sqlx::query("SELECT pg_advisory_xact_lock($1, $2)")
                .bind(LOCKS)
                .bind(lane as i32)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction)
    }

    /// Runs one statement in a lane: one that decides upon other rows than it changes.
    ///
    /// # Errors
    /// When the database fails, or others hold the lane for too long.
    pub(crate) async fn execute_in(
        &self,
        lane: Lane,
        statement: Query<'_, Any, AnyArguments>,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.begin(lane).await?;
        let done = statement.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}
