//! The messages of one device as they pass: a stream, or what passes in some seconds. Who may see that they pass and who
//! may read them are two rights. Each watching is on the ledger before anything is shown.

mod stream;

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use palisade_core::{
    AdministrativeAct, DeviceId, Door, Event, EventId, EventKind, Outcome, Timestamp,
};
use palisade_gateway::{Passed, Watching, Way};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;
use zeroize::Zeroizing;

use self::stream::stream_messages;
use super::{
    PeopleState,
    access::Scope,
    access_log::Told,
    asker::Asker,
    devices::known_device,
    extract::{Path, Query},
    routes::Routes,
    schema,
    target::Hidden,
    whole::Whole,
};
use crate::problem::{Problem, ProblemKind};

/// Bytes of a payload that are shown.
const MAX_PAYLOAD: usize = 4 * 1024;
/// Bytes of a payload that are looked at where something of it is hidden; a larger one is withheld.
const MAX_MASKED: usize = 16 * 1024;
/// Messages that an answer in one piece holds at most.
const MAX_SAMPLE: usize = 200;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(WATCH.scope, WATCH.action, routes!(watch_messages))
        .read(READ.scope, READ.action, routes!(read_messages))
}

/// One of the two rights.
#[derive(Debug, Clone, Copy)]
struct Right {
    scope: Scope,
    action: &'static str,
    /// Bytes of each payload that are shown; `None` shows none.
    payload: Option<usize>,
}

const WATCH: Right = Right {
    scope: Scope::MessagesWatch,
    action: "message.watch",
    payload: None,
};
const READ: Right = Right {
    scope: Scope::MessagesRead,
    action: "message.read",
    payload: Some(MAX_PAYLOAD),
};

/// For how long messages are taken.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WatchQuery {
    /// For how many seconds messages are taken where the answer is no stream.
    #[serde(default)]
    #[param(inline, value_type = Option<Whole<1, 5>>)]
    seconds: Option<Whole<1, 5>>,
}

/// Which way a message went.
#[derive(ToSchema)]
#[schema(as = MessageWay, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for the gateway's type")]
pub(crate) enum WayDoc {
    /// The device published it, and policy let it.
    Published,
    /// It was sent to the device.
    Delivered,
}

/// A message that passed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PassedMessage)]
pub(crate) struct PassedView {
    /// When.
    #[schema(value_type = schema::Time)]
    at: Timestamp,
    /// Which way.
    #[schema(value_type = WayDoc)]
    way: Way,
    /// On which topic.
    topic: String,
    /// With which quality of service.
    #[schema(minimum = 0, maximum = 2)]
    qos: u8,
    /// Whether with the retain flag.
    retain: bool,
    /// Bytes of its payload.
    #[schema(minimum = 0)]
    size: u64,
    /// The payload in base64, the first 4096 bytes of it; null for who may not read it.
    #[schema(value_type = Option<String>)]
    payload_base64: Option<String>,
    /// Whether the payload is withheld: the caller's role hides something of payloads, and this one cannot be looked into.
    withheld: bool,
}

impl PassedView {
    /// As whoever watches may see it.
    fn of(passed: Passed, state: &PeopleState, Hidden(mask): &Hidden) -> Self {
        let is_whole = |bytes: &Vec<u8>| bytes.len() == passed.size;
        let had_payload = passed.payload.is_some();
        let salt = state.parts().people.mask_salt();
        let topic = passed.topic.as_str();
        let shown = match passed.payload {
            None => None,
            Some(bytes) if mask.is_empty() => Some(Zeroizing::new(bytes)),
            Some(bytes) if is_whole(&bytes) => mask.apply(topic, &bytes, salt),
            Some(_) => None,
        };
        Self {
            at: passed.at,
            way: passed.way,
            topic: passed.topic.as_str().to_owned(),
            qos: passed.qos,
            retain: passed.retain,
            size: passed.size as u64,
            withheld: had_payload && shown.is_none(),
            payload_base64: shown
                .map(|bytes| BASE64_STANDARD.encode(&bytes[..bytes.len().min(MAX_PAYLOAD)])),
        }
    }
}

/// What passed in some seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageSample {
    /// The messages, the oldest first.
    items: Vec<PassedView>,
    /// Messages that are not among them because there were too many.
    #[schema(minimum = 0)]
    skipped: u64,
    /// Messages among them whose payload is withheld.
    #[schema(minimum = 0)]
    withheld: usize,
}

