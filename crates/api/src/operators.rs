//! The door for operators: whether the server lives, whether it is ready, and its numbers.

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
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use palisade_store::Store;

use crate::{ApiParts, config::HttpLimits, serve::ServeOptions};

/// Renders the metrics of the process in Prometheus' text format.
pub type MetricsRender = Arc<dyn Fn() -> String + Send + Sync>;

/// How long the database may take to answer before the server is not ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// The state of the door.
pub(crate) struct Operators {
    store: Store,
    ready: Arc<AtomicBool>,
}

impl Operators {
    pub(crate) fn new(parts: &ApiParts, ready: Arc<AtomicBool>) -> Arc<Self> {
        Arc::new(Self {
            store: parts.store.clone(),
            ready,
        })
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
        .with_state(state)
}

async fn readyz(State(operators): State<Arc<Operators>>) -> Response {
    let not_ready = |why: &'static str| (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    if !operators.ready.load(Ordering::SeqCst) {
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
