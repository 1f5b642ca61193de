//! Who comes: the bearer of an API token, or somebody who logged in and whose browser sends the cookie.

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
use aws_lc_rs::hmac;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use palisade_core::{Actor, Clock, ServiceId, Timestamp, TokenId};
use palisade_people::{Bond, Catalogue, MustFirst, NotRecognised, People, Reach, Standing};
use palisade_store::Store;

use super::{
    access::{Scope, Scopes},
    cookie,
    failures::Failures,
    log_in::came_from,
    secret,
};
use crate::problem::{Problem, ProblemKind};

/// The prefix of an API token's secret.
pub(crate) const TOKEN_PREFIX: &str = "pat_";
/// A secret is far shorter; longer ones are not even hashed.
const MAX_CREDENTIAL: usize = 256;
/// How often the use of a token is noted.
const NOTE_EVERY_S: i64 = 60;

/// Somebody who showed valid credentials.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The name that acts are recorded under.
    pub name: String,
    /// The token that was shown, or the log-in session.
    pub token: TokenId,
    /// The person, where somebody logged in.
    pub person: Option<Person>,
    /// What the caller may do.
    pub scopes: Scopes,
    /// For which service the caller may publish.
    pub service: Option<ServiceId>,
    /// Until when the credentials are valid.
    pub expires_at: Option<Timestamp>,
    /// Seals answers that are kept for this caller's retries; derived from the credentials.
    pub(crate) seal: ReplaySecret,
}

impl Caller {
    /// Whether the caller may do an action everywhere.
    #[must_use]
    pub fn may_everywhere(&self, action: &str, catalogue: &Catalogue) -> bool {
        let Some(index) = catalogue.index_of(action) else {
            return false;
        };
        match &self.person {
            Some(person) => {
                person.first.is_none() && person.standing.reach(index) == Reach::Everywhere
            }
            None => {
                let action = catalogue.actions().get(index);
                let scope = action.and_then(|action| Scope::parse(action.scope));
                scope.is_some_and(|scope| self.scopes.allow(scope))
            }
        }
    }

    /// As the ledger names the caller.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self.person {
            Some(_) => Actor::Account(self.name.clone()),
            None => Actor::Token(self.name.clone()),
        }
    }
}

/// Somebody who logged in.
#[derive(Debug, Clone)]
pub struct Person {
    /// What their roles allow.
    pub standing: Arc<Standing>,
    /// What they must do before they may do anything else.
    pub first: Option<MustFirst>,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::internal(&"a handler asks who calls on a public route"))
    }
}

/// What only a caller with the same credentials can derive. The server keeps a hash of the credentials
/// that it cannot be had from.
#[derive(Clone)]
pub(crate) struct ReplaySecret(hmac::Key);

impl ReplaySecret {
    fn of(credential: &str) -> Self {
        let outer = hmac::Key::new(hmac::HMAC_SHA256, credential.as_bytes());
        let derived = hmac::sign(&outer, b"palisade replay v1");
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    /// A key for one purpose.
    pub(crate) fn derive(&self, purpose: &[u8]) -> hmac::Tag {
        hmac::sign(&self.0, purpose)
    }
}

impl std::fmt::Debug for ReplaySecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReplaySecret(..)")
    }
}

/// Why nobody was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthError {
    /// No credentials came.
    Missing,
    /// What came are no valid credentials.
    Invalid(&'static str),
    /// A session came from where it does not belong, and has ended for that.
    Moved {
        /// Whose it was.
        account: String,
        /// What was wrong.
        why: &'static str,
    },
    /// Too many that were not valid came from there; come back after so many seconds.
    TooMany(u64),
    /// Credentials cannot be checked now.
    Unavailable(String),
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Missing => Self::new(
                ProblemKind::Unauthorized,
                "log in, or send an API token as `Authorization: Bearer <token>`",
            ),
            AuthError::Invalid(_) | AuthError::Moved { .. } => Self::new(
                ProblemKind::Unauthorized,
                "the token or session is not known, was revoked, or has ended",
            ),
            AuthError::TooMany(seconds) => Self::new(
                ProblemKind::TooMany,
                "too many tokens that are not valid came from your address",
            )
            .retry_after(seconds),
            AuthError::Unavailable(error) => {
                Self::unavailable("credentials cannot be checked now; try again", &error)
            }
        }
    }
}

/// Tells who comes from what a request carries.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Recognises a caller.
    ///
    /// # Errors
    /// When no credentials came, they are not valid, or cannot be checked now.
    async fn authenticate(
        &self,
        headers: &HeaderMap,
        source: Option<IpAddr>,
    ) -> Result<Caller, AuthError>;
}

