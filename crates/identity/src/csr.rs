//! Certificate signing requests (PKCS#10, RFC 2986): hostile until they are checked.
//!
//! What a request can decide is its key: ECDSA on P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits.
//! Every other field of the certificate is ours. A request that asks for a name or a right which we would
//! not give is refused rather than cut down in silence. Three habits of real clients are let pass, because
//! they ask for nothing that could do harm and are not copied: parts of the subject besides the common
//! name (`openssl req` fills in a country), harmless bits of keyUsage, and what libest copies from the
//! certificate that it renews (which key signed it, and where the CRL is).

use aws_lc_rs::digest::{SHA256, digest};
use palisade_core::{Principal, TrustDomain, hex};
use rcgen::SubjectPublicKeyInfo;
use x509_parser::{
    certification_request::X509CertificationRequest,
    cri_attributes::{ParsedCriAttribute, X509CriAttribute},
    der_parser::{asn1_rs::Header, oid},
    extensions::{ExtendedKeyUsage, GeneralName, ParsedExtension, X509Extension},
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
        OID_SIG_ED25519, Oid,
    },
    prelude::FromDer,
    public_key::PublicKey,
    x509::{SubjectPublicKeyInfo as ParsedKey, X509Version},
};

/// The largest request, in bytes of DER.
pub const MAX_CSR: usize = 16 * 1024;

const UNCOMPRESSED: u8 = 4;

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
    #[error("the key is {0}; use ECDSA on P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits")]
    Key(String),
    /// Its common name is not the device's id.
    #[error("the common name is {found:?}, it must be {expected:?}")]
    CommonName {
        /// The name in the request.
        found: String,
        /// The name it must have.
        expected: String,
    },
    /// Its key is one that the device is asked to replace.
    #[error(
        "the device was asked for a new key, and this one is of a certificate that is replaced: make a new key"
    )]
    OldKey,
    /// It asks for something that is not its to ask for.
    #[error("the certificate request asks for {0}, which is not granted: leave it out")]
    Smuggled(String),
}

/// A request whose signature, key and contents were checked.
#[derive(Debug, Clone)]
pub struct CheckedCsr {
    common_name: Option<String>,
    key: SubjectPublicKeyInfo,
    key_sha256: String,
    uris: Vec<String>,
}

impl CheckedCsr {
    /// Reads and checks a request: size, proof of possession, key type and size, no name or extension
    /// that would say more than we say ourselves.
    ///
    /// # Errors
    /// When any of it does not hold.
    pub fn parse(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > MAX_CSR {
            return Err(CsrError::TooLarge(der.len()));
        }
        let (rest, request) = X509CertificationRequest::from_der(der).map_err(malformed)?;
        if !rest.is_empty() {
            return Err(malformed(format!("{} bytes follow it", rest.len())));
        }
        let info = &request.certification_request_info;
        if info.version != X509Version::V1 {
            return Err(malformed("its version is not 1"));
        }
        check_key(&info.subject_pki)?;
        request
            .verify_signature()
            .map_err(|_| CsrError::Possession)?;
        let key = SubjectPublicKeyInfo::from_der(info.subject_pki.raw)
            .map_err(|error| CsrError::Key(error.to_string()))?;
        let mut names = info.subject.iter_common_name();
        let common_name = match names.next() {
            Some(name) => Some(name.as_str().map_err(malformed)?.to_owned()),
            None => None,
        };
        if names.next().is_some() {
            return Err(CsrError::Smuggled("a second common name".to_owned()));
        }
        Ok(Self {
            common_name: common_name.filter(|name| !name.is_empty()),
            key,
            key_sha256: hex(digest(&SHA256, info.subject_pki.raw).as_ref()),
            uris: requested_uris(info.attributes())?,
        })
    }

    /// The common name, if there is one.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
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
            Some(uri) => {
                let uri: String = uri.chars().take(300).collect();
                Err(CsrError::Smuggled(format!("the name {uri:?}")))
            }
            None => Ok(()),
        }
    }

    /// Whether the request's key is the one in a certificate (DER).
    #[must_use]
    pub fn has_key_of(&self, certificate: &[u8]) -> bool {
        x509_parser::parse_x509_certificate(certificate).is_ok_and(|(_, certificate)| {
            SubjectPublicKeyInfo::from_der(certificate.public_key().raw)
                .is_ok_and(|key| key == self.key)
        })
    }

    /// The SHA-256 of the request's key (`SubjectPublicKeyInfo` in DER), in lower-case hexadecimal digits.
    pub(crate) fn key_sha256(&self) -> String {
        self.key_sha256.clone()
    }

    pub(crate) fn public_key(&self) -> &SubjectPublicKeyInfo {
        &self.key
    }
}

fn malformed(why: impl std::fmt::Display) -> CsrError {
    CsrError::Malformed(why.to_string().chars().take(200).collect())
}

