//! Events as they happen: server-sent events.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event as SseEvent, KeepAlive, Sse},
    },
};
use futures_util::{Stream, stream};
use palisade_bus::Tail;
use palisade_core::Event;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Interval, MissedTickBehavior},
};

use super::{
    super::{PeopleState, access::Scope, auth::Caller, gate::Source, page::Position},
    query::EventQuery,
};
use crate::problem::{Problem, ProblemKind};

/// Events that are read from the stream at a time: what an open stream keeps in memory at most. A client that
/// takes nothing is read nothing for.
const BATCH: u32 = 64;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often it is asked whether the credentials of an open stream are still valid.
const ASK_AGAIN: Duration = Duration::from_secs(10);

pub(super) async fn stream_events(
    state: PeopleState,
    headers: HeaderMap,
    Source(source): Source,
    query: EventQuery,
    after: Option<Position>,
) -> Result<Response, Problem> {
    if query.is_of_list() {
        let detail = "since, until and order=newest are of a list: leave them out of a stream";
        return Err(Problem::bad_request(detail));
    }
    let Ok(permit) = state.inner.streams.clone().try_acquire_owned() else {
        let detail =
            "too many streams of events are open: close one, or raise people.max_event_streams";
        return Err(Problem::new(ProblemKind::TooMany, detail).retry_after(5));
    };
    let tail = state.parts().bus.tail(after.map(|after| after.0)).await;
    let tail = tail.map_err(|error| {
        Problem::unavailable("the stream of events cannot be read; try again", &error)
    })?;
    let mut ask_again = tokio::time::interval(ASK_AGAIN);
    ask_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ask_again.reset();
    let open = OpenStream {
        state,
        headers,
        source,
        query,
        tail,
        waiting: VecDeque::new(),
        ask_again,
        _permit: permit,
    };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(open.events())
        .keep_alive(keep_alive)
        .into_response();
    // Proxies that hold answers back would hold events back.
    let headers = response.headers_mut();
    headers.insert(
        "x-accel-buffering",
        axum::http::HeaderValue::from_static("no"),
    );
    Ok(response)
}

/// A stream that a client listens to.
struct OpenStream {
    state: PeopleState,
    headers: HeaderMap,
    source: Option<std::net::IpAddr>,
    query: EventQuery,
    tail: Tail,
    waiting: VecDeque<SseEvent>,
    ask_again: Interval,
    _permit: OwnedSemaphorePermit,
}

impl OpenStream {
    fn events(self) -> impl Stream<Item = Result<SseEvent, Infallible>> {
        stream::unfold(self, |mut open| async move {
            let event = open.next().await?;
            Some((Ok(event), open))
        })
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<SseEvent> {
        let closing = self.state.closing().clone();
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            tokio::select! {
                () = closing.cancelled() => return None,
                _ = self.ask_again.tick() => self.may_go_on().await.then_some(())?,
                found = self.tail.next(BATCH) => match found {
                    Ok(found) => self.take(found),
                    Err(error) => {
                        tracing::warn!(%error, "a stream of events ends");
                        return None;
                    }
                },
            }
        }
    }

    /// Whether the caller is still who it was: a token may be revoked while its stream is open.
    async fn may_go_on(&self) -> bool {
        let authenticator = self.state.authenticator();
        let found = authenticator.authenticate(&self.headers, self.source).await;
        matches!(found, Ok(Caller { scopes, .. }) if scopes.allow(Scope::EventsRead))
    }

    fn take(&mut self, found: Vec<(u64, Event)>) {
        for (position, event) in found {
            if !self.query.wants(&event) {
                continue;
            }
            let Ok(data) = self.query.format.of(&event) else {
                tracing::error!(position, "an event has no JSON form");
                continue;
            };
            match SseEvent::default()
                .id(position.to_string())
                .event(event.kind.name())
                .json_data(&data)
            {
                Ok(event) => self.waiting.push_back(event),
                Err(error) => tracing::error!(%error, position, "an event has no JSON form"),
            }
        }
    }
}
