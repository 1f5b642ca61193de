//! What anybody may fetch: CRLs, and the root's certificate.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::Devices;

pub(crate) fn router() -> Router<Arc<Devices>> {
    Router::new()
        .route("/crl/{name}", get(crl))
        .route("/ca/root.pem", get(root))
}

async fn crl(State(devices): State<Arc<Devices>>, Path(name): Path<String>) -> Response {
    let found = name.strip_suffix(".crl");
    match found.and_then(|issuer| devices.identity.crl_of(issuer)) {
        Some(der) => {
            let headers = [
                (header::CONTENT_TYPE, "application/pkix-crl"),
                // A revocation counts at once: whoever keeps a copy asks whether it is still the newest.
                (header::CACHE_CONTROL, "no-cache"),
            ];
            (headers, der.to_vec()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn root(State(devices): State<Arc<Devices>>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/x-pem-file")];
    (headers, devices.identity.root_pem()).into_response()
}
