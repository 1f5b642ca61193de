//! How the server is, and who the caller is.

use std::sync::LazyLock;

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use palisade_core::{Lifecycle, ServiceId, Timestamp, hex};
use palisade_gateway::GatewayStats;
use palisade_policy::PdpStats;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    api_tokens::ScopeName,
    auth::Caller,
    extract::{NoParameters, Query},
    routes::Routes,
    schema,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default()
        .public("document.read", routes!(get_document))
        .token("own.read", routes!(who_am_i))
        .read(Scope::StatusRead, "status.read", routes!(get_status))
}

/// Reads this document.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "server",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object))
)]
async fn get_document(Query(NoParameters {}): Query<NoParameters>) -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(super::openapi);
    let media_type = [(header::CONTENT_TYPE, "application/json")];
    (media_type, DOCUMENT.as_str()).into_response()
}

/// Whose token it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WhoAmI {
    /// The token.
    #[schema(value_type = schema::TokenId)]
    id: String,
    /// Its name; acts are recorded under it.
    name: String,
    /// What it may do.
    #[schema(value_type = Vec<ScopeName>)]
    scopes: Vec<String>,
    /// The service that it publishes for.
    #[schema(value_type = Option<schema::ServiceId>)]
    service: Option<ServiceId>,
    /// When it ends, if it does.
    #[schema(value_type = Option<schema::Time>)]
    expires_at: Option<Timestamp>,
}

/// Says whose token the request carries.
#[utoipa::path(
    get,
    path = "/api/v1/whoami",
    tag = "server",
    responses((status = 200, description = "The token.", body = WhoAmI))
)]
async fn who_am_i(
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<WhoAmI>, Problem> {
    Ok(Json(WhoAmI {
        id: caller.token.to_string(),
        name: caller.name,
        scopes: caller.scopes.into(),
        service: caller.service,
        expires_at: caller.expires_at,
    }))
}

/// How many devices are at each point of life.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct DeviceCounts {
    /// All of them.
    #[schema(minimum = 0)]
    total: u64,
    /// Known, not yet enrolled.
    #[schema(minimum = 0)]
    registered: u64,
    /// Enrolled and in service.
    #[schema(minimum = 0)]
    active: u64,
    /// Contained.
    #[schema(minimum = 0)]
    quarantined: u64,
    /// Revoked.
    #[schema(minimum = 0)]
    revoked: u64,
    /// Out of service.
    #[schema(minimum = 0)]
    retired: u64,
}

impl DeviceCounts {
    fn of(counts: &[(Lifecycle, u64)]) -> Self {
        let of = |wanted: Lifecycle| {
            let of_it = counts.iter().filter(|(lifecycle, _)| *lifecycle == wanted);
            of_it.map(|(_, count)| count).sum()
        };
        Self {
            total: counts.iter().map(|(_, count)| count).sum(),
            registered: of(Lifecycle::Registered),
            active: of(Lifecycle::Active),
            quarantined: of(Lifecycle::Quarantined),
            revoked: of(Lifecycle::Revoked),
            retired: of(Lifecycle::Retired),
        }
    }
}

/// Counters of the MQTT door since its start.
#[derive(ToSchema)]
#[schema(as = GatewayStats)]
#[expect(dead_code, reason = "stands in the document for the gateway's type")]
pub(crate) struct GatewayStatsDoc {
    /// Since when it counts.
    #[schema(value_type = schema::Time)]
    started_at: String,
    /// Sessions with a connection now.
    connected: u64,
    /// Sessions, connected or away.
    sessions: u64,
    /// Messages from clients that were let through.
    messages_in: u64,
    /// Messages to clients.
    messages_out: u64,
    /// Requests that policy denied.
    denied: u64,
}

/// Counters of the policy decision point.
#[derive(ToSchema)]
#[schema(as = PdpStats)]
#[expect(dead_code, reason = "stands in the document for policy's type")]
pub(crate) struct PdpStatsDoc {
    /// Decisions.
    decisions: u64,
    /// Decisions that a session remembered.
    cache_hits: u64,
    /// Decisions that no session remembered.
    cache_misses: u64,
    /// Requests allowed.
    allowed: u64,
    /// Requests denied.
    denied: u64,
}

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    /// Its version.
    version: &'static str,
    /// What time it has.
    #[schema(value_type = schema::Time)]
    time: Timestamp,
    /// The trust domain of its certificates.
    trust_domain: String,
    /// Devices.
    devices: DeviceCounts,
    /// The MQTT door.
    #[schema(value_type = GatewayStatsDoc)]
    gateway: GatewayStats,
    /// The policy decision point.
    #[schema(value_type = PdpStatsDoc)]
    pdp: PdpStats,
    /// The version of the policies in force.
    #[schema(minimum = 0)]
    policy_version: u64,
    /// Moves with each change of policies or grants.
    #[schema(minimum = 0)]
    policy_epoch: u64,
    /// Entries of the ledger.
    #[schema(minimum = 0)]
    ledger_entries: u64,
    /// The root of the tree over them, in hexadecimal digits.
    ledger_root: String,
    /// Until when the issuer is valid.
    #[schema(value_type = schema::Time)]
    issuer_not_after: Timestamp,
    /// Whether the root key is on this server.
    root_key_is_here: bool,
}

/// Says how the server is.
#[utoipa::path(
    get,
    path = "/api/v1/status",
    tag = "server",
    responses((status = 200, description = "How it is.", body = Status))
)]
async fn get_status(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<Status>, Problem> {
    let parts = state.parts();
    let counts = parts.store.devices().count_by_lifecycle().await?;
    let (ledger_entries, root) = parts.ledger.head();
    Ok(Json(Status {
        version: parts.version,
        time: parts.clock.now(),
        trust_domain: parts.identity.trust_domain().to_string(),
        devices: DeviceCounts::of(&counts),
        gateway: parts.gateway.stats(),
        pdp: parts.pdp.stats(),
        policy_version: parts.pdp.policies().version,
        policy_epoch: parts.pdp.policy_epoch().0,
        ledger_entries,
        ledger_root: hex(&root),
        issuer_not_after: parts.identity.issuer_not_after(),
        root_key_is_here: parts.identity.root_key_is_here(),
    }))
}
