//! The engine: it reads the stream under a durable cursor, shows each event to each watcher, and enters
//! what they say into the book of findings.

mod prune;
mod running;

use std::{
    fmt,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use palisade_bus::{ChangeReceiver, SharedBus};
use palisade_core::{
    Clock, DeviceId, FindingId, SuppressionId,
    port::{EvidenceListener, EvidenceSource, Journal},
};
use palisade_store::{FindingRecord, Store, Suppression, Verdict};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    DetectConfig, DetectError, Feedback, Signal, Watcher,
    audit::{AuditWatch, Auditor, Gathered},
    evidence::FindingEvidence,
    findings::Book,
};
use running::Running;

/// How long to wait before the stream is read again after it failed.
const RETRY: Duration = Duration::from_secs(1);
/// Alarms from outside the stream (an audit) that may wait.
const SUBMITTED: usize = 1_024;

/// What detection is made of.
pub struct DetectParts {
    /// The system of record.
    pub store: Store,
    /// The event backbone.
    pub bus: SharedBus,
    /// Where findings are written down.
    pub journal: Arc<dyn Journal>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What the installation says about detection.
    pub config: DetectConfig,
    listener: OnceLock<Weak<dyn EvidenceListener>>,
}

impl DetectParts {
    /// Parts.
    #[must_use]
    pub fn new(
        store: Store,
        bus: SharedBus,
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        config: DetectConfig,
    ) -> Self {
        Self {
            store,
            bus,
            journal,
            clock,
            config,
            listener: OnceLock::new(),
        }
    }

    pub(crate) fn tell_listener(&self, device: &DeviceId) {
        if let Some(listener) = self.listener.get().and_then(Weak::upgrade) {
            listener.evidence_changed(device);
        }
    }
}

/// Detection.
pub struct Detect {
    parts: Arc<DetectParts>,
    evidence: Arc<FindingEvidence>,
    counters: Counters,
    /// Moves when suppressions do.
    suppressions: watch::Sender<u64>,
    judged: mpsc::Sender<(FindingId, Feedback)>,
    submitted: mpsc::Sender<Signal>,
    watchers: Vec<&'static str>,
    auditor: Arc<Auditor>,
    /// What `run` takes.
    start: Mutex<Option<Start>>,
}

struct Start {
    watchers: Vec<Box<dyn Watcher>>,
    book: Book,
    changes: ChangeReceiver,
    judged: mpsc::Receiver<(FindingId, Feedback)>,
    submitted: mpsc::Receiver<Signal>,
}

#[derive(Debug, Default)]
struct Counters {
    events: AtomicU64,
    alarms: AtomicU64,
    findings: AtomicU64,
    suppressed: AtomicU64,
    shed_events: AtomicU64,
    shed_findings: AtomicU64,
    backlog: AtomicU64,
}

/// What detection did since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DetectStats {
    /// Events looked at.
    pub events: u64,
    /// What detectors said.
    pub alarms: u64,
    /// Findings told, new or again.
    pub findings: u64,
    /// Alarms that a suppression covered.
    pub suppressed: u64,
    /// Events skipped because detection fell too far behind.
    pub shed_events: u64,
    /// Findings not reported because there were too many at once.
    pub shed_findings: u64,
    /// Events not looked at yet.
    pub backlog: u64,
}

