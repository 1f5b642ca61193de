//! Roles for a time, on request: ask with a reason, somebody else approves, and it ends by itself.

use std::time::Duration;

use axum::{Json, extract::State};
use palisade_core::{Timestamp, TokenId};
use palisade_people::Role;
use palisade_store::{Decision, Elevation};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    acts::Done,
    approvals::another_person,
    assignments::{covers, known_role},
    auth::Caller,
    extract::{JsonBody, NoParameters, Path, Query},
    page::{Page, PageQuery},
    routes::Routes,
    schema,
    text::Line,
    views::All,
};
use crate::problem::{Problem, ProblemKind};

/// The longest time, in minutes.
const MAX_MINUTES: u64 = 24 * 60;
/// How many requests of an account may wait.
const MAX_WAITING: u32 = 5;

pub(super) fn routes() -> Routes {
    Routes::default()
        .token("elevation.list", routes!(list_elevations))
        .token("elevation.list_roles", routes!(list_elevation_roles))
        .own_write("elevation.ask", routes!(ask_elevation))
        .own_write("elevation.approve", routes!(approve_elevation))
        .own_write("elevation.reject", routes!(reject_elevation))
        .own_write("elevation.end", routes!(end_elevation))
}

/// A role that is asked for, for a time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "role": "operator", "reason": "case 01K0: the gate must be replaced", "minutes": 60 }))]
pub(crate) struct ElevationRequest {
    /// Which role.
    #[schema(value_type = schema::RoleName)]
    role: Role,
    /// Why.
    reason: Line<1, 500>,
    /// For how many minutes from its approval on.
    #[schema(minimum = 1, maximum = 1440)]
    minutes: u64,
}

/// A role that was asked for, for a time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Elevation)]
pub(crate) struct ElevationView {
    /// Its name.
    #[schema(value_type = schema::TokenId)]
    id: String,
    /// Whose account.
    #[schema(value_type = schema::AccountName)]
    account: String,
    /// Which role.
    #[schema(value_type = schema::RoleName)]
    role: String,
    /// Why.
    reason: String,
    /// For how many minutes from its approval on.
    #[schema(minimum = 1)]
    minutes: u64,
    /// `waiting`, `approved` or `rejected`.
    state: String,
    /// When it was asked for.
    #[schema(value_type = schema::Time)]
    asked_at: Timestamp,
    /// Who decided.
    decided_by: Option<String>,
    /// When.
    #[schema(value_type = Option<schema::Time>)]
    decided_at: Option<Timestamp>,
    /// When it ends, if it was approved.
    #[schema(value_type = Option<schema::Time>)]
    ends_at: Option<Timestamp>,
}

impl From<Elevation> for ElevationView {
    fn from(one: Elevation) -> Self {
        Self {
            id: one.id.to_string(),
            account: one.account,
            role: one.role,
            reason: one.reason,
            minutes: one.minutes,
            state: one.state,
            asked_at: one.asked_at,
            decided_by: one.decided_by,
            decided_at: one.decided_at,
            ends_at: one.ends_at,
        }
    }
}

/// Asks for a role for a time. Somebody else who has its rights decides.
#[utoipa::path(
    post,
    path = "/api/v1/elevations",
    tag = "people",
    request_body = ElevationRequest,
    responses((status = 201, description = "It waits.", body = ElevationView))
)]
async fn ask_elevation(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<ElevationRequest>,
) -> Result<Done<ElevationView>, Problem> {
    let person = caller
        .person
        .as_ref()
        .filter(|person| person.first.is_none());
    if person.is_none() {
        let why = "only a person who logged in and may do something asks for a role";
        return Err(Problem::new(ProblemKind::Forbidden, why));
    }
    if !(1..=MAX_MINUTES).contains(&request.minutes) {
        return Err(Problem::invalid(format!("minutes: 1 to {MAX_MINUTES}")));
    }
    known_role(&*state.parts().people.roles().await?, &request.role)?;
    let elevation = Elevation {
        id: TokenId::generate(),
        account: caller.name.clone(),
        role: request.role.to_string(),
        reason: request.reason.to_string(),
        minutes: request.minutes,
        state: "waiting".to_owned(),
        asked_at: state.parts().clock.now(),
        decided_by: None,
        decided_at: None,
        ends_at: None,
    };
    if !state
        .store()
        .approvals()
        .ask_role(&elevation, MAX_WAITING)
        .await?
    {
        return Err(Problem::conflict(
            "5 requests of yours wait: see to those first",
        ));
    }
    let target = format!(
        "{}: {} for {} minutes",
        elevation.id, elevation.role, elevation.minutes
    );
    let reason = elevation.reason.clone();
    Ok(Done::created(target, elevation.into()).because(Some(reason)))
}

