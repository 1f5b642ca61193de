//! Names of files within a backup.

use std::{fmt, path::Path, str::FromStr};

use serde::{Deserialize, Serialize};

/// A path below the data directory that leads nowhere else: `vault/log/1.log`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A text that is no such path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a file in a backup")]
pub struct NameError(String);

/// What the form of tar has room for.
const MAX_LENGTH: usize = 255;

impl Name {
    /// It as a path, relative to the data directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// It as a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_plain = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && !part.chars().any(|one| one.is_control() || one == '\\')
        };
        match text.len() <= MAX_LENGTH && text.split('/').all(is_plain) {
            true => Ok(Self(text.to_owned())),
            false => Err(NameError(text.chars().take(80).collect())),
        }
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        for good in ["palisade.db", "vault/log/1.log", "roles/Ä.cedar", "a..b"] {
            assert_eq!(good.parse::<Name>().expect("good").as_str(), good);
        }
        let long = "a".repeat(256);
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a/.",
            "a\0",
            "a\nb",
            "a\\b",
            &long,
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?} was taken");
        }
    }
}
