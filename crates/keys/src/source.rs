//! Where the key-encryption key comes from.

use std::{
    fmt,
    fs::OpenOptions,
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// The shortest passphrase, in bytes.
const MIN_PASSPHRASE: usize = 15;

/// Where the key-encryption key comes from.
#[derive(Clone)]
pub enum KeySource {
    /// A file of 32 random bytes that only its owner may read.
    File(PathBuf),
    /// A passphrase, stretched with argon2id.
    Passphrase(Zeroizing<Vec<u8>>),
    /// A systemd credential of 32 bytes or more, by its name (`LoadCredential=`).
    Credential(String),
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Passphrase(_) => f.write_str("Passphrase(..)"),
            Self::Credential(name) => write!(f, "Credential({name})"),
        }
    }
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
    /// The key has too few bytes.
    #[error("the key in {0} has less than 32 bytes")]
    Short(PathBuf),
    /// The passphrase is too short.
    #[error("a passphrase has at least {MIN_PASSPHRASE} characters")]
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
    Passphrase(Zeroizing<Vec<u8>>),
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
        let mut file = match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
        {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
            Err(error) => return Err(io(error)),
        };
        file.write_all(key.as_ref())
            .and_then(|()| file.sync_all())
            .map_err(io)
    }

    pub(crate) fn read(&self) -> Result<Material, SourceError> {
        match self {
            Self::File(path) => read_key(path, true).map(Material::Key),
            Self::Passphrase(text) if text.len() < MIN_PASSPHRASE => Err(SourceError::Passphrase),
            Self::Passphrase(text) => Ok(Material::Passphrase(text.clone())),
            Self::Credential(name) => {
                let missing = || SourceError::Credential(name.clone());
                let directory = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(missing)?;
                if name.contains('/') || name.starts_with('.') {
                    return Err(missing());
                }
                // systemd mounts credentials for the service alone; their mode is not ours to judge.
                read_key(&Path::new(&directory).join(name), false).map(Material::Key)
            }
        }
    }
}

fn read_key(path: &Path, check_mode: bool) -> Result<Zeroizing<[u8; 32]>, SourceError> {
    let io = |source| SourceError::Io {
        path: path.to_owned(),
        source,
    };
    let mode = std::fs::metadata(path).map_err(io)?.mode() & 0o777;
    if check_mode && mode & 0o077 != 0 {
        return Err(SourceError::Permissions {
            path: path.to_owned(),
            mode,
        });
    }
    let bytes = Zeroizing::new(std::fs::read(path).map_err(io)?);
    let first = bytes
        .first_chunk::<32>()
        .ok_or_else(|| SourceError::Short(path.to_owned()))?;
    Ok(Zeroizing::new(*first))
}
