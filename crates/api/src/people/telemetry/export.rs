//! Messages as a file, streamed. Each part of it is read under the rights, the bounds and the entry in the ledger that a
//! page of its own would have; where one of them fails, the answer breaks off and is no whole file.

use std::{io, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use palisade_core::{
    AdministrativeAct, DeviceId, Door, Event, EventId, EventKind, Outcome, Timestamp, TopicFilter,
};
use palisade_vault::{
    ExportError, Exporter, Form, Found, MAX_LIMIT, MAX_RECIPIENTS, Query as Wanted, Reading,
    Recipient, Vault,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    super::{
        PeopleState,
        access::Scope,
        acts::Done,
        asker::Asker,
        auth::Caller,
        devices::known_device,
        extract::{JsonBody, NoParameters, Path, Query},
        routes::Routes,
        schema,
        text::Line,
        tokens::present,
    },
    book::Entry,
    hide, nanos, told, too_many,
};
use crate::problem::Problem;

const EXPORT: (&str, Scope) = ("telemetry.export", Scope::TelemetryRead);

/// The media type of what is sealed.
const SEALED: &str = "application/octet-stream";
/// How long is waited at once until more may be read: not for nothing, and not long after it may.
const WAIT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// Names the export, for the question how it went.
const NAME: HeaderName = HeaderName::from_static("palisade-export");

pub(super) fn routes() -> Routes {
    Routes::default()
        .write(EXPORT.1, EXPORT.0, routes!(export_telemetry))
        .read(
            Scope::TelemetryRead,
            "telemetry.read_export",
            routes!(get_telemetry_export),
        )
}

/// Which messages of a device are wanted as a file, in which form, and for what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "purpose": "data request 7/2027", "format": "parquet" }))]
pub(crate) struct ExportRequest {
    /// What they are read for; it is recorded.
    #[schema(value_type = Line<3, 500>)]
    purpose: Line<3, 500>,
    /// In which form.
    #[serde(default)]
    format: Format,
    /// Public keys of age (`age1...`): the file is sealed for whoever holds one of the secret ones, before a byte leaves.
    #[serde(default)]
    #[schema(max_items = 5)]
    recipients: Vec<String>,
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
}

/// In which form messages are written out. All have the same columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TelemetryFormat)]
pub(crate) enum Format {
    /// A JSON object a line.
    #[default]
    Ndjson,
    /// Comma-separated values with a head (RFC 4180); payloads in base64.
    Csv,
    /// A stream of Arrow IPC.
    Arrow,
    /// Parquet.
    Parquet,
}

impl From<Format> for Form {
    fn from(format: Format) -> Self {
        match format {
            Format::Ndjson => Self::Ndjson,
            Format::Csv => Self::Csv,
            Format::Arrow => Self::Arrow,
            Format::Parquet => Self::Parquet,
        }
    }
}

/// Writes messages of a device out as a file.
///
/// The answer is streamed, about two megabytes of messages at a time. Each part is an entry in the ledger before it leaves, and
/// counts as read; who has read as much as one may within a minute waits. Where a part cannot be read or recorded, or the
/// right to read has ended, the answer breaks off: what came is no whole file. `Palisade-Export` names the export.
#[utoipa::path(
    post,
    path = "/api/v1/devices/{id}/telemetry/export",
    tag = "telemetry",
    params(("id" = schema::DeviceId, Path, description = "The device.")),
    request_body = ExportRequest,
    responses((
        status = 200,
        description = "The file; sealed, an age file, where there are recipients.",
        headers(("Palisade-Export" = String, description = "The name of the export.")),
        content(
            (String = "application/x-ndjson"),
            (String = "text/csv"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
            (Vec<u8> = "application/vnd.apache.parquet"),
            (Vec<u8> = "application/octet-stream")
        )
    ))
)]
async fn export_telemetry(
    State(state): State<PeopleState>,
    Path(id): Path<DeviceId>,
    Query(NoParameters {}): Query<NoParameters>,
    asker: Asker,
    JsonBody(request): JsonBody<ExportRequest>,
) -> Result<Response, Problem> {
    let form = Form::from(request.format);
    let recipients = recipients_of(&request.recipients)?;
    known_device(&state, &id).await?;
    let vault = state.parts().vault.clone();
    let reading = vault.may_read(&asker.caller.name, MAX_LIMIT);
    let reading = reading.map_err(too_many)?;
    let begun = Exporter::begin(form, &recipients);
    let mut export = Export {
        wanted: Wanted {
            device: id.clone(),
            from_at: request.from.map(nanos),
            until_at: request.until.map(nanos),
            topics: request.topics,
            after: None,
            limit: MAX_LIMIT,
        },
        entry: Entry {
            id: EventId::generate(),
            reader: asker.caller.name.clone(),
            device: id.clone(),
            messages: 0,
            withheld: 0,
            is_whole: false,
        },
        exporter: Some(begun.map_err(|error| Problem::internal(&error))?),
        how: how(form, &recipients),
        has_more: true,
        ready: Vec::new(),
        purpose: request.purpose.to_string(),
        state,
        asker,
    };
    let first = export.read(reading).await?;
    let target = export.told(&first);
    export
        .take(&first)
        .map_err(|error| Problem::internal(&error))?;
    let (purpose, name) = (export.purpose.clone(), export.entry.id.to_string());
    let mut response = Body::from_stream(export.bytes()).into_response();
    let media_type = match recipients.is_empty() {
        true => form.media_type(),
        false => SEALED,
    };
    let answered = response.headers_mut();
    answered.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Ok(name) = HeaderValue::try_from(name) {
        answered.insert(NAME, name);
    }
    Ok(Done::silently(target)
        .because(Some(purpose))
        .about(id)
        .answered(response))
}

