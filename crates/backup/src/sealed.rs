//! Sealing for a recipient of `age` (<https://age-encryption.org/v1>).

use std::{
    io::{self, Read, Write},
    iter,
};

use age::{Decryptor, Encryptor, stream::StreamWriter, x25519};

/// How a sealed file begins.
const BEGINNING: &[u8] = b"age-encryption.org/";

/// Why a sealed backup cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The text holds no secret key.
    #[error("there is no secret key of age in it (AGE-SECRET-KEY-1...), as `age-keygen` writes it")]
    NoIdentity,
    /// It is sealed for somebody else, or damaged.
    #[error("the backup does not open with this key: {0}")]
    Closed(#[from] age::DecryptError),
}

/// Secret keys.
pub struct Identities(Vec<x25519::Identity>);

impl Identities {
    /// Those in a file as `age-keygen` writes it.
    ///
    /// # Errors
    /// When there is none in it.
    pub fn parse(text: &str) -> Result<Self, OpenError> {
        let lines = text.lines().map(str::trim);
        let found: Vec<_> = lines.filter_map(|line| line.parse().ok()).collect();
        match found.is_empty() {
            true => Err(OpenError::NoIdentity),
            false => Ok(Self(found)),
        }
    }
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identities")
    }
}

/// Whether a file that begins so is sealed.
#[must_use]
pub fn is_sealed(beginning: &[u8]) -> bool {
    beginning.starts_with(BEGINNING)
}

/// Seals what is written for a recipient (`age1...`). Finish what comes back, or the end is missing.
///
/// # Errors
/// When the text is no recipient, or `sink` fails.
pub fn seal<W: Write>(recipient: &str, sink: W) -> io::Result<StreamWriter<W>> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why.to_owned());
    let recipient: x25519::Recipient = recipient.parse().map_err(invalid)?;
    let encryptor = Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient))
        .map_err(|error| invalid(&error.to_string()))?;
    encryptor.wrap_output(sink)
}

/// Opens what was sealed.
///
/// # Errors
/// When none of the keys opens it.
pub fn open<R: Read>(source: R, identities: &Identities) -> Result<impl Read + use<R>, OpenError> {
    let decryptor = Decryptor::new(source)?;
    let keys = identities.0.iter().map(|key| key as &dyn age::Identity);
    Ok(decryptor.decrypt(keys)?)
}
