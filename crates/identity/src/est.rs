//! The bodies of EST (RFC 7030, clarified by RFC 8951): base64 in, PKCS#7 out.
//!
//! How base64 is broken into lines is where clients differ. RFC 8951 has neither side insist on line
//! breaks. strongSwan's `pki --est` and `--estca` cannot read an answer that has any. libest cannot read
//! the answer to `/cacerts` that has none once it holds more than a kilobyte, which two certificates do:
//! it feeds it to OpenSSL's line decoder. So an answer is one line ([`encode_body`]), unless the client
//! says by its `User-Agent` that it is libest ([`encode_for`]).

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use cms::{
    cert::CertificateChoices,
    content_info::{CmsVersion, ContentInfo},
    signed_data::{CertificateSet, EncapsulatedContentInfo, SignedData, SignerInfos},
};
use const_oid::db::rfc5911::{ID_DATA, ID_SIGNED_DATA};
use der::{Any, AnyRef, Decode, Encode, asn1::SetOfVec};
use x509_cert::Certificate;

/// The largest body, in bytes: a request of the largest size in base64, with line breaks.
pub const MAX_BODY: usize = 24 * 1024;

const LINE: usize = 64;

const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a body is not what EST says it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EstError {
    /// There is none.
    #[error("the body is empty: send a PKCS#10 certificate request in base64")]
    Empty,
    /// It is too large.
    #[error("the body has {0} bytes, at most {MAX_BODY} are read")]
    TooLarge(usize),
    /// It is not base64.
    #[error("the body is not base64: {0}")]
    Base64(String),
    /// The answer cannot be built.
    #[error("the certificates cannot be put into PKCS#7: {0}")]
    Pkcs7(String),
}

/// Reads a request body: base64 with or without line breaks (clients of both kinds exist), or what people
/// send by hand with curl, PEM or DER. `Content-Transfer-Encoding` is not asked (RFC 8951, section 3.1).
///
/// # Errors
/// When it is empty, too large or not base64.
pub fn decode_body(body: &[u8]) -> Result<Vec<u8>, EstError> {
    if body.len() > MAX_BODY {
        return Err(EstError::TooLarge(body.len()));
    }
    // A DER sequence with a length of two bytes; base64 has no byte above 127.
    if let [0x30, 0x81..=0x82, ..] = body {
        return Ok(body.to_vec());
    }
    let text = std::str::from_utf8(body)
        .map_err(|error| EstError::Base64(format!("byte {} is no text", error.valid_up_to())))?;
    let flat: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("-----"))
        .flat_map(str::chars)
        .filter(|c| !c.is_ascii_whitespace())
        .collect();
    if flat.is_empty() {
        return Err(EstError::Empty);
    }
    let decoded = TOLERANT.decode(flat);
    decoded.map_err(|error| EstError::Base64(error.to_string()))
}

/// An answer for a client that calls itself `user_agent`.
#[must_use]
pub fn encode_for(user_agent: Option<&str>, der: &[u8]) -> String {
    let is_libest = |agent: &str| agent.to_ascii_lowercase().contains("libest");
    match user_agent.is_some_and(is_libest) {
        true => encode_body_wrapped(der),
        false => encode_body(der),
    }
}

/// Base64 in one line: what RFC 8951 allows, and strongSwan insists on.
#[must_use]
pub fn encode_body(der: &[u8]) -> String {
    STANDARD.encode(der)
}

/// Base64 in lines of 64: what libest insists on where `/cacerts` holds two certificates.
#[must_use]
pub fn encode_body_wrapped(der: &[u8]) -> String {
    let flat = STANDARD.encode(der);
    let mut wrapped = String::with_capacity(flat.len() + flat.len() / LINE + 1);
    let mut rest = flat.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        wrapped.push_str(line);
        wrapped.push('\n');
        rest = after;
    }
    wrapped
}

/// A certificate in PEM.
#[must_use]
pub fn certificate_pem(der: &[u8]) -> String {
    let body = encode_body_wrapped(der);
    format!("-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
}

/// Certificates as a certs-only PKCS#7 message (RFC 7030, section 4.1.3). DER orders them; their order
/// says nothing.
///
/// # Errors
/// When a certificate cannot be read.
pub fn certs_only(certificates: &[&[u8]]) -> Result<Vec<u8>, EstError> {
    build_certs_only(certificates).map_err(|error| EstError::Pkcs7(error.to_string()))
}

fn build_certs_only(certificates: &[&[u8]]) -> der::Result<Vec<u8>> {
    let choices = certificates
        .iter()
        .map(|der| Certificate::from_der(der).map(CertificateChoices::Certificate))
        .collect::<der::Result<Vec<_>>>()?;
    let signed = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::new(),
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: ID_DATA,
            econtent: None,
        },
        certificates: Some(CertificateSet(SetOfVec::try_from(choices)?)),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::new()),
    };
    let content = AnyRef::try_from(signed.to_der()?.as_slice()).map(Any::from)?;
    ContentInfo {
        content_type: ID_SIGNED_DATA,
        content,
    }
    .to_der()
}

/// What a client is told to put into its request (RFC 7030, section 4.5.2): a P-256 key and a signature
/// with SHA-256. The DER is that of `SEQUENCE { id-ecPublicKey { SET { prime256v1 } }, ecdsa-with-SHA256 }`.
#[must_use]
pub fn csr_attributes() -> &'static [u8] {
    &[
        0x30, 0x21, // SEQUENCE
        0x30, 0x15, // Attribute
        0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // id-ecPublicKey
        0x31, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, // prime256v1
        0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02, // ecdsa-with-SHA256
    ]
}
