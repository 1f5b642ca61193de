//! The ledger as a transparency log (C2SP tlog-tiles): its checkpoint, tiles of hashes and of entries, under the paths
//! that other programs know.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use palisade_core::Timestamp;
use palisade_ledger::{LogStatus, Published, WitnessStatus};
use palisade_tlog::{MAX_ENTRY, Tile, base64};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    extract::{NoParameters, Path, Query},
    routes::Routes,
    schema,
};
use crate::problem::{Problem, ProblemBody};

pub(super) fn routes() -> Routes {
    Routes::default()
        .published(
            Scope::LedgerRead,
            "ledger.read_checkpoint",
            routes!(get_checkpoint),
        )
        .published(Scope::LedgerRead, "ledger.read_tile", routes!(get_tile))
        .read(
            Scope::LedgerRead,
            "ledger.read_entries",
            routes!(get_entry_tile),
        )
        .read(Scope::LedgerRead, "ledger.read_log", routes!(get_log))
}

/// Reads the newest checkpoint: a signed note (C2SP tlog-checkpoint). With `ledger.publish_hashes` anybody may.
#[utoipa::path(
    get,
    path = "/ledger/checkpoint",
    tag = "ledger",
    responses((
        status = 200,
        description = "The checkpoint.",
        body = String,
        content_type = "text/plain; charset=utf-8"
    ), (
        status = 404,
        description = "None is published yet.",
        body = ProblemBody,
        content_type = "application/problem+json"
    ))
)]
async fn get_checkpoint(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    let none = || Problem::not_found("a checkpoint: none is published yet");
    let published = state.parts().log.published().ok_or_else(none)?;
    let fields = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((fields, published.note).into_response())
}

/// Which tile.
#[derive(Debug, Deserialize)]
struct TilePath {
    level: String,
    index: String,
}

/// Reads a tile of hashes: 32 bytes each (C2SP tlog-tiles). With `ledger.publish_hashes` anybody may.
///
/// `index` is written in parts of three digits, `x001/x234/067`, and ends with `.p/` and a width where the tile is not
/// full.
#[utoipa::path(
    get,
    path = "/ledger/tile/{level}/{*index}",
    tag = "ledger",
    params(
        ("level" = String, Path, description = "The level, from 0.", pattern = "^[0-7]$"),
        ("index" = String, Path, description = "Which tile of its level.", max_length = 40)
    ),
    responses((
        status = 200,
        description = "The hashes.",
        body = Vec<u8>,
        content_type = "application/octet-stream"
    ))
)]
async fn get_tile(
    State(state): State<PeopleState>,
    Path(TilePath { level, index }): Path<TilePath>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    let path = format!("{level}/{index}");
    let tile = read_path(&path)?;
    let hashes = state.parts().ledger.tile(tile).await?;
    let hashes = hashes.ok_or_else(|| no_such_tile(&path))?;
    let public = state.parts().log.is_public();
    Ok(unchanging(hashes.concat(), public))
}

/// Which tile of entries.
#[derive(Debug, Deserialize)]
struct EntriesPath {
    index: String,
}

/// Reads a tile of entries, each behind its length in two bytes (C2SP tlog-tiles).
#[utoipa::path(
    get,
    path = "/ledger/tile/entries/{*index}",
    tag = "ledger",
    params(("index" = String, Path, description = "Which tile, written as those of hashes.", max_length = 40)),
    responses((
        status = 200,
        description = "The entries.",
        body = Vec<u8>,
        content_type = "application/octet-stream"
    ), (
        status = 409,
        description = "An entry is too large for a tile; read it from `/api/v1/ledger`.",
        body = ProblemBody,
        content_type = "application/problem+json"
    ))
)]
async fn get_entry_tile(
    State(state): State<PeopleState>,
    Path(EntriesPath { index }): Path<EntriesPath>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    let path = format!("entries/{index}");
    let tile = read_path(&path)?;
    if tile.width > tile.filled(state.parts().ledger.head().0) {
        return Err(no_such_tile(&path));
    }
    let journal = state.store().journal();
    let rows = journal
        .ledger_after(tile.first(), tile.width.into())
        .await?;
    if rows.len() != usize::from(tile.width) {
        return Err(no_such_tile(&path));
    }
    let mut bytes = Vec::new();
    for row in rows {
        let length = u16::try_from(row.body.len()).map_err(|_| too_large(row.seq))?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(row.body.as_bytes());
    }
    Ok(unchanging(bytes, false))
}

