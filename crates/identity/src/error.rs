//! What can go wrong in the certification authority.

use palisade_core::{PrincipalError, SerialError, port::JournalError};
use palisade_keys::{KeystoreError, SigningKeyError};
use palisade_store::StoreError;

use crate::CsrError;

/// Why the certification authority could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The act could not be written down, so it did not take place, or not wholly.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A key cannot be had.
    #[error(transparent)]
    Keys(#[from] KeystoreError),
    /// A key cannot be made, read or used.
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    /// A certificate or CRL could not be made.
    #[error("the certificate or CRL could not be made: {0}")]
    Make(#[from] rcgen::Error),
    /// A certificate could not be read.
    #[error("{what} cannot be read: {why}")]
    Read {
        /// Which.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The issuer's key is gone while its certificate is there.
    #[error(
        "the key of issuer {0} is not in the keystore although its certificate is in the database: \
         restore the keystore that belongs to it, or import the root key and renew the issuer"
    )]
    IssuerKeyMissing(String),
    /// The root's key is not here.
    #[error("the root key is offline: import it first (palisade ca import-root)")]
    RootOffline,
    /// A key is not the root's.
    #[error("this is not the key of this installation's root certificate")]
    NotTheRoot,
    /// A name of the doors cannot stand in a certificate.
    #[error("{0:?} is neither a DNS name nor an IP address: mend the server names")]
    ServerName(String),
    /// A maker's CA is not one to trust.
    #[error("the maker's CA {name:?}: {why}")]
    MakerCa {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// Others wrote at the same time, again and again.
    #[error("others changed the same at the same time; try again")]
    Busy,
    /// A request is not one we sign.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// A name is not one of ours.
    #[error(transparent)]
    Principal(#[from] PrincipalError),
    /// A serial number is none.
    #[error(transparent)]
    Serial(#[from] SerialError),
    /// The TLS library refused.
    #[error("tls: {0}")]
    Tls(#[from] rustls::Error),
    /// The operating system has no randomness.
    #[error("the operating system gives no random bytes")]
    Random,
    /// A task of ours was stopped, as when the server shuts down.
    #[error("the certification authority is shutting down")]
    Stopped,
}
