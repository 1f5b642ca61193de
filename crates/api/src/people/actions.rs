//! Actions: what is done about cases, and what people say to it.

use axum::{Json, extract::State};
use palisade_core::{ActionId, ActionState, CaseId, Impact, Mode, Target, Timestamp};
use palisade_respond::{Hand, parse_target};
use palisade_store::{ActionFilter, ActionRecord};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    auth::Caller,
    cases::cut,
    extract::{JsonBody, NoParameters, Path, Query, object},
    page::{Cursor, Limit, Page},
    routes::Routes,
    schema,
    text::{Name, Reason},
    whole::Whole,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    let (write, approve) = (Scope::RespondWrite, Scope::RespondApprove);
    Routes::default()
        .read(Scope::RespondRead, "action.list", routes!(list_actions))
        .read(Scope::RespondRead, "action.read", routes!(get_action))
        .write(write, "action.order", routes!(order_action))
        .write(approve, "action.approve", routes!(approve_action))
        .write(approve, "action.reject", routes!(reject_action))
        .write(write, "action.undo", routes!(undo_action))
}

/// How far an action came.
#[derive(ToSchema)]
#[schema(as = ActionState, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for core's type")]
pub(crate) enum ActionStateDoc {
    /// It only would have been done: the playbook observes.
    Observed,
    /// It only would have been done: a dry run.
    DryRun,
    /// It waits for a person.
    Waiting,
    /// A person, time or a guard rail said no.
    Rejected,
    /// It is being done.
    Running,
    /// It is done; it is in force where it can be undone.
    Done,
    /// It could not be done.
    Failed,
    /// It is being taken back.
    Undoing,
    /// It was taken back.
    Undone,
}

/// How much an action takes from its target.
#[derive(ToSchema)]
#[schema(as = Impact, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for core's type")]
pub(crate) enum ImpactDoc {
    /// Nothing: somebody is told.
    None,
    /// A part of its service.
    Partial,
    /// All its service, until it is undone.
    Full,
    /// What cannot be undone.
    Permanent,
}

/// How an action is done.
#[derive(ToSchema)]
#[schema(as = Mode, rename_all = "kebab-case")]
#[expect(dead_code, reason = "stands in the document for core's type")]
pub(crate) enum ModeDoc {
    /// Only noted in the case.
    Observe,
    /// Everything but the act itself.
    DryRun,
    /// When a person has approved it.
    Approve,
    /// At once.
    Auto,
}

/// On what an action works, as text.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct TargetName(Target);

impl TryFrom<String> for TargetName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let target = Some(&name).filter(|name| name.len() <= 128);
        target
            .and_then(|name| parse_target(name))
            .map(Self)
            .ok_or("a target is written device/<id>, address/<ip>, api_token/<name>, account/<name> or fleet")
    }
}

/// Which actions are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ActionQuery {
    /// In this state.
    #[param(inline, value_type = Option<ActionStateDoc>)]
    state: Option<ActionState>,
    /// For this case.
    #[param(value_type = Option<schema::CaseId>)]
    case: Option<CaseId>,
    /// On this target.
    #[param(value_type = Option<schema::TargetName>)]
    target: Option<String>,
    /// Of this name (`quarantine`).
    #[param(inline, value_type = Option<Name>)]
    action: Option<Name>,
    /// The `next` of the part before.
    #[param(inline, value_type = Option<Cursor>)]
    after: Option<Cursor>,
    /// The most items wanted.
    #[serde(default)]
    #[param(inline, value_type = Option<Limit>)]
    limit: Limit,
}