/// Lists roles that were asked for: the caller's own, and those that the caller could decide.
#[utoipa::path(
    get,
    path = "/api/v1/elevations",
    tag = "people",
    params(PageQuery),
    responses((status = 200, description = "Elevations, the newest first.", body = Page<ElevationView>))
)]
async fn list_elevations(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ElevationView>>, Problem> {
    let roles = state.parts().people.roles().await?;
    let mut found = state.store().approvals().elevations().await?;
    let is_person = caller.person.is_some();
    found.retain(|one| {
        (is_person && one.account == caller.name)
            || covers(&roles, &caller, Role::parse(&one.role)).is_ok()
    });
    let views = found.into_iter().map(ElevationView::from);
    Ok(Json(Page::cut_newest(views, &query, |one| one.id.clone())))
}

/// A role that can be asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ElevationRole {
    /// Its name.
    #[schema(value_type = schema::RoleName)]
    name: Role,
    /// What people read.
    description: String,
}

/// Lists the roles that can be asked for: their names and what they are for, no more.
#[utoipa::path(
    get,
    path = "/api/v1/elevations/roles",
    tag = "people",
    responses((status = 200, description = "The roles, by name.", body = All<ElevationRole>))
)]
async fn list_elevation_roles(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<All<ElevationRole>>, Problem> {
    let person = caller.person.as_ref();
    if person.is_some_and(|person| person.first.is_some()) {
        let why = "finish signing in first: a password of your own, and a second factor where your roles need one";
        return Err(Problem::new(ProblemKind::Forbidden, why));
    }
    let roles = state.parts().people.roles().await?;
    Ok(Json(All::of(roles.list().map(|role| ElevationRole {
        name: role.text.role.clone(),
        description: role.text.description.clone(),
    }))))
}

/// Gives a role that somebody else asked for, from now on for the minutes they asked for.
#[utoipa::path(
    post,
    path = "/api/v1/elevations/{id}/approve",
    tag = "people",
    params(("id" = schema::TokenId, Path, description = "The elevation.")),
    responses((status = 200, description = "The elevation.", body = ElevationView))
)]
async fn approve_elevation(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<TokenId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<ElevationView>, Problem> {
    decide(&state, &caller, id, "approved").await
}

/// Rejects a role that somebody else asked for.
#[utoipa::path(
    post,
    path = "/api/v1/elevations/{id}/reject",
    tag = "people",
    params(("id" = schema::TokenId, Path, description = "The elevation.")),
    responses((status = 200, description = "The elevation.", body = ElevationView))
)]
async fn reject_elevation(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<TokenId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<ElevationView>, Problem> {
    decide(&state, &caller, id, "rejected").await
}

/// Ends a role that was given for a time, before that is over: whoever has it does, or whoever could have given it.
#[utoipa::path(
    post,
    path = "/api/v1/elevations/{id}/end",
    tag = "people",
    params(("id" = schema::TokenId, Path, description = "The elevation.")),
    responses((status = 200, description = "The elevation.", body = ElevationView))
)]
async fn end_elevation(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<TokenId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<ElevationView>, Problem> {
    let people = &state.parts().people;
    let approvals = state.store().approvals();
    let unknown = || Problem::not_found(format_args!("elevation {id}"));
    let one = approvals.elevation(id).await?.ok_or_else(unknown)?;
    let roles = people.roles().await?;
    let is_own = caller.person.is_some() && one.account == caller.name;
    if !is_own && covers(&roles, &caller, Role::parse(&one.role)).is_err() {
        return Err(unknown());
    }
    let done = approvals.end_role(id, state.parts().clock.now()).await;
    people.roles_changed();
    if !done? {
        return Err(Problem::conflict(
            "it is not in force: it waits, was rejected, or is over",
        ));
    }
    let one = approvals.elevation(id).await?.ok_or_else(unknown)?;
    let target = format!("{id}: {} as {}", one.account, one.role);
    Ok(Done::changed(target, one.into()))
}

async fn decide(
    state: &PeopleState,
    caller: &Caller,
    id: TokenId,
    decided: &'static str,
) -> Result<Done<ElevationView>, Problem> {
    let people = &state.parts().people;
    let approvals = state.store().approvals();
    let unknown = || Problem::not_found(format_args!("elevation {id}"));
    let one = approvals.elevation(id).await?.ok_or_else(unknown)?;
    let roles = people.roles().await?;
    let role = Role::parse(&one.role).ok_or_else(unknown)?;
    if roles.get(&role).is_none() || covers(&roles, caller, [role]).is_err() {
        return Err(unknown());
    }
    another_person(state, caller, &format!("account:{}", one.account)).await?;
    let now = state.parts().clock.now();
    let life = Duration::from_secs(one.minutes.min(MAX_MINUTES) * 60);
    let ends_at = now.checked_add(life).unwrap_or(now);
    let decision = Decision {
        state: decided,
        by: &caller.name,
        now,
    };
    let ends_at = (decided == "approved").then_some(ends_at);
    let done = approvals.decide_role(id, decision, ends_at).await;
    people.roles_changed();
    if !done? {
        return Err(Problem::conflict(
            "it does not wait any more: somebody decided it",
        ));
    }
    let one = approvals.elevation(id).await?.ok_or_else(unknown)?;
    let target = format!(
        "{id}: {} for {} minutes as {}",
        one.account, one.minutes, one.role
    );
    let reason = one.reason.clone();
    Ok(Done::changed(target, one.into()).because(Some(reason)))
}
