//! Proofs: that an entry is in the ledger, that the ledger only grew, and entries with all that is needed to check them
//! without a server.

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::{Stream, stream};
use palisade_ledger::Published;
use palisade_store::LedgerRow;
use palisade_tlog::{BundleEntry, BundleHead, Hash, Note, Opening, Receipt, around, base64};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    extract::{NoParameters, Path, Query},
    ledger_log::LedgerCheckpoint,
    page::Position,
    routes::Routes,
};
use crate::problem::{Problem, ProblemBody};

/// Entries of a bundle that are held at a time.
const PART: u64 = 500;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(Scope::LedgerRead, "ledger.prove", routes!(prove_entry))
        .read(
            Scope::LedgerRead,
            "ledger.prove_growth",
            routes!(prove_growth),
        )
        .read(
            Scope::LedgerRead,
            "ledger.export_bundle",
            routes!(export_bundle),
        )
}

/// A proof that an entry is in the ledger.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntryProof {
    /// The entry, counted from 1.
    #[schema(minimum = 1)]
    seq: u64,
    /// The entry as it was hashed: in place of what is about persons it has salted hashes.
    entry: String,
    /// What these hashes are of, in the order of the fields; nothing of persons that were erased.
    personal: Vec<EntryOpening>,
    /// The hashes that lead from it to the root, in base 64 (RFC 6962, section 2.1.1).
    hashes: Vec<String>,
    /// The checkpoint that it is under.
    checkpoint: LedgerCheckpoint,
    /// All of it as a file that verifies offline (C2SP tlog-proof).
    proof: String,
}

/// A value that an entry has the salted hash of: `sha256:` and the base 64 of SHA-256 over a byte 3, the salt, the value.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntryOpening {
    /// Where in the entry: a JSON pointer.
    field: String,
    /// The salt, in base 64.
    salt: String,
    /// The value.
    value: String,
}

impl From<Opening> for EntryOpening {
    fn from(opening: Opening) -> Self {
        let Opening { field, salt, value } = opening;
        Self { field, salt, value }
    }
}

/// Which entry.
#[derive(Debug, Deserialize)]
struct SeqPath {
    seq: u64,
}

/// Proves that an entry is in the ledger, under a signed checkpoint; a new one is made where the last does not cover it.
#[utoipa::path(
    get,
    path = "/api/v1/ledger/proofs/{seq}",
    tag = "ledger",
    params(("seq" = u64, Path, description = "The entry, counted from 1.", minimum = 1)),
    responses(
        (status = 200, description = "The proof.", body = EntryProof),
        (
            status = 409,
            description = "No checkpoint covers the entry.",
            body = ProblemBody,
            content_type = "application/problem+json"
        )
    )
)]
async fn prove_entry(
    State(state): State<PeopleState>,
    Path(SeqPath { seq }): Path<SeqPath>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<EntryProof>, Problem> {
    let none = || Problem::not_found(format!("entry {seq} of the ledger"));
    let before = seq.checked_sub(1).ok_or_else(none)?;
    let rows = state.store().journal().ledger_after(before, 1).await?;
    let row = rows.into_iter().find(|row| row.seq == seq);
    let row = row.ok_or_else(none)?;
    let parts = state.parts();
    let opened = parts.ledger.openings(std::slice::from_ref(&row)).await?;
    let checkpoint = parts.log.checkpoint(seq).await?;
    let hashes = parts.ledger.inclusion(seq, checkpoint.size).await?;
    let hashes = hashes.ok_or_else(none)?;
    let receipt = Receipt {
        entry: row.body.clone().into_bytes(),
        index: before,
        hashes: hashes.clone(),
        checkpoint: note(&checkpoint)?,
    };
    Ok(Json(EntryProof {
        seq,
        entry: row.body,
        personal: opened
            .into_iter()
            .flatten()
            .map(EntryOpening::from)
            .collect(),
        hashes: encode(&hashes),
        checkpoint: checkpoint.into(),
        proof: receipt.to_string(),
    }))
}

fn note(published: &Published) -> Result<Note, Problem> {
    let note = published.note.parse();
    note.map_err(|error| Problem::internal(&error))
}

fn encode(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(base64).collect()
}

/// From which tree.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct GrowthQuery {
    /// How many entries the older checkpoint is over.
    #[param(inline, value_type = Position)]
    from: Position,
}

/// A proof that the ledger only grew.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GrowthProof {
    /// How many entries the older tree has.
    #[schema(minimum = 0)]
    from: u64,
    /// The newest checkpoint.
    checkpoint: LedgerCheckpoint,
    /// The hashes that prove it, in base 64 (RFC 6962, section 2.1.2).
    hashes: Vec<String>,
}