/// One action.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Action)]
pub(crate) struct ActionView {
    /// Its name.
    #[schema(value_type = schema::ActionId)]
    id: ActionId,
    /// For which case.
    #[schema(value_type = schema::CaseId)]
    case: CaseId,
    /// By which playbook; null where a person ordered it.
    playbook: Option<String>,
    /// What.
    action: String,
    /// On what.
    #[schema(value_type = schema::TargetName)]
    target: String,
    /// How exactly.
    #[schema(value_type = Object)]
    parameters: Map<String, Value>,
    /// How much it takes from its target.
    #[schema(value_type = ImpactDoc)]
    impact: Impact,
    /// How it is done.
    #[schema(value_type = ModeDoc)]
    mode: Mode,
    /// How far it came.
    #[schema(value_type = ActionStateDoc)]
    state: ActionState,
    /// Whether it holds something now that can be undone.
    can_undo: bool,
    /// Why it is in that state.
    why: String,
    /// Why it was ordered.
    reason: String,
    /// Which person ordered it.
    ordered_by: Option<String>,
    /// Which person approved, rejected or undid it.
    decided_by: Option<String>,
    /// When it was ordered.
    #[schema(value_type = schema::Time)]
    ordered_at: Timestamp,
    /// When it was first in force.
    #[schema(value_type = Option<schema::Time>)]
    done_at: Option<Timestamp>,
    /// When it ends by itself.
    #[schema(value_type = Option<schema::Time>)]
    until: Option<Timestamp>,
    /// When it was over.
    #[schema(value_type = Option<schema::Time>)]
    ended_at: Option<Timestamp>,
    /// How often the step under way was tried.
    #[schema(minimum = 0)]
    attempts: u32,
}

impl From<ActionRecord> for ActionView {
    fn from(record: ActionRecord) -> Self {
        let can_undo = record.state == ActionState::Done && record.memory.is_some();
        let order = record.order;
        Self {
            can_undo,
            id: order.id,
            case: order.case,
            playbook: record.playbook,
            action: order.action,
            target: order.target.to_string(),
            parameters: order.parameters,
            impact: record.impact,
            mode: record.mode,
            state: record.state,
            why: record.why,
            reason: order.reason,
            ordered_by: record.ordered_by,
            decided_by: record.decided_by,
            ordered_at: record.ordered_at,
            done_at: record.done_at,
            until: record.until,
            ended_at: record.ended_at,
            attempts: record.attempts,
        }
    }
}

/// Lists actions.
#[utoipa::path(
    get,
    path = "/api/v1/actions",
    tag = "response",
    params(ActionQuery),
    responses((status = 200, description = "Actions, newest first.", body = Page<ActionView>))
)]
async fn list_actions(
    State(state): State<PeopleState>,
    Query(query): Query<ActionQuery>,
) -> Result<Json<Page<ActionView>>, Problem> {
    // The document's pattern cannot say which addresses there are: what has the form and is none is
    // not valid, rather than unreadable.
    let target = query.target.map(TargetName::try_from).transpose();
    let target = target.map_err(|why| Problem::invalid(format!("target: {why}")))?;
    let filter = ActionFilter {
        states: query.state.into_iter().collect(),
        case: query.case,
        target: target.map(|target| target.0.to_string()),
        action: query.action.map(|action| action.as_str().to_owned()),
    };
    let before = query.after.map(|after| after.ulid(ActionId::parse));
    let before = before
        .transpose()
        .map_err(|error| Problem::internal(&error))?;
    let limit = query.limit.0;
    let actions = state.store().actions();
    let found = actions.list(before, limit + 1, &filter).await?;
    let items = found.into_iter().map(ActionView::from).collect();
    Ok(Json(cut(items, limit, |one: &ActionView| {
        one.id.to_string()
    })))
}

/// Shows an action.
#[utoipa::path(
    get,
    path = "/api/v1/actions/{id}",
    tag = "response",
    params(("id" = schema::ActionId, Path, description = "The action.")),
    responses((status = 200, description = "The action.", body = ActionView))
)]
async fn get_action(
    State(state): State<PeopleState>,
    Path(id): Path<ActionId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<ActionView>, Problem> {
    Ok(Json(state.parts().respond.action(id).await?.into()))
}

/// What a person orders.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "action": "quarantine",
    "target": "device/cam-0001",
    "ttl_s": 3600,
    "reason": "until somebody has looked at it"
}))]
pub(crate) struct OrderRequest {
    /// The name of the action.
    action: Name,
    /// On what.
    #[schema(value_type = schema::TargetName)]
    target: TargetName,
    /// How exactly.
    #[serde(default, deserialize_with = "object")]
    #[schema(value_type = Object)]
    parameters: Map<String, Value>,
    /// After how many seconds it is undone by itself; without an end where nothing is said.
    ttl_s: Option<Whole<1, 31_536_000>>,
    /// Why; it is recorded.
    #[serde(default)]
    reason: Reason,
}

