//! The engine: it reads findings from the stream, opens cases, lets playbooks order actions, and sees that
//! what was ordered is done, taken back when its time is over, and written into the journal.

mod again;
mod batch;
mod cases;
mod claims;
mod intake;
mod objections;
mod orders;
mod people;
mod progress;
mod prune;
mod runner;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use palisade_bus::{Consumer, SharedBus};
use palisade_core::{
    ActionState, Clock, DeviceId, Event, EventKind, Impact, Lifecycle, Response, Target,
    port::{Effector, Journal},
};
use palisade_store::{ActionFilter, ActionRecord, Store};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use cases::{CaseFile, Happened};
pub use people::Hand;

use crate::{
    LoweredTrust, RespondConfig, RespondError,
    action::{self, ActionEvent, with},
    effect::{self, Destinations, Mailboxes, Webhooks},
    playbook::Book,
    switch::{KillSwitch, Switch},
};
use objections::is_gone;
use runner::Runner;

/// Under this name the stream is read.
const CONSUMER: &str = "respond";
const BATCH: u32 = 256;
/// How often it is looked for what is due.
const LOOK: Duration = Duration::from_millis(250);
/// How often the directory of playbooks is looked at.
const REFRESH: Duration = Duration::from_secs(2);
/// How long to wait before the stream is read again after it failed.
const RETRY: Duration = Duration::from_secs(1);
/// Runs of playbooks that may wait for the runner; what finds no room is found when it is due.
const WAITING_RUNS: usize = 1_024;

/// What response is made of.
pub struct RespondParts {
    /// The system of record.
    pub store: Store,
    /// The event backbone.
    pub bus: SharedBus,
    /// Where actions are written down.
    pub journal: Arc<dyn Journal>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What the installation says about response.
    pub config: RespondConfig,
    /// What other capabilities can do.
    pub effectors: Vec<Arc<dyn Effector>>,
    /// What is held against devices' trust.
    pub lowered: Arc<LoweredTrust>,
}

/// Response.
pub struct Respond {
    store: Store,
    bus: SharedBus,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    config: RespondConfig,
    effectors: HashMap<&'static str, Arc<dyn Effector>>,
    destinations: Destinations,
    book: Book,
    switch: KillSwitch,
    /// Held by whoever changes a case or orders an action: what is counted must not change meanwhile.
    desk: tokio::sync::Mutex<()>,
    runs: mpsc::Sender<Vec<ActionRecord>>,
    start: Mutex<Option<mpsc::Receiver<Vec<ActionRecord>>>>,
    /// How many devices parts of the fleet have, and when they were counted.
    sizes: Mutex<HashMap<String, (Instant, u64)>>,
    /// Whether something is written down that the journal does not know.
    has_untold: AtomicBool,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    findings: AtomicU64,
    cases: AtomicU64,
    ordered: AtomicU64,
    joined: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    undone: AtomicU64,
    waited: AtomicU64,
    batches: AtomicU64,
}

/// What response did since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RespondStats {
    /// Findings taken into cases, each time that they were told.
    pub findings: u64,
    /// Transactions in which findings were written.
    pub batches: u64,
    /// Cases opened.
    pub cases: u64,
    /// Actions ordered.
    pub ordered: u64,
    /// Actions that joined one in force.
    pub joined: u64,
    /// Actions done.
    pub done: u64,
    /// Actions that failed for good.
    pub failed: u64,
    /// Actions undone.
    pub undone: u64,
    /// Actions that had to wait for a person.
    pub waited: u64,
}

/// An action that there is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActionInfo {
    /// Its name in playbooks.
    pub name: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// How much it takes from its target.
    pub impact: Impact,
}