/// Watches the messages of a device, without what is in them.
///
/// With `Accept: text/event-stream` it is a stream: `message` events with a `PassedMessage` each, `skipped` with how many
/// were left out because there were more than 50 in a second, and `end` with why it ends. Each watching is on the ledger.
#[utoipa::path(
    get,
    path = "/api/v1/devices/{id}/messages",
    tag = "messages",
    params(("id" = schema::DeviceId, Path, description = "The device."), WatchQuery),
    responses((
        status = 200,
        description = "Messages.",
        content((MessageSample = "application/json"), (String = "text/event-stream"))
    ))
)]
async fn watch_messages(
    State(state): State<PeopleState>,
    asker: Asker,
    Path(device): Path<DeviceId>,
    Query(query): Query<WatchQuery>,
) -> Result<Response, Problem> {
    let asked = Asked { asker, device };
    answer(state, WATCH, asked, query).await
}

/// Watches the messages of a device, with what is in them.
///
/// As for the messages without, and with the first 4096 bytes of each payload. Where the policy that lets the caller read has a
/// `@mask`, payloads come masked, or not at all.
#[utoipa::path(
    get,
    path = "/api/v1/devices/{id}/messages/payloads",
    tag = "messages",
    params(("id" = schema::DeviceId, Path, description = "The device."), WatchQuery),
    responses((
        status = 200,
        description = "Messages.",
        content((MessageSample = "application/json"), (String = "text/event-stream"))
    ))
)]
async fn read_messages(
    State(state): State<PeopleState>,
    asker: Asker,
    Path(device): Path<DeviceId>,
    Query(query): Query<WatchQuery>,
) -> Result<Response, Problem> {
    let asked = Asked { asker, device };
    answer(state, READ, asked, query).await
}

/// Who asks for which device.
struct Asked {
    asker: Asker,
    device: DeviceId,
}

impl Asked {
    fn wants_stream(&self) -> bool {
        let accepted = self.asker.headers.get_all(header::ACCEPT).iter();
        accepted
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.contains("text/event-stream"))
    }
}

async fn answer(
    state: PeopleState,
    right: Right,
    asked: Asked,
    query: WatchQuery,
) -> Result<Response, Problem> {
    known_device(&state, &asked.device).await?;
    let gateway = &state.parts().gateway;
    // What is masked is looked into whole.
    let payload = match asked.asker.hidden.0.is_empty() {
        true => right.payload,
        false => right.payload.map(|_| MAX_MASKED),
    };
    let watching = gateway.watch(&asked.device, payload);
    let watching = watching
        .map_err(|error| Problem::new(ProblemKind::TooMany, error.to_string()).retry_after(5))?;
    let told = record(&state, right, &asked).await?;
    let mut response = match asked.wants_stream() {
        true => stream_messages(state, right, asked, watching),
        false => {
            let seconds = query.seconds.map_or(1, |seconds| seconds.value());
            let sample = sample(
                &state,
                (watching, &asked.asker.hidden),
                Duration::from_secs(seconds.into()),
            )
            .await;
            Json(sample).into_response()
        }
    };
    response.extensions_mut().insert(Told(told));
    Ok(response)
}

/// Writes down that somebody watches; where that cannot be, nothing is shown.
async fn record(state: &PeopleState, right: Right, asked: &Asked) -> Result<EventId, Problem> {
    let act = AdministrativeAct {
        actor: asked.asker.caller.actor(),
        act: right.action.to_owned(),
        target: asked.device.to_string(),
        reason: None,
        outcome: Outcome::Done,
    };
    let parts = state.parts();
    let mut event = Event::new(
        parts.clock.now(),
        Door::Rest,
        EventKind::Administrative(act),
    );
    event.principal = Some(asked.device.clone().into());
    event.source = asked.asker.source.0;
    let id = event.id;
    parts.journal.record(vec![event]).await.map_err(|error| {
        Problem::unavailable(
            "it could not be written down that you watch, so nothing is shown; try again",
            &error,
        )
    })?;
    Ok(id)
}

async fn sample(
    state: &PeopleState,
    (mut watching, hidden): (Watching, &Hidden),
    time: Duration,
) -> MessageSample {
    let (closing, end) = (state.closing().clone(), Instant::now() + time);
    let mut items: Vec<PassedView> = Vec::new();
    while items.len() < MAX_SAMPLE {
        let found = tokio::select! {
            () = closing.cancelled() => break,
            () = tokio::time::sleep_until(end) => break,
            found = watching.next(MAX_SAMPLE - items.len()) => found,
        };
        if found.is_empty() {
            break;
        }
        let found = found.into_iter();
        items.extend(found.map(|passed| PassedView::of(passed, state, hidden)));
    }
    MessageSample {
        withheld: items.iter().filter(|item| item.withheld).count(),
        items,
        skipped: watching.skipped(),
    }
}
