//! A whole server without its listeners: every part is the real one, in a directory that goes away.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use http_body_util::BodyExt;
use palisade_api::{
    doctor::{KeyPlace, Premises},
    people::{self, Authenticator, PeopleParts, PeopleState},
    serve::ConnectInfo,
    setup,
};
use palisade_bus::{LocalBus, SharedBus};
use palisade_core::{
    Clock, Device, DeviceId, Event, Labels, Lifecycle, ManualClock, Posture, Product, ProductId,
    SegmentId, Timestamp, TokenId, TrustDomain,
    port::{BoxFuture, Journal, JournalError},
};
use palisade_detect::{
    Detect, DetectConfig, DetectParts,
    baseline::{BaselineConfig, Baselines},
    rules::Rules,
};
use palisade_export::{EventsConfig, ExportParts, Exports};
use palisade_gateway::{Gateway, GatewayConfig, GatewayParts};
use palisade_identity::{Identity, IdentityConfig};
use palisade_keys::{KeySource, Keystore, RootKey};
use palisade_ledger::{Ledger, LedgerConfig, Log, LogParts};
use palisade_people::{AccountsConfig, People, PeopleGround};
use palisade_policy::Pdp;
use palisade_respond::{LoweredTrust, Respond, RespondConfig, RespondParts};
use palisade_store::{ApiToken, Store};
use palisade_vault::{Vault, VaultConfig, VaultParts};
use serde_json::Value;
use tower::ServiceExt;

/// Messages of devices that one reader may read in a minute here.
pub const READ_PER_MINUTE: u64 = 1_000;

/// The ledger, until it is told to fail.
pub struct FragileJournal {
    ledger: Arc<Ledger>,
    pub fails: AtomicBool,
}

impl Journal for FragileJournal {
    fn record(&self, events: Vec<Event>) -> BoxFuture<'_, Result<(), JournalError>> {
        if self.fails.load(Ordering::SeqCst) {
            let error = JournalError("the disk is full".into());
            return Box::pin(std::future::ready(Err(error)));
        }
        self.ledger.record(events)
    }
}

pub struct House {
    pub directory: tempfile::TempDir,
    pub clock: ManualClock,
    pub store: Store,
    pub journal: Arc<FragileJournal>,
    pub identity: Arc<Identity>,
    pub people: Arc<People>,
    pub pdp: Arc<Pdp>,
    pub ledger: Arc<Ledger>,
    pub log: Arc<Log>,
    pub vault: Arc<Vault>,
    pub detect: Arc<Detect>,
    pub rules: Arc<Rules>,
    pub exports: Arc<Exports>,
    pub baselines: Arc<Baselines>,
    pub respond: Arc<Respond>,
    pub gateway: Arc<Gateway>,
    bus: SharedBus,
    pub state: PeopleState,
    pub router: Router,
    /// The secret of a token that may do everything.
    pub admin: String,
}

pub async fn house() -> House {
    house_in(tempfile::tempdir().expect("a directory")).await
}

/// A server in a directory that holds something already.
pub async fn house_in(directory: tempfile::TempDir) -> House {
    let accounts = AccountsConfig {
        origins: vec!["https://fleet.test:8443".to_owned()],
        ..AccountsConfig::default()
    };
    house_of(directory, accounts).await
}

