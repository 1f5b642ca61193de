//! Signing keys: ECDSA on P-256 with SHA-256.
//!
//! A key that leaves the keystore does so as an encrypted PKCS#8 file (RFC 5958 with PBES2 of RFC 8018:
//! PBKDF2-HMAC-SHA256 and AES-256-CBC), which `openssl pkey` reads: whoever holds the file and the
//! passphrase needs no Palisade to use it. CBC alone does not tell that a file was changed; whoever
//! imports a key compares its public key with the one expected, and that does.

use std::{fmt, num::NonZeroU32};

use aws_lc_rs::{
    cipher::{
        AES_256, AES_256_KEY_LEN, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
        PaddedBlockEncryptingKey, UnboundCipherKey,
    },
    encoding::AsDer,
    iv::FixedLength,
    pbkdf2,
    rand::{SecureRandom, SystemRandom},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use pkcs8::{
    EncryptedPrivateKeyInfo, LineEnding, SecretDocument,
    der::{Decode, pem::PemLabel},
    pkcs5::{
        EncryptionScheme,
        pbes2::{self, Pbkdf2Prf},
    },
};
use zeroize::Zeroizing;

use crate::{Secret, source::MIN_PASSPHRASE};

/// What OWASP asks of PBKDF2-HMAC-SHA256.
const ITERATIONS: u32 = 600_000;
/// The most that a file may ask for, so that a forged one cannot keep us busy.
const MAX_ITERATIONS: u32 = 10_000_000;

/// Why a signing key cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The cryptographic library refused.
    #[error("the cryptographic library failed to {0}")]
    Crypto(&'static str),
    /// The bytes are not a P-256 key in PKCS#8.
    #[error("this is not a P-256 private key in PKCS#8")]
    NotAKey,
    /// The bytes are not an Ed25519 key in PKCS#8.
    #[error("this is not an Ed25519 private key in PKCS#8")]
    NotALogKey,
    /// The text is not an encrypted private key.
    #[error("this is not an encrypted private key (PEM, `ENCRYPTED PRIVATE KEY`)")]
    NotEncrypted,
    /// It is encrypted in a way that is not supported.
    #[error("the private key is encrypted in another way than PBKDF2-HMAC-SHA256 and AES-256-CBC")]
    Unsupported,
    /// The passphrase does not open it.
    #[error("the passphrase is wrong, or the file was changed")]
    WrongPassphrase,
    /// The passphrase is too short to protect a key that leaves the house.
    #[error("a passphrase has at least {MIN_PASSPHRASE} bytes")]
    ShortPassphrase,
}

/// A private key that signs; zeroised when dropped, never printed.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    pkcs8: Secret,
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn generate() -> Result<Self, SigningKeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .map_err(|_| SigningKeyError::Crypto("generate a key"))?;
        let document = pair
            .to_pkcs8v1()
            .map_err(|_| SigningKeyError::Crypto("write a key"))?;
        let pkcs8 = Secret::new(document.as_ref().to_vec());
        Ok(Self { pair, pkcs8 })
    }

    /// Reads a key in PKCS#8 DER.
    ///
    /// # Errors
    /// When it is no P-256 key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, SigningKeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der)
            .map_err(|_| SigningKeyError::NotAKey)?;
        let pkcs8 = Secret::new(der.to_vec());
        Ok(Self { pair, pkcs8 })
    }

    /// The key in PKCS#8 DER.
    #[must_use]
    pub fn pkcs8(&self) -> &Secret {
        &self.pkcs8
    }

    /// The public point, uncompressed: 65 bytes.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The public key as a DER SubjectPublicKeyInfo (RFC 5480).
    ///
    /// # Errors
    /// When the cryptographic library cannot write it.
    pub fn public_key_info(&self) -> Result<Vec<u8>, SigningKeyError> {
        let der = self
            .pair
            .public_key()
            .as_der()
            .map_err(|_| SigningKeyError::Crypto("write a public key"))?;
        Ok(der.as_ref().to_vec())
    }

    /// Signs a message: ECDSA with SHA-256, the signature in DER.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningKeyError> {
        let signature = self
            .pair
            .sign(&SystemRandom::new(), message)
            .map_err(|_| SigningKeyError::Crypto("sign"))?;
        Ok(signature.as_ref().to_vec())
    }

    /// The key in PEM (PKCS#8, not encrypted), for whoever it was made for.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn to_pem(&self) -> Result<Secret, SigningKeyError> {
        SecretDocument::try_from(self.pkcs8.expose())
            .and_then(|document| document.to_pem("PRIVATE KEY", LineEnding::LF))
            .map(|pem| Secret::from(pem.as_str()))
            .map_err(|_| SigningKeyError::Crypto("write a key"))
    }

    /// The key under a passphrase, as PEM.
    ///
    /// # Errors
    /// When the passphrase is too short, or the cryptographic library fails.
    pub fn to_encrypted_pem(&self, passphrase: &Secret) -> Result<String, SigningKeyError> {
        if passphrase.expose().len() < MIN_PASSPHRASE {
            return Err(SigningKeyError::ShortPassphrase);
        }
        let failed = |_| SigningKeyError::Crypto("encrypt a key");
        let (mut salt, mut iv) = ([0u8; 16], [0u8; 16]);
        let random = SystemRandom::new();
        random.fill(&mut salt).map_err(failed)?;
        random.fill(&mut iv).map_err(failed)?;
        let cipher =
            UnboundCipherKey::new(&AES_256, stretch(passphrase, &salt, ITERATIONS).as_ref())
                .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
                .map_err(failed)?;
        let mut data = self.pkcs8.expose().to_vec();
        cipher
            .less_safe_encrypt(&mut data, EncryptionContext::Iv128(FixedLength::from(iv)))
            .map_err(failed)?;
        let parameters = pbes2::Parameters::pbkdf2_sha256_aes256cbc(ITERATIONS, &salt, &iv)
            .map_err(|_| SigningKeyError::Crypto("describe the encryption"))?;
        let info = EncryptedPrivateKeyInfo {
            encryption_algorithm: EncryptionScheme::Pbes2(parameters),
            encrypted_data: &data,
        };
        let write = |_| SigningKeyError::Crypto("write a key");
        let document = SecretDocument::encode_msg(&info).map_err(write)?;
        document
            .to_pem(EncryptedPrivateKeyInfo::PEM_LABEL, LineEnding::LF)
            .map(|pem| pem.as_str().to_owned())
            .map_err(write)
    }

    /// Reads a key that is encrypted under a passphrase, from PEM.
    ///
    /// # Errors
    /// When the text is no such key, the passphrase is wrong, or the way of encryption is another.
    pub fn from_encrypted_pem(pem: &str, passphrase: &Secret) -> Result<Self, SigningKeyError> {
        let (label, document) =
            SecretDocument::from_pem(pem.trim()).map_err(|_| SigningKeyError::NotEncrypted)?;
        if label != EncryptedPrivateKeyInfo::PEM_LABEL {
            return Err(SigningKeyError::NotEncrypted);
        }
        let info = EncryptedPrivateKeyInfo::from_der(document.as_bytes())
            .map_err(|_| SigningKeyError::NotEncrypted)?;
        let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
            return Err(SigningKeyError::Unsupported);
        };
        let pbes2::Kdf::Pbkdf2(kdf) = &parameters.kdf else {
            return Err(SigningKeyError::Unsupported);
        };
        let pbes2::EncryptionScheme::Aes256Cbc { iv } = parameters.encryption else {
            return Err(SigningKeyError::Unsupported);
        };
        if kdf.prf != Pbkdf2Prf::HmacWithSha256 || kdf.iteration_count > MAX_ITERATIONS {
            return Err(SigningKeyError::Unsupported);
        }
        let key = stretch(passphrase, kdf.salt, kdf.iteration_count);
        let mut data = Zeroizing::new(info.encrypted_data.to_vec());
        let opened = UnboundCipherKey::new(&AES_256, key.as_ref())
            .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
            .and_then(|cipher| {
                cipher.decrypt(&mut data, DecryptionContext::Iv128(FixedLength::from(*iv)))
            })
            .map_err(|_| SigningKeyError::WrongPassphrase)?;
        Self::from_pkcs8(opened).map_err(|_| SigningKeyError::WrongPassphrase)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

