//! Passwords at rest: argon2id, with the parameters that OWASP names or above.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{self, PasswordHasher, PasswordVerifier, SaltString},
};

use super::normalise;

/// 32 MiB, two passes, one lane: above OWASP's 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 32 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT: usize = 16;

/// Why a password cannot be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// There is no randomness to make a salt of.
    #[error("the operating system gives no random bytes")]
    Random,
    /// The hash cannot be computed.
    #[error("the password cannot be hashed: {0}")]
    Hash(password_hash::Error),
    /// The parameters are none.
    #[error("the parameters of the hash are not valid: {0}")]
    Parameters(argon2::Error),
}

/// The hash of a password, in PHC form.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Hashes a password under a new salt. It takes [`MEMORY_KIB`] of memory and some tens of
    /// milliseconds: see [`Workshop`](crate::Workshop).
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn of(password: &str) -> Result<Self, HashError> {
        let mut salt = [0; SALT];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| HashError::Random)?;
        let salt = SaltString::encode_b64(&salt).map_err(HashError::Hash)?;
        let hash = hasher()?.hash_password(normalise(password).as_bytes(), &salt);
        hash.map(|hash| Self(hash.to_string()))
            .map_err(HashError::Hash)
    }

    /// One that was stored.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is that of a password. What is no hash is nobody's.
    #[must_use]
    pub fn is_of(&self, password: &str) -> bool {
        let Ok(parsed) = password_hash::PasswordHash::new(&self.0) else {
            return false;
        };
        // The parameters are those that stand in the hash; the comparison takes constant time.
        Argon2::default()
            .verify_password(normalise(password).as_bytes(), &parsed)
            .is_ok()
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

fn hasher() -> Result<Argon2<'static>, HashError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(HashError::Parameters)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_argon2id_above_owasp_and_of_its_password_alone() {
        let hash = PasswordHash::of("a long enough passphrase").expect("hashes");
        assert!(
            hash.as_str().starts_with("$argon2id$v=19$m=32768,t=2,p=1$"),
            "{}",
            hash.as_str()
        );
        assert!(hash.is_of("a long enough passphrase"));
        assert!(!hash.is_of("a long enough passphrase "));
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
        assert!(!PasswordHash::stored("plain".to_owned()).is_of("plain"));
    }

    #[test]
    fn the_same_text_from_another_keyboard_is_the_same_password() {
        let hash = PasswordHash::of("cafe\u{301} \u{fb01}rewall").expect("hashes");
        assert!(hash.is_of("caf\u{e9} firewall"));
    }
}
