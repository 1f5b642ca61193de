//! The whole of what a gateway stands on, real and in a directory of its own.

use std::{
    collections::BTreeMap,
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use palisade_bus::{LocalBus, SharedBus};
use palisade_core::{
    Device, DeviceId, Event, EventKind, Grant, GrantActions, GrantId, GrantScope, Labels,
    Lifecycle, ManualClock, Posture, Principal, Product, ProductId, Segment, SegmentId, ServiceId,
    SystemClock, Timestamp, TopicPattern, TrustDomain,
};
use palisade_gateway::{Gateway, GatewayConfig, GatewayParts};
use palisade_identity::{CheckedCsr, Identity, IdentityConfig, Issued};
use palisade_keys::{KeySource, Keystore};
use palisade_ledger::Ledger;
use palisade_policy::Pdp;
use palisade_store::{EventFilter, Service, Store};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, Connect, PATIENCE};

/// A gateway that runs, on a runtime of its own so that it can die like a process.
pub struct House {
    directory: tempfile::TempDir,
    config: GatewayConfig,
    /// The time of the certification authority; all others have that of the day.
    pub authority_clock: ManualClock,
    running: Option<Running>,
}

struct Running {
    runtime: Runtime,
    parts: Parts,
    cancel: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
pub struct Parts {
    pub store: Store,
    pub bus: SharedBus,
    pub ledger: Arc<Ledger>,
    pub identity: Arc<Identity>,
    pub keys: Arc<Keystore>,
    pub pdp: Arc<Pdp>,
    pub gateway: Arc<Gateway>,
}

/// A certificate and its key.
pub struct Enrolled {
    pub issued: Issued,
    pub key: KeyPair,
}

/// As which service the listener without TLS acts.
pub const SUITE: &str = "suite";

pub fn config() -> GatewayConfig {
    GatewayConfig {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        insecure_loopback: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        insecure_principal: ServiceId::parse(SUITE).ok(),
        drain_timeout_s: 5,
        ..GatewayConfig::default()
    }
}

pub fn device(id: &str) -> Principal {
    DeviceId::parse(id).expect("valid").into()
}

impl House {
    /// With the defaults.
    pub async fn open() -> Self {
        Self::with(config()).await
    }

    pub async fn with(config: GatewayConfig) -> Self {
        let mut house = Self {
            directory: tempfile::tempdir().expect("a directory"),
            config,
            authority_clock: ManualClock::new(Timestamp::now()),
            running: None,
        };
        house.start().await;
        house.furnish().await;
        house
    }

    async fn start(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let directory = self.directory.path().to_owned();
        let (config, clock) = (self.config.clone(), self.authority_clock.clone());
        let opened = runtime.spawn(async move { open(&directory, config, clock).await });
        let parts = opened.await.expect("opens");
        let cancel = CancellationToken::new();
        let server = {
            let (parts, cancel) = (parts.clone(), cancel.clone());
            runtime.spawn(async move {
                let pdp = tokio::spawn(parts.pdp.run(cancel.clone()));
                let identity = tokio::spawn(parts.identity.run(cancel.clone()));
                parts.gateway.run(cancel).await.expect("runs");
                pdp.await.expect("runs");
                identity.await.expect("runs");
                parts.ledger.close().await;
            })
        };
        self.running = Some(Running {
            runtime,
            parts,
            cancel,
            server,
        });
    }

    /// What every test needs: a product in a segment, and a service that may do everything but subscribe
    /// to `test/nosubscribe`.
    async fn furnish(&self) {
        let parts = self.parts();
        self.run(async move {
            let devices = parts.store.devices();
            for segment in ["default", "other"] {
                let segment = Segment {
                    id: SegmentId::parse(segment).expect("valid"),
                    description: String::new(),
                };
                devices.add_segment(&segment).await.expect("writes");
            }
            let product = Product {
                id: ProductId::parse("cam").expect("valid"),
                description: String::new(),
                default_segment: SegmentId::parse("default").expect("valid"),
                inventory_only: false,
                created_at: Timestamp::now(),
            };
            devices.put_product(&product).await.expect("writes");
            let service = Service {
                id: ServiceId::parse(SUITE).expect("valid"),
                description: String::new(),
                created_at: Timestamp::now(),
            };
            parts
                .store
                .tokens()
                .put_service(&service)
                .await
                .expect("writes");
        })
        .await;
        let suite = || GrantScope::Service(ServiceId::parse(SUITE).expect("valid"));
        self.grant(suite(), "#", ALL).await;
        self.grant(suite(), "$palisade/#", ALL).await;
        self.grant(GrantScope::Fleet, "devices/{device}/#", ALL)
            .await;
        self.grant(GrantScope::Fleet, "{segment}/news", ALL).await;
    }

