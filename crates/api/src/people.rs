//! The door for people and programs: the REST API under `/api/v1`. A route is a line in the table of its
//! resource; `gate` stands before each handler and `document` describes each route, both from that line.

mod access;
mod access_entries;
mod access_log;
mod access_review;
mod accounts;
mod actions;
mod acts;
mod api_tokens;
mod approvals;
mod asker;
mod assignments;
mod audit_source;
mod audits;
mod auth;
mod baselines;
mod ca;
mod ca_root;
mod cases;
mod containment;
mod cookie;
mod denials;
mod detect;
mod device_messages;
mod device_state;
mod devices;
mod doctor;
mod document;
mod drills;
mod elevations;
mod emails;
mod erase;
mod errors;
mod events;
mod explain;
mod exports;
mod extract;
mod failures;
mod findings;
mod gate;
mod grants;
mod import;
mod ledger;
mod ledger_log;
mod ledger_proof;
mod log_in;
mod messages;
mod mitigate;
mod oidc;
mod oidc_answer;
mod oidc_link;
mod own_account;
mod page;
mod passkey_log_in;
mod passkeys;
mod passwords;
mod playbooks;
mod policy;
mod products;
mod recovery_codes;
mod replay;
mod response;
mod roles;
mod rotation;
mod routes;
mod rules;
mod rules_replay;
mod schema;
mod secret;
mod services;
mod sessions;
pub mod setup;
mod shadow;
mod status;
mod suppressions;
mod target;
mod teams;
mod telemetry;
mod telemetry_holds;
mod text;
mod tokens;
mod views;
mod whole;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    middleware,
    response::{IntoResponse, Response},
};
use palisade_bus::SharedBus;
use palisade_core::{Clock, port::Journal};
use palisade_detect::{Detect, baseline::Baselines, rules::Rules};
use palisade_export::Exports;
use palisade_gateway::Gateway;
use palisade_identity::Identity;
use palisade_ledger::{Ledger, Log};
use palisade_people::People;
use palisade_policy::Pdp;
use palisade_respond::Respond;
use palisade_store::{Store, StoreError};
use palisade_vault::Vault;
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use import::read_inventory;

pub use access::{EVERYTHING, Scope, Scopes};
pub use auth::{AuthError, Authenticator, BearerTokens, Caller, Callers, Person};
pub use events::KINDS as EVENT_KINDS;

use crate::{
    console,
    doctor::Premises,
    problem::{Problem, ProblemKind},
};
use access_log::AccessLog;
pub(crate) use access_log::AccessLogStats;
use denials::Denials;
pub(crate) use doctor::readiness;
use routes::Routes;

/// Where the OpenAPI document is.
pub const DOCUMENT_PATH: &str = "/api/openapi.json";
const FLUSH_EVERY: Duration = Duration::from_millis(250);
/// How long requests wait to be written down; whoever reads the log of access sees them at once.
const LOG_EVERY: Duration = Duration::from_secs(5);
/// Entries of the log of access that are removed at once.
const PART: u32 = 2_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long an idempotency key is remembered.
const KEYS_LIVE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long it is kept what a second person decided; the ledger keeps it for good.
const DECIDED_LIVE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// What the REST door is made of.
pub struct PeopleParts {
    /// The system of record.
    pub store: Store,
    /// The event backbone.
    pub bus: SharedBus,
    /// Where acts are written down before they are acknowledged.
    pub journal: Arc<dyn Journal>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The certification authority.
    pub identity: Arc<Identity>,
    /// Accounts of people and their passwords.
    pub people: Arc<People>,
    /// Who decides.
    pub pdp: Arc<Pdp>,
    /// The audit log.
    pub ledger: Arc<Ledger>,
    /// The audit log as others can check it.
    pub log: Arc<Log>,
    /// What devices sent and is kept.
    pub vault: Arc<Vault>,
    /// Detection.
    pub detect: Arc<Detect>,
    /// Its rules.
    pub rules: Arc<Rules>,
    /// Where events go from here.
    pub exports: Arc<Exports>,
    /// Its baselines of behaviour.
    pub baselines: Arc<Baselines>,
    /// Response.
    pub respond: Arc<Respond>,
    /// The MQTT door.
    pub gateway: Arc<Gateway>,
    /// Where the server is kept.
    pub premises: Premises,
    /// How many streams of events may be open at once.
    pub max_event_streams: usize,
    /// The version of the server.
    pub version: &'static str,
}