/// A server whose accounts are set up so.
pub async fn house_of(directory: tempfile::TempDir, accounts: AccountsConfig) -> House {
    let clock = ManualClock::new(Timestamp::now());
    let store = palisade_test_store::open(directory.path())
        .await
        .expect("opens");
    let bus: SharedBus = Arc::new(LocalBus::new(store.clone()));
    let ledger = Ledger::open(store.clone(), bus.clone()).await;
    let ledger = ledger.expect("opens");
    let journal = Arc::new(FragileJournal {
        ledger: ledger.clone(),
        fails: AtomicBool::new(false),
    });
    let shared_clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let keys = keys(&directory);
    let log = Log::open(LogParts {
        ledger: ledger.clone(),
        store: store.clone(),
        keys: keys.clone(),
        clock: shared_clock.clone(),
        config: LedgerConfig::default(),
        roots: Vec::new(),
        host: "fleet.test".to_owned(),
    });
    let log = log.await.expect("opens");
    let ground = PeopleGround {
        store: store.clone(),
        keys: keys.clone(),
        clock: shared_clock.clone(),
    };
    let people = People::open(ground, &accounts, directory.path());
    let people = people.expect("opens");
    people.reached_at(8_443).expect("is valid");
    let identity = identity(keys.clone(), &store, &bus, &journal, &shared_clock).await;
    let pdp = Pdp::open(
        store.clone(),
        bus.clone(),
        journal.clone(),
        shared_clock.clone(),
        Vec::new(),
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
        journal: journal.clone(),
        bus: bus.clone(),
        clock: shared_clock.clone(),
    });
    let gateway = gateway.await.expect("opens");
    let vault = Vault::open(VaultParts {
        config: VaultConfig {
            read_per_minute: READ_PER_MINUTE,
            ..VaultConfig::default()
        },
        data: directory.path().to_owned(),
        store: store.clone(),
        root: Arc::new(RootKey::open(keys.clone(), "vault").expect("opens")),
        journal: journal.clone(),
        clock: shared_clock.clone(),
    });
    let vault = vault.await.expect("opens");
    gateway.keep_in(vault.clone());
    let detect = DetectParts::new(
        store.clone(),
        bus.clone(),
        journal.clone(),
        shared_clock.clone(),
        DetectConfig::default(),
    );
    let detect = Detect::open(detect, Vec::new()).await.expect("opens");
    let rules = Rules::open(store.clone(), shared_clock.clone(), None).await;
    let rules = rules.expect("opens");
    let exports = exports(directory.path(), &store, &bus, shared_clock.clone());
    let config = BaselineConfig::default();
    let baselines = Baselines::open(store.clone(), shared_clock.clone(), config).await;
    let baselines = baselines.expect("opens");
    let mut effectors = palisade_policy::effectors(&Arc::downgrade(&pdp), None);
    effectors.extend(palisade_gateway::effectors(&Arc::downgrade(&gateway)));
    effectors.extend(palisade_identity::effectors(&Arc::downgrade(&identity)));
    let respond = RespondParts {
        store: store.clone(),
        bus: bus.clone(),
        journal: journal.clone(),
        clock: shared_clock.clone(),
        config: RespondConfig::default(),
        effectors,
        lowered: LoweredTrust::open(&store).await.expect("opens"),
    };
    let respond = Respond::open(respond).await.expect("opens");
    let state = PeopleState::new(PeopleParts {
        store: store.clone(),
        bus: bus.clone(),
        journal: journal.clone(),
        clock: shared_clock,
        identity: identity.clone(),
        people: people.clone(),
        pdp: pdp.clone(),
        ledger: ledger.clone(),
        log: log.clone(),
        vault: vault.clone(),
        detect: detect.clone(),
        rules: rules.clone(),
        exports: exports.clone(),
        baselines: baselines.clone(),
        respond: respond.clone(),
        gateway: gateway.clone(),
        premises: premises(&directory),
        max_event_streams: 256,
        version: "0.0.0-test",
    });
    let mut house = House {
        router: people::router(state.clone()),
        directory,
        clock,
        store,
        journal,
        identity,
        people,
        pdp,
        ledger,
        log,
        vault,
        detect,
        rules,
        exports,
        baselines,
        respond,
        gateway,
        bus,
        state,
        admin: String::new(),
    };
    house.admin = house.token("admin", &["*"]).await;
    house
}

fn premises(directory: &tempfile::TempDir) -> Premises {
    Premises {
        data: directory.path().to_owned(),
        sealed_by: KeyPlace::File,
        memory: palisade_api::doctor::Memory::default(),
    }
}

fn keys(directory: &tempfile::TempDir) -> Arc<Keystore> {
    let key_file = directory.path().join("kek");
    KeySource::generate_file(&key_file).expect("writes");
    let path = directory.path().join("keys.json");
    Arc::new(Keystore::open(&path, &KeySource::File(key_file)).expect("opens"))
}

