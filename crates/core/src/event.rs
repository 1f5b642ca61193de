//! Events: what happened. They are the only thing that detection reads, and those that matter to an
//! auditor are ledger entries too.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    Action, DenyReason, EventId, Finding, Lifecycle, Principal, Response, Serial, Timestamp,
    TokenId, TrustScore,
};

/// Where something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// MQTT on 8883.
    Mqtt,
    /// HTTPS for devices on 8444.
    DeviceHttps,
    /// HTTPS for people and programs on 8443.
    Rest,
    /// Within the server itself.
    Internal,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its name.
    pub id: EventId,
    /// When.
    pub time: Timestamp,
    /// Where.
    pub door: Door,
    /// About whom, if about a principal.
    pub principal: Option<Principal>,
    /// From which address, if from outside.
    pub source: Option<IpAddr>,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// An event that happened at `time`.
    #[must_use]
    pub fn new(time: Timestamp, door: Door, kind: EventKind) -> Self {
        Self {
            id: EventId::generate(),
            time,
            door,
            principal: None,
            source: None,
            kind,
        }
    }

    /// The same event, about a principal.
    #[must_use]
    pub fn about(mut self, principal: impl Into<Principal>) -> Self {
        self.principal = Some(principal.into());
        self
    }

    /// The same event, from an address.
    #[must_use]
    pub fn from_source(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// A session was opened.
    Admitted {
        /// The MQTT client id.
        client_id: String,
        /// `mqtt 3.1.1` or `mqtt 5`.
        protocol: String,
        /// The certificate's serial number, if one was shown.
        serial: Option<Serial>,
        /// The negotiated key exchange (`X25519MLKEM768`), where known.
        key_exchange: Option<String>,
    },
    /// A session or request was refused before it was a session; the first at once, equal ones within the
    /// second that follows as one event.
    Refused {
        /// Why, for people.
        reason: String,
        /// How many times.
        #[serde(default = "once")]
        count: u64,
    },
    /// A session ended.
    Disconnected {
        /// The MQTT client id.
        client_id: String,
        /// Why.
        end: SessionEnd,
        /// How long it lasted, in milliseconds.
        duration_ms: u64,
        /// Messages received from the client.
        messages_in: u64,
        /// Messages sent to the client.
        messages_out: u64,
    },
    /// A request was denied; the first at once, equal ones within the second that follows as one event.
    Denied {
        /// What was asked.
        action: Action,
        /// The first topic or filter it was asked about.
        resource: String,
        /// Why not.
        reason: DenyReason,
        /// How many times.
        count: u64,
    },
    /// A limit was exceeded; the first at once, equal ones within the second that follows as one event.
    LimitExceeded {
        /// Which (`messages_per_second`).
        limit: String,
        /// How many times.
        count: u64,
    },
    /// A subscription was made.
    Subscribed {
        /// For what.
        filter: String,
    },
    /// What a session did within a window; nothing is said of a window in which it did nothing.
    PublishStatistics {
        /// The window in milliseconds.
        window_ms: u64,
        /// Messages accepted from the client.
        messages: u64,
        /// Payload bytes accepted from the client.
        bytes: u64,
        /// The largest payload accepted, in bytes.
        largest: u64,
        /// Messages sent to the client.
        messages_out: u64,
        /// Payload bytes sent to the client.
        bytes_out: u64,
        /// MQTT packets of any kind from the client.
        packets_in: u64,
        /// MQTT packets of any kind to the client.
        packets_out: u64,
    },
    /// A device became known.
    Registered {
        /// How many at once (an import registers many; the principal is then absent).
        count: u64,
    },
    /// A first certificate was issued.
    Enrolled {
        /// Its serial number.
        serial: Serial,
        /// The enrolment token that allowed it, if one did.
        token: Option<TokenId>,
    },
    /// A certificate was renewed.
    Renewed {
        /// The new serial number.
        serial: Serial,
        /// The old one.
        previous: Serial,
    },
    /// A certificate was revoked.
    CertificateRevoked {
        /// Its serial number.
        serial: Serial,
        /// The reason by its RFC 5280 name (`keyCompromise`).
        reason: String,
    },
    /// A CRL was issued.
    CrlIssued {
        /// Its number.
        number: u64,
        /// How many certificates it lists.
        entries: u64,
    },
    /// What is thought of a device changed.
    PostureChanged {
        /// The lifecycle before.
        lifecycle_before: Lifecycle,
        /// The lifecycle after.
        lifecycle: Lifecycle,
        /// The trust before.
        trust_before: TrustScore,
        /// The trust after.
        trust: TrustScore,
        /// Why, for people.
        reason: String,
    },
    /// What an agent reports of its device.
    AgentReport {
        /// Version of the agent.
        version: String,
        /// Facts by name (`os`, `kernel`, `arch`).
        facts: serde_json::Map<String, serde_json::Value>,
    },
    /// Somebody administered something.
    Administrative(AdministrativeAct),
    /// Detection found something; the event is about whom it found.
    Found(Finding),
    /// An action that answers findings moved on.
    Responded(Response),
}

