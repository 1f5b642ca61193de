//! Drills: what was rehearsed, and what came of it.

use palisade_core::{DrillId, Timestamp};
use sqlx::{Any, QueryBuilder, any::AnyRow};

use crate::{Store, StoreError, row};

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
        let mut query: QueryBuilder<Any> = QueryBuilder::new("SELECT * FROM drills WHERE 1 = 1");
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
