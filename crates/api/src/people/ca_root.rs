//! The root key's way out of the house and back. Passphrases come in the body and are kept nowhere.

use axum::extract::State;
use palisade_keys::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    extract::{JsonBody, NoParameters, Query},
    policy::blocking,
    routes::Routes,
    text::Text,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    let scope = Scope::CaRoot;
    Routes::default()
        .write(scope, "ca.export_root", routes!(export_root))
        .write(scope, "ca.detach_root", routes!(detach_root))
        .write(scope, "ca.import_root", routes!(import_root))
}

/// What the root key is sealed under when it leaves.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PassphraseRequest {
    /// At least 15 bytes.
    #[schema(value_type = String, min_length = 15, max_length = 1024)]
    passphrase: Passphrase,
}

/// The root key as it left, and what it is sealed under.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportedRequest {
    /// What the export answered, read back from where it is kept.
    exported: Text<1, 65_536>,
    /// The passphrase of the export.
    #[schema(value_type = String, min_length = 15, max_length = 1024)]
    passphrase: Passphrase,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Passphrase(Secret);

impl TryFrom<String> for Passphrase {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_valid = text.len() >= 15 && text.chars().take(1_025).count() <= 1_024;
        let secret = Secret::from(text);
        match is_valid {
            true => Ok(Self(secret)),
            false => Err("a passphrase has at least 15 bytes, and at most 1024 characters"),
        }
    }
}

/// The root, fit to be kept elsewhere.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExportedRoot {
    /// The root's certificate, and its key under the passphrase (PKCS#8, as `openssl pkey` reads it).
    exported: String,
}

/// Where the root key is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RootKey {
    /// Whether the root key is on this server.
    root_key_is_here: bool,
}

/// Exports the root's certificate and its key under a passphrase. The key stays here too.
#[utoipa::path(
    post,
    path = "/api/v1/ca/root/export",
    tag = "ca",
    request_body = PassphraseRequest,
    responses((status = 200, description = "The root.", body = ExportedRoot))
)]
async fn export_root(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<PassphraseRequest>,
) -> Result<Done<ExportedRoot>, Problem> {
    let identity = state.parts().identity.clone();
    let exported = blocking(move || identity.export_root(&request.passphrase.0)).await??;
    Ok(Done::changed("root key", ExportedRoot { exported }))
}

/// Removes the root key from this server, once the exported copy is shown to open.
#[utoipa::path(
    post,
    path = "/api/v1/ca/root/detach",
    tag = "ca",
    request_body = ExportedRequest,
    responses((status = 200, description = "It is not here any more.", body = RootKey))
)]
async fn detach_root(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<ExportedRequest>,
) -> Result<Done<RootKey>, Problem> {
    let identity = state.parts().identity.clone();
    let detach = move || identity.detach_root(&request.exported.0, &request.passphrase.0);
    blocking(detach).await??;
    Ok(Done::changed("root key", root_key(&state)))
}

/// Brings the root key back.
#[utoipa::path(
    post,
    path = "/api/v1/ca/root/import",
    tag = "ca",
    request_body = ExportedRequest,
    responses((status = 200, description = "It is here.", body = RootKey))
)]
async fn import_root(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<ExportedRequest>,
) -> Result<Done<RootKey>, Problem> {
    let identity = state.parts().identity.clone();
    let import = move || identity.import_root(&request.exported.0, &request.passphrase.0);
    blocking(import).await??;
    Ok(Done::changed("root key", root_key(&state)))
}

fn root_key(state: &PeopleState) -> RootKey {
    RootKey {
        root_key_is_here: state.parts().identity.root_key_is_here(),
    }
}
