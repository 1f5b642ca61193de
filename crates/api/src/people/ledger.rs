//! The audit log: read, verified, exported.

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::{Stream, stream};
use palisade_core::{Event, hex};
use palisade_ledger::ocsf;
use palisade_tlog::Note;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    events::EventDoc,
    extract::{MaybeJson, NoParameters, Query},
    page::{Limit, Position},
    routes::Routes,
};
use crate::problem::Problem;

/// Entries of an export that are held at a time.
const EXPORT_PART: u32 = 500;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(Scope::LedgerRead, "ledger.list", routes!(list_ledger))
        .read(
            Scope::LedgerRead,
            "ledger.read_head",
            routes!(get_ledger_head),
        )
        .read(Scope::LedgerRead, "ledger.verify", routes!(verify_ledger))
        .read(Scope::LedgerRead, "ledger.export", routes!(export_ledger))
}

/// Which entries are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LedgerQuery {
    /// Those after this number, oldest first.
    #[param(inline, value_type = Option<Position>)]
    after: Option<Position>,
    /// Those before this number, newest first. It counts for more than `after`.
    #[param(inline, value_type = Option<Position>)]
    before: Option<Position>,
    /// The most entries wanted.
    #[serde(default)]
    #[param(inline, value_type = Option<Limit>)]
    limit: Limit,
}

/// An entry of the ledger.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerEntry)]
pub(crate) struct EntryView {
    /// 1, 2, 3, ...
    #[schema(minimum = 1)]
    seq: u64,
    /// The event that it records.
    #[schema(value_type = EventDoc)]
    entry: serde_json::Value,
    /// The hash of the entry, in hexadecimal digits.
    leaf: String,
    /// The hash of the chain up to and with the entry, in hexadecimal digits.
    chain: String,
}

/// A part of the ledger.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LedgerPage {
    /// The entries.
    items: Vec<EntryView>,
    /// Where the list goes on: `after` (or `before`) of the next request. Null where there was
    /// nothing after this page.
    next: Option<String>,
}

/// Lists entries of the ledger.
#[utoipa::path(
    get,
    path = "/api/v1/ledger",
    tag = "ledger",
    params(LedgerQuery),
    responses((status = 200, description = "Entries.", body = LedgerPage))
)]
async fn list_ledger(
    State(state): State<PeopleState>,
    Query(query): Query<LedgerQuery>,
) -> Result<Json<LedgerPage>, Problem> {
    let (journal, size) = (state.store().journal(), query.limit.0);
    let mut rows = match query.before {
        Some(before) => journal.ledger_before(before.0, size + 1).await?,
        None => {
            let after = query.after.unwrap_or_default();
            journal.ledger_after(after.0, size + 1).await?
        }
    };
    let more = rows.len() > size as usize;
    rows.truncate(size as usize);
    let next = rows.last().filter(|_| more).map(|row| row.seq.to_string());
    let events = state.parts().ledger.revealed(&rows).await?;
    let items = rows.into_iter().zip(events).map(|(row, event)| {
        let entry = serde_json::from_str(&event);
        Ok(EntryView {
            seq: row.seq,
            entry: entry.map_err(|error| Problem::internal(&error))?,
            leaf: hex(&row.leaf),
            chain: hex(&row.chain),
        })
    });
    let items = items.collect::<Result<_, Problem>>()?;
    Ok(Json(LedgerPage { items, next }))
}

/// Where the ledger ends.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LedgerHead {
    /// How many entries it has.
    #[schema(minimum = 0)]
    entries: u64,
    /// The root of the tree over them, in hexadecimal digits.
    root: String,
}

/// Says where the ledger ends. Kept elsewhere, this is what shows later that nothing was rewritten.
#[utoipa::path(
    get,
    path = "/api/v1/ledger/head",
    tag = "ledger",
    responses((status = 200, description = "Its end.", body = LedgerHead))
)]
async fn get_ledger_head(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<LedgerHead>, Problem> {
    let (entries, root) = state.parts().ledger.head();
    let root = hex(&root);
    Ok(Json(LedgerHead { entries, root }))
}

/// What was found when everything was read again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LedgerVerification {
    /// How many entries are good, up to the first fault.
    #[schema(minimum = 0)]
    entries: u64,
    /// The root of the tree over them, in hexadecimal digits.
    root: String,
    /// The first fault. Null where there is none.
    fault: Option<String>,
}

