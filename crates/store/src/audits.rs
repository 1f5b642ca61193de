//! Runs of audit checks, and what they found.

use palisade_core::{AuditRunId, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use crate::{Store, StoreError, row, transaction::Lane};

/// A run of audit checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRun {
    /// Its name.
    pub id: AuditRunId,
    /// Who asked for it; `schedule` where nobody did.
    pub started_by: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended, if it has.
    pub ended_at: Option<Timestamp>,
    /// Whether the server ended before it did.
    pub interrupted: bool,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditState {
    /// All is as it should be.
    Compliant,
    /// Something is not.
    NonCompliant,
    /// It could not be looked at.
    Failed,
}

/// What a check found within a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditResult {
    /// Which run.
    pub run: AuditRunId,
    /// Which check (`certificate-expiring`).
    pub check: String,
    /// What came of it.
    pub state: AuditState,
    /// How many things were looked at.
    pub looked_at: u64,
    /// How many of them are not as they should be.
    pub non_compliant: u64,
    /// How many of those are listed.
    pub listed: u64,
    /// Why it failed, or what else there is to say.
    pub note: Option<String>,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditResource {
    /// What (`certificate/<serial>`, `grant/<id>`, `device/<id>`).
    pub resource: String,
    /// About whom the finding is (`device/<id>`, `fleet`).
    pub subject: String,
    /// What is wrong, in one sentence.
    pub detail: String,
    /// When it was mended by a step of the audit, if it was.
    pub mitigated_at: Option<Timestamp>,
    /// By whom.
    pub mitigated_by: Option<String>,
}

/// The repository of audits.
#[derive(Debug)]
pub struct Audits<'a> {
    store: &'a Store,
}

impl Store {
    /// Audits.
    #[must_use]
    pub fn audits(&self) -> Audits<'_> {
        Audits { store: self }
    }
}

impl AuditState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Compliant => "compliant",
            Self::NonCompliant => "non_compliant",
            Self::Failed => "failed",
        }
    }
}

