//! What all connections share: sessions, subscriptions, retained messages, limits, and the way to
//! policy, ledger and disk.

mod deadlines;
mod goodbye;
mod keep;
mod publish;
mod registry;
mod restore;
mod seen;
mod sessions;
mod statistics;
mod stats;
mod wills;

use std::{
    net::IpAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use palisade_core::{
    Clock, Decision, DenyReason, Request, Timestamp, Topic,
    port::{Journal, TelemetrySink},
};
use palisade_identity::Identity;
use palisade_policy::{Pdp, Subject};
use parking_lot::RwLock;
use tokio::time::Instant;

pub use keep::After;
pub use publish::{Distributed, Wakes};
pub use registry::Registry;
pub use seen::Seen;
pub use sessions::{Attach, AttachError, Attached, Ended};
pub use statistics::{Statistics, Used};
pub use stats::{GatewayStats, Stats};

use crate::{
    blocks::BlockList,
    config::GatewayConfig,
    limits::Limits,
    notices::Notices,
    persist::Persister,
    routing::{Retained, Tree},
    session::Session,
    tap::Taps,
};
use deadlines::Deadlines;

/// What all connections share.
pub struct Broker {
    /// How it is set up.
    pub config: GatewayConfig,
    /// Who decides.
    pub pdp: Arc<Pdp>,
    /// Who says whose a certificate is.
    pub identity: Arc<Identity>,
    /// Where admissions are written down.
    pub journal: Arc<dyn Journal>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Source addresses that are refused.
    pub blocks: BlockList,
    /// Rates.
    pub limits: Limits,
    /// The way to the disk.
    pub persister: Arc<Persister>,
    /// What is written down once a second.
    pub notices: Notices,
    /// Counters.
    pub stats: Stats,
    /// What each session does.
    pub statistics: Statistics,
    /// Sessions.
    pub registry: Registry,
    /// Devices that were heard of lately.
    pub seen: Seen,
    /// Who watches the messages of a device.
    pub taps: Arc<Taps>,
    tree: RwLock<Tree<Arc<Session>>>,
    /// Moves with every change of the tree.
    generation: AtomicU64,
    retained: RwLock<Retained>,
    deadlines: Deadlines,
    sink: OnceLock<Arc<dyn TelemetrySink>>,
    next_number: AtomicU64,
    revocations: AtomicU64,
    is_draining: AtomicBool,
    started: Instant,
}

/// Topics below this are the server's own: nobody publishes to them, whatever the grants say.
const RESERVED: &str = "$palisade/";

impl Broker {
    /// A broker without sessions.
    pub fn new(
        config: GatewayConfig,
        pdp: Arc<Pdp>,
        identity: Arc<Identity>,
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        blocks: BlockList,
    ) -> Self {
        Self {
            limits: Limits::new(config.source.clone()),
            notices: Notices::new(journal.clone(), clock.clone()),
            persister: Persister::new(),
            stats: Stats::new(clock.now()),
            statistics: Statistics::new(
                Duration::from_secs(config.statistics_interval_s),
                Instant::now(),
            ),
            registry: Registry::default(),
            seen: Seen::default(),
            taps: Arc::default(),
            tree: RwLock::new(Tree::default()),
            generation: AtomicU64::new(0),
            retained: RwLock::new(Retained::new(
                config.max_retained,
                config.max_retained_bytes,
            )),
            deadlines: Deadlines::default(),
            sink: OnceLock::new(),
            next_number: AtomicU64::new(1),
            revocations: AtomicU64::new(0),
            is_draining: AtomicBool::new(false),
            started: Instant::now(),
            blocks,
            config,
            pdp,
            identity,
            journal,
            clock,
        }
    }

    /// A number that nothing else has while the server runs: of a session or a connection.
    pub fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Moves when certificates are revoked: connections look at theirs again then.
    pub fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::Acquire)
    }

    /// Certificates were revoked.
    pub fn note_revocation(&self) {
        self.revocations.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether a topic is the server's own.
    pub fn is_reserved(topic: Topic<'_>) -> bool {
        topic.as_str().starts_with(RESERVED)
    }

    /// Tells everybody who must know that policy said no.
    pub fn denied(
        &self,
        subject: &Subject,
        source: IpAddr,
        request: &Request<'_>,
        reason: DenyReason,
    ) {
        self.stats.denied.fetch_add(1, Ordering::Relaxed);
        let principal = subject.principal();
        self.notices.denied(
            principal,
            source,
            request.action(),
            reason,
            request.resource(),
        );
        if let Some(device) = principal.device() {
            self.pdp.observe_denial(device, 1);
        }
    }

    /// The same, for a message to a topic of the server's own.
    pub fn denied_reserved(&self, subject: &Subject, source: IpAddr, topic: Topic<'_>) {
        let request = Request::Publish {
            topic,
            qos: 0,
            retain: false,
            size: 0,
        };
        self.denied(subject, source, &request, DenyReason::NoGrant);
    }

    /// Asks policy without a cache, and tells when it says no.
    pub fn is_allowed(&self, subject: &Subject, source: IpAddr, request: &Request<'_>) -> bool {
        match self.pdp.decide(subject, request) {
            Decision::Allow => true,
            Decision::Deny(reason) => {
                self.denied(subject, source, request, reason);
                false
            }
        }
    }
}

/// Moments that are kept as so long after the broker began.
impl Broker {
    /// How long after the broker began a moment is.
    pub fn since_start(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.started)
    }

    /// When the client of a session was last heard of.
    pub fn heard_at(&self, session: &Session) -> Timestamp {
        let heard = Duration::from_millis(session.facts.heard_ms.load(Ordering::Relaxed));
        let ago = self.since_start(Instant::now()).saturating_sub(heard);
        self.clock
            .now()
            .checked_sub(ago)
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