fn read_path(path: &str) -> Result<Tile, Problem> {
    path.parse()
        .map_err(|error| Problem::not_found(format!("the tile {path:.60?}: {error}")))
}

fn no_such_tile(path: &str) -> Problem {
    Problem::not_found(format!("the tile {path}"))
}

fn too_large(seq: u64) -> Problem {
    Problem::conflict(format!(
        "entry {seq} has more than {MAX_ENTRY} bytes, which is the most that a tile of entries can hold; read it from \
         /api/v1/ledger"
    ))
}

/// A tile never changes; whoever was allowed to read it may keep it.
fn unchanging(bytes: Vec<u8>, public: bool) -> Response {
    let keep = match public {
        true => "public, max-age=31536000, immutable",
        false => "private, max-age=31536000, immutable",
    };
    let mut response = bytes.into_response();
    let fields = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, keep),
    ] {
        fields.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The ledger as a log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LedgerLog {
    /// The name of the log.
    origin: String,
    /// The keys that sign its checkpoints, as verifiers take them: `<name>+<id>+<base 64>`.
    keys: Vec<String>,
    /// Whether anybody may read checkpoints and tiles of hashes.
    public: bool,
    /// The newest checkpoint that others may see. Null where there is none yet.
    checkpoint: Option<LedgerCheckpoint>,
    /// Why no checkpoint is signed. Null where they are.
    withheld: Option<String>,
    /// How many witnesses must have signed a checkpoint before others see it.
    #[schema(minimum = 0)]
    witnesses_required: usize,
    /// Who else sees each checkpoint.
    witnesses: Vec<LedgerWitness>,
}

/// A witness.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LedgerWitness {
    /// Its name.
    name: String,
    /// Where it is.
    url: String,
    /// Over how many entries it signed last, since the server started.
    #[schema(minimum = 0)]
    signed: u64,
    /// Why it did not sign the newest checkpoint. Null where it did, or was not asked yet.
    error: Option<String>,
}

impl From<WitnessStatus> for LedgerWitness {
    fn from(status: WitnessStatus) -> Self {
        Self {
            name: status.name,
            url: status.url,
            signed: status.signed,
            error: status.error.map(|error| error.to_string()),
        }
    }
}

/// A checkpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LedgerCheckpoint {
    /// Over how many entries.
    #[schema(minimum = 0)]
    entries: u64,
    /// The root over them, in base 64.
    root: String,
    /// When it was signed.
    #[schema(value_type = schema::Time)]
    signed_at: Timestamp,
    /// The signed note.
    note: String,
}

impl From<Published> for LedgerCheckpoint {
    fn from(published: Published) -> Self {
        Self {
            entries: published.size,
            root: base64(&published.root),
            signed_at: published.signed_at,
            note: published.note,
        }
    }
}

/// Says which log the ledger is: its name, its keys, and how far it is signed.
#[utoipa::path(
    get,
    path = "/api/v1/ledger/log",
    tag = "ledger",
    responses((status = 200, description = "The log.", body = LedgerLog))
)]
async fn get_log(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Json<LedgerLog> {
    let log = &state.parts().log;
    let LogStatus {
        origin,
        keys,
        published,
        withheld,
        required,
        witnesses,
    } = log.status();
    Json(LedgerLog {
        origin,
        keys,
        public: log.is_public(),
        checkpoint: published.map(LedgerCheckpoint::from),
        withheld: withheld.map(|why| why.to_string()),
        witnesses_required: required,
        witnesses: witnesses.into_iter().map(LedgerWitness::from).collect(),
    })
}
