//! How the HTTPS doors are set up. Every key has a default that is safe on the open internet.

use std::{net::SocketAddr, time::Duration};

use palisade_core::Network;
use serde::{Deserialize, Serialize};

use crate::serve::ServeOptions;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The HTTPS doors, one section each.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// The door for devices.
    pub devices: DevicesConfig,
    /// The door for people and programs.
    pub people: PeopleConfig,
    /// The door for operators.
    pub operators: OperatorsConfig,
}

/// The door for devices: enrolment, CRLs, reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DevicesConfig {
    /// Where devices connect with TLS 1.2 or 1.3.
    pub listen: Vec<SocketAddr>,
    /// Load balancers in front of this door, by address or network. A connection from one of them must begin with a
    /// PROXY protocol v2 header, and the address in it counts as the client's. Nobody else may reach this
    /// door from there: who does can say to be at any address.
    pub proxy_protocol_from: Vec<Network>,
    /// How many failed enrolments a source address (IPv6: each /64) may have in a minute before it is
    /// told to wait. Devices that show a certificate of ours are not held up by it.
    pub failures_per_minute: u32,
    /// How many certificates a device may be issued in an hour.
    pub certificates_per_hour: u32,
    /// How many reports a device may send in an hour.
    pub reports_per_hour: u32,
    /// What connections and requests may take.
    pub limits: HttpLimits,
}

/// The door for people and programs: the REST API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PeopleConfig {
    /// Where people and programs connect with TLS 1.3.
    pub listen: Vec<SocketAddr>,
    /// Load balancers in front of this door, by address or network. A connection from one of them must begin with a
    /// PROXY protocol v2 header, and the address in it counts as the client's. Nobody else may reach this
    /// door from there: who does can say to be at any address.
    pub proxy_protocol_from: Vec<Network>,
    /// The largest request body in bytes, an imported inventory included.
    pub max_body_bytes: usize,
    /// Streams of events at once; each open console has one.
    pub max_event_streams: usize,
    /// What connections and requests may take.
    pub limits: HttpLimits,
}

/// The door for operators: metrics and health, in plain HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OperatorsConfig {
    /// Where operators' tools connect. There is no TLS and no authentication: keep it on a loopback
    /// address, or on a network that only they reach.
    pub listen: Vec<SocketAddr>,
    /// Seconds that `/readyz` says that the server ends before anything closes: as long as a load balancer needs to hear
    /// of it and send clients elsewhere. It serves as ever meanwhile.
    pub drain_notice_s: u64,
}

/// What connections and requests of an HTTPS door may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpLimits {
    /// Connections at once. When they are all in use, the next one waits.
    pub max_connections: usize,
    /// Connections at once from one source address (IPv6: each /64); 0 is without a limit.
    pub max_connections_per_source: usize,
    /// The longest time in seconds for a TLS handshake.
    pub handshake_timeout_s: u64,
    /// The longest time in seconds until the whole head of a request is there; a connection that is
    /// idle for longer is closed.
    pub head_timeout_s: u64,
    /// The longest time in seconds from the head of a request to the head of its answer, the body
    /// included.
    pub request_timeout_s: u64,
    /// The longest time in seconds that a client may take nothing of what is sent to it.
    pub stall_timeout_s: u64,
    /// The largest head of a request in bytes.
    pub max_head_bytes: usize,
    /// Requests at once on one HTTP/2 connection.
    pub max_streams: u32,
    /// Seconds that a graceful shutdown waits for requests to end.
    pub drain_timeout_s: u64,
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiConfigError {
    /// A number that must not be 0.
    #[error("{door}.{key} is 0: use at least 1")]
    Zero {
        /// The section.
        door: &'static str,
        /// The key.
        key: &'static str,
    },
    /// A head so small that no request fits.
    #[error("{door}.limits.max_head_bytes is {found}: use at least 8192")]
    Head {
        /// The section.
        door: &'static str,
        /// What it says.
        found: usize,
    },
}

