//! Logging in with a passkey.

use axum::{Extension, Json, extract::State, http::HeaderMap, response::Response};
use palisade_core::Actor;
use palisade_people::PasskeyLogInError;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    denials::Refusal,
    extract::{JsonBody, NoParameters, Query},
    gate::Source,
    log_in::{SessionView, begun, came_from},
    passkeys::{Ceremony, CeremonySecret, MAX_BODY},
    routes::Routes,
    text::Text,
};
use crate::problem::{Problem, ProblemKind};

const PATH: &str = "/api/v1/session/passkey";

pub(super) fn routes() -> Routes {
    Routes::default()
        .by_body("passkey.begin_log_in", routes!(begin_passkey_log_in))
        .by_body("passkey.log_in", routes!(log_in_with_passkey))
}

/// Nothing: who logs in is what the passkey says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Begins a log-in with a passkey, whoever's it is.
#[utoipa::path(
    post,
    path = "/api/v1/session/passkey/begin",
    tag = "people",
    request_body = Nothing,
    responses((status = 200, description = "What the browser asks its authenticators.", body = Ceremony))
)]
async fn begin_passkey_log_in(
    State(state): State<PeopleState>,
    Extension(Source(source)): Extension<Source>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(Nothing {}): JsonBody<Nothing, MAX_BODY>,
) -> Result<Json<Ceremony>, Problem> {
    let now = state.parts().clock.now();
    if let Some(seconds) = state.inner.begun.note(source, now) {
        let why = "too many log-ins were begun from your address";
        return Err(Problem::new(ProblemKind::TooMany, why).retry_after(seconds));
    }
    let begun = state.parts().people.begin_passkey_log_in(source).await?;
    Ok(Json(begun.into()))
}

/// What an authenticator signed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasskeyLogInRequest {
    /// The secret of the ceremony.
    #[schema(value_type = Text<1, 128>)]
    ceremony: CeremonySecret,
    /// The answer of `navigator.credentials.get`, in WebAuthn's JSON.
    #[schema(value_type = Object)]
    credential: Map<String, Value>,
}

/// Logs in with a passkey alone, which is both factors: answers with the cookie of a new session.
#[utoipa::path(
    post,
    path = "/api/v1/session/passkey",
    tag = "people",
    request_body = PasskeyLogInRequest,
    responses((status = 200, description = "Who logged in. The cookie is the session.", body = SessionView))
)]
async fn log_in_with_passkey(
    State(state): State<PeopleState>,
    Extension(Source(source)): Extension<Source>,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<PasskeyLogInRequest, MAX_BODY>,
) -> Result<Response, Problem> {
    let credential = Value::Object(request.credential);
    let people = &state.parts().people;
    let opened = people.passkey_log_in(&request.ceremony.0, credential, source);
    match opened.await {
        Ok(opened) => {
            let by = Some("by passkey".to_owned());
            begun(&state, &opened, came_from(&headers, source), by).await
        }
        Err(error) => Err(refused(&state, error, Source(source)).await),
    }
}

async fn refused(state: &PeopleState, error: PasskeyLogInError, Source(source): Source) -> Problem {
    let refusal = match &error {
        PasskeyLogInError::NotRight => Some(Refusal::Unrecognised {
            source,
            why: "a passkey that is not right",
        }),
        PasskeyLogInError::Copied { account, name } => Some(Refusal::Forbidden {
            caller: Actor::Account(account.clone()),
            act: "session.begin".to_owned(),
            why: format!("the passkey {name:?} counts less than before: there may be a copy of it"),
            source,
        }),
        PasskeyLogInError::People(palisade_people::PeopleError::TooMany(_)) => {
            Some(Refusal::Unrecognised {
                source,
                why: "too many attempts to log in",
            })
        }
        PasskeyLogInError::People(_) => None,
    };
    if let PasskeyLogInError::Copied { account, .. } = &error {
        let what = "a passkey counted less than before and was refused: there may be a copy of it";
        state.parts().people.tell_that(account, what, source).await;
    }
    if let Some(refusal) = refusal {
        state.denials().note(refusal, PATH).await;
    }
    match error {
        PasskeyLogInError::People(error) => error.into(),
        _ => Problem::new(ProblemKind::Unauthorized, error),
    }
}
