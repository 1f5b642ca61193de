//! What becomes of a sign-in with a provider: on the record, and in the words of whoever waits for the answer.

use std::net::IpAddr;

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use palisade_core::{Actor, AdministrativeAct, Door, Event, EventKind};
use palisade_oidc::ProviderError;
use palisade_people::{OidcChange, OidcError, OidcRefusal, PeopleError};

use super::{PeopleState, cookie, denials::Refusal, oidc::is_shown};
use crate::problem::{Problem, ProblemKind};

/// By whom accounts are made and changed at a provider's word.
const SYSTEM: &str = "oidc";

/// Nobody is signed in.
pub(super) struct Outcome {
    /// What the console knows it by.
    code: &'static str,
    problem: Box<Problem>,
}

impl Outcome {
    /// What whoever waits is answered: a person is shown the console, which says what happened.
    pub(super) fn answer(self, headers: &HeaderMap) -> Response {
        let mut response = match is_shown(headers) {
            true => {
                let place = format!("/?refused={}", self.code);
                let place = HeaderValue::try_from(place);
                let place = place.unwrap_or_else(|_| HeaderValue::from_static("/"));
                (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
            }
            false => self.problem.into_response(),
        };
        // What another page makes a browser ask for ends nothing that waits in this one.
        if !matches!(self.code, "not-begun" | "too-many") {
            let fields = response.headers_mut();
            fields.append(header::SET_COOKIE, cookie::sign_in_gone());
        }
        response
    }
}

impl From<Outcome> for Problem {
    fn from(outcome: Outcome) -> Self {
        *outcome.problem
    }
}

impl From<Problem> for Outcome {
    fn from(problem: Problem) -> Self {
        Self {
            code: "failed",
            problem: Box::new(problem),
        }
    }
}

impl From<OidcError> for Outcome {
    fn from(error: OidcError) -> Self {
        let code = code_of(&error);
        let problem = match error {
            OidcError::NoProvider(_) => Problem::new(ProblemKind::NotFound, error),
            OidcError::NotBegun
            | OidcError::Provider(
                ProviderError::Untrusted { .. } | ProviderError::Refused { .. },
            ) => Problem::new(ProblemKind::Unauthorized, error),
            OidcError::Provider(ProviderError::Away { .. }) => {
                Problem::new(ProblemKind::Unavailable, error).retry_after(5)
            }
            OidcError::Provider(ProviderError::Random) => Problem::internal(&error),
            OidcError::Refused { .. } => Problem::new(ProblemKind::Forbidden, error),
            OidcError::People(error) => error.into(),
        };
        let problem = Box::new(problem);
        Self { code, problem }
    }
}

fn code_of(error: &OidcError) -> &'static str {
    match error {
        OidcError::NoProvider(_) => "no-provider",
        OidcError::NotBegun => "not-begun",
        OidcError::Provider(ProviderError::Away { .. }) => "away",
        OidcError::Provider(ProviderError::Refused { .. }) => "refused",
        OidcError::Provider(ProviderError::Untrusted { .. }) => "untrusted",
        OidcError::People(PeopleError::TooMany(_)) => "too-many",
        OidcError::Provider(ProviderError::Random) | OidcError::People(_) => "failed",
        OidcError::Refused { why, .. } => match why {
            OidcRefusal::NoName => "no-name",
            OidcRefusal::NameTaken => "name-taken",
            OidcRefusal::NoAccount => "no-account",
            OidcRefusal::NoRole => "no-role",
            OidcRefusal::Disabled => "disabled",
            OidcRefusal::LastOwner => "last-owner",
            OidcRefusal::LinkedElsewhere => "linked-elsewhere",
            OidcRefusal::Changed => "changed",
        },
    }
}

/// Writes down why nobody is signed in.
pub(super) async fn refused(
    state: &PeopleState,
    provider: &str,
    error: OidcError,
    source: Option<IpAddr>,
) -> Outcome {
    let unrecognised = |why| Some(Refusal::Unrecognised { source, why });
    let refusal = match &error {
        OidcError::NotBegun => unrecognised("a sign-in with a provider that was not begun there"),
        OidcError::Provider(ProviderError::Untrusted { .. }) => {
            unrecognised("a provider's answer that is not to be believed")
        }
        OidcError::Provider(ProviderError::Refused { .. }) => {
            unrecognised("a provider that lets them not in")
        }
        OidcError::People(PeopleError::TooMany(_)) => unrecognised("too many attempts to log in"),
        OidcError::Refused { who, why, .. } => Some(Refusal::Forbidden {
            caller: Actor::Account(who.clone()),
            act: "session.begin".to_owned(),
            why: format!("by OpenID Connect: {why}"),
            source,
        }),
        _ => None,
    };
    if let OidcError::Provider(error) = &error {
        tracing::warn!(%error, "a sign-in with a provider failed");
    }
    if let OidcError::Refused { changes, .. } = &error
        && let Err(problem) = record_changes(state, provider, changes, source).await
    {
        return problem.into();
    }
    if let Some(refusal) = refusal {
        let target = format!("/api/v1/session/oidc/{provider}/callback");
        state.denials().note(refusal, &target).await;
    }
    error.into()
}

/// Writes down what a sign-in changed of an account.
pub(super) async fn record_changes(
    state: &PeopleState,
    provider: &str,
    changes: &[OidcChange],
    source: Option<IpAddr>,
) -> Result<(), Problem> {
    let acts = changes.iter().map(|change| match change {
        OidcChange::Made { account, roles } => (
            "account.create",
            account,
            format!("first sign-in with {provider}; roles: {}", roles.join(", ")),
        ),
        OidcChange::Roles {
            account,
            before,
            after,
        } => (
            "account.set_roles",
            account,
            format!(
                "claims of {provider}; before: {}; now: {}",
                in_words(before),
                in_words(after)
            ),
        ),
    });
    let actor = Actor::System(SYSTEM.to_owned());
    let acts = acts.map(|(act, target, why)| (actor.clone(), act, target.clone(), why));
    write(state, acts.collect(), source).await
}

/// Writes down that the person of an account linked it with a provider.
pub(super) async fn record_link(
    state: &PeopleState,
    provider: &str,
    account: String,
    source: Option<IpAddr>,
) -> Result<(), Problem> {
    let act = (
        Actor::Account(account.clone()),
        "account.link",
        account,
        format!("with {provider}"),
    );
    write(state, vec![act], source).await
}

async fn write(
    state: &PeopleState,
    acts: Vec<(Actor, &str, String, String)>,
    source: Option<IpAddr>,
) -> Result<(), Problem> {
    if acts.is_empty() {
        return Ok(());
    }
    let now = state.parts().clock.now();
    let acts = acts
        .into_iter()
        .map(|(actor, act, target, why)| AdministrativeAct {
            actor,
            act: act.to_owned(),
            target,
            reason: Some(why),
            outcome: palisade_core::Outcome::Done,
        });
    let acts: Vec<_> = acts.collect();
    for act in &acts {
        state.parts().people.tell_of(act, source).await;
    }
    let events = acts.into_iter().map(|act| {
        let mut event = Event::new(now, Door::Rest, EventKind::Administrative(act));
        event.source = source;
        event
    });
    Ok(state.parts().journal.record(events.collect()).await?)
}

fn in_words(roles: &[String]) -> String {
    match roles.is_empty() {
        true => "none".to_owned(),
        false => roles.join(", "),
    }
}
