//! Findings: what detection says about somebody. A finding opens or joins a case, and is evidence against
//! the trust of a device.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{EventId, FindingId, Timestamp};

/// How bad it would be if it is true. The names are Sigma's levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing, asks for nothing.
    Informational,
    /// A notable event, seldom an incident.
    Low,
    /// Should be looked at by hand.
    Medium,
    /// Should be looked at soon.
    High,
    /// An incident: act at once.
    Critical,
}

impl Severity {
    /// All of them, from the least to the worst.
    pub const ALL: [Self; 5] = [
        Self::Informational,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == text)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How sure the detector is: 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub struct Confidence(u8);

impl Confidence {
    /// A confidence; values above 100 are 100.
    #[must_use]
    pub fn new(value: u8) -> Self {
        Self(value.min(100))
    }

    /// The value, 0 to 100.
    #[must_use]
    pub fn value(self) -> u8 {
        self.0
    }
}

impl From<u8> for Confidence {
    fn from(value: u8) -> Self {
        Self::new(value)
    }
}

impl From<Confidence> for u8 {
    fn from(confidence: Confidence) -> u8 {
        confidence.0
    }
}

/// What found it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Detector {
    /// A Sigma rule or correlation, by its file name without the ending (`mqtt-topic-scan`).
    Rule(String),
    /// A behaviour baseline, by its metric (`messages_sent`).
    Baseline(String),
    /// An audit check (`certificate-expiring`).
    Audit(String),
}

impl Detector {
    /// The kind on the wire.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Rule(_) => "rule",
            Self::Baseline(_) => "baseline",
            Self::Audit(_) => "audit",
        }
    }

    /// Which one of its kind.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Rule(id) | Self::Baseline(id) | Self::Audit(id) => id,
        }
    }
}

impl fmt::Display for Detector {
    /// `<kind>/<id>`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind(), self.id())
    }
}

/// What detection says. About whom, and from which address, is said by the event that carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Its name. The same finding seen again keeps it.
    #[serde(rename = "finding")]
    pub id: FindingId,
    /// What found it.
    pub detector: Detector,
    /// What it is called.
    pub title: String,
    /// How bad it would be.
    pub severity: Severity,
    /// How sure the detector is.
    pub confidence: Confidence,
    /// What was seen, for people, in one sentence.
    pub detail: String,
    /// ATT&CK techniques, as Sigma tags (`attack.t0836`).
    pub techniques: Vec<String>,
    /// The events that show it, at most [`Finding::MAX_EVIDENCE`] of them.
    pub evidence: Vec<EventId>,
    /// How often it was seen.
    pub count: u64,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
}

impl Finding {
    /// The most events that a finding names.
    pub const MAX_EVIDENCE: usize = 16;
}