impl Default for DevicesConfig {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([0, 0, 0, 0], 8444))],
            proxy_protocol_from: Vec::new(),
            failures_per_minute: 20,
            certificates_per_hour: 12,
            reports_per_hour: 120,
            limits: HttpLimits::default(),
        }
    }
}

impl Default for PeopleConfig {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([0, 0, 0, 0], 8443))],
            proxy_protocol_from: Vec::new(),
            max_body_bytes: 256 * MIB,
            max_event_streams: 256,
            // An inventory of a large fleet takes its time. Nobody who shows no valid token gets to send
            // one, and every other body has a shorter time of its own.
            limits: HttpLimits {
                request_timeout_s: 900,
                ..HttpLimits::default()
            },
        }
    }
}

impl Default for OperatorsConfig {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 9464))],
            drain_notice_s: 0,
        }
    }
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_source: 500,
            handshake_timeout_s: 10,
            head_timeout_s: 15,
            request_timeout_s: 60,
            stall_timeout_s: 30,
            max_head_bytes: 16 * KIB,
            max_streams: 100,
            drain_timeout_s: 10,
        }
    }
}

impl ApiConfig {
    /// Refuses what cannot work.
    ///
    /// # Errors
    /// Says which key and why.
    pub fn check(&self) -> Result<(), ApiConfigError> {
        self.devices.limits.check("devices")?;
        self.people.limits.check("people")?;
        if self.people.max_event_streams == 0 {
            return Err(ApiConfigError::Zero {
                door: "people",
                key: "max_event_streams",
            });
        }
        let devices = &self.devices;
        let keys = [
            ("failures_per_minute", devices.failures_per_minute),
            ("certificates_per_hour", devices.certificates_per_hour),
            ("reports_per_hour", devices.reports_per_hour),
        ];
        match keys.into_iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => Err(ApiConfigError::Zero {
                door: "devices",
                key,
            }),
            None => Ok(()),
        }
    }
}

impl HttpLimits {
    fn check(&self, door: &'static str) -> Result<(), ApiConfigError> {
        let keys = [
            ("limits.max_connections", self.max_connections as u64),
            ("limits.handshake_timeout_s", self.handshake_timeout_s),
            ("limits.head_timeout_s", self.head_timeout_s),
            ("limits.request_timeout_s", self.request_timeout_s),
            ("limits.stall_timeout_s", self.stall_timeout_s),
            ("limits.max_streams", u64::from(self.max_streams)),
        ];
        if let Some((key, _)) = keys.into_iter().find(|(_, value)| *value == 0) {
            return Err(ApiConfigError::Zero { door, key });
        }
        // The HTTP library takes no smaller buffer.
        match self.max_head_bytes {
            found @ 0..8_192 => Err(ApiConfigError::Head { door, found }),
            _ => Ok(()),
        }
    }

    /// The same limits as the server wants them, with the largest request body in bytes.
    #[must_use]
    pub fn options(&self, max_body: usize) -> ServeOptions {
        ServeOptions {
            max_connections: self.max_connections,
            max_connections_per_source: self.max_connections_per_source,
            handshake_timeout: Duration::from_secs(self.handshake_timeout_s),
            head_timeout: Duration::from_secs(self.head_timeout_s),
            request_timeout: Duration::from_secs(self.request_timeout_s),
            stall_timeout: Duration::from_secs(self.stall_timeout_s),
            max_head: self.max_head_bytes,
            max_body,
            max_streams: self.max_streams,
            drain_timeout: Duration::from_secs(self.drain_timeout_s),
            on_refused: None,
            is_blocked: None,
            balancers: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_by_its_key() {
        let mut config = ApiConfig::default();
        assert_eq!(config.check(), Ok(()));
        config.people.limits.head_timeout_s = 0;
        let error = config.check().expect_err("refused").to_string();
        assert_eq!(error, "people.limits.head_timeout_s is 0: use at least 1");
        config = ApiConfig::default();
        config.devices.limits.max_head_bytes = 100;
        assert!(matches!(config.check(), Err(ApiConfigError::Head { .. })));
    }
}
