//! The door for operators: whether the server lives, whether it is ready, and its numbers.

mod metrics;
mod ready;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::header,
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

pub use self::ready::Phase;
pub(crate) use self::ready::SharedPhase;

use self::metrics::Census;
use crate::{
    ApiParts, config::HttpLimits, devices::Devices, people::PeopleState, serve::ServeOptions,
};

/// Renders the metrics of the process in Prometheus' text format.
pub type MetricsRender = Arc<dyn Fn() -> String + Send + Sync>;

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
    phase: SharedPhase,
    census: Mutex<Option<Census>>,
}

impl Operators {
    pub(crate) fn new(
        parts: &ApiParts,
        (devices, people): (Arc<Devices>, PeopleState),
        phase: SharedPhase,
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
            phase,
            census: Mutex::default(),
        })
    }

    fn is_ready(&self) -> bool {
        *self.phase.lock() == Phase::Serving
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
        .route("/readyz", get(ready::readyz))
        .route("/metrics", get(metrics))
        .route("/root.pem", get(root))
        .with_state(state)
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
