//! Accounts of people, for whoever administers.

use std::collections::HashMap;

use axum::{Extension, Json, extract::State};
use palisade_core::{Timestamp, TokenId};
use palisade_people::{AccountName, NewAccount, PeopleError, Role};
use palisade_store::{Account, AccountSession};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    assignments::{Assignment, all_of, covers, in_words, known_role},
    auth::Caller,
    emails::Email,
    extract::{JsonBody, NoParameters, Path, Query},
    gate::Source,
    page::{Page, PageQuery},
    routes::Routes,
    schema,
    text::Text,
    views::All,
};
use crate::problem::{Problem, ProblemItem, ProblemKind};

pub(super) fn routes() -> Routes {
    let admin = Scope::Admin;
    Routes::default()
        .read(admin, "account.list", routes!(list_accounts))
        .write(admin, "account.create", routes!(create_account))
        .write(admin, "account.change", routes!(change_account))
        .write(admin, "account.set_password", routes!(set_account_password))
        .write(
            admin,
            "account.remove_second_factors",
            routes!(remove_second_factors),
        )
        .read(
            admin,
            "account.list_sessions",
            routes!(list_account_sessions),
        )
        .write(admin, "account.end_session", routes!(end_account_session))
}

/// The name of an account, as it stands in bodies and paths.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct NameOf(pub(super) AccountName);

impl TryFrom<String> for NameOf {
    type Error = palisade_people::NotAName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        AccountName::parse(&text).map(Self)
    }
}

/// Some roles.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Vec<Role>")]
pub(crate) struct Roles(Vec<Role>);

impl TryFrom<Vec<Role>> for Roles {
    type Error = &'static str;

    fn try_from(roles: Vec<Role>) -> Result<Self, Self::Error> {
        match roles.len() <= 16 {
            true => Ok(Self(roles)),
            false => Err("at most 16 roles are given at once"),
        }
    }
}

/// A password, which no problem and no log shows.
pub(super) type Password = Text<1, 1024>;

/// An account, without anything secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Account)]
pub(crate) struct AccountView {
    /// Its name; acts are recorded under it.
    #[schema(value_type = schema::AccountName)]
    name: String,
    /// Its roles, on all devices and for good.
    #[schema(value_type = Vec<schema::RoleName>)]
    roles: Vec<String>,
    /// What it is besides, on some devices or for a time.
    assignments: Vec<Assignment>,
    /// The teams that it is in.
    teams: Vec<String>,
    /// Where its person is told what happens to it.
    #[schema(value_type = Option<schema::EmailAddress>)]
    email: Option<String>,
    /// Whether it is disabled.
    disabled: bool,
    /// Whether its person must change the password before anything else.
    must_change_password: bool,
    /// When it was made.
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
    /// When its password was last changed.
    #[schema(value_type = schema::Time)]
    password_changed_at: Timestamp,
    /// When somebody last logged in.
    #[schema(value_type = Option<schema::Time>)]
    last_login_at: Option<Timestamp>,
}

impl AccountView {
    /// An account, with all that stands elsewhere.
    pub(super) async fn whole(state: &PeopleState, account: Account) -> Result<Self, Problem> {
        let people = &state.parts().people;
        let email = people.email(&account.name).await?;
        Ok(Self::of(account, email, &*people.roles().await?))
    }

    /// An account, with its address and what it is besides its plain roles.
    fn of(account: Account, email: Option<String>, roles: &palisade_people::Roles) -> Self {
        let besides = roles.directory().assigned(&account.name);
        let teams = roles.directory().teams_of(&account.name);
        Self {
            assignments: besides.into_iter().map(Assignment::from).collect(),
            teams,
            email,
            ..Self::from(account)
        }
    }
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        Self {
            name: account.name,
            roles: account.roles,
            assignments: Vec::new(),
            teams: Vec::new(),
            email: None,
            disabled: account.disabled,
            must_change_password: account.must_change,
            created_at: account.created_at,
            password_changed_at: account.password_changed_at,
            last_login_at: account.last_login_at,
        }
    }
}

/// A log-in session of an account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogInSession {
    /// Its name; not the secret.
    #[schema(value_type = schema::TokenId)]
    pub(super) id: String,
    /// Whether it is the one that asks.
    current: bool,
    /// Whether a second factor was shown.
    second_factor: bool,
    /// From where it began.
    source: Option<String>,
    /// When it began.
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
    /// When it was last used, to the minute.
    #[schema(value_type = schema::Time)]
    seen_at: Timestamp,
    /// When it ends, however much it is used.
    #[schema(value_type = schema::Time)]
    expires_at: Timestamp,
}

