//! The answers of EST: certificates in a certs-only PKCS#7 message (RFC 7030, section 4.1.3), in base64.
//! They come from outside, so they are bounded before they are read.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use cms::{cert::CertificateChoices, content_info::ContentInfo, signed_data::SignedData};
use der::{Decode, Encode, oid::db::rfc5911::ID_SIGNED_DATA};
use rustls::pki_types::CertificateDer;

/// The largest answer that is read, in bytes of base64.
pub(crate) const MAX_ANSWER: usize = 96 * 1024;
const MAX_CERTIFICATES: usize = 16;

// RFC 8951 has neither side insist on line breaks; padding is as often forgotten.
const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why an answer holds no certificates that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Pkcs7Error {
    /// It is too large.
    #[error("the server's answer has {0} bytes, at most {MAX_ANSWER} are read")]
    TooLarge(usize),
    /// It is not base64.
    #[error("the server's answer is not base64: {0}")]
    Base64(String),
    /// It is not PKCS#7 with certificates.
    #[error("the server's answer is not a certs-only PKCS#7 message: {0}")]
    Malformed(String),
    /// It holds too many certificates.
    #[error("the server's answer has {0} certificates, at most {MAX_CERTIFICATES} are read")]
    TooMany(usize),
}

/// Reads the body of an EST answer.
pub(crate) fn certificates(body: &[u8]) -> Result<Vec<CertificateDer<'static>>, Pkcs7Error> {
    if body.len() > MAX_ANSWER {
        return Err(Pkcs7Error::TooLarge(body.len()));
    }
    let flat: Vec<u8> = body
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let decoded = TOLERANT.decode(flat);
    certificates_in_der(&decoded.map_err(|error| Pkcs7Error::Base64(error.to_string()))?)
}

fn certificates_in_der(message: &[u8]) -> Result<Vec<CertificateDer<'static>>, Pkcs7Error> {
    let content = ContentInfo::from_der(message).map_err(malformed)?;
    if content.content_type != ID_SIGNED_DATA {
        return Err(Pkcs7Error::Malformed("it is not SignedData".to_owned()));
    }
    let signed: SignedData = content.content.decode_as().map_err(malformed)?;
    let choices = signed.certificates.map(|set| set.0).unwrap_or_default();
    if choices.len() > MAX_CERTIFICATES {
        return Err(Pkcs7Error::TooMany(choices.len()));
    }
    let mut certificates = Vec::with_capacity(choices.len());
    for choice in choices.iter() {
        if let CertificateChoices::Certificate(certificate) = choice {
            certificates.push(certificate.to_der().map_err(malformed)?.into());
        }
    }
    Ok(certificates)
}

fn malformed(error: der::Error) -> Pkcs7Error {
    Pkcs7Error::Malformed(error.to_string())
}

#[cfg(test)]
mod tests;
