//! Who is at the other end of a TLS connection whose certificate was verified.

use palisade_core::{DeviceId, IdError, Principal, PrincipalError, Serial, SerialError, Timestamp};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

use crate::Identity;

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A principal with a certificate of ours.
    Principal {
        /// Who.
        principal: Principal,
        /// The certificate's serial number.
        serial: Serial,
        /// From when it is valid.
        not_before: Timestamp,
        /// Until when it is valid.
        not_after: Timestamp,
    },
    /// A device with the certificate its maker gave it: good for enrolment alone.
    MakerDevice {
        /// The device's id, by the certificate's common name.
        device: DeviceId,
    },
}

/// Why a verified certificate names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// It cannot be read.
    #[error("the client certificate cannot be read: {0}")]
    Malformed(String),
    /// It has no SPIFFE id, or more than one.
    #[error("the client certificate has {0} identities, it must have exactly one")]
    Identities(usize),
    /// Its name is not of this installation.
    #[error(transparent)]
    Principal(#[from] PrincipalError),
    /// The maker's common name is no device id.
    #[error("the maker's certificate names no device: {0}")]
    MakerName(#[from] IdError),
    /// Its common name is not its identity.
    #[error("the common name {common_name:?} is not the identity {identity:?}")]
    CommonName {
        /// The common name.
        common_name: String,
        /// The identity.
        identity: String,
    },
    /// Its serial number is none.
    #[error(transparent)]
    Serial(#[from] SerialError),
}

impl Identity {
    /// Who a certificate names. TLS has verified the certificate already; this reads it.
    ///
    /// # Errors
    /// When it names nobody of this installation.
    pub fn peer(&self, der: &[u8]) -> Result<Peer, PeerError> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der)
            .map_err(|error| PeerError::Malformed(error.to_string()))?;
        let common_name = common_name(&certificate);
        if !self.anchors.is_ours(der) {
            return Ok(Peer::MakerDevice {
                device: DeviceId::parse(&common_name)?,
            });
        }
        let uris = uris(&certificate)?;
        let [uri] = uris.as_slice() else {
            return Err(PeerError::Identities(uris.len()));
        };
        let principal = Principal::from_uri(uri, &self.config.trust_domain)?;
        if common_name != principal.id() {
            return Err(PeerError::CommonName {
                common_name,
                identity: principal.to_string(),
            });
        }
        let moment = |seconds| {
            Timestamp::from_second(seconds).map_err(|error| PeerError::Malformed(error.to_string()))
        };
        Ok(Peer::Principal {
            principal,
            serial: Serial::from_bytes(certificate.raw_serial())?,
            not_before: moment(certificate.validity().not_before.timestamp())?,
            not_after: moment(certificate.validity().not_after.timestamp())?,
        })
    }
}

fn common_name(certificate: &X509Certificate<'_>) -> String {
    let mut names = certificate.subject().iter_common_name();
    let name = names
        .next()
        .and_then(|name| name.as_str().ok())
        .unwrap_or_default();
    name.chars().take(80).collect()
}

fn uris(certificate: &X509Certificate<'_>) -> Result<Vec<String>, PeerError> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|error| PeerError::Malformed(error.to_string()))?;
    let Some(names) = names else {
        return Ok(Vec::new());
    };
    let uri = |name: &GeneralName<'_>| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    };
    Ok(names.value.general_names.iter().filter_map(uri).collect())
}
