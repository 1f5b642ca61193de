//! The gateway as others hold it: opened, run, asked, and told to close sessions.

mod drain;
mod listen;
mod seen;
mod sessions;
mod statistics;
mod status;
mod submit;
mod watch;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use palisade_bus::SharedBus;
use palisade_core::{
    Bindings, Clock, Device, DeviceId, Network, Principal,
    port::{Journal, TelemetrySink},
};
use palisade_identity::Identity;
use palisade_keys::{Keystore, StateSealError};
use palisade_policy::Pdp;
use palisade_proxied::Balancers;
use palisade_store::{Block, Store, StoreError};
use parking_lot::Mutex;
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use sessions::{Presence, SessionInfo};
pub use submit::{Submission, SubmitError, Submitted};

use crate::{
    blocks::BlockList,
    broker::{Broker, GatewayStats},
    config::{ConfigError, GatewayConfig},
    connection::Entrance,
    persist::{LoadError, Seal},
    tap::{TooManyWatchers, WatchStats, Watching},
};
use listen::{Hall, Listener};

/// What a gateway is made of.
pub struct GatewayParts {
    /// How it is set up.
    pub config: GatewayConfig,
    /// Who decides.
    pub pdp: Arc<Pdp>,
    /// Who says whose a certificate is.
    pub identity: Arc<Identity>,
    /// Where sessions, what waits for them and retained messages are kept.
    pub store: Store,
    /// Where the key is that seals them there.
    pub keys: Arc<Keystore>,
    /// Where admissions and denials are written down.
    pub journal: Arc<dyn Journal>,
    /// Where changes are heard of.
    pub bus: SharedBus,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Why the gateway cannot be opened, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The configuration is unsafe or cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error("the gateway cannot listen on {address}: {source}; is another program using it?")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// What survived the last stop cannot be read back.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What survives a stop cannot be sealed.
    #[error("mqtt state cannot be sealed: {0}")]
    Seal(#[from] StateSealError),
    /// The blocked addresses cannot be read back.
    #[error("the blocked addresses cannot be read back: {0}")]
    Blocks(#[source] StoreError),
    /// TLS cannot be set up.
    #[error("tls cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// A part of the gateway ended before it was told to.
    #[error("a part of the gateway stopped by itself; the log says more")]
    Stopped,
}

/// The MQTT door.
pub struct Gateway {
    pub(crate) broker: Arc<Broker>,
    store: Store,
    seal: Arc<Seal>,
    bus: SharedBus,
    /// Until the gateway runs.
    listeners: Mutex<Vec<Listener>>,
    local_addrs: Vec<SocketAddr>,
    insecure_addr: Option<SocketAddr>,
}

impl Gateway {
    /// Binds the listeners (port 0 takes any free port) and brings back the sessions that survived.
    /// Nobody is served before [`Gateway::run`].
    ///
    /// # Errors
    /// When the configuration is refused, an address cannot be listened on, or the store fails.
    pub async fn open(parts: GatewayParts) -> Result<Arc<Self>, GatewayError> {
        let config = parts.config;
        config.check()?;
        let entrance = Entrance::Tls(listen::tls(&parts.identity)?);
        let mut listeners = Vec::new();
        let balancers = Arc::new(Balancers::new("mqtt", &config.proxy_protocol_from));
        for address in &config.listen {
            let listener = Listener::bind(*address, entrance.clone(), balancers.clone())?;
            listeners.push(listener);
        }
        let local_addrs = listeners.iter().map(|listener| listener.address).collect();
        let insecure = match (config.insecure_loopback, &config.insecure_principal) {
            (Some(address), Some(service)) => {
                let entrance = Entrance::Insecure(Principal::from(service.clone()));
                tracing::warn!(%address, %service, "whoever reaches this address acts as this service");
                let nobody = Arc::new(Balancers::new("insecure_loopback", &[]));
                Some(Listener::bind(address, entrance, nobody)?)
            }
            _ => None,
        };
        let insecure_addr = insecure.as_ref().map(|listener| listener.address);
        listeners.extend(insecure);
        let blocks = BlockList::open(parts.store.clone())
            .await
            .map_err(GatewayError::Blocks)?;
        let broker = Broker::new(
            config,
            parts.pdp,
            parts.identity,
            parts.journal,
            parts.clock,
            blocks,
        );
        let seal = Seal::open(&parts.keys)?;
        broker.restore(&parts.store, &parts.keys, &seal).await?;
        Ok(Arc::new(Self {
            broker: Arc::new(broker),
            store: parts.store,
            seal: Arc::new(seal),
            bus: parts.bus,
            listeners: Mutex::new(listeners),
            local_addrs,
            insecure_addr,
        }))
    }

    /// Where messages that grants say to keep are kept. Call it once, before [`Gateway::run`]: without it they are
    /// refused.
    pub fn keep_in(&self, sink: Arc<dyn TelemetrySink>) {
        self.broker.keep_in(sink);
    }

    /// Where devices and services connect.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.local_addrs.clone()
    }

    /// Where clients without TLS connect, if that is configured.
    #[must_use]
    pub fn insecure_addr(&self) -> Option<SocketAddr> {
        self.insecure_addr
    }

    /// Serves until cancelled; then lets nobody in, tells every client over the time that is configured, waits for
    /// connections to end, and writes down what is left.
    ///
    /// # Errors
    /// When a part of the gateway stopped by itself.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) -> Result<(), GatewayError> {
        // Each outlives the one before: the doors, those who work for sessions, the way to the disk.
        let (doors, work, disk) = (
            CancellationToken::new(),
            CancellationToken::new(),
            CancellationToken::new(),
        );
        let mut parts = JoinSet::new();
        let persister = self.broker.persister.clone();
        let writer =
            tokio::spawn(persister.run(self.store.clone(), self.seal.clone(), disk.clone()));
        self.begin_work(&mut parts, &work);
        let hall = Hall {
            broker: self.broker.clone(),
            places: Arc::new(Semaphore::new(self.broker.config.max_connections)),
            connections: TaskTracker::new(),
            cancel: doors.clone(),
        };
        for listener in std::mem::take(&mut *self.listeners.lock()) {
            parts.spawn(listener.serve(hall.clone()));
        }
        let result = tokio::select! {
            biased;
            () = cancel.cancelled() => Ok(()),
            Some(_) = parts.join_next() => Err(GatewayError::Stopped),
        };
        if result.is_ok() {
            self.close_over_time(&hall.connections).await;
        }
        doors.cancel();
        self.close_what_is_left(&hall.connections).await;
        work.cancel();
        while parts.join_next().await.is_some() {}
        disk.cancel();
        let _ = writer.await;
        result
    }

