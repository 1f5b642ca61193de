//! The plan of reviews: who is to look at who may what, how often, and until when the next one is to be signed.

use std::time::Duration;

use axum::{Json, extract::State};
use palisade_core::Timestamp;
use palisade_store::ReviewPlan;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::{
    people::{
        PeopleState,
        access::Scope,
        accounts::NameOf,
        acts::Done,
        auth::Caller,
        extract::{JsonBody, NoParameters, Query},
        routes::Routes,
        schema,
        whole::Whole,
    },
    problem::{Problem, ProblemBody},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(
            Scope::AccessRead,
            "access.get_plan",
            routes!(get_review_plan),
        )
        .write(Scope::Admin, "access.plan", routes!(set_review_plan))
        .write(Scope::Admin, "access.drop_plan", routes!(drop_review_plan))
}

/// Who is to review access, how often and until when.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReviewPlan)]
pub(crate) struct PlanView {
    /// Whose review it is.
    #[schema(value_type = schema::AccountName)]
    owner: String,
    /// How often, in days.
    #[schema(minimum = 1)]
    every_days: u64,
    /// Until when the next one is to be signed.
    #[schema(value_type = schema::Time)]
    due_at: Timestamp,
    /// Whether it should have been signed by now.
    overdue: bool,
    /// Who planned it.
    planned_by: String,
    /// When.
    #[schema(value_type = schema::Time)]
    planned_at: Timestamp,
}

impl PlanView {
    fn of(plan: ReviewPlan, now: Timestamp) -> Self {
        Self {
            overdue: plan.due_at < now,
            owner: plan.owner,
            every_days: plan.every_days,
            due_at: plan.due_at,
            planned_by: plan.planned_by,
            planned_at: plan.planned_at,
        }
    }
}

/// A plan of reviews.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "owner": "anna", "every_days": 90 }))]
pub(crate) struct PlanRequest {
    /// Whose review it is: an account that is not disabled.
    #[schema(value_type = schema::AccountName)]
    owner: NameOf,
    /// How often, in days.
    every_days: Whole<1, 3650>,
    /// Until when the first one is to be signed; after so many days, where nothing is said.
    #[schema(value_type = Option<schema::Time>)]
    due_at: Option<Timestamp>,
}

/// So many days after a moment.
pub(super) fn days_after(moment: Timestamp, days: u64) -> Timestamp {
    let days = u32::try_from(days).unwrap_or(u32::MAX);
    moment.checked_add(DAY * days).unwrap_or(Timestamp::MAX)
}

/// Shows who is to review access, and until when.
#[utoipa::path(
    get,
    path = "/api/v1/access/review/plan",
    tag = "people",
    responses(
        (status = 200, description = "The plan.", body = PlanView),
        (
            status = 404,
            description = "None is planned.",
            body = ProblemBody,
            content_type = "application/problem+json"
        )
    )
)]
async fn get_review_plan(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PlanView>, Problem> {
    let found = state.store().access_reviews().plan().await?;
    let plan = found.ok_or_else(|| Problem::not_found("a plan of access reviews"))?;
    Ok(Json(PlanView::of(plan, state.parts().clock.now())))
}

/// Plans reviews: one is due every so many days, and a finding tells when it was not signed in time.
#[utoipa::path(
    put,
    path = "/api/v1/access/review/plan",
    tag = "people",
    request_body = PlanRequest,
    responses(
        (status = 200, description = "The plan from now on.", body = PlanView),
        (
            status = 404,
            description = "There is no such account.",
            body = ProblemBody,
            content_type = "application/problem+json"
        )
    )
)]
async fn set_review_plan(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<PlanRequest>,
) -> Result<Done<PlanView>, Problem> {
    let NameOf(owner) = request.owner;
    let account = state.parts().people.account(&owner).await?;
    if account.disabled {
        let why = format!("owner: account {owner} is disabled, and signs nothing");
        return Err(Problem::invalid(why));
    }
    let now = state.parts().clock.now();
    let every_days = u64::from(request.every_days.value());
    let due_at = request
        .due_at
        .unwrap_or_else(|| days_after(now, every_days));
    if due_at <= now {
        return Err(Problem::invalid("due_at: this time is over"));
    }
    let plan = ReviewPlan {
        owner: account.name,
        every_days,
        due_at,
        planned_by: caller.name,
        planned_at: now,
    };
    state.store().access_reviews().set_plan(&plan).await?;
    let target = format!(
        "{}: every {every_days} days, next until {due_at}",
        plan.owner
    );
    Ok(Done::changed(target, PlanView::of(plan, now)))
}

/// Plans no more reviews.
#[utoipa::path(
    delete,
    path = "/api/v1/access/review/plan",
    tag = "people",
    responses(
        (status = 204, description = "None is planned any more."),
        (
            status = 404,
            description = "None was planned.",
            body = ProblemBody,
            content_type = "application/problem+json"
        )
    )
)]
async fn drop_review_plan(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<()>, Problem> {
    match state.store().access_reviews().drop_plan().await? {
        true => Ok(Done::silently("access reviews")),
        false => Err(Problem::not_found("a plan of access reviews")),
    }
}
