//! Cases: findings about one subject or one campaign, and what people and playbooks made of them.

mod rows;

use std::collections::BTreeMap;

use palisade_core::{CaseId, EventId, Finding, FindingId, Severity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    ActionRecord, Store, StoreError, Verdict, actions, query_builder::QueryBuilder, row,
    transaction::Lane,
};
use rows::{
    add_entry, put_case, put_finding, put_run, rank, read, read_entry, read_finding, read_run,
};

/// How far a case came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseState {
    /// Nobody has looked at it.
    Open,
    /// Somebody looks at it.
    Investigating,
    /// Its subject can do no more harm.
    Contained,
    /// It is over.
    Closed,
}

impl CaseState {
    /// All of them, in the order of a case's life.
    pub const ALL: [Self; 4] = [
        Self::Open,
        Self::Investigating,
        Self::Contained,
        Self::Closed,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Investigating => "investigating",
            Self::Contained => "contained",
            Self::Closed => "closed",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseRecord {
    /// Its name.
    pub id: CaseId,
    /// About whom: as a finding's subject, or `campaign/<detector>`.
    pub subject: String,
    /// What it is called.
    pub title: String,
    /// The worst severity of its findings.
    pub severity: Severity,
    /// How far it came.
    pub state: CaseState,
    /// Whose it is.
    pub owner: Option<String>,
    /// What a person made of it.
    pub verdict: Option<Verdict>,
    /// The case that took it up.
    pub merged_into: Option<CaseId>,
    /// The campaign that it belongs to.
    pub campaign: Option<CaseId>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When anything last happened to it.
    pub updated_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
}

/// A finding of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseFinding {
    /// About whom.
    pub subject: String,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
}

/// Something that happened to a case, other than findings and actions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseEntry {
    /// Its name; entries are in the order of their names.
    pub id: EventId,
    /// Of which case.
    pub case: CaseId,
    /// When.
    pub at: Timestamp,
    /// What kind: `opened`, `note`, `state`, `owner`, `verdict`, `severity`, `merged`, `split`, `action`,
    /// `campaign`.
    pub kind: String,
    /// Which person, if one did.
    pub by: Option<String>,
    /// What, for people.
    pub text: String,
}

/// A playbook that ran for a case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlaybookRun {
    /// Which playbook.
    pub playbook: String,
    /// About whom.
    pub subject: String,
    /// How bad it was when it ran.
    pub severity: Severity,
    /// When.
    pub at: Timestamp,
}

/// What is to be written of one case, all or nothing.
#[derive(Debug, Clone, Default)]
pub struct CaseChange {
    /// Cases as they are to be.
    pub cases: Vec<CaseRecord>,
    /// Findings that belong to a case from now on, or that were seen again.
    pub findings: Vec<(CaseId, CaseFinding)>,
    /// What happened.
    pub entries: Vec<CaseEntry>,
    /// Playbooks that run.
    pub runs: Vec<(CaseId, PlaybookRun)>,
    /// Actions, new or changed.
    pub actions: Vec<ActionRecord>,
}

/// Which cases to read.
#[derive(Debug, Clone, Default)]
pub struct CaseFilter {
    /// In these states; in any where there are none.
    pub states: Vec<CaseState>,
    /// About this subject.
    pub subject: Option<String>,
    /// At least this bad.
    pub severity: Option<Severity>,
}

/// The repository of cases.
#[derive(Debug)]
pub struct Cases<'a> {
    store: &'a Store,
}

impl Store {
    /// Cases.
    #[must_use]
    pub fn cases(&self) -> Cases<'_> {
        Cases { store: self }
    }
}