async fn identity(
    keys: Arc<Keystore>,
    store: &Store,
    bus: &SharedBus,
    journal: &Arc<FragileJournal>,
    clock: &Arc<dyn Clock>,
) -> Arc<Identity> {
    let identity = Identity::open(
        store.clone(),
        keys,
        bus.clone(),
        journal.clone(),
        clock.clone(),
        IdentityConfig::new(TrustDomain::parse("fleet.test").expect("valid")),
    );
    identity.await.expect("opens")
}

impl House {
    /// A new token with these scopes; returns its secret.
    pub async fn token(&self, name: &str, scopes: &[&str]) -> String {
        self.add_token(name, scopes, |_| {}).await
    }

    pub async fn add_token(
        &self,
        name: &str,
        scopes: &[&str],
        change: impl FnOnce(&mut ApiToken),
    ) -> String {
        let secret = format!("pat_{:A<43}", name.replace(':', "-"));
        let mut token = ApiToken {
            id: TokenId::generate(),
            name: name.to_owned(),
            hash: sha256(&secret),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            service: None,
            expires_at: None,
            revoked: false,
            last_used_at: None,
            created_at: self.clock.now(),
        };
        change(&mut token);
        self.store.tokens().add_api(&token).await.expect("adds");
        secret
    }

    /// The same door, with another way to recognise callers.
    pub fn state_with(&self, authenticator: Arc<dyn Authenticator>) -> PeopleState {
        let parts = PeopleParts {
            store: self.store.clone(),
            bus: self.bus.clone(),
            journal: self.journal.clone(),
            clock: Arc::new(self.clock.clone()),
            identity: self.identity.clone(),
            people: self.people.clone(),
            pdp: self.pdp.clone(),
            ledger: self.ledger.clone(),
            log: self.log.clone(),
            vault: self.vault.clone(),
            detect: self.detect.clone(),
            rules: self.rules.clone(),
            exports: self.exports.clone(),
            baselines: self.baselines.clone(),
            respond: self.respond.clone(),
            gateway: self.gateway.clone(),
            premises: premises(&self.directory),
            max_event_streams: 256,
            version: "0.0.0-test",
        };
        PeopleState::with_authenticator(parts, authenticator)
    }

    /// The time here, in seconds.
    pub fn now_s(&self) -> i64 {
        self.clock.now().as_second()
    }

    /// A request of the administrator.
    pub fn call(&self, method: Method, path: &str) -> Call<'_> {
        let admin = self.admin.clone();
        self.anonymous(method, path).bearer(&admin)
    }

    /// A request of nobody.
    pub fn anonymous(&self, method: Method, path: &str) -> Call<'_> {
        Call {
            house: self,
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Body::empty(),
            source: [192, 0, 2, 7],
        }
    }

    pub fn get(&self, path: &str) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub fn post(&self, path: &str, body: Value) -> Call<'_> {
        self.call(Method::POST, path).json(body)
    }

    pub fn put(&self, path: &str, body: Value) -> Call<'_> {
        self.call(Method::PUT, path).json(body)
    }

    /// A product and devices of it.
    pub async fn fleet(&self, ids: &[&str]) {
        let product = Product {
            id: ProductId::parse("camera").expect("valid"),
            description: String::new(),
            default_segment: SegmentId::parse("default").expect("valid"),
            inventory_only: true,
            created_at: self.clock.now(),
        };
        let devices = self.store.devices();
        devices.put_product(&product).await.expect("adds");
        let all: Vec<Device> = ids.iter().map(|id| self.device(id, &product)).collect();
        devices.register(&all).await.expect("registers");
    }

    fn device(&self, id: &str, product: &Product) -> Device {
        let labels = BTreeMap::from([("site".to_owned(), "berlin".to_owned())]);
        Device {
            id: DeviceId::parse(id).expect("valid"),
            product: product.id.clone(),
            labels: Labels::new(labels).expect("valid"),
            posture: Posture::registered(product.default_segment.clone()),
            registered_at: self.clock.now(),
            last_seen_at: None,
        }
    }

    pub async fn lifecycle(&self, id: &str) -> Lifecycle {
        let id = DeviceId::parse(id).expect("valid");
        let found = self.store.devices().find(&id).await.expect("reads");
        found.expect("is there").posture.lifecycle
    }

    /// The entries of the ledger, as JSON.
    pub async fn entries(&self) -> Vec<Value> {
        let rows = self.store.journal().ledger_after(0, 10_000).await;
        let events = self.ledger.revealed(&rows.expect("reads")).await;
        let events = events.expect("reads").into_iter();
        events
            .map(|event| serde_json::from_str(&event).expect("json"))
            .collect()
    }

    pub async fn setup_token(&self) -> Option<String> {
        let made = setup::ensure_setup_token(&self.store, &self.clock).await;
        made.expect("asks")
    }
}

