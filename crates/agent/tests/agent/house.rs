//! The server, real and in a directory of its own, on a runtime of its own so that it can stop and start.

use std::{
    future::Future,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::digest::{SHA256, digest};
use palisade_agent::{AgentOptions, BackoffOptions, DeviceIdentity, Endpoint, enroll_in_memory};
use palisade_api::{Api, ApiConfig, ApiParts};
use palisade_bus::{LocalBus, SharedBus};
use palisade_core::{
    DeviceId, Event, Grant, GrantActions, GrantId, GrantScope, Lifecycle, Product, ProductId,
    Segment, SegmentId, SystemClock, Timestamp, TokenId, TopicPattern, TrustDomain,
};
use palisade_detect::{Detect, DetectConfig, DetectParts, baseline::Baselines, rules::Rules};
use palisade_export::Exports;
use palisade_gateway::{Gateway, GatewayConfig, GatewayParts};
use palisade_identity::{Identity, IdentityConfig};
use palisade_keys::{KeySource, Keystore, RootKey};
use palisade_ledger::{Ledger, LedgerConfig, Log, LogParts};
use palisade_people::{AccountsConfig, People, PeopleGround};
use palisade_policy::Pdp;
use palisade_respond::{LoweredTrust, Respond, RespondConfig, RespondParts};
use palisade_store::{EnrolmentToken, EventFilter, Store, TokenScope};
use palisade_vault::{Vault, VaultConfig, VaultParts};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct House {
    directory: tempfile::TempDir,
    device_validity: Duration,
    addresses: Option<(SocketAddr, SocketAddr)>,
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
    pub ledger: Arc<Ledger>,
    pub identity: Arc<Identity>,
    pub pdp: Arc<Pdp>,
    pub gateway: Arc<Gateway>,
    pub api: Arc<Api>,
}

pub fn device(id: &str) -> DeviceId {
    DeviceId::parse(id).expect("valid")
}

impl House {
    pub async fn open() -> Self {
        Self::with_validity(Duration::from_secs(90 * 86_400)).await
    }

    /// With another life of devices' certificates.
    pub async fn with_validity(device_validity: Duration) -> Self {
        let mut house = Self {
            directory: tempfile::tempdir().expect("a directory"),
            device_validity,
            addresses: None,
            running: None,
        };
        house.start().await;
        house.furnish().await;
        house
    }

    /// Starts; after the first time on the same ports.
    pub async fn start(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let addresses = self.addresses.unwrap_or((any, any));
        let (directory, validity) = (self.directory.path().to_owned(), self.device_validity);
        let opening = async move { open(&directory, validity, addresses).await };
        let parts = runtime.spawn(opening).await.expect("opens");
        let cancel = CancellationToken::new();
        let server = {
            let (parts, cancel) = (parts.clone(), cancel.clone());
            runtime.spawn(async move {
                let pdp = tokio::spawn(parts.pdp.run(cancel.clone()));
                let identity = tokio::spawn(parts.identity.run(cancel.clone()));
                let api = tokio::spawn(parts.api.run(cancel.clone()));
                parts.gateway.run(cancel).await.expect("runs");
                api.await.expect("runs").expect("runs");
                pdp.await.expect("runs");
                identity.await.expect("runs");
                parts.ledger.close().await;
            })
        };
        self.addresses = Some((parts.gateway.local_addrs()[0], parts.api.devices_addrs()[0]));
        self.running = Some(Running {
            runtime,
            parts,
            cancel,
            server,
        });
    }

    /// Stops as an operator would.
    pub async fn stop(&mut self) {
        let running = self.running.take().expect("runs");
        running.cancel.cancel();
        running.server.await.expect("ends well");
        running.runtime.shutdown_background();
    }

    async fn furnish(&self) {
        let parts = self.parts();
        self.run(async move {
            let devices = parts.store.devices();
            let segment = SegmentId::parse("default").expect("valid");
            let product = Product {
                id: ProductId::parse("cam").expect("valid"),
                description: String::new(),
                default_segment: segment.clone(),
                inventory_only: false,
                created_at: Timestamp::now(),
            };
            let segment = Segment {
                id: segment,
                description: String::new(),
            };
            devices.add_segment(&segment).await.expect("writes");
            devices.put_product(&product).await.expect("writes");
            let grant = Grant {
                id: GrantId::generate(),
                scope: GrantScope::Fleet,
                pattern: TopicPattern::parse("devices/{device}/#").expect("valid"),
                actions: GrantActions {
                    publish: true,
                    subscribe: true,
                    receive: true,
                    retain: true,
                    keep_days: None,
                    sealed: false,
                },
                created_at: Timestamp::now(),
            };
            parts.pdp.add_grant(grant).await.expect("adds");
        })
        .await;
    }

    pub fn parts(&self) -> Parts {
        self.running.as_ref().expect("runs").parts.clone()
    }

    /// Does something on the server's runtime.
    pub async fn run<T: Send + 'static>(&self, act: impl Future<Output = T> + Send + 'static) -> T {
        let runtime = &self.running.as_ref().expect("runs").runtime;
        runtime.spawn(act).await.expect("does not panic")
    }

    pub fn gateway(&self) -> Endpoint {
        let (gateway, _) = self.addresses.expect("started");
        gateway.to_string().parse().expect("an endpoint")
    }

    pub fn devices(&self) -> Endpoint {
        let (_, devices) = self.addresses.expect("started");
        devices.to_string().parse().expect("an endpoint")
    }

    pub fn devices_url(&self) -> String {
        format!("https://{}", self.devices())
    }

    pub fn root_pem(&self) -> String {
        self.parts().identity.root_pem()
    }

    /// A token for any device, good for `uses` of them.
    pub async fn token(&self, uses: u64) -> String {
        let secret = format!("pet_{:032x}", rand::random::<u128>());
        let token = EnrolmentToken {
            id: TokenId::generate(),
            hash: digest(&SHA256, secret.as_bytes()).as_ref().to_vec(),
            scope: TokenScope::Product(ProductId::parse("cam").expect("valid")),
            uses_left: uses,
            expires_at: Timestamp::now() + Duration::from_secs(3600),
            revoked: false,
            note: String::new(),
            created_at: Timestamp::now(),
        };
        let store = self.parts().store;
        self.run(async move { store.tokens().add_enrolment(&token).await.expect("writes") })
            .await;
        secret
    }

    pub async fn enrol(&self, id: &str) -> DeviceIdentity {
        let token = self.token(1).await;
        enroll_in_memory(&self.devices_url(), &self.root_pem(), &device(id), &token)
            .await
            .expect("enrols")
    }

    /// Options of an agent here, quick to come back.
    pub fn options(&self) -> AgentOptions {
        let mut options = AgentOptions::new(self.gateway());
        options.devices = Some(self.devices());
        options.backoff = BackoffOptions {
            first_ms: 20,
            max_ms: 200,
            refused_first_ms: 50,
            refused_max_ms: 200,
            stable_ms: 30_000,
        };
        options
    }

    pub async fn set_lifecycle(&self, id: &str, to: Lifecycle) {
        let (id, pdp) = (device(id), self.parts().pdp);
        self.run(async move {
            let set = pdp.set_lifecycle(&id, to, "a test says so").await;
            set.expect("sets");
        })
        .await;
    }

    /// Waits until the event stream has one of a kind.
    pub async fn event(&self, is_it: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let store = self.parts().store;
            let read = async move {
                let journal = store.journal();
                journal
                    .events_after(0, 100_000, &EventFilter::default())
                    .await
            };
            let stored = self.run(read).await.expect("reads");
            let parse = |body: &String| serde_json::from_str(body).expect("an event");
            let mut events = stored.iter().map(|event| parse(&event.body));
            if let Some(found) = events.find(&is_it) {
                return found;
            }
            assert!(Instant::now() < deadline, "there is no such event");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.runtime.shutdown_background();
        }
    }
}

