//! The parts of the server, introduced to each other. A new capability is one line here.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Weak},
};

use palisade_api::{
    Api, ApiParts,
    doctor::{Memory, Premises},
    setup,
};
use palisade_bus::{LocalBus, SharedBus};
use palisade_core::{
    Clock, SystemClock,
    port::{DeviceLine, EvidenceListener, Journal},
};
use palisade_detect::{
    Detect, DetectParts, Watcher,
    baseline::Baselines,
    rules::{RuleWatcher, Rules},
};
use palisade_export::{ExportParts, Exports};
use palisade_gateway::{Gateway, GatewayParts};
use palisade_identity::Identity;
use palisade_keys::{Keystore, Roots};
use palisade_ledger::{Ledger, Log, LogParts};
use palisade_people::{People, PeopleGround};
use palisade_policy::Pdp;
use palisade_respond::{LoweredTrust, Respond, RespondParts};
use palisade_store::Store;
use palisade_vault::{Vault, VaultParts};

use super::{
    drills::{self, Doors, Drills},
    metrics::Metrics,
    tasks::Tasks,
};
use crate::{
    config::{Config, DrillsSection},
    data::DataDir,
    database,
    failure::{Context, Failure},
};

/// Who reads the stream of events besides exports, by the names of their cursors.
const READERS: [&str; 2] = ["detect", "respond"];

/// The name of the vault's root key in the keystore.
pub(crate) const VAULT_ROOT: &str = "vault";

/// What every capability stands on.
struct Ground {
    store: Store,
    bus: SharedBus,
    ledger: Arc<Ledger>,
    log: Arc<Log>,
    clock: Arc<dyn Clock>,
    identity: Arc<Identity>,
    keys: Arc<Keystore>,
    people: Arc<People>,
    vault: Arc<Vault>,
}

/// The server.
pub(crate) struct House {
    ground: Ground,
    pdp: Arc<Pdp>,
    detect: Arc<Detect>,
    rules: Arc<Rules>,
    exports: Arc<Exports>,
    baselines: Arc<Baselines>,
    respond: Arc<Respond>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) api: Arc<Api>,
    metrics: Metrics,
    drills: DrillsSection,
    server_names: Vec<String>,
    root: PathBuf,
}

/// Makes keys, database and CA where they are not there yet.
pub(crate) async fn prepare(config: &Config, data: &DataDir) -> Result<(), Failure> {
    let ground = Ground::open(config, data).await?;
    ground.close().await;
    Ok(())
}

impl Ground {
    async fn open(config: &Config, data: &DataDir) -> Result<Self, Failure> {
        // The store first: it keeps a second process out of the directory.
        let store = Box::pin(database::open(config, data)).await?;
        let keys = crate::keys::open(&config.keys, data)?;
        let bus: SharedBus = Arc::new(LocalBus::new(store.clone()));
        let ledger = Ledger::open(store.clone(), bus.clone()).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let log = Log::open(LogParts {
            ledger: ledger.clone(),
            store: store.clone(),
            keys: keys.clone(),
            clock: clock.clone(),
            config: config.ledger.clone(),
            roots: witness_roots(config, data)?,
            host: drills::host(&config.identity.server_names),
        });
        let log = log.await.context("the ledger")?;
        let people = PeopleGround {
            store: store.clone(),
            keys: keys.clone(),
            clock: clock.clone(),
        };
        let people = People::open(people, &config.accounts, data.path()).context("accounts")?;
        let vault = Vault::open(VaultParts {
            config: config.vault.clone(),
            data: data.path().to_owned(),
            store: store.clone(),
            root: vault_root(config, keys.clone(), data).await?,
            journal: ledger.clone(),
            clock: clock.clone(),
        });
        let vault = vault.await.context("the vault")?;
        let identity = Identity::open(
            store.clone(),
            keys.clone(),
            bus.clone(),
            ledger.clone(),
            clock.clone(),
            config.identity.to_identity(),
        )
        .await?;
        data.write_root_certificate(&identity.root_pem())?;
        Ok(Self {
            store,
            bus,
            ledger,
            log,
            clock,
            identity,
            keys,
            people,
            vault,
        })
    }