    fn begin_work(&self, parts: &mut JoinSet<()>, work: &CancellationToken) {
        let broker = &self.broker;
        let (of_notices, of_sessions) = (broker.clone(), broker.clone());
        let token = work.clone();
        parts.spawn(async move { of_notices.notices.run(token).await });
        let token = work.clone();
        parts.spawn(async move { of_sessions.look_after_sessions(token).await });
        parts.spawn(watch::watch(
            broker.clone(),
            self.bus.changes(),
            work.clone(),
        ));
        parts.spawn(seen::write(
            broker.clone(),
            self.store.clone(),
            work.clone(),
        ));
        if let Some(every) = broker.statistics.every() {
            parts.spawn(statistics::report(broker.clone(), every, work.clone()));
        }
        if broker.config.status_interval_s > 0 {
            let every = Duration::from_secs(broker.config.status_interval_s);
            parts.spawn(status::publish(broker.clone(), every, work.clone()));
        }
    }

    /// The counters now.
    #[must_use]
    pub fn stats(&self) -> GatewayStats {
        self.broker.stats()
    }

    /// Up to `limit` sessions whose name comes after `after`, in order of names.
    #[must_use]
    pub fn sessions(&self, after: Option<&str>, limit: usize) -> Vec<SessionInfo> {
        sessions::describe(self.broker.registry.page(after, limit))
    }

    /// Begins to watch the messages of a device as they pass: what it publishes and policy lets, what it is sent, the
    /// Wills that are published for it. Of each payload, the first `payload` bytes are shown, or none of it.
    ///
    /// # Errors
    /// When too many watch already.
    pub fn watch(
        &self,
        device: &DeviceId,
        payload: Option<usize>,
    ) -> Result<Watching, TooManyWatchers> {
        self.broker.taps.watch(device, payload)
    }

    /// The numbers of watchers.
    #[must_use]
    pub fn watch_stats(&self) -> WatchStats {
        self.broker.taps.stats()
    }

    /// All sessions of a principal.
    #[must_use]
    pub fn sessions_of(&self, principal: &Principal) -> Vec<SessionInfo> {
        sessions::describe(self.broker.registry.of(principal))
    }

    /// Clears the retained messages on topics that are a device's own: those that grants with `{device}` let it, and
    /// no other, publish to. Says how many there were. When it returns they are gone from the disk.
    pub async fn clear_retained_of(&self, device: &Device) -> usize {
        let bindings = Bindings {
            device: Some(&device.id),
            product: Some(&device.product),
            segment: Some(&device.posture.segment),
            service: None,
            labels: Some(&device.labels),
        };
        let (mut count, mut last) = (0, 0);
        for grant in self.broker.pdp.grants() {
            let is_own = grant.actions.publish && grant.pattern.as_str().contains("{device}");
            let Some(filter) = grant.pattern.bind(&bindings).filter(|_| is_own) else {
                continue;
            };
            let (cleared, after) = self.broker.clear_retained(&filter);
            count += cleared;
            last = last.max(after);
        }
        self.broker.persister.durable(last).await;
        count
    }

    /// Whether a device is connected, and when it was last heard of.
    #[must_use]
    pub fn presence(&self, device: &DeviceId) -> Presence {
        let sessions = self.broker.registry.of(&Principal::Device(device.clone()));
        sessions::presence(&self.broker, &sessions)
    }

    /// Closes the connections of a principal (reason code 0x98) and says how many there were. Its
    /// sessions stay as long as they would had the connections broken.
    pub fn close_sessions(&self, principal: &Principal) -> usize {
        sessions::close(&self.broker.registry.of(principal))
    }

    /// Closes the connections that come from a network.
    pub(crate) fn close_sessions_from(&self, network: &Network) -> usize {
        sessions::close(&sessions::from(self.broker.registry.all(), network))
    }

    /// Whether a source address is refused.
    #[must_use]
    pub fn is_blocked(&self, source: IpAddr) -> bool {
        self.broker.blocks.covers(source)
    }

    /// The source addresses that are refused, the oldest first.
    #[must_use]
    pub fn blocked(&self) -> Vec<Block> {
        self.broker.blocks.all()
    }

    /// Publishes on behalf of a principal that a door has authenticated. Policy is asked as for a PUBLISH
    /// packet; the message is durable when this returns `Ok`.
    ///
    /// # Errors
    /// When policy says no, the topic or the message is not valid, the principal is not known, or the
    /// message cannot be made durable now.
    pub async fn publish(
        &self,
        principal: &Principal,
        source: IpAddr,
        message: Submission,
    ) -> Result<Submitted, SubmitError> {
        submit::submit(&self.broker, principal, source, message).await
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("broker", &self.broker)
            .finish_non_exhaustive()
    }
}
