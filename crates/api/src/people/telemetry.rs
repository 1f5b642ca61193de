//! What devices sent and the vault keeps. Reading it is an act: it needs a purpose, is in the ledger before the
//! answer leaves, and is bounded in how much somebody reads within a minute.

mod book;
mod export;
mod file_key;

use std::time::Duration;

use axum::{Extension, Json, extract::State};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use palisade_core::{DeviceId, Timestamp, TopicFilter};
use palisade_keys::WrapError;
use palisade_store::ObjectState;
use palisade_vault::{Found, KeyError, Query as Wanted, Row, VaultError, Wiped};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

pub(crate) use self::book::ExportBook;
use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    auth::Caller,
    devices::known_device,
    extract::{JsonBody, NoParameters, Path, Query},
    routes::Routes,
    schema,
    target::Hidden,
    text::Line,
    tokens::present,
};
use crate::problem::{Problem, ProblemKind};

/// The most messages of one answer.
const MAX_LIMIT: usize = 1_000;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(
            Scope::StatusRead,
            "telemetry.status",
            routes!(get_telemetry_status),
        )
        .write(
            Scope::TelemetryRead,
            "telemetry.read",
            routes!(read_telemetry),
        )
        .and(export::routes())
        .and(file_key::routes())
}

/// Which messages of a device are wanted, and for what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "purpose": "case 01K0ZJ5D0G0000000000000000", "topics": "devices/+/telemetry/#" }))]
pub(crate) struct TelemetryRequest {
    /// What they are read for; it is recorded.
    #[schema(value_type = Line<3, 500>)]
    purpose: Line<3, 500>,
    /// At this time or later.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schema::Time>, nullable = false)]
    from: Option<Timestamp>,
    /// Before this time.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schema::Time>, nullable = false)]
    until: Option<Timestamp>,
    /// Only those to topics that this filter matches.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schema::TopicFilter>, nullable = false)]
    topics: Option<TopicFilter>,
    /// Go on behind the last answer: its `next`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, pattern = "^[0-9]{1,19}-[0-9]{1,20}$")]
    after: Option<Behind>,
    /// The most messages of the answer.
    #[serde(default = "default_limit")]
    #[schema(minimum = 1, maximum = 1_000)]
    limit: usize,
}

fn default_limit() -> usize {
    100
}

/// Behind which message: its time in nanoseconds since 1970, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Behind(i64, u64);

impl<'de> Deserialize<'de> for Behind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = text
            .split_once('-')
            .and_then(|(at, number)| Some(Self(at.parse().ok()?, number.parse().ok()?)));
        parsed.ok_or_else(|| serde::de::Error::custom("this is no `next` of an answer"))
    }
}

/// A kept message. What it says is `payload` where that is text, `payload_base64` otherwise, and neither where it is withheld.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeptMessage)]
pub(crate) struct RowView {
    /// Its number in the vault.
    number: u64,
    /// When it came.
    #[schema(value_type = schema::Time)]
    at: Timestamp,
    /// What the device was an example of then.
    product: String,
    /// Where it was published to.
    topic: String,
    /// Quality of service, 0 to 2.
    #[schema(minimum = 0, maximum = 2)]
    qos: u8,
    /// Whether the device asked to retain it.
    retain: bool,
    /// Whether what it says is withheld: the caller's role hides something of payloads, and this one cannot be looked into.
    withheld: bool,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    payload: Option<String>,
    /// What it says, in base64 (RFC 4648, section 4).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    payload_base64: Option<String>,
}

impl From<&Row> for RowView {
    fn from(row: &Row) -> Self {
        let shown = row.shown();
        let text = shown.and_then(|bytes| std::str::from_utf8(bytes).ok());
        Self {
            number: row.number,
            at: row.time(),
            product: row.product.to_string(),
            topic: row.topic.to_string(),
            qos: row.qos,
            retain: row.retain,
            withheld: row.withheld,
            payload_base64: match text {
                Some(_) => None,
                None => shown.map(|bytes| BASE64.encode(bytes)),
            },
            payload: text.map(str::to_owned),
        }
    }
}

/// Messages of a device, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TelemetryPage {
    /// The messages.
    items: Vec<RowView>,
    /// Where they go on: `after` of the next request. Null where there was nothing after this page.
    next: Option<String>,
    /// Messages among them whose payload is withheld.
    #[schema(minimum = 0)]
    withheld: usize,
}

impl From<Found> for TelemetryPage {
    fn from(found: Found) -> Self {
        let last = found.rows.last().filter(|_| found.has_more);
        Self {
            next: last.map(|row| format!("{}-{}", row.at, row.number)),
            withheld: found.rows.iter().filter(|row| row.withheld).count(),
            items: found.rows.iter().map(RowView::from).collect(),
        }
    }
}

