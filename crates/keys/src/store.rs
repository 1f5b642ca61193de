//! The file of sealed secrets.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest::{Context, SHA256},
    rand::{SecureRandom, SystemRandom},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    LogKey, Secret, SigningKey, SigningKeyError,
    source::{KeySource, Material, SourceError},
};

/// What RFC 9106 recommends where memory is scarce: 64 MiB, three passes, four lanes.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// The most that a file may ask for, so that a forged one cannot exhaust the machine.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
const MAX_PASSES: u32 = 32;
const MAX_NAME: usize = 64;
// No name that a caller may choose, so that the check cannot be replaced.
const CHECK: &str = "#check";
const CHECK_TEXT: &str = "palisade keystore";
const VERSION: u32 = 1;

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
    /// There is such a secret already.
    #[error("there is a secret {0:?} already")]
    Exists(String),
    /// The name is not valid.
    #[error("{0:?} is not a name of a secret: use 1 to {MAX_NAME} of a-z, 0-9, '.', '_' and '-'")]
    Name(String),
    /// A signing key could not be made or read.
    #[error("the signing key {name:?}: {source}")]
    SigningKey {
        /// Which one.
        name: String,
        /// Why.
        #[source]
        source: SigningKeyError,
    },
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

/// An open keystore. Share it behind an `Arc`; a change waits for the one before it to be on disk.
pub struct Keystore {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
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
        let io = |source| KeystoreError::Io {
            path: path.to_owned(),
            source,
        };
        let state = match std::fs::read(path) {
            Ok(bytes) => read(path, &bytes, source)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let state = State::under(source, [])?;
                save(path, &state.contents).map_err(io)?;
                state
            }
            Err(error) => return Err(io(error)),
        };
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(state),
        })
    }

    /// Whether there is a secret of this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        name != CHECK && self.state().contents.secrets.contains_key(name)
    }

    /// The names of all secrets, in order.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        let state = self.state();
        let names = state.contents.secrets.keys();
        names.filter(|name| *name != CHECK).cloned().collect()
    }

    /// Unseals a secret.
    ///
    /// # Errors
    /// When there is none, or it was changed.
    pub fn get(&self, name: &str) -> Result<Secret, KeystoreError> {
        check_name(name)?;
        self.state().unseal(name)
    }

    /// Seals a secret and writes the file; a secret of the same name is replaced.
    ///
    /// # Errors
    /// When the name is not valid or the file cannot be written; all is then as it was.
    pub fn put(&self, name: &str, secret: &[u8]) -> Result<(), KeystoreError> {
        check_name(name)?;
        self.change(|state| {
            let sealed = seal(&state.kek, name, secret)?;
            let mut secrets = state.contents.secrets.clone();
            secrets.insert(name.to_owned(), sealed);
            Ok(secrets)
        })
    }

    /// Removes a secret and writes the file; `false` where there was none. Backups of the file still
    /// hold it, sealed.
    ///
    /// # Errors
    /// When the file cannot be written; all is then as it was.
    pub fn remove(&self, name: &str) -> Result<bool, KeystoreError> {
        check_name(name)?;
        if !self.contains(name) {
            return Ok(false);
        }
        self.change(|state| {
            let mut secrets = state.contents.secrets.clone();
            secrets.remove(name);
            Ok(secrets)
        })?;
        Ok(true)
    }

    /// Makes a signing key and keeps it.
    ///
    /// # Errors
    /// When there is a secret of this name, or the file cannot be written.
    pub fn generate_signing_key(&self, name: &str) -> Result<SigningKey, KeystoreError> {
        if self.contains(name) {
            return Err(KeystoreError::Exists(name.to_owned()));
        }
        let key = SigningKey::generate().map_err(|source| KeystoreError::SigningKey {
            name: name.to_owned(),
            source,
        })?;
        self.put(name, key.pkcs8().expose())?;
        Ok(key)
    }

    /// Unseals a signing key.
    ///
    /// # Errors
    /// When there is none, it was changed, or it is no signing key.
    pub fn signing_key(&self, name: &str) -> Result<SigningKey, KeystoreError> {
        let pkcs8 = self.get(name)?;
        SigningKey::from_pkcs8(pkcs8.expose()).map_err(|source| KeystoreError::SigningKey {
            name: name.to_owned(),
            source,
        })
    }

    /// Makes a key that signs checkpoints and keeps it.
    ///
    /// # Errors
    /// When there is a secret of this name, or the file cannot be written.
    pub fn generate_log_key(&self, name: &str) -> Result<LogKey, KeystoreError> {
        if self.contains(name) {
            return Err(KeystoreError::Exists(name.to_owned()));
        }
        let key = LogKey::generate().map_err(|source| KeystoreError::SigningKey {
            name: name.to_owned(),
            source,
        })?;
        self.put(name, key.pkcs8().expose())?;
        Ok(key)
    }

    /// Unseals a key that signs checkpoints.
    ///
    /// # Errors
    /// When there is none, it was changed, or it is no such key.
    pub fn log_key(&self, name: &str) -> Result<LogKey, KeystoreError> {
        let pkcs8 = self.get(name)?;
        LogKey::from_pkcs8(pkcs8.expose()).map_err(|source| KeystoreError::SigningKey {
            name: name.to_owned(),
            source,
        })
    }

    /// Seals every secret under another key-encryption key. The file is replaced whole: a crash leaves it
    /// under the old key or the new one.
    ///
    /// # Errors
    /// When a secret cannot be opened, the new key cannot be had, or the file cannot be written; all is
    /// then as it was.
    pub fn rotate(&self, to: &KeySource) -> Result<(), KeystoreError> {
        let mut state = self.state();
        let mut secrets = Vec::new();
        let names = state.contents.secrets.keys();
        for name in names.filter(|name| *name != CHECK) {
            secrets.push((name.clone(), state.unseal(name)?));
        }
        let next = State::under(to, secrets)?;
        self.save(&next.contents)?;
        *state = next;
        Ok(())
    }

    fn change(
        &self,
        make: impl FnOnce(&State) -> Result<BTreeMap<String, String>, KeystoreError>,
    ) -> Result<(), KeystoreError> {
        let mut state = self.state();
        let contents = Contents {
            version: VERSION,
            argon2id: state.contents.argon2id.clone(),
            secrets: checked(&state.kek, make(&state)?)?,
        };
        self.save(&contents)?;
        state.contents = contents;
        Ok(())
    }

    fn save(&self, contents: &Contents) -> Result<(), KeystoreError> {
        save(&self.path, contents).map_err(|source| KeystoreError::Io {
            path: self.path.clone(),
            source,
        })
    }

    // A panic leaves the state as it was: it is replaced whole, after the file.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn under(
        source: &KeySource,
        secrets: impl IntoIterator<Item = (String, Secret)>,
    ) -> Result<Self, KeystoreError> {
        let (kek, argon2id) = derive(source, None)?;
        let mut sealed = BTreeMap::new();
        for (name, secret) in secrets {
            let text = seal(&kek, &name, secret.expose())?;
            sealed.insert(name, text);
        }
        let contents = Contents {
            version: VERSION,
            argon2id,
            secrets: checked(&kek, sealed)?,
        };
        Ok(Self { kek, contents })
    }

    fn unseal(&self, name: &str) -> Result<Secret, KeystoreError> {
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
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = cipher(&self.kek)?
            .open_in_place(nonce, aad(name), body.as_mut())
            .map_err(|_| tampered())?;
        Ok(Secret::new(opened.to_vec()))
    }
}

