//! The caller's own passkeys.

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use palisade_core::{Timestamp, TokenId};
use palisade_people::Begun;
use palisade_store::PasskeyRecord;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    acts::Done,
    auth::Caller,
    extract::{JsonBody, NoParameters, Path, Query},
    gate::Source,
    log_in::with_cookie,
    own_account::{knows_the_password_alone, own},
    routes::Routes,
    schema,
    text::{Name, Text},
    views::All,
};
use crate::problem::Problem;

/// The largest body: an authenticator's answer. Attestations with their certificates are a few kilobytes.
pub(super) const MAX_BODY: usize = 64 * 1024;

pub(super) fn routes() -> Routes {
    Routes::default()
        .own_write("account.begin_passkey", routes!(begin_passkey))
        .own_write("account.enrol_passkey", routes!(enrol_passkey))
        .token("own.list_passkeys", routes!(list_passkeys))
        .own_write("account.remove_passkey", routes!(remove_passkey))
}

/// The secret of a ceremony.
pub(super) type CeremonySecret = Text<1, 128>;

/// A ceremony that waits for the browser to come back.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ceremony {
    /// The secret that the ceremony is ended with: once, within five minutes.
    ceremony: String,
    /// What `navigator.credentials` is called with: `publicKey` in WebAuthn's JSON, bytes in base64url.
    #[schema(value_type = Object)]
    options: Value,
}

impl From<Begun> for Ceremony {
    fn from(begun: Begun) -> Self {
        Self {
            ceremony: begun.ceremony,
            options: begun.options,
        }
    }
}

/// A passkey.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PasskeyView {
    /// Its name here.
    #[schema(value_type = schema::TokenId)]
    id: String,
    /// What its person calls it.
    name: String,
    /// When it was enrolled.
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
    /// When somebody last logged in with it.
    #[schema(value_type = Option<schema::Time>)]
    last_used_at: Option<Timestamp>,
}

impl From<PasskeyRecord> for PasskeyView {
    fn from(passkey: PasskeyRecord) -> Self {
        Self {
            id: passkey.id.to_string(),
            name: passkey.name,
            created_at: passkey.created_at,
            last_used_at: passkey.last_used_at,
        }
    }
}

/// Begins to enrol a passkey for the caller's account. The session is at most an hour old.
#[utoipa::path(
    post,
    path = "/api/v1/account/passkeys/begin",
    tag = "people",
    responses((status = 200, description = "What the browser asks its authenticators.", body = Ceremony))
)]
async fn begin_passkey(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<Ceremony>, Problem> {
    let account = own(&state, &caller).await?;
    knows_the_password_alone(&caller)?;
    let people = &state.parts().people;
    let begun = people.begin_passkey(&account, caller.expires_at).await?;
    Ok(Done::nothing(begun.into()))
}

/// What an authenticator made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasskeyRequest {
    /// The secret of the ceremony.
    #[schema(value_type = Text<1, 128>)]
    ceremony: CeremonySecret,
    /// What the passkey is to be called.
    name: Name,
    /// The answer of `navigator.credentials.create`, in WebAuthn's JSON.
    #[schema(value_type = Object)]
    credential: Map<String, Value>,
}

/// A passkey that was enrolled.
#[derive(Serialize, ToSchema)]
pub(crate) struct PasskeyEnrolled {
    #[serde(flatten)]
    passkey: PasskeyView,
    /// Codes that stand in for the second factor, each once. They are shown now and never again, and only where
    /// the account had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    recovery_codes: Option<Vec<String>>,
}

/// Enrols a passkey with what the authenticator made. It logs in by itself, and is a second factor.
///
/// Where it is the account's first second factor, all sessions of the account end, and the answer's cookie is a
/// new one.
#[utoipa::path(
    post,
    path = "/api/v1/account/passkeys",
    tag = "people",
    request_body = PasskeyRequest,
    responses((status = 201, description = "The passkey.", body = PasskeyEnrolled))
)]
async fn enrol_passkey(
    State(state): State<PeopleState>,
    Extension(Source(source)): Extension<Source>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<PasskeyRequest, MAX_BODY>,
) -> Result<Response, Problem> {
    let account = own(&state, &caller).await?;
    knows_the_password_alone(&caller)?;
    let enrolled = state.parts().people.add_passkey(
        &account,
        &request.ceremony.0,
        request.name.to_string(),
        Value::Object(request.credential),
        source,
    );
    let enrolled = enrolled.await?;
    let target = format!("{}/{}", account.name, enrolled.passkey.id);
    let body = PasskeyEnrolled {
        passkey: enrolled.passkey.into(),
        recovery_codes: enrolled.recovery_codes,
    };
    let done = Done::created(target, body);
    match &enrolled.opened {
        Some(opened) => with_cookie(opened, done),
        None => Ok(done.into_response()),
    }
}

/// Lists the caller's own passkeys. A token has none.
#[utoipa::path(
    get,
    path = "/api/v1/account/passkeys",
    tag = "people",
    responses((status = 200, description = "The passkeys, the oldest first.", body = All<PasskeyView>))
)]
async fn list_passkeys(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<All<PasskeyView>>, Problem> {
    if caller.person.is_none() {
        return Ok(Json(All::of([])));
    }
    let account = own(&state, &caller).await?;
    let passkeys = state.parts().people.passkeys(&account).await?;
    Ok(Json(All::of(passkeys.into_iter().map(PasskeyView::from))))
}

/// Removes one of the caller's own passkeys. All sessions of the account end; the answer's cookie is a new one.
#[utoipa::path(
    delete,
    path = "/api/v1/account/passkeys/{id}",
    tag = "people",
    params(("id" = schema::TokenId, Path, description = "The passkey.")),
    responses((status = 204, description = "It is removed."))
)]
async fn remove_passkey(
    State(state): State<PeopleState>,
    Extension(Source(source)): Extension<Source>,
    caller: Caller,
    Path(id): Path<TokenId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    let account = own(&state, &caller).await?;
    let people = &state.parts().people;
    let opened = people.remove_passkey(&account, id, source).await?;
    let target = format!("{}/{id}", account.name);
    with_cookie(&opened, Done::silently(target))
}
