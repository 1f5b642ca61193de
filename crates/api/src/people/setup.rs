//! The first administrator: a single-use token that the server shows once, on its first start.

use std::{net::IpAddr, time::Duration};

use axum::{Extension, Json, extract::State, http::StatusCode};
use palisade_core::{
    Actor, AdministrativeAct, Clock, Door, Event, EventKind, Outcome, Timestamp, TokenId,
};
use palisade_people::{NewAccount, Role};
use palisade_store::{ApiToken, Store, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::EVERYTHING,
    accounts::{AccountView, NameOf, Password},
    api_tokens::ApiTokenMade,
    auth::TOKEN_PREFIX,
    denials::Refusal,
    extract::{JsonBody, NoParameters, Query},
    failures::Failures,
    gate::Source,
    routes::Routes,
    schema, secret,
    text::{Line, Name},
};
use crate::problem::{Problem, ProblemKind};

const SETTING: &str = "people.setup";
const PREFIX: &str = "pset_";
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);
const WHY: &str = "no such set-up token";

/// Why no set-up token could be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no randomness to make a secret of.
    #[error("the operating system gives no random bytes")]
    Random,
    /// The token has no JSON form.
    #[error("the set-up token cannot be written down: {0}")]
    Json(#[from] serde_json::Error),
}

/// Attempts with set-up tokens that are not valid.
pub(super) type Attempts = Failures;

#[derive(Serialize, Deserialize)]
struct Held {
    hash: Vec<u8>,
    expires_at: Timestamp,
}

/// Makes the token with which the first administrator gets in, where there is no API token, no owner's
/// account and no set-up token that is still valid; returns its secret, which is not kept. It ends after 24 hours.
///
/// # Errors
/// When the database fails, or the operating system gives no random bytes.
pub async fn ensure_setup_token(
    store: &Store,
    clock: &dyn Clock,
) -> Result<Option<String>, SetupError> {
    let now = clock.now();
    let is_usable =
        |token: &ApiToken| !token.revoked && token.expires_at.is_none_or(|end| end > now);
    if store.tokens().api().await?.iter().any(is_usable) || store.accounts().has_owner().await? {
        return Ok(None);
    }
    if held(store, now).await?.is_some() {
        return Ok(None);
    }
    make_setup_token(store, clock).await.map(Some)
}

/// Makes such a token although there are API tokens: for whoever has the server's disk, and lost the tokens.
/// One that was made before is void.
///
/// # Errors
/// As [`ensure_setup_token`].
pub async fn make_setup_token(store: &Store, clock: &dyn Clock) -> Result<String, SetupError> {
    let now = clock.now();
    let secret = secret::generate(PREFIX).map_err(|_| SetupError::Random)?;
    let held = Held {
        hash: secret::hash(&secret),
        expires_at: now.checked_add(LIFE).unwrap_or(Timestamp::MAX),
    };
    let value = serde_json::to_vec(&held)?;
    store.settings().put(SETTING, &value).await?;
    Ok(secret)
}

/// Makes an API token for a part of the server itself, that ends after a while; returns its name and its secret, which is
/// not kept. Whoever asks for it records that.
///
/// # Errors
/// When the database fails, or the operating system gives no random bytes.
pub async fn make_passing_token(
    store: &Store,
    clock: &dyn Clock,
    (name, scopes): (String, Vec<String>),
    life: Duration,
) -> Result<(TokenId, String), SetupError> {
    let now = clock.now();
    let secret = secret::generate(TOKEN_PREFIX).map_err(|_| SetupError::Random)?;
    let token = ApiToken {
        id: TokenId::generate(),
        name,
        hash: secret::hash(&secret),
        scopes,
        service: None,
        expires_at: Some(now.checked_add(life).unwrap_or(Timestamp::MAX)),
        revoked: false,
        last_used_at: None,
        created_at: now,
    };
    store.tokens().add_api(&token).await?;
    Ok((token.id, secret))
}

/// The set-up token that is valid now, and how it is stored.
async fn held(store: &Store, now: Timestamp) -> Result<Option<(Held, Vec<u8>)>, StoreError> {
    let Some(stored) = store.settings().get(SETTING).await? else {
        return Ok(None);
    };
    let held = serde_json::from_slice::<Held>(&stored).ok();
    Ok(held
        .filter(|held| held.expires_at > now)
        .map(|held| (held, stored)))
}

pub(super) fn routes() -> Routes {
    Routes::default()
        .by_body("setup.token", routes!(set_up))
        .by_body("setup.account", routes!(set_up_account))
}

/// The set-up token, and what the first API token is to be called.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetupRequest {
    /// The set-up token that `palisade serve` showed on its first start.
    #[schema(value_type = Line<1, 200>)]
    token: Line<1, 200>,
    /// What the API token is called.
    name: Name,
}