fn recipients_of(texts: &[String]) -> Result<Vec<Recipient>, Problem> {
    if texts.len() > MAX_RECIPIENTS {
        return Err(Problem::invalid(format!(
            "an export has at most {MAX_RECIPIENTS} recipients"
        )));
    }
    let parsed = texts.iter().enumerate().map(|(at, text)| {
        text.parse()
            .map_err(|error| Problem::invalid(format!("recipients[{at}]: {error}")))
    });
    parsed.collect()
}

/// What the ledger says of the form.
fn how(form: Form, recipients: &[Recipient]) -> String {
    let mut how = format!(" as {}", form.as_str());
    for (at, recipient) in recipients.iter().enumerate() {
        let before = if at == 0 { ", sealed for" } else { "," };
        how.push_str(&format!("{before} {recipient}"));
    }
    how
}

/// An export that is on its way.
struct Export {
    state: PeopleState,
    asker: Asker,
    purpose: String,
    how: String,
    wanted: Wanted,
    exporter: Option<Exporter>,
    has_more: bool,
    ready: Vec<u8>,
    entry: Entry,
}

impl Export {
    fn bytes(self) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
        stream::try_unfold(self, |mut export| async move {
            let part = export.next().await.map_err(|why| {
                tracing::warn!(device = %export.entry.device, why, "an export was broken off");
                io::Error::other(why)
            })?;
            Ok(part.map(|part| (Bytes::from(part), export)))
        })
    }

    /// The next bytes of the file; `None` behind its end.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            if !self.ready.is_empty() {
                return Ok(Some(std::mem::take(&mut self.ready)));
            }
            if self.has_more {
                self.go_on().await?;
                continue;
            }
            let Some(exporter) = self.exporter.take() else {
                return Ok(None);
            };
            self.ready = exporter.finish().map_err(|error| error.to_string())?;
            self.entry.is_whole = true;
            self.keep_book();
        }
    }

    /// Reads the next part, as somebody would who asks for it anew.
    async fn go_on(&mut self) -> Result<(), String> {
        let vault = self.state.parts().vault.clone();
        let reading = self.wait(&vault).await?;
        self.may_still().await?;
        let found = self
            .read(reading)
            .await
            .map_err(|problem| problem.detail().to_owned())?;
        self.record(&found).await?;
        self.take(&found).map_err(|error| error.to_string())
    }

    /// Waits until the reader may read more.
    async fn wait<'a>(&self, vault: &'a Vault) -> Result<Reading<'a>, String> {
        let closing = self.state.closing().clone();
        loop {
            let wait = match vault.may_read(&self.asker.caller.name, MAX_LIMIT) {
                Ok(reading) => return Ok(reading),
                Err(wait) => wait,
            };
            tokio::select! {
                () = closing.cancelled() => return Err("the server stops".to_owned()),
                () = tokio::time::sleep(wait.clamp(WAIT.0, WAIT.1)) => {}
            }
        }
    }

    async fn may_still(&mut self) -> Result<(), String> {
        let device = &self.wanted.device;
        match self.asker.may_still(&self.state, EXPORT, device).await {
            true => Ok(()),
            false => Err("the right to read it has ended".to_owned()),
        }
    }

    async fn read(&mut self, reading: Reading<'_>) -> Result<Found, Problem> {
        self.wanted.limit = reading.most();
        let vault = &self.state.parts().vault;
        let mut found = vault.read(&self.wanted).await?;
        hide(&self.state, &self.asker.hidden, &mut found);
        reading.has_read(found.rows.len());
        Ok(found)
    }

    fn told(&self, found: &Found) -> String {
        told(&self.wanted, found, &self.how)
    }

    /// Writes down what is about to leave; where that cannot be, it does not.
    async fn record(&self, found: &Found) -> Result<(), String> {
        if found.rows.is_empty() {
            return Ok(());
        }
        let act = AdministrativeAct {
            actor: self.asker.caller.actor(),
            act: EXPORT.0.to_owned(),
            target: self.told(found).chars().take(500).collect(),
            reason: Some(self.purpose.clone()),
            outcome: Outcome::Done,
        };
        let parts = self.state.parts();
        let kind = EventKind::Administrative(act);
        let mut event = Event::new(parts.clock.now(), Door::Rest, kind);
        event.principal = Some(self.wanted.device.clone().into());
        event.source = self.asker.source.0;
        let recorded = parts.journal.record(vec![event]).await;
        recorded.map_err(|error| format!("it could not be written down: {error}"))
    }

    /// Puts what was found into the file.
    fn take(&mut self, found: &Found) -> Result<(), ExportError> {
        if let Some(exporter) = &mut self.exporter {
            self.ready.extend(exporter.put(&found.rows)?);
        }
        self.entry.messages += found.rows.len() as u64;
        self.entry.withheld += found.rows.iter().filter(|row| row.withheld).count() as u64;
        self.has_more = found.has_more;
        if let Some(last) = found.rows.last() {
            self.wanted.after = Some((last.at, last.number));
        }
        self.keep_book();
        Ok(())
    }

    fn keep_book(&self) {
        self.state.exports().put(self.entry.clone());
    }
}

