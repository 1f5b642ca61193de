//! What a bearer may do. Every route but the three public ones names a scope; there is no other way to
//! register one (see `routes`).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A thing that a bearer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Read the server's status.
    StatusRead,
    /// Look at the server as a doctor does: its checks, and the keys that it stands on.
    ServerRead,
    /// Read devices, products, segments and sessions.
    DevicesRead,
    /// Register, change and contain devices.
    DevicesWrite,
    /// Read enrolment tokens (never their secrets).
    TokensRead,
    /// Make and revoke enrolment tokens.
    TokensWrite,
    /// Read services.
    ServicesRead,
    /// Make services known and issue their certificates.
    ServicesWrite,
    /// Read grants and policies, and try them out.
    PolicyRead,
    /// Change grants and policies.
    PolicyWrite,
    /// Watch that messages of a device pass, without what is in them.
    MessagesWatch,
    /// Read the messages of a device as they pass.
    MessagesRead,
    /// Publish messages.
    MessagesWrite,
    /// Read what devices sent and the vault keeps.
    TelemetryRead,
    /// Hold what the vault keeps, and erase it.
    TelemetryWrite,
    /// Get keys of the vault out.
    TelemetryKeys,
    /// Read events.
    EventsRead,
    /// Read, verify and export the ledger.
    LedgerRead,
    /// Read what the certification authority is.
    CaRead,
    /// Trust makers, renew the issuer, revoke certificates.
    CaWrite,
    /// Move the root key.
    CaRoot,
    /// Read findings, rules, baselines and audits.
    DetectRead,
    /// Judge findings, switch detectors, suppress.
    DetectWrite,
    /// Read cases, playbooks and actions.
    RespondRead,
    /// Work on cases, order and undo actions, switch playbooks.
    RespondWrite,
    /// Approve or reject actions that wait for a person.
    RespondApprove,
    /// Read who did what here, and who may what.
    AccessRead,
    /// Sign that who may what was reviewed.
    AccessReview,
    /// Read, make and revoke API tokens.
    Admin,
}

/// The scope that stands for all others.
pub const EVERYTHING: &str = "*";

impl Scope {
    /// All of them.
    pub const ALL: [Self; 29] = [
        Self::StatusRead,
        Self::ServerRead,
        Self::DevicesRead,
        Self::DevicesWrite,
        Self::TokensRead,
        Self::TokensWrite,
        Self::ServicesRead,
        Self::ServicesWrite,
        Self::PolicyRead,
        Self::PolicyWrite,
        Self::MessagesWatch,
        Self::MessagesRead,
        Self::MessagesWrite,
        Self::TelemetryRead,
        Self::TelemetryWrite,
        Self::TelemetryKeys,
        Self::EventsRead,
        Self::LedgerRead,
        Self::CaRead,
        Self::CaWrite,
        Self::CaRoot,
        Self::DetectRead,
        Self::DetectWrite,
        Self::RespondRead,
        Self::RespondWrite,
        Self::RespondApprove,
        Self::AccessRead,
        Self::AccessReview,
        Self::Admin,
    ];

    /// Its name in tokens and in the OpenAPI document.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StatusRead => "status:read",
            Self::ServerRead => "server:read",
            Self::DevicesRead => "devices:read",
            Self::DevicesWrite => "devices:write",
            Self::TokensRead => "tokens:read",
            Self::TokensWrite => "tokens:write",
            Self::ServicesRead => "services:read",
            Self::ServicesWrite => "services:write",
            Self::PolicyRead => "policy:read",
            Self::PolicyWrite => "policy:write",
            Self::MessagesWatch => "messages:watch",
            Self::MessagesRead => "messages:read",
            Self::MessagesWrite => "messages:write",
            Self::TelemetryRead => "telemetry:read",
            Self::TelemetryWrite => "telemetry:write",
            Self::TelemetryKeys => "telemetry:keys",
            Self::EventsRead => "events:read",
            Self::LedgerRead => "ledger:read",
            Self::CaRead => "ca:read",
            Self::CaWrite => "ca:write",
            Self::CaRoot => "ca:root",
            Self::DetectRead => "detect:read",
            Self::DetectWrite => "detect:write",
            Self::RespondRead => "respond:read",
            Self::RespondWrite => "respond:write",
            Self::RespondApprove => "respond:approve",
            Self::AccessRead => "access:read",
            Self::AccessReview => "access:review",
            Self::Admin => "admin",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// What a bearer may do: some scopes, or all there are and will be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<String>", from = "Vec<String>")]
pub struct Scopes {
    everything: bool,
    named: BTreeSet<Scope>,
}

impl Scopes {
    /// Those named; names that this version does not know allow nothing.
    #[must_use]
    pub fn of(names: &[String]) -> Self {
        Self {
            everything: names.iter().any(|name| name == EVERYTHING),
            named: names.iter().filter_map(|name| Scope::parse(name)).collect(),
        }
    }

    /// Whether `scope` is one of them.
    #[must_use]
    pub fn allow(&self, scope: Scope) -> bool {
        self.everything || self.named.contains(&scope)
    }

    /// Whether all of `other` are among them.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        self.everything || (!other.everything && other.named.is_subset(&self.named))
    }
}

impl From<Scopes> for Vec<String> {
    fn from(scopes: Scopes) -> Self {
        let everything = scopes.everything.then(|| EVERYTHING.to_owned());
        let named = scopes.named.iter().map(|scope| scope.as_str().to_owned());
        everything.into_iter().chain(named).collect()
    }
}

impl From<Vec<String>> for Scopes {
    fn from(names: Vec<String>) -> Self {
        Self::of(&names)
    }
}

/// What a route asks of whoever comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing.
    Public,
    /// A secret in the body, or in what a provider sends a browser back with, which the handler sees to.
    Body,
    /// Any valid token.
    Token,
    /// A token with this scope.
    Scoped(Scope),
    /// A token with this scope, or nothing where the configuration publishes it.
    Published(Scope),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Scopes {
        Scopes::of(
            &names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn a_bearer_cannot_hand_on_what_it_does_not_have() {
        assert!(of(&["*"]).cover(&of(&["*"])));
        assert!(of(&["admin", "ca:read"]).cover(&of(&["ca:read"])));
        assert!(!of(&["admin", "ca:read"]).cover(&of(&["ca:read", "ca:root"])));
        assert!(!of(&["admin"]).cover(&of(&["*"])));
    }

    #[test]
    fn an_unknown_scope_allows_nothing() {
        let scopes = of(&["devices:everything", "Admin", ""]);
        assert!(Scope::ALL.into_iter().all(|scope| !scopes.allow(scope)));
    }
}