/// Turns the set-up token into the first API token.
///
/// It works once, within 24 hours of the server's first start. The API token may do everything; make
/// narrower ones with it.
#[utoipa::path(
    post,
    path = "/api/v1/setup",
    tag = "server",
    request_body = SetupRequest,
    responses(
        (status = 201, description = "The token; its secret is not shown again.", body = ApiTokenMade)
    )
)]
async fn set_up(
    State(state): State<PeopleState>,
    Extension(Source(source)): Extension<Source>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<SetupRequest>,
) -> Result<(StatusCode, Json<ApiTokenMade>), Problem> {
    // A client that goes away must not leave the set-up token taken and no API token made.
    let task = state.clone();
    let work = state.spawn(async move { exchange(&task, &request, source).await });
    let made = work.await.map_err(|error| Problem::internal(&error))??;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn exchange(
    state: &PeopleState,
    request: &SetupRequest,
    source: Option<IpAddr>,
) -> Result<ApiTokenMade, Problem> {
    let (store, now) = (state.store(), state.parts().clock.now());
    let stored = known(state, request.token.as_str(), source).await?;
    if !store.settings().take(SETTING, &stored).await? {
        return Err(refuse(state, source, now).await);
    }
    match make_first(state, request.name.to_string(), source, now).await {
        Ok(made) => Ok(made),
        Err(problem) => {
            // Nothing came of it: the set-up token is good for another attempt.
            store.settings().put(SETTING, &stored).await?;
            Err(problem)
        }
    }
}

/// The set-up token as it is stored, where `token` is it.
async fn known(
    state: &PeopleState,
    token: &str,
    source: Option<IpAddr>,
) -> Result<Vec<u8>, Problem> {
    let (hash, now) = (secret::hash(token), state.parts().clock.now());
    // Both are hashes: how long it takes to compare them says nothing of the token.
    let found = held(state.store(), now).await?;
    match found.filter(|(held, _)| held.hash == hash) {
        Some((_, stored)) => Ok(stored),
        None => Err(refuse(state, source, now).await),
    }
}

/// The set-up token, and the first account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetupAccountRequest {
    /// The set-up token that `palisade serve` showed on its first start.
    #[schema(value_type = Line<1, 200>)]
    token: Line<1, 200>,
    /// What the account is called.
    #[schema(value_type = schema::AccountName)]
    name: NameOf,
    /// Its password.
    password: Password,
}

/// Turns the set-up token into the first account, an owner.
///
/// It works once, within 24 hours of the server's first start. Log in with the account, then enrol a second
/// factor: an owner may do nothing else without one.
#[utoipa::path(
    post,
    path = "/api/v1/setup/account",
    tag = "server",
    request_body = SetupAccountRequest,
    responses((status = 201, description = "The account.", body = AccountView))
)]
async fn set_up_account(
    State(state): State<PeopleState>,
    Extension(Source(source)): Extension<Source>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<SetupAccountRequest>,
) -> Result<(StatusCode, Json<AccountView>), Problem> {
    // A client that goes away must not leave the set-up token taken and no account made.
    let task = state.clone();
    let work = state.spawn(async move { first_account(&task, request, source).await });
    let made = work.await.map_err(|error| Problem::internal(&error))??;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn first_account(
    state: &PeopleState,
    request: SetupAccountRequest,
    source: Option<IpAddr>,
) -> Result<AccountView, Problem> {
    let (store, now) = (state.store(), state.parts().clock.now());
    // Nobody without the token makes this server judge and hash passwords.
    let stored = known(state, request.token.as_str(), source).await?;
    let new = NewAccount {
        name: request.name.0,
        roles: vec![Role::Owner],
        password: request.password.0,
        must_change: false,
    };
    let account = state.parts().people.prepare(new).await?;
    if !store.settings().take(SETTING, &stored).await? {
        return Err(refuse(state, source, now).await);
    }
    let made = async {
        let target = format!("{}: owner", account.name);
        record(state, "account.create", target, source, now).await?;
        Ok(store.accounts().add(&account).await?)
    };
    if let Err(problem) = made.await {
        // Nothing came of it: the set-up token is good for another attempt.
        store.settings().put(SETTING, &stored).await?;
        return Err(problem);
    }
    Ok(account.into())
}

/// Writes down what the set-up does, before it does it.
async fn record(
    state: &PeopleState,
    act: &str,
    target: String,
    source: Option<IpAddr>,
    now: Timestamp,
) -> Result<(), Problem> {
    let act = AdministrativeAct {
        actor: Actor::System("setup".to_owned()),
        act: act.to_owned(),
        target,
        reason: Some("set-up".to_owned()),
        outcome: Outcome::Done,
    };
    let mut event = Event::new(now, Door::Rest, EventKind::Administrative(act));
    event.source = source;
    Ok(state.parts().journal.record(vec![event]).await?)
}

async fn make_first(
    state: &PeopleState,
    name: String,
    source: Option<IpAddr>,
    now: Timestamp,
) -> Result<ApiTokenMade, Problem> {
    let secret = secret::generate(TOKEN_PREFIX)?;
    let token = ApiToken {
        id: TokenId::generate(),
        name: name.clone(),
        hash: secret::hash(&secret),
        scopes: vec![EVERYTHING.to_owned()],
        service: None,
        expires_at: None,
        revoked: false,
        last_used_at: None,
        created_at: now,
    };
    // Recorded first: a token that nobody has been given yet can do nothing.
    let target = format!("{} ({name})", token.id);
    record(state, "api_token.create", target, source, now).await?;
    state.store().tokens().add_api(&token).await?;
    Ok(ApiTokenMade::new(token, secret))
}

async fn refuse(state: &PeopleState, source: Option<IpAddr>, now: Timestamp) -> Problem {
    let refusal = Refusal::Unrecognised { source, why: WHY };
    state.denials().note(refusal, "/api/v1/setup").await;
    match state.inner.setup.note(source, now) {
        Some(seconds) => Problem::new(
            ProblemKind::TooMany,
            "too many set-up tokens that are not valid came from your address",
        )
        .retry_after(seconds),
        None => Problem::new(
            ProblemKind::Unauthorized,
            "the set-up token is not known, was used, or has ended; where no API token is left, a start \
             of the server makes a new one",
        ),
    }
}
