//! Whether the server is ready: what a load balancer asks every second, and what a person wants to know when it is not.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use serde::Serialize;

use super::Operators;
use crate::{
    doctor::{Finding, Level},
    people,
};

/// How far the server as a whole is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// It begins; its doors are not open yet.
    #[default]
    Starting,
    /// It serves.
    Serving,
    /// It was told to end: whoever has another server sends clients there.
    Draining,
}

/// The phase as those see it who tell of it.
pub(crate) type SharedPhase = Arc<Mutex<Phase>>;

/// The answer of `/readyz`.
#[derive(Debug, Serialize)]
struct Readiness {
    /// Whether clients may be sent here.
    ready: bool,
    /// Every part without which they may not, and how it is.
    checks: Vec<Finding>,
}

/// Answers 200 where clients may be sent here and 503 where not, and says of each part how it is.
pub(super) async fn readyz(State(operators): State<Arc<Operators>>) -> Response {
    let mut checks = vec![phase(*operators.phase.lock())];
    checks.extend(people::readiness(&operators.people).await);
    let ready = checks.iter().all(|check| check.level != Level::Fail);
    let status = match ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let headers = [(header::CACHE_CONTROL, "no-store")];
    (status, headers, Json(Readiness { ready, checks })).into_response()
}

fn phase(phase: Phase) -> Finding {
    const CHECK: &str = "server";
    match phase {
        Phase::Starting => Finding::fail(CHECK, "it starts", "wait a moment"),
        Phase::Serving => Finding::ok(CHECK, "it serves"),
        Phase::Draining => Finding::fail(
            CHECK,
            "it was told to end, and drains",
            "send clients to another server",
        ),
    }
}
