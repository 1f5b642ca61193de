//! The file of sealed secrets.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    rand::{SecureRandom, SystemRandom},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::source::{KeySource, Material, SourceError};

/// OWASP's second choice for argon2id: 46 MiB, one pass, one lane; above its minimum of 19 MiB.
const MEMORY_KIB: u32 = 47_104;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const CHECK: &str = "check";
const CHECK_TEXT: &[u8] = b"palisade keystore";

/// Why a secret cannot be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// There is no key-encryption key.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The file cannot be read or written.
    #[error("cannot use the keystore {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a keystore.
    #[error("{path} is not a keystore: {why}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The key-encryption key is another than the one that sealed the file.
    #[error(
        "the key-encryption key does not open {0}: it is another one, or the passphrase is wrong"
    )]
    WrongKey(PathBuf),
    /// A secret was changed on disk.
    #[error("the secret {0:?} was changed on disk and cannot be opened")]
    Tampered(String),
    /// There is no such secret.
    #[error("there is no secret {0:?}")]
    Missing(String),
    /// The cryptographic library refused.
    #[error("the cryptographic library failed to {0}")]
    Crypto(&'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    /// Present where the key-encryption key is stretched from a passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    argon2id: Option<Stretch>,
    secrets: BTreeMap<String, String>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stretch {
    salt: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// An open keystore.
pub struct Keystore {
    path: PathBuf,
    kek: Zeroizing<[u8; 32]>,
    contents: Contents,
}

impl fmt::Debug for Keystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keystore({})", self.path.display())
    }
}

impl Keystore {
    /// Opens a keystore, or makes an empty one where there is none.
    ///
    /// # Errors
    /// When the key-encryption key cannot be had or is the wrong one, or the file cannot be used.
    pub fn open(path: &Path, source: &KeySource) -> Result<Self, KeystoreError> {
        match std::fs::read(path) {
            Ok(bytes) => Self::read(path, &bytes, source),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let (kek, argon2id) = derive(source, None)?;
                let contents = Contents {
                    version: 1,
                    argon2id,
                    secrets: BTreeMap::new(),
                };
                let mut store = Self {
                    path: path.to_owned(),
                    kek,
                    contents,
                };
                store.put(CHECK, CHECK_TEXT)?;
                Ok(store)
            }
            Err(source) => Err(KeystoreError::Io {
                path: path.to_owned(),
                source,
            }),
        }
    }

    fn read(path: &Path, bytes: &[u8], source: &KeySource) -> Result<Self, KeystoreError> {
        let malformed = |why: String| KeystoreError::Malformed {
            path: path.to_owned(),
            why,
        };
        let contents: Contents =
            serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        if contents.version != 1 {
            return Err(malformed(format!("its version is {}", contents.version)));
        }
        let (kek, _) = derive(source, Some(&contents))?;
        let store = Self {
            path: path.to_owned(),
            kek,
            contents,
        };
        match store.get(CHECK) {
            Ok(text) if text.as_slice() == CHECK_TEXT => Ok(store),
            _ => Err(KeystoreError::WrongKey(path.to_owned())),
        }
    }

    /// Whether there is a secret of this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.contents.secrets.contains_key(name)
    }

    /// Unseals a secret.
    ///
    /// # Errors
    /// When there is none, or it was changed.
    pub fn get(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        let text = self
            .contents
            .secrets
            .get(name)
            .ok_or_else(|| KeystoreError::Missing(name.to_owned()))?;
        let tampered = || KeystoreError::Tampered(name.to_owned());
        let sealed = BASE64.decode(text).map_err(|_| tampered())?;
        let (nonce, body) = sealed
            .split_first_chunk::<NONCE_LEN>()
            .ok_or_else(tampered)?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = cipher(&self.kek)?
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                aad(name),
                body.as_mut(),
            )
            .map_err(|_| tampered())?
            .len();
        body.truncate(length);
        Ok(body)
    }

    /// Seals a secret and writes the file; a secret of the same name is replaced.
    ///
    /// # Errors
    /// When the file cannot be written; the old one is then as it was.
    pub fn put(&mut self, name: &str, secret: &[u8]) -> Result<(), KeystoreError> {
        let sealed = seal(&self.kek, name, secret)?;
        let previous = self.contents.secrets.insert(name.to_owned(), sealed);
        let saved = self.save();
        if saved.is_err() {
            match previous {
                Some(old) => self.contents.secrets.insert(name.to_owned(), old),
                None => self.contents.secrets.remove(name),
            };
        }
        saved
    }

    /// Removes a secret and writes the file; `false` where there was none.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove(&mut self, name: &str) -> Result<bool, KeystoreError> {
        let removed = self.contents.secrets.remove(name).is_some();
        self.save()?;
        Ok(removed)
    }

    /// Seals every secret under another key-encryption key. The file is replaced whole: a crash leaves it
    /// under the old key or the new one.
    ///
    /// # Errors
    /// When a secret cannot be opened, the new key cannot be had, or the file cannot be written.
    pub fn rotate(&mut self, to: &KeySource) -> Result<(), KeystoreError> {
        let (kek, argon2id) = derive(to, None)?;
        let mut secrets = BTreeMap::new();
        for name in self.contents.secrets.keys() {
            secrets.insert(name.clone(), seal(&kek, name, &self.get(name)?)?);
        }
        let next = Self {
            path: self.path.clone(),
            kek,
            contents: Contents {
                version: 1,
                argon2id,
                secrets,
            },
        };
        next.save()?;
        *self = next;
        Ok(())
    }

    fn save(&self) -> Result<(), KeystoreError> {
        let io = |source| KeystoreError::Io {
            path: self.path.clone(),
            source,
        };
        let text = serde_json::to_vec_pretty(&self.contents)
            .map_err(|error| io(std::io::Error::other(error)))?;
        let temporary = self.path.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&temporary).map_err(io)?;
        file.write_all(&text)
            .and_then(|()| file.sync_all())
            .map_err(io)?;
        std::fs::rename(&temporary, &self.path).map_err(io)?;
        match self.path.parent() {
            Some(directory) => File::open(directory).and_then(|d| d.sync_all()).map_err(io),
            None => Ok(()),
        }
    }
}

