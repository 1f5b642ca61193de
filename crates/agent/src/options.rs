//! How an agent behaves.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use bytes::Bytes;

use crate::{
    backoff::BackoffOptions, endpoint::Endpoint, message::Qos, pace::PaceOptions,
    queue::QueueOptions, state::StateDir,
};

/// How an agent behaves; [`AgentOptions::new`] has the defaults.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// The MQTT door.
    pub gateway: Endpoint,
    /// The device HTTPS door, for renewal and reports; without one there are none.
    pub devices: Option<Endpoint>,
    /// The local address to connect to the gateway from; the system chooses unless said otherwise.
    pub source: Option<IpAddr>,
    /// What follows the device id and a colon in the client identifier, for a second connection of the same
    /// device. None unless said otherwise.
    pub client_suffix: Option<String>,
    /// How long the connection may be silent; in whole seconds, 60 unless said otherwise.
    pub keep_alive: Duration,
    /// How long the server keeps the session (subscriptions, and messages for us) while we are away; in
    /// whole seconds, a day unless said otherwise. Zero asks for a new session each time.
    pub session_expiry: Duration,
    /// What the server publishes for us when the connection breaks.
    pub will: Option<Will>,
    /// How many messages of quality of service 1 may be under way at once in each direction, if the server
    /// does not ask for fewer. 64 unless said otherwise.
    pub window: u16,
    /// The largest packet in bytes that is taken from the server. 256 KiB unless said otherwise.
    pub max_packet: u32,
    /// How many events may wait for the application. 64 unless said otherwise.
    pub events: usize,
    /// How much may wait for the server.
    pub queue: QueueOptions,
    /// Where the queue is kept; in memory alone where there is none.
    pub queue_dir: Option<PathBuf>,
    /// Where a renewed identity is written; in memory alone where there is none.
    pub state: Option<StateDir>,
    /// When to try again.
    pub backoff: BackoffOptions,
    /// How fast what waited is sent.
    pub pace: PaceOptions,
    /// Whether version and facts are reported, on connecting and each day. True unless said otherwise.
    pub report: bool,
    /// Whether the certificate is renewed. True unless said otherwise.
    pub renew: bool,
    /// The version that is reported: of the agent, unless an application has its own.
    pub version: String,
}

impl AgentOptions {
    /// The defaults, for a gateway.
    #[must_use]
    pub fn new(gateway: Endpoint) -> Self {
        Self {
            gateway,
            devices: None,
            source: None,
            client_suffix: None,
            keep_alive: Duration::from_secs(60),
            session_expiry: Duration::from_secs(24 * 3600),
            will: None,
            window: 64,
            max_packet: 256 * 1024,
            events: 64,
            queue: QueueOptions::default(),
            queue_dir: None,
            state: None,
            backoff: BackoffOptions::default(),
            pace: PaceOptions::default(),
            report: true,
            renew: true,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// What the server publishes when the connection breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Bytes,
    /// How surely.
    pub qos: Qos,
    /// Whether it is kept for later subscribers.
    pub retain: bool,
    /// How long the server waits for us to come back; in whole seconds.
    pub delay: Duration,
}
