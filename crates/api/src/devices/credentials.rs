//! What a device shows of itself.

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use palisade_identity::{Identity, Peer, PeerError};

use crate::serve::ConnectInfo;

/// The longest `Authorization` header that is read, in bytes.
const MAX_AUTHORIZATION: usize = 1_024;

/// The SHA-256 of an enrolment token's secret. Tokens are looked up by it, so that how long the answer
/// takes says nothing about the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenHash([u8; 32]);

impl TokenHash {
    pub(crate) fn of(secret: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, secret).as_ref());
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The token that came as the password of HTTP Basic (RFC 7617); `None` where no such header came. One
/// that cannot be read is a token that nobody has.
pub(crate) fn token(headers: &HeaderMap) -> Option<TokenHash> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let password = |decoded: Vec<u8>| {
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        Some(TokenHash::of(&decoded[colon + 1..]))
    };
    let decoded = match value.len() {
        0..=MAX_AUTHORIZATION => STANDARD.decode(encoded.trim_ascii()).ok(),
        _ => None,
    };
    Some(decoded.and_then(password).unwrap_or(TokenHash::of(b"")))
}

/// Whom the certificate of the connection names now; `None` where there is none.
pub(crate) fn peer(info: &ConnectInfo, identity: &Identity) -> Option<Result<Peer, PeerError>> {
    let der = info.certificate.as_ref()?;
    Some(identity.peer(der))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn shown(value: &str) -> Option<TokenHash> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_str(value).expect("valid"),
        );
        token(&headers)
    }

    #[test]
    fn the_password_is_the_token_whatever_the_user_name() {
        let secret = Some(TokenHash::of(b"pet_a:b"));
        for pair in ["device:pet_a:b", ":pet_a:b"] {
            let encoded = STANDARD.encode(pair);
            assert_eq!(shown(&format!("Basic {encoded}")), secret);
            assert_eq!(shown(&format!("bASIC  {encoded} ")), secret);
        }
        assert_eq!(shown("Bearer pet_a"), None);
        assert_eq!(shown(""), None);
    }

    #[test]
    fn what_cannot_be_read_is_a_token_that_nobody_has() {
        let nobodys = Some(TokenHash::of(b""));
        assert_eq!(shown("Basic !!!"), nobodys);
        assert_eq!(
            shown(&format!("Basic {}", STANDARD.encode("no colon"))),
            nobodys
        );
        assert_eq!(shown(&format!("Basic {}", "A".repeat(4_000))), nobodys);
    }
}
