//! What must stay in the vault, and what must go from it: holds, and the erasure of a device's messages.

use axum::{Json, extract::State};
use palisade_core::{DeviceId, ObjectId, Timestamp};
use palisade_store::VaultHold;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    auth::Caller,
    devices::known_device,
    extract::{JsonBody, NoParameters, Path, Query},
    routes::Routes,
    schema,
    text::Line,
    tokens::present,
    views::All,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(
            Scope::StatusRead,
            "telemetry.list_holds",
            routes!(list_holds),
        )
        .write(Scope::TelemetryWrite, "telemetry.hold", routes!(add_hold))
        .write(
            Scope::TelemetryWrite,
            "telemetry.release_hold",
            routes!(release_hold),
        )
        .write(
            Scope::TelemetryWrite,
            "telemetry.rotate_keys",
            routes!(rotate_vault_keys),
        )
        .write(
            Scope::TelemetryWrite,
            "telemetry.erase",
            routes!(erase_telemetry),
        )
}

/// Messages that stay in the vault whatever their retention says.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TelemetryHold)]
pub(crate) struct HoldView {
    /// Its name.
    #[schema(value_type = schema::HoldId)]
    id: String,
    /// Those of this device; of all where there is none.
    #[schema(value_type = Option<schema::DeviceId>)]
    device: Option<String>,
    /// Those that came at this time or later.
    #[schema(value_type = Option<schema::Time>)]
    from: Option<Timestamp>,
    /// Those that came before this time.
    #[schema(value_type = Option<schema::Time>)]
    until: Option<Timestamp>,
    /// Why.
    reason: String,
    /// Who made it.
    created_by: String,
    /// Since when.
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
    /// Until when it stood, where it does not stand any more.
    #[schema(value_type = Option<schema::Time>)]
    released_at: Option<Timestamp>,
}

impl From<VaultHold> for HoldView {
    fn from(hold: VaultHold) -> Self {
        let time = |nanos: i64| Timestamp::from_nanosecond(i128::from(nanos)).ok();
        Self {
            id: hold.id,
            device: hold.device,
            from: hold.from_at.and_then(time),
            until: hold.until_at.and_then(time),
            reason: hold.reason,
            created_by: hold.created_by,
            created_at: hold.created_at,
            released_at: hold.released_at,
        }
    }
}

/// What is to be held.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "proceedings 7/2027", "device": "cam-0001" }))]
pub(crate) struct HoldRequest {
    /// Why; it is recorded.
    #[schema(value_type = Line<3, 500>)]
    reason: Line<3, 500>,
    /// Messages of this device; of all where none is named.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schema::DeviceId>, nullable = false)]
    device: Option<DeviceId>,
    /// Messages that came at this time or later.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schema::Time>, nullable = false)]
    from: Option<Timestamp>,
    /// Messages that came before this time.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schema::Time>, nullable = false)]
    until: Option<Timestamp>,
}

/// What a rotation of the vault's keys did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VaultKeysRotated {
    /// Segments that have a new key.
    segments: usize,
    /// Sealed files whose keys were wrapped anew.
    files: usize,
}

/// Gives the vault new keys: the root, and each segment. What they wrapped is wrapped anew, no message is sealed anew,
/// and the old keys are destroyed.
#[utoipa::path(
    post,
    path = "/api/v1/telemetry/rotate-keys",
    tag = "telemetry",
    responses((status = 200, description = "What was done.", body = VaultKeysRotated))
)]
async fn rotate_vault_keys(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<VaultKeysRotated>, Problem> {
    let rotated = state.parts().vault.rotate_keys().await?;
    let target = format!(
        "the root key and those of {} segments; {} files wrapped anew",
        rotated.segments, rotated.files
    );
    let answer = VaultKeysRotated {
        segments: rotated.segments,
        files: rotated.files,
    };
    Ok(Done::changed(target, answer))
}

/// Lists holds, the oldest first, those that do not stand any more as well.
#[utoipa::path(
    get,
    path = "/api/v1/telemetry/holds",
    tag = "telemetry",
    responses((status = 200, description = "Holds.", body = All<HoldView>))
)]
async fn list_holds(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<All<HoldView>>, Problem> {
    let holds = state.store().vault().holds(false).await?;
    Ok(Json(All::of(holds.into_iter().map(HoldView::from))))
}

/// Holds messages: they stay in the vault whatever their retention says, and cannot be erased.
///
/// What is in the vault is in files; a file of which a part is held stays whole.
#[utoipa::path(
    post,
    path = "/api/v1/telemetry/holds",
    tag = "telemetry",
    request_body = HoldRequest,
    responses((status = 201, description = "The hold.", body = HoldView))
)]
async fn add_hold(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
    caller: Caller,
    JsonBody(request): JsonBody<HoldRequest>,
) -> Result<Done<HoldView>, Problem> {
    let nanos = |at: Timestamp| i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX);
    let hold = VaultHold {
        id: ObjectId::generate().to_string(),
        device: request.device.map(|device| device.to_string()),
        from_at: request.from.map(nanos),
        until_at: request.until.map(nanos),
        reason: request.reason.to_string(),
        created_by: caller.name,
        created_at: state.parts().clock.now(),
        released_at: None,
    };
    state.parts().vault.hold(&hold).await?;
    let of = hold.device.as_deref().unwrap_or("all devices");
    let target = format!("{}: {of}", hold.id);
    let reason = hold.reason.clone();
    Ok(Done::created(target, HoldView::from(hold)).because(Some(reason)))
}

