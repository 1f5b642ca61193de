//! What somebody who logged in does with their own account, whatever their roles are.

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use palisade_core::TokenId;
use palisade_people::AccountName;
use palisade_store::Account;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    accounts::{LogInSession, Password},
    acts::Done,
    auth::Caller,
    cookie,
    extract::{JsonBody, NoParameters, Path, Query},
    gate::Source,
    log_in::with_cookie,
    routes::Routes,
    schema,
    text::Text,
    views::All,
};
use crate::problem::{Problem, ProblemKind};

const MAX_BODY: usize = 8 * 1024;

pub(super) fn routes() -> Routes {
    Routes::default()
        .own_write("account.change_password", routes!(change_password))
        .own_write("account.enrol_totp", routes!(enrol_totp))
        .own_write("account.confirm_totp", routes!(confirm_totp))
        .token("own.list_sessions", routes!(list_own_sessions))
        .own_write("account.end_own_session", routes!(end_own_session))
}

/// The account of whoever logged in.
pub(super) async fn own(state: &PeopleState, caller: &Caller) -> Result<Account, Problem> {
    let is_account = caller.person.is_some();
    let name = AccountName::parse(&caller.name).ok().filter(|_| is_account);
    let name = name.ok_or_else(|| {
        Problem::conflict("a token has no account of its own: log in (POST /api/v1/session)")
    })?;
    Ok(state.parts().people.account(&name).await?)
}

/// Refuses a caller whose password somebody else chose: a factor of theirs would stay.
pub(super) fn knows_the_password_alone(caller: &Caller) -> Result<(), Problem> {
    let first = caller.person.as_ref().and_then(|person| person.first);
    match first == Some(palisade_people::MustFirst::ChangePassword) {
        true => Err(Problem::new(
            ProblemKind::Forbidden,
            "change your password first: somebody else chose it",
        )),
        false => Ok(()),
    }
}

/// A new password in place of the old one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordChange {
    /// The password now.
    current: Password,
    /// The new one.
    password: Password,
}

/// Changes the caller's own password. All sessions of the account end, this one too: log in anew.
#[utoipa::path(
    put,
    path = "/api/v1/account/password",
    tag = "people",
    request_body = PasswordChange,
    responses((status = 204, description = "It is changed."))
)]
async fn change_password(
    State(state): State<PeopleState>,
    Extension(Source(source)): Extension<Source>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<PasswordChange, MAX_BODY>,
) -> Result<Response, Problem> {
    let people = &state.parts().people;
    let account = own(&state, &caller).await?;
    people
        .confirm_password(&account, request.current.0, source)
        .await?;
    people
        .set_password(&account, request.password.0, false)
        .await?;
    let gone = HeaderMap::from_iter([(header::SET_COOKIE, cookie::gone())]);
    Ok((gone, Done::silently(account.name)).into_response())
}

/// A TOTP secret that waits to be confirmed.
#[derive(Serialize, ToSchema)]
pub(crate) struct TotpEnrolment {
    /// The secret in base32, for whoever types it. It is shown now and never again.
    secret: String,
    /// The same for apps that read it as a QR code.
    uri: String,
}

/// Makes a TOTP secret for the caller's account. It counts when a code of it has confirmed it.
#[utoipa::path(
    post,
    path = "/api/v1/account/totp",
    tag = "people",
    responses((status = 201, description = "The secret.", body = TotpEnrolment))
)]
async fn enrol_totp(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<TotpEnrolment>, Problem> {
    let account = own(&state, &caller).await?;
    let enrolment = state.parts().people.enrol_totp(&account).await?;
    let made = TotpEnrolment {
        secret: enrolment.secret,
        uri: enrolment.uri,
    };
    Ok(Done::created(account.name, made))
}

/// A code of the new second factor.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "code": "123456" }))]
pub(crate) struct TotpCode {
    /// Six digits.
    code: Text<6, 6>,
}

/// What came of a confirmed second factor.
#[derive(Serialize, ToSchema)]
pub(crate) struct TotpConfirmed {
    /// Codes that stand in for the second factor, each once. They are shown now and never again.
    recovery_codes: Vec<String>,
}

/// Confirms the TOTP secret with a code of it. All sessions of the account end; the answer's cookie is a new
/// one.
#[utoipa::path(
    post,
    path = "/api/v1/account/totp/confirm",
    tag = "people",
    request_body = TotpCode,
    responses((status = 200, description = "It counts from now on.", body = TotpConfirmed))
)]
async fn confirm_totp(
    State(state): State<PeopleState>,
    Extension(Source(source)): Extension<Source>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<TotpCode, MAX_BODY>,
) -> Result<Response, Problem> {
    let account = own(&state, &caller).await?;
    knows_the_password_alone(&caller)?;
    let people = &state.parts().people;
    let confirmed = people
        .confirm_totp(&account, &request.code.0, source)
        .await?;
    let body = TotpConfirmed {
        recovery_codes: confirmed.recovery_codes,
    };
    with_cookie(&confirmed.opened, Done::changed(account.name, body))
}

/// Lists the caller's own log-in sessions. A token has none.
#[utoipa::path(
    get,
    path = "/api/v1/account/sessions",
    tag = "people",
    responses((status = 200, description = "The sessions, the oldest first.", body = All<LogInSession>))
)]
async fn list_own_sessions(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<All<LogInSession>>, Problem> {
    if caller.person.is_none() {
        return Ok(Json(All::of([])));
    }
    let account = own(&state, &caller).await?;
    let sessions = state.parts().people.sessions(&account).await?;
    let seen = sessions.into_iter();
    Ok(Json(All::of(
        seen.map(|session| LogInSession::of(session, &caller)),
    )))
}

/// Ends one of the caller's own log-in sessions.
#[utoipa::path(
    delete,
    path = "/api/v1/account/sessions/{id}",
    tag = "people",
    params(("id" = schema::TokenId, Path, description = "The session.")),
    responses((status = 204, description = "It is ended."))
)]
async fn end_own_session(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<TokenId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<()>, Problem> {
    let account = own(&state, &caller).await?;
    let people = &state.parts().people;
    match people.end_session(&account.name, id).await? {
        true => Ok(Done::silently(id)),
        false => Err(Problem::not_found(format_args!("session {id}"))),
    }
}
