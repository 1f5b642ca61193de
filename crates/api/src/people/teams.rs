//! Teams: what each of their members is.

use axum::{Json, extract::State};
use palisade_core::Timestamp;
use palisade_people::{AccountName, WriteTeamError};
use palisade_store::Team;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    accounts::NameOf,
    acts::Done,
    assignments::{self, Assignment},
    auth::Caller,
    extract::{JsonBody, NoParameters, Path, Query},
    page::{Page, PageQuery},
    routes::Routes,
    schema,
};
use crate::problem::Problem;

/// The most members of a team.
const MAX_MEMBERS: usize = 500;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(Scope::Admin, "team.list", routes!(list_teams))
        .read(Scope::Admin, "team.read", routes!(get_team))
        .write(Scope::Admin, "team.create", routes!(create_team))
        .write(Scope::Admin, "team.change", routes!(put_team))
        .write(Scope::Admin, "team.remove", routes!(remove_team))
}

/// A team.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Team)]
pub(crate) struct TeamView {
    /// Its name.
    #[schema(value_type = schema::AccountName)]
    name: String,
    /// The accounts in it.
    #[schema(value_type = Vec<schema::AccountName>)]
    members: Vec<String>,
    /// What each of them is.
    assignments: Vec<Assignment>,
    /// When it was made.
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
}

impl From<&Team> for TeamView {
    fn from(team: &Team) -> Self {
        let assignments = team.assignments.iter().cloned();
        Self {
            name: team.name.clone(),
            members: team.members.clone(),
            assignments: assignments.map(Assignment::from).collect(),
            created_at: team.created_at,
        }
    }
}

/// What a team is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "berlin", "members": ["anna"],
    "assignments": [{ "role": "technician", "bounds": { "label": { "key": "site", "value": "berlin" } } }]
}))]
pub(crate) struct TeamRequest {
    /// Its name.
    #[schema(value_type = schema::AccountName)]
    name: NameOf,
    /// The accounts in it.
    #[schema(value_type = Vec<schema::AccountName>, max_items = 500)]
    members: Vec<NameOf>,
    /// What each of them is.
    #[schema(max_items = 32)]
    assignments: Vec<Assignment>,
}

/// What a team is from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TeamChange {
    /// The accounts in it.
    #[schema(value_type = Vec<schema::AccountName>, max_items = 500)]
    members: Vec<NameOf>,
    /// What each of them is.
    #[schema(max_items = 32)]
    assignments: Vec<Assignment>,
}

impl From<WriteTeamError> for Problem {
    fn from(error: WriteTeamError) -> Self {
        match error {
            WriteTeamError::Store(error) => error.into(),
            error => Self::conflict(error),
        }
    }
}

