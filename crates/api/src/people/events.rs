//! What happened: in parts, or as it happens (server-sent events).

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, header},
    response::{
        IntoResponse, Response,
        sse::{Event as SseEvent, KeepAlive, Sse},
    },
};
use futures_util::{Stream, stream};
use palisade_bus::Tail;
use palisade_core::Event;
use palisade_store::{EventFilter, StoredEvent};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Interval, MissedTickBehavior},
};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    auth::Caller,
    extract::Query,
    gate::Source,
    page::{Limit, Position},
    routes::Routes,
};
use crate::problem::{Problem, ProblemKind};

/// Events that are read from the stream at a time.
const BATCH: u32 = 256;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often it is asked whether the credentials of an open stream are still valid.
const ASK_AGAIN: Duration = Duration::from_secs(10);
const KINDS: [&str; 17] = [
    "admitted",
    "refused",
    "disconnected",
    "denied",
    "limit_exceeded",
    "subscribed",
    "publish_statistics",
    "registered",
    "enrolled",
    "renewed",
    "certificate_revoked",
    "crl_issued",
    "posture_changed",
    "agent_report",
    "found",
    "responded",
    "administrative",
];

pub(super) fn routes() -> Routes {
    Routes::default().read(Scope::EventsRead, routes!(list_events))
}

/// The name of a kind of event.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct KindName(String);

impl TryFrom<String> for KindName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match KINDS.contains(&name.as_str()) {
            true => Ok(Self(name)),
            false => Err(format!(
                "there is no such kind; there are {}",
                KINDS.join(", ")
            )),
        }
    }
}

impl PartialSchema for KindName {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(KINDS))
            .into()
    }
}

impl ToSchema for KindName {
    fn name() -> std::borrow::Cow<'static, str> {
        "EventKind".into()
    }
}

/// The name of a principal: `device/<id>` or `service/<id>`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct PrincipalName(String);

impl TryFrom<String> for PrincipalName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let is_valid = match name.split_once('/') {
            Some(("device", id)) => palisade_core::DeviceId::parse(id).is_ok(),
            Some(("service", id)) => palisade_core::ServiceId::parse(id).is_ok(),
            _ => false,
        };
        match is_valid {
            true => Ok(Self(name)),
            false => Err("a principal is written device/<id> or service/<id>"),
        }
    }
}

/// Which events are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventQuery {
    /// Only those of this kind.
    #[param(inline, value_type = Option<KindName>)]
    kind: Option<KindName>,
    /// Only those about this principal: `device/<id>` or `service/<id>`.
    #[param(value_type = Option<String>,
        pattern = "^(device|service)/[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", example = "device/cam-0001")]
    principal: Option<PrincipalName>,
    /// Only those after this position. Where it is absent a list begins with the oldest event, and a
    /// stream with the next.
    #[param(inline, value_type = Option<Position>)]
    after: Option<Position>,
    /// The most events of a list.
    #[serde(default)]
    #[param(inline, value_type = Option<Limit>)]
    limit: Limit,
}

/// An event. Besides these it has what its kind has.
#[derive(ToSchema)]
#[schema(as = Event)]
#[expect(dead_code, reason = "stands in the document for core's type")]
pub(crate) struct EventDoc {
    /// Its name (ULID).
    id: String,
    /// When.
    #[schema(value_type = super::schema::Time)]
    time: String,
    /// Where: `mqtt`, `device_https`, `rest` or `internal`.
    door: String,
    /// About whom, if about a principal.
    #[schema(value_type = Option<super::schema::Principal>)]
    principal: Option<String>,
    /// From which address, if from outside.
    source: Option<String>,
    /// What.
    #[schema(value_type = KindName)]
    kind: String,
}

/// An event on the stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StreamedEvent)]
pub(crate) struct EventView {
    /// Its position; later events have higher ones.
    #[schema(minimum = 0)]
    position: u64,
    /// The event.
    #[schema(value_type = EventDoc)]
    event: serde_json::Value,
}

