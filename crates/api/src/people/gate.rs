//! What stands before every handler: who comes, whether they may, and, for a write, that it is done once,
//! to its end, and written down before the answer leaves.

use std::{net::IpAddr, panic::AssertUnwindSafe};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use palisade_core::{Actor, AdministrativeAct, Door, Event, EventId, EventKind, Outcome};

use super::{
    PeopleState,
    access::Access,
    access_log::{Told, Watch},
    acts::Recorded,
    approvals,
    auth::{AuthError, Caller},
    cookie,
    denials::Refusal,
    extract::read_body,
    policy,
    replay::{self, Replay, Replayed},
    routes::{Effect, Rule},
    target::{Decided, Hidden, Within, decide},
};
use crate::problem::{Problem, ProblemKind};

/// The largest answer that is kept for repetition; all answers to writes are far smaller.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// Acts that read: each is one of its own, and what was read is kept nowhere for a second time.
const READINGS: [&str; 3] = [
    "telemetry.read",
    "telemetry.export",
    "telemetry.open_file_key",
];

/// The gate of one route.
#[derive(Clone)]
pub(crate) struct Gate {
    state: PeopleState,
    rule: Rule,
}

impl Gate {
    pub(crate) fn new(state: PeopleState, rule: Rule) -> Self {
        Self { state, rule }
    }
}

/// From where a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source(pub(crate) Option<IpAddr>);

pub(crate) fn source_of(request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<crate::serve::ConnectInfo>()?;
    Some(peer.source.ip())
}

/// Lets a request through to its handler, or not, and notes it.
pub(crate) async fn gate(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let source = source_of(&request);
    request.extensions_mut().insert(Source(source));
    let mut watch = Watch::of(&gate.state, gate.rule, request.uri().path(), source);
    let mut response = gate.answer(&mut watch, request, next, source).await;
    watch.end(&mut response);
    response
}

impl Gate {
    async fn answer(
        &self,
        watch: &mut Watch,
        mut request: Request,
        next: Next,
        source: Option<IpAddr>,
    ) -> Response {
        let caller = match self.rule.access {
            Access::Public | Access::Body => None,
            Access::Published(_) if self.state.parts().log.is_public() => None,
            Access::Token | Access::Scoped(_) | Access::Published(_) => {
                let path = request.uri().path();
                match self.recognise(request.headers(), path, source).await {
                    Ok(caller) => Some(caller),
                    Err(problem) => return problem.into_response(),
                }
            }
        };
        if let Some(caller) = &caller {
            watch.caller(caller);
            match self.decide(watch, caller, &mut request, source).await {
                Ok((within, hidden)) => {
                    request.extensions_mut().insert(within);
                    request.extensions_mut().insert(hidden);
                }
                Err(problem) => return problem.into_response(),
            }
            let of_our_page = match caller.person {
                Some(_) => cookie::is_of_our_page(&request),
                None => Ok(()),
            };
            if let Err(problem) = of_our_page {
                let target = request.uri().path().to_owned();
                self.of_another_page(caller, &target, source).await;
                return problem.into_response();
            }
            request.extensions_mut().insert(caller.clone());
        }
        match (self.rule.effect, caller) {
            (Effect::Writes { streamed }, Some(caller)) => {
                let write = Write {
                    state: self.state.clone(),
                    caller,
                    act: self.rule.action,
                    source,
                };
                // A client that goes away must not leave an act half done, or done and not recorded.
                let task = self.state.spawn(write.run(streamed, request, next));
                task.await
                    .unwrap_or_else(|error| Problem::internal(&error).into_response())
            }
            _ => without_panic(next.run(request)).await,
        }
    }

    async fn of_another_page(&self, caller: &Caller, target: &str, source: Option<IpAddr>) {
        let refusal = Refusal::Forbidden {
            caller: caller.actor(),
            act: self.rule.act(),
            why: "not from a page of this server".to_owned(),
            source,
        };
        self.state.denials().note(refusal, target).await;
    }

