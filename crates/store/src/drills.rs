//! Drills: what was rehearsed, and what came of it.

use palisade_core::{DrillId, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use crate::{Store, StoreError, query_builder::QueryBuilder, row};

/// Under this name the schedule is kept.
const SCHEDULE: &str = "drills.schedule";

/// One scenario of a drill.
#[derive(Debug, Clone, PartialEq)]
pub struct DrillRecord {
    /// Its name.
    pub id: DrillId,
    /// Which scenario.
    pub scenario: String,
    /// Whether it was detected and contained as it should be.
    pub passed: bool,
    /// Who recorded it.
    pub recorded_by: String,
    /// When.
    pub recorded_at: Timestamp,
    /// The report, as JSON.
    pub report: serde_json::Value,
}

/// When drills run by themselves, and what came of that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillSchedule {
    /// How often, in seconds; 0 for never.
    pub every_s: u64,
    /// When the next one is due.
    pub due_at: Option<Timestamp>,
    /// Since when one runs.
    pub running_since: Option<Timestamp>,
    /// When the last one began.
    pub last_started_at: Option<Timestamp>,
    /// When it ended.
    pub last_ended_at: Option<Timestamp>,
    /// What it came to: `passed`, `failed`, or why it did not run.
    pub last_outcome: Option<String>,
    /// How many were due while the server was away.
    pub missed: u64,
    /// When that was last noticed.
    pub last_missed_at: Option<Timestamp>,
}

/// The repository of drills.
#[derive(Debug)]
pub struct Drills<'a> {
    store: &'a Store,
}

impl Store {
    /// Drills.
    #[must_use]
    pub fn drills(&self) -> Drills<'_> {
        Drills { store: self }
    }
}

impl Drills<'_> {
    /// When drills run by themselves; `None` where none ever was to.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn schedule(&self) -> Result<Option<DrillSchedule>, StoreError> {
        let Some(value) = self.store.settings().get(SCHEDULE).await? else {
            return Ok(None);
        };
        let schedule = serde_json::from_slice(&value);
        schedule.map_err(|error| StoreError::corrupt(SCHEDULE, error))
    }

    /// Writes that down.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_schedule(&self, schedule: &DrillSchedule) -> Result<(), StoreError> {
        let value = row::to_json(schedule, SCHEDULE)?;
        self.store.settings().put(SCHEDULE, value.as_bytes()).await
    }

    /// Writes a drill down.
    ///
    /// # Errors
    /// When its id is taken, or the database fails.
    pub async fn add(&self, drill: &DrillRecord) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO drills VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(drill.id.to_string())
            .bind(drill.scenario.as_str())
            .bind(i64::from(drill.passed))
            .bind(drill.recorded_by.as_str())
            .bind(row::nanos(drill.recorded_at))
            .bind(row::to_json(&drill.report, "drill")?)
            .execute(self.store.writer())
            .await
            .map_err(|error| StoreError::on_insert(error, || format!("drill {}", drill.id)))?;
        Ok(())
    }

    /// Drills before `before`, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(
        &self,
        before: Option<DrillId>,
        limit: u32,
        scenario: Option<&str>,
    ) -> Result<Vec<DrillRecord>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM drills WHERE 1 = 1");
        if let Some(before) = before {
            query.push(" AND id < ").push_bind(before.to_string());
        }
        if let Some(scenario) = scenario {
            query
                .push(" AND scenario = ")
                .push_bind(scenario.to_owned());
        }
        query
            .push(" ORDER BY id DESC LIMIT ")
            .push_bind(i64::from(limit));
        let rows = query.build().fetch_all(self.store.readers()).await?;
        rows.iter().map(read).collect()
    }
}

fn read(found: &AnyRow) -> Result<DrillRecord, StoreError> {
    Ok(DrillRecord {
        id: row::parse(found, "id", DrillId::parse)?,
        scenario: row::text(found, "scenario")?,
        passed: row::flag(found, "passed")?,
        recorded_by: row::text(found, "recorded_by")?,
        recorded_at: row::time(found, "recorded_at")?,
        report: row::json(found, "body")?,
    })
}