/// What the ledger is to be compared with.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyLedger {
    /// A checkpoint of this ledger that was kept elsewhere: a signed note.
    #[serde(default)]
    #[schema(max_length = 131072)]
    checkpoint: Option<String>,
}

/// Reads the whole ledger again and checks every hash, and that its entries are those that were signed: in the last
/// checkpoint, and in one that was kept elsewhere.
#[utoipa::path(
    post,
    path = "/api/v1/ledger/verify",
    tag = "ledger",
    request_body = Option<VerifyLedger>,
    responses((status = 200, description = "What was found.", body = LedgerVerification))
)]
async fn verify_ledger(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
    MaybeJson(wanted): MaybeJson<VerifyLedger>,
) -> Result<Json<LedgerVerification>, Problem> {
    let kept = wanted.and_then(|wanted| wanted.checkpoint);
    let kept = kept.map(|kept| kept.parse::<Note>().map_err(Problem::invalid));
    let kept = kept.transpose()?;
    let turn = state.inner.verification.acquire().await;
    let _turn = turn.map_err(|error| Problem::internal(&error))?;
    let found = state.parts().log.verify(kept.as_ref(), |_| {}).await?;
    if found.fault.is_none() {
        let now = state.parts().clock.now();
        state.store().settings().note_ledger_verified(now).await?;
    }
    Ok(Json(LedgerVerification {
        entries: found.entries,
        root: hex(&found.root),
        fault: found.fault.map(|fault| fault.to_string()),
    }))
}

/// In which form entries are exported.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExportFormat {
    /// The Open Cybersecurity Schema Framework, 1.3.
    #[default]
    Ocsf,
    /// As the ledger has them.
    Native,
}

/// What is to be exported.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// In which form.
    #[serde(default)]
    #[param(inline, value_type = Option<ExportFormat>)]
    format: ExportFormat,
    /// Entries after this number.
    #[param(inline, value_type = Option<Position>)]
    after: Option<Position>,
}

/// Exports the ledger from an entry on, oldest first: a JSON object a line.
#[utoipa::path(
    get,
    path = "/api/v1/ledger/export",
    tag = "ledger",
    params(ExportQuery),
    responses((
        status = 200,
        description = "Entries.",
        body = String,
        content_type = "application/x-ndjson"
    ))
)]
async fn export_ledger(
    State(state): State<PeopleState>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let after = query.after.unwrap_or_default().0;
    // The first part is read before the answer begins, so that a database that fails is an error.
    let first = part(&state, after, query.format).await?;
    let media_type = [(header::CONTENT_TYPE, "application/x-ndjson")];
    let body = Body::from_stream(export(state, query.format, first));
    Ok((media_type, body).into_response())
}

/// A part of an export, and the number of its last entry; none at the end.
type Part = Option<(Bytes, u64)>;

fn export(
    state: PeopleState,
    format: ExportFormat,
    first: Part,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    let begin = (state, Ok(first));
    stream::unfold(begin, move |(state, found)| async move {
        let found: Result<Part, std::io::Error> = found;
        match found {
            Ok(None) => None,
            Ok(Some((bytes, last))) => {
                let next = part(&state, last, format).await;
                // Broken off in the middle, the client sees that it has not got everything.
                let next =
                    next.map_err(|problem| std::io::Error::other(problem.detail().to_owned()));
                Some((Ok(bytes), (state, next)))
            }
            Err(error) => Some((Err(error), (state, Ok(None)))),
        }
    })
}

async fn part(state: &PeopleState, after: u64, format: ExportFormat) -> Result<Part, Problem> {
    let journal = state.store().journal();
    let rows = journal.ledger_after(after, EXPORT_PART).await?;
    let Some(last) = rows.last().map(|row| row.seq) else {
        return Ok(None);
    };
    let mut text = String::new();
    for event in state.parts().ledger.revealed(&rows).await? {
        text.push_str(&line(event, format)?);
        text.push('\n');
    }
    Ok(Some((text.into(), last)))
}

fn line(event: String, format: ExportFormat) -> Result<String, Problem> {
    match format {
        ExportFormat::Native => Ok(event),
        ExportFormat::Ocsf => {
            let event: Event =
                serde_json::from_str(&event).map_err(|error| Problem::internal(&error))?;
            Ok(ocsf(&event).to_string())
        }
    }
}
