//! A house with everything that response stands on, over a directory that outlives it.

use std::{
    net::IpAddr,
    path::Path,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use palisade_bus::{LocalBus, SharedBus};
use palisade_core::{
    ActionState, CaseId, Clock, Confidence, Detector, Device, DeviceId, Door, Event, EventKind,
    Finding, FindingId, Labels, Lifecycle, ManualClock, Posture, Product, ProductId, SegmentId,
    Severity, Timestamp,
    port::{Effector, EvidenceListener, Journal},
};
use palisade_ledger::Ledger;
use palisade_policy::Pdp;
use palisade_respond::{LoweredTrust, Respond, RespondConfig, RespondError, RespondParts};
use palisade_store::{ActionFilter, ActionRecord, CaseFilter, CaseRecord, EventFilter, Store};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The longest that anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct House {
    pub directory: TempDir,
    pub store: Store,
    pub clock: ManualClock,
    pub pdp: Arc<Pdp>,
    pub respond: Arc<Respond>,
    pub ledger: Arc<Ledger>,
    cancel: CancellationToken,
    running: JoinHandle<()>,
    deciding: JoinHandle<()>,
}

/// Turns the list of actions into another.
pub type Change = fn(Vec<Arc<dyn Effector>>) -> Vec<Arc<dyn Effector>>;

impl House {
    pub async fn new() -> Self {
        Self::with(RespondConfig::default()).await
    }

    pub async fn with(config: RespondConfig) -> Self {
        let directory = TempDir::new().expect("a directory");
        Self::at(
            directory,
            ManualClock::new(Timestamp::now()),
            config,
            |all| all,
        )
        .await
    }

    pub async fn at(
        directory: TempDir,
        clock: ManualClock,
        config: RespondConfig,
        change: Change,
    ) -> Self {
        let store = palisade_test_store::open(directory.path())
            .await
            .expect("a store");
        let bus: SharedBus = Arc::new(LocalBus::new(store.clone()));
        let ledger = Ledger::open(store.clone(), bus.clone())
            .await
            .expect("a ledger");
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let lowered = LoweredTrust::open(&store).await.expect("opens");
        let journal: Arc<dyn Journal> = ledger.clone();
        let pdp = Pdp::open(
            store.clone(),
            bus.clone(),
            journal.clone(),
            shared.clone(),
            vec![lowered.clone()],
        )
        .await
        .expect("a decision point");
        let listener: Weak<dyn EvidenceListener> = Arc::<Pdp>::downgrade(&pdp);
        lowered.set_listener(listener);
        let sets = Some(config.grant_sets.clone());
        let mut effectors = palisade_policy::effectors(&Arc::downgrade(&pdp), sets);
        effectors.extend(palisade_gateway::effectors(&Weak::new()));
        effectors.extend(palisade_identity::effectors(&Weak::new()));
        let respond = Respond::open(RespondParts {
            store: store.clone(),
            bus,
            journal,
            clock: shared,
            config,
            effectors: change(effectors),
            lowered,
        })
        .await
        .expect("response");
        let cancel = CancellationToken::new();
        let running = tokio::spawn(respond.clone().run(cancel.clone()));
        let deciding = tokio::spawn(pdp.clone().run(cancel.clone()));
        Self {
            directory,
            store,
            clock,
            pdp,
            respond,
            ledger,
            cancel,
            running,
            deciding,
        }
    }

    /// What response says to a configuration.
    pub async fn try_open(config: RespondConfig) -> Result<Arc<Respond>, RespondError> {
        let directory = TempDir::new().expect("a directory");
        let store = palisade_test_store::open(directory.path())
            .await
            .expect("a store");
        let bus: SharedBus = Arc::new(LocalBus::new(store.clone()));
        let ledger = Ledger::open(store.clone(), bus.clone())
            .await
            .expect("a ledger");
        let lowered = LoweredTrust::open(&store).await.expect("opens");
        let mut effectors = palisade_policy::effectors(&Weak::new(), None);
        effectors.extend(palisade_gateway::effectors(&Weak::new()));
        effectors.extend(palisade_identity::effectors(&Weak::new()));
        let parts = RespondParts {
            store,
            bus,
            journal: ledger,
            clock: Arc::new(ManualClock::new(Timestamp::now())),
            config,
            effectors,
            lowered,
        };
        Respond::open(parts).await
    }

    /// Stops in order and gives back what outlives it.
    pub async fn stop(self) -> (TempDir, ManualClock) {
        self.cancel.cancel();
        self.running.await.expect("ends");
        self.deciding.await.expect("ends");
        self.ledger.close().await;
        self.store.close().await;
        (self.directory, self.clock)
    }

    /// Stops as a process that is killed does: nothing more is written by whoever was at work.
    pub async fn kill(self) -> (TempDir, ManualClock) {
        self.running.abort();
        let _ = self.running.await;
        self.deciding.abort();
        let _ = self.deciding.await;
        drop(self.respond);
        drop(self.pdp);
        self.ledger.close().await;
        self.store.close().await;
        (self.directory, self.clock)
    }

    /// Registers devices `cam-1` to `cam-<count>`, in service.
    pub async fn devices(&self, count: usize) {
        self.devices_in("default", count).await;
    }

    pub async fn devices_in(&self, segment: &str, count: usize) {
        let segment = SegmentId::parse(segment).expect("valid");
        let product = ProductId::parse("camera").expect("valid");
        let now = self.clock.now();
        let known = Product {
            id: product.clone(),
            description: String::new(),
            default_segment: segment.clone(),
            inventory_only: false,
            created_at: now,
        };
        self.store
            .devices()
            .put_product(&known)
            .await
            .expect("a product");
        let all: Vec<Device> = (1..=count)
            .map(|number| Device {
                id: device(&format!("cam-{number}")),
                product: product.clone(),
                labels: Labels::default(),
                posture: Posture {
                    lifecycle: Lifecycle::Active,
                    ..Posture::registered(segment.clone())
                },
                registered_at: now,
                last_seen_at: None,
            })
            .collect();
        for part in all.chunks(500) {
            self.store
                .devices()
                .register(part)
                .await
                .expect("registered");
        }
    }

    pub fn finding(&self, detector: &str, severity: Severity) -> Finding {
        let now = self.clock.now();
        Finding {
            id: FindingId::generate(),
            detector: Detector::Rule(detector.to_owned()),
            title: format!("{detector} fired"),
            severity,
            confidence: Confidence::new(90),
            detail: "something was seen".to_owned(),
            techniques: Vec::new(),
            evidence: Vec::new(),
            count: 1,
            first_seen: now,
            last_seen: now,
        }
    }

    /// Writes a finding about a device into the stream.
    pub async fn found(&self, id: &str, detector: &str, severity: Severity) -> Finding {
        let finding = self.finding(detector, severity);
        self.tell(id, finding.clone()).await;
        finding
    }

    pub async fn tell(&self, id: &str, finding: Finding) {
        let event = Event::new(self.clock.now(), Door::Internal, EventKind::Found(finding))
            .about(device(id));
        self.ledger.record(vec![event]).await.expect("recorded");
    }

    /// Writes a finding about a source address into the stream.
    pub async fn found_at(&self, source: IpAddr, detector: &str, severity: Severity) {
        let found = EventKind::Found(self.finding(detector, severity));
        let event = Event::new(self.clock.now(), Door::Internal, found).from_source(source);
        self.ledger.record(vec![event]).await.expect("recorded");
    }

    pub async fn lifecycle(&self, id: &str) -> Lifecycle {
        let found = self.store.devices().find(&device(id)).await.expect("reads");
        found.expect("a device").posture.lifecycle
    }

    pub async fn actions(&self) -> Vec<ActionRecord> {
        let filter = ActionFilter::default();
        let mut all = self
            .store
            .actions()
            .list(None, 10_000, &filter)
            .await
            .expect("reads");
        all.reverse();
        all
    }

    pub async fn in_state(&self, action: &str, state: ActionState) -> usize {
        let all = self.actions().await;
        let of = all
            .iter()
            .filter(|one| one.order.action == action && one.state == state);
        of.count()
    }

    pub async fn cases(&self) -> Vec<CaseRecord> {
        let filter = CaseFilter::default();
        let mut all = self
            .store
            .cases()
            .list(None, 1_000, &filter)
            .await
            .expect("reads");
        all.reverse();
        all
    }

    /// The one case that there is, when there is one.
    pub async fn case(&self) -> CaseId {
        until(async || !self.cases().await.is_empty()).await;
        self.cases().await[0].id
    }

    /// Waits until response has read everything that is on the stream.
    pub async fn caught_up(&self) {
        let journal = self.store.journal();
        let newest = journal.newest_event().await.expect("reads");
        until(async || journal.cursor("respond").await.expect("reads") >= newest).await;
    }

    /// The states that the journal tells of an action, in order.
    pub async fn told(&self, action: &str) -> Vec<ActionState> {
        let filter = EventFilter {
            kind: Some("responded".to_owned()),
            ..EventFilter::default()
        };
        let events = self
            .store
            .journal()
            .events_after(0, 10_000, &filter)
            .await
            .expect("reads");
        let events = events.iter().map(|stored| {
            serde_json::from_str::<Event>(&stored.body)
                .expect("an event")
                .kind
        });
        events
            .filter_map(|kind| match kind {
                EventKind::Responded(response) if response.action == action => Some(response.state),
                _ => None,
            })
            .collect()
    }
}

pub fn device(id: &str) -> DeviceId {
    DeviceId::parse(id).expect("a device id")
}

/// Waits for a condition.
pub async fn until(condition: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(
            begun.elapsed() < PATIENCE,
            "it did not come to that in time"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Writes a playbook into a directory.
pub fn write_playbook(directory: &Path, file: &str, text: &str) {
    let hidden = directory.join(format!(".{file}.part"));
    std::fs::write(&hidden, text).expect("writes");
    std::fs::rename(hidden, directory.join(file)).expect("renames");
}