fn check_key(key: &ParsedKey<'_>) -> Result<(), CsrError> {
    let kind = &key.algorithm.algorithm;
    let refused = |why: String| Err(CsrError::Key(why));
    if *kind == OID_SIG_ED25519 {
        return Ok(());
    }
    match key.parsed() {
        Ok(PublicKey::EC(point)) if *kind == OID_KEY_TYPE_EC_PUBLIC_KEY => {
            let parameters = key.algorithm.parameters.as_ref();
            let curve = parameters.and_then(|any| any.as_oid().ok());
            match curve {
                Some(curve) if curve == OID_EC_P256 || curve == OID_NIST_EC_P384 => {}
                Some(curve) => return refused(format!("ECDSA on curve {curve}")),
                None => return refused("ECDSA on no named curve".to_owned()),
            }
            match point.data().first() {
                Some(&UNCOMPRESSED) => Ok(()),
                _ => refused("a compressed point".to_owned()),
            }
        }
        Ok(PublicKey::RSA(rsa)) if *kind == OID_PKCS1_RSAENCRYPTION => {
            let bits = rsa.key_size();
            let exponent = rsa.try_exponent().unwrap_or_default();
            if !(2048..=4096).contains(&bits) {
                return refused(format!("RSA of {bits} bits"));
            }
            match exponent >= 65_537 && exponent % 2 == 1 {
                true => Ok(()),
                false => refused(format!("RSA with exponent {exponent}")),
            }
        }
        _ => refused(format!("of type {kind}")),
    }
}

/// The URI names asked for; every other request for a name or a right is refused.
fn requested_uris(attributes: &[X509CriAttribute<'_>]) -> Result<Vec<String>, CsrError> {
    let mut extensions = None;
    for attribute in attributes {
        check_single(attribute)?;
        match attribute.parsed_attribute() {
            ParsedCriAttribute::ExtensionRequest(request) if extensions.is_none() => {
                extensions = Some(&request.extensions);
            }
            ParsedCriAttribute::ExtensionRequest(_) => {
                return Err(malformed("it has two lists of requested extensions"));
            }
            ParsedCriAttribute::ChallengePassword(_) => {}
            ParsedCriAttribute::UnsupportedAttribute if is_harmless(&attribute.oid) => {}
            ParsedCriAttribute::UnsupportedAttribute => {
                return Err(CsrError::Smuggled(format!("attribute {}", attribute.oid)));
            }
        }
    }
    let mut uris = Vec::new();
    for extension in extensions.into_iter().flatten() {
        check_extension(extension, &mut uris)?;
    }
    Ok(uris)
}

/// An attribute is a set of values; the parser reads the first. A second one must not pass unseen.
fn check_single(attribute: &X509CriAttribute<'_>) -> Result<(), CsrError> {
    let parsed_whole = match attribute.parsed_attribute() {
        ParsedCriAttribute::UnsupportedAttribute => true,
        _ => {
            let (content, header) = Header::from_der(attribute.value).map_err(malformed)?;
            header
                .length()
                .definite()
                .is_ok_and(|length| length == content.len())
        }
    };
    match parsed_whole {
        true => Ok(()),
        false => Err(malformed(format!(
            "attribute {} has two values",
            attribute.oid
        ))),
    }
}

/// `unstructuredName`, which old tools write, and the key type that `/csrattrs` names, which diligent ones
/// repeat.
fn is_harmless(attribute: &Oid<'_>) -> bool {
    *attribute == oid!(1.2.840.113549.1.9.2) || *attribute == OID_KEY_TYPE_EC_PUBLIC_KEY
}

fn check_extension(extension: &X509Extension<'_>, uris: &mut Vec<String>) -> Result<(), CsrError> {
    match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => {
            for name in &names.general_names {
                match name {
                    GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                    other => {
                        let other: String = other.to_string().chars().take(300).collect();
                        return Err(CsrError::Smuggled(format!("the name {other}")));
                    }
                }
            }
            Ok(())
        }
        ParsedExtension::KeyUsage(usage) if !usage.key_cert_sign() && !usage.crl_sign() => Ok(()),
        ParsedExtension::ExtendedKeyUsage(usage) if is_client_auth_alone(usage) => Ok(()),
        ParsedExtension::BasicConstraints(basic) if !basic.ca => Ok(()),
        // Ours is made from the key as well.
        ParsedExtension::SubjectKeyIdentifier(_) => Ok(()),
        ParsedExtension::AuthorityKeyIdentifier(_) | ParsedExtension::CRLDistributionPoints(_) => {
            Ok(())
        }
        ParsedExtension::ParseError { error } => Err(malformed(format!(
            "extension {} cannot be read: {error}",
            extension.oid
        ))),
        ParsedExtension::KeyUsage(_) => Err(smuggled("to sign certificates (keyUsage)")),
        ParsedExtension::ExtendedKeyUsage(_) => {
            Err(smuggled("extendedKeyUsage other than clientAuth"))
        }
        ParsedExtension::BasicConstraints(_) => Err(smuggled("to be a CA (basicConstraints)")),
        _ => Err(smuggled(&format!("extension {}", extension.oid))),
    }
}

fn smuggled(what: &str) -> CsrError {
    CsrError::Smuggled(what.to_owned())
}

fn is_client_auth_alone(usage: &ExtendedKeyUsage<'_>) -> bool {
    let others = [
        usage.any,
        usage.server_auth,
        usage.code_signing,
        usage.email_protection,
        usage.time_stamping,
        usage.ocsp_signing,
    ];
    usage.other.is_empty() && !others.contains(&true)
}