// The name is bound in, so that one secret cannot be put in another's place.
fn aad(name: &str) -> Aad<Vec<u8>> {
    Aad::from([b"palisade/1/", name.as_bytes()].concat())
}

fn cipher(kek: &[u8; 32]) -> Result<RandomizedNonceKey, KeystoreError> {
    RandomizedNonceKey::new(&AES_256_GCM, kek).map_err(|_| KeystoreError::Crypto("take a key"))
}

fn seal(kek: &[u8; 32], name: &str, secret: &[u8]) -> Result<String, KeystoreError> {
    let mut body = Zeroizing::new(secret.to_vec());
    let nonce = cipher(kek)?
        .seal_in_place_append_tag(aad(name), &mut *body)
        .map_err(|_| KeystoreError::Crypto("seal"))?;
    Ok(BASE64.encode([nonce.as_ref(), body.as_slice()].concat()))
}

type Derived = (Zeroizing<[u8; 32]>, Option<Stretch>);

fn derive(source: &KeySource, contents: Option<&Contents>) -> Result<Derived, KeystoreError> {
    match source.read()? {
        Material::Key(key) => Ok((key, None)),
        Material::Passphrase(text) => {
            let stretch = match contents.and_then(|contents| contents.argon2id.clone()) {
                Some(stretch) => stretch,
                None => new_stretch()?,
            };
            let params = Params::new(stretch.memory_kib, stretch.passes, stretch.lanes, Some(32))
                .map_err(|_| KeystoreError::Crypto("take the argon2id parameters"))?;
            let salt = BASE64
                .decode(&stretch.salt)
                .map_err(|_| KeystoreError::Crypto("read the argon2id salt"))?;
            let mut key = Zeroizing::new([0; 32]);
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_into(&text, &salt, key.as_mut())
                .map_err(|_| KeystoreError::Crypto("stretch the passphrase"))?;
            Ok((key, Some(stretch)))
        }
    }
}

fn new_stretch() -> Result<Stretch, KeystoreError> {
    let mut salt = [0; 16];
    SystemRandom::new()
        .fill(&mut salt)
        .map_err(|_| SourceError::Random)?;
    Ok(Stretch {
        salt: BASE64.encode(salt),
        memory_kib: MEMORY_KIB,
        passes: PASSES,
        lanes: LANES,
    })
}

#[cfg(test)]
mod tests;
