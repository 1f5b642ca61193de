//! What stops a device, and what lets it go on. A containment is in force at every door before its
//! answer leaves: posture first, then certificates, then the record, then the answer.

use std::time::{Duration, Instant};

use axum::extract::State;
use palisade_core::{Device, DeviceId, Lifecycle, Principal, Serial, TrustScore};
use palisade_identity::RevocationReason;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    devices::{known_device, view},
    extract::{JsonBody, NoParameters, Path, Query},
    routes::Routes,
    schema,
    text::Reason,
    views::DeviceView,
};
use crate::problem::Problem;

/// How long an answer waits for live sessions to end; they end in milliseconds.
const SESSIONS_END: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(2);

pub(super) fn routes() -> Routes {
    let scope = Scope::DevicesWrite;
    Routes::default()
        .write(scope, "device.quarantine", routes!(quarantine_device))
        .write(scope, "device.release", routes!(release_device))
        .write(scope, "device.revoke", routes!(revoke_device))
        .write(scope, "device.retire", routes!(retire_device))
        .write(scope, "device.reinstate", routes!(reinstate_device))
        .write(scope, "device.disconnect", routes!(disconnect_device))
}

/// Why it is done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "speaks for other devices" }))]
pub(crate) struct ActRequest {
    /// Why; it is recorded.
    #[serde(default)]
    pub(super) reason: Reason,
}

/// A device after something was done to it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeviceAfter {
    /// The device as it is now.
    #[serde(flatten)]
    device: DeviceView,
    /// How many live sessions this closed.
    #[schema(minimum = 0)]
    closed_sessions: usize,
    /// The serial numbers of the certificates that this revoked.
    #[schema(value_type = Vec<schema::Serial>)]
    revoked_certificates: Vec<Serial>,
}

/// Contains a device: no door serves it until it is released.
#[utoipa::path(
    post,
    path = "/api/v1/devices/{id}/quarantine",
    tag = "containment",
    params(("id" = schema::DeviceId, Path, description = "The device.")),
    request_body = ActRequest,
    responses((status = 200, description = "It is contained.", body = DeviceAfter))
)]
async fn quarantine_device(
    State(state): State<PeopleState>,
    Path(id): Path<DeviceId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<ActRequest>,
) -> Result<Done<DeviceAfter>, Problem> {
    let act = Act::on(&state, &id).await?;
    act.become_(Lifecycle::Quarantined, &request.reason).await?;
    act.done(request.reason, Vec::new()).await
}

/// Releases a contained device and forgives the denials that cost it trust.
///
/// A quarantined device is active again where it holds a certificate that is in force, and registered
/// otherwise. A device that nobody quarantined and that lost trust stays what it is, and is forgiven.
#[utoipa::path(
    post,
    path = "/api/v1/devices/{id}/release",
    tag = "containment",
    params(("id" = schema::DeviceId, Path, description = "The device.")),
    request_body = ActRequest,
    responses((status = 200, description = "It is released.", body = DeviceAfter))
)]
async fn release_device(
    State(state): State<PeopleState>,
    Path(id): Path<DeviceId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<ActRequest>,
) -> Result<Done<DeviceAfter>, Problem> {
    let act = Act::on(&state, &id).await?;
    let to = match act.before.posture.lifecycle {
        Lifecycle::Quarantined if act.has_certificate_in_force().await? => Lifecycle::Active,
        Lifecycle::Quarantined => Lifecycle::Registered,
        lifecycle @ (Lifecycle::Active | Lifecycle::Registered)
            if act.before.posture.trust < TrustScore::MAX =>
        {
            lifecycle
        }
        lifecycle => {
            return Err(Problem::conflict(format!(
                "device {id} is {lifecycle}: only one that is quarantined, or that lost trust, is released"
            )));
        }
    };
    // Forgiven first: released with the trust that it has now, it could contain itself again at once.
    let pdp = &state.parts().pdp;
    pdp.forgive(&id, request.reason.as_str()).await?;
    act.become_(to, &request.reason).await?;
    act.done(request.reason, Vec::new()).await
}

