//! Findings, and what people made of them.

use std::net::IpAddr;

use palisade_core::{DeviceId, Finding, FindingId, Severity, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::{
    Any,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use crate::{Store, StoreError, query_builder::QueryBuilder, row, transaction::Lane};

/// Whether a finding still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// It holds.
    Open,
    /// What was seen has ended.
    Cleared,
}

/// What a person made of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is what the detector says.
    TruePositive,
    /// It is not.
    FalsePositive,
    /// It is, and it is meant to be.
    BenignExpected,
}

/// A finding as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FindingRecord {
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
    /// About whom: `device/<id>`, `service/<id>`, `address/<ip>`, `api_token/<name>`, `account/<name>` or `fleet`.
    pub subject: String,
    /// The device that it is about, if it is about one.
    pub device: Option<DeviceId>,
    /// From which address it came, if known.
    pub source: Option<IpAddr>,
    /// Whether it still holds.
    pub state: FindingState,
    /// What a person made of it.
    pub verdict: Option<Verdict>,
    /// Who.
    pub verdict_by: Option<String>,
    /// What they say about it.
    pub verdict_note: Option<String>,
}

/// Which findings to read.
#[derive(Debug, Clone, Default)]
pub struct FindingFilter {
    /// Of this detector (`rule/mqtt-topic-scan`).
    pub detector: Option<String>,
    /// About this subject (`device/<id>`).
    pub subject: Option<String>,
    /// About this device.
    pub device: Option<DeviceId>,
    /// In this state.
    pub state: Option<FindingState>,
    /// At least this bad.
    pub severity: Option<Severity>,
    /// Without a verdict only.
    pub unjudged: bool,
}

/// The repository of findings.
#[derive(Debug)]
pub struct Findings<'a> {
    store: &'a Store,
}

impl Store {
    /// Findings.
    #[must_use]
    pub fn findings(&self) -> Findings<'_> {
        Findings { store: self }
    }
}

impl Findings<'_> {
    /// Writes a finding down as it is now. A verdict that stands already stays.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put(&self, record: &FindingRecord) -> Result<(), StoreError> {
        write(record)?.execute(self.store.writer()).await?;
        Ok(())
    }

    /// Writes findings down as they are now, all or none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_all(&self, records: &[FindingRecord]) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Cases).await?;
        for record in records {
            write(record)?.execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// The newest open finding of a detector about a subject.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open_one(
        &self,
        detector: &str,
        subject: &str,
    ) -> Result<Option<FindingRecord>, StoreError> {
        sqlx::query(
            "SELECT * FROM findings WHERE subject = $1 AND detector = $2 AND state = 'open' \
             ORDER BY id DESC LIMIT 1",
        )
        .bind(subject)
        .bind(detector)
        .fetch_optional(self.store.readers())
        .await?
        .map(|found| read(&found))
        .transpose()
    }

    /// Finds a finding.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, id: FindingId) -> Result<Option<FindingRecord>, StoreError> {
        sqlx::query("SELECT * FROM findings WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.store.readers())
            .await?
            .map(|found| read(&found))
            .transpose()
    }

    /// Findings, newest first, made before `before`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(
        &self,
        before: Option<FindingId>,
        limit: u32,
        filter: &FindingFilter,
    ) -> Result<Vec<FindingRecord>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM findings WHERE 1 = 1");
        if let Some(before) = before {
            query.push(" AND id < ").push_bind(before.to_string());
        }
        narrow(&mut query, filter);
        query
            .push(" ORDER BY id DESC LIMIT ")
            .push_bind(i64::from(limit));
        let rows = query.build().fetch_all(self.store.readers()).await?;
        rows.iter().map(read).collect()
    }

    /// Findings last seen since a moment that no person declared to be nothing, oldest first, those made
    /// after `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn in_force(
        &self,
        since: Timestamp,
        after: Option<FindingId>,
        limit: u32,
    ) -> Result<Vec<FindingRecord>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM findings WHERE id > $1 AND last_seen >= $2 AND \
             (verdict IS NULL OR verdict = 'true_positive') ORDER BY id LIMIT $3",
        )
        .bind(after.map(|after| after.to_string()).unwrap_or_default())
        .bind(row::nanos(since))
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Notes what a person made of a finding; `false` where there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn judge(
        &self,
        id: FindingId,
        verdict: Verdict,
        by: &str,
        note: Option<&str>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE findings SET verdict = $2, verdict_by = $3, verdict_note = $4 WHERE id = $1",
        )
        .bind(id.to_string())
        .bind(verdict.as_str())
        .bind(by)
        .bind(note)
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