impl Audits<'_> {
    /// Notes that a run begins.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin(&self, run: &AuditRun) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO audit_runs VALUES ($1, $2, $3, NULL, 0)")
            .bind(run.id.to_string())
            .bind(run.started_by.as_str())
            .bind(row::nanos(run.started_at))
            .execute(self.store.writer())
            .await
            .map_err(|error| StoreError::on_insert(error, || format!("audit run {}", run.id)))?;
        Ok(())
    }

    /// Writes down what a check found, whole or not at all.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put(
        &self,
        result: &AuditResult,
        resources: &[AuditResource],
    ) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Audits).await?;
        let run = result.run.to_string();
        sqlx::query("INSERT INTO audit_results VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind(run.as_str())
            .bind(result.check.as_str())
            .bind(result.state.as_str())
            .bind(result.looked_at as i64)
            .bind(result.non_compliant as i64)
            .bind(result.listed as i64)
            .bind(result.note.as_deref())
            .bind(row::nanos(result.ended_at))
            .execute(&mut *transaction)
            .await?;
        for resource in resources {
            sqlx::query("INSERT INTO audit_resources VALUES ($1, $2, $3, $4, $5, NULL, NULL)")
                .bind(run.as_str())
                .bind(result.check.as_str())
                .bind(resource.resource.as_str())
                .bind(resource.subject.as_str())
                .bind(resource.detail.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Notes that a run ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end(&self, run: AuditRunId, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE audit_runs SET ended_at = $2 WHERE id = $1")
            .bind(run.to_string())
            .bind(row::nanos(at))
            .execute(self.store.writer())
            .await?;
        Ok(())
    }

    /// Notes that runs which have not ended will not: the server that ran them is gone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn interrupt_all(&self, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE audit_runs SET ended_at = $1, interrupted = 1 WHERE ended_at IS NULL")
            .bind(row::nanos(at))
            .execute(self.store.writer())
            .await?;
        Ok(())
    }

    /// Removes all but the newest runs, and results and resources with them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep_newest(&self, runs: u32) -> Result<(), StoreError> {
        let oldest = sqlx::query("SELECT id FROM audit_runs ORDER BY id DESC LIMIT 1 OFFSET $1")
            .bind(i64::from(runs.saturating_sub(1)))
            .fetch_optional(self.store.readers())
            .await?;
        let Some(oldest) = oldest else {
            return Ok(());
        };
        let oldest = row::text(&oldest, "id")?;
        let mut transaction = self.store.begin(Lane::Audits).await?;
        for remove in [
            "DELETE FROM audit_resources WHERE run < $1",
            "DELETE FROM audit_results WHERE run < $1",
            "DELETE FROM audit_runs WHERE id < $1",
        ] {
            sqlx::query(remove)
                .bind(oldest.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Finds a run.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, run: AuditRunId) -> Result<Option<AuditRun>, StoreError> {
        sqlx::query("SELECT * FROM audit_runs WHERE id = $1")
            .bind(run.to_string())
            .fetch_optional(self.store.readers())
            .await?
            .map(|found| read_run(&found))
            .transpose()
    }

    /// Runs, newest first, begun before `before`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn runs(
        &self,
        before: Option<AuditRunId>,
        limit: u32,
    ) -> Result<Vec<AuditRun>, StoreError> {
        // Nothing sorts after it: ids are made of digits and capital letters.
        let before = before.map_or_else(|| "~".to_owned(), |before| before.to_string());
        let rows = sqlx::query("SELECT * FROM audit_runs WHERE id < $1 ORDER BY id DESC LIMIT $2")
            .bind(before)
            .bind(i64::from(limit))
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read_run).collect()
    }

    /// What the checks of a run found, by check.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn results(&self, run: AuditRunId) -> Result<Vec<AuditResult>, StoreError> {
        let rows = sqlx::query("SELECT * FROM audit_results WHERE run = $1 ORDER BY audit_check")
            .bind(run.to_string())
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read_result).collect()
    }

    /// What a check found when it ran last.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn last_of(&self, check: &str) -> Result<Option<AuditResult>, StoreError> {
        sqlx::query("SELECT * FROM audit_results WHERE audit_check = $1 ORDER BY run DESC LIMIT 1")
            .bind(check)
            .fetch_optional(self.store.readers())
            .await?
            .map(|found| read_result(&found))
            .transpose()
    }

    /// What a check found within a run, by resource, after `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn resources(
        &self,
        run: AuditRunId,
        check: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<AuditResource>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM audit_resources WHERE run = $1 AND audit_check = $2 AND resource > $3 \
             ORDER BY resource LIMIT $4",
        )
        .bind(run.to_string())
        .bind(check)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read_resource).collect()
    }

    /// Finds one thing that a check found within a run.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn resource(
        &self,
        run: AuditRunId,
        check: &str,
        resource: &str,
    ) -> Result<Option<AuditResource>, StoreError> {
        sqlx::query(
            "SELECT * FROM audit_resources WHERE run = $1 AND audit_check = $2 AND resource = $3",
        )
        .bind(run.to_string())
        .bind(check)
        .bind(resource)
        .fetch_optional(self.store.readers())
        .await?
        .map(|found| read_resource(&found))
        .transpose()
    }

    /// Notes that something was mended, by whom and when.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mitigated(
        &self,
        run: AuditRunId,
        check: &str,
        resource: &str,
        (by, at): (&str, Timestamp),
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE audit_resources SET mitigated_at = $4, mitigated_by = $5 \
             WHERE run = $1 AND audit_check = $2 AND resource = $3",
        )
        .bind(run.to_string())
        .bind(check)
        .bind(resource)
        .bind(row::nanos(at))
        .bind(by)
        .execute(self.store.writer())
        .await?;
        Ok(())
    }

    /// Open findings of a check about what a run did not find again, after a finding: each by its id
    /// and its subject.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mended(
        &self,
        run: AuditRunId,
        check: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query(
            "SELECT f.id, f.subject FROM findings f WHERE f.detector = $1 AND f.state = 'open' \
             AND f.id > $2 AND NOT EXISTS (SELECT 1 FROM audit_resources r WHERE r.run = $3 \
             AND r.audit_check = $4 AND r.subject = f.subject) ORDER BY f.id LIMIT $5",
        )
        .bind(format!("audit/{check}"))
        .bind(after)
        .bind(run.to_string())
        .bind(check)
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter()
            .map(|found| Ok((row::text(found, "id")?, row::text(found, "subject")?)))
            .collect()
    }
}

fn read_run(found: &AnyRow) -> Result<AuditRun, StoreError> {
    Ok(AuditRun {
        id: row::parse(found, "id", AuditRunId::parse)?,
        started_by: row::text(found, "started_by")?,
        started_at: row::time(found, "started_at")?,
        ended_at: row::optional_time(found, "ended_at")?,
        interrupted: row::flag(found, "interrupted")?,
    })
}

fn read_result(found: &AnyRow) -> Result<AuditResult, StoreError> {
    let state = match row::text(found, "state")?.as_str() {
        "compliant" => AuditState::Compliant,
        "non_compliant" => AuditState::NonCompliant,
        "failed" => AuditState::Failed,
        other => {
            let why = format!("nothing is called {other:?}");
            return Err(StoreError::corrupt("state", why));
        }
    };
    Ok(AuditResult {
        run: row::parse(found, "run", AuditRunId::parse)?,
        check: row::text(found, "audit_check")?,
        state,
        looked_at: row::unsigned(found, "looked_at")?,
        non_compliant: row::unsigned(found, "non_compliant")?,
        listed: row::unsigned(found, "listed")?,
        note: row::optional_text(found, "note")?,
        ended_at: row::time(found, "ended_at")?,
    })
}

fn read_resource(found: &AnyRow) -> Result<AuditResource, StoreError> {
    Ok(AuditResource {
        resource: row::text(found, "resource")?,
        subject: row::text(found, "subject")?,
        detail: row::text(found, "detail")?,
        mitigated_at: row::optional_time(found, "mitigated_at")?,
        mitigated_by: row::optional_text(found, "mitigated_by")?,
    })
}