/// Why a certificate is revoked (RFC 5280, section 5.3.1).
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RevocationReason)]
pub(crate) enum ReasonCode {
    /// Nothing is said.
    Unspecified,
    /// The key is known to others.
    KeyCompromise,
    /// The name is another.
    AffiliationChanged,
    /// There is a newer one.
    Superseded,
    /// It is not needed any more.
    CessationOfOperation,
    /// The holder may not have it any more.
    PrivilegeWithdrawn,
}

impl From<ReasonCode> for RevocationReason {
    fn from(code: ReasonCode) -> Self {
        match code {
            ReasonCode::Unspecified => Self::Unspecified,
            ReasonCode::KeyCompromise => Self::KeyCompromise,
            ReasonCode::AffiliationChanged => Self::AffiliationChanged,
            ReasonCode::Superseded => Self::Superseded,
            ReasonCode::CessationOfOperation => Self::CessationOfOperation,
            ReasonCode::PrivilegeWithdrawn => Self::PrivilegeWithdrawn,
        }
    }
}

/// Why a device's certificates are revoked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "stolen", "certificate_reason": "keyCompromise" }))]
pub(crate) struct RevokeRequest {
    /// Why; it is recorded.
    #[serde(default)]
    reason: Reason,
    /// The reason that the CRL gives; `privilegeWithdrawn` where nothing is said.
    certificate_reason: Option<ReasonCode>,
}

/// Revokes a device and all its certificates.
///
/// The device is refused at every door at once; its certificates are on the CRL.
#[utoipa::path(
    post,
    path = "/api/v1/devices/{id}/revoke",
    tag = "containment",
    params(("id" = schema::DeviceId, Path, description = "The device.")),
    request_body = RevokeRequest,
    responses((status = 200, description = "It is revoked.", body = DeviceAfter))
)]
async fn revoke_device(
    State(state): State<PeopleState>,
    Path(id): Path<DeviceId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<RevokeRequest>,
) -> Result<Done<DeviceAfter>, Problem> {
    let code = request.certificate_reason;
    let code = code.map_or(RevocationReason::PrivilegeWithdrawn, Into::into);
    let act = Act::on(&state, &id).await?;
    act.become_(Lifecycle::Revoked, &request.reason).await?;
    let serials = act.revoke_certificates(code).await?;
    act.done(request.reason, serials).await
}

/// Takes a device out of service for good and revokes its certificates.
#[utoipa::path(
    post,
    path = "/api/v1/devices/{id}/retire",
    tag = "containment",
    params(("id" = schema::DeviceId, Path, description = "The device.")),
    request_body = ActRequest,
    responses((status = 200, description = "It is retired.", body = DeviceAfter))
)]
async fn retire_device(
    State(state): State<PeopleState>,
    Path(id): Path<DeviceId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<ActRequest>,
) -> Result<Done<DeviceAfter>, Problem> {
    let act = Act::on(&state, &id).await?;
    act.become_(Lifecycle::Retired, &request.reason).await?;
    let code = RevocationReason::CessationOfOperation;
    let serials = act.revoke_certificates(code).await?;
    act.done(request.reason, serials).await
}

/// Registers a revoked device anew, so that it can enrol again.
#[utoipa::path(
    post,
    path = "/api/v1/devices/{id}/reinstate",
    tag = "containment",
    params(("id" = schema::DeviceId, Path, description = "The device.")),
    request_body = ActRequest,
    responses((status = 200, description = "It is registered.", body = DeviceAfter))
)]
async fn reinstate_device(
    State(state): State<PeopleState>,
    Path(id): Path<DeviceId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<ActRequest>,
) -> Result<Done<DeviceAfter>, Problem> {
    let act = Act::on(&state, &id).await?;
    act.must_be(Lifecycle::Revoked, "reinstated")?;
    act.become_(Lifecycle::Registered, &request.reason).await?;
    act.done(request.reason, Vec::new()).await
}

