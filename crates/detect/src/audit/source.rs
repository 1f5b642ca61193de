//! What audit checks ask of other capabilities, which this crate may not know.

use std::error::Error;

use palisade_core::{Device, DeviceId, Request, Serial, Timestamp, port::BoxFuture};

/// Why another capability could not answer.
pub type SourceError = Box<dyn Error + Send + Sync>;

/// The public key of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// SHA-256 of it.
    pub hash: Vec<u8>,
    /// What kind of key it is (`RSA of 1024 bits`).
    pub kind: String,
    /// Whether it is weaker than it should be.
    pub weak: bool,
}

/// A certificate of the authority itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityCertificate {
    /// `root`, or `issuer` and its name.
    pub name: String,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

/// A certificate of ours that was refused in a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedCertificate {
    /// Its serial number.
    pub serial: Serial,
    /// Why: `it is revoked`, `it has ended`.
    pub why: &'static str,
    /// How often.
    pub times: u64,
    /// When last.
    pub last_at: Timestamp,
}

/// A part of what is written down that is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggingTrouble {
    /// Which (`log`, `export/siem`).
    pub part: String,
    /// What is wrong, in one sentence.
    pub detail: String,
}

/// What audit checks ask of identity, policy and the doors.
pub trait AuditSource: Send + Sync + 'static {
    /// Reads the public key of a certificate in DER.
    fn read_key(&self, certificate: &[u8]) -> KeyFacts;

    /// The certificates of the authority itself.
    fn authority(&self) -> BoxFuture<'_, Result<Vec<AuthorityCertificate>, SourceError>>;

    /// Until when the CRL is valid; `None` where there is none.
    fn crl_valid_until(&self) -> Option<Timestamp>;

    /// Certificates that were refused in handshakes since the server started.
    fn refused_certificates(&self) -> Vec<RefusedCertificate>;

    /// How many live sessions a device has.
    fn live_sessions(&self, device: &DeviceId) -> usize;

    /// Whether the policies alone, grants aside, would permit it to a device like this one.
    fn permits(&self, device: &Device, request: &Request<'_>) -> bool;

    /// Whether an action at the REST door shows or changes what few should: what devices sent, keys, policy, people.
    fn is_sensitive(&self, action: &str) -> bool;

    /// What of the server's own records is off or failing.
    fn logging(&self) -> BoxFuture<'_, Result<Vec<LoggingTrouble>, SourceError>>;
}