    async fn recognise(
        &self,
        headers: &HeaderMap,
        target: &str,
        source: Option<IpAddr>,
    ) -> Result<Caller, Problem> {
        let found = self
            .state
            .authenticator()
            .authenticate(headers, source)
            .await;
        match found {
            Ok(caller) => Ok(caller),
            Err(error) => {
                if let AuthError::Moved { account, why } = &error {
                    let people = &self.state.parts().people;
                    people.tell_that(account, why, source).await;
                }
                let unrecognised = |why| Some(Refusal::Unrecognised { source, why });
                let refusal = match &error {
                    AuthError::Missing | AuthError::Unavailable(_) => None,
                    AuthError::Invalid(why) => unrecognised(why),
                    AuthError::TooMany(_) => {
                        unrecognised("too many credentials that are not valid")
                    }
                    AuthError::Moved { account, why } => Some(Refusal::Forbidden {
                        caller: Actor::Account(account.clone()),
                        act: self.rule.act(),
                        why: (*why).to_owned(),
                        source,
                    }),
                };
                if let Some(refusal) = refusal {
                    self.state.denials().note(refusal, target).await;
                }
                Err(error.into())
            }
        }
    }

    /// Whether the caller may do what is behind this gate, and where.
    async fn decide(
        &self,
        watch: &mut Watch,
        caller: &Caller,
        request: &mut Request,
        source: Option<IpAddr>,
    ) -> Result<(Within, Hidden), Problem> {
        let (Access::Scoped(scope) | Access::Published(scope)) = self.rule.access else {
            return Ok((Within::default(), Hidden::default()));
        };
        let asked = (self.rule.action, scope, self.rule.target);
        let (why, problem) = match decide(self.state.store(), caller, asked, request).await? {
            Decided::Go(within, hidden) => return Ok((within, hidden)),
            Decided::Refused(why) => (why.clone(), Problem::new(ProblemKind::Forbidden, why)),
            Decided::Unknown(what) => {
                let why = format!("{what} is none of theirs or does not exist");
                (why, Problem::not_found(what))
            }
        };
        watch.refused(&why);
        let refusal = Refusal::Forbidden {
            caller: caller.actor(),
            act: self.rule.act(),
            why,
            source,
        };
        let target = request.uri().path();
        self.state.denials().note(refusal, target).await;
        Err(problem)
    }
}

/// One write.
struct Write {
    state: PeopleState,
    caller: Caller,
    act: &'static str,
    source: Option<IpAddr>,
}

impl Write {
    async fn run(self, streamed: bool, request: Request, next: Next) -> Response {
        let target = request.uri().path().to_owned();
        let parts = self.state.parts();
        let replay = Replay::of(request.headers(), &self.caller, &parts.store, &parts.clock);
        let replay = match replay {
            Ok(replay) => replay.filter(|_| !READINGS.contains(&self.act)),
            Err(problem) => return problem.into_response(),
        };
        let request = match streamed {
            true => request,
            false => match approvals::pass(&self.state, &self.caller, self.act, request).await {
                Ok(request) => request,
                Err(answer) => return self.conclude(*answer, &target, None).await,
            },
        };
        match (replay, streamed) {
            (None, _) => {
                let response = without_panic(next.run(request)).await;
                self.conclude(response, &target, None).await
            }
            (Some(replay), true) => {
                let mut request = request;
                request.extensions_mut().insert(replay.clone());
                let response = without_panic(next.run(request)).await;
                self.conclude(response, &target, Some(replay)).await
            }
            (Some(replay), false) => {
                let request = match begin(&replay, request).await {
                    Ok(request) => request,
                    Err(answer) => return *answer,
                };
                let response = without_panic(next.run(request)).await;
                self.conclude(response, &target, Some(replay)).await
            }
        }
    }