/// How an export went so far.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TelemetryExport {
    /// Its name.
    #[schema(value_type = schema::EventId)]
    id: EventId,
    /// Messages that were written out.
    #[schema(minimum = 0)]
    messages: u64,
    /// Those of them whose payload was withheld.
    #[schema(minimum = 0)]
    withheld: u64,
    /// Whether it came to its end.
    is_whole: bool,
}

/// How an export of one's own went so far; it is known for as long as the server runs, the last thousand of them.
#[utoipa::path(
    get,
    path = "/api/v1/devices/{id}/telemetry/exports/{export}",
    tag = "telemetry",
    params(
        ("id" = schema::DeviceId, Path, description = "The device."),
        ("export" = schema::EventId, Path, description = "The export: `Palisade-Export` of its answer."),
    ),
    responses((status = 200, description = "How it went.", body = TelemetryExport))
)]
async fn get_telemetry_export(
    State(state): State<PeopleState>,
    Path((device, id)): Path<(DeviceId, EventId)>,
    Query(NoParameters {}): Query<NoParameters>,
    caller: Caller,
) -> Result<Json<TelemetryExport>, Problem> {
    match state.exports().find(id, &device, &caller.name) {
        Some(entry) => Ok(Json(TelemetryExport {
            id: entry.id,
            messages: entry.messages,
            withheld: entry.withheld,
            is_whole: entry.is_whole,
        })),
        None => Err(Problem::not_found(format_args!("export {id} of yours"))),
    }
}
