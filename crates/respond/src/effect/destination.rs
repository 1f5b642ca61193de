//! What destinations have in common: secrets in files that nobody else can read, and roots to trust.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Where systems keep the roots that they trust.
const SYSTEM_ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Why a destination cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// A file cannot be read.
    #[error("{key}: {path}: {source}")]
    File {
        /// Which section of the configuration names it.
        key: String,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A secret or a root is not what it should be.
    #[error("{key}: {why}")]
    Value {
        /// Which section of the configuration.
        key: String,
        /// What is wrong, and what would be right.
        why: String,
    },
}

impl DestinationError {
    pub(super) fn value(key: &str, why: impl Into<String>) -> Self {
        Self::Value {
            key: key.to_owned(),
            why: why.into(),
        }
    }
}

fn read(key: &str, path: &Path) -> Result<String, DestinationError> {
    std::fs::read_to_string(path).map_err(|source| DestinationError::File {
        key: key.to_owned(),
        path: path.to_owned(),
        source,
    })
}

/// Reads a file that nobody else may read.
pub(super) fn read_own(key: &str, path: &Path) -> Result<String, DestinationError> {
    let text = read(key, path)?;
    let about = std::fs::metadata(path).map_err(|source| DestinationError::File {
        key: key.to_owned(),
        path: path.to_owned(),
        source,
    })?;
    match about.permissions().mode() & 0o077 {
        0 => Ok(text),
        _ => Err(DestinationError::value(
            key,
            format!(
                "others can read {path}: run `chmod 600 {path}`",
                path = path.display()
            ),
        )),
    }
}

/// The roots to trust, in DER: those of a file, or those of the system.
pub(super) fn roots(
    key: &str,
    configured: Option<&PathBuf>,
) -> Result<Vec<Vec<u8>>, DestinationError> {
    let system = SYSTEM_ROOTS
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file());
    let roots = match configured.cloned().or(system) {
        Some(path) => rustls_pemfile::certs(&mut read(key, &path)?.as_bytes())
            .filter_map(Result::ok)
            .map(|der| der.to_vec())
            .collect(),
        None => Vec::new(),
    };
    match roots.is_empty() {
        true => Err(DestinationError::value(
            key,
            "no root certificates were found: name a file with `ca`",
        )),
        false => Ok(roots),
    }
}
