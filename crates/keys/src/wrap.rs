//! Keys that wrap keys.

use std::{collections::BTreeSet, fmt, sync::Arc};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    rand::{SecureRandom, SystemRandom},
};
use zeroize::Zeroizing;

use crate::{Keystore, KeystoreError, Secret};

/// Why a key cannot be wrapped or unwrapped.
#[derive(Debug, thiserror::Error)]
pub enum WrapError {
    /// It was wrapped under another key, for another purpose, or changed.
    #[error("a wrapped key cannot be opened: it was changed, or belongs elsewhere")]
    Refused,
    /// The key that wrapped it is gone, or was never here.
    #[error("the key {0:?} that wraps others is not there")]
    Missing(String),
    /// The keystore failed.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The root key is elsewhere, and cannot be used now: nothing is known of what was wrapped.
    #[error("the root key in {place} cannot be used now: {why}")]
    Away {
        /// Where it is.
        place: String,
        /// Why not.
        why: String,
    },
    /// The cryptographic library refused.
    #[error("the cryptographic library failed to {0}")]
    Crypto(&'static str),
}

/// Wraps keys under one that stays where it is. What is wrapped in a context is opened in that alone.
pub trait KeyWrap: Send + Sync + fmt::Debug {
    /// Wraps a key.
    ///
    /// # Errors
    /// When the wrapping key cannot be used.
    fn wrap(&self, key: &Secret, context: &[u8]) -> Result<Vec<u8>, WrapError>;

    /// Opens what [`KeyWrap::wrap`] gave for this context.
    ///
    /// # Errors
    /// When it gave something else, or the wrapping key cannot be used.
    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Secret, WrapError>;

    /// Whether it can be used now, where that is not certain.
    ///
    /// # Errors
    /// Why it cannot.
    fn check(&self) -> Result<(), WrapError> {
        Ok(())
    }
}

/// A wrapping key that can be replaced: its newest version wraps, each opens what it wrapped.
pub trait VersionedWrap: KeyWrap {
    /// Makes a new version, which wraps from now on. Says which.
    ///
    /// # Errors
    /// When it cannot be made.
    fn rotate(&self) -> Result<u32, WrapError>;

    /// Under which version a key was wrapped; `None` where it is no wrapped key.
    fn version_of(&self, wrapped: &[u8]) -> Option<u32>;

    /// Destroys every version but the newest and those that are in use: what they wrapped is lost for ever.
    ///
    /// # Errors
    /// When one cannot be destroyed.
    fn retire(&self, in_use: &BTreeSet<u32>) -> Result<(), WrapError>;

    /// Destroys every version but those that are in use, the newest as well: another root wraps from now on.
    ///
    /// # Errors
    /// When one cannot be destroyed.
    fn abandon(&self, in_use: &BTreeSet<u32>) -> Result<(), WrapError>;
}

/// A key in memory that wraps others with AES-256-GCM.
#[derive(Debug, Clone)]
pub struct WrappingKey(Secret);

impl WrappingKey {
    /// The length of a key, in bytes.
    pub const LEN: usize = 32;

    /// A key of [`WrappingKey::LEN`] bytes.
    ///
    /// # Errors
    /// When it has another length.
    pub fn new(key: Secret) -> Result<Self, WrapError> {
        if key.expose().len() != Self::LEN {
            return Err(WrapError::Crypto("use a wrapping key of this length"));
        }
        Ok(Self(key))
    }

    fn cipher(&self) -> Result<RandomizedNonceKey, WrapError> {
        RandomizedNonceKey::new(&AES_256_GCM, self.0.expose())
            .map_err(|_| WrapError::Crypto("use a wrapping key"))
    }
}

impl KeyWrap for WrappingKey {
    fn wrap(&self, key: &Secret, context: &[u8]) -> Result<Vec<u8>, WrapError> {
        let mut body = Zeroizing::new(key.expose().to_vec());
        let (nonce, tag) = self
            .cipher()?
            .seal_in_place_separate_tag(Aad::from(context), &mut body)
            .map_err(|_| WrapError::Crypto("wrap a key"))?;
        let mut wrapped = nonce.as_ref().to_vec();
        wrapped.extend_from_slice(&body);
        wrapped.extend_from_slice(tag.as_ref());
        Ok(wrapped)
    }

    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Secret, WrapError> {
        let (nonce, body) = wrapped
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(WrapError::Refused)?;
        let mut body = Zeroizing::new(body.to_vec());
        let opened = self
            .cipher()?
            .open_in_place(Nonce::from(nonce), Aad::from(context), &mut body)
            .map_err(|_| WrapError::Refused)?;
        Ok(Secret::new(opened.to_vec()))
    }
}

/// A key of this many random bytes.
///
/// # Errors
/// When the operating system has no randomness.
pub fn random_key(len: usize) -> Result<Secret, WrapError> {
    let mut key = vec![0; len];
    SystemRandom::new()
        .fill(&mut key)
        .map_err(|_| WrapError::Crypto("give random bytes"))?;
    Ok(Secret::new(key))
}

/// A root key in the keystore, in versions: the newest wraps, each opens what it wrapped.
#[derive(Debug, Clone)]
pub struct RootKey {
    keystore: Arc<Keystore>,
    name: String,
}

impl RootKey {
    /// The root key of this name; its first version is made where there is none.
    ///
    /// # Errors
    /// When the keystore cannot be used.
    pub fn open(keystore: Arc<Keystore>, name: &str) -> Result<Self, WrapError> {
        let root = Self::existing(keystore, name);
        if root.versions().is_empty() {
            root.add(1)?;
        }
        Ok(root)
    }

