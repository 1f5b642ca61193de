//! Whom an export is sealed for: public keys of age (<https://age-encryption.org/v1>).

use std::{fmt, str::FromStr};

use age::{Encryptor, stream::StreamWriter, x25519};

use super::{ExportError, Sink};

/// Whoever holds the secret key of this one opens the export, and nobody else: `age1...`.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(x25519::Recipient);

/// Why a text names no recipient. It never holds the text, which may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// It is a secret key.
    #[error(
        "a recipient is a public key (age1...), and this is a secret one: it has now been where it should \
         not be, make another with `age-keygen`"
    )]
    Secret,
    /// It is a key of SSH.
    #[error(
        "keys of SSH are not taken as recipients: make one with `age-keygen`, and give its public key (age1...)"
    )]
    Ssh,
    /// It is something else.
    #[error(
        "a recipient is a public key of age with X25519 (age1..., 62 characters), as `age-keygen` shows it"
    )]
    Other,
}

impl FromStr for Recipient {
    type Err = RecipientError;

    fn from_str(text: &str) -> Result<Self, RecipientError> {
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY") {
            return Err(RecipientError::Secret);
        }
        if text.starts_with("ssh-") {
            return Err(RecipientError::Ssh);
        }
        if text.len() != 62 {
            return Err(RecipientError::Other);
        }
        let parsed = text.parse().map_err(|_| RecipientError::Other)?;
        Ok(Self(parsed))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.0)
    }
}

/// A writer that seals for all of these.
pub(super) fn seal(recipients: &[Recipient], out: Sink) -> Result<StreamWriter<Sink>, ExportError> {
    let recipients = recipients.iter().map(|recipient| &recipient.0 as _);
    let encryptor = Encryptor::with_recipients(recipients)
        .map_err(|error| ExportError::Seal(error.to_string()))?;
    Ok(encryptor.wrap_output(out)?)
}