    pub async fn grant(&self, scope: GrantScope, pattern: &str, actions: GrantActions) -> GrantId {
        let grant = Grant {
            id: GrantId::generate(),
            scope,
            pattern: TopicPattern::parse(pattern).expect("valid"),
            actions,
            created_at: Timestamp::now(),
        };
        let id = grant.id;
        let parts = self.parts();
        self.run(async move { parts.pdp.add_grant(grant).await.expect("adds") })
            .await;
        id
    }

    /// Registers and enrols a device.
    pub async fn enrol(&self, id: &str) -> Enrolled {
        self.register(id).await;
        self.issue(&device(id)).await
    }

    async fn register(&self, id: &str) {
        let id = DeviceId::parse(id).expect("valid");
        let parts = self.parts();
        self.run(async move {
            let device = Device {
                id: id.clone(),
                product: ProductId::parse("cam").expect("valid"),
                labels: Labels::new(BTreeMap::new()).expect("valid"),
                posture: Posture::registered(SegmentId::parse("default").expect("valid")),
                registered_at: Timestamp::now(),
                last_seen_at: None,
            };
            parts
                .store
                .devices()
                .register(&[device])
                .await
                .expect("registers");
            let activated = parts
                .pdp
                .set_lifecycle(&id, Lifecycle::Active, "enrolled")
                .await;
            activated.expect("activates");
        })
        .await;
    }

    pub async fn issue(&self, principal: &Principal) -> Enrolled {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, principal.id());
        let request = params.serialize_request(&key).expect("a request");
        let checked = CheckedCsr::parse(request.der()).expect("a good request");
        let (parts, principal) = (self.parts(), principal.clone());
        let issue = async move { parts.identity.issue(&principal, &checked).await };
        let issued = self.run(issue).await.expect("issues");
        Enrolled { issued, key }
    }

    pub fn parts(&self) -> Parts {
        self.running.as_ref().expect("runs").parts.clone()
    }