/// Events that were written before refusals were counted.
fn once() -> u64 {
    1
}

impl EventKind {
    /// The names of all kinds.
    pub const NAMES: [&str; 17] = [
        "admitted",
        "refused",
        "disconnected",
        "denied",
        "limit_exceeded",
        "subscribed",
        "publish_statistics",
        "registered",
        "enrolled",
        "renewed",
        "certificate_revoked",
        "crl_issued",
        "posture_changed",
        "agent_report",
        "found",
        "responded",
        "administrative",
    ];

    /// The name in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Admitted { .. } => "admitted",
            Self::Refused { .. } => "refused",
            Self::Disconnected { .. } => "disconnected",
            Self::Denied { .. } => "denied",
            Self::LimitExceeded { .. } => "limit_exceeded",
            Self::Subscribed { .. } => "subscribed",
            Self::PublishStatistics { .. } => "publish_statistics",
            Self::Registered { .. } => "registered",
            Self::Enrolled { .. } => "enrolled",
            Self::Renewed { .. } => "renewed",
            Self::CertificateRevoked { .. } => "certificate_revoked",
            Self::CrlIssued { .. } => "crl_issued",
            Self::PostureChanged { .. } => "posture_changed",
            Self::AgentReport { .. } => "agent_report",
            Self::Administrative(_) => "administrative",
            Self::Found(_) => "found",
            Self::Responded(_) => "responded",
        }
    }

    /// Whether persons may be named in it. What is about devices is about no person.
    #[must_use]
    pub fn may_name_persons(&self) -> bool {
        matches!(
            self,
            Self::Administrative(_) | Self::Responded(_) | Self::Found(_)
        )
    }

    /// Whether it is an entry of the ledger, and not only an event.
    #[must_use]
    pub fn is_auditable(&self) -> bool {
        !matches!(
            self,
            Self::Disconnected { .. }
                | Self::Subscribed { .. }
                | Self::PublishStatistics { .. }
                | Self::AgentReport { .. }
        )
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// The client said DISCONNECT.
    Client,
    /// The connection broke.
    ConnectionLost,
    /// Nothing came within one and a half keep-alives.
    KeepAlive,
    /// Another connection took the session over.
    TakenOver,
    /// The same client took its session over: another connection with the same certificate from the same address.
    Replaced,
    /// A changed posture or policy no longer allows it.
    NotAuthorized,
    /// The client broke the protocol.
    ProtocolError,
    /// The client exceeded a limit.
    LimitExceeded,
    /// The server is shutting down.
    Shutdown,
    /// An operator closed it.
    Administrative,
}

/// Who administers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Actor {
    /// The bearer of an API token, by its name.
    Token(String),
    /// Somebody who logged in, by the name of the account.
    Account(String),
    /// The server itself, by the part that acted (`trust`).
    System(String),
    /// Whoever has a shell on the server.
    Console,
}

/// One administrative act, or an attempt at one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdministrativeAct {
    /// Who.
    pub actor: Actor,
    /// What, as `<noun>.<verb>` (`device.quarantine`).
    pub act: String,
    /// On what, as text (a device id, a token id).
    pub target: String,
    /// Why, as the actor says.
    pub reason: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused.
    Refused,
    /// It failed.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DeviceId;

    #[test]
    fn a_refusal_that_was_written_without_a_count_is_one() {
        let read: EventKind =
            serde_json::from_str(r#"{"kind":"refused","reason":"no"}"#).expect("reads");
        let reason = "no".to_owned();
        assert_eq!(read, EventKind::Refused { reason, count: 1 });
    }

    #[test]
    fn an_event_reads_back_from_its_json() {
        let device = DeviceId::parse("cam-1").expect("valid");
        let event = Event::new(
            Timestamp::UNIX_EPOCH,
            Door::Mqtt,
            EventKind::Denied {
                action: Action::Publish,
                resource: "devices/cam-2/telemetry".into(),
                reason: DenyReason::NoGrant,
                count: 3,
            },
        )
        .about(device);
        let json = serde_json::to_string(&event).expect("json");
        assert!(json.contains("\"kind\":\"denied\""), "{json}");
        assert_eq!(
            serde_json::from_str::<Event>(&json).expect("reads back"),
            event
        );
    }
}