/// Recognises the bearers of API tokens (RFC 6750).
pub struct BearerTokens {
    store: Store,
    clock: Arc<dyn Clock>,
    failures: Failures,
}

impl BearerTokens {
    /// Recognises the bearers of tokens that the store knows.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            failures: Failures::default(),
        }
    }

    fn refuse(&self, why: &'static str, source: Option<IpAddr>, now: Timestamp) -> AuthError {
        match self.failures.note(source, now) {
            Some(seconds) => AuthError::TooMany(seconds),
            None => AuthError::Invalid(why),
        }
    }
}

#[async_trait]
impl Authenticator for BearerTokens {
    async fn authenticate(
        &self,
        headers: &HeaderMap,
        source: Option<IpAddr>,
    ) -> Result<Caller, AuthError> {
        let credential = bearer(headers)?;
        let now = self.clock.now();
        if credential.len() > MAX_CREDENTIAL || !credential.starts_with(TOKEN_PREFIX) {
            return Err(self.refuse("the credential is no API token", source, now));
        }
        // The hash is what is looked up: how long that takes says nothing about any secret.
        let tokens = self.store.tokens();
        let found = tokens
            .find_api(&secret::hash(credential))
            .await
            .map_err(|error| AuthError::Unavailable(error.to_string()))?;
        let Some(token) = found else {
            return Err(self.refuse("no such API token", source, now));
        };
        if token.revoked {
            return Err(self.refuse("the API token was revoked", source, now));
        }
        if token.expires_at.is_some_and(|end| end <= now) {
            return Err(self.refuse("the API token has ended", source, now));
        }
        let is_stale = token
            .last_used_at
            .is_none_or(|last| now.as_second() - last.as_second() >= NOTE_EVERY_S);
        if is_stale && let Err(error) = tokens.touch_api(token.id, now).await {
            tracing::warn!(%error, token = %token.id, "the use of a token could not be noted");
        }
        Ok(Caller {
            name: token.name,
            token: token.id,
            person: None,
            scopes: Scopes::of(&token.scopes),
            service: token.service,
            expires_at: token.expires_at,
            seal: ReplaySecret::of(credential),
        })
    }
}

/// Recognises both: the bearers of API tokens, and whoever logged in.
pub struct Callers {
    tokens: BearerTokens,
    people: Arc<People>,
}

impl Callers {
    /// Recognises those whom the store knows.
    #[must_use]
    pub fn new(tokens: BearerTokens, people: Arc<People>) -> Self {
        Self { tokens, people }
    }
}

#[async_trait]
impl Authenticator for Callers {
    async fn authenticate(
        &self,
        headers: &HeaderMap,
        source: Option<IpAddr>,
    ) -> Result<Caller, AuthError> {
        let refuse = |why| self.tokens.refuse(why, source, self.tokens.clock.now());
        let secret = match cookie::secret_of(headers) {
            Ok(Some(secret)) => secret,
            Ok(None) => return self.tokens.authenticate(headers, source).await,
            Err(why) => return Err(refuse(why)),
        };
        // Each could mean somebody else.
        if headers.contains_key(header::AUTHORIZATION) {
            return Err(refuse("a token and a session at once"));
        }
        let from = came_from(headers, source);
        let found = self.people.recognise(secret, from).await;
        let found = found.map_err(|error| AuthError::Unavailable(error.to_string()))?;
        let who = match found {
            Ok(who) => who,
            Err(NotRecognised::Unknown) => {
                return Err(refuse("no such session, or it has ended"));
            }
            Err(NotRecognised::Moved { account, bond }) => {
                let why = match bond {
                    Bond::Browser => {
                        "a session came from another browser than the one it is bound to"
                    }
                    Bond::Network => "a session came from another network than the one it began in",
                };
                return Err(AuthError::Moved { account, why });
            }
        };
        Ok(Caller {
            token: who.session,
            // What is handed on is what may be done everywhere.
            scopes: match who.first {
                Some(_) => Scopes::default(),
                None => Scopes::of(&who.standing.scopes()),
            },
            service: None,
            expires_at: Some(who.expires_at),
            seal: ReplaySecret::of(secret),
            person: Some(Person {
                standing: who.standing,
                first: who.first,
            }),
            name: who.account.name,
        })
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, AuthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (Some(value), None) => value,
        (None, _) => return Err(AuthError::Missing),
        // Two could mean one thing to a proxy and another here.
        (Some(_), Some(_)) => return Err(AuthError::Invalid("several credentials")),
    };
    let text = value
        .to_str()
        .map_err(|_| AuthError::Invalid("the credential is no text"))?;
    match text.split_once(' ') {
        Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") => Ok(secret.trim()),
        _ => Err(AuthError::Missing),
    }
}