    /// Writes down what came of it, and keeps the answer.
    async fn conclude(
        &self,
        mut response: Response,
        path: &str,
        replay: Option<Replay>,
    ) -> Response {
        if response.extensions().get::<Replayed>().is_some() {
            return response;
        }
        let recorded = response.extensions_mut().remove::<Recorded>();
        let status = response.status();
        let mut response = match self.record(status, recorded, path).await {
            Ok(told) => {
                if let Some(event) = told {
                    response.extensions_mut().insert(Told(event));
                }
                response
            }
            Err(problem) => problem.into_response(),
        };
        if let Some(replay) = replay {
            response = keep(&replay, response).await;
        }
        response
    }

    async fn record(
        &self,
        status: StatusCode,
        recorded: Option<Recorded>,
        path: &str,
    ) -> Result<Option<EventId>, Problem> {
        let (target, reason, about) = match recorded {
            Some(Recorded::Nothing) => return Ok(None),
            Some(Recorded::Act {
                target,
                reason,
                about,
            }) => (target, reason, about),
            None => (path.to_owned(), None, None),
        };
        let outcome = match status {
            status if status.is_success() => Outcome::Done,
            StatusCode::FORBIDDEN | StatusCode::CONFLICT => {
                let refusal = Refusal::Forbidden {
                    caller: self.caller.actor(),
                    act: self.act.to_owned(),
                    why: format!("answered {}", status.as_u16()),
                    source: self.source,
                };
                self.state.denials().note(refusal, path).await;
                return Ok(None);
            }
            status if status.is_server_error() => Outcome::Failed,
            // What could not even be read is no attempt at an act.
            _ => return Ok(None),
        };
        let act = AdministrativeAct {
            actor: self.caller.actor(),
            act: self.act.to_owned(),
            target: target.chars().take(500).collect(),
            reason,
            outcome,
        };
        let parts = self.state.parts();
        // In the database before the answer leaves, as the act itself is.
        parts.people.tell_of(&act, self.source).await;
        let mut event = Event::new(
            parts.clock.now(),
            Door::Rest,
            EventKind::Administrative(act),
        );
        event.principal = about;
        event.source = self.source;
        let id = event.id;
        let written = parts.journal.record(vec![event]).await;
        match written {
            Ok(()) => Ok(Some(id)),
            Err(error) if outcome == Outcome::Done => Err(Problem::unavailable(
                format!(
                    "{} on {target} was done, and could not be written down: see to the journal \
                     before you go on",
                    self.act
                ),
                &error,
            )),
            Err(error) => {
                tracing::error!(%error, act = self.act, "a failed act could not be recorded");
                Ok(None)
            }
        }
    }
}

/// Takes the key; the error is the answer to give instead of going on.
async fn begin(replay: &Replay, request: Request) -> Result<Request, Box<Response>> {
    let refused = |problem: Problem| Box::new(problem.into_response());
    let (parts, body) = request.into_parts();
    let bytes = read_body(body, policy::MAX_BODY).await.map_err(refused)?;
    let fingerprint = replay::fingerprint(&parts, &replay::body_hash(&bytes));
    match replay.begin(&fingerprint).await.map_err(refused)? {
        Some(answer) => Err(Box::new(answer)),
        None => Ok(Request::from_parts(parts, Body::from(bytes))),
    }
}

async fn keep(replay: &Replay, response: Response) -> Response {
    if !response.status().is_success() {
        replay.forget().await;
        return response;
    }
    let (parts, body) = response.into_parts();
    match read_body(body, MAX_ANSWER).await {
        Ok(bytes) => {
            replay.finish(parts.status, &bytes).await;
            Response::from_parts(parts, Body::from(bytes))
        }
        Err(problem) => Problem::internal(&problem.detail()).into_response(),
    }
}

/// Answers a panic as a fault of the server, with nothing of it in the answer.
async fn without_panic(answer: impl Future<Output = Response>) -> Response {
    let caught = AssertUnwindSafe(answer).catch_unwind().await;
    caught.unwrap_or_else(|_| Problem::internal(&"a handler panicked").into_response())
}

/// The outermost layer: what every answer carries, and what catches a panic outside of any handler.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    use axum::http::{HeaderValue, header};
    let mut response = without_panic(next.run(request)).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers
            .entry(name)
            .or_insert_with(|| HeaderValue::from_static(value));
    }
    response
}
