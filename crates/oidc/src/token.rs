//! What is believed of an ID token (Core 1.0, section 3.1.3.7).

use chrono::{DateTime, Utc};
use openidconnect::{
    AccessTokenHash, ClaimsVerificationError, ClientId, IdTokenVerifier, Nonce,
    OAuth2TokenResponse, SignatureVerificationError, TokenResponse, core::CoreJwsSigningAlgorithm,
};
use palisade_core::Timestamp;

use crate::{
    client::{TokenClaims, Tokens},
    known::Facts,
};

/// What an ID token may be signed with: keys of which only the provider has the private half.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];
/// How far the provider's clock may be from ours, in seconds.
const SKEW_S: i64 = 120;

/// What an ID token must fit.
pub(crate) struct Expected<'a> {
    /// Who we are to the provider.
    pub(crate) client_id: &'a str,
    /// What was sent along.
    pub(crate) nonce: &'a str,
    /// When the sign-in was begun, in seconds.
    pub(crate) begun_s: i64,
    pub(crate) now: Timestamp,
}

/// Why an ID token is not believed.
pub(crate) enum Unbelieved {
    /// It may be signed with a key that is newer than those known.
    UnknownKey,
    /// Whatever key it is signed with.
    Wrong(String),
}

impl From<ClaimsVerificationError> for Unbelieved {
    fn from(error: ClaimsVerificationError) -> Self {
        use ClaimsVerificationError as Error;
        let why = match error {
            Error::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
                return Self::UnknownKey;
            }
            Error::SignatureVerification(_) => "its ID token's signature",
            Error::Expired(_) => "its ID token has expired, or was not issued for this sign-in",
            Error::InvalidAudience(_) => "its ID token is for another client (aud)",
            Error::InvalidIssuer(_) => "its ID token is of another issuer (iss)",
            Error::InvalidNonce(_) => "its ID token is of another sign-in (nonce)",
            _ => "its ID token",
        };
        Self::Wrong(why.to_owned())
    }
}

/// What the ID token says, where all of it is right.
pub(crate) fn judge(
    tokens: &Tokens,
    facts: &Facts,
    expected: &Expected<'_>,
) -> Result<TokenClaims, Unbelieved> {
    let wrong = |why: &str| Unbelieved::Wrong(why.to_owned());
    let token = tokens
        .id_token()
        .ok_or_else(|| wrong("there is no ID token"))?;
    let now = expected.now;
    let earliest_s = expected.begun_s - SKEW_S;
    let latest_s = now.as_second() + SKEW_S;
    let client_id = ClientId::new(expected.client_id.to_owned());
    // As of a client without a secret: what is signed with the secret that we share proves nothing.
    let verifier = IdTokenVerifier::new_public_client(
        client_id.clone(),
        facts.metadata.issuer().clone(),
        facts.keys.clone(),
    )
    .set_allowed_algs(ALGORITHMS)
    .set_time_fn(move || as_chrono(now))
    .set_issue_time_verifier_fn(move |issued| {
        match (earliest_s..=latest_s).contains(&issued.timestamp()) {
            true => Ok(()),
            false => Err("it was not issued for this sign-in".to_owned()),
        }
    });
    let nonce = Nonce::new(expected.nonce.to_owned());
    let claims = token.claims(&verifier, &nonce)?;
    // The library leaves this one to its users.
    if claims
        .authorized_party()
        .is_some_and(|party| *party != client_id)
    {
        return Err(wrong("its ID token was issued to another client (azp)"));
    }
    if let Some(hash) = claims.access_token_hash() {
        let algorithm = token
            .signing_alg()
            .map_err(|_| wrong("its ID token has no algorithm"))?;
        let key = token
            .signing_key(&verifier)
            .map_err(|_| Unbelieved::UnknownKey)?;
        let found = AccessTokenHash::from_token(tokens.access_token(), algorithm, key);
        if found.ok().as_ref() != Some(hash) {
            return Err(wrong(
                "its access token is not the one of the ID token (at_hash)",
            ));
        }
    }
    Ok(claims.clone())
}

fn as_chrono(now: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp(now.as_second(), 0).unwrap_or_default()
}