    /// The root key of this name, for what it wrapped: another one wraps.
    #[must_use]
    pub fn existing(keystore: Arc<Keystore>, name: &str) -> Self {
        Self {
            keystore,
            name: name.to_owned(),
        }
    }

    /// The versions that are there, the newest last.
    #[must_use]
    pub fn versions(&self) -> Vec<u32> {
        let prefix = format!("{}.", self.name);
        let names = self.keystore.list();
        let mut versions: Vec<u32> = names
            .iter()
            .filter_map(|name| name.strip_prefix(&prefix)?.parse().ok())
            .collect();
        versions.sort_unstable();
        versions
    }

    fn newest(&self) -> Result<u32, WrapError> {
        let newest = self.versions().pop();
        newest.ok_or_else(|| WrapError::Missing(self.name.clone()))
    }

    fn secret(&self, version: u32) -> String {
        format!("{}.{version}", self.name)
    }

    fn add(&self, version: u32) -> Result<(), WrapError> {
        let key = random_key(WrappingKey::LEN)?;
        self.keystore.put(&self.secret(version), key.expose())?;
        Ok(())
    }

    fn key(&self, version: u32) -> Result<WrappingKey, WrapError> {
        let name = self.secret(version);
        let secret = self.keystore.get(&name).map_err(|error| match error {
            KeystoreError::Missing(name) => WrapError::Missing(name),
            other => WrapError::Keystore(other),
        })?;
        WrappingKey::new(secret)
    }
}

impl KeyWrap for RootKey {
    fn wrap(&self, key: &Secret, context: &[u8]) -> Result<Vec<u8>, WrapError> {
        let version = self.newest()?;
        let mut wrapped = version.to_be_bytes().to_vec();
        wrapped.extend(self.key(version)?.wrap(key, context)?);
        Ok(wrapped)
    }

    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Secret, WrapError> {
        let (version, wrapped) = wrapped.split_first_chunk().ok_or(WrapError::Refused)?;
        self.key(u32::from_be_bytes(*version))?
            .unwrap(wrapped, context)
    }
}

impl VersionedWrap for RootKey {
    fn rotate(&self) -> Result<u32, WrapError> {
        let next = self.newest()? + 1;
        self.add(next)?;
        Ok(next)
    }

    fn version_of(&self, wrapped: &[u8]) -> Option<u32> {
        let (version, _) = wrapped.split_first_chunk()?;
        Some(u32::from_be_bytes(*version))
    }

    fn retire(&self, in_use: &BTreeSet<u32>) -> Result<(), WrapError> {
        let mut kept = in_use.clone();
        kept.extend(self.versions().pop());
        self.abandon(&kept)
    }

    fn abandon(&self, in_use: &BTreeSet<u32>) -> Result<(), WrapError> {
        for version in self.versions() {
            if !in_use.contains(&version) {
                self.keystore.remove(&self.secret(version))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeySource;

    fn root(folder: &std::path::Path) -> RootKey {
        let source = KeySource::Passphrase(Secret::from("correct horse battery staple"));
        let keystore = Keystore::open(&folder.join("keys"), &source).expect("opens");
        RootKey::open(Arc::new(keystore), "vault").expect("opens")
    }

    #[test]
    fn a_wrapped_key_is_opened_in_its_context_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = root(folder.path());
        let key = random_key(32).expect("a key");
        let wrapped = root.wrap(&key, b"segment a").expect("wraps");
        let opened = root.unwrap(&wrapped, b"segment a").expect("opens");
        assert_eq!(opened.expose(), key.expose());
        assert!(matches!(
            root.unwrap(&wrapped, b"segment b"),
            Err(WrapError::Refused)
        ));
        for at in 4..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[at] ^= 1;
            assert!(root.unwrap(&changed, b"segment a").is_err(), "byte {at}");
        }
        for len in 0..wrapped.len() {
            assert!(root.unwrap(&wrapped[..len], b"segment a").is_err());
        }
    }

    #[test]
    fn what_an_older_version_wrapped_opens_until_that_is_destroyed() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = root(folder.path());
        let key = random_key(32).expect("a key");
        let old = root.wrap(&key, b"").expect("wraps");
        assert_eq!(root.rotate().expect("rotates"), 2);
        let new = root.wrap(&key, b"").expect("wraps");
        assert_eq!(
            (root.version_of(&old), root.version_of(&new)),
            (Some(1), Some(2))
        );
        root.retire(&BTreeSet::from([1])).expect("keeps it");
        assert_eq!(
            root.unwrap(&old, b"").expect("opens").expose(),
            key.expose()
        );
        root.retire(&BTreeSet::new()).expect("destroyed");
        assert!(matches!(root.unwrap(&old, b""), Err(WrapError::Missing(_))));
        assert_eq!(
            root.unwrap(&new, b"").expect("opens").expose(),
            key.expose()
        );
    }
}
