//! Names of accounts.

use std::fmt;

/// The name of an account: 1 to 64 small letters, digits and `._@-`, the first a letter or digit. Capital
/// letters are read as small ones, so that no two accounts look alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(String);

/// A text that is no name of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an account's name has 1 to 64 of the characters a-z, 0-9, '.', '_', '@', '-' and begins with a letter \
     or digit"
)]
pub struct NotAName;

impl AccountName {
    /// Reads a name.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, NotAName> {
        let is_of = |one: u8| one.is_ascii_alphanumeric() || b"._@-".contains(&one);
        let starts_well = text
            .bytes()
            .next()
            .is_some_and(|one| one.is_ascii_alphanumeric());
        match starts_well && text.len() <= 64 && text.bytes().all(is_of) {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err(NotAName),
        }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
