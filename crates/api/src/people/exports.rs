//! Where events go from here, and how well that goes.

use axum::{Json, extract::State};
use palisade_core::Timestamp;
use palisade_export::{ExportState, ExportStatus};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    extract::{NoParameters, Query},
    routes::Routes,
    schema,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default().read(Scope::EventsRead, "export.list", routes!(list_exports))
}

/// What an export is at.
#[derive(ToSchema)]
#[schema(as = ExportState, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for another crate's type")]
pub(crate) enum StateDoc {
    /// It has not tried yet.
    Starting,
    /// It hands over what comes.
    Running,
    /// Its place does not take anything; it tries again.
    Retrying,
}

/// One export. Numbers count from when the server started.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Export)]
pub(crate) struct ExportView {
    /// Its name in the configuration.
    name: String,
    /// `file`, `syslog` or `http`.
    kind: &'static str,
    /// Where it goes.
    target: String,
    /// `ocsf` or `native`.
    format: &'static str,
    /// What it is at.
    #[schema(value_type = StateDoc)]
    state: ExportState,
    /// Up to which position of the stream everything was taken.
    #[schema(minimum = 0)]
    position: u64,
    /// Events on the stream that were not taken yet.
    #[schema(minimum = 0)]
    lag: u64,
    /// Events handed over.
    #[schema(minimum = 0)]
    sent: u64,
    /// Events that its place refused for good, and that were left out.
    #[schema(minimum = 0)]
    dead_letters: u64,
    /// Attempts that failed.
    #[schema(minimum = 0)]
    failures: u64,
    /// Events that left the stream before they were taken.
    #[schema(minimum = 0)]
    lost: u64,
    /// When something was last handed over.
    #[schema(value_type = Option<schema::Time>)]
    last_sent_at: Option<Timestamp>,
    /// Why the last attempt that failed did.
    last_error: Option<String>,
    /// When that was.
    #[schema(value_type = Option<schema::Time>)]
    last_error_at: Option<Timestamp>,
}

/// The exports.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportList {
    /// By their names.
    items: Vec<ExportView>,
}

/// Lists the exports of events, and how each is doing.
#[utoipa::path(
    get,
    path = "/api/v1/exports",
    tag = "events",
    responses((status = 200, description = "The exports.", body = ExportList))
)]
async fn list_exports(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<ExportList>, Problem> {
    let all = state.parts().exports.status().await?;
    let items = all.into_iter().map(view).collect();
    Ok(Json(ExportList { items }))
}

fn view(status: ExportStatus) -> ExportView {
    ExportView {
        name: status.name,
        kind: status.kind,
        target: status.target,
        format: status.format,
        state: status.state,
        position: status.position,
        lag: status.lag,
        sent: status.sent,
        dead_letters: status.dead_letters,
        failures: status.failures,
        lost: status.lost,
        last_sent_at: status.last_sent_at,
        last_error: status.last_error,
        last_error_at: status.last_error_at,
    }
}
