//! Roles: those that ship, those in files, and those that people write here.

use axum::{Json, extract::State};
use palisade_core::Timestamp;
use palisade_people::{Role, RoleProblem, RoleText, RoleView as Known, WriteRoleError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    auth::Caller,
    extract::{JsonBody, NoParameters, Path, Query},
    page::{Page, PageQuery},
    routes::Routes,
    schema,
    text::{Description, Text},
    views::All,
};
use crate::problem::{Problem, ProblemItem, ProblemKind};

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(
            Scope::Admin,
            "role.list_actions",
            routes!(list_role_actions),
        )
        .read(Scope::Admin, "role.list", routes!(list_roles))
        .read(Scope::Admin, "role.read", routes!(get_role))
        .write(Scope::Admin, "role.create", routes!(create_role))
        .write(Scope::Admin, "role.change", routes!(put_role))
        .write(Scope::Admin, "role.remove", routes!(remove_role))
}

/// Something that can be done, and that roles may permit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RoleAction {
    /// Its name.
    name: &'static str,
    /// The scope that it belongs to; in a policy, the group of its actions.
    scope: &'static str,
    /// What it does.
    description: String,
    /// Whether it is done on one device: then a policy may look at the device.
    on_device: bool,
}

/// A role.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoleDetails)]
pub(crate) struct RoleView {
    /// Its name.
    #[schema(value_type = schema::RoleName)]
    name: Role,
    /// What people read.
    description: String,
    /// Whether it ships, and cannot be changed.
    shipped: bool,
    /// Whether it stands in a file of the data directory, and is changed there.
    in_file: bool,
    /// The actions that it may permit.
    actions: Vec<&'static str>,
    /// Its policies, in Cedar.
    cedar: String,
    /// How often it was written here.
    #[schema(minimum = 1)]
    version: Option<u64>,
    /// When it was last written here.
    #[schema(value_type = Option<schema::Time>)]
    changed_at: Option<Timestamp>,
    /// By whom.
    changed_by: Option<String>,
}

impl From<&Known> for RoleView {
    fn from(known: &Known) -> Self {
        let written = known.written.as_ref();
        Self {
            name: known.text.role.clone(),
            description: known.text.description.clone(),
            shipped: known.text.role.is_shipped(),
            in_file: known.in_file,
            actions: known.actions.clone(),
            cedar: known.text.cedar.clone(),
            version: written.map(|(version, ..)| *version),
            changed_at: written.map(|(_, at, _)| *at),
            changed_by: written.map(|(.., by)| by.clone()),
        }
    }
}

/// What a role is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "night-watch", "description": "Contains devices at night",
    "cedar": "@id(\"contains\")\npermit (\n  principal in Role::\"night-watch\",\n  action == \
              Action::\"device.quarantine\",\n  resource\n) when { context.hour < 6 };\n"
}))]
pub(crate) struct RoleRequest {
    /// Its name.
    #[schema(value_type = schema::RoleName)]
    name: Role,
    /// What people read.
    #[serde(default)]
    description: Description,
    /// Its policies, in Cedar.
    #[schema(value_type = Text<1, 32768>)]
    cedar: Text<1, 32768>,
}

/// What a role is from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleChange {
    /// What people read.
    #[serde(default)]
    description: Description,
    /// Its policies, in Cedar.
    #[schema(value_type = Text<1, 32768>)]
    cedar: Text<1, 32768>,
}

impl From<WriteRoleError> for Problem {
    fn from(error: WriteRoleError) -> Self {
        match error {
            WriteRoleError::Problems(problems) => {
                let first = problems.first().map(RoleProblem::to_string);
                let items = problems.into_iter().map(|problem| ProblemItem {
                    line: problem.line.map(|line| line as u64),
                    field: Some("cedar".to_owned()),
                    detail: problem.message,
                });
                let detail = format!("cedar: {}", first.unwrap_or_default());
                Self::invalid(detail).with_errors(items.collect())
            }
            WriteRoleError::Beyond(_) => Self::new(ProblemKind::Forbidden, error),
            WriteRoleError::Unknown(role) => Self::not_found(format_args!("role {role}")),
            WriteRoleError::Store(error) => error.into(),
            WriteRoleError::Fixed(_) | WriteRoleError::Changed(_) | WriteRoleError::Held(..) => {
                Self::conflict(error)
            }
        }
    }
}