impl LogInSession {
    /// A session as the caller sees it.
    pub(super) fn of(session: AccountSession, caller: &Caller) -> Self {
        Self {
            id: session.id.to_string(),
            current: session.id == caller.token,
            second_factor: session.second_factor,
            source: session.source,
            created_at: session.created_at,
            seen_at: session.seen_at,
            expires_at: session.expires_at,
        }
    }
}

impl From<PeopleError> for Problem {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::Password(verdict) => {
                let items = verdict.failing.into_iter().map(|failing| ProblemItem {
                    line: None,
                    field: Some("password".to_owned()),
                    detail: failing.mend,
                });
                Self::invalid("password: it may not be used").with_errors(items.collect())
            }
            PeopleError::NoAccount(name) => Self::not_found(format_args!("account {name}")),
            PeopleError::NotRight => Self::new(ProblemKind::Forbidden, error),
            PeopleError::TooMany(seconds) => {
                Self::new(ProblemKind::TooMany, "too many attempts").retry_after(seconds)
            }
            PeopleError::LastOwner
            | PeopleError::Changed
            | PeopleError::HasFactor
            | PeopleError::NoFactor
            | PeopleError::TooManyPasskeys
            | PeopleError::OfProvider
            | PeopleError::Linked
            | PeopleError::LastFactor => Self::conflict(error),
            PeopleError::NoPasskey | PeopleError::NotLinked => {
                Self::new(ProblemKind::NotFound, error)
            }
            PeopleError::Stale => Self::new(ProblemKind::Forbidden, error),
            PeopleError::Passkey | PeopleError::Address(_) => Self::invalid(error),
            PeopleError::NoOrigin => Self::new(ProblemKind::Unavailable, error).retry_after(1),
            PeopleError::Store(error) => error.into(),
            PeopleError::Workshop(error) => error.into(),
            PeopleError::Hash(_) | PeopleError::Random | PeopleError::Seal => {
                Self::internal(&error)
            }
        }
    }
}

/// What an account is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "anna", "roles": ["operator"], "password": "tanzbar loewe kiste fenster"
}))]
pub(crate) struct AccountRequest {
    /// Its name.
    #[schema(value_type = schema::AccountName)]
    name: NameOf,
    /// Its roles: no more than the caller may do.
    #[schema(value_type = Vec<schema::RoleName>, max_items = 16)]
    roles: Roles,
    /// Its first password; its person must change it.
    password: Password,
    /// Where its person is told what happens to it.
    #[serde(default, deserialize_with = "super::tokens::present")]
    #[schema(value_type = schema::EmailAddress, required = false, nullable = false)]
    email: Option<Email>,
}

/// What is to change of an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "roles": ["auditor"] }))]
pub(crate) struct AccountChange {
    /// Its roles.
    #[serde(default, deserialize_with = "super::tokens::present")]
    #[schema(value_type = Vec<schema::RoleName>, required = false, nullable = false, max_items = 16)]
    roles: Option<Roles>,
    /// Whether it is disabled.
    #[serde(default, deserialize_with = "super::tokens::present")]
    #[schema(value_type = bool, required = false, nullable = false)]
    disabled: Option<bool>,
}

/// A password that an administrator chooses.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordRequest {
    /// The password; its person must change it.
    password: Password,
}

/// The account of that name, if the caller may work on it.
pub(super) async fn target(
    state: &PeopleState,
    caller: &Caller,
    name: &AccountName,
) -> Result<Account, Problem> {
    let people = &state.parts().people;
    let account = people.account(name).await?;
    let roles = people.roles().await?;
    let held = roles
        .directory()
        .held_by(&account, state.parts().clock.now());
    covers(&roles, caller, held.into_iter().map(|held| held.role))?;
    Ok(account)
}

/// Lists accounts.
#[utoipa::path(
    get,
    path = "/api/v1/accounts",
    tag = "people",
    params(PageQuery),
    responses((status = 200, description = "Accounts, by name.", body = Page<AccountView>))
)]
async fn list_accounts(
    State(state): State<PeopleState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<AccountView>>, Problem> {
    let accounts = state.store().accounts().list().await?;
    let roles = state.parts().people.roles().await?;
    let mut emails: HashMap<_, _> = state
        .store()
        .notices()
        .emails()
        .await?
        .into_iter()
        .collect();
    let views = accounts.into_iter().map(|account| {
        let email = emails.remove(&account.name);
        AccountView::of(account, email, &roles)
    });
    Ok(Json(Page::cut(views, &query, |account| {
        account.name.clone()
    })))
}

/// Makes an account.
#[utoipa::path(
    post,
    path = "/api/v1/accounts",
    tag = "people",
    request_body = AccountRequest,
    responses((status = 201, description = "The account.", body = AccountView))
)]
async fn create_account(
    State(state): State<PeopleState>,
    Extension(Source(source)): Extension<Source>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<AccountRequest>,
) -> Result<Done<AccountView>, Problem> {
    let roles = state.parts().people.roles().await?;
    for role in &request.roles.0 {
        known_role(&roles, role)?;
    }
    covers(&roles, &caller, request.roles.0.iter().cloned())?;
    let name = request.name.0;
    let people = &state.parts().people;
    let email = request.email.as_ref().map(|email| email.0.as_str());
    email.map(palisade_people::check_email).transpose()?;
    let new = NewAccount {
        name: name.clone(),
        roles: request.roles.0,
        password: request.password.0,
        must_change: true,
    };
    let account = people.create(new).await?;
    if email.is_some() {
        people.set_email(&name, email, &caller.name, source).await?;
    }
    let target = format!("{name}: {}", account.roles.join(" "));
    Ok(Done::created(
        target,
        AccountView::whole(&state, account).await?,
    ))
}