/// Proves that the tree of an older checkpoint is the beginning of that of the newest.
#[utoipa::path(
    get,
    path = "/api/v1/ledger/consistency",
    tag = "ledger",
    params(GrowthQuery),
    responses(
        (status = 200, description = "The proof.", body = GrowthProof),
        (
            status = 409,
            description = "The ledger has fewer entries, or no checkpoint over them.",
            body = ProblemBody,
            content_type = "application/problem+json"
        )
    )
)]
async fn prove_growth(
    State(state): State<PeopleState>,
    Query(GrowthQuery { from }): Query<GrowthQuery>,
) -> Result<Json<GrowthProof>, Problem> {
    let (parts, from) = (state.parts(), from.0);
    let checkpoint = parts.log.checkpoint(from).await?;
    let hashes = parts.ledger.consistency(from, checkpoint.size).await?;
    let hashes = hashes.unwrap_or_default();
    Ok(Json(GrowthProof {
        from,
        checkpoint: checkpoint.into(),
        hashes: encode(&hashes),
    }))
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BundleQuery {
    /// The first entry; 1 where it is left out.
    #[param(inline, value_type = Option<Position>)]
    from: Option<Position>,
    /// The last entry; the newest where it is left out.
    #[param(inline, value_type = Option<Position>)]
    to: Option<Position>,
    /// Whether to leave out what is about persons; the entries verify all the same.
    #[serde(default)]
    #[param(inline, value_type = Option<bool>)]
    without_persons: bool,
}

/// Exports entries with a checkpoint and all hashes that are needed to check them without a server: a JSON object a line.
#[utoipa::path(
    get,
    path = "/api/v1/ledger/bundle",
    tag = "ledger",
    params(BundleQuery),
    responses(
        (
            status = 200,
            description = "The bundle.",
            body = String,
            content_type = "application/x-ndjson"
        ),
        (
            status = 409,
            description = "There are no such entries, or no checkpoint over them.",
            body = ProblemBody,
            content_type = "application/problem+json"
        )
    )
)]
async fn export_bundle(
    State(state): State<PeopleState>,
    Query(query): Query<BundleQuery>,
) -> Result<Response, Problem> {
    let parts = state.parts();
    let to = query.to.map_or(parts.ledger.head().0, |to| to.0);
    let from = query.from.map_or(1, |from| from.0);
    if from == 0 || from > to {
        let why = format!("there are no entries {from} to {to}: they are counted from 1");
        return Err(Problem::conflict(why));
    }
    let checkpoint = parts.log.checkpoint(to).await?;
    let size = checkpoint.size;
    let (before, after) = around(from, to, size);
    let gone = || Problem::conflict(format!("there are no entries {from} to {to}"));
    let before = parts
        .ledger
        .subtrees(before, size)
        .await?
        .ok_or_else(gone)?;
    let after = parts.ledger.subtrees(after, size).await?.ok_or_else(gone)?;
    let head = BundleHead::new((from, to), checkpoint.note, &before, &after);
    let head = line(&head)?;
    let media_type = [(header::CONTENT_TYPE, "application/x-ndjson")];
    let with_persons = !query.without_persons;
    let body = Body::from_stream(entries(state, head, (from, to), with_persons));
    Ok((media_type, body).into_response())
}

fn line(value: &impl Serialize) -> Result<String, Problem> {
    let text = serde_json::to_string(value).map_err(|error| Problem::internal(&error))?;
    Ok(text + "\n")
}

fn entries(
    state: PeopleState,
    head: String,
    (from, to): (u64, u64),
    with_persons: bool,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    let begin = (state, Some(head), from);
    stream::try_unfold(begin, move |(state, head, next)| async move {
        if let Some(head) = head {
            return Ok(Some((Bytes::from(head), (state, None, next))));
        }
        if next > to {
            return Ok(None);
        }
        let count = (to - next + 1).min(PART);
        // Broken off in the middle, the client sees that it has not got everything.
        let part = part(&state, next, count, with_persons).await;
        let part = part.map_err(|problem| std::io::Error::other(problem.detail().to_owned()))?;
        Ok(Some((part, (state, None, next + count))))
    })
}

async fn part(
    state: &PeopleState,
    first: u64,
    count: u64,
    with_persons: bool,
) -> Result<Bytes, Problem> {
    let rows = state.store().journal();
    let rows = rows.ledger_after(first - 1, count as u32).await?;
    if rows.len() as u64 != count {
        return Err(Problem::conflict("entries of the ledger are missing"));
    }
    let mut opened = state.parts().ledger.openings(&rows).await?;
    if !with_persons {
        opened.fill(Vec::new());
    }
    let mut text = String::new();
    for (LedgerRow { seq, body, .. }, personal) in rows.into_iter().zip(opened) {
        let entry = BundleEntry {
            seq,
            entry: body,
            personal,
        };
        text.push_str(&line(&entry)?);
    }
    Ok(text.into())
}