    /// Does something on the server's runtime.
    pub async fn run<T: Send + 'static>(&self, act: impl Future<Output = T> + Send + 'static) -> T {
        let runtime = &self.running.as_ref().expect("runs").runtime;
        runtime.spawn(act).await.expect("does not panic")
    }

    pub fn address(&self) -> SocketAddr {
        self.parts().gateway.local_addrs()[0]
    }

    pub fn insecure(&self) -> SocketAddr {
        self.parts().gateway.insecure_addr().expect("configured")
    }

    /// A connection of a device or service.
    pub async fn knock(&self, enrolled: &Enrolled) -> Client {
        let config = self.client_config(enrolled);
        Client::tls(self.address(), config)
            .await
            .expect("shakes hands")
    }

    /// The same from another address of this machine.
    pub async fn knock_from(&self, source: Ipv4Addr, enrolled: &Enrolled) -> Client {
        let config = self.client_config(enrolled);
        Client::tls_from(source, self.address(), config)
            .await
            .expect("shakes hands")
    }

    /// A session of a device.
    pub async fn session(&self, enrolled: &Enrolled, connect: Connect) -> Client {
        let mut client = self.knock(enrolled).await;
        let connack = client.connect(connect).await;
        assert_eq!(connack.reason, 0, "{connack:?}");
        client
    }

    /// A session on the listener without TLS.
    pub async fn plain(&self, connect: Connect) -> Client {
        let mut client = Client::plain(self.insecure()).await;
        let connack = client.connect(connect).await;
        assert_eq!(connack.reason, 0, "{connack:?}");
        client
    }

    pub fn client_config(&self, enrolled: &Enrolled) -> Arc<ClientConfig> {
        let key = PrivateKeyDer::try_from(enrolled.key.serialize_der()).expect("a key");
        let chain = vec![CertificateDer::from(enrolled.issued.der.clone())];
        let builder = ClientConfig::builder().with_root_certificates(self.roots());
        Arc::new(builder.with_client_auth_cert(chain, key).expect("a client"))
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.parts().identity.root_der()).expect("a root");
        roots
    }

    pub async fn set_lifecycle(&self, id: &str, to: Lifecycle) {
        let id = DeviceId::parse(id).expect("valid");
        let parts = self.parts();
        self.run(async move {
            let set = parts.pdp.set_lifecycle(&id, to, "a test says so").await;
            set.expect("sets");
        })
        .await;
    }

    /// Everything that is on the event stream now.
    pub async fn events(&self) -> Vec<Event> {
        let parts = self.parts();
        let read = async move {
            let journal = parts.store.journal();
            journal
                .events_after(0, 100_000, &EventFilter::default())
                .await
        };
        let stored = self.run(read).await.expect("reads");
        let parse = |body: &String| serde_json::from_str(body).expect("an event");
        stored.iter().map(|event| parse(&event.body)).collect()
    }

    /// Waits until the event stream has one of a kind.
    pub async fn event(&self, is_it: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.events().await.into_iter().find(&is_it) {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "no such event: {:?}",
                self.events().await
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn count_admitted(&self) -> usize {
        let is_admission = |event: &&Event| matches!(event.kind, EventKind::Admitted { .. });
        self.events().await.iter().filter(is_admission).count()
    }

    /// Stops as an operator would.
    pub async fn stop(&mut self) {
        let running = self.running.take().expect("runs");
        running.cancel.cancel();
        running.server.await.expect("ends well");
        running.runtime.shutdown_background();
    }

    /// Stops and starts.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    /// Dies as by `kill -9`, and starts.
    pub async fn crash(&mut self) {
        let running = self.running.take().expect("runs");
        running.runtime.shutdown_background();
        drop(running.parts);
        self.start().await;
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.runtime.shutdown_background();
        }
    }
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} does not come to pass");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub const ALL: GrantActions = GrantActions {
    publish: true,
    subscribe: true,
    receive: true,
    retain: true,
    keep_days: None,
    sealed: false,
};

async fn open(directory: &Path, config: GatewayConfig, authority_clock: ManualClock) -> Parts {
    let key_file = directory.join("kek");
    if !key_file.exists() {
        KeySource::generate_file(&key_file).expect("writes");
    }
    let store = open_store(directory).await;
    let bus: SharedBus = Arc::new(LocalBus::new(store.clone()));
    let ledger = Ledger::open(store.clone(), bus.clone())
        .await
        .expect("opens");
    let keys = Keystore::open(&directory.join("keys.json"), &KeySource::File(key_file));
    let keys = Arc::new(keys.expect("opens"));
    let clock = Arc::new(SystemClock);
    let identity = Identity::open(
        store.clone(),
        keys.clone(),
        bus.clone(),
        ledger.clone(),
        Arc::new(authority_clock),
        IdentityConfig::new(TrustDomain::parse("fleet.test").expect("valid")),
    )
    .await
    .expect("opens");
    let pdp = Pdp::open(
        store.clone(),
        bus.clone(),
        ledger.clone(),
        clock.clone(),
        Vec::new(),
    )
    .await
    .expect("opens");
    let gateway = Gateway::open(GatewayParts {
        config,
        pdp: pdp.clone(),
        identity: identity.clone(),
        keys: keys.clone(),
        store: store.clone(),
        journal: ledger.clone(),
        bus: bus.clone(),
        clock,
    })
    .await
    .expect("opens");
    Parts {
        store,
        bus,
        ledger,
        identity,
        keys,
        pdp,
        gateway,
    }
}

/// A runtime that dies lets go of the directory a moment later.
async fn open_store(directory: &Path) -> Store {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match palisade_test_store::open(directory).await {
            Ok(store) => return store,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
