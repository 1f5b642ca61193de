//! Verifier keys (C2SP signed-note): `<name>+<id>+<base 64 of algorithm and key>`.

use std::{fmt, str::FromStr};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::hash::sha256;

/// The longest verifier key that is read, in bytes.
const MAX_KEY: usize = 1024;

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ed25519 over the note's text: a log.
    Ed25519,
    /// Ed25519 over a time and the note's text: a witness (C2SP tlog-cosignature).
    Cosignature,
}

impl Algorithm {
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Cosignature => 4,
        }
    }
}

/// Why a text is no verifier key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteKeyError {
    /// It does not have its parts.
    #[error("a key is written <name>+<8 hexadecimal digits>+<base 64>; this is not")]
    Form,
    /// The name cannot be in a note.
    #[error("the name of a key is not empty and has no space and no '+'")]
    Name,
    /// It is of another kind.
    #[error("the key is of algorithm {0}; 1 (Ed25519) and 4 (cosignatures) are known")]
    Algorithm(u8),
    /// The digits are not those of this key.
    #[error("the key does not have its id: it was not copied as a whole")]
    Id,
}

/// A public key that signs notes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NoteKey {
    name: String,
    algorithm: Algorithm,
    key: [u8; 32],
}

impl NoteKey {
    /// A key by its parts.
    ///
    /// # Errors
    /// When the name cannot be in a note.
    pub fn new(name: &str, algorithm: Algorithm, key: [u8; 32]) -> Result<Self, NoteKeyError> {
        if !is_name(name) {
            return Err(NoteKeyError::Name);
        }
        let name = name.to_owned();
        Ok(Self {
            name,
            algorithm,
            key,
        })
    }

    /// Whether a text can be the name of a key, and so of a log or a witness.
    #[must_use]
    pub fn can_name(name: &str) -> bool {
        is_name(name)
    }

    /// Whose it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What tells it from other keys of the same name.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let kind = [self.algorithm.byte()];
        let [a, b, c, d, ..] = sha256(&[self.name.as_bytes(), b"\n", &kind, &self.key]);
        [a, b, c, d]
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.key);
        key.verify(message, signature).is_ok()
    }
}

/// Whether a text can be a key's name in a note.
pub(crate) fn is_name(name: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    !name.is_empty() && !name.contains(bad)
}

impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.id();
        let key = STANDARD.encode([&[self.algorithm.byte()][..], &self.key].concat());
        write!(f, "{}+{a:02x}{b:02x}{c:02x}{d:02x}+{key}", self.name)
    }
}

impl FromStr for NoteKey {
    type Err = NoteKeyError;

    fn from_str(text: &str) -> Result<Self, NoteKeyError> {
        if text.len() > MAX_KEY {
            return Err(NoteKeyError::Form);
        }
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteKeyError::Form);
        };
        let key = STANDARD.decode(key).map_err(|_| NoteKeyError::Form)?;
        let (&kind, key) = key.split_first().ok_or(NoteKeyError::Form)?;
        let algorithm = match kind {
            1 => Algorithm::Ed25519,
            4 => Algorithm::Cosignature,
            other => return Err(NoteKeyError::Algorithm(other)),
        };
        let key = key.try_into().map_err(|_| NoteKeyError::Form)?;
        let key = Self::new(name, algorithm, key)?;
        let written =
            id.len() == 8 && u32::from_str_radix(id, 16) == Ok(u32::from_be_bytes(key.id()));
        written.then_some(key).ok_or(NoteKeyError::Id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The key of the documentation of golang.org/x/mod/sumdb/note.
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn a_key_of_another_implementation_reads_and_writes_back() {
        let key: NoteKey = PETER.parse().expect("reads");
        assert_eq!(
            (key.name(), key.algorithm()),
            ("PeterNeumann", Algorithm::Ed25519)
        );
        assert_eq!(key.to_string(), PETER);
    }

    #[test]
    fn what_is_no_key_is_refused_with_a_reason() {
        let parse = |text: &str| text.parse::<NoteKey>().expect_err("it is no key");
        assert_eq!(parse(""), NoteKeyError::Form);
        assert_eq!(parse("a+b"), NoteKeyError::Form);
        assert_eq!(parse(&PETER.replace("c74f", "c74e")), NoteKeyError::Id);
        assert_eq!(
            parse(&PETER.replace("+ARp", "+AxP")),
            NoteKeyError::Algorithm(3)
        );
        assert_eq!(
            parse(&PETER.replace("PeterN", "Peter N")),
            NoteKeyError::Name
        );
        assert_eq!(parse(&"a".repeat(2000)), NoteKeyError::Form);
    }
}
