//! TLS towards receivers: their certificate must lead to an authority that the operator named, and no other.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
};

/// The largest file of certificates or keys, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Where certificates and keys are.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    pub(crate) ca: PathBuf,
    /// Our certificate and its key.
    pub(crate) own: Option<(PathBuf, PathBuf)>,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsFilesError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file has not what it should have.
    #[error("{}: {what}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// The certificates or the key are not taken.
    #[error("tls cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl TlsFiles {
    /// Reads the files. They are read for each connection, so that renewed ones are taken.
    pub(crate) fn load(&self) -> Result<Arc<ClientConfig>, TlsFilesError> {
        let mut roots = RootCertStore::empty();
        for root in certificates(&self.ca)? {
            roots.add(root)?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match &self.own {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                builder.with_client_auth_cert(certificates(chain)?, private_key(key)?)?
            }
        };
        Ok(Arc::new(config))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFilesError> {
    let unreadable = |source| TlsFilesError::Read {
        path: path.to_owned(),
        source,
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE {
        return Err(TlsFilesError::Content {
            path: path.to_owned(),
            what: "the file is larger than 4 MiB",
        });
    }
    std::fs::read(path).map_err(unreadable)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFilesError> {
    let pem = read(path)?;
    let found: Result<Vec<_>, _> = rustls_pemfile::certs(&mut pem.as_slice()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsFilesError::Content {
            path: path.to_owned(),
            what: "there is no certificate in PEM",
        }),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFilesError> {
    let pem = read(path)?;
    match rustls_pemfile::private_key(&mut pem.as_slice()) {
        Ok(Some(key)) => Ok(key),
        _ => Err(TlsFilesError::Content {
            path: path.to_owned(),
            what: "there is no private key in PEM",
        }),
    }
}
