//! EST as it travels (RFC 7030, clarified by RFC 8951).

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Path, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use palisade_core::ProductId;
use palisade_identity::{Issued, est};

use super::{
    Devices,
    answer::{CA_CERTS, CERTIFICATE, CSR_ATTRIBUTES, Refusal, est_answer},
    credentials,
    enrol::Attempt,
};
use crate::serve::ConnectInfo;

const ROOT: &str = "/.well-known/est";
const LABELLED: &str = "/.well-known/est/{label}";

/// The operations, with a label and without. There is one CA, so that a label says nothing; it is
/// accepted because clients are made with one.
pub(crate) fn router() -> Router<Arc<Devices>> {
    let labelled = operations().layer(middleware::from_fn(check_label));
    Router::new()
        .nest(ROOT, operations())
        .nest(LABELLED, labelled)
}

fn operations() -> Router<Arc<Devices>> {
    Router::new()
        .route("/cacerts", get(ca_certs))
        .route("/csrattrs", get(csr_attributes))
        .route("/simpleenroll", post(simple_enroll))
        .route("/simplereenroll", post(simple_reenroll))
        .layer(DefaultBodyLimit::max(est::MAX_BODY))
}

async fn check_label(Path(label): Path<String>, request: Request, next: Next) -> Response {
    match ProductId::parse(&label) {
        Ok(_) => next.run(request).await,
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn ca_certs(State(devices): State<Arc<Devices>>, headers: HeaderMap) -> Response {
    match devices.identity.est_ca_certs() {
        Ok(der) => est_answer(CA_CERTS, &headers, &der),
        Err(error) => Refusal::ours(error).into_response(),
    }
}

async fn csr_attributes(headers: HeaderMap) -> Response {
    est_answer(CSR_ATTRIBUTES, &headers, est::csr_attributes())
}

async fn simple_enroll(
    State(devices): State<Arc<Devices>>,
    Extension(info): Extension<ConnectInfo>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let attempt = attempt(&devices, &info, &headers, body);
    let issued = devices
        .work(async |devices| devices.enrol(attempt).await)
        .await;
    answer(&headers, issued)
}

async fn simple_reenroll(
    State(devices): State<Arc<Devices>>,
    Extension(info): Extension<ConnectInfo>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let attempt = attempt(&devices, &info, &headers, body);
    let issued = devices
        .work(async |devices| devices.renew(attempt).await)
        .await;
    answer(&headers, issued)
}

fn attempt(devices: &Devices, info: &ConnectInfo, headers: &HeaderMap, body: Bytes) -> Attempt {
    Attempt {
        source: info.source.ip().to_canonical(),
        token: credentials::token(headers),
        peer: credentials::peer(info, &devices.identity),
        body,
    }
}

fn answer(asked: &HeaderMap, issued: Result<Issued, Refusal>) -> Response {
    let der = match issued {
        Ok(issued) => est::certs_only(&[&issued.der]),
        Err(refusal) => return refusal.into_response(),
    };
    match der {
        Ok(der) => est_answer(CERTIFICATE, asked, &der),
        Err(error) => Refusal::ours(error).into_response(),
    }
}
