//! Detection with everything that it stands on, and a watcher that says what events tell it to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use palisade_bus::{LocalBus, SharedBus};
use palisade_core::{
    Clock, Confidence, Detector, Device, DeviceId, Door, Event, EventKind, Labels, Lifecycle,
    ManualClock, Posture, ProductId, SegmentId, Severity, Timestamp,
    port::{BoxFuture, Journal, JournalError},
};
use palisade_detect::{
    Alarm, Detect, DetectConfig, DetectError, DetectParts, Feedback, Seen, Signal, Subject, Watcher,
};
use palisade_ledger::Ledger;
use palisade_store::{EventFilter, FindingFilter, FindingRecord, Store};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What a test hears from its watcher.
pub type Heard = Arc<Mutex<Vec<Feedback>>>;

/// Says of each `refused` event what its reason asks for: `<detector> <severity>` raises, `clear
/// <detector>` clears.
pub struct Parrot(pub Heard);

impl Watcher for Parrot {
    fn name(&self) -> &'static str {
        "parrot"
    }

    fn observe(&mut self, seen: &Seen<'_>, out: &mut Vec<Signal>) {
        let EventKind::Refused { reason, .. } = &seen.event.kind else {
            return;
        };
        let (subject, at) = (Subject::of(seen.event), seen.event.time);
        match reason.split_once(' ') {
            Some(("clear", detector)) => out.push(Signal::Clear {
                detector: Detector::Rule(detector.to_owned()),
                subject,
                at,
            }),
            Some((detector, severity)) => {
                let mut alarm = alarm(Detector::Rule(detector.to_owned()), subject, at);
                alarm.severity = Severity::parse(severity).expect("a severity");
                alarm.evidence = vec![seen.event.id];
                out.push(Signal::Raise(alarm));
            }
            None => {}
        }
    }

    fn tick(&mut self, _: Timestamp, _: &mut Vec<Signal>) {}

    fn feedback(&mut self, feedback: &Feedback) {
        self.0.lock().push(feedback.clone());
    }

    fn save(&mut self) -> BoxFuture<'_, Result<(), DetectError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

pub fn alarm(detector: Detector, subject: Subject, at: Timestamp) -> Alarm {
    Alarm {
        title: format!("{detector} spoke"),
        detector,
        severity: Severity::High,
        confidence: Confidence::new(100),
        detail: "a test".to_owned(),
        techniques: Vec::new(),
        subject,
        source: None,
        evidence: Vec::new(),
        at,
    }
}

/// The ledger, as detection sees it, until it is told to fail.
struct Fragile(Arc<Ledger>, Arc<AtomicBool>, Arc<AtomicU64>);

impl Journal for Fragile {
    fn record(&self, events: Vec<Event>) -> BoxFuture<'_, Result<(), JournalError>> {
        if self.1.load(Ordering::SeqCst) {
            self.2.fetch_add(1, Ordering::SeqCst);
            let error = JournalError("the disk is full".into());
            return Box::pin(std::future::ready(Err(error)));
        }
        self.0.record(events)
    }
}

/// What outlives detection.
pub struct World {
    pub fails: Arc<AtomicBool>,
    /// How often the journal failed.
    pub failures: Arc<AtomicU64>,
    pub store: Store,
    pub bus: SharedBus,
    pub ledger: Arc<Ledger>,
    pub clock: ManualClock,
    pub config: DetectConfig,
    pub heard: Heard,
    _directory: TempDir,
}

/// Detection that runs.
pub struct Running {
    pub detect: Arc<Detect>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn stop(self) {
        self.cancel.cancel();
        self.task.await.expect("ends");
    }
}

impl World {
    pub async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = palisade_test_store::open(directory.path())
            .await
            .expect("opens");
        let bus: SharedBus = Arc::new(LocalBus::new(store.clone()));
        let ledger = Ledger::open(store.clone(), bus.clone()).await;
        Self {
            ledger: ledger.expect("opens"),
            fails: Arc::default(),
            failures: Arc::default(),
            store,
            bus,
            clock: ManualClock::new("2025-01-01T12:00:00Z".parse().expect("a time")),
            config: DetectConfig::default(),
            heard: Heard::default(),
            _directory: directory,
        }
    }

    pub async fn open(&self) -> Arc<Detect> {
        let watcher = Box::new(Parrot(self.heard.clone()));
        self.open_with(vec![watcher]).await
    }

    pub async fn open_with(&self, watchers: Vec<Box<dyn Watcher>>) -> Arc<Detect> {
        let parts = DetectParts::new(
            self.store.clone(),
            self.bus.clone(),
            Arc::new(Fragile(
                self.ledger.clone(),
                self.fails.clone(),
                self.failures.clone(),
            )),
            Arc::new(self.clock.clone()),
            self.config.clone(),
        );
        Detect::open(parts, watchers).await.expect("opens")
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn run(&self) -> Running {
        run(self.open().await)
    }

    pub async fn device(&self, id: &str) -> DeviceId {
        let segment = SegmentId::parse("floor").expect("valid");
        let device = Device {
            id: DeviceId::parse(id).expect("valid"),
            product: ProductId::parse("sensor").expect("valid"),
            labels: Labels::default(),
            posture: Posture {
                lifecycle: Lifecycle::Active,
                ..Posture::registered(segment)
            },
            registered_at: self.clock.now(),
            last_seen_at: None,
        };
        let all = [device.clone()];
        self.store
            .devices()
            .register(&all)
            .await
            .expect("registers");
        device.id
    }

    /// Says something about a device; the watcher repeats it.
    pub async fn say(&self, device: &DeviceId, what: &str) {
        self.say_all(device, what, 1).await;
    }

    pub async fn say_all(&self, device: &DeviceId, what: &str, times: usize) {
        let event = || {
            let kind = EventKind::Refused {
                reason: what.to_owned(),
                count: 1,
            };
            Event::new(self.clock.now(), Door::Mqtt, kind).about(device.clone())
        };
        let events = (0..times).map(|_| event()).collect();
        self.ledger.record(events).await.expect("records");
    }

    pub async fn findings(&self) -> Vec<FindingRecord> {
        let findings = self.store.findings();
        let found = findings.list(None, 1_000, &FindingFilter::default()).await;
        found.expect("reads")
    }

    /// How many events say that something was found.
    pub async fn told(&self) -> usize {
        let filter = EventFilter {
            kind: Some("found".to_owned()),
            ..EventFilter::default()
        };
        let journal = self.store.journal();
        let found = journal.events_after(0, 10_000, &filter).await;
        found.expect("reads").len()
    }
}

pub fn run(detect: Arc<Detect>) -> Running {
    let cancel = CancellationToken::new();
    Running {
        task: tokio::spawn(detect.clone().run(cancel.clone())),
        detect,
        cancel,
    }
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