/// Releases a hold: what it kept goes when its retention says so.
#[utoipa::path(
    delete,
    path = "/api/v1/telemetry/holds/{id}",
    tag = "telemetry",
    params(("id" = schema::HoldId, Path, description = "The hold.")),
    responses((status = 204, description = "It does not stand any more."))
)]
async fn release_hold(
    State(state): State<PeopleState>,
    Path(id): Path<ObjectId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<()>, Problem> {
    let now = state.parts().clock.now();
    let name = id.to_string();
    match state.store().vault().release_hold(&name, now).await? {
        true => Ok(Done::silently(id)),
        false => Err(Problem::not_found(format_args!("standing hold {id}"))),
    }
}

/// Why messages are erased.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "the owner asked for it" }))]
pub(crate) struct EraseRequest {
    /// Why; it is recorded.
    #[schema(value_type = Line<3, 500>)]
    reason: Line<3, 500>,
}

/// What was erased. The entry of this act in the ledger is the certificate of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Erased {
    /// Messages that are no more.
    messages: u64,
    /// Sealed files whose keys were destroyed.
    files: usize,
    /// Retained messages that the gateway held on topics that are the device's own.
    retained: usize,
    /// Of these, files that were damaged: what was left of them, of whichever device, is gone.
    damaged_files: usize,
    /// Files whose keys were destroyed and that could not be taken away yet, as the object store failed or refused it: it is
    /// tried again every ten minutes.
    files_left: usize,
    /// Whether wrapped keys that were destroyed may still stand in what the database has written ahead, as somebody read
    /// it: they are overwritten within ten minutes, or later where it is still read then.
    keys_left: bool,
}

/// Erases all messages of a device from the vault, for good.
///
/// Files that held some are written anew without them; the keys of the old ones are destroyed and the files removed. A
/// damaged file that may hold some goes as a whole, and an entry of its own in the ledger (`vault.damage`) says which. A file
/// that cannot be taken away now stays for later, without its key.
/// Retained messages on the device's own topics (of grants with `{device}`) are cleared.
#[utoipa::path(
    post,
    path = "/api/v1/devices/{id}/telemetry/erase",
    tag = "telemetry",
    params(("id" = schema::DeviceId, Path, description = "The device.")),
    request_body = EraseRequest,
    responses((status = 200, description = "What was erased.", body = Erased))
)]
async fn erase_telemetry(
    State(state): State<PeopleState>,
    Path(id): Path<DeviceId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<EraseRequest>,
) -> Result<Done<Erased>, Problem> {
    let device = known_device(&state, &id).await?;
    let worked = state.parts().vault.erase(&id).await?;
    let retained = state.parts().gateway.clear_retained_of(&device).await;
    let mut target = format!(
        "{id}: {} messages; {} sealed files and their keys destroyed; {retained} retained messages cleared",
        worked.removed, worked.before
    );
    if worked.damaged > 0 {
        target.push_str(&format!("; {} of them were damaged", worked.damaged));
    }
    if worked.files_left > 0 {
        target.push_str(&format!(
            "; {} files without keys are still to be taken away",
            worked.files_left
        ));
    }
    if worked.keys_left {
        target.push_str("; wrapped keys are still to be overwritten in the database");
    }
    let erased = Erased {
        messages: worked.removed,
        files: worked.before,
        retained,
        damaged_files: worked.damaged,
        files_left: worked.files_left,
        keys_left: worked.keys_left,
    };
    Ok(Done::changed(target, erased)
        .because(Some(request.reason))
        .about(id))
}
