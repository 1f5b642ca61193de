//! What devices are answered.

use std::time::Duration;

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use palisade_identity::est;

const TRANSFER_ENCODING: HeaderName = HeaderName::from_static("content-transfer-encoding");
/// The longest text of a refusal, in characters: it may quote what the client sent.
const MAX_TEXT: usize = 500;

/// `/cacerts` (RFC 7030, section 4.1.3).
pub(crate) const CA_CERTS: HeaderValue = HeaderValue::from_static("application/pkcs7-mime");
/// A certificate (RFC 7030, section 4.2.3). libest compares both types to the letter.
pub(crate) const CERTIFICATE: HeaderValue =
    HeaderValue::from_static("application/pkcs7-mime; smime-type=certs-only");
/// `/csrattrs` (RFC 7030, section 4.5.2).
pub(crate) const CSR_ATTRIBUTES: HeaderValue = HeaderValue::from_static("application/csrattrs");

/// Why a device does not get what it asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It has shown nothing that allows it to ask.
    #[error("show an enrolment token as the password (any user name), or your maker's certificate")]
    NoCredentials,
    /// Its token is not good: unknown, used up, expired or revoked. Which, the client is not told.
    #[error("the enrolment token is not valid: ask for a new one")]
    BadCredentials,
    /// What it sent cannot be read or signed.
    #[error("{0}")]
    BadRequest(String),
    /// It may not have it.
    #[error("{0}")]
    Forbidden(String),
    /// It asks too often.
    #[error("too often: wait {} seconds", wait_s(.0))]
    TooOften(Duration),
    /// We cannot do it now.
    #[error("this cannot be done now: try again in a while")]
    Unavailable,
}

impl Refusal {
    /// Something of ours failed: the log has it, the client does not.
    pub(crate) fn ours(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "a device could not be served");
        Self::Unavailable
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NoCredentials | Self::BadCredentials => StatusCode::UNAUTHORIZED,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::TooOften(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut text: String = self.to_string().chars().take(MAX_TEXT).collect();
        text.push('\n');
        let mut response = (self.status(), text).into_response();
        let headers = response.headers_mut();
        match self {
            Self::NoCredentials | Self::BadCredentials => {
                let challenge = HeaderValue::from_static("Basic realm=\"palisade\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            Self::TooOften(wait) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(wait_s(&wait)));
            }
            Self::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(30));
            }
            Self::BadRequest(_) | Self::Forbidden(_) => {}
        }
        response
    }
}

fn wait_s(wait: &Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// An answer of EST: base64, as the client can read it.
pub(crate) fn est_answer(content_type: HeaderValue, asked: &HeaderMap, der: &[u8]) -> Response {
    let agent = asked.get(header::USER_AGENT);
    let agent = agent.and_then(|agent| agent.to_str().ok());
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (TRANSFER_ENCODING, HeaderValue::from_static("base64")),
    ];
    (headers, est::encode_for(agent, der)).into_response()
}
