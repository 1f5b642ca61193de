//! Detection while it runs: one task, which owns the watchers and the book.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use palisade_bus::{BusError, ChangeReceiver, Consumer};
use palisade_core::{Event, EventKind, FindingId};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{Detect, Start};
use crate::{
    Alarm, DetectError, Feedback, Seen, Signal, Watcher,
    directory::Directory,
    findings::{Book, Taken},
    suppress::Suppressions,
};

/// Under this name the stream is read.
const CONSUMER: &str = "detect";
const BATCH: u32 = 512;
const TICK: Duration = Duration::from_secs(1);
const SAVE: Duration = Duration::from_secs(60);

/// Detection while it runs.
pub(super) struct Running {
    detect: Arc<Detect>,
    watchers: Vec<Box<dyn Watcher>>,
    book: Book,
    directory: Directory,
    changes: ChangeReceiver,
    judged: mpsc::Receiver<(FindingId, Feedback)>,
    submitted: mpsc::Receiver<Signal>,
    suppressions: Suppressions,
    suppressions_moved: watch::Receiver<u64>,
    signals: Vec<Signal>,
}

impl Running {
    pub(super) fn new(detect: Arc<Detect>, start: Start) -> Self {
        Self {
            watchers: start.watchers,
            book: start.book,
            directory: Directory::new(detect.parts.store.clone()),
            changes: start.changes,
            judged: start.judged,
            submitted: start.submitted,
            suppressions: Suppressions::default(),
            suppressions_moved: detect.suppressions.subscribe(),
            signals: Vec::new(),
            detect,
        }
    }