async fn open(
    directory: &Path,
    device_validity: Duration,
    (gateway, devices): (SocketAddr, SocketAddr),
) -> Parts {
    let key_file = directory.join("kek");
    if !key_file.exists() {
        KeySource::generate_file(&key_file).expect("writes");
    }
    let store = palisade_test_store::open(directory).await.expect("opens");
    let bus: SharedBus = Arc::new(LocalBus::new(store.clone()));
    let ledger = Ledger::open(store.clone(), bus.clone())
        .await
        .expect("opens");
    let keys = Keystore::open(&directory.join("keys.json"), &KeySource::File(key_file));
    let keys = Arc::new(keys.expect("opens"));
    let clock = Arc::new(SystemClock);
    let log = Log::open(LogParts {
        ledger: ledger.clone(),
        store: store.clone(),
        keys: keys.clone(),
        clock: clock.clone(),
        config: LedgerConfig::default(),
        roots: Vec::new(),
        host: "fleet.test".to_owned(),
    });
    let log = log.await.expect("opens");
    let identity = IdentityConfig {
        device_validity,
        ..IdentityConfig::new(TrustDomain::parse("fleet.test").expect("valid"))
    };
    let identity = Identity::open(
        store.clone(),
        keys.clone(),
        bus.clone(),
        ledger.clone(),
        clock.clone(),
        identity,
    )
    .await
    .expect("opens");
    let pdp = Pdp::open(
        store.clone(),
        bus.clone(),
        ledger.clone(),
        clock.clone(),
        Vec::new(),
    );
    let pdp = pdp.await.expect("opens");
    let gateway = Gateway::open(GatewayParts {
        config: GatewayConfig {
            listen: vec![gateway],
            drain_timeout_s: 5,
            device: palisade_gateway::PrincipalLimits {
                connects_per_minute: 10_000,
                ..Default::default()
            },
            ..GatewayConfig::default()
        },
        pdp: pdp.clone(),
        identity: identity.clone(),
        keys: keys.clone(),
        store: store.clone(),
        journal: ledger.clone(),
        bus: bus.clone(),
        clock: clock.clone(),
    })
    .await
    .expect("opens");
    let vault = Vault::open(VaultParts {
        config: VaultConfig::default(),
        data: directory.to_owned(),
        store: store.clone(),
        root: Arc::new(RootKey::open(keys.clone(), "vault").expect("opens")),
        journal: ledger.clone(),
        clock: clock.clone(),
    })
    .await
    .expect("opens");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = ApiConfig::default();
    config.devices.listen = vec![devices];
    config.devices.certificates_per_hour = 1000;
    config.people.listen = vec![any];
    config.operators.listen = vec![any];
    let detect = DetectParts::new(
        store.clone(),
        bus.clone(),
        ledger.clone(),
        clock.clone(),
        DetectConfig::default(),
    );
    let detect = Detect::open(detect, Vec::new()).await.expect("opens");
    let rules = Rules::open(store.clone(), clock.clone(), None).await;
    let exports = Exports::none(store.clone(), bus.clone(), clock.clone());
    let baselines = Baselines::open(store.clone(), clock.clone(), Default::default()).await;
    let mut effectors = palisade_policy::effectors(&Arc::downgrade(&pdp), None);
    effectors.extend(palisade_gateway::effectors(&Arc::downgrade(&gateway)));
    effectors.extend(palisade_identity::effectors(&Arc::downgrade(&identity)));
    let respond = RespondParts {
        store: store.clone(),
        bus: bus.clone(),
        journal: ledger.clone(),
        clock: clock.clone(),
        config: RespondConfig::default(),
        effectors,
        lowered: LoweredTrust::open(&store).await.expect("opens"),
    };
    let respond = Respond::open(respond).await.expect("opens");
    let api = Api::open(ApiParts {
        config,
        store: store.clone(),
        bus,
        journal: ledger.clone(),
        people: People::open(
            PeopleGround {
                store: store.clone(),
                keys,
                clock: clock.clone(),
            },
            &AccountsConfig::default(),
            directory,
        )
        .expect("opens"),
        clock,
        identity: identity.clone(),
        pdp: pdp.clone(),
        ledger: ledger.clone(),
        log,
        vault,
        detect,
        rules: rules.expect("opens"),
        exports,
        baselines: baselines.expect("opens"),
        respond,
        gateway: gateway.clone(),
        premises: palisade_api::doctor::Premises {
            data: directory.to_owned(),
            sealed_by: palisade_api::doctor::KeyPlace::File,
            memory: palisade_api::doctor::Memory::default(),
        },
        metrics: None,
        version: "test",
    })
    .await
    .expect("opens");
    Parts {
        store,
        ledger,
        identity,
        pdp,
        gateway,
        api,
    }
}
