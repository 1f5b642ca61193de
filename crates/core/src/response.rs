//! Response: what is done about a finding, to whom, and how far it came.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{ActionId, CaseId, DeviceId, Timestamp, port::Parameters};

/// How much an action takes from its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Impact {
    /// Nothing: somebody is told.
    None,
    /// A part of its service (a session is closed, a grant is taken).
    Partial,
    /// All its service, until it is undone.
    Full,
    /// What cannot be undone (a revoked certificate).
    Permanent,
}

/// How an action of a playbook is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Only noted in the case.
    Observe,
    /// Everything but the act itself, guard rails included.
    DryRun,
    /// When a person has approved it.
    Approve,
    /// At once.
    Auto,
}

/// On what an action works.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Target {
    /// A device.
    Device(DeviceId),
    /// A source address.
    Address(IpAddr),
    /// An API token, by its name.
    ApiToken(String),
    /// A person, by the name of their account.
    Account(String),
    /// The installation as a whole (a notification).
    Fleet,
}

impl Target {
    /// Whether a text may be the name of an account, as the crate `people` writes it.
    #[must_use]
    pub fn may_be_account(name: &str) -> bool {
        let is_of =
            |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit() || b"._@-".contains(&one);
        (1..=64).contains(&name.len()) && name.bytes().all(is_of)
    }
}

impl std::fmt::Display for Target {
    /// `<type>/<id>`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Device(id) => write!(f, "device/{id}"),
            Self::Address(address) => write!(f, "address/{address}"),
            Self::ApiToken(name) => write!(f, "api_token/{name}"),
            Self::Account(name) => write!(f, "account/{name}"),
            Self::Fleet => f.write_str("fleet"),
        }
    }
}

/// One action, ordered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Its name.
    pub id: ActionId,
    /// For which case.
    pub case: CaseId,
    /// What to do: the name of an effector.
    pub action: String,
    /// On what.
    pub target: Target,
    /// How exactly.
    pub parameters: Parameters,
    /// Why, for people.
    pub reason: String,
    /// What the case is about, in JSON for programs: a notification carries it.
    pub context: serde_json::Value,
}

/// How far an action came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionState {
    /// It only would have been done: the playbook observes.
    Observed,
    /// It only would have been done: a dry run.
    DryRun,
    /// It waits for a person.
    Waiting,
    /// A person, or time, said no.
    Rejected,
    /// It is being done.
    Running,
    /// It is in force.
    Done,
    /// It could not be done.
    Failed,
    /// It is being taken back.
    Undoing,
    /// It was taken back.
    Undone,
}

/// An action that moved on, as it is written into the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Its name.
    #[serde(rename = "response")]
    pub id: ActionId,
    /// For which case.
    pub case: CaseId,
    /// By which playbook; absent where a person ordered it.
    pub playbook: Option<String>,
    /// What.
    pub action: String,
    /// On what.
    pub target: Target,
    /// How.
    pub mode: Mode,
    /// How far it came.
    pub state: ActionState,
    /// Why, for people.
    pub reason: String,
    /// Who approved, rejected or ordered it, if a person did.
    pub by: Option<String>,
    /// When it ends by itself, if it does.
    pub until: Option<Timestamp>,
}
