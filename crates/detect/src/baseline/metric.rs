//! The metrics: what is measured of each device, as AWS IoT Device Defender's operators know it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::cell::Scale;

/// What is measured of a device in each interval. Directions are the device's: `bytes_out` is what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Messages that the device published.
    MessagesSent,
    /// Messages that were delivered to the device.
    MessagesReceived,
    /// The largest message that it published, in bytes.
    MessageSize,
    /// Payload bytes that were delivered to the device.
    BytesIn,
    /// Payload bytes that the device published.
    BytesOut,
    /// MQTT packets of any kind to the device.
    PacketsIn,
    /// MQTT packets of any kind from the device.
    PacketsOut,
    /// Requests that were denied to the device, and connections that were refused.
    AuthorizationFailures,
    /// Connections that were opened in the device's name, refused ones included.
    ConnectionAttempts,
    /// Sessions that ended.
    Disconnects,
    /// How long the device was away, in seconds, told when it is back.
    DisconnectDuration,
    /// Connections that the device holds to anywhere, as its agent reports.
    EstablishedConnections,
    /// Networks (/24, or /48 of IPv6) that it came from.
    SourceAddresses,
    /// Ports that it listens on, as its agent reports.
    ListeningPorts,
    /// Where it holds connections to, as its agent reports.
    Destinations,
}

impl Metric {
    /// All of them. The sets are last.
    pub const ALL: [Self; 15] = [
        Self::MessagesSent,
        Self::MessagesReceived,
        Self::MessageSize,
        Self::BytesIn,
        Self::BytesOut,
        Self::PacketsIn,
        Self::PacketsOut,
        Self::AuthorizationFailures,
        Self::ConnectionAttempts,
        Self::Disconnects,
        Self::DisconnectDuration,
        Self::EstablishedConnections,
        Self::SourceAddresses,
        Self::ListeningPorts,
        Self::Destinations,
    ];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();
    /// How many are numbers; the others are sets.
    pub const SCALARS: usize = 12;

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MessagesSent => "messages_sent",
            Self::MessagesReceived => "messages_received",
            Self::MessageSize => "message_size",
            Self::BytesIn => "bytes_in",
            Self::BytesOut => "bytes_out",
            Self::PacketsIn => "packets_in",
            Self::PacketsOut => "packets_out",
            Self::AuthorizationFailures => "authorization_failures",
            Self::ConnectionAttempts => "connection_attempts",
            Self::Disconnects => "disconnects",
            Self::DisconnectDuration => "disconnect_duration",
            Self::EstablishedConnections => "established_connections",
            Self::SourceAddresses => "source_addresses",
            Self::ListeningPorts => "listening_ports",
            Self::Destinations => "destinations",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.as_str() == text)
    }

    /// Its place among [`Metric::ALL`].
    pub(super) fn index(self) -> usize {
        self as usize
    }

    /// Its place among the sets, if it is one.
    pub(super) fn set(self) -> Option<usize> {
        self.index().checked_sub(Self::SCALARS)
    }

    /// Counts and sizes grow by factors; a doubling is the same news at every size. What seldom happens at
    /// all must happen several times to be news, what is counted in ones and twos needs a few more.
    pub(super) fn scale(self) -> Scale {
        Scale::Logarithmic(match self {
            Self::AuthorizationFailures | Self::ConnectionAttempts | Self::Disconnects => 1.0,
            Self::EstablishedConnections
            | Self::SourceAddresses
            | Self::ListeningPorts
            | Self::Destinations
            | Self::DisconnectDuration => 0.5,
            _ => 0.3,
        })
    }

    /// Whether too little of it is news as well.
    pub(super) fn is_two_sided(self) -> bool {
        self == Self::MessagesSent
    }

    /// Whether it is told of every interval in which the device is connected, and is then 0 where nothing
    /// was told.
    pub(super) fn is_of_session(self) -> bool {
        matches!(
            self,
            Self::MessagesSent
                | Self::MessagesReceived
                | Self::BytesIn
                | Self::BytesOut
                | Self::PacketsIn
                | Self::PacketsOut
        )
    }

    /// A device that uses more elements of a set than this is one that comes around.
    pub(super) fn rover_knows(self) -> u32 {
        match self {
            Self::SourceAddresses => 4,
            Self::Destinations => 24,
            _ => u32::MAX,
        }
    }

    /// What an alarm is called.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::MessagesSent => "Unusual number of messages sent",
            Self::MessagesReceived => "Unusual number of messages received",
            Self::MessageSize => "Unusually large message",
            Self::BytesIn => "Unusually much data received",
            Self::BytesOut => "Unusually much data sent",
            Self::PacketsIn => "Unusual number of packets received",
            Self::PacketsOut => "Unusual number of packets sent",
            Self::AuthorizationFailures => "Unusual number of authorization failures",
            Self::ConnectionAttempts => "Unusual number of connection attempts",
            Self::Disconnects => "Unusual number of disconnects",
            Self::DisconnectDuration => "Away for unusually long",
            Self::EstablishedConnections => "Unusual number of established connections",
            Self::SourceAddresses => "New or unusually many source addresses",
            Self::ListeningPorts => "New or unusually many listening ports",
            Self::Destinations => "New or unusually many destinations",
        }
    }

    /// What its numbers count.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::MessagesSent => "messages sent",
            Self::MessagesReceived => "messages received",
            Self::MessageSize => "bytes in the largest message",
            Self::BytesIn => "bytes received",
            Self::BytesOut => "bytes sent",
            Self::PacketsIn => "packets received",
            Self::PacketsOut => "packets sent",
            Self::AuthorizationFailures => "authorization failures",
            Self::ConnectionAttempts => "connection attempts",
            Self::Disconnects => "disconnects",
            Self::DisconnectDuration => "seconds away",
            Self::EstablishedConnections => "established connections",
            Self::SourceAddresses => "source networks",
            Self::ListeningPorts => "listening ports",
            Self::Destinations => "destinations",
        }
    }

    /// ATT&CK techniques that show in it, as Sigma tags.
    pub(super) fn techniques(self) -> &'static [&'static str] {
        match self {
            Self::MessagesSent | Self::PacketsOut | Self::MessagesReceived | Self::PacketsIn => {
                &["attack.t0814", "attack.t1499"]
            }
            Self::BytesOut | Self::MessageSize => &["attack.t1041"],
            Self::BytesIn => &["attack.t1105"],
            Self::AuthorizationFailures => &["attack.t1110"],
            Self::ConnectionAttempts | Self::Disconnects | Self::DisconnectDuration => {
                &["attack.t0814"]
            }
            Self::SourceAddresses => &["attack.t1078"],
            Self::ListeningPorts => &["attack.t1571"],
            Self::EstablishedConnections | Self::Destinations => &["attack.t0885", "attack.t1071"],
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
