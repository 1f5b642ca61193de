//! What a client and the server agree upon at CONNECT.

use std::time::Duration;

use crate::{
    codec::{ConnAck, Connect, Encoder, Version, WillPacket, reason},
    config::GatewayConfig,
};

/// The terms of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    /// Seconds that the session outlives the connection.
    pub(super) session_expiry: u32,
    /// Whether that is less than was asked for.
    is_expiry_capped: bool,
    /// The longest silence that is no reason to worry; `None` without end.
    pub(super) keep_alive: Option<Duration>,
    /// The keep-alive that the client is told to use instead of its own.
    server_keep_alive: Option<u16>,
    /// Unacknowledged messages towards the client at once.
    pub(super) window: usize,
}

impl Terms {
    /// What a client gets of what it asks for.
    pub(super) fn of(connect: &Connect, config: &GatewayConfig) -> Self {
        let session_expiry = connect.session_expiry.min(config.max_session_expiry_s);
        let asked = connect.keep_alive;
        let max = config.max_keep_alive_s;
        let is_too_long = max > 0 && (asked == 0 || asked > max);
        let (seconds, server_keep_alive) = match connect.version {
            Version::V5 if is_too_long => (max, Some(max)),
            Version::V3 if is_too_long && asked > 0 => (max, None),
            _ => (asked, None),
        };
        Self {
            session_expiry,
            is_expiry_capped: session_expiry < connect.session_expiry,
            keep_alive: (seconds > 0).then(|| Duration::from_secs(u64::from(seconds))),
            server_keep_alive,
            window: usize::from(connect.receive_max.min(config.max_inflight)),
        }
    }

    /// CONNACK that says so.
    pub(super) fn connack(
        &self,
        config: &GatewayConfig,
        assigned_client_id: Option<String>,
        session_present: bool,
    ) -> ConnAck {
        ConnAck {
            reason: reason::SUCCESS,
            session_present,
            receive_max: config.receive_maximum,
            max_packet_size: u32::try_from(config.max_packet_size).unwrap_or(u32::MAX),
            topic_alias_max: config.topic_alias_maximum,
            assigned_client_id,
            server_keep_alive: self.server_keep_alive,
            session_expiry: self.is_expiry_capped.then_some(self.session_expiry),
            ..ConnAck::default()
        }
    }
}

/// How to write for this client.
pub(super) fn encoder(connect: &Connect) -> Encoder {
    Encoder {
        version: connect.version,
        max_packet_size: connect.max_packet_size.unwrap_or(u32::MAX),
    }
}

/// How a Will is published: without a delay of its own in MQTT 3.1.1.
pub(super) fn will_manner(will: &WillPacket) -> crate::message::Manner {
    crate::message::Manner {
        qos: will.qos,
        retain: will.retain,
        expires: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(version: Version, keep_alive: u16, session_expiry: u32) -> Connect {
        Connect {
            version,
            clean_start: true,
            keep_alive,
            session_expiry,
            client_id: "a".into(),
            will: None,
            receive_max: 10,
            max_packet_size: None,
            topic_alias_max: 0,
            auth_method: None,
        }
    }

    fn config() -> GatewayConfig {
        GatewayConfig {
            max_keep_alive_s: 60,
            max_session_expiry_s: 100,
            ..GatewayConfig::default()
        }
    }

    #[test]
    fn a_client_of_version_5_is_told_the_longest_keep_alive_and_one_of_3_is_held_to_it() {
        let told = |version, asked| {
            let terms = Terms::of(&connect(version, asked, 0), &config());
            (
                terms.keep_alive.map(|time| time.as_secs()),
                terms.server_keep_alive,
            )
        };
        assert_eq!(told(Version::V5, 120), (Some(60), Some(60)));
        assert_eq!(told(Version::V5, 0), (Some(60), Some(60)));
        assert_eq!(told(Version::V5, 30), (Some(30), None));
        assert_eq!(told(Version::V3, 120), (Some(60), None));
        assert_eq!(told(Version::V3, 0), (None, None));
    }

    #[test]
    fn a_session_expiry_that_is_capped_is_told_and_one_that_is_granted_is_not() {
        let told = |asked| {
            let terms = Terms::of(&connect(Version::V5, 30, asked), &config());
            let connack = terms.connack(&config(), None, false);
            (terms.session_expiry, connack.session_expiry)
        };
        assert_eq!(told(50), (50, None));
        assert_eq!(told(u32::MAX), (100, Some(100)));
    }
}
