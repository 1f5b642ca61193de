//! Playbooks: what is done about which findings, as people write it down.

mod book;
mod folder;
mod glob;
mod matching;
mod parse;
mod span;

use std::collections::BTreeMap;

use palisade_core::{Mode, ProductId, SegmentId, Severity, port::Parameters};
use serde::{Deserialize, Serialize};

pub(crate) use book::Book;
pub use book::{BookError, Origin, PlaybookInfo, check_directory};
pub(crate) use matching::{Facts, matches};
pub use parse::{MAX_TEXT, PlaybookProblem, check_text};
pub use span::Span;

/// The shipped playbooks, by file name.
pub const SHIPPED: [(&str, &str); 7] = [
    (
        "administrator-abuse.yaml",
        include_str!("../../../playbooks/administrator-abuse.yaml"),
    ),
    (
        "credential-abuse.yaml",
        include_str!("../../../playbooks/credential-abuse.yaml"),
    ),
    (
        "data-exfiltration.yaml",
        include_str!("../../../playbooks/data-exfiltration.yaml"),
    ),
    (
        "enrolment-abuse.yaml",
        include_str!("../../../playbooks/enrolment-abuse.yaml"),
    ),
    (
        "identity-theft.yaml",
        include_str!("../../../playbooks/identity-theft.yaml"),
    ),
    (
        "scanning-or-flooding-device.yaml",
        include_str!("../../../playbooks/scanning-or-flooding-device.yaml"),
    ),
    (
        "weak-or-shared-key.yaml",
        include_str!("../../../playbooks/weak-or-shared-key.yaml"),
    ),
];

/// A playbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Playbook {
    /// Its name: lower-case letters, digits and `-`.
    pub name: String,
    /// What it is for, for people.
    pub description: String,
    /// Which findings it is about.
    pub trigger: Trigger,
    /// What else has to be so.
    #[serde(default)]
    pub conditions: Conditions,
    /// What is done, in this order.
    pub actions: Vec<Step>,
}

/// Which findings a playbook is about: one of the detectors or one of the techniques, and bad and sure
/// enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// Detectors (`rule/mqtt-topic-scan`), with `*` for any characters; without a `/`, of any kind.
    #[serde(default)]
    pub detectors: Vec<String>,
    /// ATT&CK techniques as findings carry them (`attack.t1110`), with `*` for any characters.
    #[serde(default)]
    pub techniques: Vec<String>,
    /// At least this bad.
    #[serde(default = "medium")]
    pub min_severity: Severity,
    /// At least this sure, 0 to 100.
    #[serde(default)]
    pub min_confidence: u8,
}

/// What else has to be so. What is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// About these kinds of subjects only.
    pub subjects: Vec<SubjectKind>,
    /// Devices in one of these segments only.
    pub segments: Vec<SegmentId>,
    /// No device in these segments.
    pub not_segments: Vec<SegmentId>,
    /// Devices of one of these products only.
    pub products: Vec<ProductId>,
    /// Devices with all of these labels only.
    pub labels: BTreeMap<String, String>,
    /// No device with any of these labels.
    pub not_labels: BTreeMap<String, String>,
    /// Devices whose trust is below this, 0 to 100.
    pub trust_below: Option<u8>,
    /// Only when it was seen so often.
    pub repeated: Option<Repeated>,
}

/// How often something has to be seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeated {
    /// How many times, over all findings of the case about the same subject that the trigger is about.
    pub count: u64,
    /// Within which time.
    pub within: Span,
}

/// A kind of subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A device.
    Device,
    /// A service.
    Service,
    /// A source address.
    Address,
    /// An API token.
    ApiToken,
    /// A person.
    Account,
    /// The installation as a whole.
    Fleet,
}

/// One thing that is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The name of the action.
    pub action: String,
    /// How exactly.
    #[serde(default)]
    pub parameters: Parameters,
    /// How it is done.
    pub mode: Mode,
    /// After what time it is undone by itself.
    #[serde(default)]
    pub ttl: Option<Span>,
    /// Only against a repeat offender: when the playbook's other actions were in force on the same target
    /// so often before.
    #[serde(default)]
    pub only_if_repeated: Option<u64>,
}

impl Conditions {
    /// Whether anything is said that only a device can be.
    #[must_use]
    pub(crate) fn are_about_devices(&self) -> bool {
        !(self.segments.is_empty() && self.products.is_empty() && self.labels.is_empty())
            || self.trust_below.is_some()
    }
}

fn medium() -> Severity {
    Severity::Medium
}
