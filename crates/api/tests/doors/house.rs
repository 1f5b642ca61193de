//! Everything that the doors stand on, real and in a directory of its own.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use palisade_api::{Api, ApiConfig, ApiParts};
use palisade_bus::{LocalBus, SharedBus};
use palisade_core::{
    Clock, Device, DeviceId, Event, EventKind, Labels, Lifecycle, ManualClock, Posture, Product,
    ProductId, SegmentId, Timestamp, TokenId, TrustDomain,
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
use rcgen::{CertificateParams, DnType, KeyPair};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::{Answer, Client, basic};

pub const ENROLL: &str = "/.well-known/est/simpleenroll";
pub const REENROLL: &str = "/.well-known/est/simplereenroll";
/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct House {
    pub store: Store,
    pub identity: Arc<Identity>,
    pub pdp: Arc<Pdp>,
    pub api: Arc<Api>,
    pub clock: ManualClock,
    pub directory: tempfile::TempDir,
    cancel: CancellationToken,
    running: JoinHandle<()>,
}

/// A certificate and its key.
pub struct Enrolled {
    pub der: Vec<u8>,
    pub key: KeyPair,
}

pub fn config() -> ApiConfig {
    let mut config = ApiConfig::default();
    let any = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    config.devices.listen = any.clone();
    config.people.listen = any.clone();
    config.operators.listen = any;
    config.devices.failures_per_minute = 1_000;
    config.devices.limits.drain_timeout_s = 2;
    config
}

impl House {
    pub async fn open() -> Self {
        Self::with(config()).await
    }

    pub async fn with(config: ApiConfig) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let manual = ManualClock::new(Timestamp::now());
        let clock: Arc<dyn Clock> = Arc::new(manual.clone());
        let store = palisade_test_store::open(directory.path())
            .await
            .expect("opens");
        let bus: SharedBus = Arc::new(LocalBus::new(store.clone()));
        let ledger = Ledger::open(store.clone(), bus.clone())
            .await
            .expect("opens");
        let key_file = directory.path().join("kek");
        KeySource::generate_file(&key_file).expect("writes");
        let keys = directory.path().join("keys.json");
        let keys = Keystore::open(&keys, &KeySource::File(key_file)).expect("opens");
        let keys = Arc::new(keys);
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
        let domain = TrustDomain::parse("fleet.test").expect("valid");
        let identity = Identity::open(
            store.clone(),
            keys.clone(),
            bus.clone(),
            ledger.clone(),
            clock.clone(),
            IdentityConfig::new(domain),
        );
        let identity = identity.await.expect("opens");
        let pdp = Pdp::open(
            store.clone(),
            bus.clone(),
            ledger.clone(),
            clock.clone(),
            vec![identity.certificate_age()],
        );
        let pdp = pdp.await.expect("opens");
        let gateway = Gateway::open(GatewayParts {
            config: GatewayConfig {
                listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
                ..GatewayConfig::default()
            },
            pdp: pdp.clone(),
            identity: identity.clone(),
            keys: keys.clone(),
            store: store.clone(),
            journal: ledger.clone(),
            bus: bus.clone(),
            clock: clock.clone(),
        });
        let vault = Vault::open(VaultParts {
            config: VaultConfig::default(),
            data: directory.path().to_owned(),
            store: store.clone(),
            root: Arc::new(RootKey::open(keys.clone(), "vault").expect("opens")),
            journal: ledger.clone(),
            clock: clock.clone(),
        });
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
        let gateway = gateway.await.expect("opens");
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
                std::path::Path::new(""),
            )
            .expect("opens"),
            clock,
            identity: identity.clone(),
            pdp: pdp.clone(),
            ledger,
            log,
            vault: vault.await.expect("opens"),
            detect,
            rules: rules.expect("opens"),
            exports,
            baselines: baselines.expect("opens"),
            respond,
            gateway,
            premises: palisade_api::doctor::Premises {
                data: directory.path().to_owned(),
                sealed_by: palisade_api::doctor::KeyPlace::File,
                memory: palisade_api::doctor::Memory::default(),
            },
            metrics: Some(Arc::new(|| "process_up 1\n".to_owned())),
            version: "0.0.0-test",
        });
        let api = api.await.expect("opens");
        let cancel = CancellationToken::new();
        let run = api.clone().run(cancel.clone());
        let running = tokio::spawn(async move { run.await.expect("runs") });
        let house = Self {
            store,
            identity,
            pdp,
            api,
            clock: manual,
            directory,
            cancel,
            running,
        };
        house.product("cam", false).await;
        house
    }

    /// Ends the doors; returns once all requests are done.
    pub async fn close(self) {
        self.cancel.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.running).await;
        ended.expect("ends in time").expect("does not panic");
    }

    pub fn devices_address(&self) -> SocketAddr {
        self.api.devices_addrs()[0]
    }

    /// A client without a certificate.
    pub fn client(&self) -> Client {
        Client::new(self.devices_address(), self.identity.root_der(), None)
    }

    /// A client with a certificate.
    pub fn client_of(&self, enrolled: &Enrolled) -> Client {
        let identity = Some((enrolled.der.clone(), &enrolled.key));
        Client::new(self.devices_address(), self.identity.root_der(), identity)
    }

    pub async fn product(&self, id: &str, inventory_only: bool) {
        let product = Product {
            id: ProductId::parse(id).expect("valid"),
            description: String::new(),
            default_segment: SegmentId::parse("default").expect("valid"),
            inventory_only,
            created_at: self.clock.now(),
        };
        self.store
            .devices()
            .put_product(&product)
            .await
            .expect("writes");
    }

    pub async fn register(&self, id: &str, product: &str) {
        let device = Device {
            id: device(id),
            product: ProductId::parse(product).expect("valid"),
            labels: Labels::new(BTreeMap::new()).expect("valid"),
            posture: Posture::registered(SegmentId::parse("default").expect("valid")),
            registered_at: self.clock.now(),
            last_seen_at: None,
        };
        self.store
            .devices()
            .register(&[device])
            .await
            .expect("writes");
    }

    /// Makes an enrolment token of a product; returns its secret.
    pub async fn token(&self, product: &str, uses: u64) -> String {
        let scope = TokenScope::Product(ProductId::parse(product).expect("valid"));
        self.token_for(scope, uses).await.1
    }

    pub async fn token_for(&self, scope: TokenScope, uses: u64) -> (TokenId, String) {
        let id = TokenId::generate();
        let secret = format!("pet_{id}");
        let now = self.clock.now();
        let token = EnrolmentToken {
            id,
            hash: digest(&SHA256, secret.as_bytes()).as_ref().to_vec(),
            scope,
            uses_left: uses,
            expires_at: now + Duration::from_secs(3_600),
            revoked: false,
            note: String::new(),
            created_at: now,
        };
        self.store
            .tokens()
            .add_enrolment(&token)
            .await
            .expect("writes");
        (id, secret)
    }

    /// How many uses a token has left.
    pub async fn uses_left(&self, secret: &str) -> u64 {
        let hash = digest(&SHA256, secret.as_bytes());
        let found = self.store.tokens().find_enrolment(hash.as_ref()).await;
        found.expect("reads").expect("there").uses_left
    }

    /// Asks for a first certificate with a token.
    pub async fn ask(&self, secret: &str, id: &str, key: &KeyPair) -> Answer {
        let authorization = basic(secret);
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/pkcs10"),
        ];
        let body = csr_body(id, key);
        self.client().post(ENROLL, &headers, body.as_bytes()).await
    }

    /// Enrols a device with a token of its product.
    pub async fn enrol(&self, id: &str) -> Enrolled {
        let secret = self.token("cam", 1).await;
        let key = KeyPair::generate().expect("a key");
        let answer = self.ask(&secret, id, &key).await;
        Enrolled {
            der: answer.certificate(),
            key,
        }
    }

    pub async fn lifecycle(&self, id: &str) -> Option<Lifecycle> {
        let posture = self.pdp.posture(&device(id)).await.expect("reads");
        posture.map(|posture| posture.lifecycle)
    }

    pub async fn set_lifecycle(&self, id: &str, to: Lifecycle) {
        let set = self
            .pdp
            .set_lifecycle(&device(id), to, "a test says so")
            .await;
        set.expect("sets");
    }

    /// Everything that is on the event stream.
    pub async fn events(&self) -> Vec<Event> {
        let journal = self.store.journal();
        let stored = journal
            .events_after(0, 100_000, &EventFilter::default())
            .await;
        let parse = |body: &String| serde_json::from_str(body).expect("an event");
        stored
            .expect("reads")
            .iter()
            .map(|event| parse(&event.body))
            .collect()
    }

    /// The reasons of all refusals so far, the newest last.
    pub async fn refusals(&self) -> Vec<String> {
        let reason = |event: Event| match event.kind {
            EventKind::Refused { reason, .. } => Some(reason),
            EventKind::Denied { action, reason, .. } => Some(format!("{action}: {reason}")),
            EventKind::LimitExceeded { limit, .. } => Some(limit),
            _ => None,
        };
        self.events().await.into_iter().filter_map(reason).collect()
    }

    /// The newest refusal.
    pub async fn last_refusal(&self) -> String {
        self.refusals().await.pop().expect("a refusal is on record")
    }

    /// Waits until a refusal is on record.
    pub async fn refusal(&self, part: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self
            .refusals()
            .await
            .iter()
            .any(|reason| reason.contains(part))
        {
            assert!(Instant::now() < deadline, "{:?}", self.refusals().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub fn device(id: &str) -> DeviceId {
    DeviceId::parse(id).expect("valid")
}

pub fn csr(id: &str, key: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, id);
    let request = params.serialize_request(key).expect("a request");
    request.der().to_vec()
}

pub fn csr_body(id: &str, key: &KeyPair) -> String {
    STANDARD.encode(csr(id, key))
}