    async fn rules(&self, config: &Config, data: &DataDir) -> Result<Arc<Rules>, Failure> {
        let own = config.detect.rules_dir.as_ref();
        let own = own.map(|folder| data.path().join(folder));
        let rules = Rules::open(self.store.clone(), self.clock.clone(), own).await;
        rules.context("rules")
    }

    async fn baselines(&self, config: &Config) -> Result<Arc<Baselines>, Failure> {
        let baseline = config.detect.baseline.clone();
        let baselines = Baselines::open(self.store.clone(), self.clock.clone(), baseline).await;
        baselines.context("baselines")
    }

    async fn detect(
        &self,
        config: &Config,
        rules: Arc<Rules>,
        baselines: &Arc<Baselines>,
    ) -> Result<Arc<Detect>, Failure> {
        let parts = DetectParts::new(
            self.store.clone(),
            self.bus.clone(),
            self.journal(),
            self.clock.clone(),
            config.detect.clone(),
        );
        let watchers: Vec<Box<dyn Watcher>> = vec![
            Box::new(RuleWatcher::new(rules, self.clock.clone())),
            Box::new(baselines.watcher()),
        ];
        Detect::open(parts, watchers).await.context("detection")
    }

    fn exports(&self, config: &Config, data: &DataDir) -> Result<Arc<Exports>, Failure> {
        Exports::open(ExportParts {
            events: config.events.clone(),
            exports: config.exports.clone(),
            data: data.path().to_owned(),
            readers: READERS.map(str::to_owned).to_vec(),
            store: self.store.clone(),
            bus: self.bus.clone(),
            clock: self.clock.clone(),
        })
        .context("exports")
    }

    /// Response, with what each capability can do.
    async fn respond(
        &self,
        config: &Config,
        data: &DataDir,
        lowered: Arc<LoweredTrust>,
        (pdp, gateway): (&Arc<Pdp>, &Arc<Gateway>),
    ) -> Result<Arc<Respond>, Failure> {
        let config = config.respond.clone().below(data.path());
        let sets = Some(config.grant_sets.clone());
        let mut effectors = palisade_policy::effectors(&Arc::downgrade(pdp), sets);
        effectors.extend(palisade_gateway::effectors(&Arc::downgrade(gateway)));
        effectors.extend(palisade_identity::effectors(&Arc::downgrade(
            &self.identity,
        )));
        let parts = RespondParts {
            store: self.store.clone(),
            bus: self.bus.clone(),
            journal: self.journal(),
            clock: self.clock.clone(),
            config,
            effectors,
            lowered,
        };
        Respond::open(parts).await.context("response")
    }

    fn journal(&self) -> Arc<dyn Journal> {
        self.ledger.clone()
    }

    async fn close(self) {
        // What it still holds is written when it is dropped.
        drop(self.vault);
        self.ledger.close().await;
        self.store.close().await;
    }
}

