//! Response as a whole: how it is doing, its guard rails, and the switch that stops it.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use palisade_core::{ActionId, ActionState, Impact, Mode, Timestamp};
use palisade_respond::{ActionInfo, EmailTls, RespondConfig, RespondStats, Switch};
use palisade_store::Block;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    actions::{ImpactDoc, ModeDoc},
    acts::Done,
    auth::Caller,
    extract::{JsonBody, NoParameters, Query},
    routes::Routes,
    schema,
    text::Reason,
    views::All,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(Scope::RespondRead, "response.read", routes!(get_response))
        .read(
            Scope::RespondRead,
            "response.read_guard_rails",
            routes!(get_guard_rails),
        )
        .read(
            Scope::RespondRead,
            "response.list_blocked",
            routes!(list_blocked_addresses),
        )
        .write(
            Scope::RespondWrite,
            "response.switch",
            routes!(put_kill_switch),
        )
}

/// The switch that stops all automatic action.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KillSwitch)]
pub(crate) struct SwitchView {
    /// Whether all automatic action is stopped.
    stopped: bool,
    /// Why, as the person said.
    reason: String,
    /// Who said so last; null where nobody ever did.
    by: Option<String>,
    /// When.
    #[schema(value_type = Option<schema::Time>)]
    at: Option<Timestamp>,
}

impl From<Switch> for SwitchView {
    fn from(switch: Switch) -> Self {
        Self {
            stopped: switch.stopped,
            reason: switch.reason,
            by: switch.by,
            at: switch.at,
        }
    }
}

/// An action that there is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ActionKind)]
pub(crate) struct KindView {
    /// Its name in playbooks.
    name: &'static str,
    /// What it does.
    summary: &'static str,
    /// How much it takes from its target.
    #[schema(value_type = ImpactDoc)]
    impact: Impact,
}

impl From<ActionInfo> for KindView {
    fn from(info: ActionInfo) -> Self {
        Self {
            name: info.name,
            summary: info.summary,
            impact: info.impact,
        }
    }
}

/// What response did since the server started.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResponseCounts)]
pub(crate) struct CountsView {
    /// Findings taken into cases, each time that they were told.
    #[schema(minimum = 0)]
    findings: u64,
    /// Transactions in which findings were written.
    #[schema(minimum = 0)]
    batches: u64,
    /// Cases opened.
    #[schema(minimum = 0)]
    cases: u64,
    /// Actions ordered.
    #[schema(minimum = 0)]
    ordered: u64,
    /// Actions that joined one in force.
    #[schema(minimum = 0)]
    joined: u64,
    /// Actions done.
    #[schema(minimum = 0)]
    done: u64,
    /// Actions that failed for good.
    #[schema(minimum = 0)]
    failed: u64,
    /// Actions undone.
    #[schema(minimum = 0)]
    undone: u64,
    /// Actions that had to wait for a person.
    #[schema(minimum = 0)]
    waited: u64,
}

impl From<RespondStats> for CountsView {
    fn from(stats: RespondStats) -> Self {
        Self {
            findings: stats.findings,
            batches: stats.batches,
            cases: stats.cases,
            ordered: stats.ordered,
            joined: stats.joined,
            done: stats.done,
            failed: stats.failed,
            undone: stats.undone,
            waited: stats.waited,
        }
    }
}

/// How response is doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Response)]
pub(crate) struct ResponseView {
    /// The switch that stops all automatic action.
    kill_switch: SwitchView,
    /// Actions that wait for a person.
    #[schema(minimum = 0)]
    waiting: u64,
    /// Cases by state.
    #[schema(value_type = Object)]
    cases: BTreeMap<String, u64>,
    /// What it did since the server started.
    counts: CountsView,
    /// Why the directory of playbooks as it is now is not in force; null where it is.
    playbook_problem: Option<String>,
    /// The actions that there are.
    actions: Vec<KindView>,
    /// To where notifications may go.
    destinations: DestinationsView,
}

/// To where notifications may go. No address of a person, and no secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Destinations)]
pub(crate) struct DestinationsView {
    /// Webhooks, by name.
    webhooks: Vec<String>,
    /// E-mail.
    emails: Vec<EmailView>,
}