/// How many sessions were closed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Disconnected {
    /// How many live sessions this closed.
    #[schema(minimum = 0)]
    closed_sessions: usize,
}

/// Closes the live sessions of a device. It may come back at once.
#[utoipa::path(
    post,
    path = "/api/v1/devices/{id}/disconnect",
    tag = "containment",
    params(("id" = schema::DeviceId, Path, description = "The device.")),
    responses((status = 200, description = "Its sessions are closed.", body = Disconnected))
)]
async fn disconnect_device(
    State(state): State<PeopleState>,
    Path(id): Path<DeviceId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<Disconnected>, Problem> {
    known_device(&state, &id).await?;
    let principal = Principal::from(id.clone());
    let closed_sessions = state.parts().gateway.close_sessions(&principal);
    let body = Disconnected { closed_sessions };
    Ok(Done::changed(&id, body).about(id.clone()))
}

/// An act on one device.
struct Act<'a> {
    state: &'a PeopleState,
    before: Device,
    principal: Principal,
    live: usize,
}

impl<'a> Act<'a> {
    async fn on(state: &'a PeopleState, id: &DeviceId) -> Result<Self, Problem> {
        let before = known_device(state, id).await?;
        let principal = Principal::from(id.clone());
        let live = live_sessions(state, &principal);
        Ok(Self {
            state,
            before,
            principal,
            live,
        })
    }

    fn must_be(&self, needed: Lifecycle, verb: &str) -> Result<(), Problem> {
        let found = self.before.posture.lifecycle;
        if found == needed {
            return Ok(());
        }
        Err(Problem::conflict(format!(
            "device {} is {found}: only a {needed} one is {verb}",
            self.before.id
        )))
    }

    async fn become_(&self, to: Lifecycle, reason: &Reason) -> Result<(), Problem> {
        let pdp = &self.state.parts().pdp;
        pdp.set_lifecycle(&self.before.id, to, reason.as_str())
            .await?;
        Ok(())
    }

    async fn has_certificate_in_force(&self) -> Result<bool, Problem> {
        let now = self.state.parts().clock.now();
        let certificates = self.state.store().certificates();
        let held = certificates.of(&self.principal.to_string()).await?;
        Ok(held
            .iter()
            .any(|held| held.revocation.is_none() && held.not_after > now))
    }

    async fn revoke_certificates(&self, code: RevocationReason) -> Result<Vec<Serial>, Problem> {
        let identity = &self.state.parts().identity;
        let revoked = identity.revoke_all_of(&self.principal, code).await;
        revoked.map_err(|error| {
            Problem::unavailable(
                format!(
                    "device {} is refused at every door from now on, and revoking its certificates \
                     or recording that did not come to its end: try again",
                    self.before.id
                ),
                &error,
            )
        })
    }

    async fn done(
        self,
        reason: Reason,
        revoked_certificates: Vec<Serial>,
    ) -> Result<Done<DeviceAfter>, Problem> {
        let id = self.before.id.clone();
        let device = known_device(self.state, &id).await?;
        let closed_sessions = match device.posture.lifecycle {
            Lifecycle::Active | Lifecycle::Registered => 0,
            Lifecycle::Quarantined | Lifecycle::Revoked | Lifecycle::Retired => {
                self.closed_sessions().await
            }
        };
        let after = DeviceAfter {
            device: view(self.state, device),
            closed_sessions,
            revoked_certificates,
        };
        Ok(Done::changed(&id, after)
            .because(Some(reason).filter(|reason| !reason.as_str().is_empty()))
            .about(id.clone()))
    }

    /// How many of the sessions that were live have ended.
    async fn closed_sessions(&self) -> usize {
        let begun = Instant::now();
        loop {
            let left = live_sessions(self.state, &self.principal);
            if left == 0 || begun.elapsed() >= SESSIONS_END {
                return self.live.saturating_sub(left);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn live_sessions(state: &PeopleState, principal: &Principal) -> usize {
    let sessions = state.parts().gateway.sessions_of(principal);
    sessions.iter().filter(|session| session.online).count()
}
