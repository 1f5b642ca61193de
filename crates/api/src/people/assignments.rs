//! What somebody is, where and until when, as it stands in bodies.

use axum::{Json, extract::State};
use palisade_core::{Labels, ProductId, SegmentId, Timestamp};
use palisade_people::{Role, Roles};
use palisade_store::{Bounds, LabelBound, RoleAssignment};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    accounts::{AccountView, NameOf, target},
    acts::Done,
    auth::Caller,
    extract::{JsonBody, NoParameters, Path, Query},
    routes::Routes,
    schema,
};
use crate::problem::{Problem, ProblemKind};

/// The most assignments of an account or a team.
const MAX: usize = 32;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(
            Scope::Admin,
            "account.list_roles",
            routes!(get_account_roles),
        )
        .write(
            Scope::Admin,
            "account.set_roles",
            routes!(set_account_roles),
        )
        .write(
            Scope::Admin,
            "account.take_role",
            routes!(take_account_role),
        )
}

/// A role that somebody has, on which devices and until when.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "role": "technician", "bounds": { "label": { "key": "site", "value": "berlin" } },
    "until": "2027-01-31T18:00:00Z"
}))]
pub(crate) struct Assignment {
    /// The role.
    #[schema(value_type = schema::RoleName)]
    role: Role,
    /// On which devices; on all if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bounds: Option<AssignmentBounds>,
    /// Until when; for good if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Time>)]
    until: Option<Timestamp>,
}

/// To which devices it is bound: to those of which all of this is true.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssignmentBounds {
    /// In this segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::SegmentId>)]
    segment: Option<SegmentId>,
    /// Of this product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::ProductId>)]
    product: Option<ProductId>,
    /// With this label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<AssignmentLabel>,
}

/// A label and its value.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssignmentLabel {
    /// Its key.
    #[schema(min_length = 1, max_length = 63)]
    key: String,
    /// Its value.
    #[schema(max_length = 255)]
    value: String,
}

/// What an account or a team is from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssignmentsRequest {
    /// All of it.
    #[schema(max_items = 32)]
    assignments: Vec<Assignment>,
}

/// What an account or a team is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AssignmentsView {
    /// All of it.
    pub(super) assignments: Vec<Assignment>,
}

impl From<RoleAssignment> for Assignment {
    fn from(one: RoleAssignment) -> Self {
        // What is no name of a role any more was none when it was written.
        let role = Role::parse(&one.role).unwrap_or(Role::Technician);
        Self {
            role,
            bounds: one.bounds.map(|bounds| AssignmentBounds {
                segment: bounds.segment,
                product: bounds.product,
                label: bounds.label.map(|label| AssignmentLabel {
                    key: label.key,
                    value: label.value,
                }),
            }),
            until: one.until,
        }
    }
}

/// Reads assignments, of roles that there are and to a time that is not over.
pub(super) fn read(
    all: Vec<Assignment>,
    roles: &Roles,
    now: Timestamp,
) -> Result<Vec<RoleAssignment>, Problem> {
    if all.len() > MAX {
        return Err(Problem::invalid(format!(
            "there are at most {MAX} assignments"
        )));
    }
    let mut read = Vec::with_capacity(all.len());
    for one in all {
        known_role(roles, &one.role)?;
        if one.until.is_some_and(|until| until <= now) {
            return Err(Problem::invalid("until: this time is over"));
        }
        let bounds = one.bounds.map(bounds_of).transpose()?;
        let assignment = RoleAssignment {
            role: one.role.to_string(),
            bounds,
            until: one.until,
        };
        if !read.contains(&assignment) {
            read.push(assignment);
        }
    }
    Ok(read)
}

/// Refuses a role that there is not.
pub(super) fn known_role(roles: &Roles, role: &Role) -> Result<(), Problem> {
    match roles.get(role) {
        Some(_) => Ok(()),
        None => Err(Problem::invalid(format!(
            "there is no role {role}: GET /api/v1/roles lists those there are"
        ))),
    }
}

fn bounds_of(bounds: AssignmentBounds) -> Result<Bounds, Problem> {
    if bounds.segment.is_none() && bounds.product.is_none() && bounds.label.is_none() {
        return Err(Problem::invalid(
            "bounds: name a segment, a product or a label, or leave bounds out",
        ));
    }
    let label = bounds.label.map(|label| {
        let map = std::collections::BTreeMap::from([(label.key.clone(), label.value.clone())]);
        let checked = Labels::new(map).map_err(Problem::invalid);
        checked.map(|_| LabelBound {
            key: label.key,
            value: label.value,
        })
    });
    Ok(Bounds {
        segment: bounds.segment,
        product: bounds.product,
        label: label.transpose()?,
    })
}

/// The roles of assignments.
pub(super) fn roles_of(assignments: &[RoleAssignment]) -> Vec<Role> {
    let roles = assignments.iter();
    roles.filter_map(|one| Role::parse(&one.role)).collect()
}