/// People who get e-mail.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmailDestination)]
pub(crate) struct EmailView {
    /// Under which name playbooks know them.
    name: String,
    /// The SMTP server.
    server: String,
    /// How it is reached: `starttls`, `implicit` or `insecure_loopback`.
    tls: &'static str,
    /// How many people get it.
    #[schema(minimum = 0)]
    recipients: usize,
}

impl From<&RespondConfig> for DestinationsView {
    fn from(config: &RespondConfig) -> Self {
        let emails = config.emails.iter().map(|(name, email)| EmailView {
            name: name.clone(),
            server: email.server.clone(),
            tls: match email.tls {
                EmailTls::Starttls => "starttls",
                EmailTls::Implicit => "implicit",
                EmailTls::InsecureLoopback => "insecure_loopback",
            },
            recipients: email.to.len(),
        });
        Self {
            webhooks: config.webhooks.keys().cloned().collect(),
            emails: emails.collect(),
        }
    }
}

/// Shows how response is doing.
#[utoipa::path(
    get,
    path = "/api/v1/response",
    tag = "response",
    responses((status = 200, description = "How it is doing.", body = ResponseView))
)]
async fn get_response(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<ResponseView>, Problem> {
    let respond = &state.parts().respond;
    let actions = respond.actions().into_iter().map(KindView::from);
    Ok(Json(ResponseView {
        kill_switch: respond.switch().into(),
        waiting: state.store().actions().count(ActionState::Waiting).await?,
        cases: state.store().cases().count_by_state().await?,
        counts: respond.stats().into(),
        playbook_problem: respond
            .playbook_problem()
            .map(|problem| problem.to_string()),
        actions: actions.collect(),
        destinations: respond.config().into(),
    }))
}

/// The guard rails, as the configuration has them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GuardRails {
    /// The most that any playbook may do.
    #[schema(value_type = ModeDoc)]
    max_mode: Mode,
    /// Whether what one person ordered has to be approved by another.
    second_person: bool,
    /// How long an action waits for a person, in seconds.
    #[schema(minimum = 0)]
    approval_timeout_s: u64,
    /// The longest that an action holds by itself, in seconds.
    #[schema(minimum = 0)]
    max_ttl_s: u64,
    /// How far back a target is a repeat offender, in seconds.
    #[schema(minimum = 0)]
    repeat_window_s: u64,
    /// How much may happen with no person having a part in it.
    caps: CapsView,
    /// What is never touched.
    never_touch: NeverTouchView,
    /// The names of the webhooks.
    webhooks: Vec<String>,
    /// The names of the grant sets.
    grant_sets: Vec<String>,
}

/// How much may happen with no person having a part in it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Caps)]
pub(crate) struct CapsView {
    /// The window in seconds. What is in force counts however old it is.
    #[schema(minimum = 0)]
    window_s: u64,
    /// Subjects that people may be told about.
    #[schema(minimum = 0)]
    none: u64,
    /// Targets that may lose a part of their service.
    #[schema(minimum = 0)]
    partial: u64,
    /// Targets that may lose all their service.
    #[schema(minimum = 0)]
    full: u64,
    /// Targets that may lose what cannot be given back.
    #[schema(minimum = 0)]
    permanent: u64,
    /// The share of a segment, and of a product, that may lose all its service, in percent.
    #[schema(maximum = 100)]
    share_percent: u8,
    /// So many devices of a segment or a product may, however small a share that is.
    #[schema(minimum = 1)]
    share_at_least: u64,
    /// Segments of drills and test stands, for whose devices none of these caps holds.
    #[schema(value_type = Vec<schema::SegmentId>)]
    drill_segments: Vec<String>,
}

/// What is never touched.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NeverTouch)]
pub(crate) struct NeverTouchView {
    /// Devices.
    #[schema(value_type = Vec<schema::DeviceId>)]
    devices: Vec<String>,
    /// All devices of these products.
    #[schema(value_type = Vec<schema::ProductId>)]
    products: Vec<String>,
    /// All devices of these segments.
    #[schema(value_type = Vec<schema::SegmentId>)]
    segments: Vec<String>,
    /// All devices with one of these labels.
    #[schema(value_type = Object)]
    labels: BTreeMap<String, String>,
    /// Addresses and networks.
    addresses: Vec<String>,
    /// API tokens by name.
    api_tokens: Vec<String>,
}

