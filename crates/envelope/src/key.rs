//! Keys of readers (X25519).

use std::{fmt, str::FromStr};

use aws_lc_rs::{
    agreement::{PrivateKey, X25519},
    digest::{SHA256, digest},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use zeroize::Zeroizing;

/// Bytes of a key, of either kind.
pub(crate) const KEY: usize = 32;
/// Bytes of the name of a key.
pub(crate) const ID: usize = 8;
/// What the texts of keys begin with.
const PUBLIC: &str = "prk_";
const SECRET: &str = "prs_";

/// The name of a public key in an envelope: the beginning of its SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; ID]);

/// Why a text is no key of a reader. It never holds the text, which may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReaderKeyError {
    /// The secret key where the public one belongs.
    #[error("this is a reader's secret key (prs_...): a device gets the public one (prk_...)")]
    IsSecret,
    /// The public key where the secret one belongs.
    #[error(
        "this is a reader's public key (prk_...): to open messages takes the secret one (prs_...)"
    )]
    IsPublic,
    /// It is none at all.
    #[error(
        "a reader's key is prk_ or prs_ and 43 characters of base64url, as `palisade reader key` makes it"
    )]
    NoKey,
    /// No key could be made.
    #[error("the system gives no random bytes")]
    Random,
}

/// For whom a device seals.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReaderPublicKey([u8; KEY]);

impl ReaderPublicKey {
    /// Its bytes (RFC 7748).
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; KEY] {
        &self.0
    }

    /// Its name in an envelope.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let hash = digest(&SHA256, &self.0);
        let mut id = [0; ID];
        id.copy_from_slice(&hash.as_ref()[..ID]);
        KeyId(id)
    }
}

impl FromStr for ReaderPublicKey {
    type Err = ReaderKeyError;

    fn from_str(text: &str) -> Result<Self, ReaderKeyError> {
        if text.starts_with(SECRET) {
            return Err(ReaderKeyError::IsSecret);
        }
        let bytes = decode(text.strip_prefix(PUBLIC))?;
        Ok(Self(*bytes))
    }
}

impl fmt::Display for ReaderPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", BASE64.encode(self.0))
    }
}

impl fmt::Debug for ReaderPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What opens messages that were sealed for its public key. It is wiped from memory when it is dropped.
pub struct ReaderKey {
    secret: Zeroizing<[u8; KEY]>,
    public: ReaderPublicKey,
}

impl ReaderKey {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> Result<Self, ReaderKeyError> {
        let mut secret = Zeroizing::new([0; KEY]);
        aws_lc_rs::rand::fill(secret.as_mut()).map_err(|_| ReaderKeyError::Random)?;
        Self::of(secret)
    }

    fn of(secret: Zeroizing<[u8; KEY]>) -> Result<Self, ReaderKeyError> {
        let key = PrivateKey::from_private_key(&X25519, secret.as_ref());
        let key = key.map_err(|_| ReaderKeyError::NoKey)?;
        let public = key
            .compute_public_key()
            .map_err(|_| ReaderKeyError::NoKey)?;
        let public = public
            .as_ref()
            .try_into()
            .map_err(|_| ReaderKeyError::NoKey)?;
        Ok(Self {
            secret,
            public: ReaderPublicKey(public),
        })
    }

    /// What devices seal for.
    #[must_use]
    pub fn public(&self) -> &ReaderPublicKey {
        &self.public
    }

    /// Its text, to be kept where nobody else reads it.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{SECRET}{}", BASE64.encode(self.secret.as_ref())))
    }

    pub(crate) fn secret(&self) -> &[u8] {
        self.secret.as_ref()
    }
}

impl FromStr for ReaderKey {
    type Err = ReaderKeyError;

    fn from_str(text: &str) -> Result<Self, ReaderKeyError> {
        if text.starts_with(PUBLIC) {
            return Err(ReaderKeyError::IsPublic);
        }
        Self::of(decode(text.strip_prefix(SECRET))?)
    }
}

impl fmt::Debug for ReaderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReaderKey(of {})", self.public)
    }
}

fn decode(text: Option<&str>) -> Result<Zeroizing<[u8; KEY]>, ReaderKeyError> {
    let text = text
        .filter(|text| text.len() == 43)
        .ok_or(ReaderKeyError::NoKey)?;
    let mut bytes = Zeroizing::new([0; KEY]);
    match BASE64.decode_slice_unchecked(text, bytes.as_mut()) {
        Ok(KEY) => Ok(bytes),
        _ => Err(ReaderKeyError::NoKey),
    }
}