/// Refuses to let a caller give, take or change what may more than they may themselves, everywhere.
pub(super) fn covers(
    roles: &Roles,
    caller: &Caller,
    given: impl IntoIterator<Item = Role>,
) -> Result<(), Problem> {
    let catalogue = roles.catalogue();
    for role in given {
        let view = roles.get(&role);
        let mut actions = view.into_iter().flat_map(|view| &view.actions);
        if let Some(action) = actions.find(|action| !caller.may_everywhere(action, catalogue)) {
            return Err(Problem::new(
                ProblemKind::Forbidden,
                format!(
                    "nobody works on an account, team or role that may do more than they may: {role} may \
                     {action}, and you may not, or not everywhere"
                ),
            ));
        }
    }
    Ok(())
}

/// In words, for the ledger.
pub(super) fn in_words(assignments: &[RoleAssignment]) -> String {
    let words = assignments.iter().map(|one| {
        let mut text = one.role.clone();
        let bounds = one.bounds.iter().flat_map(|bounds| {
            [
                bounds
                    .segment
                    .as_ref()
                    .map(|segment| format!("segment {segment}")),
                bounds
                    .product
                    .as_ref()
                    .map(|product| format!("product {product}")),
                bounds
                    .label
                    .as_ref()
                    .map(|label| format!("{}={}", label.key, label.value)),
            ]
        });
        for bound in bounds.flatten() {
            text += &format!(" on {bound}");
        }
        if let Some(until) = one.until {
            text += &format!(" until {until}");
        }
        text
    });
    words.collect::<Vec<_>>().join(", ")
}

/// All that an account is itself: its plain roles, and what it is within bounds or for a time.
pub(super) fn all_of(account: &palisade_store::Account, roles: &Roles) -> Vec<RoleAssignment> {
    let plain = account.roles.iter().map(|role| RoleAssignment {
        role: role.clone(),
        bounds: None,
        until: None,
    });
    plain
        .chain(roles.directory().assigned(&account.name))
        .collect()
}

/// Reads what an account is itself; what its teams give it stands at them.
#[utoipa::path(
    get,
    path = "/api/v1/accounts/{name}/roles",
    tag = "people",
    params(("name" = schema::AccountName, Path, description = "The account.")),
    responses((status = 200, description = "What it is.", body = AssignmentsView))
)]
async fn get_account_roles(
    State(state): State<PeopleState>,
    Path(NameOf(name)): Path<NameOf>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<AssignmentsView>, Problem> {
    let people = &state.parts().people;
    let account = people.account(&name).await?;
    let all = all_of(&account, &*people.roles().await?);
    let assignments = all.into_iter().map(Assignment::from).collect();
    Ok(Json(AssignmentsView { assignments }))
}

/// Sets all that an account is: roles, each on all devices or within bounds, for good or until a time. Its
/// sessions end.
#[utoipa::path(
    put,
    path = "/api/v1/accounts/{name}/roles",
    tag = "people",
    params(("name" = schema::AccountName, Path, description = "The account.")),
    request_body = AssignmentsRequest,
    responses((status = 200, description = "The account.", body = AccountView))
)]
async fn set_account_roles(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(NameOf(name)): Path<NameOf>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<AssignmentsRequest>,
) -> Result<Done<AccountView>, Problem> {
    let people = &state.parts().people;
    target(&state, &caller, &name).await?;
    let roles = people.roles().await?;
    let assignments = read(request.assignments, &roles, state.parts().clock.now())?;
    covers(&roles, &caller, roles_of(&assignments))?;
    people.set_assignments(&name, &assignments).await?;
    let view = AccountView::whole(&state, people.account(&name).await?).await?;
    let target = format!("{name}: {}", in_words(&assignments));
    Ok(Done::changed(target, view))
}

/// Takes one role from an account, however it is bound; the others stay. Its sessions end. What a team gives stays.
#[utoipa::path(
    delete,
    path = "/api/v1/accounts/{name}/roles/{role}",
    tag = "people",
    params(
        ("name" = schema::AccountName, Path, description = "The account."),
        ("role" = schema::RoleName, Path, description = "The role.")
    ),
    responses((status = 200, description = "The account.", body = AccountView))
)]
async fn take_account_role(
    State(state): State<PeopleState>,
    caller: Caller,
    Path((name, role)): Path<(NameOf, Role)>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<AccountView>, Problem> {
    let NameOf(name) = name;
    let people = &state.parts().people;
    target(&state, &caller, &name).await?;
    let roles = people.roles().await?;
    covers(&roles, &caller, [role.clone()])?;
    let account = people.account(&name).await?;
    let now = state.parts().clock.now();
    let (taken, kept): (Vec<_>, Vec<_>) = all_of(&account, &roles)
        .into_iter()
        .partition(|one| one.role == role.to_string());
    if taken.is_empty() {
        let what = format!("the role {role} of account {name} itself");
        return Err(Problem::not_found(what));
    }
    // What is over is left out: it is nothing that the account is.
    let is_in_force = |one: &RoleAssignment| one.until.is_none_or(|until| until > now);
    let kept: Vec<RoleAssignment> = kept.into_iter().filter(is_in_force).collect();
    people.set_assignments(&name, &kept).await?;
    let view = AccountView::whole(&state, people.account(&name).await?).await?;
    let target = format!("{name}: {role} is taken, {} left", kept.len());
    Ok(Done::changed(target, view))
}