/// Changes an account's roles (all that it is, bounds and times included), disables it, or enables it again. Its sessions end.
#[utoipa::path(
    patch,
    path = "/api/v1/accounts/{name}",
    tag = "people",
    params(("name" = schema::AccountName, Path, description = "The account.")),
    request_body = AccountChange,
    responses((status = 200, description = "The account.", body = AccountView))
)]
async fn change_account(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(NameOf(name)): Path<NameOf>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(change): JsonBody<AccountChange>,
) -> Result<Done<AccountView>, Problem> {
    let people = &state.parts().people;
    target(&state, &caller, &name).await?;
    if let Some(Roles(given)) = &change.roles {
        let roles = people.roles().await?;
        for role in given {
            known_role(&roles, role)?;
        }
        covers(&roles, &caller, given.iter().cloned())?;
        people.set_roles(&name, given).await?;
    }
    if let Some(disabled) = change.disabled {
        people.set_disabled(&name, disabled).await?;
    }
    let account = people.account(&name).await?;
    let is_disabled = if account.disabled { " (disabled)" } else { "" };
    let words = in_words(&all_of(&account, &*people.roles().await?));
    let target = format!("{name}{is_disabled}: {words}");
    Ok(Done::changed(
        target,
        AccountView::whole(&state, account).await?,
    ))
}

/// Sets an account's password, for who lost theirs. Its sessions end, and its person must change it.
#[utoipa::path(
    put,
    path = "/api/v1/accounts/{name}/password",
    tag = "people",
    params(("name" = schema::AccountName, Path, description = "The account.")),
    request_body = PasswordRequest,
    responses((status = 204, description = "It is set."))
)]
async fn set_account_password(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(NameOf(name)): Path<NameOf>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<PasswordRequest>,
) -> Result<Done<()>, Problem> {
    let account = target(&state, &caller, &name).await?;
    let people = &state.parts().people;
    people
        .set_password(&account, request.password.0, true)
        .await?;
    Ok(Done::silently(name))
}

/// Removes an account's second factors and recovery codes, for who lost theirs. Its sessions end.
#[utoipa::path(
    delete,
    path = "/api/v1/accounts/{name}/second-factors",
    tag = "people",
    params(("name" = schema::AccountName, Path, description = "The account.")),
    responses((status = 204, description = "They are removed."))
)]
async fn remove_second_factors(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(NameOf(name)): Path<NameOf>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<()>, Problem> {
    let account = target(&state, &caller, &name).await?;
    state
        .parts()
        .people
        .remove_second_factors(&account.name)
        .await?;
    Ok(Done::silently(name))
}

/// Lists an account's log-in sessions.
#[utoipa::path(
    get,
    path = "/api/v1/accounts/{name}/sessions",
    tag = "people",
    params(("name" = schema::AccountName, Path, description = "The account.")),
    responses((status = 200, description = "The sessions, the oldest first.", body = All<LogInSession>))
)]
async fn list_account_sessions(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(NameOf(name)): Path<NameOf>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<All<LogInSession>>, Problem> {
    let people = &state.parts().people;
    let account = people.account(&name).await?;
    let sessions = people.sessions(&account).await?;
    let seen = sessions.into_iter();
    Ok(Json(All::of(
        seen.map(|session| LogInSession::of(session, &caller)),
    )))
}

/// Ends a log-in session of an account.
#[utoipa::path(
    delete,
    path = "/api/v1/accounts/{name}/sessions/{id}",
    tag = "people",
    params(
        ("name" = schema::AccountName, Path, description = "The account."),
        ("id" = schema::TokenId, Path, description = "The session.")
    ),
    responses((status = 204, description = "It is ended."))
)]
async fn end_account_session(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(path): Path<(NameOf, TokenId)>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<()>, Problem> {
    let (NameOf(name), id) = path;
    target(&state, &caller, &name).await?;
    match state.parts().people.end_session(name.as_str(), id).await? {
        true => Ok(Done::silently(format!("{name}/{id}"))),
        false => Err(Problem::not_found(format_args!("session {id} of {name}"))),
    }
}
