//! Removing what is old: closed cases with all that belongs to them, findings that nobody needs any more, and the log
//! of access. Never what is open, and nothing of the ledger.

use palisade_core::{CaseId, Timestamp};

use crate::{Store, StoreError, row, transaction::Lane};

/// The repository of what is removed.
#[derive(Debug)]
pub struct Pruning<'a> {
    store: &'a Store,
}

impl Store {
    /// Removing what is old.
    #[must_use]
    pub fn pruning(&self) -> Pruning<'_> {
        Pruning { store: self }
    }
}

impl Pruning<'_> {
    /// Removes cases that were closed before a moment, with their timelines and actions, the oldest first; at most
    /// `limit`, and says how many. A case of which an action is in force, under way, waits, or is not in the journal
    /// yet stays.
    ///
    /// # Errors
    /// When the database fails; nothing is removed then.
    pub async fn closed_cases(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let rows = sqlx::query(
            "SELECT id FROM cases WHERE state = 'closed' AND closed_at < $1 AND NOT EXISTS \
             (SELECT 1 FROM actions WHERE actions.case_id = cases.id AND (in_force = 1 \
             OR actions.state IN ('waiting', 'running', 'undoing') OR told IS NULL \
             OR told <> actions.state)) ORDER BY closed_at LIMIT $2",
        )
        .bind(row::nanos(before))
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        let mut transaction = self.store.begin(Lane::Cases).await?;
        let mut removed = 0;
        for found in &rows {
            let case = row::parse(found, "id", CaseId::parse)?.to_string();
            // It may have been opened again since it was read.
            let done = sqlx::query("DELETE FROM cases WHERE id = $1 AND state = 'closed'")
                .bind(case.as_str())
                .execute(&mut *transaction)
                .await?;
            if done.rows_affected() == 0 {
                continue;
            }
            removed += 1;
            for part in [
                "DELETE FROM case_findings WHERE case_id = $1",
                "DELETE FROM case_entries WHERE case_id = $1",
                "DELETE FROM playbook_runs WHERE case_id = $1",
                "DELETE FROM actions WHERE case_id = $1",
            ] {
                sqlx::query(part)
                    .bind(case.as_str())
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        transaction.commit().await?;
        Ok(removed)
    }

    /// Removes what was last done or read at the REST door before a moment, the oldest first; at most `limit`,
    /// and says how many.
    ///
    /// # Errors
    /// When the database fails; nothing is removed then.
    pub async fn access(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut transaction = self.store.begin(Lane::People).await?;
        let done = sqlx::query(
            "DELETE FROM access_log WHERE id IN (SELECT id FROM access_log WHERE last_at < $1 \
             ORDER BY last_at LIMIT $2)",
        )
        .bind(row::nanos(before))
        .bind(i64::from(limit))
        .execute(&mut *transaction)
        .await?;
        sqlx::query("DELETE FROM access_uses WHERE last_at < $1")
            .bind(row::nanos(before))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }

    /// Removes findings that were last seen before a moment and that have ended or were judged, the oldest first; at
    /// most `limit`, and says how many. What belongs to a case that is not closed stays.
    ///
    /// # Errors
    /// When the database fails; nothing is removed then.
    pub async fn findings(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "DELETE FROM findings WHERE id IN (SELECT f.id FROM findings f WHERE f.last_seen < $1 \
             AND (f.state = 'cleared' OR f.verdict IS NOT NULL) AND NOT EXISTS \
             (SELECT 1 FROM case_findings m JOIN cases c ON c.id = m.case_id \
             WHERE m.finding = f.id AND c.state <> 'closed') ORDER BY f.last_seen LIMIT $2)",
        )
        .bind(row::nanos(before))
        .bind(i64::from(limit))
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected())
    }
}