fn check_name(name: &str) -> Result<(), KeystoreError> {
    let valid = (1..=MAX_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
    match valid {
        true => Ok(()),
        false => Err(KeystoreError::Name(name.chars().take(MAX_NAME).collect())),
    }
}

fn read(path: &Path, bytes: &[u8], source: &KeySource) -> Result<State, KeystoreError> {
    let malformed = |why: String| KeystoreError::Malformed {
        path: path.to_owned(),
        why,
    };
    let contents: Contents =
        serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    if contents.version != VERSION {
        return Err(malformed(format!("its version is {}", contents.version)));
    }
    if let Some(stretch) = &contents.argon2id
        && (stretch.memory_kib > MAX_MEMORY_KIB || stretch.passes > MAX_PASSES)
    {
        return Err(malformed("it asks for too much work".to_owned()));
    }
    match (source, &contents.argon2id) {
        (KeySource::Passphrase(_), None) => {
            return Err(malformed("it is sealed by a key, not a passphrase".into()));
        }
        (KeySource::File(_) | KeySource::Credential(_), Some(_)) => {
            return Err(malformed("it is sealed by a passphrase, not a key".into()));
        }
        _ => {}
    }
    let (kek, _) = derive(source, contents.argon2id.as_ref())?;
    let state = State { kek, contents };
    let Ok(check) = state.unseal(CHECK) else {
        return Err(KeystoreError::WrongKey(path.to_owned()));
    };
    // The first is what an earlier version wrote, which did not bind the names.
    let is_right = check.expose() == CHECK_TEXT.as_bytes()
        || check.expose() == check_text(&state.contents.secrets).as_bytes();
    match is_right {
        true => Ok(state),
        false => Err(malformed(
            "a secret was added to it or taken from it by somebody else: put the last backup in its place".to_owned(),
        )),
    }
}

/// What the check says: that the key-encryption key is the right one, and which secrets there are.
fn check_text(secrets: &BTreeMap<String, String>) -> String {
    let mut names = Context::new(&SHA256);
    for name in secrets.keys().filter(|name| *name != CHECK) {
        names.update(name.as_bytes());
        names.update(b"\n");
    }
    format!("{CHECK_TEXT}\n{}", BASE64.encode(names.finish()))
}

/// The secrets with a check of them.
fn checked(
    kek: &[u8; 32],
    mut secrets: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, KeystoreError> {
    let check = seal(kek, CHECK, check_text(&secrets).as_bytes())?;
    secrets.insert(CHECK.to_owned(), check);
    Ok(secrets)
}

fn save(path: &Path, contents: &Contents) -> std::io::Result<()> {
    let text = serde_json::to_vec_pretty(contents).map_err(std::io::Error::other)?;
    let temporary = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(&text)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    match path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        Some(directory) => File::open(directory)?.sync_all(),
        None => File::open(".")?.sync_all(),
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

fn derive(source: &KeySource, known: Option<&Stretch>) -> Result<Derived, KeystoreError> {
    match source.read()? {
        Material::Key(key) => Ok((key, None)),
        Material::Passphrase(text) => {
            let stretch = match known {
                Some(stretch) => stretch.clone(),
                None => new_stretch()?,
            };
            let params = Params::new(stretch.memory_kib, stretch.passes, stretch.lanes, Some(32))
                .map_err(|_| KeystoreError::Crypto("take the argon2id parameters"))?;
            let salt = BASE64
                .decode(&stretch.salt)
                .map_err(|_| KeystoreError::Crypto("read the argon2id salt"))?;
            let mut key = Zeroizing::new([0; 32]);
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_into(text.expose(), &salt, key.as_mut())
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