impl EventView {
    pub(super) fn of(stored: &StoredEvent) -> Result<Self, Problem> {
        let event = serde_json::from_str(&stored.body);
        Ok(Self {
            position: stored.position,
            event: event.map_err(|error| Problem::internal(&error))?,
        })
    }
}

/// A part of the stream.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventPage {
    /// The events.
    items: Vec<EventView>,
    /// Where the list goes on: `after` of the next request. Null where there was nothing after this page.
    next: Option<String>,
}

/// Lists events, oldest first, or streams them as they happen.
///
/// With `Accept: text/event-stream` the answer is a stream of server-sent events: `id` is the position,
/// `event` the kind, `data` the event in JSON. A client that comes back with `Last-Event-ID` misses none.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    tag = "events",
    params(
        EventQuery,
        ("Last-Event-ID" = inline(Option<Position>), Header, description = "The position that a stream goes on \
            after; `after` in the query counts for less.")
    ),
    responses((
        status = 200,
        description = "Events.",
        content((EventPage = "application/json"), (String = "text/event-stream"))
    ))
)]
async fn list_events(
    State(state): State<PeopleState>,
    Extension(source): Extension<Source>,
    headers: HeaderMap,
    Query(query): Query<EventQuery>,
) -> Result<Response, Problem> {
    let resumed = last_event_id(&headers)?;
    let wants_stream = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/event-stream"));
    if wants_stream {
        let after = resumed.or(query.after);
        return stream_events(state, headers, source, query, after).await;
    }
    let after = query.after.or(resumed).unwrap_or_default();
    let filter = EventFilter {
        kind: query.kind.map(|kind| kind.0),
        principal: query.principal.map(|principal| principal.0),
    };
    let size = query.limit.0;
    let journal = state.store().journal();
    let mut found = journal.events_after(after.0, size + 1, &filter).await?;
    let more = found.len() > size as usize;
    found.truncate(size as usize);
    let last = found.last().filter(|_| more);
    let next = last.map(|last| last.position.to_string());
    let items = found.iter().map(EventView::of);
    let items = items.collect::<Result<_, Problem>>()?;
    Ok(Json(EventPage { items, next }).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let position = value.to_str().ok().and_then(|text| text.parse().ok());
    let position = position.and_then(|number: u64| Position::try_from(number).ok());
    match position {
        Some(position) => Ok(Some(position)),
        None => Err(Problem::bad_request("Last-Event-ID: this is no position")),
    }
}

async fn stream_events(
    state: PeopleState,
    headers: HeaderMap,
    Source(source): Source,
    query: EventQuery,
    after: Option<Position>,
) -> Result<Response, Problem> {
    let Ok(permit) = state.inner.streams.clone().try_acquire_owned() else {
        let detail = "too many streams of events are open: try again later";
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
        kind: query.kind.map(|kind| kind.0),
        principal: query.principal.map(|principal| principal.0),
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
    kind: Option<String>,
    principal: Option<String>,
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
            let is_wanted = self
                .kind
                .as_deref()
                .is_none_or(|kind| kind == event.kind.name())
                && self.principal.as_deref().is_none_or(|wanted| {
                    let principal = event.principal.as_ref();
                    principal.is_some_and(|principal| principal.to_string() == wanted)
                });
            if !is_wanted {
                continue;
            }
            match SseEvent::default()
                .id(position.to_string())
                .event(event.kind.name())
                .json_data(&event)
            {
                Ok(event) => self.waiting.push_back(event),
                Err(error) => tracing::error!(%error, position, "an event has no JSON form"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use palisade_core::{EventKind, Serial};

    use super::*;

    #[test]
    fn the_kinds_are_those_that_events_have() {
        let serial: Serial = "01".parse().expect("a serial");
        for kind in [
            EventKind::Refused {
                reason: String::new(),
                count: 1,
            },
            EventKind::CrlIssued {
                number: 1,
                entries: 0,
            },
            EventKind::Enrolled {
                serial,
                token: None,
            },
        ] {
            assert!(KINDS.contains(&kind.name()), "{}", kind.name());
        }
    }
}
