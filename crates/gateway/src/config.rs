//! How the gateway is set up. Every key has a default that is safe for a fleet on the open internet.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use palisade_core::{Network, ServiceId};
use serde::{Deserialize, Serialize};

/// The longest name of another server.
const MAX_REFERENCE: usize = 255;

/// The MQTT gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Where devices and services connect with TLS 1.3 and a client certificate.
    pub listen: Vec<SocketAddr>,
    /// Load balancers in front of this door, by address or network (`["192.0.2.10", "10.1.0.0/16"]`). A connection
    /// from one of them must begin with a PROXY protocol v2 header, and the address in it counts as the
    /// client's. Nobody else may reach this door from there: who does can say to be at any address.
    pub proxy_protocol_from: Vec<Network>,
    /// DANGER: MQTT without TLS and without certificates, for test suites that speak no TLS. It is
    /// refused on any address but a loopback one. Whoever reaches it may use any client identifier and
    /// acts as the service `insecure_principal`, with that service's grants and under the same
    /// policies. Never set this on a machine that others use.
    pub insecure_loopback: Option<SocketAddr>,
    /// As which service clients of `insecure_loopback` act. It must be registered and have grants.
    pub insecure_principal: Option<ServiceId>,
    /// The longest time in seconds for a TLS handshake, from the first byte to the last.
    pub handshake_timeout_s: u64,
    /// The longest time in seconds from the end of the handshake to a whole CONNECT packet.
    pub connect_timeout_s: u64,
    /// The largest packet in bytes that a client may send.
    pub max_packet_size: usize,
    /// How many unacknowledged messages of quality of service 1 and 2 a client may have in flight
    /// towards the server.
    pub receive_maximum: u16,
    /// How many unacknowledged messages the server has in flight towards a client, if the client does
    /// not ask for fewer.
    pub max_inflight: u16,
    /// How many topic aliases a client may set.
    pub topic_alias_maximum: u16,
    /// The longest keep-alive in seconds; a client that asks for a longer one, or for none, is told
    /// this one (MQTT 5) or held to it (3.1.1, which cannot be told: 0 stays without a limit there).
    pub max_keep_alive_s: u16,
    /// The longest session expiry in seconds that a client gets.
    pub max_session_expiry_s: u32,
    /// The largest number of sessions, connected or away.
    pub max_sessions: usize,
    /// The largest number of connections at once.
    pub max_connections: usize,
    /// The largest number of retained messages.
    pub max_retained: usize,
    /// The largest number of bytes in retained messages.
    pub max_retained_bytes: usize,
    /// Seconds between the status messages under `$palisade/`; 0 is never.
    pub status_interval_s: u64,
    /// Seconds of the windows in which the event stream is told what each session did (messages, bytes,
    /// packets); a session that did nothing is not mentioned. 0 is never.
    pub statistics_interval_s: u64,
    /// Seconds over which a graceful shutdown closes the sessions, one after the other, so that a fleet does not come
    /// back, here or elsewhere, in one instant; 0 is at once. Nobody new is let in meanwhile.
    pub drain_spread_s: u64,
    /// Which server clients are to use meanwhile (`mqtt-2.fleet.example:8883`); those that speak MQTT 5 are told.
    pub drain_to: Option<String>,
    /// Seconds that a graceful shutdown then waits for connections to end.
    pub drain_timeout_s: u64,
    /// Networks that no action ever blocks: those of people who administer, of gateways that many devices
    /// share, of this machine itself.
    pub never_block: Vec<Network>,
    /// Limits on each device.
    pub device: PrincipalLimits,
    /// Limits on each service.
    pub service: PrincipalLimits,
    /// Limits on each source address (IPv6: each /64).
    pub source: SourceLimits,
}

/// Limits on one principal, over all of its sessions together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrincipalLimits {
    /// Messages a second that it may publish. Beyond it the gateway reads no faster than this, so that
    /// the client is slowed down and nothing is lost; 0 is without a limit.
    pub messages_per_second: u32,
    /// Bytes a second that it may publish; 0 is without a limit.
    pub bytes_per_second: u32,
    /// For how many seconds' worth it may run ahead of these rates.
    pub burst_seconds: u32,
    /// Connections a minute. Who exceeds it is refused for a time that doubles with each refusal.
    pub connects_per_minute: u32,
    /// The longest such time in seconds.
    pub max_backoff_s: u32,
    /// Sessions at once, connected or away.
    pub max_sessions: usize,
    /// Subscriptions of one session.
    pub max_subscriptions: usize,
    /// Messages that wait for one session.
    pub max_queued_messages: usize,
    /// Bytes that wait for one session.
    pub max_queued_bytes: usize,
}

