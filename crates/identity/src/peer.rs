//! Who is at the other end of a TLS connection.

use palisade_core::{
    DeviceId, IdError, Principal, PrincipalError, ProductId, Serial, SerialError, Timestamp,
};
use rustls::pki_types::CertificateDer;
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, oid_registry::OID_X509_SERIALNUMBER,
    x509::X509Name,
};

use crate::{
    Identity,
    trust::{Maker, Origin},
};

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
    /// A device with the certificate its maker gave it: good for a first enrolment (EST `simpleenroll`)
    /// and for nothing else.
    MakerDevice {
        /// The device's id: the certificate's subject serial number (IEEE 802.1AR), or its common name
        /// where it has none.
        device: DeviceId,
        /// The name under which the maker's CA is trusted.
        maker: String,
        /// The product that the maker's CA may speak for; any, where there is none. Whoever enrols the
        /// device checks that it is of this product.
        product: Option<ProductId>,
    },
}

/// Why a certificate names nobody who may come in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// It cannot be read.
    #[error("the client certificate cannot be read: {0}")]
    Malformed(String),
    /// Nobody we trust vouches for it.
    #[error("the client certificate is not trusted: {0}")]
    Untrusted(String),
    /// It is not valid any more.
    #[error("the client certificate ended at {0}")]
    Expired(Timestamp),
    /// It is not valid yet.
    #[error("the client certificate begins at {0}")]
    NotYetValid(Timestamp),
    /// It is revoked.
    #[error("the client certificate {0} is revoked")]
    Revoked(Serial),
    /// It has no SPIFFE id, or more than one.
    #[error("the client certificate has {0} identities, it must have exactly one")]
    Identities(usize),
    /// Its name is not of this installation.
    #[error(transparent)]
    Principal(#[from] PrincipalError),
    /// The maker's certificate names no device by a valid id.
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
    /// Who a client certificate names. Everything is checked here again: who vouches for it, its validity
    /// by our clock, revocation. After a handshake that costs no signature; after a resumed one, which
    /// verified nothing, it does.
    ///
    /// # Errors
    /// When it names nobody of this installation, or nobody who may come in.
    pub fn peer(&self, der: &[u8]) -> Result<Peer, PeerError> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der)
            .map_err(|error| PeerError::Malformed(error.to_string()))?;
        let now = self.clock.now();
        let not_before = moment(certificate.validity().not_before.timestamp())?;
        let not_after = moment(certificate.validity().not_after.timestamp())?;
        if now < not_before {
            return Err(PeerError::NotYetValid(not_before));
        }
        if now > not_after {
            return Err(PeerError::Expired(not_after));
        }
        let trust = self.trust.load();
        let origin = match trust.recall(der) {
            Some(origin) => origin,
            None => trust
                .verify(&CertificateDer::from(der), &[], now, true)
                .map_err(|error| PeerError::Untrusted(error.to_string()))?,
        };
        if let Origin::Maker(maker) = origin {
            return maker_device(&certificate, maker);
        }
        let serial = Serial::from_bytes(certificate.raw_serial())?;
        if self.revoked.contains(&serial) {
            return Err(PeerError::Revoked(serial));
        }
        let principal = self.principal(&certificate)?;
        if let Some(device) = principal.device() {
            self.age.note(device, not_before, not_after, now);
            self.rotating.note_use(&serial);
        }
        Ok(Peer::Principal {
            principal,
            serial,
            not_before,
            not_after,
        })
    }

    fn principal(&self, certificate: &X509Certificate<'_>) -> Result<Principal, PeerError> {
        let uris = uris(certificate)?;
        let [uri] = uris.as_slice() else {
            return Err(PeerError::Identities(uris.len()));
        };
        let principal = Principal::from_uri(uri, &self.config.trust_domain)?;
        let common_name = common_name(certificate.subject()).unwrap_or_default();
        if common_name != principal.id() {
            return Err(PeerError::CommonName {
                common_name: common_name.chars().take(80).collect(),
                identity: principal.to_string(),
            });
        }
        Ok(principal)
    }
}

fn maker_device(certificate: &X509Certificate<'_>, maker: Maker) -> Result<Peer, PeerError> {
    let subject = certificate.subject();
    let mut numbers = subject.iter_by_oid(&OID_X509_SERIALNUMBER);
    let number = numbers.next().and_then(|number| number.as_str().ok());
    let name = number.or_else(|| common_name(subject)).unwrap_or_default();
    Ok(Peer::MakerDevice {
        device: DeviceId::parse(name)?,
        maker: maker.name.as_ref().to_owned(),
        product: maker.product,
    })
}

/// The common name, where there is exactly one.
fn common_name<'a>(subject: &'a X509Name<'_>) -> Option<&'a str> {
    let mut names = subject.iter_common_name();
    let name = names.next()?.as_str().ok();
    match names.next() {
        Some(_) => None,
        None => name,
    }
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

fn moment(seconds: i64) -> Result<Timestamp, PeerError> {
    // Makers write 9999-12-31 for "never" (IEEE 802.1AR), a day past the last time we can tell.
    let last = Timestamp::MAX.as_second();
    Timestamp::from_second(seconds.min(last))
        .map_err(|error| PeerError::Malformed(error.to_string()))
}