impl Verdict {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TruePositive => "true_positive",
            Self::FalsePositive => "false_positive",
            Self::BenignExpected => "benign_expected",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::TruePositive,
            Self::FalsePositive,
            Self::BenignExpected,
        ]
        .into_iter()
        .find(|verdict| verdict.as_str() == text)
    }
}

fn write(record: &FindingRecord) -> Result<Query<'static, Any, AnyArguments>, StoreError> {
    let text = |value: Option<&str>| value.map(str::to_owned);
    Ok(sqlx::query(
        "INSERT INTO findings VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, NULL, NULL, $8, $9) \
         ON CONFLICT (id) DO UPDATE SET source = excluded.source, severity = excluded.severity, \
         state = excluded.state, last_seen = excluded.last_seen, body = excluded.body",
    )
    .bind(record.finding.id.to_string())
    .bind(record.finding.detector.to_string())
    .bind(record.subject.clone())
    .bind(text(record.device.as_ref().map(DeviceId::as_str)))
    .bind(record.source.map(|source| source.to_string()))
    .bind(record.finding.severity.as_str())
    .bind(state_name(record.state))
    .bind(row::nanos(record.finding.last_seen))
    .bind(row::to_json(&record.finding, "finding")?))
}

fn state_name(state: FindingState) -> &'static str {
    match state {
        FindingState::Open => "open",
        FindingState::Cleared => "cleared",
    }
}

fn narrow(query: &mut QueryBuilder, filter: &FindingFilter) {
    if let Some(detector) = &filter.detector {
        query.push(" AND detector = ").push_bind(detector.clone());
    }
    if let Some(subject) = &filter.subject {
        query.push(" AND subject = ").push_bind(subject.clone());
    }
    if let Some(device) = &filter.device {
        query
            .push(" AND device = ")
            .push_bind(device.as_str().to_owned());
    }
    if let Some(state) = filter.state {
        query.push(" AND state = ").push_bind(state_name(state));
    }
    if let Some(least) = filter.severity {
        query.push(" AND severity IN (");
        let mut names = query.separated(", ");
        for severity in Severity::ALL.into_iter().filter(|one| *one >= least) {
            names.push_bind(severity.as_str());
        }
        query.push(")");
    }
    if filter.unjudged {
        query.push(" AND verdict IS NULL");
    }
}

fn read(found: &AnyRow) -> Result<FindingRecord, StoreError> {
    let named =
        |column, what: &str| StoreError::corrupt(column, format!("nothing is called {what:?}"));
    let state = match row::text(found, "state")?.as_str() {
        "open" => FindingState::Open,
        "cleared" => FindingState::Cleared,
        other => return Err(named("state", other)),
    };
    let verdict = row::optional_text(found, "verdict")?
        .map(|text| Verdict::parse(&text).ok_or_else(|| named("verdict", &text)))
        .transpose()?;
    let device = row::optional_text(found, "device")?
        .map(|text| DeviceId::parse(&text).map_err(|error| StoreError::corrupt("device", error)))
        .transpose()?;
    let source = row::optional_text(found, "source")?
        .map(|text| {
            text.parse()
                .map_err(|error| StoreError::corrupt("source", error))
        })
        .transpose()?;
    Ok(FindingRecord {
        finding: row::json(found, "body")?,
        subject: row::text(found, "subject")?,
        device,
        source,
        state,
        verdict,
        verdict_by: row::optional_text(found, "verdict_by")?,
        verdict_note: row::optional_text(found, "verdict_note")?,
    })
}