impl Detect {
    /// Opens detection over the system of record.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(
        parts: DetectParts,
        mut watchers: Vec<Box<dyn Watcher>>,
    ) -> Result<Arc<Self>, DetectError> {
        let parts = Arc::new(parts);
        let evidence = Arc::new(FindingEvidence::default());
        let changes = parts.bus.changes();
        let book = Book::open(parts.clone(), evidence.clone()).await?;
        let (judged, hear_judged) = mpsc::channel(SUBMITTED);
        let (submitted, hear_submitted) = mpsc::channel(SUBMITTED);
        let gathered = Arc::new(Gathered::default());
        let audits = AuditWatch::new(gathered.clone(), parts.store.clone());
        watchers.push(Box::new(audits));
        Ok(Arc::new(Self {
            watchers: watchers.iter().map(|watcher| watcher.name()).collect(),
            auditor: Auditor::new(parts.clone(), gathered, submitted.clone()),
            parts,
            evidence,
            counters: Counters::default(),
            suppressions: watch::channel(0).0,
            judged,
            submitted,
            start: Mutex::new(Some(Start {
                watchers,
                book,
                changes,
                judged: hear_judged,
                submitted: hear_submitted,
            })),
        }))
    }

    /// What findings say about devices' trust.
    #[must_use]
    pub fn evidence(&self) -> Arc<dyn EvidenceSource> {
        self.evidence.clone()
    }

    /// Tells somebody at once when evidence about a device changes. The first one is told.
    pub fn set_listener(&self, listener: Weak<dyn EvidenceListener>) {
        let _ = self.parts.listener.set(listener);
    }

    /// The names of the watchers that look at events.
    #[must_use]
    pub fn watchers(&self) -> &[&'static str] {
        &self.watchers
    }

    /// What was done since it was opened.
    #[must_use]
    pub fn stats(&self) -> DetectStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DetectStats {
            events: read(&self.counters.events),
            alarms: read(&self.counters.alarms),
            findings: read(&self.counters.findings),
            suppressed: read(&self.counters.suppressed),
            shed_events: read(&self.counters.shed_events),
            shed_findings: read(&self.counters.shed_findings),
            backlog: read(&self.counters.backlog),
        }
    }

    /// Takes a signal that comes from no event: from an audit, say.
    ///
    /// # Errors
    /// When detection has ended; the signal comes back.
    pub async fn submit(&self, signal: Signal) -> Result<(), Box<Signal>> {
        self.submitted
            .send(signal)
            .await
            .map_err(|refused| Box::new(refused.0))
    }

    /// Notes what a person made of a finding; `None` where there is no such finding. A finding that was
    /// declared false or expected costs its device nothing from now on, and its detector hears of it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn judge(
        &self,
        finding: FindingId,
        verdict: Verdict,
        by: &str,
        note: Option<&str>,
    ) -> Result<Option<FindingRecord>, DetectError> {
        let findings = self.parts.store.findings();
        if !findings.judge(finding, verdict, by, note).await? {
            return Ok(None);
        }
        let Some(record) = findings.find(finding).await? else {
            return Ok(None);
        };
        if self.evidence.judge(&record)
            && let Some(device) = &record.device
        {
            self.parts.tell_listener(device);
        }
        let feedback = Feedback {
            detector: record.finding.detector.clone(),
            subject: record.subject.clone(),
            verdict,
        };
        if self.judged.send((finding, feedback)).await.is_err() {
            tracing::debug!(%finding, "detection has ended: its detector does not hear the verdict");
        }
        Ok(Some(record))
    }

    /// Suppresses what is known and not to be reported.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn suppress(&self, suppression: &Suppression) -> Result<(), DetectError> {
        self.parts.store.detectors().suppress(suppression).await?;
        self.suppressions.send_modify(|moved| *moved += 1);
        Ok(())
    }

    /// Ends a suppression; `false` where there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unsuppress(&self, id: SuppressionId) -> Result<bool, DetectError> {
        let done = self.parts.store.detectors().unsuppress(id).await?;
        self.suppressions.send_modify(|moved| *moved += 1);
        Ok(done)
    }

    /// Who begins audits.
    #[must_use]
    pub fn auditor(&self) -> &Arc<Auditor> {
        &self.auditor
    }

    /// Detects, and audits when it is due, until `cancel`. To be called once.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let audits = self.auditor.clone().run(cancel.clone());
        let pruning = self.clone();
        tokio::join!(
            self.detect(cancel.clone()),
            audits,
            pruning.prune_until(&cancel)
        );
    }

    async fn detect(self: Arc<Self>, cancel: CancellationToken) {
        let Some(start) = self.start.lock().take() else {
            tracing::error!("detection runs already");
            return;
        };
        let mut running = Running::new(self, start);
        while !cancel.is_cancelled() {
            if let Err(error) = running.follow(&cancel).await {
                tracing::warn!(%error, "detection cannot read or write; it tries again");
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = cancel.cancelled() => {}
                }
            }
        }
        running.end().await;
    }
}

impl fmt::Debug for Detect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detect")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
