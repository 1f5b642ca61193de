//! Certificate signing requests: hostile until they are checked.

use palisade_core::{Principal, TrustDomain};
use rcgen::SubjectPublicKeyInfo;
use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384},
    prelude::FromDer,
    public_key::PublicKey,
    x509::SubjectPublicKeyInfo as ParsedKey,
};

/// The largest request, in bytes of DER.
pub const MAX_CSR: usize = 16 * 1024;

/// Why a request is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// It is too large.
    #[error("the certificate request has {0} bytes, at most {MAX_CSR} are read")]
    TooLarge(usize),
    /// It is not a PKCS#10 request.
    #[error("this is not a PKCS#10 certificate request in DER: {0}")]
    Malformed(String),
    /// Its signature is not by the key in it.
    #[error("the certificate request is not signed by its own key (proof of possession)")]
    Possession,
    /// Its key is of a kind or size that we do not certify.
    #[error("the key is {0}; use ECDSA on P-256 or P-384, or RSA of 2048 to 4096 bits")]
    Key(String),
    /// Its common name is not the device's id.
    #[error("the common name is {found:?}, it must be {expected:?}")]
    CommonName {
        /// The name in the request.
        found: String,
        /// The name it must have.
        expected: String,
    },
    /// It asks for something that is not its to ask for.
    #[error("the certificate request asks for {0}, which is not granted: leave it out")]
    Smuggled(String),
}

/// A request whose signature, key and contents were checked.
#[derive(Debug, Clone)]
pub struct CheckedCsr {
    common_name: Option<String>,
    key_der: Vec<u8>,
    uris: Vec<String>,
}

impl CheckedCsr {
    /// Reads and checks a request: size, proof of possession, key type and size, no extension that would
    /// say more than we say ourselves.
    ///
    /// # Errors
    /// When any of it does not hold.
    pub fn parse(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > MAX_CSR {
            return Err(CsrError::TooLarge(der.len()));
        }
        let malformed = |error: &dyn std::fmt::Display| CsrError::Malformed(error.to_string());
        let (rest, request) =
            X509CertificationRequest::from_der(der).map_err(|error| malformed(&error))?;
        if !rest.is_empty() {
            return Err(CsrError::Malformed(format!(
                "{} bytes follow it",
                rest.len()
            )));
        }
        let info = &request.certification_request_info;
        check_key(&info.subject_pki)?;
        request
            .verify_signature()
            .map_err(|_| CsrError::Possession)?;
        let mut names = info.subject.iter_common_name();
        let common_name = names
            .next()
            .map(|name| name.as_str().map(str::to_owned))
            .transpose()
            .map_err(|error| malformed(&error))?;
        if names.next().is_some() {
            return Err(CsrError::Smuggled("a second common name".to_owned()));
        }
        let uris = requested_uris(&request)?;
        Ok(Self {
            common_name,
            key_der: info.subject_pki.raw.to_vec(),
            uris,
        })
    }

    /// The common name, if there is one.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref().filter(|name| !name.is_empty())
    }

    /// Checks that the request is for this principal and for nothing else.
    ///
    /// # Errors
    /// When the common name is another, or a name is asked for that is not the principal's.
    pub fn check_for(&self, principal: &Principal, domain: &TrustDomain) -> Result<(), CsrError> {
        if let Some(found) = self.common_name().filter(|name| *name != principal.id()) {
            return Err(CsrError::CommonName {
                found: found.chars().take(80).collect(),
                expected: principal.id().to_owned(),
            });
        }
        let expected = principal.to_uri(domain);
        match self.uris.iter().find(|uri| **uri != expected) {
            Some(uri) => Err(CsrError::Smuggled(format!("the name {uri:?}"))),
            None => Ok(()),
        }
    }

    pub(crate) fn public_key(&self) -> Result<SubjectPublicKeyInfo, rcgen::Error> {
        SubjectPublicKeyInfo::from_der(&self.key_der)
    }
}

fn check_key(key: &ParsedKey<'_>) -> Result<(), CsrError> {
    match key.parsed() {
        Ok(PublicKey::EC(point)) if key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY => {
            let curve = key
                .algorithm
                .parameters
                .as_ref()
                .and_then(|any| any.as_oid().ok());
            match curve {
                Some(oid) if oid == OID_EC_P256 || oid == OID_NIST_EC_P384 => Ok(()),
                _ => Err(CsrError::Key(format!(
                    "ECDSA of {} bits on another curve",
                    point.key_size()
                ))),
            }
        }
        Ok(PublicKey::RSA(rsa)) if (2048..=4096).contains(&rsa.key_size()) => Ok(()),
        Ok(PublicKey::RSA(rsa)) => Err(CsrError::Key(format!("RSA of {} bits", rsa.key_size()))),
        _ => Err(CsrError::Key(format!(
            "of type {}",
            key.algorithm.algorithm
        ))),
    }
}

/// The URI names asked for. Key usages are allowed, for clients add them by habit and we write our own.
fn requested_uris(request: &X509CertificationRequest<'_>) -> Result<Vec<String>, CsrError> {
    let mut uris = Vec::new();
    for extension in request.requested_extensions().into_iter().flatten() {
        match extension {
            ParsedExtension::KeyUsage(usage) if !usage.key_cert_sign() && !usage.crl_sign() => {}
            ParsedExtension::ExtendedKeyUsage(usage) if !usage.any && !usage.server_auth => {}
            ParsedExtension::BasicConstraints(basic) if !basic.ca => {}
            ParsedExtension::SubjectKeyIdentifier(_) => {}
            ParsedExtension::SubjectAlternativeName(names) => {
                for name in &names.general_names {
                    match name {
                        GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                        other => return Err(CsrError::Smuggled(format!("the name {other}"))),
                    }
                }
            }
            other => {
                let name = format!("{other:?}");
                let kind = name.split(['(', ' ', '{']).next().unwrap_or("unknown");
                return Err(CsrError::Smuggled(format!("the extension {kind}")));
            }
        }
    }
    Ok(uris)
}
