//! What an agent tells its application.

use std::time::Duration;

use palisade_core::Timestamp;
use tokio::sync::mpsc;

use crate::message::Message;

/// Something that happened to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server took the connection.
    Connected {
        /// Whether the server still had the session from before.
        session_present: bool,
        /// The key exchange of TLS, as `X25519MLKEM768`.
        key_exchange: Option<String>,
    },
    /// A connection ended, or an attempt failed.
    Disconnected {
        /// Why.
        cause: Cause,
        /// In how long the next attempt is made; `None` when there is none.
        retry_in: Option<Duration>,
    },
    /// A message arrived. With quality of service 1 the server hears of it only once it is in the channel.
    Message(Message),
    /// The server refused a message of quality of service 1. It is not sent again.
    Refused {
        /// To where it was published.
        topic: String,
        /// The reason code of PUBACK (MQTT 5, section 2.4), as 0x87 for "not authorized".
        reason: u8,
    },
    /// The server refused a subscription.
    SubscriptionRefused {
        /// To what.
        filter: String,
        /// The reason code of SUBACK.
        reason: u8,
    },
    /// There is a new certificate; the agent reconnects with it.
    Renewed {
        /// Until when it is valid.
        not_after: Timestamp,
    },
    /// The certificate was to be renewed and could not be; it is tried again.
    RenewalFailed {
        /// Why, in words.
        why: String,
        /// Until when the old one is valid.
        not_after: Timestamp,
    },
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The server ended the connection with DISCONNECT.
    #[error("the server closed the connection: {}", Reason(*.reason, .text))]
    Closed {
        /// Its reason code, as 0x98 for "administrative action".
        reason: u8,
        /// What else it said.
        text: Option<String>,
    },
    /// The server refused in CONNACK.
    #[error("the server refused the connection: {}", Reason(*.reason, .text))]
    Refused {
        /// Its reason code, as 0x87 for "not authorized".
        reason: u8,
        /// What else it said.
        text: Option<String>,
    },
    /// TLS failed: the server did not like the certificate (it is revoked or has ended), or we did not
    /// like the server's.
    #[error("the tls handshake failed: {0}")]
    Tls(String),
    /// The network failed, or the server went without a word.
    #[error("the connection broke: {0}")]
    Network(String),
    /// The server did not answer.
    #[error("the server did not answer in time")]
    Silent,
    /// The server does not keep to the protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    /// The agent reconnects with its new certificate.
    #[error("the certificate was renewed")]
    Renewed,
    /// The application asked for it.
    #[error("the application asked for it")]
    Requested,
}

struct Reason<'a>(u8, &'a Option<String>);

impl std::fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (0x{:02x})", reason_name(self.0), self.0)?;
        match self.1 {
            Some(text) => write!(f, ", {text}"),
            None => Ok(()),
        }
    }
}

impl Cause {
    /// The server's reason code, if it gave one.
    #[must_use]
    pub fn reason(&self) -> Option<u8> {
        match self {
            Self::Closed { reason, .. } | Self::Refused { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// Whether the server (or we ourselves) said no, so that trying again at once is of no use.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Closed { reason, .. } | Self::Refused { reason, .. } => !matches!(
                *reason,
                0x00 | 0x80 | 0x88 | 0x89 | 0x8b | 0x8d | 0x9c | 0x9d | 0xa0
            ),
            Self::Tls(_) | Self::Protocol(_) => true,
            Self::Network(_) | Self::Silent | Self::Renewed | Self::Requested => false,
        }
    }
}

/// The name of a reason code (MQTT 5, section 2.4).
#[must_use]
pub fn reason_name(code: u8) -> &'static str {
    match code {
        0x00 => "success",
        0x10 => "no matching subscribers",
        0x80 => "unspecified error",
        0x81 => "malformed packet",
        0x82 => "protocol error",
        0x83 => "implementation specific error",
        0x84 => "unsupported protocol version",
        0x85 => "client identifier not valid",
        0x86 => "bad user name or password",
        0x87 => "not authorized",
        0x88 => "server unavailable",
        0x89 => "server busy",
        0x8a => "banned",
        0x8b => "server shutting down",
        0x8d => "keep alive timeout",
        0x8e => "session taken over",
        0x8f => "topic filter invalid",
        0x90 => "topic name invalid",
        0x93 => "receive maximum exceeded",
        0x95 => "packet too large",
        0x96 => "message rate too high",
        0x97 => "quota exceeded",
        0x98 => "administrative action",
        0x99 => "payload format invalid",
        0x9a => "retain not supported",
        0x9b => "quality of service not supported",
        0x9c => "use another server",
        0x9d => "server moved",
        0x9f => "connection rate exceeded",
        0xa0 => "maximum connect time",
        _ => "another reason",
    }
}

/// What happens to an agent, in order. While nobody reads it and it is full, messages of quality of service 1
/// wait (at most a window of them here, the others at the server), those of 0 that are too many are let go
/// and counted, and other events are left out. Dropping it says that nobody cares: messages that arrive are
/// let go.
#[derive(Debug)]
pub struct Events(pub(crate) mpsc::Receiver<Event>);

impl Events {
    /// The next event; `None` once the agent has ended.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }

    /// The next event, if there is one now.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.try_recv().ok()
    }

    /// Waits for the next message and lets other events go; `None` once the agent has ended.
    pub async fn next_message(&mut self) -> Option<Message> {
        loop {
            if let Event::Message(message) = self.next().await? {
                return Some(message);
            }
        }
    }
}