impl From<&RespondConfig> for GuardRails {
    fn from(config: &RespondConfig) -> Self {
        let (caps, never) = (&config.caps, &config.never_touch);
        Self {
            max_mode: config.max_mode,
            second_person: config.second_person,
            approval_timeout_s: config.approval_timeout_s,
            max_ttl_s: config.max_ttl_s,
            repeat_window_s: config.repeat_window_s,
            caps: CapsView {
                window_s: caps.window_s,
                none: caps.none,
                partial: caps.partial,
                full: caps.full,
                permanent: caps.permanent,
                share_percent: caps.share_percent,
                share_at_least: caps.share_at_least,
                drill_segments: texts(&caps.drill_segments),
            },
            never_touch: NeverTouchView {
                devices: texts(&never.devices),
                products: texts(&never.products),
                segments: texts(&never.segments),
                labels: never.labels.clone(),
                addresses: texts(&never.addresses),
                api_tokens: never.api_tokens.clone(),
            },
            webhooks: config.webhooks.keys().cloned().collect(),
            grant_sets: config.grant_sets.keys().cloned().collect(),
        }
    }
}

fn texts(items: &[impl ToString]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

/// Shows the guard rails. They are changed in the configuration, by whoever has the server.
#[utoipa::path(
    get,
    path = "/api/v1/guard-rails",
    tag = "response",
    responses((status = 200, description = "The guard rails.", body = GuardRails))
)]
async fn get_guard_rails(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<GuardRails>, Problem> {
    Ok(Json(state.parts().respond.config().into()))
}

/// A network that is refused at the doors for devices.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockedAddress {
    /// The action that blocks it.
    #[schema(value_type = schema::ActionId)]
    action: ActionId,
    /// Which, as `<address>/<prefix length>`.
    network: String,
    /// Why.
    reason: String,
    /// Since when.
    #[schema(value_type = schema::Time)]
    since: Timestamp,
}

impl From<Block> for BlockedAddress {
    fn from(block: Block) -> Self {
        Self {
            action: block.action,
            network: block.network,
            reason: block.reason,
            since: block.since,
        }
    }
}

/// Lists the addresses that are refused at the doors for devices. The action that blocks one is undone to let it in.
#[utoipa::path(
    get,
    path = "/api/v1/blocked-addresses",
    tag = "response",
    responses((status = 200, description = "The networks, the oldest first.",
        body = All<BlockedAddress>))
)]
async fn list_blocked_addresses(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<All<BlockedAddress>>, Problem> {
    let blocked = state.parts().gateway.blocked();
    Ok(Json(All::of(blocked.into_iter().map(BlockedAddress::from))))
}

/// How the switch is to stand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "stopped": true, "reason": "a detector went mad" }))]
pub(crate) struct SwitchRequest {
    /// Whether all automatic action is stopped.
    stopped: bool,
    /// Why; it is recorded.
    #[serde(default)]
    reason: Reason,
}

/// Stops all automatic action, or lets it go on.
///
/// While it is stopped, what playbooks order waits for a person. What is in force ends when its time is
/// over, and people act as before. What waits goes on waiting when it is started.
#[utoipa::path(
    put,
    path = "/api/v1/response/kill-switch",
    tag = "response",
    request_body = SwitchRequest,
    responses((status = 200, description = "The switch as it stands now.", body = SwitchView))
)]
async fn put_kill_switch(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<SwitchRequest>,
) -> Result<Done<SwitchView>, Problem> {
    let (respond, reason) = (&state.parts().respond, request.reason.as_str());
    let switch = respond.turn(request.stopped, reason, &caller.name).await?;
    let target = if request.stopped {
        "stopped"
    } else {
        "started"
    };
    Ok(Done::changed(target, switch.into()).because(Some(reason).filter(|why| !why.is_empty())))
}
