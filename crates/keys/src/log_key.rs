//! Keys that sign checkpoints: Ed25519 (RFC 8032).

use std::fmt;

use aws_lc_rs::signature::{ED25519_PUBLIC_KEY_LEN, Ed25519KeyPair, KeyPair};

use crate::{Secret, SigningKeyError};

/// A private key that signs checkpoints; never printed.
pub struct LogKey {
    pair: Ed25519KeyPair,
    pkcs8: Secret,
}

impl LogKey {
    /// A new key.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn generate() -> Result<Self, SigningKeyError> {
        let failed = |_| SigningKeyError::Crypto("generate a key");
        let pair = Ed25519KeyPair::generate().map_err(failed)?;
        let document = pair.to_pkcs8v1();
        let document = document.map_err(|_| SigningKeyError::Crypto("write a key"))?;
        let pkcs8 = Secret::new(document.as_ref().to_vec());
        Ok(Self { pair, pkcs8 })
    }

    /// Reads a key in PKCS#8 DER.
    ///
    /// # Errors
    /// When it is no Ed25519 key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, SigningKeyError> {
        let not_a_key = |_| SigningKeyError::NotALogKey;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(not_a_key)?;
        let pkcs8 = Secret::new(der.to_vec());
        Ok(Self { pair, pkcs8 })
    }

    /// The key in PKCS#8 DER.
    #[must_use]
    pub fn pkcs8(&self) -> &Secret {
        &self.pkcs8
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> [u8; ED25519_PUBLIC_KEY_LEN] {
        let mut key = [0; ED25519_PUBLIC_KEY_LEN];
        key.copy_from_slice(self.pair.public_key().as_ref());
        key
    }

    /// Signs a message. The same message always has the same signature.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_key_that_was_kept_signs_as_before() {
        let key = LogKey::generate().expect("a key");
        let back = LogKey::from_pkcs8(key.pkcs8().expose()).expect("reads back");
        assert_eq!(back.sign(b"message"), key.sign(b"message"));
        let public = UnparsedPublicKey::new(&ED25519, back.public_key());
        let valid = public.verify(b"message", &key.sign(b"message"));
        valid.expect("verifies");
        assert_eq!(format!("{key:?}"), "LogKey(..)");
        assert!(LogKey::from_pkcs8(b"no key").is_err());
    }
}
