//! What is asked of the policy decision point, and what it answers.

use std::{fmt, net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Epoch, GrantId, Lifecycle, PolicyId, Timestamp, Topic, TopicFilter};

/// What a principal wants to do. Its name is that of the Cedar action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Open a session at the gateway.
    Connect,
    /// Publish a message, a Will that fires included.
    Publish,
    /// Set or clear a retained message (asked besides `Publish`).
    Retain,
    /// Hold a subscription.
    Subscribe,
    /// Have a message delivered.
    Receive,
    /// Obtain a first certificate.
    Enroll,
    /// Renew a certificate.
    Renew,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 7] = [
        Self::Connect,
        Self::Publish,
        Self::Retain,
        Self::Subscribe,
        Self::Receive,
        Self::Enroll,
        Self::Renew,
    ];

    /// The name used in policies, in events and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Publish => "publish",
            Self::Retain => "retain",
            Self::Subscribe => "subscribe",
            Self::Receive => "receive",
            Self::Enroll => "enroll",
            Self::Renew => "renew",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A question to the policy decision point. The principal is the session's and not repeated here.
#[derive(Debug, Clone, Copy)]
pub enum Request<'a> {
    /// May the session open?
    Connect,
    /// May this message be published (and retained)?
    Publish {
        /// To where.
        topic: Topic<'a>,
        /// Quality of service, 0 to 2.
        qos: u8,
        /// Whether it is to be retained.
        retain: bool,
        /// Payload size in bytes.
        size: usize,
    },
    /// May this subscription be held?
    Subscribe {
        /// For what; a shared subscription is asked by its filter.
        filter: &'a TopicFilter,
        /// Quality of service, 0 to 2.
        qos: u8,
    },
    /// May this message be delivered?
    Receive {
        /// From where.
        topic: Topic<'a>,
        /// Quality of service, 0 to 2.
        qos: u8,
        /// Payload size in bytes.
        size: usize,
    },
    /// May a first certificate be issued?
    Enroll,
    /// May the certificate be renewed?
    Renew,
}

impl Request<'_> {
    /// The action asked for.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Self::Connect => Action::Connect,
            Self::Publish { .. } => Action::Publish,
            Self::Subscribe { .. } => Action::Subscribe,
            Self::Receive { .. } => Action::Receive,
            Self::Enroll => Action::Enroll,
            Self::Renew => Action::Renew,
        }
    }

    /// The topic or filter asked about, empty where there is none.
    #[must_use]
    pub fn resource(&self) -> &str {
        match self {
            Self::Publish { topic, .. } | Self::Receive { topic, .. } => topic.as_str(),
            Self::Subscribe { filter, .. } => filter.as_str(),
            Self::Connect | Self::Enroll | Self::Renew => "",
        }
    }
}

/// Under what a decision was made; it is valid for nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Epoch of policies and grants.
    pub policy: Epoch,
    /// Epoch of the principal's posture.
    pub posture: Epoch,
}

/// Why a request was denied.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum DenyReason {
    /// No grant covers the topic or filter for this action.
    NoGrant,
    /// Policies forbid it.
    Forbidden {
        /// Which, by id.
        policies: Arc<[PolicyId]>,
    },
    /// No policy permits it.
    NotPermitted,
    /// What is published there is to be sealed for its readers, and this is not.
    NotSealed,
    /// The principal's lifecycle ends the question before policy.
    Lifecycle {
        /// Where it stands.
        lifecycle: Lifecycle,
    },
    /// The principal is not known.
    Unknown,
    /// A policy could not be evaluated; that is a denial.
    EvaluationFailed {
        /// What went wrong.
        detail: Arc<str>,
    },
}

impl fmt::Display for DenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGrant => f.write_str("no grant covers it"),
            Self::Forbidden { policies } => {
                f.write_str("forbidden by policy")?;
                policies.iter().try_for_each(|id| write!(f, " {id}"))
            }
            Self::NotSealed => {
                f.write_str("what is published there is to be sealed, and it is not")
            }
            Self::NotPermitted => f.write_str("no policy permits it"),
            Self::Lifecycle { lifecycle } => write!(f, "the device is {lifecycle}"),
            Self::Unknown => f.write_str("the principal is not known"),
            Self::EvaluationFailed { detail } => write!(f, "policy evaluation failed: {detail}"),
        }
    }
}

/// The answer of the policy decision point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allow,
    /// No, and why.
    Deny(DenyReason),
}

impl Decision {
    /// Whether it is yes.
    #[must_use]
    pub fn is_allow(&self) -> bool {
        matches!(self, Self::Allow)
    }
}

/// One attribute that stood before the policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Its path as policies write it (`principal.trust`).
    pub path: String,
    /// Its value in Cedar's notation.
    pub value: String,
}

/// Everything behind a decision, for people and programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Whether it was allowed.
    pub allowed: bool,
    /// Why not, when it was not.
    pub reason: Option<DenyReason>,
    /// One sentence for people.
    pub summary: String,
    /// The grants that cover the request.
    pub grants: Vec<GrantId>,
    /// The policies that decided.
    pub policies: Vec<PolicyId>,
    /// What the policies could see.
    pub attributes: Vec<Attribute>,
    /// Under which epochs.
    pub stamp: Stamp,
    /// From where the request came.
    pub source: Option<IpAddr>,
    /// When it was decided.
    pub decided_at: Timestamp,
}
