//! Roles: named sets of what a caller may do. The scopes are named as the REST door names them; a test there
//! holds that each name is one.

use serde::{Deserialize, Serialize};

/// What somebody is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// May do everything. An owner must have a second factor.
    Owner,
    /// Works on findings and cases, contains devices.
    SecurityAnalyst,
    /// Runs the fleet: devices, tokens, services, messages.
    Operator,
    /// Sees the fleet to bring releases out to it.
    ReleaseManager,
    /// Reads everything, changes nothing.
    Auditor,
    /// Works on devices in the field.
    Technician,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Owner,
        Self::SecurityAnalyst,
        Self::Operator,
        Self::ReleaseManager,
        Self::Auditor,
        Self::Technician,
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::SecurityAnalyst => "security-analyst",
            Self::Operator => "operator",
            Self::ReleaseManager => "release-manager",
            Self::Auditor => "auditor",
            Self::Technician => "technician",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// What it may do, by the names of scopes.
    #[must_use]
    pub fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Owner => &["*"],
            Self::SecurityAnalyst => &[
                "status:read",
                "devices:read",
                "devices:write",
                "services:read",
                "policy:read",
                "events:read",
                "ledger:read",
                "ca:read",
                "detect:read",
                "detect:write",
                "respond:read",
                "respond:write",
                "respond:approve",
            ],
            Self::Operator => &[
                "status:read",
                "devices:read",
                "devices:write",
                "tokens:read",
                "tokens:write",
                "services:read",
                "services:write",
                "policy:read",
                "messages:write",
                "events:read",
                "ca:read",
                "detect:read",
                "respond:read",
            ],
            Self::ReleaseManager => &[
                "status:read",
                "devices:read",
                "services:read",
                "events:read",
                "detect:read",
            ],
            Self::Auditor => &[
                "status:read",
                "devices:read",
                "tokens:read",
                "services:read",
                "policy:read",
                "events:read",
                "ledger:read",
                "ca:read",
                "detect:read",
                "respond:read",
            ],
            Self::Technician => &["status:read", "devices:read", "devices:write"],
        }
    }
}