impl Cases<'_> {
    /// Writes what changed, in one transaction.
    ///
    /// # Errors
    /// When the database fails; nothing is written then.
    pub async fn write(&self, change: &CaseChange) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Cases).await?;
        for case in &change.cases {
            put_case(&mut transaction, case).await?;
        }
        for (case, finding) in &change.findings {
            put_finding(&mut transaction, *case, finding).await?;
        }
        for entry in &change.entries {
            add_entry(&mut transaction, entry).await?;
        }
        for (case, run) in &change.runs {
            put_run(&mut transaction, *case, run).await?;
        }
        for action in &change.actions {
            actions::put(&mut transaction, action).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Finds a case.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, id: CaseId) -> Result<Option<CaseRecord>, StoreError> {
        sqlx::query("SELECT * FROM cases WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.store.readers())
            .await?
            .map(|found| read(&found))
            .transpose()
    }

    /// The newest case about a subject that is not closed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open_about(&self, subject: &str) -> Result<Option<CaseRecord>, StoreError> {
        sqlx::query(
            "SELECT * FROM cases WHERE subject = $1 AND state <> 'closed' ORDER BY id DESC LIMIT 1",
        )
        .bind(subject)
        .fetch_optional(self.store.readers())
        .await?
        .map(|found| read(&found))
        .transpose()
    }

    /// The case that a finding belongs to.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_finding(&self, finding: FindingId) -> Result<Option<CaseRecord>, StoreError> {
        sqlx::query(
            "SELECT cases.* FROM cases JOIN case_findings ON case_findings.case_id = cases.id \
             WHERE case_findings.finding = $1",
        )
        .bind(finding.to_string())
        .fetch_optional(self.store.readers())
        .await?
        .map(|found| read(&found))
        .transpose()
    }

    /// Cases, newest first, made before `before`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(
        &self,
        before: Option<CaseId>,
        limit: u32,
        filter: &CaseFilter,
    ) -> Result<Vec<CaseRecord>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM cases WHERE 1 = 1");
        if let Some(before) = before {
            query.push(" AND id < ").push_bind(before.to_string());
        }
        if !filter.states.is_empty() {
            query.push(" AND state IN (");
            let mut names = query.separated(", ");
            for state in &filter.states {
                names.push_bind(state.as_str());
            }
            query.push(")");
        }
        if let Some(subject) = &filter.subject {
            query.push(" AND subject = ").push_bind(subject.clone());
        }
        if let Some(least) = filter.severity {
            query.push(" AND severity >= ").push_bind(rank(least));
        }
        query
            .push(" ORDER BY id DESC LIMIT ")
            .push_bind(i64::from(limit));
        let rows = query.build().fetch_all(self.store.readers()).await?;
        rows.iter().map(read).collect()
    }

    /// How many cases are in each state.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_by_state(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let rows = sqlx::query("SELECT state, COUNT(*) AS n FROM cases GROUP BY state")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter()
            .map(|found| Ok((row::text(found, "state")?, row::unsigned(found, "n")?)))
            .collect()
    }

    /// The newest findings of a case, oldest first; of one subject where one is named.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn findings(
        &self,
        case: CaseId,
        subject: Option<&str>,
        limit: u32,
    ) -> Result<Vec<CaseFinding>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM case_findings WHERE case_id = ");
        query.push_bind(case.to_string());
        if let Some(subject) = subject {
            query.push(" AND subject = ").push_bind(subject.to_owned());
        }
        query
            .push(" ORDER BY last_seen DESC, finding DESC LIMIT ")
            .push_bind(i64::from(limit));
        let rows = query.build().fetch_all(self.store.readers()).await?;
        rows.iter().rev().map(read_finding).collect()
    }

    /// How many findings a case has.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_findings(&self, case: CaseId) -> Result<u64, StoreError> {
        let found = sqlx::query("SELECT COUNT(*) AS n FROM case_findings WHERE case_id = $1")
            .bind(case.to_string())
            .fetch_one(self.store.readers())
            .await?;
        row::unsigned(&found, "n")
    }

    /// About how many subjects a detector spoke since a moment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn subjects_of(&self, detector: &str, since: Timestamp) -> Result<u64, StoreError> {
        let found = sqlx::query(
            "SELECT COUNT(DISTINCT subject) AS n FROM case_findings WHERE detector = $1 AND \
             last_seen >= $2",
        )
        .bind(detector)
        .bind(row::nanos(since))
        .fetch_one(self.store.readers())
        .await?;
        row::unsigned(&found, "n")
    }

    /// The cases that are not closed, are in no campaign, and hold what a detector said since a moment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn touched_by(
        &self,
        detector: &str,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<CaseRecord>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM cases WHERE state <> 'closed' AND campaign IS NULL AND id IN (SELECT case_id \
             FROM case_findings WHERE detector = $1 AND last_seen >= $2) ORDER BY id LIMIT $3",
        )
        .bind(detector)
        .bind(row::nanos(since))
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read).collect()
    }

    /// What happened to a case: the newest entries, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn entries(&self, case: CaseId, limit: u32) -> Result<Vec<CaseEntry>, StoreError> {
        let rows =
            sqlx::query("SELECT * FROM case_entries WHERE case_id = $1 ORDER BY id DESC LIMIT $2")
                .bind(case.to_string())
                .bind(i64::from(limit))
                .fetch_all(self.store.readers())
                .await?;
        rows.iter().rev().map(read_entry).collect()
    }

    /// Which playbooks ran for a case about a subject.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn runs(&self, case: CaseId, subject: &str) -> Result<Vec<PlaybookRun>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM playbook_runs WHERE case_id = $1 AND subject = $2 ORDER BY at",
        )
        .bind(case.to_string())
        .bind(subject)
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read_run).collect()
    }

    /// Moves all findings, runs, actions and entries of one case to another.
    ///
    /// # Errors
    /// When the database fails; nothing is moved then.
    pub async fn merge(
        &self,
        from: CaseId,
        to: CaseId,
        change: &CaseChange,
    ) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Cases).await?;
        for statement in [
            "UPDATE case_findings SET case_id = $2 WHERE case_id = $1",
            "UPDATE case_entries SET case_id = $2 WHERE case_id = $1",
            // Where a playbook ran for both, it ran.
            "INSERT INTO playbook_runs (case_id, playbook, subject, severity, at) SELECT $2, playbook, \
             subject, severity, at FROM playbook_runs WHERE case_id = $1 \
             ON CONFLICT (case_id, playbook, subject) DO NOTHING",
            "UPDATE cases SET campaign = $2 WHERE campaign = $1 AND id <> $2",
        ] {
            sqlx::query(statement)
                .bind(from.to_string())
                .bind(to.to_string())
                .execute(&mut *transaction)
                .await?;
        }
        actions::move_to(&mut transaction, from, to).await?;
        for case in &change.cases {
            put_case(&mut transaction, case).await?;
        }
        for entry in &change.entries {
            add_entry(&mut transaction, entry).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Moves findings of one case to another, and says how many were moved.
    ///
    /// # Errors
    /// When the database fails; nothing is moved then.
    pub async fn split(
        &self,
        from: CaseId,
        to: CaseId,
        findings: &[FindingId],
        change: &CaseChange,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.store.begin(Lane::Cases).await?;
        let mut moved = 0;
        for finding in findings {
            let done = sqlx::query(
                "UPDATE case_findings SET case_id = $3 WHERE finding = $1 AND case_id = $2",
            )
            .bind(finding.to_string())
            .bind(from.to_string())
            .bind(to.to_string())
            .execute(&mut *transaction)
            .await?;
            moved += done.rows_affected();
        }
        if moved == 0 {
            return Ok(0);
        }
        for case in &change.cases {
            put_case(&mut transaction, case).await?;
        }
        for entry in &change.entries {
            add_entry(&mut transaction, entry).await?;
        }
        transaction.commit().await?;
        Ok(moved)
    }
}
