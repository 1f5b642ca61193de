//! The door for devices: enrolment (EST, RFC 7030 as clarified by RFC 8951), CRLs, reports.
//!
//! Who asks is known by a token, by its maker's certificate or by ours, and whether it may is policy's to
//! say. What was admitted or refused is in the journal before the client is answered; where it cannot be
//! written down, nobody is admitted.

mod answer;
mod credentials;
mod enrol;
mod est;
mod limiter;
mod notices;
mod public;
mod refused;
mod renew;
mod report;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::Router;
use palisade_core::{Clock, Principal, port::Journal};
use palisade_identity::{Identity, Issued};
use palisade_policy::Pdp;
use palisade_store::Store;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    answer::Refusal,
    limiter::Limiter,
    notices::{About, Notices, What},
};
use crate::{
    ApiParts,
    serve::{OnRefused, source_key},
};

/// The largest request body of any route, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// Enrolments and renewals that are under way at once; the next one waits.
const WORKERS: usize = 256;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// The state of the door.
pub(crate) struct Devices {
    store: Store,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    identity: Arc<Identity>,
    pdp: Arc<Pdp>,
    notices: Notices,
    failures: Limiter<IpAddr>,
    certificates: Limiter<Principal>,
    reports: Limiter<Principal>,
    tasks: TaskTracker,
    workers: Arc<Semaphore>,
    enrolled: AtomicU64,
    renewed: AtomicU64,
    refused: AtomicU64,
}

/// What the door did since it was opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) enrolled: u64,
    pub(crate) renewed: u64,
    pub(crate) refused: u64,
}

impl Devices {
    pub(crate) fn new(parts: &ApiParts) -> Arc<Self> {
        let config = &parts.config.devices;
        Arc::new(Self {
            store: parts.store.clone(),
            journal: parts.journal.clone(),
            clock: parts.clock.clone(),
            identity: parts.identity.clone(),
            pdp: parts.pdp.clone(),
            notices: Notices::new(parts.journal.clone(), parts.clock.clone()),
            failures: Limiter::new(config.failures_per_minute, MINUTE),
            certificates: Limiter::new(config.certificates_per_hour, HOUR),
            reports: Limiter::new(config.reports_per_hour, HOUR),
            tasks: TaskTracker::new(),
            workers: Arc::new(Semaphore::new(WORKERS)),
            enrolled: AtomicU64::new(0),
            renewed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// What the door did.
    pub(crate) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            enrolled: read(&self.enrolled),
            renewed: read(&self.renewed),
            refused: read(&self.refused),
        }
    }

    /// What the server tells of clients whose certificate was refused in the handshake.
    pub(crate) fn on_refused(self: &Arc<Self>) -> OnRefused {
        let devices = Arc::downgrade(self);
        Arc::new(move |source, error| {
            let Some(devices) = devices.upgrade() else {
                return;
            };
            let about = About {
                // One who changes addresses within a network is one.
                source: source_key(source.ip()),
                principal: None,
            };
            let what = What::Refused(format!("tls handshake: {error}"));
            devices.refused.fetch_add(1, Ordering::Relaxed);
            devices.notices.note_soon(about, what);
        })
    }

    /// Writes down what was counted, until cancelled.
    pub(crate) async fn run(self: Arc<Self>, cancel: CancellationToken) {
        self.notices.run(cancel).await;
    }

    /// Waits for enrolments and renewals that are under way.
    pub(crate) async fn close(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Does something to its end, even where the client goes away meanwhile: half an enrolment would be a
    /// use of a token that nobody had.
    async fn work<F, W>(self: &Arc<Self>, work: W) -> Result<Issued, Refusal>
    where
        W: FnOnce(Arc<Self>) -> F,
        F: Future<Output = Result<Issued, Refusal>> + Send + 'static,
    {
        let Ok(place) = self.workers.clone().acquire_owned().await else {
            return Err(Refusal::Unavailable);
        };
        let work = work(self.clone());
        let task = self.tasks.spawn(async move {
            let _place = place;
            work.await
        });
        task.await.unwrap_or_else(|error| Err(Refusal::ours(error)))
    }
}

/// All that the door serves.
pub(crate) fn router(devices: Arc<Devices>) -> Router {
    Router::new()
        .merge(est::router())
        .merge(public::router())
        .merge(report::router())
        .with_state(devices)
}
