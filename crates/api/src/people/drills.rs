//! Drills: the history of what was rehearsed. Whoever runs a drill attacks from outside, as an attacker
//! would, and records here what came of it.

use axum::{Json, extract::State};
use palisade_core::{DrillId, Timestamp};
use palisade_store::{DrillRecord, DrillSchedule};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    auth::Caller,
    extract::{JsonBody, NoParameters, Query},
    page::{Cursor, Limit, Page},
    routes::Routes,
    schema,
    text::Line,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(Scope::DetectRead, "drill.list", routes!(list_drills))
        .read(
            Scope::DetectRead,
            "drill.read_schedule",
            routes!(get_drill_schedule),
        )
        .write(Scope::DetectWrite, "drill.record", routes!(record_drill))
}

/// What came of one scenario.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DrillReport, example = json!({
    "scenario": "topic-scan",
    "subject": "device/drill-topic-scan-7f3a",
    "started_at": "2030-01-31T12:00:00Z",
    "detected_by": ["rule/mqtt-topic-scan"],
    "detected_after_ms": 41,
    "contained_by": "the session was closed",
    "contained_after_ms": 63,
    "passed": true
}))]
pub(crate) struct DrillReport {
    /// Which scenario.
    scenario: Line<1, 64>,
    /// Who attacked (`device/<id>`, `address/<ip>`).
    subject: Line<1, 128>,
    /// When the first bad act was done.
    #[schema(value_type = schema::Time)]
    started_at: Timestamp,
    /// The detectors that found it, the first one first.
    #[schema(max_items = 64)]
    detected_by: Vec<Line<1, 128>>,
    /// How long after the first bad act it was found.
    #[schema(minimum = 0)]
    detected_after_ms: Option<u64>,
    /// What ended it.
    contained_by: Option<Line<1, 500>>,
    /// How long after the first bad act it was ended.
    #[schema(minimum = 0)]
    contained_after_ms: Option<u64>,
    /// Whether it was found and ended as the scenario demands.
    passed: bool,
}

/// A drill on record.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Drill)]
pub(crate) struct DrillView {
    /// Its name.
    #[schema(value_type = schema::DrillId)]
    id: String,
    /// Who recorded it.
    recorded_by: String,
    /// When.
    #[schema(value_type = schema::Time)]
    recorded_at: Timestamp,
    /// What came of it.
    #[schema(value_type = DrillReport)]
    report: serde_json::Value,
}

impl From<DrillRecord> for DrillView {
    fn from(record: DrillRecord) -> Self {
        Self {
            id: record.id.to_string(),
            recorded_by: record.recorded_by,
            recorded_at: record.recorded_at,
            report: record.report,
        }
    }
}

/// Which drills are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DrillQuery {
    /// Only those of this scenario.
    #[param(inline, value_type = Option<Line<1, 64>>)]
    scenario: Option<Line<1, 64>>,
    /// The `next` of the part before.
    #[param(inline, value_type = Option<Cursor>)]
    after: Option<Cursor>,
    /// The most items wanted.
    #[serde(default)]
    #[param(inline, value_type = Option<Limit>)]
    limit: Limit,
}

/// Lists drills.
#[utoipa::path(
    get,
    path = "/api/v1/drills",
    tag = "detection",
    params(DrillQuery),
    responses((status = 200, description = "Drills, newest first.", body = Page<DrillView>))
)]
async fn list_drills(
    State(state): State<PeopleState>,
    Query(query): Query<DrillQuery>,
) -> Result<Json<Page<DrillView>>, Problem> {
    let before = query.after.map(|after| after.ulid(DrillId::parse));
    let before = before
        .transpose()
        .map_err(|error| Problem::internal(&error))?;
    let limit = query.limit.0;
    let scenario = query.scenario.map(|scenario| scenario.to_string());
    let drills = state.store().drills();
    let mut found = drills.list(before, limit + 1, scenario.as_deref()).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let items: Vec<DrillView> = found.into_iter().map(DrillView::from).collect();
    let last = items.last().filter(|_| more);
    let next = last.map(|last| Cursor::after(last.id.clone()));
    Ok(Json(Page { items, next }))
}

/// When drills run by themselves, and what came of that.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DrillSchedule)]
pub(crate) struct ScheduleView {
    /// How often, in seconds; 0 for never.
    #[schema(minimum = 0)]
    every_s: u64,
    /// When the next one is due.
    #[schema(value_type = Option<schema::Time>)]
    due_at: Option<Timestamp>,
    /// Since when one runs.
    #[schema(value_type = Option<schema::Time>)]
    running_since: Option<Timestamp>,
    /// When the last one began.
    #[schema(value_type = Option<schema::Time>)]
    last_started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<schema::Time>)]
    last_ended_at: Option<Timestamp>,
    /// What it came to: `passed`, `failed`, or why it did not run.
    last_outcome: Option<String>,
    /// How many were due while the server was away.
    #[schema(minimum = 0)]
    missed: u64,
    /// When that was last noticed.
    #[schema(value_type = Option<schema::Time>)]
    last_missed_at: Option<Timestamp>,
}

impl From<DrillSchedule> for ScheduleView {
    fn from(schedule: DrillSchedule) -> Self {
        Self {
            every_s: schedule.every_s,
            due_at: schedule.due_at,
            running_since: schedule.running_since,
            last_started_at: schedule.last_started_at,
            last_ended_at: schedule.last_ended_at,
            last_outcome: schedule.last_outcome,
            missed: schedule.missed,
            last_missed_at: schedule.last_missed_at,
        }
    }
}

/// Shows when drills run by themselves. That is changed in the configuration.
#[utoipa::path(
    get,
    path = "/api/v1/drill-schedule",
    tag = "detection",
    responses((status = 200, description = "The schedule.", body = ScheduleView))
)]
async fn get_drill_schedule(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<ScheduleView>, Problem> {
    let schedule = state.store().drills().schedule().await?;
    Ok(Json(schedule.unwrap_or_default().into()))
}

/// Records what came of a drill.
#[utoipa::path(
    post,
    path = "/api/v1/drills",
    tag = "detection",
    request_body = DrillReport,
    responses((status = 201, description = "It is on record.", body = DrillView))
)]
async fn record_drill(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(report): JsonBody<DrillReport>,
) -> Result<Done<DrillView>, Problem> {
    const MOST_DETECTORS: usize = 64;
    if report.detected_by.len() > MOST_DETECTORS {
        let detail = format!("detected_by: at most {MOST_DETECTORS} detectors");
        return Err(Problem::invalid(detail));
    }
    let times = [report.detected_after_ms, report.contained_after_ms];
    let is_too_long = |ms: u64| i64::try_from(ms).is_err();
    if times.into_iter().flatten().any(is_too_long) {
        let detail = "detected_after_ms and contained_after_ms: at most 9223372036854775807";
        return Err(Problem::invalid(detail.to_owned()));
    }
    let record = DrillRecord {
        id: DrillId::generate(),
        scenario: report.scenario.to_string(),
        passed: report.passed,
        recorded_by: caller.name,
        recorded_at: state.parts().clock.now(),
        report: serde_json::to_value(&report).map_err(|error| Problem::internal(&error))?,
    };
    state.store().drills().add(&record).await?;
    let outcome = if record.passed { "passed" } else { "failed" };
    let target = format!("{}: {} {outcome}", record.id, record.scenario);
    Ok(Done::created(target, record.into()))
}