/// A door by its name, and where it listens.
pub(crate) type Door = (&'static str, Vec<SocketAddr>);

/// The REST door's state; clones share it.
#[derive(Clone)]
pub struct PeopleState {
    inner: Arc<Inner>,
}

struct Inner {
    parts: PeopleParts,
    authenticator: Arc<dyn Authenticator>,
    setup: setup::Attempts,
    /// Log-ins that were begun and cost a write before anybody showed anything.
    begun: failures::Failures,
    denials: Denials,
    access_log: AccessLog,
    writes: TaskTracker,
    streams: Arc<Semaphore>,
    exports: telemetry::ExportBook,
    doors: OnceLock<Vec<Door>>,
    /// One import and one verification at a time: each reads or writes the whole database.
    import: Semaphore,
    verification: Semaphore,
    closing: CancellationToken,
}

impl PeopleState {
    /// The state of a door made of these parts, open to the bearers of API tokens and to whoever logged in.
    #[must_use]
    pub fn new(parts: PeopleParts) -> Self {
        let tokens = BearerTokens::new(parts.store.clone(), parts.clock.clone());
        let callers = Callers::new(tokens, parts.people.clone());
        Self::with_authenticator(parts, Arc::new(callers))
    }

    /// The state of a door that recognises callers in another way.
    #[must_use]
    pub fn with_authenticator(parts: PeopleParts, authenticator: Arc<dyn Authenticator>) -> Self {
        let denials = Denials::new(parts.journal.clone(), parts.clock.clone());
        let access_log = AccessLog::new(parts.store.clone(), parts.clock.clone());
        let known = routes().actions();
        let actions = palisade_people::Catalogue::new(
            known.clone(),
            access::Scope::ALL.iter().map(|scope| scope.as_str()),
        );
        if let Err(problem) = actions.and_then(|actions| parts.people.know_actions(actions)) {
            // Nobody who logs in may do anything then; a test holds that it does not come to that.
            tracing::error!(%problem, "the roles that ship cannot be read");
        }
        let auditor = parts.detect.auditor();
        auditor.set_source(audit_source::Sources::of(&parts, &known));
        let streams = Arc::new(Semaphore::new(
            parts.max_event_streams.min(Semaphore::MAX_PERMITS),
        ));
        Self {
            inner: Arc::new(Inner {
                parts,
                authenticator,
                setup: setup::Attempts::default(),
                begun: failures::Failures::default(),
                denials,
                access_log,
                writes: TaskTracker::new(),
                streams,
                exports: telemetry::ExportBook::default(),
                doors: OnceLock::new(),
                import: Semaphore::new(1),
                verification: Semaphore::new(1),
                closing: CancellationToken::new(),
            }),
        }
    }

    /// What runs beside requests: records counted denials, writes the log of access, forgets what is old. When cancelled
    /// it ends the streams of events, and returns when all writes that began have ended.
    pub async fn run(self, cancel: CancellationToken) {
        let mut flush = tokio::time::interval(FLUSH_EVERY);
        let mut prune = tokio::time::interval(PRUNE_EVERY);
        let mut log = tokio::time::interval(LOG_EVERY);
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                _ = flush.tick() => self.inner.denials.flush(false).await,
                _ = log.tick() => self.inner.access_log.flush().await,
                _ = prune.tick() => self.prune().await,
            }
        }
        self.inner.closing.cancel();
        self.inner.writes.close();
        self.inner.writes.wait().await;
        self.inner.denials.flush(true).await;
        self.close().await;
    }

    /// Writes down what was noted of requests that have ended.
    pub async fn close(&self) {
        self.inner.access_log.flush().await;
    }

    async fn prune(&self) {
        let parts = self.parts();
        let Ok(before) = parts.clock.now().checked_sub(KEYS_LIVE) else {
            return;
        };
        if let Err(error) = parts.store.idempotency().prune(before).await {
            tracing::warn!(%error, "old idempotency keys could not be removed");
        }
        let Ok(before) = parts.clock.now().checked_sub(DECIDED_LIVE) else {
            return;
        };
        if let Err(error) = parts.store.approvals().prune(before).await {
            tracing::warn!(%error, "old approvals could not be removed");
        }
        if let Err(error) = self.prune_access().await {
            tracing::warn!(%error, "old entries of the log of access could not be removed");
        }
    }

    async fn prune_access(&self) -> Result<(), StoreError> {
        let parts = self.parts();
        let days = parts.people.keep_access_days();
        let Ok(before) = parts.clock.now().checked_sub(DAY * days) else {
            return Ok(());
        };
        // 0 keeps them for ever.
        while days > 0 && parts.store.pruning().access(before, PART).await? == u64::from(PART) {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    pub(crate) fn parts(&self) -> &PeopleParts {
        &self.inner.parts
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.parts.store
    }

    pub(crate) fn authenticator(&self) -> &dyn Authenticator {
        self.inner.authenticator.as_ref()
    }

    pub(crate) fn denials(&self) -> &Denials {
        &self.inner.denials
    }

    fn exports(&self) -> &telemetry::ExportBook {
        &self.inner.exports
    }

    fn access_log(&self) -> &AccessLog {
        &self.inner.access_log
    }

    /// The numbers of the log of access.
    pub(crate) fn access_log_stats(&self) -> AccessLogStats {
        self.inner.access_log.stats()
    }

    /// Says where the server listens, once that is known.
    pub(crate) fn know_doors(&self, doors: Vec<Door>) {
        let _ = self.inner.doors.set(doors);
    }

    pub(crate) fn doors(&self) -> &[Door] {
        self.inner.doors.get().map_or(&[], Vec::as_slice)
    }

    /// What became of letters to the people of accounts.
    pub(crate) fn notice_stats(&self) -> palisade_people::NoticeStats {
        self.parts().people.notice_stats()
    }

    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.inner.closing
    }

    /// Runs a write to its end, whether or not its client waits for it.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        write: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.inner.writes.spawn(write)
    }
}

