//! Secrets that are random: shown once, and kept as a hash.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::PeopleError;

/// A new secret: the prefix that says what it is for, and 32 random bytes in base64url.
pub(crate) fn generate(prefix: &str) -> Result<String, PeopleError> {
    Ok(format!(
        "{prefix}{}",
        URL_SAFE_NO_PAD.encode(bytes::<32>()?)
    ))
}

pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], PeopleError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| PeopleError::Random)?;
    Ok(bytes)
}

/// What is kept of a secret. That it is fast to compute does no harm: the secret is random.
pub(crate) fn hash(secret: &str) -> Vec<u8> {
    digest(&SHA256, secret.as_bytes()).as_ref().to_vec()
}
