//! The key of one sealed file, for somebody who has to read that file without this server: an expert witness, another
//! engine, a restored backup. Whoever has it reads all of the file, of whichever device, and no bound or mask counts any
//! more: an act of its own scope, which waits for a second person.

use axum::extract::State;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::{
    PeopleState,
    access::Scope,
    acts::Done,
    extract::{JsonBody, NoParameters, Query},
    routes::Routes,
    text::Line,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default().write(
        Scope::TelemetryKeys,
        "telemetry.open_file_key",
        routes!(open_file_key),
    )
}

/// Of which sealed file the key is wanted, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "file": "default/20849/01JZX3R5W8Q2M4N6P7T9V0A1BC.parquet", "reason": "for the court\'s expert" }))]
pub(crate) struct FileKeyRequest {
    /// Its path below the folder of sealed files.
    #[schema(value_type = Line<1, 300>)]
    file: Line<1, 300>,
    /// Why; it is recorded.
    #[schema(value_type = Line<3, 500>)]
    reason: Line<3, 500>,
}

/// What opens a sealed file: Parquet with modular encryption, one key for the footer and all columns.
#[derive(Serialize, ToSchema)]
pub(crate) struct FileKey {
    /// Its path below the folder of sealed files.
    file: String,
    /// The key, in base64 (RFC 4648, section 4).
    key_base64: String,
    /// The algorithm, as Parquet names it.
    algorithm: &'static str,
    /// What the file is bound to: it opens under this AAD prefix, and under no other.
    aad_prefix: String,
    /// How many messages are in the file.
    #[schema(minimum = 0)]
    messages: u64,
}

/// Gets the key of one sealed file out of the vault.
///
/// Whoever has the key and the file reads all messages in it, for as long as they have both. It is an act, and waits for a second
/// person (`accounts.four_eyes`). The answer is kept nowhere: an `Idempotency-Key` has no effect here.
#[utoipa::path(
    post,
    path = "/api/v1/telemetry/file-key",
    tag = "telemetry",
    request_body = FileKeyRequest,
    responses((status = 200, description = "The key.", body = FileKey))
)]
async fn open_file_key(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<FileKeyRequest>,
) -> Result<Done<FileKey>, Problem> {
    let file = request.file.to_string();
    let found = state.parts().vault.file_key(&file).await?;
    let opened = found.ok_or_else(|| {
        Problem::invalid(format!(
            "there is no sealed file {file}: name it by its path below the folder of sealed files"
        ))
    })?;
    let target = format!("{file}: {} messages", opened.messages);
    let answer = FileKey {
        key_base64: BASE64.encode(&opened.key),
        algorithm: "AES_GCM_V1",
        aad_prefix: file.clone(),
        messages: opened.messages,
        file,
    };
    Ok(Done::changed(target, answer).because(Some(request.reason)))
}