/// Limits on one source address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceLimits {
    /// New connections a second.
    pub connections_per_second: u32,
    /// New connections that may come at once.
    pub connection_burst: u32,
    /// Connections at once; 0 is without a limit.
    pub max_connections: usize,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([0, 0, 0, 0], 8883))],
            proxy_protocol_from: Vec::new(),
            insecure_loopback: None,
            insecure_principal: None,
            handshake_timeout_s: 10,
            connect_timeout_s: 10,
            max_packet_size: 1024 * 1024,
            receive_maximum: 256,
            max_inflight: 256,
            topic_alias_maximum: 16,
            max_keep_alive_s: 1800,
            max_session_expiry_s: 30 * 24 * 3600,
            max_sessions: 2_000_000,
            max_connections: 1_000_000,
            max_retained: 1_000_000,
            max_retained_bytes: 1024 * 1024 * 1024,
            status_interval_s: 10,
            statistics_interval_s: 60,
            drain_spread_s: 0,
            drain_to: None,
            drain_timeout_s: 10,
            never_block: loopback(),
            device: PrincipalLimits::default(),
            service: PrincipalLimits {
                messages_per_second: 0,
                bytes_per_second: 0,
                connects_per_minute: 600,
                max_sessions: 1000,
                max_subscriptions: 10_000,
                max_queued_messages: 100_000,
                max_queued_bytes: 256 * 1024 * 1024,
                ..PrincipalLimits::default()
            },
            source: SourceLimits::default(),
        }
    }
}

/// This machine itself.
fn loopback() -> Vec<Network> {
    let all = [
        Network::new(Ipv4Addr::LOCALHOST.into(), 8),
        Network::new(Ipv6Addr::LOCALHOST.into(), 128),
    ];
    all.into_iter().flatten().collect()
}

impl Default for PrincipalLimits {
    fn default() -> Self {
        Self {
            messages_per_second: 500,
            bytes_per_second: 1024 * 1024,
            burst_seconds: 2,
            connects_per_minute: 30,
            max_backoff_s: 60,
            max_sessions: 8,
            max_subscriptions: 100,
            max_queued_messages: 1000,
            max_queued_bytes: 4 * 1024 * 1024,
        }
    }
}

impl Default for SourceLimits {
    fn default() -> Self {
        Self {
            connections_per_second: 200,
            connection_burst: 1000,
            max_connections: 0,
        }
    }
}

impl GatewayConfig {
    /// The limits on a principal.
    #[must_use]
    pub fn limits(&self, principal: &palisade_core::Principal) -> &PrincipalLimits {
        match principal {
            palisade_core::Principal::Device(_) => &self.device,
            palisade_core::Principal::Service(_) => &self.service,
        }
    }

    /// The longest time for a TLS handshake.
    #[must_use]
    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_secs(self.handshake_timeout_s)
    }

    /// The longest time from the handshake to CONNECT.
    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_timeout_s)
    }

    /// Refuses what would be unsafe or cannot work.
    ///
    /// # Errors
    /// Says which key and why.
    pub fn check(&self) -> Result<(), ConfigError> {
        if let Some(address) = self.insecure_loopback {
            if !address.ip().is_loopback() {
                return Err(ConfigError::InsecureAddress(address));
            }
            if self.insecure_principal.is_none() {
                return Err(ConfigError::InsecurePrincipal);
            }
        }
        if self.max_packet_size < 1024 || self.max_packet_size > 256 * 1024 * 1024 {
            return Err(ConfigError::PacketSize(self.max_packet_size));
        }
        if self.receive_maximum == 0 || self.max_inflight == 0 {
            return Err(ConfigError::Window);
        }
        let is_reference = |to: &&String| {
            !to.is_empty()
                && to.len() <= MAX_REFERENCE
                && to.chars().all(|one| one.is_ascii_graphic())
        };
        if self.drain_to.as_ref().is_some_and(|to| !is_reference(&to)) {
            return Err(ConfigError::Reference);
        }
        Ok(())
    }
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The insecure listener on an address that others can reach.
    #[error(
        "gateway.insecure_loopback is {0}, which is no loopback address; it has no tls and no \
         authentication, so use 127.0.0.1 or remove it"
    )]
    InsecureAddress(SocketAddr),
    /// The insecure listener without a principal.
    #[error(
        "gateway.insecure_loopback needs gateway.insecure_principal: the registered service whose \
         grants its clients get"
    )]
    InsecurePrincipal,
    /// A packet size that cannot be.
    #[error("gateway.max_packet_size is {0}; use 1024 to 268435456 bytes")]
    PacketSize(usize),
    /// A window of nothing.
    #[error("gateway.receive_maximum and gateway.max_inflight are at least 1")]
    Window,
    /// What no client could follow.
    #[error(
        "gateway.drain_to is a host and a port, as in mqtt-2.fleet.example:8883, of at most 255 characters"
    )]
    Reference,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_insecure_listener_is_refused_beyond_loopback_and_without_a_principal() {
        let mut config = GatewayConfig {
            insecure_loopback: Some(SocketAddr::from(([0, 0, 0, 0], 1883))),
            insecure_principal: ServiceId::parse("suite").ok(),
            ..GatewayConfig::default()
        };
        assert!(matches!(
            config.check(),
            Err(ConfigError::InsecureAddress(_))
        ));
        config.insecure_loopback = Some(SocketAddr::from(([127, 0, 0, 1], 1883)));
        assert_eq!(config.check(), Ok(()));
        config.insecure_principal = None;
        assert_eq!(config.check(), Err(ConfigError::InsecurePrincipal));
    }
}
