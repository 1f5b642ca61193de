//! What a device holds: certificates, sessions.

use axum::{Json, extract::State};
use palisade_core::{DeviceId, Principal};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    devices::known_device,
    extract::{NoParameters, Path, Query},
    routes::Routes,
    schema,
    sessions::SessionView,
    views::{All, CertificateView},
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(
            Scope::DevicesRead,
            "device.list_certificates",
            routes!(list_device_certificates),
        )
        .read(
            Scope::DevicesRead,
            "device.list_sessions",
            routes!(list_device_sessions),
        )
}

/// Lists the certificates of a device, newest first, at most a hundred.
#[utoipa::path(
    get,
    path = "/api/v1/devices/{id}/certificates",
    tag = "devices",
    params(("id" = schema::DeviceId, Path, description = "The device.")),
    responses((status = 200, description = "Its certificates.", body = All<CertificateView>))
)]
async fn list_device_certificates(
    State(state): State<PeopleState>,
    Path(id): Path<DeviceId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<All<CertificateView>>, Problem> {
    known_device(&state, &id).await?;
    let principal = Principal::from(id).to_string();
    let held = state.store().certificates().of(&principal).await?;
    Ok(Json(All::of(held.into_iter().map(CertificateView::from))))
}

/// Lists the MQTT sessions of a device.
#[utoipa::path(
    get,
    path = "/api/v1/devices/{id}/sessions",
    tag = "devices",
    params(("id" = schema::DeviceId, Path, description = "The device.")),
    responses((status = 200, description = "Its sessions.", body = All<SessionView>))
)]
async fn list_device_sessions(
    State(state): State<PeopleState>,
    Path(id): Path<DeviceId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<All<SessionView>>, Problem> {
    known_device(&state, &id).await?;
    let sessions = state.parts().gateway.sessions_of(&Principal::from(id));
    Ok(Json(All::of(sessions.into_iter().map(SessionView::from))))
}
