//! For the fuzz targets in `fuzz/`: what a provider answers, through our types and our judgement, and nothing else.

use openidconnect::{
    UserInfoClaims,
    core::{CoreGenderClaim, CoreJsonWebKeySet},
};
use palisade_core::Timestamp;
use serde_json::{Map, Value};

use crate::{
    Claims,
    client::{Others, Tokens},
    known::{Facts, Metadata},
    token::{Expected, judge},
};

/// What the provider of these functions says of itself.
const METADATA: &str = r#"{
    "issuer": "https://id.test", "authorization_endpoint": "https://id.test/auth",
    "token_endpoint": "https://id.test/token", "jwks_uri": "https://id.test/keys",
    "response_types_supported": ["code"], "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["EdDSA"]
}"#;
/// A key of which nobody has the private half: the sample of RFC 8037, appendix A.
const KEYS: &str = r#"{ "keys": [
    { "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }
] }"#;

/// Reads a discovery document, and says whether it is one.
#[must_use]
pub fn discovery(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Metadata>(bytes).is_ok()
}

/// Reads keys, and says whether they are.
#[must_use]
pub fn keys(bytes: &[u8]) -> bool {
    serde_json::from_slice::<CoreJsonWebKeySet>(bytes).is_ok()
}

/// Reads the answer of a token endpoint and judges its ID token by a key of which nobody has the private half: says
/// whether it is believed, which it never is.
#[must_use]
pub fn is_believed(bytes: &[u8]) -> bool {
    judged(bytes, KEYS).is_some()
}

/// Reads claims of `userinfo` and looks for one by its name or path.
#[must_use]
pub fn claim(bytes: &[u8], name: &str) -> usize {
    type Read = UserInfoClaims<Others, CoreGenderClaim>;
    let read = Read::from_json::<crate::http::HttpError>(bytes, None);
    let Some(Value::Object(claims)) = read.ok().and_then(|one| serde_json::to_value(one).ok())
    else {
        return 0;
    };
    let mut all = Claims::new(Map::new());
    all.fill(claims);
    all.texts(name).len() + usize::from(all.text(name).is_some())
}

/// The claims of an ID token that is believed.
fn judged(bytes: &[u8], keys: &str) -> Option<Value> {
    let tokens: Tokens = serde_json::from_slice(bytes).ok()?;
    let metadata: Metadata = serde_json::from_str(METADATA).ok()?;
    let keys: CoreJsonWebKeySet = serde_json::from_str(keys).ok()?;
    let expected = Expected {
        client_id: "palisade",
        nonce: "nonce",
        begun_s: 1_800_000_000,
        now: Timestamp::from_second(1_800_000_060).ok()?,
    };
    let claims = judge(&tokens, &Facts::of(metadata, keys, 0), &expected).ok()?;
    serde_json::to_value(claims).ok()
}

#[cfg(test)]
mod tests;
