//! The three doors, opened and run together.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::Router;
use palisade_bus::SharedBus;
use palisade_core::{Clock, Network, port::Journal};
use palisade_detect::{Detect, baseline::Baselines, rules::Rules};
use palisade_export::Exports;
use palisade_gateway::Gateway;
use palisade_identity::Identity;
use palisade_ledger::{Ledger, Log};
use palisade_people::People;
use palisade_policy::Pdp;
use palisade_proxied::Balancers;
use palisade_respond::Respond;
use palisade_store::Store;
use palisade_vault::Vault;
use rustls::ServerConfig;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{ApiConfig, ApiConfigError},
    devices::{self, Devices},
    doctor::{self, Premises},
    operators::{self, MetricsRender, Operators, Phase, SharedPhase},
    people::{self, PeopleParts, PeopleState},
    serve::{ServeOptions, serve_plain, serve_tls},
    tls,
};

/// What the doors are made of.
pub struct ApiParts {
    /// How they are set up.
    pub config: ApiConfig,
    /// The system of record.
    pub store: Store,
    /// The event backbone.
    pub bus: SharedBus,
    /// Where acts are written down before they are acknowledged.
    pub journal: Arc<dyn Journal>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The certification authority.
    pub identity: Arc<Identity>,
    /// Accounts of people and their passwords.
    pub people: Arc<People>,
    /// Who decides.
    pub pdp: Arc<Pdp>,
    /// The audit log.
    pub ledger: Arc<Ledger>,
    /// The audit log as others can check it.
    pub log: Arc<Log>,
    /// What devices sent and is kept.
    pub vault: Arc<Vault>,
    /// Detection.
    pub detect: Arc<Detect>,
    /// Its rules.
    pub rules: Arc<Rules>,
    /// Where events go from here.
    pub exports: Arc<Exports>,
    /// Its baselines of behaviour.
    pub baselines: Arc<Baselines>,
    /// Response.
    pub respond: Arc<Respond>,
    /// The MQTT door.
    pub gateway: Arc<Gateway>,
    /// Where the server is kept.
    pub premises: Premises,
    /// What renders the metrics of the process, if anything does.
    pub metrics: Option<MetricsRender>,
    /// The version of the server.
    pub version: &'static str,
}

/// Why the doors cannot be opened, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ApiConfigError),
    /// An address cannot be listened on.
    #[error("the {door} door cannot listen on {address}: {source}; is another program using it?")]
    Listen {
        /// Which door.
        door: &'static str,
        /// Which address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error("tls cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// A door stopped by itself.
    #[error("a door stopped by itself: {0}")]
    Stopped(String),
}

/// The doors for devices, for people and programs, and for operators.
pub struct Api {
    devices: Arc<Devices>,
    people: PeopleState,
    doors: Mutex<Vec<Door>>,
    addresses: Addresses,
    phase: SharedPhase,
}

#[derive(Default)]
struct Addresses {
    devices: Vec<SocketAddr>,
    people: Vec<SocketAddr>,
    operators: Vec<SocketAddr>,
}

/// A listener, and what it serves.
struct Door {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    options: ServeOptions,
}

impl Api {
    /// Binds all doors (port 0 takes any free port). Nobody is served before [`Api::run`].
    ///
    /// # Errors
    /// When the configuration cannot work, an address cannot be listened on, or TLS cannot be set up.
    pub async fn open(parts: ApiParts) -> Result<Arc<Self>, ApiError> {
        let config = parts.config.clone();
        config.check()?;
        let phase = SharedPhase::default();
        let devices = Devices::new(&parts);
        let people = PeopleState::new(people_parts(&parts));
        let operators = Operators::new(&parts, (devices.clone(), people.clone()), phase.clone());
        let mut doors = Vec::new();
        let mut options = config.devices.limits.options(devices::MAX_BODY);
        options.on_refused = Some(devices.on_refused());
        options.balancers = balancers("devices", &config.devices.proxy_protocol_from);
        let gateway = parts.gateway.clone();
        options.is_blocked = Some(Arc::new(move |source| gateway.is_blocked(source)));
        let tls = Some(tls::for_devices(&parts.identity)?);
        let device_door = Template::new("devices", tls, devices::router(devices.clone()), options);
        let mut options = config.people.limits.options(config.people.max_body_bytes);
        options.balancers = balancers("people", &config.people.proxy_protocol_from);
        let tls = Some(tls::for_people(&parts.identity)?);
        let router = people::router(people.clone());
        let people_door = Template::new("people", tls, router, options);
        let operators_door = Template::new(
            "operators",
            None,
            operators::router(operators),
            operators::options(),
        );
        let addresses = Addresses {
            devices: device_door.bind(&config.devices.listen, &mut doors).await?,
            people: people_door.bind(&config.people.listen, &mut doors).await?,
            operators: operators_door
                .bind(&config.operators.listen, &mut doors)
                .await?,
        };
        people.know_doors(vec![
            ("door for MQTT", parts.gateway.local_addrs()),
            ("door for devices", addresses.devices.clone()),
            ("door for people", addresses.people.clone()),
            (doctor::OPERATORS, addresses.operators.clone()),
        ]);
        Ok(Arc::new(Self {
            devices,
            people,
            doors: Mutex::new(doors),
            addresses,
            phase,
        }))
    }

