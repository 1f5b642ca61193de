//! Whom a letter goes to.

use std::fmt;

use lettre::message::Mailbox;

/// The longest address with its name, in bytes.
pub(crate) const MAX_BYTES: usize = 320;

/// Whom a letter goes to, or from whom it is: an address, and perhaps a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(pub(crate) Mailbox);

/// A text that is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAddress {
    /// It is none.
    #[error("write `someone@example.org` or `Name <someone@example.org>`")]
    Form,
    /// It is one, with a name.
    #[error("write an address without a name: `someone@example.org`")]
    Named,
    /// It has other letters than mail takes everywhere.
    #[error("an address is of ASCII letters")]
    NotAscii,
}

impl Address {
    /// Reads an address, with a name or without. What is not ASCII in an address not every server takes; a name may
    /// have it.
    ///
    /// # Errors
    /// Says what would be right.
    pub fn parse(text: &str) -> Result<Self, NotAnAddress> {
        if text.len() > MAX_BYTES || text.chars().any(char::is_control) {
            return Err(NotAnAddress::Form);
        }
        let mailbox: Mailbox = text.parse().map_err(|_| NotAnAddress::Form)?;
        match mailbox.email.to_string().is_ascii() {
            true => Ok(Self(mailbox)),
            false => Err(NotAnAddress::NotAscii),
        }
    }

    /// Reads an address that has no name.
    ///
    /// # Errors
    /// Says what would be right.
    pub fn bare(text: &str) -> Result<Self, NotAnAddress> {
        let address = Self::parse(text.trim())?;
        match address.0.name.is_none() && !text.contains(['<', '>']) {
            true => Ok(address),
            false => Err(NotAnAddress::Named),
        }
    }

    /// The address alone.
    #[must_use]
    pub fn email(&self) -> String {
        self.0.email.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text as one line: what would break it is a space.
#[must_use]
pub fn one_line(text: &str) -> String {
    let is_break = |one: char| one.is_control() || matches!(one, '\u{2028}' | '\u{2029}');
    text.replace(is_break, " ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_and_nothing_besides() {
        for text in ["ann@example.org", " ann.b+x@mail.example.org "] {
            let read = Address::bare(text).map(|address| address.email());
            assert_eq!(read.as_deref(), Ok(text.trim()));
        }
        for (text, why) in [
            ("ann", NotAnAddress::Form),
            ("", NotAnAddress::Form),
            ("a@example.org,b@example.org", NotAnAddress::Form),
            (
                "a@example.org\r\nRCPT TO:<b@example.org>",
                NotAnAddress::Form,
            ),
            ("Ann <ann@example.org>", NotAnAddress::Named),
            ("<ann@example.org>", NotAnAddress::Named),
            ("\u{fc}@example.org", NotAnAddress::NotAscii),
        ] {
            assert_eq!(Address::bare(text), Err(why), "{text}");
        }
        let long = format!("{}@example.org", "a".repeat(400));
        assert_eq!(Address::bare(&long), Err(NotAnAddress::Form));
    }
}