/// Reads messages of a device that the vault keeps.
///
/// It is an act: the purpose, the device and how many messages were read are in the ledger before the answer leaves. Each
/// reading is one of its own: an `Idempotency-Key` has no effect here. An answer has about two megabytes of messages at the most,
/// and no more messages than the caller may still read within the minute.
/// Where the policy that lets the caller read has a `@mask`, payloads come masked, or not at all.
#[utoipa::path(
    post,
    path = "/api/v1/devices/{id}/telemetry",
    tag = "telemetry",
    params(("id" = schema::DeviceId, Path, description = "The device.")),
    request_body = TelemetryRequest,
    responses((status = 200, description = "Messages, the oldest first.", body = TelemetryPage))
)]
async fn read_telemetry(
    State(state): State<PeopleState>,
    Path(id): Path<DeviceId>,
    Query(NoParameters {}): Query<NoParameters>,
    Extension(hidden): Extension<Hidden>,
    caller: Caller,
    JsonBody(request): JsonBody<TelemetryRequest>,
) -> Result<Done<TelemetryPage>, Problem> {
    if !(1..=MAX_LIMIT).contains(&request.limit) {
        return Err(Problem::invalid(format!(
            "limit is {}: say a number from 1 to {MAX_LIMIT}",
            request.limit
        )));
    }
    // Of a device that is removed from the inventory, what was kept can still be read by whoever may read everywhere.
    known_device(&state, &id).await?;
    let vault = &state.parts().vault;
    let reading = vault.may_read(&caller.name, request.limit);
    let reading = reading.map_err(too_many)?;
    let wanted = Wanted {
        device: id.clone(),
        from_at: request.from.map(nanos),
        until_at: request.until.map(nanos),
        topics: request.topics,
        after: request.after.map(|Behind(at, number)| (at, number)),
        limit: reading.most(),
    };
    let mut found = vault.read(&wanted).await?;
    hide(&state, &hidden, &mut found);
    reading.has_read(found.rows.len());
    let target = told(&wanted, &found, "");
    let page = TelemetryPage::from(found);
    Ok(Done::changed(target, page)
        .because(Some(request.purpose))
        .about(id))
}

/// Masks what was found for whoever reads it.
fn hide(state: &PeopleState, Hidden(mask): &Hidden, found: &mut Found) {
    if mask.is_empty() {
        return;
    }
    let salt = state.parts().people.mask_salt();
    for row in &mut found.rows {
        match mask.apply(&row.topic, &row.payload, salt) {
            Some(shown) => row.payload = shown.into(),
            None => {
                row.withheld = true;
                row.payload = Wiped::default();
            }
        }
        row.properties = Wiped::default();
    }
}

/// Who has read much waits.
fn too_many(wait: Duration) -> Problem {
    let detail = "you have read as many messages as one may within a minute; go on later";
    Problem::new(ProblemKind::TooMany, detail).retry_after(wait.as_secs().max(1))
}

/// Nanoseconds since 1970.
fn nanos(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX)
}

/// What the ledger says was read.
fn told(wanted: &Wanted, found: &Found, how: &str) -> String {
    let mut target = format!("{}: {} messages", wanted.device, found.rows.len());
    if let (Some(first), Some(last)) = (found.rows.first(), found.rows.last()) {
        target.push_str(&format!(" from {} to {}", first.time(), last.time()));
    }
    let withheld = found.rows.iter().filter(|row| row.withheld).count();
    if withheld > 0 {
        target.push_str(&format!(", {withheld} of them without payload"));
    }
    target.push_str(how);
    if let Some(topics) = &wanted.topics {
        target.push_str(&format!(" of {topics}"));
    }
    target
}

/// What the vault holds, and how it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TelemetryStatus {
    /// Whether messages cannot be kept now: devices are refused then.
    is_failing: bool,
    /// The number of the last message that is durable.
    messages: u64,
    /// Files of the log that are not in sealed files yet.
    log_files: usize,
    /// Sealed files.
    sealed_files: usize,
    /// Messages in them.
    sealed_messages: u64,
    /// How large they are, in bytes.
    sealed_bytes: u64,
    /// When the oldest message in them came.
    #[schema(value_type = Option<schema::Time>)]
    oldest_at: Option<Timestamp>,
}

/// What the vault holds, and how it is.
#[utoipa::path(
    get,
    path = "/api/v1/telemetry",
    tag = "telemetry",
    responses((status = 200, description = "How it is.", body = TelemetryStatus))
)]
async fn get_telemetry_status(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<TelemetryStatus>, Problem> {
    let vault = &state.parts().vault;
    let objects = state.store().vault().objects_in(ObjectState::Live).await?;
    let oldest = objects.iter().map(|object| object.from_at).min();
    Ok(Json(TelemetryStatus {
        is_failing: vault.is_failing(),
        messages: vault.newest(),
        log_files: vault.log_files(),
        sealed_files: objects.len(),
        sealed_messages: objects.iter().map(|object| object.rows).sum(),
        sealed_bytes: objects.iter().map(|object| object.bytes).sum(),
        oldest_at: oldest.and_then(|at| Timestamp::from_nanosecond(i128::from(at)).ok()),
    }))
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Store(error) => error.into(),
            VaultError::Journal(error) => error.into(),
            VaultError::Held(_) => Self::conflict(error),
            VaultError::Objects(_) | VaultError::Left { .. } => Self::unavailable(
                "the object store of sealed files does not do what it should; the server's log says more. Run it again",
                &error,
            ),
            VaultError::Sealed(ref sealed) if sealed.may_pass() => Self::unavailable(
                "the object store of sealed files does not answer; try again",
                &error,
            ),
            VaultError::Away(_) | VaultError::Key(KeyError::Wrap(WrapError::Away { .. })) => {
                Self::unavailable(
                    "the root key of the vault cannot be used now; the server's log says more. Run it again",
                    &error,
                )
            }
            VaultError::Log(ref fault) if fault.may_pass() => {
                Self::unavailable("the vault cannot be read now; try again", &error)
            }
            VaultError::Io(_) => {
                Self::unavailable("the vault cannot be read now; try again", &error)
            }
            // A part is never given for the whole.
            VaultError::Sealed(_)
            | VaultError::Log(_)
            | VaultError::Key(_)
            | VaultError::Open(_) => Self::internal(&error),
        }
    }
}
