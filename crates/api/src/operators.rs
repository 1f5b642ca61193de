//! The door for operators: whether the server lives, whether it is ready, and its numbers.

mod metrics;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use palisade_detect::Detect;
use palisade_export::Exports;
use palisade_gateway::Gateway;
use palisade_identity::Identity;
use palisade_ledger::Ledger;
use palisade_policy::Pdp;
use palisade_respond::Respond;
use palisade_store::Store;
use tokio::sync::Mutex;

use self::metrics::Census;
use crate::{
    ApiParts, config::HttpLimits, devices::Devices, people::PeopleState, serve::ServeOptions,
};

/// Renders the metrics of the process in Prometheus' text format.
pub type MetricsRender = Arc<dyn Fn() -> String + Send + Sync>;

/// How long the database may take to answer before the server is not ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// The state of the door.
pub(crate) struct Operators {
    store: Store,
    identity: Arc<Identity>,
    pdp: Arc<Pdp>,
    ledger: Arc<Ledger>,
    detect: Arc<Detect>,
    exports: Arc<Exports>,
    respond: Arc<Respond>,
    gateway: Arc<Gateway>,
    devices: Arc<Devices>,
    people: PeopleState,
    render: Option<MetricsRender>,
    version: &'static str,
    ready: Arc<AtomicBool>,
    census: Mutex<Option<Census>>,
}

impl Operators {
    pub(crate) fn new(
        parts: &ApiParts,
        (devices, people): (Arc<Devices>, PeopleState),
        ready: Arc<AtomicBool>,
    ) -> Arc<Self> {
        Arc::new(Self {
            store: parts.store.clone(),
            identity: parts.identity.clone(),
            pdp: parts.pdp.clone(),
            ledger: parts.ledger.clone(),
            detect: parts.detect.clone(),
            exports: parts.exports.clone(),
            respond: parts.respond.clone(),
            gateway: parts.gateway.clone(),
            devices,
            people,
            render: parts.metrics.clone(),
            version: parts.version,
            ready,
            census: Mutex::default(),
        })
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }
}

pub(crate) fn options() -> ServeOptions {
    let limits = HttpLimits {
        max_connections: 64,
        ..HttpLimits::default()
    };
    limits.options(1_024)
}

pub(crate) fn router(state: Arc<Operators>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/root.pem", get(root))
        .with_state(state)
}

async fn readyz(State(operators): State<Arc<Operators>>) -> Response {
    let not_ready = |why: &'static str| (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    if !operators.is_ready() {
        return not_ready("starting or stopping\n");
    }
    match tokio::time::timeout(PATIENCE, operators.store.ping()).await {
        Ok(Ok(())) => "ready\n".into_response(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            not_ready("the database failed\n")
        }
        Err(_) => not_ready("the database does not answer\n"),
    }
}

/// The root certificate: it says whose door this is, which has no TLS that would.
async fn root(State(operators): State<Arc<Operators>>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/x-pem-file")];
    (headers, operators.identity.root_pem()).into_response()
}

async fn metrics(State(operators): State<Arc<Operators>>) -> Response {
    let headers = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (headers, operators.metrics().await).into_response()
}