impl House {
    /// Opens every part and binds the doors; nothing is served yet.
    pub(crate) async fn open(
        config: &Config,
        data: &DataDir,
        memory: Memory,
    ) -> Result<Self, Failure> {
        let metrics = Metrics::install()?;
        let ground = Ground::open(config, data).await?;
        let rules = ground.rules(config, data).await?;
        let baselines = ground.baselines(config).await?;
        let detect = ground.detect(config, rules.clone(), &baselines).await?;
        let lowered = LoweredTrust::open(&ground.store)
            .await
            .context("response")?;
        let pdp = Pdp::open(
            ground.store.clone(),
            ground.bus.clone(),
            ground.journal(),
            ground.clock.clone(),
            vec![
                ground.identity.certificate_age(),
                detect.evidence(),
                lowered.clone(),
            ],
        )
        .await?;
        let listener: Weak<dyn EvidenceListener> = Arc::<Pdp>::downgrade(&pdp);
        detect.set_listener(listener.clone());
        lowered.set_listener(listener);
        let exports = ground.exports(config, data)?;
        let gateway = Gateway::open(GatewayParts {
            config: config.gateway.clone(),
            pdp: pdp.clone(),
            identity: ground.identity.clone(),
            keys: ground.keys.clone(),
            store: ground.store.clone(),
            journal: ground.journal(),
            bus: ground.bus.clone(),
            clock: ground.clock.clone(),
        })
        .await
        .context("the MQTT door")?;
        gateway.keep_in(ground.vault.clone());
        let line: Weak<dyn DeviceLine> = Arc::<Gateway>::downgrade(&gateway);
        ground.identity.set_line(line);
        let respond = ground
            .respond(config, data, lowered, (&pdp, &gateway))
            .await?;
        let api = Api::open(ApiParts {
            config: config.api(),
            store: ground.store.clone(),
            bus: ground.bus.clone(),
            journal: ground.journal(),
            clock: ground.clock.clone(),
            identity: ground.identity.clone(),
            people: ground.people.clone(),
            pdp: pdp.clone(),
            ledger: ground.ledger.clone(),
            log: ground.log.clone(),
            vault: ground.vault.clone(),
            detect: detect.clone(),
            rules: rules.clone(),
            exports: exports.clone(),
            baselines: baselines.clone(),
            respond: respond.clone(),
            gateway: gateway.clone(),
            premises: Premises {
                data: data.path().to_owned(),
                sealed_by: crate::keys::place(&config.keys),
                memory,
            },
            metrics: Some(metrics.render()),
            version: env!("CARGO_PKG_VERSION"),
        })
        .await
        .context("the HTTPS doors")?;
        if let Some(address) = api.people_addrs().first() {
            let reached = ground.people.reached_at(address.port());
            reached.context("accounts")?;
        }
        Ok(Self {
            ground,
            pdp,
            detect,
            rules,
            exports,
            baselines,
            respond,
            gateway,
            api,
            metrics,
            drills: config.drills.clone(),
            server_names: config.identity.server_names.clone(),
            root: data.root_certificate(),
        })
    }

    /// Starts what keeps the capabilities fresh.
    pub(crate) fn keepers(&self) -> Tasks {
        let mut tasks = Tasks::default();
        let cancel = tasks.cancel();
        let database = database::keep(self.ground.store.clone(), cancel.clone());
        tasks.spawn("database", database);
        let identity = self.ground.identity.clone().run(cancel.clone());
        tasks.spawn("certification authority", never_fails(identity));
        let log = self.ground.log.clone().run(cancel.clone());
        tasks.spawn("checkpoints", never_fails(log));
        let pdp = self.pdp.clone().run(cancel.clone());
        tasks.spawn("policy decision point", never_fails(pdp));
        let detect = self.detect.clone().run(cancel.clone());
        tasks.spawn("detection", never_fails(detect));
        let rules = self.rules.clone().run(cancel.clone());
        tasks.spawn("rules", never_fails(rules));
        let exports = self.exports.clone().run(cancel.clone());
        tasks.spawn("exports", never_fails(exports));
        let respond = self.respond.clone().run(cancel.clone());
        tasks.spawn("response", never_fails(respond));
        let people = self.ground.people.clone().run(cancel.clone());
        tasks.spawn("notices to people", never_fails(people));
        let vault = self.ground.vault.clone().run(cancel.clone());
        tasks.spawn("vault", never_fails(vault));
        let drills = self.drills().run(cancel.clone());
        tasks.spawn("drills", never_fails(drills));
        let metrics = self.metrics.clone().run(cancel);
        tasks.spawn("metrics recorder", never_fails(metrics));
        tasks
    }

    /// What attacks the server when it is due.
    fn drills(&self) -> Drills {
        let port = |addresses: Vec<SocketAddr>| addresses.first().map_or(0, SocketAddr::port);
        Drills {
            store: self.ground.store.clone(),
            journal: self.ground.journal(),
            clock: self.ground.clock.clone(),
            config: self.drills.clone(),
            doors: Doors {
                host: drills::host(&self.server_names),
                people: port(self.api.people_addrs().to_vec()),
                devices: port(self.api.devices_addrs().to_vec()),
                mqtt: port(self.gateway.local_addrs().to_vec()),
                root: self.root.clone(),
            },
        }
    }