impl Respond {
    /// Opens response over the system of record.
    ///
    /// # Errors
    /// When the store cannot be read, a shipped playbook is not valid, or a webhook cannot be used.
    pub async fn open(parts: RespondParts) -> Result<Arc<Self>, RespondError> {
        let webhooks = Webhooks::open(&parts.config.webhooks, parts.clock.clone())?;
        let destinations = Destinations {
            webhooks: Arc::new(webhooks),
            mailboxes: Arc::new(Mailboxes::open(&parts.config.emails)?),
        };
        let own = effect::effectors(&parts.lowered, Some(&destinations));
        let all = parts.effectors.into_iter().chain(own);
        let effectors: HashMap<_, _> = all.map(|one| (one.name(), one)).collect();
        let by_name = effectors.iter().map(|(name, one)| (*name, one.clone()));
        let directory = parts.config.playbooks_dir.clone();
        let book = Book::open(by_name.collect(), directory, &parts.store).await?;
        let switch = KillSwitch::open(parts.store.clone()).await?;
        let (runs, hear_runs) = mpsc::channel(WAITING_RUNS);
        Ok(Arc::new(Self {
            store: parts.store,
            bus: parts.bus,
            journal: parts.journal,
            clock: parts.clock,
            config: parts.config,
            effectors,
            destinations,
            book,
            switch,
            desk: tokio::sync::Mutex::default(),
            runs,
            start: Mutex::new(Some(hear_runs)),
            sizes: Mutex::default(),
            has_untold: AtomicBool::new(true),
            counters: Counters::default(),
        }))
    }

