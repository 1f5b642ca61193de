//! Candidate policies, asked beside those in force: what they would change, and nothing enforced.

use axum::{Json, extract::State};
use palisade_core::{Action, Principal, Timestamp};
use palisade_policy::{ShadowDifference, ShadowReport};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    explain::ActionDoc,
    extract::{JsonBody, NoParameters, Query},
    policy::{MAX_BODY, TextRequest, blocking},
    routes::Routes,
    schema,
};
use crate::problem::{Problem, ProblemBody};

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(Scope::PolicyRead, "policy.read_shadow", routes!(get_shadow))
        .write(
            Scope::PolicyWrite,
            "policy.start_shadow",
            routes!(start_shadow),
        )
        .write(
            Scope::PolicyWrite,
            "policy.stop_shadow",
            routes!(stop_shadow),
        )
}

/// What the candidate would change so far.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ShadowReport)]
pub(crate) struct ReportView {
    /// The candidate's text.
    text: String,
    /// Since when it is asked.
    #[schema(value_type = schema::Time)]
    since: Timestamp,
    /// Decisions that both made.
    #[schema(minimum = 0)]
    compared: u64,
    /// Decisions that differ.
    #[schema(minimum = 0)]
    differing: u64,
    /// The differences, grouped.
    differences: Vec<DifferenceView>,
    /// Decisions that differ and found no room in the list.
    #[schema(minimum = 0)]
    not_listed: u64,
}

/// Decisions that would come out in another way.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ShadowDifference)]
pub(crate) struct DifferenceView {
    /// What was asked.
    #[schema(value_type = ActionDoc)]
    action: Action,
    /// Whom it concerns: a product or a service.
    who: String,
    /// What is decided now.
    from: String,
    /// What the candidate decides.
    to: String,
    /// Whether the candidate allows it.
    would_allow: bool,
    /// How often.
    #[schema(minimum = 0)]
    count: u64,
    /// One whom it concerns.
    #[schema(value_type = schema::Principal)]
    example: Principal,
    /// The first topic or filter, empty where there is none.
    topic: String,
    /// The candidate's policies that decide.
    #[schema(value_type = Vec<schema::PolicyId>)]
    policies: Vec<String>,
    /// When it was first seen.
    #[schema(value_type = schema::Time)]
    first_at: Timestamp,
}

impl From<ShadowDifference> for DifferenceView {
    fn from(difference: ShadowDifference) -> Self {
        Self {
            action: difference.action,
            who: difference.who,
            from: difference.from,
            to: difference.to,
            would_allow: difference.would_allow,
            count: difference.count,
            example: difference.example,
            topic: difference.topic,
            policies: difference
                .policies
                .iter()
                .map(ToString::to_string)
                .collect(),
            first_at: difference.first_at,
        }
    }
}

impl From<ShadowReport> for ReportView {
    fn from(report: ShadowReport) -> Self {
        Self {
            text: report.text,
            since: report.since,
            compared: report.compared,
            differing: report.differing,
            differences: report.differences.into_iter().map(Into::into).collect(),
            not_listed: report.not_listed,
        }
    }
}

fn none() -> Problem {
    Problem::not_found("a candidate policy")
}

/// Reads what the candidate policies would change so far.
#[utoipa::path(
    get,
    path = "/api/v1/policy/shadow",
    tag = "policy",
    responses(
        (status = 200, description = "The report.", body = ReportView),
        (
            status = 404,
            description = "No candidate is asked.",
            body = ProblemBody,
            content_type = "application/problem+json"
        )
    )
)]
async fn get_shadow(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<ReportView>, Problem> {
    let report = state.parts().pdp.shadow_report().ok_or_else(none)?;
    Ok(Json(report.into()))
}

/// Asks candidate policies beside those in force from now on, in place of a candidate before.
#[utoipa::path(
    put,
    path = "/api/v1/policy/shadow",
    tag = "policy",
    request_body = TextRequest,
    responses((status = 200, description = "The candidate is asked.", body = ReportView))
)]
async fn start_shadow(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<TextRequest, MAX_BODY>,
) -> Result<Done<ReportView>, Problem> {
    let pdp = state.parts().pdp.clone();
    let report = blocking(move || {
        pdp.start_shadow(&request.text.0)?;
        Ok::<_, Problem>(pdp.shadow_report())
    })
    .await??;
    let report = report.ok_or_else(|| Problem::conflict("the candidate was stopped meanwhile"))?;
    Ok(Done::changed("candidate", report.into()))
}

/// Asks the candidate policies no more, and gives the last report.
#[utoipa::path(
    delete,
    path = "/api/v1/policy/shadow",
    tag = "policy",
    responses(
        (status = 200, description = "The last report.", body = ReportView),
        (
            status = 404,
            description = "No candidate is asked.",
            body = ProblemBody,
            content_type = "application/problem+json"
        )
    )
)]
async fn stop_shadow(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<ReportView>, Problem> {
    let report = state.parts().pdp.stop_shadow().ok_or_else(none)?;
    Ok(Done::changed("candidate", report.into()))
}
