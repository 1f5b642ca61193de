//! Replay of rules over stored events.

use axum::{Json, extract::State};
use palisade_core::{Severity, Timestamp};
use palisade_detect::rules::{Replay, ReplayError, ReplayOrder, ReplayState, Replayed};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    extract::{JsonBody, NoParameters, Query},
    findings::SeverityDoc,
    policy::blocking,
    routes::Routes,
    rules::{MAX_BODY, Source},
    schema,
};
use crate::problem::{Problem, ProblemBody};

pub(super) fn routes() -> Routes {
    Routes::default()
        .write(Scope::DetectWrite, "rule.replay", routes!(start_replay))
        .read(Scope::DetectRead, "rule.read_replay", routes!(get_replay))
        .write(Scope::DetectWrite, "rule.stop_replay", routes!(stop_replay))
}

/// What is to be replayed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "after": "2030-01-31T12:00:00Z" }))]
pub(crate) struct ReplayRequest {
    /// Events since then; all that are stored, where nothing is said.
    #[schema(value_type = Option<schema::Time>)]
    after: Option<Timestamp>,
    /// Events before then.
    #[schema(value_type = Option<schema::Time>)]
    until: Option<Timestamp>,
    /// Rules to try, in Sigma's YAML; those in force, where nothing is said.
    text: Option<Source>,
}

/// How far a replay came.
#[derive(ToSchema)]
#[schema(as = ReplayState, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for detection's type")]
pub(crate) enum StateDoc {
    /// It goes on.
    Running,
    /// It is done, or stopped at one of its bounds.
    Done,
    /// It was stopped.
    Stopped,
    /// It failed.
    Failed,
}

/// What a rule would have said about somebody.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replayed)]
pub(crate) struct ReplayedView {
    /// Which rule.
    #[schema(value_type = schema::RuleId)]
    rule: String,
    /// What it is called.
    title: String,
    /// How bad it would be.
    #[schema(value_type = SeverityDoc)]
    severity: Severity,
    /// About whom.
    #[schema(value_type = schema::SubjectName)]
    subject: String,
    /// How often.
    #[schema(minimum = 1)]
    count: u64,
    /// When first.
    #[schema(value_type = schema::Time)]
    first: Timestamp,
    /// When last.
    #[schema(value_type = schema::Time)]
    last: Timestamp,
}

impl From<Replayed> for ReplayedView {
    fn from(line: Replayed) -> Self {
        Self {
            rule: line.rule,
            title: line.title,
            severity: line.severity,
            subject: line.subject,
            count: line.count,
            first: line.first,
            last: line.last,
        }
    }
}

/// A replay, and what it found until now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replay)]
pub(crate) struct ReplayView {
    /// How far it came.
    #[schema(value_type = StateDoc)]
    state: ReplayState,
    /// Events looked at.
    #[schema(minimum = 0)]
    events: u64,
    /// How far through the stored events it is.
    #[schema(maximum = 100)]
    percent: u8,
    /// The time of the event that it looked at last.
    #[schema(value_type = Option<schema::Time>)]
    reached: Option<Timestamp>,
    /// Whether it stopped before the end: after five million events, or a quarter of an hour.
    cut: bool,
    /// Matches that found no room in the list.
    #[schema(minimum = 0)]
    not_listed: u64,
    /// Why it failed.
    problem: Option<String>,
    /// What would have been found, the worst and most frequent first.
    found: Vec<ReplayedView>,
}

impl From<Replay> for ReplayView {
    fn from(replay: Replay) -> Self {
        Self {
            state: replay.state,
            events: replay.events,
            percent: replay.percent,
            reached: replay.reached,
            cut: replay.is_cut,
            not_listed: replay.beyond,
            problem: replay.problem,
            found: replay.found.into_iter().map(Into::into).collect(),
        }
    }
}

fn none() -> Problem {
    Problem::not_found("a replay")
}

/// Replays stored events through rules: what would have been found? Nothing is raised.
///
/// There is one replay at a time; ask for it again to see how far it is.
#[utoipa::path(
    post,
    path = "/api/v1/rules/replay",
    tag = "detection",
    request_body = ReplayRequest,
    responses((status = 202, description = "It began.", body = ReplayView))
)]
async fn start_replay(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<ReplayRequest, MAX_BODY>,
) -> Result<Done<ReplayView>, Problem> {
    let target = match request.text {
        Some(_) => "rules to try",
        None => "rules in force",
    };
    let order = ReplayOrder {
        after: request.after,
        until: request.until,
        text: request.text.map(|text| text.0),
    };
    let rules = state.parts().rules.clone();
    let replay = blocking(move || rules.start_replay(order)).await??;
    Ok(Done::accepted(target, replay.into()))
}

/// Shows the replay that is running, or the one that ran last.
#[utoipa::path(
    get,
    path = "/api/v1/rules/replay",
    tag = "detection",
    responses(
        (status = 200, description = "The replay.", body = ReplayView),
        (
            status = 404,
            description = "There was none.",
            body = ProblemBody,
            content_type = "application/problem+json"
        )
    )
)]
async fn get_replay(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<ReplayView>, Problem> {
    let replay = state.parts().rules.replay().ok_or_else(none)?;
    Ok(Json(replay.into()))
}

/// Stops the replay that is running.
#[utoipa::path(
    delete,
    path = "/api/v1/rules/replay",
    tag = "detection",
    responses(
        (status = 204, description = "It is stopped."),
        (
            status = 404,
            description = "None is running.",
            body = ProblemBody,
            content_type = "application/problem+json"
        )
    )
)]
async fn stop_replay(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<()>, Problem> {
    match state.parts().rules.stop_replay() {
        true => Ok(Done::silently("the replay")),
        false => Err(none()),
    }
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Busy => Self::conflict(error),
            ReplayError::Rule(error) => error.into(),
        }
    }
}
