//! How detection is doing.

use axum::{Json, extract::State};
use palisade_detect::DetectStats;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    extract::{NoParameters, Query},
    routes::Routes,
};

pub(super) fn routes() -> Routes {
    Routes::default().read(Scope::DetectRead, "detection.read", routes!(get_detection))
}

/// How detection is doing; numbers count from when the server started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Detection {
    /// Which kinds of detectors look at events.
    watchers: Vec<&'static str>,
    /// Events looked at.
    #[schema(minimum = 0)]
    events: u64,
    /// Events not looked at yet.
    #[schema(minimum = 0)]
    backlog: u64,
    /// Events skipped because detection fell too far behind.
    #[schema(minimum = 0)]
    shed_events: u64,
    /// What detectors said.
    #[schema(minimum = 0)]
    alarms: u64,
    /// Alarms that a suppression covered.
    #[schema(minimum = 0)]
    suppressed: u64,
    /// Findings told, new or again.
    #[schema(minimum = 0)]
    findings: u64,
    /// Findings not reported because there were too many at once.
    #[schema(minimum = 0)]
    shed_findings: u64,
}

/// Shows how detection is doing.
#[utoipa::path(
    get,
    path = "/api/v1/detect",
    tag = "detection",
    responses((status = 200, description = "How it is doing.", body = Detection))
)]
async fn get_detection(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Json<Detection> {
    let detect = &state.parts().detect;
    let DetectStats {
        events,
        alarms,
        findings,
        suppressed,
        shed_events,
        shed_findings,
        backlog,
    } = detect.stats();
    Json(Detection {
        watchers: detect.watchers().to_vec(),
        events,
        backlog,
        shed_events,
        alarms,
        suppressed,
        findings,
        shed_findings,
    })
}
