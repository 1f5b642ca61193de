//! A new key for a device, asked for by a person. Playbooks ask for one by `rotate-credential`; both are the
//! same rotation.

use axum::{Json, extract::State};
use palisade_core::{DeviceId, Serial, Timestamp, port::EffectError};
use palisade_identity::{LONGEST_ROTATION_S, ROTATION_S};
use palisade_store::{Rotation, RotationState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    containment::ActRequest,
    devices::known_device,
    extract::{JsonBody, NoParameters, Path, Query},
    routes::Routes,
    schema,
    text::Reason,
};
use crate::problem::Problem;

// The document states it as a number.
const _: () = assert!(LONGEST_ROTATION_S == 2_592_000);

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(
            Scope::DevicesRead,
            "device.read_rotation",
            routes!(get_rotation),
        )
        .write(Scope::DevicesWrite, "device.rotate", routes!(rotate_device))
        .write(
            Scope::DevicesWrite,
            "device.stop_rotation",
            routes!(stop_rotation),
        )
}

/// How a device is to get a new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "the image was cloned", "within_s": 604_800 }))]
pub(crate) struct RotateRequest {
    /// Why; it is recorded.
    #[serde(default)]
    reason: Reason,
    /// How many seconds the device has to follow; a day where nothing is said.
    #[serde(default = "day")]
    #[schema(minimum = 1, maximum = 2_592_000)]
    within_s: u64,
    /// How many seconds its old certificates stay at the most once it has a new one; a day where nothing is said.
    #[serde(default = "day")]
    #[schema(minimum = 0, maximum = 2_592_000)]
    keep_old_s: u64,
}

fn day() -> u64 {
    ROTATION_S
}

impl RotateRequest {
    fn check(&self) -> Result<(), Problem> {
        let wrong = |name: &str, found: u64, least: u64| {
            Problem::invalid(format!(
                "{name} is {found}: say a number of seconds from {least} to {LONGEST_ROTATION_S}"
            ))
        };
        if !(1..=LONGEST_ROTATION_S).contains(&self.within_s) {
            return Err(wrong("within_s", self.within_s, 1));
        }
        if self.keep_old_s > LONGEST_ROTATION_S {
            return Err(wrong("keep_old_s", self.keep_old_s, 0));
        }
        Ok(())
    }
}

/// How far a rotation came.
#[derive(ToSchema)]
#[schema(as = RotationState, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for the store's type")]
pub(crate) enum RotationStateDoc {
    /// The device was asked.
    Asked,
    /// It has a certificate for a new key, and did not use it yet.
    Issued,
    /// Certificates for two new keys were issued: two may hold the old one. A person decides.
    Contested,
    /// The old certificates are revoked.
    Done,
    /// Somebody took it back.
    Cancelled,
}

/// A device that is asked for a new key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rotation)]
pub(crate) struct RotationView {
    /// Which device.
    #[schema(value_type = schema::DeviceId)]
    device: DeviceId,
    /// How far it came.
    #[schema(value_type = RotationStateDoc)]
    state: &'static str,
    /// Since when.
    #[schema(value_type = schema::Time)]
    asked_at: Timestamp,
    /// When it should have followed.
    #[schema(value_type = schema::Time)]
    follow_by: Timestamp,
    /// Whether it should have followed by now, and did not.
    is_late: bool,
    /// The new certificate, once there is one.
    #[schema(value_type = Option<schema::Serial>)]
    serial: Option<Serial>,
    /// When the old certificates end at the latest, once there is a new one.
    #[schema(value_type = Option<schema::Time>)]
    old_end_at: Option<Timestamp>,
}

impl RotationView {
    fn at(now: Timestamp, rotation: Rotation) -> Self {
        Self {
            device: rotation.device,
            state: rotation.state.as_str(),
            asked_at: rotation.asked_at,
            follow_by: rotation.follow_by,
            is_late: rotation.state == RotationState::Asked && rotation.follow_by < now,
            serial: rotation.serial,
            old_end_at: rotation.ends_at,
        }
    }
}

/// The newest rotation of a device's key that nobody took back.
#[utoipa::path(
    get,
    path = "/api/v1/devices/{id}/rotation",
    tag = "containment",
    params(("id" = schema::DeviceId, Path, description = "The device.")),
    responses((status = 200, description = "How far it came.", body = RotationView))
)]
async fn get_rotation(
    State(state): State<PeopleState>,
    Path(id): Path<DeviceId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<RotationView>, Problem> {
    known_device(&state, &id).await?;
    let found = state.store().rotations().of(&id).await?;
    let rotation = found.ok_or_else(|| Problem::not_found(format!("a rotation of device {id}")))?;
    Ok(Json(RotationView::at(state.parts().clock.now(), rotation)))
}

/// Asks a device for a new key.
///
/// The device is told, and enrols again with a new key; its old certificates are revoked when it uses the new
/// one. A device that does not follow keeps what it has.
#[utoipa::path(
    post,
    path = "/api/v1/devices/{id}/rotate",
    tag = "containment",
    params(("id" = schema::DeviceId, Path, description = "The device.")),
    request_body = RotateRequest,
    responses((status = 200, description = "It is asked.", body = RotationView))
)]
async fn rotate_device(
    State(state): State<PeopleState>,
    Path(id): Path<DeviceId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<RotateRequest>,
) -> Result<Done<RotationView>, Problem> {
    request.check()?;
    known_device(&state, &id).await?;
    let identity = &state.parts().identity;
    let asked = identity.rotate(&id, request.within_s, request.keep_old_s);
    Ok(done(&state, asked.await?, request.reason))
}

/// Asks a device for a new key no longer. What was issued stays valid, old and new.
#[utoipa::path(
    post,
    path = "/api/v1/devices/{id}/rotation/stop",
    tag = "containment",
    params(("id" = schema::DeviceId, Path, description = "The device.")),
    request_body = ActRequest,
    responses((status = 200, description = "It is asked no longer.", body = RotationView))
)]
async fn stop_rotation(
    State(state): State<PeopleState>,
    Path(id): Path<DeviceId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<ActRequest>,
) -> Result<Done<RotationView>, Problem> {
    known_device(&state, &id).await?;
    let stopped = state.parts().identity.stop_rotation(&id).await?;
    Ok(done(&state, stopped, request.reason))
}

fn done(state: &PeopleState, rotation: Rotation, reason: Reason) -> Done<RotationView> {
    let id = rotation.device.clone();
    let view = RotationView::at(state.parts().clock.now(), rotation);
    let reason = Some(reason).filter(|reason| !reason.as_str().is_empty());
    Done::changed(&id, view).because(reason).about(id.clone())
}

impl From<EffectError> for Problem {
    fn from(error: EffectError) -> Self {
        match error {
            EffectError::NotApplicable(why) => Self::conflict(why),
            EffectError::Parameter { .. } => Self::invalid(error),
            EffectError::Failed(_) => Self::unavailable(
                "what is asked of the device could not be changed: try again",
                &error,
            ),
        }
    }
}