    /// Opens the doors, in the order in which they close: while the door for MQTT sends away whom it has, the others
    /// still say how that goes.
    pub(crate) fn doors(&self) -> [Tasks; 2] {
        let (mut mqtt, mut https) = (Tasks::default(), Tasks::default());
        let (to_mqtt, to_https) = (mqtt.cancel(), https.cancel());
        mqtt.spawn("MQTT door", self.gateway.clone().run(to_mqtt));
        https.spawn("HTTPS doors", self.api.clone().run(to_https));
        for (door, addresses) in [
            ("mqtt", self.gateway.local_addrs()),
            ("devices", self.api.devices_addrs()),
            ("people", self.api.people_addrs()),
            ("operators", self.api.operators_addrs()),
        ] {
            tracing::info!(door, addresses = ?addresses, "a door is open");
        }
        [mqtt, https]
    }

    /// The set-up token, where nobody can log in yet.
    pub(crate) async fn setup_token(&self) -> Result<Option<String>, Failure> {
        let Ground { store, clock, .. } = &self.ground;
        Ok(setup::ensure_setup_token(store, clock.as_ref()).await?)
    }

    /// Prints the set-up token where nobody can log in yet. It goes to stdout and into no log.
    pub(crate) async fn welcome(&self, data: &DataDir) -> Result<(), Failure> {
        let Some(token) = self.setup_token().await? else {
            return Ok(());
        };
        let server = server_url(&self.api.people_addrs());
        println!(
            "
Palisade runs for the first time. This set-up token makes you its administrator, once, within a day:

    {token}

On this machine:

    palisade login --server {server} --ca {root}

and give the token when you are asked. Then make a product and a token for its first devices:

    palisade product put camera --description 'Door camera'
    palisade token create --product camera --uses 10
",
            root = data.root_certificate().display(),
        );
        Ok(())
    }

    /// Writes what is held and closes what is open.
    pub(crate) async fn close(self) {
        let Self {
            ground,
            pdp,
            detect,
            rules,
            exports,
            baselines,
            respond,
            gateway,
            api,
            ..
        } = self;
        drop((
            api, respond, gateway, pdp, detect, rules, exports, baselines,
        ));
        ground.close().await;
    }
}

/// The root key of the vault, which may be in a token or on another machine.
async fn vault_root(
    config: &Config,
    keys: Arc<Keystore>,
    data: &DataDir,
) -> Result<Arc<Roots>, Failure> {
    let (root, data) = (config.vault.root.clone(), data.path().to_owned());
    let open = move || Roots::open(&root, keys, VAULT_ROOT, &data);
    let opened = tokio::task::spawn_blocking(open).await;
    let opened = opened.context("the vault's root key")?;
    Ok(Arc::new(opened.context("the vault's root key")?))
}

/// The roots that each witness of the ledger is reached by.
fn witness_roots(config: &Config, data: &DataDir) -> Result<Vec<Vec<Vec<u8>>>, Failure> {
    let witnesses = config.ledger.witnesses.iter();
    let roots = witnesses.map(|witness| {
        if !witness.is_tls() {
            return Ok(Vec::new());
        }
        let ca = witness.ca.as_ref().map(|file| data.path().join(file));
        let roots = palisade_oidc::files::read_roots(ca.as_deref()).map_err(Failure::new);
        roots.context(&witness.url)
    });
    roots.collect()
}

async fn never_fails(run: impl Future<Output = ()>) -> Result<(), std::convert::Infallible> {
    run.await;
    Ok(())
}

/// How people on this machine reach the REST door.
fn server_url(addresses: &[SocketAddr]) -> String {
    let port = addresses.first().map_or(8443, SocketAddr::port);
    format!("https://localhost:{port}")
}
