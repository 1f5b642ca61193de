//! Where the key-encryption key comes from.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    digest::{Context, SHA256},
    rand::{SecureRandom, SystemRandom},
};
use zeroize::Zeroizing;

use crate::Secret;

/// The shortest passphrase, in bytes.
pub(crate) const MIN_PASSPHRASE: usize = 15;
/// The least that a key file or credential holds, in bytes.
const MIN_KEY: usize = 32;
/// The most that is read of a key file or credential, in bytes.
const MAX_KEY: u64 = 4096;

/// Where the key-encryption key comes from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A file of 32 random bytes or more that only its owner may read. All of it is the key, in any
    /// notation (`openssl rand -base64 32` will do).
    File(PathBuf),
    /// A passphrase, stretched with argon2id.
    Passphrase(Secret),
    /// A systemd credential of 32 random bytes or more, by its name (`LoadCredentialEncrypted=`).
    Credential(String),
}

/// Why there is no key-encryption key.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be read or written.
    #[error("cannot use the key file {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others may read the file.
    #[error("the key file {path} has mode {mode:03o}: run `chmod 600 {path}`")]
    Permissions {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Somebody else owns the file.
    #[error(
        "the key file {path} belongs to user {owner}, not to the one palisade runs as: run `chown {user} {path}`"
    )]
    Owner {
        /// Which file.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// As whom this process runs.
        user: u32,
    },
    /// The key has too few bytes, or too many.
    #[error(
        "the key in {0} must have {MIN_KEY} to {MAX_KEY} bytes: make one with `openssl rand -base64 32`"
    )]
    Length(PathBuf),
    /// The passphrase is too short.
    #[error("a passphrase has at least {MIN_PASSPHRASE} bytes")]
    Passphrase,
    /// There is no such credential.
    #[error("there is no systemd credential {0:?}: set LoadCredential= in the unit")]
    Credential(String),
    /// The operating system has no randomness.
    #[error("the operating system gives no random bytes")]
    Random,
}

/// What a source gives: bytes that are a key, or bytes that have to be stretched.
pub(crate) enum Material {
    Key(Zeroizing<[u8; 32]>),
    Passphrase(Secret),
}

impl KeySource {
    /// Makes a key file with a random key; one that is there is left as it is.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn generate_file(path: &Path) -> Result<(), SourceError> {
        let io = |source| SourceError::Io {
            path: path.to_owned(),
            source,
        };
        let mut key = Zeroizing::new([0u8; 32]);
        SystemRandom::new()
            .fill(key.as_mut())
            .map_err(|_| SourceError::Random)?;
        if path.try_exists().map_err(io)? {
            return Ok(());
        }
        // Written aside and linked into place whole: a crash leaves no key file that is cut short.
        let aside = path.with_extension(format!("new-{}", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&aside).map_err(io)?;
        file.write_all(key.as_ref())
            .and_then(|()| file.sync_all())
            .map_err(io)?;
        let linked = match std::fs::hard_link(&aside, path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        };
        std::fs::remove_file(&aside).and(linked).map_err(io)?;
        match path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            Some(directory) => File::open(directory).and_then(|d| d.sync_all()).map_err(io),
            None => Ok(()),
        }
    }

    pub(crate) fn read(&self) -> Result<Material, SourceError> {
        match self {
            Self::File(path) => read_key(path, Trust::OwnerOnly).map(Material::Key),
            Self::Passphrase(text) if text.expose().len() < MIN_PASSPHRASE => {
                Err(SourceError::Passphrase)
            }
            Self::Passphrase(text) => Ok(Material::Passphrase(text.clone())),
            Self::Credential(name) => {
                let missing = || SourceError::Credential(name.clone());
                let directory = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(missing)?;
                credential(Path::new(&directory), name).map(Material::Key)
            }
        }
    }
}

fn credential(directory: &Path, name: &str) -> Result<Zeroizing<[u8; 32]>, SourceError> {
    let path = directory.join(name);
    if name.is_empty() || name.contains('/') || name.starts_with('.') || !path.is_file() {
        return Err(SourceError::Credential(name.to_owned()));
    }
    read_key(&path, Trust::Systemd)
}

/// Who vouches that nobody else can read a file.
#[derive(PartialEq)]
enum Trust {
    /// Its owner and mode have to.
    OwnerOnly,
    /// systemd mounts credentials for the service alone; with an access list their mode shows bits for
    /// the group that mean nothing.
    Systemd,
}

fn read_key(path: &Path, trust: Trust) -> Result<Zeroizing<[u8; 32]>, SourceError> {
    let io = |source| SourceError::Io {
        path: path.to_owned(),
        source,
    };
    // Judged on the open file, so that it cannot be another by the time it is read.
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if trust == Trust::OwnerOnly {
        check_owner(path, metadata.uid(), rustix::process::geteuid().as_raw())?;
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SourceError::Permissions {
                path: path.to_owned(),
                mode,
            });
        }
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY as usize + 1));
    file.take(MAX_KEY + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() < MIN_KEY || bytes.len() as u64 > MAX_KEY {
        return Err(SourceError::Length(path.to_owned()));
    }
    let mut context = Context::new(&SHA256);
    context.update(b"palisade/key-encryption-key/1");
    context.update(&bytes);
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(context.finish().as_ref());
    Ok(key)
}

fn check_owner(path: &Path, owner: u32, user: u32) -> Result<(), SourceError> {
    // The superuser can read the file in any case.
    if owner == user || owner == 0 {
        return Ok(());
    }
    Err(SourceError::Owner {
        path: path.to_owned(),
        owner,
        user,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_of_another_user_is_refused() {
        let path = Path::new("kek");
        assert!(check_owner(path, 1000, 1000).is_ok());
        assert!(check_owner(path, 0, 1000).is_ok());
        let error = check_owner(path, 1001, 1000).expect_err("refused");
        assert!(error.to_string().contains("chown 1000 kek"), "{error}");
    }

    #[test]
    fn a_credential_is_found_by_its_name_only_and_its_mode_is_not_judged() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("kek"), [7; 40]).expect("writes");
        let first = credential(directory.path(), "kek").expect("there");
        std::fs::write(directory.path().join("kek"), [7; 41]).expect("writes");
        let second = credential(directory.path(), "kek").expect("there");
        assert_ne!(first, second, "all of a credential is the key");
        for bad in ["", "other", "../kek", ".kek", "/etc/passwd"] {
            assert!(credential(directory.path(), bad).is_err(), "{bad} was read");
        }
    }

    #[test]
    fn a_key_that_is_too_short_or_too_long_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        for length in [0, 31, 4097] {
            std::fs::write(directory.path().join("kek"), vec![1; length]).expect("writes");
            let error = credential(directory.path(), "kek").expect_err("refused");
            assert!(matches!(error, SourceError::Length(_)), "{error}");
        }
    }
}