/// The team as it is to be, if the caller may give what it is.
async fn checked(
    state: &PeopleState,
    caller: &Caller,
    name: &AccountName,
    (members, given): (Vec<NameOf>, Vec<Assignment>),
) -> Result<Team, Problem> {
    if members.len() > MAX_MEMBERS {
        return Err(Problem::invalid(format!(
            "a team has at most {MAX_MEMBERS} members"
        )));
    }
    let people = &state.parts().people;
    let roles = people.roles().await?;
    let now = state.parts().clock.now();
    let given = assignments::read(given, &roles, now)?;
    assignments::covers(&roles, caller, assignments::roles_of(&given))?;
    let mut names: Vec<String> = Vec::with_capacity(members.len());
    for NameOf(member) in members {
        match people.account(&member).await {
            Ok(account) => names.push(account.name),
            Err(palisade_people::PeopleError::NoAccount(name)) => {
                return Err(Problem::invalid(format!(
                    "members: there is no account {name}"
                )));
            }
            Err(error) => return Err(error.into()),
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(Team {
        name: name.to_string(),
        members: names,
        assignments: given,
        created_at: now,
    })
}

/// The team of that name, if the caller may work on it.
async fn target(state: &PeopleState, caller: &Caller, name: &AccountName) -> Result<Team, Problem> {
    let roles = state.parts().people.roles().await?;
    let mut teams = roles.directory().teams.iter();
    let team = teams.find(|team| team.name == name.as_str());
    let team = team.ok_or_else(|| Problem::not_found(format_args!("team {name}")))?;
    assignments::covers(&roles, caller, assignments::roles_of(&team.assignments))?;
    Ok(team.clone())
}

fn in_words(team: &Team) -> String {
    let members = team.members.len();
    let what = assignments::in_words(&team.assignments);
    format!("{} ({members} members): {what}", team.name)
}

/// Lists teams.
#[utoipa::path(
    get,
    path = "/api/v1/teams",
    tag = "people",
    params(PageQuery),
    responses((status = 200, description = "Teams, by name.", body = Page<TeamView>))
)]
async fn list_teams(
    State(state): State<PeopleState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<TeamView>>, Problem> {
    let roles = state.parts().people.roles().await?;
    let views = roles.directory().teams.iter().map(TeamView::from);
    Ok(Json(Page::cut(views, &query, |team| team.name.clone())))
}

/// Reads a team.
#[utoipa::path(
    get,
    path = "/api/v1/teams/{name}",
    tag = "people",
    params(("name" = schema::AccountName, Path, description = "The team.")),
    responses((status = 200, description = "The team.", body = TeamView))
)]
async fn get_team(
    State(state): State<PeopleState>,
    Path(NameOf(name)): Path<NameOf>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<TeamView>, Problem> {
    let roles = state.parts().people.roles().await?;
    let mut teams = roles.directory().teams.iter();
    let team = teams.find(|team| team.name == name.as_str());
    let team = team.ok_or_else(|| Problem::not_found(format_args!("team {name}")))?;
    Ok(Json(team.into()))
}

/// Makes a team.
#[utoipa::path(
    post,
    path = "/api/v1/teams",
    tag = "people",
    request_body = TeamRequest,
    responses((status = 201, description = "The team.", body = TeamView))
)]
async fn create_team(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<TeamRequest>,
) -> Result<Done<TeamView>, Problem> {
    let NameOf(name) = request.name;
    let what = (request.members, request.assignments);
    let team = checked(&state, &caller, &name, what).await?;
    state.parts().people.add_team(&team).await?;
    Ok(Done::created(in_words(&team), TeamView::from(&team)))
}

/// Sets who is in a team and what its members are. It counts at their next request.
#[utoipa::path(
    put,
    path = "/api/v1/teams/{name}",
    tag = "people",
    params(("name" = schema::AccountName, Path, description = "The team.")),
    request_body = TeamChange,
    responses((status = 200, description = "The team.", body = TeamView))
)]
async fn put_team(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(NameOf(name)): Path<NameOf>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(change): JsonBody<TeamChange>,
) -> Result<Done<TeamView>, Problem> {
    let before = target(&state, &caller, &name).await?;
    let what = (change.members, change.assignments);
    let mut team = checked(&state, &caller, &name, what).await?;
    team.created_at = before.created_at;
    state.parts().people.replace_team(&before, &team).await?;
    Ok(Done::changed(in_words(&team), TeamView::from(&team)))
}

/// Removes a team. Its members lose what it gave them at their next request.
#[utoipa::path(
    delete,
    path = "/api/v1/teams/{name}",
    tag = "people",
    params(("name" = schema::AccountName, Path, description = "The team.")),
    responses((status = 204, description = "It is removed."))
)]
async fn remove_team(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(NameOf(name)): Path<NameOf>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<()>, Problem> {
    let team = target(&state, &caller, &name).await?;
    match state.parts().people.remove_team(&team.name).await? {
        true => Ok(Done::silently(in_words(&team))),
        false => Err(Problem::not_found(format_args!("team {name}"))),
    }
}
