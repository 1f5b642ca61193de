//! What an agent reads in a certificate. Whether to believe it is for the TLS library to check.

use der::{Decode, Encode};
use palisade_core::{DeviceId, Timestamp};
use rustls::pki_types::CertificateDer;
use x509_cert::{Certificate, der::oid::db::rfc4519::CN};

/// Why a certificate is not one that an agent can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Malformed(String),
    /// It does not name a device.
    #[error("the certificate's common name is not a device id: {0}")]
    Name(String),
}

/// What is read in a certificate.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    common_name: Option<String>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// The public key, as `SubjectPublicKeyInfo` in DER.
    pub(crate) public_key: Vec<u8>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
}

impl Facts {
    pub(crate) fn read(der: &[u8]) -> Result<Self, CertificateError> {
        let certificate = Certificate::from_der(der).map_err(malformed)?;
        let tbs = &certificate.tbs_certificate;
        let names = tbs.subject.0.iter().flat_map(|name| name.0.iter());
        let common_name = names
            .filter(|attribute| attribute.oid == CN)
            .map(|attribute| String::from_utf8_lossy(attribute.value.value()).into_owned())
            .next();
        let validity = &tbs.validity;
        Ok(Self {
            common_name,
            not_before: timestamp(validity.not_before.to_unix_duration().as_secs())?,
            not_after: timestamp(validity.not_after.to_unix_duration().as_secs())?,
            public_key: tbs.subject_public_key_info.to_der().map_err(malformed)?,
            subject: tbs.subject.to_der().map_err(malformed)?,
            issuer: tbs.issuer.to_der().map_err(malformed)?,
        })
    }

    /// The device that it names.
    pub(crate) fn device(&self) -> Result<DeviceId, CertificateError> {
        let name = self.common_name.as_deref().unwrap_or_default();
        DeviceId::parse(name).map_err(|error| CertificateError::Name(error.to_string()))
    }

    /// Whether its issuer is itself, by name.
    pub(crate) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }
}

fn malformed(error: der::Error) -> CertificateError {
    CertificateError::Malformed(error.to_string())
}

fn timestamp(seconds: u64) -> Result<Timestamp, CertificateError> {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or_else(|| CertificateError::Malformed("its validity is beyond all time".to_owned()))
}

/// The chain to show: the leaf, then the certificates among `pool` that lead from it towards a root, the
/// root itself left out. Names alone are followed here; whoever verifies checks the signatures.
pub(crate) fn chain(
    leaf: CertificateDer<'static>,
    pool: &[CertificateDer<'static>],
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let mut issuer = Facts::read(&leaf)?.issuer;
    let mut chain = vec![leaf];
    let mut pool: Vec<(Facts, &CertificateDer<'static>)> = pool
        .iter()
        .filter_map(|der| Some((Facts::read(der).ok()?, der)))
        .filter(|(facts, _)| !facts.is_self_issued())
        .collect();
    while let Some(at) = pool.iter().position(|(facts, _)| facts.subject == issuer) {
        let (facts, der) = pool.swap_remove(at);
        issuer = facts.issuer;
        chain.push(der.clone());
    }
    Ok(chain)
}
