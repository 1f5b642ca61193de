//! What happened: in parts, or as it happens (server-sent events).

mod query;
mod stream;

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use palisade_core::Event;
use palisade_store::StoredEvent;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

pub use self::query::KINDS;
use self::{
    query::{EventFormat, EventQuery, KindName, Order},
    stream::stream_events,
};
use super::{
    PeopleState, access::Scope, extract::Query, gate::Source, page::Position, routes::Routes,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default().read(Scope::EventsRead, "event.list", routes!(list_events))
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

/// An event in the form of OCSF 1.3. Besides these it has what its class has.
#[derive(ToSchema)]
#[schema(as = OcsfEvent)]
#[expect(dead_code, reason = "stands in the document for what the ledger makes")]
pub(crate) struct OcsfDoc {
    /// Its class (`2004`: Detection Finding).
    class_uid: u32,
    /// What happened, within the class.
    activity_id: u32,
    /// The class and the activity.
    type_uid: u64,
    /// When, in milliseconds since 1970.
    time: i64,
    /// 1 (informational) to 5 (critical).
    severity_id: u32,
    /// In one sentence.
    message: String,
}

/// An event in the form that was asked for.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "stands in the document for a value of JSON")]
pub(crate) enum EitherEvent {
    /// As the stream has it.
    Native(EventDoc),
    /// In the form of OCSF.
    Ocsf(OcsfDoc),
}

/// An event on the stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StreamedEvent)]
pub(crate) struct EventView {
    /// Its position; later events have higher ones.
    #[schema(minimum = 0)]
    position: u64,
    /// The event.
    #[schema(value_type = EitherEvent)]
    event: serde_json::Value,
}

impl EventView {
    pub(super) fn of(stored: &StoredEvent) -> Result<Self, Problem> {
        Self::in_form(stored, EventFormat::Native)
    }

    fn in_form(stored: &StoredEvent, format: EventFormat) -> Result<Self, Problem> {
        let unreadable = |error| Problem::internal(&error);
        let event = match format {
            EventFormat::Native => serde_json::from_str(&stored.body).map_err(unreadable)?,
            EventFormat::Ocsf => {
                let event: Event = serde_json::from_str(&stored.body).map_err(unreadable)?;
                format.of(&event)?
            }
        };
        Ok(Self {
            position: stored.position,
            event,
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

/// Lists events, from either end of the stream, or streams them as they happen.
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
    let after = query.after.or(resumed);
    let filter = query.filter();
    let size = query.limit.0;
    let journal = state.store().journal();
    let mut found = match query.order {
        Order::Oldest => {
            let after = after.unwrap_or_default();
            journal.events_after(after.0, size + 1, &filter).await?
        }
        Order::Newest => {
            let before = after.map_or(u64::MAX, |after| after.0);
            journal.events_before(before, size + 1, &filter).await?
        }
    };
    let more = found.len() > size as usize;
    found.truncate(size as usize);
    let last = found.last().filter(|_| more);
    let next = last.map(|last| last.position.to_string());
    let form = |stored| EventView::in_form(stored, query.format);
    let items = found.iter().map(form);
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