fn stretch(passphrase: &Secret, salt: &[u8], iterations: u32) -> Zeroizing<[u8; AES_256_KEY_LEN]> {
    let mut key = Zeroizing::new([0; AES_256_KEY_LEN]);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN),
        salt,
        passphrase.expose(),
        key.as_mut(),
    );
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

    #[test]
    fn a_signature_verifies_with_the_public_key() {
        let key = SigningKey::generate().expect("a key");
        let signature = key.sign(b"message").expect("signs");
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key())
            .verify(b"message", &signature)
            .expect("verifies");
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
    }

    #[test]
    fn an_exported_key_reads_back_under_its_passphrase_and_no_other() {
        let key = SigningKey::generate().expect("a key");
        let right = Secret::from("a long enough passphrase");
        let pem = key.to_encrypted_pem(&right).expect("encrypts");
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        let back = SigningKey::from_encrypted_pem(&pem, &right).expect("reads back");
        assert_eq!(back.public_key(), key.public_key());
        let wrong = Secret::from("another long passphrase");
        assert!(matches!(
            SigningKey::from_encrypted_pem(&pem, &wrong),
            Err(SigningKeyError::WrongPassphrase)
        ));
        assert!(matches!(
            key.to_encrypted_pem(&Secret::from("short")),
            Err(SigningKeyError::ShortPassphrase)
        ));
    }

    #[test]
    fn what_is_not_an_encrypted_key_is_refused_with_a_reason() {
        let any = Secret::from("a long enough passphrase");
        for text in [
            "",
            "hello",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        ] {
            assert!(matches!(
                SigningKey::from_encrypted_pem(text, &any),
                Err(SigningKeyError::NotEncrypted)
            ));
        }
    }

    #[test]
    fn openssl_reads_an_exported_key() {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, key) = (
            directory.path().join("root.key"),
            SigningKey::generate().expect("a key"),
        );
        let pem = key
            .to_encrypted_pem(&Secret::from("a long enough passphrase"))
            .expect("encrypts");
        std::fs::write(&file, pem).expect("writes");
        let output = std::process::Command::new("openssl")
            .args([
                "pkey",
                "-passin",
                "pass:a long enough passphrase",
                "-pubout",
            ])
            .args(["-outform", "DER", "-in"])
            .arg(&file)
            .output();
        // The tool is installed by ./test; without it there is nothing to compare with.
        let Ok(output) = output else { return };
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, key.public_key_info().expect("public key"));
    }
}
