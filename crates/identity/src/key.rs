//! What kind of key a certificate has, and whether it is strong enough.

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::{
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_SIG_ED25519},
    prelude::{FromDer, X509Certificate},
    public_key::PublicKey,
    x509::SubjectPublicKeyInfo,
};

/// The least RSA modulus, in bits.
const RSA_BITS: usize = 2_048;

/// The public key of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeyFacts {
    /// SHA-256 of its SubjectPublicKeyInfo; of the whole certificate where that cannot be read.
    pub sha256: Vec<u8>,
    /// What kind of key it is (`RSA of 2048 bits`).
    pub kind: String,
    /// Whether it is weaker than what is issued today.
    pub weak: bool,
}

impl PublicKeyFacts {
    /// Reads the key of a certificate in DER. A certificate that cannot be read has a weak key.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
            return Self {
                sha256: digest(&SHA256, certificate).as_ref().to_vec(),
                kind: "not readable".to_owned(),
                weak: true,
            };
        };
        let key = parsed.public_key();
        let (kind, weak) = judge(key);
        Self {
            sha256: digest(&SHA256, key.raw).as_ref().to_vec(),
            kind,
            weak,
        }
    }
}

fn judge(key: &SubjectPublicKeyInfo<'_>) -> (String, bool) {
    let algorithm = &key.algorithm.algorithm;
    if *algorithm == OID_SIG_ED25519 {
        return ("Ed25519".to_owned(), false);
    }
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => {
            let (bits, exponent) = (rsa.key_size(), rsa.try_exponent().unwrap_or_default());
            let kind = format!("RSA of {bits} bits with exponent {exponent}");
            (kind, bits < RSA_BITS || exponent < 65_537)
        }
        Ok(PublicKey::EC(_)) if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY => {
            let parameters = key.algorithm.parameters.as_ref();
            match parameters.and_then(|any| any.as_oid().ok()) {
                Some(curve) if curve == OID_EC_P256 => ("ECDSA on P-256".to_owned(), false),
                Some(curve) if curve == OID_NIST_EC_P384 => ("ECDSA on P-384".to_owned(), false),
                Some(curve) => (format!("ECDSA on curve {curve}"), true),
                None => ("ECDSA on no named curve".to_owned(), true),
            }
        }
        _ => (format!("of type {algorithm}"), true),
    }
}