    /// Where devices connect.
    #[must_use]
    pub fn devices_addrs(&self) -> Vec<SocketAddr> {
        self.addresses.devices.clone()
    }

    /// Where people and programs connect.
    #[must_use]
    pub fn people_addrs(&self) -> Vec<SocketAddr> {
        self.addresses.people.clone()
    }

    /// Where operators connect.
    #[must_use]
    pub fn operators_addrs(&self) -> Vec<SocketAddr> {
        self.addresses.operators.clone()
    }

    /// Says how far the server as a whole is; `/readyz` tells, and looks at its parts besides.
    pub fn set_phase(&self, phase: Phase) {
        *self.phase.lock() = phase;
    }

    /// Serves until cancelled, then lets requests end. It serves once: a second call returns at once.
    ///
    /// # Errors
    /// When a door stopped by itself; the others are closed then.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) -> Result<(), ApiError> {
        let doors = std::mem::take(&mut *self.doors.lock().unwrap_or_else(PoisonError::into_inner));
        if doors.is_empty() {
            return Ok(());
        }
        let cancel = cancel.child_token();
        let mut tasks = JoinSet::new();
        for door in doors {
            tasks.spawn(door.serve(cancel.clone()));
        }
        tasks.spawn(self.devices.clone().run(cancel.clone()));
        tasks.spawn(self.people.clone().run(cancel.child_token()));
        let mut outcome = Ok(());
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                outcome = Err(ApiError::Stopped(error.to_string()));
            }
            // None of them ends before it is told to.
            cancel.cancel();
        }
        self.devices.close().await;
        self.people.close().await;
        outcome
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let addresses = &self.addresses;
        f.debug_struct("Api")
            .field("devices", &addresses.devices)
            .field("people", &addresses.people)
            .field("operators", &addresses.operators)
            .finish_non_exhaustive()
    }
}

impl Door {
    async fn serve(self, cancel: CancellationToken) {
        match self.tls {
            Some(tls) => serve_tls(self.listener, tls, self.router, self.options, cancel).await,
            None => serve_plain(self.listener, self.router, self.options, cancel).await,
        }
    }
}

/// A door that is to be bound to each of its addresses.
struct Template {
    name: &'static str,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    options: ServeOptions,
}

impl Template {
    fn new(
        name: &'static str,
        tls: Option<Arc<ServerConfig>>,
        router: Router,
        options: ServeOptions,
    ) -> Self {
        Self {
            name,
            tls,
            router,
            options,
        }
    }

    async fn bind(
        self,
        addresses: &[SocketAddr],
        doors: &mut Vec<Door>,
    ) -> Result<Vec<SocketAddr>, ApiError> {
        let mut bound = Vec::with_capacity(addresses.len());
        for &address in addresses {
            let failed = |source| ApiError::Listen {
                door: self.name,
                address,
                source,
            };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            bound.push(listener.local_addr().map_err(failed)?);
            doors.push(Door {
                listener,
                tls: self.tls.clone(),
                router: self.router.clone(),
                options: self.options.clone(),
            });
        }
        Ok(bound)
    }
}

fn balancers(door: &'static str, networks: &[Network]) -> Option<Arc<Balancers>> {
    (!networks.is_empty()).then(|| Arc::new(Balancers::new(door, networks)))
}

fn people_parts(parts: &ApiParts) -> PeopleParts {
    PeopleParts {
        max_event_streams: parts.config.people.max_event_streams,
        store: parts.store.clone(),
        bus: parts.bus.clone(),
        journal: parts.journal.clone(),
        clock: parts.clock.clone(),
        identity: parts.identity.clone(),
        people: parts.people.clone(),
        pdp: parts.pdp.clone(),
        ledger: parts.ledger.clone(),
        log: parts.log.clone(),
        vault: parts.vault.clone(),
        detect: parts.detect.clone(),
        respond: parts.respond.clone(),
        rules: parts.rules.clone(),
        exports: parts.exports.clone(),
        baselines: parts.baselines.clone(),
        gateway: parts.gateway.clone(),
        premises: parts.premises.clone(),
        version: parts.version,
    }
}
