//! Roles by their names. What a role may do stands in its policies (see [`crate::RoleBook`]).

use std::fmt;

use serde::{Deserialize, Serialize};

/// What somebody is here: one of the roles that ship, or one that people wrote.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
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
    /// Something that people wrote policies for.
    Custom(RoleName),
}

/// The name of a role that people wrote.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(String);

/// A text that is no name of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role's name has 1 to 40 of the characters a-z, 0-9 and '-', and begins with a letter")]
pub struct NotARole;

impl Role {
    /// All that ship.
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
    pub fn as_str(&self) -> &str {
        match self {
            Self::Owner => "owner",
            Self::SecurityAnalyst => "security-analyst",
            Self::Operator => "operator",
            Self::ReleaseManager => "release-manager",
            Self::Auditor => "auditor",
            Self::Technician => "technician",
            Self::Custom(name) => &name.0,
        }
    }

    /// Whether it ships.
    #[must_use]
    pub fn is_shipped(&self) -> bool {
        !matches!(self, Self::Custom(_))
    }

    /// Reads a name; there need not be such a role.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(shipped) = Self::ALL.into_iter().find(|role| role.as_str() == text) {
            return Some(shipped);
        }
        let is_of = |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit() || one == b'-';
        let begins = text
            .bytes()
            .next()
            .is_some_and(|one| one.is_ascii_lowercase());
        let is_name = begins && text.len() <= 40 && text.bytes().all(is_of);
        is_name.then(|| Self::Custom(RoleName(text.to_owned())))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.as_str().to_owned()
    }
}

impl TryFrom<String> for Role {
    type Error = NotARole;

    fn try_from(text: String) -> Result<Self, NotARole> {
        Self::parse(&text).ok_or(NotARole)
    }
}
