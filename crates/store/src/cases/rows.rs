//! Cases and what belongs to them, as rows.

use palisade_core::{CaseId, EventId, Severity};
use sqlx::{AnyConnection, any::AnyRow};

use super::{CaseEntry, CaseFinding, CaseRecord, CaseState, PlaybookRun};
use crate::{StoreError, Verdict, row};

pub(super) async fn put_case(
    connection: &mut AnyConnection,
    case: &CaseRecord,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO cases VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (id) DO UPDATE SET title = excluded.title, severity = excluded.severity, \
         state = excluded.state, owner = excluded.owner, verdict = excluded.verdict, \
         merged_into = excluded.merged_into, campaign = excluded.campaign, \
         updated_at = excluded.updated_at, closed_at = excluded.closed_at",
    )
    .bind(case.id.to_string())
    .bind(case.subject.as_str())
    .bind(case.title.as_str())
    .bind(rank(case.severity))
    .bind(case.state.as_str())
    .bind(case.owner.as_deref())
    .bind(case.verdict.map(Verdict::as_str))
    .bind(case.merged_into.map(|id| id.to_string()))
    .bind(case.campaign.map(|id| id.to_string()))
    .bind(row::nanos(case.opened_at))
    .bind(row::nanos(case.updated_at))
    .bind(case.closed_at.map(row::nanos))
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn put_finding(
    connection: &mut AnyConnection,
    case: CaseId,
    found: &CaseFinding,
) -> Result<(), StoreError> {
    let finding = &found.finding;
    // A finding stays in the case that it was moved to.
    sqlx::query(
        "INSERT INTO case_findings VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (finding) DO UPDATE SET severity = excluded.severity, count = excluded.count, \
         last_seen = excluded.last_seen, body = excluded.body",
    )
    .bind(finding.id.to_string())
    .bind(case.to_string())
    .bind(found.subject.as_str())
    .bind(finding.detector.to_string())
    .bind(rank(finding.severity))
    .bind(i64::try_from(finding.count).unwrap_or(i64::MAX))
    .bind(row::nanos(finding.last_seen))
    .bind(row::to_json(finding, "finding")?)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn add_entry(
    connection: &mut AnyConnection,
    entry: &CaseEntry,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO case_entries VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING")
        .bind(entry.id.to_string())
        .bind(entry.case.to_string())
        .bind(row::nanos(entry.at))
        .bind(entry.kind.as_str())
        .bind(entry.by.as_deref())
        .bind(entry.text.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn put_run(
    connection: &mut AnyConnection,
    case: CaseId,
    run: &PlaybookRun,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO playbook_runs VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (case_id, playbook, subject) DO UPDATE SET severity = excluded.severity, \
         at = excluded.at",
    )
    .bind(case.to_string())
    .bind(run.playbook.as_str())
    .bind(run.subject.as_str())
    .bind(rank(run.severity))
    .bind(row::nanos(run.at))
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) fn rank(severity: Severity) -> i64 {
    match severity {
        Severity::Informational => 0,
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    }
}

fn severity(found: &AnyRow) -> Result<Severity, StoreError> {
    let rank = row::unsigned(found, "severity")?;
    usize::try_from(rank)
        .ok()
        .and_then(|rank| Severity::ALL.get(rank).copied())
        .ok_or_else(|| StoreError::corrupt("severity", format!("there is no rank {rank}")))
}

pub(super) fn read(found: &AnyRow) -> Result<CaseRecord, StoreError> {
    let named = |column, text: &str| StoreError::corrupt(column, format!("{text:?} is unknown"));
    let case = |column| {
        row::optional_text(found, column)?
            .map(|text| CaseId::parse(&text).map_err(|error| StoreError::corrupt("case id", error)))
            .transpose()
    };
    let state = row::text(found, "state")?;
    let verdict = row::optional_text(found, "verdict")?
        .map(|text| Verdict::parse(&text).ok_or_else(|| named("verdict", &text)))
        .transpose()?;
    Ok(CaseRecord {
        id: row::parse(found, "id", CaseId::parse)?,
        subject: row::text(found, "subject")?,
        title: row::text(found, "title")?,
        severity: severity(found)?,
        state: CaseState::parse(&state).ok_or_else(|| named("state", &state))?,
        owner: row::optional_text(found, "owner")?,
        verdict,
        merged_into: case("merged_into")?,
        campaign: case("campaign")?,
        opened_at: row::time(found, "opened_at")?,
        updated_at: row::time(found, "updated_at")?,
        closed_at: row::optional_time(found, "closed_at")?,
    })
}

pub(super) fn read_finding(found: &AnyRow) -> Result<CaseFinding, StoreError> {
    Ok(CaseFinding {
        subject: row::text(found, "subject")?,
        finding: row::json(found, "body")?,
    })
}

pub(super) fn read_entry(found: &AnyRow) -> Result<CaseEntry, StoreError> {
    Ok(CaseEntry {
        id: row::parse(found, "id", EventId::parse)?,
        case: row::parse(found, "case_id", CaseId::parse)?,
        at: row::time(found, "at")?,
        kind: row::text(found, "kind")?,
        by: row::optional_text(found, "made_by")?,
        text: row::text(found, "body")?,
    })
}

pub(super) fn read_run(found: &AnyRow) -> Result<PlaybookRun, StoreError> {
    Ok(PlaybookRun {
        playbook: row::text(found, "playbook")?,
        subject: row::text(found, "subject")?,
        severity: severity(found)?,
        at: row::time(found, "at")?,
    })
}
