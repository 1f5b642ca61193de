//! The directory in which an agent keeps what it must not lose.
//!
//! `identity.pem` holds key and certificates in ONE file with mode 0600, replaced as a whole: there is no
//! moment at which a key stands beside the certificate of another. `root.pem` holds the trusted roots,
//! `agent.json` where the servers are, `queue/` what waits for them. `pending.key` is there while the device
//! enrols and no longer.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    endpoint::Endpoint,
    file::{PUBLIC, SECRET, replace},
    identity::{DeviceIdentity, IdentityError},
    key::DeviceKey,
};

const IDENTITY: &str = "identity.pem";
const PENDING: &str = "pending.key";
const ROOT: &str = "root.pem";
const SERVERS: &str = "agent.json";
const MAX_FILE: u64 = 256 * 1024;
const OTHERS: u32 = 0o077;

/// Why the state of an agent cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The device has not enrolled.
    #[error("{0} holds no identity: enrol first (palisade-agent enroll)")]
    NotEnrolled(PathBuf),
    /// The key can be read by others.
    #[error(
        "{path} can be read by others (mode {mode:03o}): chmod 600 it, and enrol anew if they did"
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file system failed.
    #[error("{path} cannot be {what}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was attempted.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Key and certificate make no identity.
    #[error("{path} is damaged: {source}")]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: IdentityError,
    },
}

/// Where the servers are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Servers {
    /// The MQTT door.
    pub gateway: Endpoint,
    /// The device HTTPS door.
    pub devices: Endpoint,
}

/// The directory in which an agent keeps what it must not lose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// The directory; made, for its owner alone, if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path) -> Result<Self, StateError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(path).map_err(|source| StateError::Io {
            path: path.to_owned(),
            what: "made",
            source,
        })?;
        Ok(Self(path.to_owned()))
    }

    /// The directory as it is; nothing is made.
    #[must_use]
    pub fn existing(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the queue is.
    #[must_use]
    pub fn queue_dir(&self) -> PathBuf {
        self.0.join("queue")
    }

    /// Where other programs of the device reach the running agent.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.join("agent.sock")
    }

    /// Whether an identity is there.
    #[must_use]
    pub fn is_enrolled(&self) -> bool {
        self.0.join(IDENTITY).exists()
    }

    /// Keeps a first identity and where it is used. The identity is written last: where it is, the rest is
    /// too.
    ///
    /// # Errors
    /// When a file cannot be written; what was there is then still there.
    pub fn save(&self, identity: &DeviceIdentity, servers: &Servers) -> Result<(), StateError> {
        let text = serde_json::to_string_pretty(servers).unwrap_or_default() + "\n";
        self.write(SERVERS, text.as_bytes(), PUBLIC)?;
        self.write(ROOT, identity.roots_pem().as_bytes(), PUBLIC)?;
        self.save_identity(identity)
    }

    /// Replaces the identity.
    ///
    /// # Errors
    /// When it cannot be written; the old one is then still there.
    pub fn save_identity(&self, identity: &DeviceIdentity) -> Result<(), StateError> {
        self.write(IDENTITY, identity.to_secret_pem().as_bytes(), SECRET)?;
        match fs::remove_file(self.0.join(PENDING)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(failed(&self.0.join(PENDING), "removed")(source))
            }
            _ => Ok(()),
        }
    }

    /// The key of an enrolment that is under way, as PKCS#8; made where there is none. Where an answer was
    /// lost, the next attempt is with the same key, and the server knows the device again by it.
    pub(crate) fn pending_key(&self) -> Result<Zeroizing<Vec<u8>>, StateError> {
        let path = self.0.join(PENDING);
        let damaged = |why: String| StateError::Damaged {
            path: path.clone(),
            why: why + "; remove it to begin with a new key",
        };
        if path.exists() {
            let text = Zeroizing::new(self.read(PENDING)?);
            let key = STANDARD.decode(text.trim());
            return key
                .map(Zeroizing::new)
                .map_err(|error| damaged(error.to_string()));
        }
        let key = DeviceKey::generate().map_err(|error| damaged(error.to_string()))?;
        let text = Zeroizing::new(STANDARD.encode(key.pkcs8()));
        self.write(PENDING, text.as_bytes(), SECRET)?;
        Ok(Zeroizing::new(key.pkcs8().to_vec()))
    }

    /// The key of a renewal that is under way: as [`StateDir::pending_key`], but never one that is in use or that is to
    /// be replaced.
    pub(crate) fn next_key(
        &self,
        is_old: impl Fn(&str) -> bool,
    ) -> Result<Zeroizing<Vec<u8>>, StateError> {
        let known = DeviceKey::from_pkcs8(self.pending_key()?);
        if known.is_ok_and(|key| !is_old(&key.sha256())) {
            return self.pending_key();
        }
        fs::remove_file(self.0.join(PENDING)).map_err(failed(&self.0.join(PENDING), "removed"))?;
        self.pending_key()
    }

    /// Reads the identity.
    ///
    /// # Errors
    /// When there is none, others could have read it, or it is damaged.
    pub fn identity(&self) -> Result<DeviceIdentity, StateError> {
        let path = self.0.join(IDENTITY);
        if !self.is_enrolled() {
            return Err(StateError::NotEnrolled(self.0.clone()));
        }
        let mode = fs::metadata(&path)
            .map_err(failed(&path, "read"))?
            .permissions()
            .mode()
            & 0o777;
        if mode & OTHERS != 0 {
            return Err(StateError::Permissions { path, mode });
        }
        let identity = Zeroizing::new(self.read(IDENTITY)?);
        let roots = self.read(ROOT)?;
        let identity = DeviceIdentity::from_pem(&identity, &roots);
        identity.map_err(|source| StateError::Identity { path, source })
    }

    /// Reads where the servers are.
    ///
    /// # Errors
    /// When it was not written or is damaged.
    pub fn servers(&self) -> Result<Servers, StateError> {
        let text = self.read(SERVERS)?;
        serde_json::from_str(&text).map_err(|error| StateError::Damaged {
            path: self.0.join(SERVERS),
            why: error.to_string(),
        })
    }

    fn write(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), StateError> {
        let path = self.0.join(name);
        replace(&path, bytes, mode).map_err(failed(&path, "written"))
    }

    fn read(&self, name: &str) -> Result<String, StateError> {
        let path = self.0.join(name);
        let len = fs::metadata(&path).map_err(failed(&path, "read"))?.len();
        if len > MAX_FILE {
            let why = format!("it has {len} bytes, at most {MAX_FILE} are read");
            return Err(StateError::Damaged { path, why });
        }
        fs::read_to_string(&path).map_err(failed(&path, "read"))
    }
}

fn failed(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Io { path, what, source }
}

#[cfg(test)]
mod tests;
