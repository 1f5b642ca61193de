//! The auditor: it begins runs when they are due and when a person asks, one at a time.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use palisade_core::{AuditRunId, Timestamp};
use palisade_store::{AuditRun, StoreError};
use tokio::sync::{Mutex, OnceCell, mpsc};
use tokio_util::sync::CancellationToken;

use super::{Audit, AuditSource, Check, Gathered};
use crate::{DetectParts, Signal};

/// Who asks where nobody does.
const SCHEDULE: &str = "schedule";
/// How often it is looked whether a run is due.
const TICK: Duration = Duration::from_secs(1);
/// A server that was never audited is, so long after its start: it has other things to do first.
const FIRST: Duration = Duration::from_secs(10 * 60);
/// How far back it is looked for the last run of the schedule.
const LOOK_BACK: u32 = 50;

/// Why an audit could not run.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Another run has not ended.
    #[error("an audit runs already: wait for its end")]
    Busy,
    /// Nothing is left to look at.
    #[error(
        "all the checks that were asked for are off: see detect.audit.off in the configuration"
    )]
    NothingToDo,
    /// The server has not been put together yet.
    #[error("the server is not ready to be audited yet: try again")]
    NotReady,
    /// The system of record failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Begins audits.
pub struct Auditor {
    pub(super) parts: Arc<DetectParts>,
    pub(super) gathered: Arc<Gathered>,
    submitted: mpsc::Sender<Signal>,
    source: OnceLock<Arc<dyn AuditSource>>,
    turn: Arc<Mutex<()>>,
    opened_at: Timestamp,
    /// Whether runs that an end of the server interrupted were noted. Before that none may begin.
    swept: OnceCell<()>,
}

impl Auditor {
    pub(crate) fn new(
        parts: Arc<DetectParts>,
        gathered: Arc<Gathered>,
        submitted: mpsc::Sender<Signal>,
    ) -> Arc<Self> {
        Arc::new(Self {
            opened_at: parts.clock.now(),
            parts,
            gathered,
            submitted,
            source: OnceLock::new(),
            turn: Arc::default(),
            swept: OnceCell::new(),
        })
    }

    /// Says where checks ask what detection may not know. The first one is asked.
    pub fn set_source(&self, source: Arc<dyn AuditSource>) {
        let _ = self.source.set(source);
    }

    /// Whether a check runs at all.
    #[must_use]
    pub fn is_on(&self, check: Check) -> bool {
        !self.parts.config.audit.off.contains(&check)
    }

    /// Begins a run of these checks, or of all where none is named. [`Audit::finish`] does it.
    ///
    /// # Errors
    /// When another run has not ended, every check asked for is off, or the system of record fails.
    pub async fn begin(self: &Arc<Self>, by: &str, checks: &[Check]) -> Result<Audit, AuditError> {
        let turn = self.turn.clone().try_lock_owned();
        let turn = turn.map_err(|_| AuditError::Busy)?;
        let source = self.source.get().cloned().ok_or(AuditError::NotReady)?;
        let wanted = if checks.is_empty() {
            &Check::ALL[..]
        } else {
            checks
        };
        let wanted = wanted.iter().copied().filter(|check| self.is_on(*check));
        let checks: BTreeSet<Check> = wanted.collect();
        if checks.is_empty() {
            return Err(AuditError::NothingToDo);
        }
        let run = AuditRun {
            id: AuditRunId::generate(),
            started_by: by.to_owned(),
            started_at: self.parts.clock.now(),
            ended_at: None,
            interrupted: false,
        };
        self.sweep().await?;
        self.parts.store.audits().begin(&run).await?;
        Ok(Audit {
            auditor: self.clone(),
            source,
            id: run.id,
            checks,
            _turn: turn,
        })
    }

    pub(super) async fn submit(&self, signal: Signal) {
        if self.submitted.send(signal).await.is_err() {
            tracing::debug!("detection has ended: it does not hear what an audit found");
        }
    }

    /// Audits when it is due, until `cancel`.
    pub(crate) async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let every = Duration::from_secs(self.parts.config.audit.every_s);
        if every.is_zero() {
            return;
        }
        let mut due = self.first_due(every).await;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = tick.tick() => {}
            }
            let now = self.parts.clock.now();
            // A clock that was set back must not put it off for years.
            let latest = later(now, every);
            if now < due && due <= latest {
                continue;
            }
            match self.audit_all(&cancel).await {
                Ok(()) => due = later(now, every),
                Err(AuditError::Busy | AuditError::NotReady) => {}
                Err(error) => {
                    tracing::warn!(%error, "the audit that was due did not run; it is tried again");
                    due = later(now, FIRST.min(every));
                }
            }
        }
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        let (audits, now) = (self.parts.store.audits(), self.parts.clock.now());
        let sweep = async || audits.interrupt_all(now).await.map(drop);
        self.swept.get_or_try_init(sweep).await.map(drop)
    }

    async fn first_due(&self, every: Duration) -> Timestamp {
        let audits = self.parts.store.audits();
        if let Err(error) = self.sweep().await {
            tracing::warn!(%error, "runs of audits that were interrupted could not be noted");
        }
        let runs = audits.runs(None, LOOK_BACK).await.unwrap_or_default();
        let last = runs
            .iter()
            .find(|run| run.started_by == SCHEDULE && !run.interrupted);
        last.map_or_else(
            || later(self.opened_at, FIRST.min(every)),
            |last| later(last.started_at, every),
        )
    }

    async fn audit_all(self: &Arc<Self>, cancel: &CancellationToken) -> Result<(), AuditError> {
        let audit = self.begin(SCHEDULE, &[]).await?;
        let run = audit.id();
        audit.finish(cancel).await?;
        self.clear_what_is_off(run).await?;
        tracing::info!(%run, "the audit that was due has run");
        Ok(())
    }

    /// What a check found before it was switched off is looked at by nobody any more.
    async fn clear_what_is_off(&self, run: AuditRunId) -> Result<(), AuditError> {
        for check in Check::ALL.into_iter().filter(|check| !self.is_on(*check)) {
            self.clear_mended(run, check).await?;
        }
        Ok(())
    }
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

impl fmt::Debug for Auditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auditor").finish_non_exhaustive()
    }
}
