//! A decision point with everything that it stands on.

use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU16,
    sync::Arc,
    time::{Duration, Instant},
};

use palisade_bus::{LocalBus, SharedBus};
use palisade_core::{
    Clock, Device, DeviceId, Event, EventKind, Grant, GrantActions, GrantId, GrantScope, Labels,
    Lifecycle, ManualClock, Posture, Principal, ProductId, Request, SegmentId, ServiceId,
    Timestamp, Topic, TopicFilter, TopicPattern, port::EvidenceSource,
};
use palisade_ledger::Ledger;
use palisade_policy::{Pdp, Subject};
use palisade_store::{EventFilter, Service, Store};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

pub struct World {
    pub store: Store,
    pub bus: SharedBus,
    pub ledger: Arc<Ledger>,
    pub clock: ManualClock,
    pub pdp: Arc<Pdp>,
    running: CancellationToken,
    _directory: TempDir,
}

impl World {
    pub async fn new() -> Self {
        Self::with_evidence(Vec::new()).await
    }

    pub async fn with_evidence(evidence: Vec<Arc<dyn EvidenceSource>>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = palisade_test_store::open(directory.path())
            .await
            .expect("opens");
        let bus: SharedBus = Arc::new(LocalBus::new(store.clone()));
        let ledger = Ledger::open(store.clone(), bus.clone())
            .await
            .expect("opens");
        // A Wednesday, at noon.
        let clock = ManualClock::new("2025-01-01T12:00:00Z".parse().expect("a time"));
        let pdp = open(&store, &bus, &ledger, &clock, evidence).await;
        let running = CancellationToken::new();
        Self {
            store,
            bus,
            ledger,
            clock,
            pdp,
            running,
            _directory: directory,
        }
    }

    /// Another decision point over the same store and bus, as after a restart or in another process.
    pub async fn another(&self) -> Arc<Pdp> {
        open(
            &self.store,
            &self.bus,
            &self.ledger,
            &self.clock,
            Vec::new(),
        )
        .await
    }

    /// A decision point that shares the store and hears nothing, as in a process with another bus.
    pub async fn far(&self) -> (Arc<Pdp>, SharedBus) {
        let bus: SharedBus = Arc::new(LocalBus::new(self.store.clone()));
        (
            open(&self.store, &bus, &self.ledger, &self.clock, Vec::new()).await,
            bus,
        )
    }

    pub fn run(&self) {
        self.run_this(&self.pdp);
    }

    pub fn run_this(&self, pdp: &Arc<Pdp>) {
        tokio::spawn(pdp.clone().run(self.running.clone()));
    }

    /// Registers a device of product `sensor` in segment `floor`, in service.
    pub async fn device(&self, id: &str) -> DeviceId {
        self.device_at(id, Lifecycle::Active).await
    }

    pub async fn device_at(&self, id: &str, lifecycle: Lifecycle) -> DeviceId {
        let id = device(id);
        let posture = Posture {
            lifecycle,
            ..Posture::registered(segment("floor"))
        };
        let device = Device {
            id: id.clone(),
            product: ProductId::parse("sensor").expect("valid"),
            labels: Labels::parse_list("site=berlin").expect("valid"),
            posture,
            registered_at: self.clock.now(),
            last_seen_at: None,
        };
        self.store
            .devices()
            .register(&[device])
            .await
            .expect("registers");
        id
    }

    pub async fn subject(&self, id: &DeviceId) -> Arc<Subject> {
        self.pdp
            .subject(&Principal::Device(id.clone()), HOME)
            .await
            .expect("known")
    }

    pub async fn service(&self, id: &str) -> Arc<Subject> {
        let id = ServiceId::parse(id).expect("valid");
        let service = Service {
            id: id.clone(),
            description: String::new(),
            created_at: self.clock.now(),
        };
        self.store
            .tokens()
            .put_service(&service)
            .await
            .expect("writes");
        self.pdp
            .subject(&Principal::Service(id), HOME)
            .await
            .expect("known")
    }

    /// Grants everything on a pattern.
    pub async fn grant(&self, scope: GrantScope, pattern: &str) -> GrantId {
        let grant = grant(scope, pattern, "publish subscribe receive retain");
        let id = grant.id;
        self.pdp.add_grant(grant).await.expect("adds");
        id
    }

    pub async fn events(&self, kind: &str) -> Vec<Event> {
        let filter = EventFilter {
            kind: Some(kind.to_owned()),
            ..EventFilter::default()
        };
        let stored = self
            .store
            .journal()
            .events_after(0, 10_000, &filter)
            .await
            .expect("reads");
        stored
            .iter()
            .map(|event| serde_json::from_str(&event.body).expect("json"))
            .collect()
    }

    /// The reasons of all posture changes so far.
    pub async fn posture_reasons(&self) -> Vec<String> {
        let reason = |event: Event| match event.kind {
            EventKind::PostureChanged { reason, .. } => reason,
            other => panic!("{other:?}"),
        };
        self.events("posture_changed")
            .await
            .into_iter()
            .map(reason)
            .collect()
    }

    pub async fn posture(&self, id: &DeviceId) -> Posture {
        self.store
            .devices()
            .find(id)
            .await
            .expect("reads")
            .expect("is there")
            .posture
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.running.cancel();
    }
}

async fn open(
    store: &Store,
    bus: &SharedBus,
    ledger: &Arc<Ledger>,
    clock: &ManualClock,
    evidence: Vec<Arc<dyn EvidenceSource>>,
) -> Arc<Pdp> {
    Pdp::open(
        store.clone(),
        bus.clone(),
        ledger.clone(),
        Arc::new(clock.clone()),
        evidence,
    )
    .await
    .expect("opens")
}

pub fn device(id: &str) -> DeviceId {
    DeviceId::parse(id).expect("valid")
}

pub fn segment(id: &str) -> SegmentId {
    SegmentId::parse(id).expect("valid")
}

pub fn grant(scope: GrantScope, pattern: &str, actions: &str) -> Grant {
    Grant {
        id: GrantId::generate(),
        scope,
        pattern: TopicPattern::parse(pattern).expect("a pattern"),
        actions: GrantActions {
            publish: actions.contains("publish"),
            subscribe: actions.contains("subscribe"),
            receive: actions.contains("receive"),
            retain: actions.contains("retain"),
            keep_days: actions.contains("keep").then_some(NonZeroU16::MIN),
            sealed: actions.contains("sealed"),
        },
        created_at: Timestamp::UNIX_EPOCH,
    }
}

pub fn publish(topic: &str) -> Request<'_> {
    let topic = Topic::parse(topic).expect("a topic");
    Request::Publish {
        topic,
        qos: 1,
        retain: false,
        size: 10,
    }
}

pub fn receive(topic: &str) -> Request<'_> {
    Request::Receive {
        topic: Topic::parse(topic).expect("a topic"),
        qos: 1,
        size: 10,
    }
}

pub fn filter(text: &str) -> TopicFilter {
    TopicFilter::parse(text).expect("a filter")
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