fn routes() -> Routes {
    setup::routes()
        .and(status::routes())
        .and(doctor::routes())
        .and(log_in::routes())
        .and(passkey_log_in::routes())
        .and(oidc::routes())
        .and(oidc_link::routes())
        .and(own_account::routes())
        .and(emails::routes())
        .and(passkeys::routes())
        .and(recovery_codes::routes())
        .and(accounts::routes())
        .and(erase::routes())
        .and(assignments::routes())
        .and(roles::routes())
        .and(teams::routes())
        .and(telemetry::routes())
        .and(telemetry_holds::routes())
        .and(approvals::routes())
        .and(elevations::routes())
        .and(access_entries::routes())
        .and(access_review::routes())
        .and(passwords::routes())
        .and(products::routes())
        .and(devices::routes())
        .and(import::routes())
        .and(containment::routes())
        .and(rotation::routes())
        .and(device_state::routes())
        .and(device_messages::routes())
        .and(sessions::routes())
        .and(tokens::routes())
        .and(api_tokens::routes())
        .and(services::routes())
        .and(grants::routes())
        .and(policy::routes())
        .and(shadow::routes())
        .and(explain::routes())
        .and(messages::routes())
        .and(drills::routes())
        .and(events::routes())
        .and(findings::routes())
        .and(suppressions::routes())
        .and(baselines::routes())
        .and(detect::routes())
        .and(audits::routes())
        .and(mitigate::routes())
        .and(rules::routes())
        .and(rules_replay::routes())
        .and(exports::routes())
        .and(ledger::routes())
        .and(ledger_log::routes())
        .and(ledger_proof::routes())
        .and(ca::routes())
        .and(ca_root::routes())
        .and(cases::routes())
        .and(actions::routes())
        .and(playbooks::routes())
        .and(response::routes())
}

/// The OpenAPI document of the REST door, in JSON.
#[must_use]
pub fn openapi() -> String {
    let mut document = serde_json::to_value(routes().document()).unwrap_or_default();
    // Some of its maps have no order of their own, and it is compared as text.
    document.sort_all_objects();
    format!("{document:#}\n")
}

/// All that the REST door serves.
pub fn router(state: PeopleState) -> Router {
    routes()
        .router(&state)
        .fallback(elsewhere)
        .method_not_allowed_fallback(no_such_method)
        .with_state(state)
        .layer(middleware::from_fn(gate::guard))
}

/// What is no route is the console's, or nothing.
async fn elsewhere(request: Request) -> Response {
    if let Some(answer) = console::answer(&request) {
        return answer;
    }
    let detail = format!("there is nothing at this path; {DOCUMENT_PATH} says what there is");
    Problem::new(ProblemKind::NotFound, detail).into_response()
}

async fn no_such_method() -> Problem {
    let detail = format!("this path has no such method; {DOCUMENT_PATH} says which it has");
    Problem::new(ProblemKind::MethodNotAllowed, detail)
}