/// Orders an action for a case, by hand.
///
/// It is under way when this is answered, unless it cannot be undone: then it waits for another person.
#[utoipa::path(
    post,
    path = "/api/v1/cases/{id}/actions",
    tag = "response",
    params(("id" = schema::CaseId, Path, description = "The case.")),
    request_body = OrderRequest,
    responses((status = 201, description = "The action.", body = ActionView))
)]
async fn order_action(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<CaseId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<OrderRequest>,
) -> Result<Done<ActionView>, Problem> {
    let hand = Hand {
        case: id,
        action: request.action.as_str().to_owned(),
        target: request.target.0,
        parameters: request.parameters,
        ttl_s: request.ttl_s.map(|ttl| u64::from(ttl.value())),
        reason: request.reason.as_str().to_owned(),
    };
    let record = state.parts().respond.order(hand, &caller.name).await?;
    let target = target(&record);
    let (reason, about) = (record.order.reason.clone(), record.order.target.clone());
    let done = Done::created(target, record.into());
    Ok(about_target(done, &about).because(Some(reason).filter(|why| !why.is_empty())))
}

fn target(record: &ActionRecord) -> String {
    let order = &record.order;
    format!("{}: {} on {}", order.id, order.action, order.target)
}

fn about_target(done: Done<ActionView>, target: &Target) -> Done<ActionView> {
    match target {
        Target::Device(device) => done.about(device.clone()),
        Target::Address(_) | Target::ApiToken(_) | Target::Account(_) | Target::Fleet => done,
    }
}

/// What a person decides.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "it is what it looks like" }))]
pub(crate) struct DecisionRequest {
    /// Why; it is recorded.
    #[serde(default)]
    reason: Reason,
}

/// Approves an action that waits. It is under way when this is answered.
///
/// Who ordered it cannot approve it.
#[utoipa::path(
    post,
    path = "/api/v1/actions/{id}/approve",
    tag = "response",
    params(("id" = schema::ActionId, Path, description = "The action.")),
    request_body = DecisionRequest,
    responses((status = 200, description = "The action as it is now.", body = ActionView))
)]
async fn approve_action(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<ActionId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<DecisionRequest>,
) -> Result<Done<ActionView>, Problem> {
    let record = state.parts().respond.approve(id, &caller.name).await?;
    Ok(decided(record, request.reason))
}

/// Rejects an action that waits.
#[utoipa::path(
    post,
    path = "/api/v1/actions/{id}/reject",
    tag = "response",
    params(("id" = schema::ActionId, Path, description = "The action.")),
    request_body = DecisionRequest,
    responses((status = 200, description = "The action as it is now.", body = ActionView))
)]
async fn reject_action(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<ActionId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<DecisionRequest>,
) -> Result<Done<ActionView>, Problem> {
    let (respond, reason) = (&state.parts().respond, request.reason.as_str());
    let record = respond.reject(id, &caller.name, reason).await?;
    Ok(decided(record, request.reason))
}

/// Takes back an action that is in force. It is under way when this is answered.
#[utoipa::path(
    post,
    path = "/api/v1/actions/{id}/undo",
    tag = "response",
    params(("id" = schema::ActionId, Path, description = "The action.")),
    request_body = DecisionRequest,
    responses((status = 200, description = "The action as it is now.", body = ActionView))
)]
async fn undo_action(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<ActionId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<DecisionRequest>,
) -> Result<Done<ActionView>, Problem> {
    let (respond, reason) = (&state.parts().respond, request.reason.as_str());
    let record = respond.undo(id, &caller.name, reason).await?;
    Ok(decided(record, request.reason))
}

fn decided(record: ActionRecord, reason: Reason) -> Done<ActionView> {
    let (target, about) = (target(&record), record.order.target.clone());
    let done = Done::changed(target, record.into());
    about_target(done, &about).because(Some(reason).filter(|why| !why.as_str().is_empty()))
}