    /// What was done since it was opened.
    #[must_use]
    pub fn stats(&self) -> RespondStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RespondStats {
            findings: read(&self.counters.findings),
            batches: read(&self.counters.batches),
            cases: read(&self.counters.cases),
            ordered: read(&self.counters.ordered),
            joined: read(&self.counters.joined),
            done: read(&self.counters.done),
            failed: read(&self.counters.failed),
            undone: read(&self.counters.undone),
            waited: read(&self.counters.waited),
        }
    }

    /// What the installation says about response: the guard rails.
    #[must_use]
    pub fn config(&self) -> &RespondConfig {
        &self.config
    }

    /// Whether all automatic action is stopped.
    #[must_use]
    pub fn switch(&self) -> Switch {
        self.switch.state()
    }

    /// The actions that there are, by name.
    #[must_use]
    pub fn actions(&self) -> Vec<ActionInfo> {
        let mut all: Vec<ActionInfo> = self
            .effectors
            .values()
            .map(|one| ActionInfo {
                name: one.name(),
                summary: one.summary(),
                impact: one.impact(),
            })
            .collect();
        all.sort_by_key(|one| one.name);
        all
    }

    /// Responds until `cancel`. To be called once.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let Some(runs) = self.start.lock().take() else {
            tracing::error!("response runs already");
            return;
        };
        tokio::join!(
            self.follow_until(&cancel),
            Runner::new(self.clone()).run(runs, &cancel),
            self.refresh_until(&cancel),
            self.prune_until(&cancel),
        );
    }

    async fn follow_until(&self, cancel: &CancellationToken) {
        while !cancel.is_cancelled() {
            let followed = tokio::select! {
                followed = self.follow() => followed,
                () = cancel.cancelled() => return,
            };
            if let Err(error) = followed {
                // What was written before it failed is told by the runner.
                self.has_untold.store(true, Ordering::Relaxed);
                tracing::warn!(%error, "response cannot read or write; it tries again");
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = cancel.cancelled() => {}
            }
        }
    }

    async fn refresh_until(self: &Arc<Self>, cancel: &CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(REFRESH) => {}
                () = cancel.cancelled() => return,
            }
            let respond = self.clone();
            let refreshed = tokio::task::spawn_blocking(move || respond.book.refresh());
            if refreshed.await.is_err() {
                tracing::warn!("the directory of playbooks could not be looked at");
            }
            if let Err(error) = self.book.keep(&self.store).await {
                tracing::warn!(%error, "the playbooks in force could not be kept; it is tried again");
            }
        }
    }

    /// Follows the stream until a failure.
    async fn follow(&self) -> Result<(), RespondError> {
        let mut consumer = self.bus.consumer(CONSUMER).await?;
        loop {
            let events = consumer.next(BATCH).await?;
            self.take(&consumer, &events).await?;
        }
    }

    async fn take(&self, consumer: &Consumer, events: &[(u64, Event)]) -> Result<(), RespondError> {
        let (mut ordered, mut found) = (Vec::new(), Vec::new());
        for (_, event) in events {
            match &event.kind {
                EventKind::Found(finding) => found.push((event, finding)),
                EventKind::PostureChanged {
                    lifecycle_before,
                    lifecycle,
                    reason,
                    ..
                } if lifecycle_before != lifecycle => {
                    let moved = (*lifecycle_before, *lifecycle);
                    if !matters(moved) {
                        continue;
                    }
                    // What was found before comes before.
                    ordered.extend(self.enter_all(&found).await?);
                    found.clear();
                    self.moved(event, moved, reason).await?;
                }
                _ => {}
            }
        }
        ordered.extend(self.enter_all(&found).await?);
        self.tell_ordered(&ordered).await;
        if let Some((last, _)) = events.last() {
            consumer.acknowledge(*last).await?;
        }
        Ok(())
    }

    /// A device is at another point of its life.
    async fn moved(
        &self,
        event: &Event,
        (before, now): (Lifecycle, Lifecycle),
        reason: &str,
    ) -> Result<(), RespondError> {
        let Some(device) = event.principal.as_ref().and_then(|who| who.device()) else {
            return Ok(());
        };
        if before == Lifecycle::Quarantined {
            self.left_quarantine(event, device, now, reason).await?;
        }
        if is_gone(now) {
            self.gone(device).await?;
            self.note_gone(event, device, with(now.to_string(), reason))
                .await?;
        }
        Ok(())
    }

    /// A device left quarantine: what held it there holds it no longer, whoever let it go. One that went on to have no
    /// certificate was not let go: there is nothing left to undo, and its case stays contained.
    async fn left_quarantine(
        &self,
        event: &Event,
        device: &DeviceId,
        now: Lifecycle,
        reason: &str,
    ) -> Result<(), RespondError> {
        let filter = ActionFilter {
            states: vec![ActionState::Done],
            target: Some(Target::Device(device.clone()).to_string()),
            action: Some("quarantine".to_owned()),
            ..ActionFilter::default()
        };
        for mut record in self.store.actions().list(None, 16, &filter).await? {
            if record.done_at.is_none_or(|done| done > event.time) || record.memory.is_none() {
                continue;
            }
            let step = match is_gone(now) {
                true => ActionEvent::Over(with(format!("the device was {now}"), reason)),
                false => ActionEvent::Lifted(with("the device was released".to_owned(), reason)),
            };
            if action::step(&mut record, step, self.clock.now()).is_ok()
                && self
                    .store
                    .actions()
                    .replace(ActionState::Done, &record)
                    .await?
            {
                if record.state == ActionState::Undone {
                    self.counters.undone.fetch_add(1, Ordering::Relaxed);
                }
                self.tell(std::slice::from_ref(&record)).await?;
                self.settle_case(&record).await?;
            }
        }
        Ok(())
    }

    /// Writes into the journal where actions stand.
    async fn tell(&self, records: &[ActionRecord]) -> Result<(), RespondError> {
        let events = records.iter().map(|record| self.event(record)).collect();
        self.journal.record(events).await?;
        Ok(self.store.actions().told(records).await?)
    }

    fn event(&self, record: &ActionRecord) -> Event {
        let response = Response {
            id: record.order.id,
            case: record.order.case,
            playbook: record.playbook.clone(),
            action: record.order.action.clone(),
            target: record.order.target.clone(),
            mode: record.mode,
            state: record.state,
            reason: record.why.clone(),
            by: record.decided_by.clone().or(record.ordered_by.clone()),
            until: record.until,
        };
        let kind = EventKind::Responded(response);
        let event = Event::new(self.clock.now(), palisade_core::Door::Internal, kind);
        match &record.order.target {
            Target::Device(device) => event.about(device.clone()),
            Target::Address(_) | Target::ApiToken(_) | Target::Account(_) | Target::Fleet => event,
        }
    }
}

/// Whether actions stand otherwise after a device moved on in its life.
fn matters((before, now): (Lifecycle, Lifecycle)) -> bool {
    before == Lifecycle::Quarantined || is_gone(now)
}

impl fmt::Debug for Respond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Respond")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