pub fn sha256(text: &str) -> Vec<u8> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().to_vec()
}

pub struct Call<'a> {
    house: &'a House,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Body,
    source: [u8; 4],
}

impl Call<'_> {
    /// From another address.
    pub fn from(mut self, source: [u8; 4]) -> Self {
        self.source = source;
        self
    }

    pub fn bearer(self, secret: &str) -> Self {
        self.header("authorization", &format!("Bearer {secret}"))
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers
            .insert(name, value.parse().expect("a header value"));
        self
    }

    pub fn json(self, body: Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub fn body(mut self, media_type: &str, body: impl Into<Body>) -> Self {
        self = self.header("content-type", media_type);
        self.body = body.into();
        self
    }

    pub async fn answer(self) -> Answer {
        let mut request = Request::builder().method(self.method).uri(self.path);
        *request.headers_mut().expect("headers") = self.headers;
        let mut request = request.body(self.body).expect("a request");
        request.extensions_mut().insert(ConnectInfo {
            source: SocketAddr::from((self.source, 4_711)),
            certificate: None,
            key_exchange: None,
        });
        let answered = self.house.router.clone().oneshot(request).await;
        let (parts, body) = answered.expect("answers").into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// The answer's status and JSON.
    pub async fn send(self) -> (StatusCode, Value) {
        let answer = self.answer().await;
        let (status, text) = (answer.status, answer.text().await);
        let json = match text.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}")),
        };
        (status, json)
    }

    /// The JSON of an answer that must have this status.
    pub async fn expect(self, status: u16) -> Value {
        let what = format!("{} {}", self.method, self.path);
        let (found, body) = self.send().await;
        assert_eq!(found.as_u16(), status, "{what}: {body}");
        body
    }

    /// What is wrong, where the answer must be a problem of this status.
    pub async fn problem(self, status: u16) -> String {
        let what = format!("{} {}", self.method, self.path);
        let answer = self.answer().await;
        let (found, media_type) = (answer.status, answer.media_type());
        let text = answer.text().await;
        assert_eq!(found.as_u16(), status, "{what}: {text}");
        assert_eq!(media_type, "application/problem+json", "{what}: {text}");
        text
    }
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Body,
}

impl Answer {
    pub fn media_type(&self) -> String {
        let value = self.headers.get(header::CONTENT_TYPE);
        let value = value.and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    }

    pub async fn text(self) -> String {
        let bytes = self.body.collect().await.expect("a body").to_bytes();
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    /// The next piece of a stream; `None` at its end.
    pub async fn piece(&mut self) -> Option<String> {
        let frame = tokio::time::timeout(Duration::from_secs(10), self.body.frame()).await;
        let data = frame.expect("in time")?.expect("a frame").into_data();
        Some(String::from_utf8(data.expect("data").to_vec()).expect("text"))
    }
}

/// One export, to a file; nobody runs it.
fn exports(
    directory: &std::path::Path,
    store: &Store,
    bus: &SharedBus,
    clock: Arc<dyn palisade_core::Clock>,
) -> Arc<Exports> {
    let siem = serde_json::json!({ "kind": "file", "path": "events.ndjson" });
    let parts = ExportParts {
        events: EventsConfig::default(),
        exports: [(
            "siem".to_owned(),
            serde_json::from_value(siem).expect("a configuration"),
        )]
        .into(),
        data: directory.to_owned(),
        readers: Vec::new(),
        store: store.clone(),
        bus: bus.clone(),
        clock,
    };
    Exports::open(parts).expect("opens")
}
