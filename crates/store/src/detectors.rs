//! Which detectors are off, and what of theirs is suppressed.

use palisade_core::{SuppressionId, Timestamp};
use serde::Serialize;
use sqlx::any::AnyRow;

use crate::{Store, StoreError, row};

/// A detector that a person switched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DetectorState {
    /// Which (`rule/mqtt-topic-scan`).
    pub detector: String,
    /// Whether it is on.
    pub enabled: bool,
    /// Who switched it.
    pub changed_by: String,
    /// When.
    pub changed_at: Timestamp,
}

/// What is known and not to be reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suppression {
    /// Its name.
    pub id: SuppressionId,
    /// Which detector, or `*` for all.
    pub detector: String,
    /// About whom (`device/<id>`, `product/<id>`, `segment/<id>`), or `*` for all.
    pub subject: String,
    /// When it ends, if it does.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// Who made it.
    pub made_by: String,
    /// When.
    pub created_at: Timestamp,
}

/// The repository of switches and suppressions.
#[derive(Debug)]
pub struct Detectors<'a> {
    store: &'a Store,
}

impl Store {
    /// Switches and suppressions.
    #[must_use]
    pub fn detectors(&self) -> Detectors<'_> {
        Detectors { store: self }
    }
}

impl Detectors<'_> {
    /// Switches a detector.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn switch(&self, state: &DetectorState) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO detectors VALUES ($1, $2, $3, $4) ON CONFLICT (detector) DO UPDATE SET \
             enabled = excluded.enabled, changed_by = excluded.changed_by, \
             changed_at = excluded.changed_at",
        )
        .bind(state.detector.as_str())
        .bind(i64::from(state.enabled))
        .bind(state.changed_by.as_str())
        .bind(row::nanos(state.changed_at))
        .execute(self.store.writer())
        .await?;
        Ok(())
    }

    /// All detectors that were ever switched.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn switched(&self) -> Result<Vec<DetectorState>, StoreError> {
        let rows = sqlx::query("SELECT * FROM detectors ORDER BY detector")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter()
            .map(|found| {
                Ok(DetectorState {
                    detector: row::text(found, "detector")?,
                    enabled: row::flag(found, "enabled")?,
                    changed_by: row::text(found, "changed_by")?,
                    changed_at: row::time(found, "changed_at")?,
                })
            })
            .collect()
    }

    /// Writes a suppression down.
    ///
    /// # Errors
    /// When its id is taken, or the database fails.
    pub async fn suppress(&self, suppression: &Suppression) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO suppressions VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(suppression.id.to_string())
            .bind(suppression.detector.as_str())
            .bind(suppression.subject.as_str())
            .bind(suppression.until.map(row::nanos))
            .bind(suppression.reason.as_str())
            .bind(suppression.made_by.as_str())
            .bind(row::nanos(suppression.created_at))
            .execute(self.store.writer())
            .await
            .map_err(|error| {
                StoreError::on_insert(error, || format!("suppression {}", suppression.id))
            })?;
        Ok(())
    }

    /// Ends a suppression; `false` where there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unsuppress(&self, id: SuppressionId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM suppressions WHERE id = $1")
            .bind(id.to_string())
            .execute(self.store.writer())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// All suppressions that have not ended at `now`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn suppressions(&self, now: Timestamp) -> Result<Vec<Suppression>, StoreError> {
        let rows =
            sqlx::query("SELECT * FROM suppressions WHERE until IS NULL OR until > $1 ORDER BY id")
                .bind(row::nanos(now))
                .fetch_all(self.store.readers())
                .await?;
        rows.iter().map(read).collect()
    }
}

fn read(found: &AnyRow) -> Result<Suppression, StoreError> {
    Ok(Suppression {
        id: row::parse(found, "id", SuppressionId::parse)?,
        detector: row::text(found, "detector")?,
        subject: row::text(found, "subject")?,
        until: row::optional_time(found, "until")?,
        reason: row::text(found, "reason")?,
        made_by: row::text(found, "made_by")?,
        created_at: row::time(found, "created_at")?,
    })
}