    /// Follows the stream until `cancel` or a failure.
    pub(super) async fn follow(&mut self, cancel: &CancellationToken) -> Result<(), DetectError> {
        let mut consumer = self.detect.parts.bus.consumer(CONSUMER).await?;
        self.read_suppressions().await?;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut saved = tokio::time::Instant::now();
        loop {
            // Not biased: neither a flood of events nor a long audit keeps the other waiting.
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                Some(change) = self.changes.recv() => self.directory.heed(&change),
                Some((finding, feedback)) = self.judged.recv() => self.hear(finding, &feedback),
                Some(signal) = self.submitted.recv() => {
                    self.signals.push(signal);
                    while self.signals.len() < BATCH as usize
                        && let Ok(signal) = self.submitted.try_recv()
                    {
                        self.signals.push(signal);
                    }
                    self.enter().await?;
                    self.tell().await?;
                }
                Ok(()) = self.suppressions_moved.changed() => self.read_suppressions().await?,
                _ = ticks.tick() => {
                    self.tick(&mut consumer).await?;
                    if saved.elapsed() >= SAVE {
                        saved = tokio::time::Instant::now();
                        self.save().await;
                    }
                }
                found = consumer.next(BATCH) => match found {
                    Ok(found) => self.take(&mut consumer, found).await?,
                    Err(BusError::Corrupt { position, source }) => {
                        self.pass_over(&consumer, position, &source).await?;
                    }
                    Err(error) => return Err(error.into()),
                },
            }
        }
    }

    async fn take(
        &mut self,
        consumer: &mut Consumer,
        found: Vec<(u64, Event)>,
    ) -> Result<(), DetectError> {
        let count = found.len() as u64;
        let Some(last) = found.last().map(|(position, _)| *position) else {
            return Ok(());
        };
        for (position, event) in &found {
            // What detection itself said is not looked at again: it would feed on itself.
            if matches!(event.kind, EventKind::Found(_)) {
                continue;
            }
            let device = match event.principal.as_ref().and_then(|who| who.device()) {
                Some(id) => self.directory.find(id).await?,
                None => None,
            };
            let seen = Seen {
                position: *position,
                event,
                device: device.as_deref(),
            };
            for watcher in &mut self.watchers {
                watcher.observe(&seen, &mut self.signals);
            }
            self.enter().await?;
        }
        self.tell().await?;
        let counters = &self.detect.counters;
        counters.events.fetch_add(count, Ordering::Relaxed);
        Ok(consumer.acknowledge(last).await?)
    }

    /// An event that cannot be read back must not end detection for all that come after it.
    async fn pass_over(
        &mut self,
        consumer: &Consumer,
        position: u64,
        error: &serde_json::Error,
    ) -> Result<(), DetectError> {
        tracing::error!(position, %error, "detection passes over an event that it cannot read");
        let counters = &self.detect.counters;
        counters.shed_events.fetch_add(1, Ordering::Relaxed);
        Ok(consumer.acknowledge(position).await?)
    }

    /// Enters into the book what watchers said.
    async fn enter(&mut self) -> Result<(), DetectError> {
        for signal in std::mem::take(&mut self.signals) {
            match signal {
                Signal::Raise(alarm) => self.raise(alarm).await?,
                Signal::Clear {
                    detector,
                    subject,
                    at,
                } => self.book.clear(detector.to_string(), &subject, at).await?,
            }
        }
        Ok(())
    }

    async fn tell(&mut self) -> Result<(), DetectError> {
        let told = self.book.tell_due().await?;
        self.count_told(told);
        Ok(())
    }

    fn count_told(&self, told: u64) {
        let counters = &self.detect.counters;
        counters.findings.fetch_add(told, Ordering::Relaxed);
    }

    async fn raise(&mut self, alarm: Alarm) -> Result<(), DetectError> {
        let counters = &self.detect.counters;
        counters.alarms.fetch_add(1, Ordering::Relaxed);
        let device = match alarm.subject.device() {
            Some(id) => self.directory.find(id).await?,
            None => None,
        };
        let now = self.detect.parts.clock.now();
        let (detector, subject) = (&alarm.detector, &alarm.subject);
        if self
            .suppressions
            .cover(detector, subject, device.as_deref(), now)
        {
            counters.suppressed.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        match self.book.raise(alarm, device.as_deref()).await? {
            Taken::Shed => counters.shed_findings.fetch_add(1, Ordering::Relaxed),
            Taken::Due | Taken::Joined => 0,
        };
        Ok(())
    }

    fn hear(&mut self, finding: FindingId, feedback: &Feedback) {
        self.book.close(finding);
        self.detect.evidence.heard(finding);
        for watcher in &mut self.watchers {
            watcher.feedback(feedback);
        }
    }

    async fn tick(&mut self, consumer: &mut Consumer) -> Result<(), DetectError> {
        let parts = self.detect.parts.clone();
        let now = parts.clock.now();
        for watcher in &mut self.watchers {
            watcher.tick(now, &mut self.signals);
        }
        self.enter().await?;
        let told = self.book.settle(now).await?;
        self.count_told(told);
        self.directory.forget_absent();
        for device in self.detect.evidence.settle(now) {
            parts.tell_listener(&device);
        }
        self.keep_up(consumer).await
    }

    /// Skips to newer events where detection fell too far behind: what happens now matters more.
    async fn keep_up(&mut self, consumer: &mut Consumer) -> Result<(), DetectError> {
        let (parts, counters) = (&self.detect.parts, &self.detect.counters);
        let newest = parts.store.journal().newest_event().await?;
        let mut backlog = newest.saturating_sub(consumer.position());
        let most = parts.config.max_backlog.max(u64::from(BATCH));
        if backlog > most {
            let shed = backlog - most / 2;
            consumer.skip_to(consumer.position() + shed);
            backlog -= shed;
            let total = counters.shed_events.fetch_add(shed, Ordering::Relaxed) + shed;
            tracing::warn!(shed, total, "detection fell behind: events were skipped");
        }
        counters.backlog.store(backlog, Ordering::Relaxed);
        Ok(())
    }

    async fn read_suppressions(&mut self) -> Result<(), DetectError> {
        let parts = &self.detect.parts;
        let all = parts
            .store
            .detectors()
            .suppressions(parts.clock.now())
            .await?;
        self.suppressions = Suppressions::new(all);
        Ok(())
    }

    /// Writes down what is held.
    pub(super) async fn end(&mut self) {
        if let Err(error) = self.book.settle(self.detect.parts.clock.now()).await {
            tracing::warn!(%error, "the last counts of findings could not be written down");
        }
        for watcher in &mut self.watchers {
            let name = watcher.name();
            told(name, watcher.finish().await);
        }
    }

    async fn save(&mut self) {
        for watcher in &mut self.watchers {
            let name = watcher.name();
            told(name, watcher.save().await);
        }
    }
}

fn told(watcher: &str, written: Result<(), DetectError>) {
    if let Err(error) = written {
        tracing::warn!(watcher, %error, "detection could not write down what it learned");
    }
}