/// Lists the actions that roles may permit.
#[utoipa::path(
    get,
    path = "/api/v1/roles/actions",
    tag = "people",
    responses((status = 200, description = "The actions, by name.", body = All<RoleAction>))
)]
async fn list_role_actions(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<All<RoleAction>>, Problem> {
    let roles = state.parts().people.roles().await?;
    let actions = roles.catalogue().actions().iter().map(|action| RoleAction {
        name: action.name,
        scope: action.scope,
        description: action.about.clone(),
        on_device: action.on_device,
    });
    Ok(Json(All::of(actions)))
}

/// Lists roles.
#[utoipa::path(
    get,
    path = "/api/v1/roles",
    tag = "people",
    params(PageQuery),
    responses((status = 200, description = "Roles, by name.", body = Page<RoleView>))
)]
async fn list_roles(
    State(state): State<PeopleState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<RoleView>>, Problem> {
    let roles = state.parts().people.roles().await?;
    let views = roles.list().map(RoleView::from);
    Ok(Json(Page::cut(views, &query, |role| role.name.to_string())))
}

/// Reads a role.
#[utoipa::path(
    get,
    path = "/api/v1/roles/{name}",
    tag = "people",
    params(("name" = schema::RoleName, Path, description = "The role.")),
    responses((status = 200, description = "The role.", body = RoleView))
)]
async fn get_role(
    State(state): State<PeopleState>,
    Path(role): Path<Role>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<RoleView>, Problem> {
    let roles = state.parts().people.roles().await?;
    let found = roles.get(&role).map(RoleView::from);
    found
        .map(Json)
        .ok_or_else(|| Problem::not_found(format_args!("role {role}")))
}

/// Makes a role.
///
/// Its policies are checked against the actions that there are. It may permit nothing that its writer may not do.
#[utoipa::path(
    post,
    path = "/api/v1/roles",
    tag = "people",
    request_body = RoleRequest,
    responses((status = 201, description = "The role.", body = RoleView))
)]
async fn create_role(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<RoleRequest>,
) -> Result<Done<RoleView>, Problem> {
    let text = RoleText {
        role: request.name,
        description: request.description.to_string(),
        cedar: request.cedar.0,
    };
    let view = write(&state, &caller, text, true).await?;
    Ok(Done::created(in_words(&view), RoleView::from(&view)))
}

/// Writes a new version of a role. It counts at the next request of whoever has the role.
#[utoipa::path(
    put,
    path = "/api/v1/roles/{name}",
    tag = "people",
    params(("name" = schema::RoleName, Path, description = "The role.")),
    request_body = RoleChange,
    responses((status = 200, description = "The role.", body = RoleView))
)]
async fn put_role(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(role): Path<Role>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(change): JsonBody<RoleChange>,
) -> Result<Done<RoleView>, Problem> {
    let text = RoleText {
        role,
        description: change.description.to_string(),
        cedar: change.cedar.0,
    };
    let view = write(&state, &caller, text, false).await?;
    Ok(Done::changed(in_words(&view), RoleView::from(&view)))
}

async fn write(
    state: &PeopleState,
    caller: &Caller,
    text: RoleText,
    is_new: bool,
) -> Result<Known, Problem> {
    let people = &state.parts().people;
    let roles = people.roles().await?;
    let may = |action: &str| caller.may_everywhere(action, roles.catalogue());
    Ok(people.write_role(text, is_new, &caller.name, may).await?)
}

/// What the ledger says of a role: its version stands for its text, which is kept.
fn in_words(role: &Known) -> String {
    let version = role.written.as_ref().map_or(0, |(version, ..)| *version);
    let actions = role.actions.len();
    format!("{} version {version} ({actions} actions)", role.text.role)
}

/// Removes a role that nobody has. Its versions are kept.
#[utoipa::path(
    delete,
    path = "/api/v1/roles/{name}",
    tag = "people",
    params(("name" = schema::RoleName, Path, description = "The role.")),
    responses((status = 204, description = "It is removed."))
)]
async fn remove_role(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(role): Path<Role>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<()>, Problem> {
    let people = &state.parts().people;
    let roles = people.roles().await?;
    let may = |action: &str| caller.may_everywhere(action, roles.catalogue());
    people.remove_role(&role, may).await?;
    Ok(Done::silently(role))
}
