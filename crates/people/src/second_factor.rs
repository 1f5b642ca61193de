//! Second factors: TOTP (RFC 6238) and recovery codes. A secret is sealed where it is stored; a code counts
//! once.

use std::net::IpAddr;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use palisade_keys::{Keystore, Secret};
use palisade_store::Account;
use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

use crate::{OpenError, Opened, People, PeopleError, log_in::Wanted, secret};

const TOTP: &str = "totp";
/// The name of the key, in the keystore, that seals second factors.
const KEY: &str = "people.second-factors";
/// As RFC 4226 recommends.
const SECRET: usize = 20;
const DIGITS: usize = 6;
const RECOVERY_CODES: usize = 10;
/// 80 bits, so that a fast hash is enough.
const RECOVERY_BYTES: usize = 10;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A TOTP secret that waits to be confirmed with a code.
pub struct Enrolment {
    /// The secret in base32, for whoever types it.
    pub secret: String,
    /// For apps that read it as a QR code.
    pub uri: String,
}

/// What came of a confirmed second factor.
pub struct Confirmed {
    /// Codes that stand in for the second factor, each once: shown now and never again.
    pub recovery_codes: Vec<String>,
    /// The session that takes the place of all that the account had.
    pub opened: Opened,
}

/// Seals second factors.
pub(crate) struct Seal(RandomizedNonceKey);

impl Seal {
    /// With the key of the keystore, made where there is none.
    pub(crate) fn open(keys: &Keystore) -> Result<Self, OpenError> {
        if !keys.contains(KEY) {
            let new = Zeroizing::new(secret::bytes::<32>().map_err(|_| OpenError::Seal)?);
            keys.put(KEY, new.as_slice())?;
        }
        let key = keys.get(KEY)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, key.expose());
        key.map(Self).map_err(|_| OpenError::Seal)
    }

    fn seal(&self, account: &str, secret: &[u8]) -> Result<Vec<u8>, PeopleError> {
        let mut sealed = secret.to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(account.as_bytes()), &mut sealed);
        let nonce = nonce.map_err(|_| PeopleError::Seal)?;
        Ok([nonce.as_ref().as_slice(), &sealed].concat())
    }

    fn unseal(&self, account: &str, sealed: &[u8]) -> Result<Secret, PeopleError> {
        let (nonce, sealed) = sealed
            .split_at_checked(NONCE_LEN)
            .ok_or(PeopleError::Seal)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| PeopleError::Seal)?;
        let mut opened = Zeroizing::new(sealed.to_vec());
        let aad = Aad::from(account.as_bytes());
        let plain = self.0.open_in_place(nonce, aad, &mut opened);
        plain
            .map(|plain| Secret::new(plain.to_vec()))
            .map_err(|_| PeopleError::Seal)
    }
}

impl People {
    /// Makes a TOTP secret for an account; it counts when it is confirmed.
    ///
    /// # Errors
    /// When the account has a confirmed one, or the database fails.
    pub async fn enrol_totp(&self, account: &Account) -> Result<Enrolment, PeopleError> {
        let bytes = Zeroizing::new(secret::bytes::<SECRET>()?);
        let sealed = self.seal.seal(&account.name, bytes.as_slice())?;
        let (factors, now) = (self.ground.store.second_factors(), self.ground.clock.now());
        if !factors.put(&account.name, TOTP, &sealed, now).await? {
            return Err(PeopleError::HasFactor);
        }
        let secret = base32(bytes.as_slice());
        // The name holds nothing that a URI would have to escape but '@'.
        let label = account.name.replace('@', "%40");
        let uri = format!("otpauth://totp/Palisade:{label}?secret={secret}&issuer=Palisade");
        Ok(Enrolment { secret, uri })
    }

    /// Confirms a TOTP secret with a code of it. All sessions of the account end, and a new one begins.
    ///
    /// # Errors
    /// When the code is not right, there is nothing to confirm, or too many codes were tried.
    pub async fn confirm_totp(
        &self,
        account: &Account,
        code: &str,
        source: Option<IpAddr>,
    ) -> Result<Confirmed, PeopleError> {
        let store = &self.ground.store;
        let found = store.second_factors().find(&account.name, TOTP).await?;
        if found.is_none_or(|factor| factor.confirmed) {
            return Err(PeopleError::HasFactor);
        }
        let begun = self
            .attempts
            .begin(account.name.as_str(), source, self.ground.clock.now());
        begun.map_err(PeopleError::TooMany)?;
        if !self.take_totp(&account.name, code).await? {
            return Err(PeopleError::NotRight);
        }
        self.attempts.succeeded(account.name.as_str(), source, true);
        let (recovery_codes, hashes) = recovery_codes()?;
        store
            .second_factors()
            .put_recovery(&account.name, &hashes)
            .await?;
        store.accounts().end_sessions(&account.name).await?;
        let account = store.accounts().find(&account.name).await?;
        let account = account.ok_or(PeopleError::Changed)?;
        let opened = self.open_session(account, true, source).await?;
        Ok(Confirmed {
            recovery_codes,
            opened,
        })
    }

    /// Removes an account's second factors; its sessions end.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_second_factors(&self, account: &str) -> Result<(), PeopleError> {
        Ok(self
            .ground
            .store
            .second_factors()
            .remove_all(account)
            .await?)
    }

    /// Whether an account has a second factor that is confirmed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_second_factor(&self, account: &str) -> Result<bool, PeopleError> {
        let found = self.factors(account).await?;
        Ok(found.totp || found.passkey)
    }

    /// The second factors of an account that count.
    pub(crate) async fn factors(&self, account: &str) -> Result<Wanted, PeopleError> {
        let store = &self.ground.store;
        let totp = store.second_factors().find(account, TOTP).await?;
        Ok(Wanted {
            totp: totp.is_some_and(|factor| factor.confirmed),
            passkey: !store.passkeys().of(account).await?.is_empty(),
        })
    }

    /// Takes a code of any second factor; `false` where it is not right or was taken before.
    pub(crate) async fn take_code(&self, account: &str, code: &str) -> Result<bool, PeopleError> {
        let code: String = code
            .chars()
            .filter(|one| !matches!(one, ' ' | '-'))
            .take(64)
            .collect();
        if code.len() == DIGITS {
            return self.take_totp(account, &code).await;
        }
        let hash = secret::hash(&code.to_ascii_uppercase());
        let now = self.ground.clock.now();
        let factors = self.ground.store.second_factors();
        Ok(factors.take_recovery(account, &hash, now).await?)
    }

    async fn take_totp(&self, account: &str, code: &str) -> Result<bool, PeopleError> {
        if code.len() != DIGITS || !code.bytes().all(|one| one.is_ascii_digit()) {
            return Ok(false);
        }
        let factors = self.ground.store.second_factors();
        let Some(factor) = factors.find(account, TOTP).await? else {
            return Ok(false);
        };
        let now = u64::try_from(self.ground.clock.now().as_second()).unwrap_or(0);
        let totp = totp(self.seal.unseal(account, &factor.sealed)?.expose())?;
        match totp.check(code, now) {
            Some(step) => Ok(factors.take_step(account, TOTP, step).await?),
            None => Ok(false),
        }
    }
}

/// New recovery codes, as they are shown and as they are kept.
pub(crate) fn recovery_codes() -> Result<(Vec<String>, Vec<Vec<u8>>), PeopleError> {
    let codes: Vec<String> = (0..RECOVERY_CODES)
        .map(|_| Ok(base32(&secret::bytes::<RECOVERY_BYTES>()?)))
        .collect::<Result<_, PeopleError>>()?;
    let hashes = codes.iter().map(|code| secret::hash(code)).collect();
    Ok((codes.iter().map(|code| grouped(code)).collect(), hashes))
}

/// SHA-1, six digits, steps of 30 seconds, one of drift: what every app does.
fn totp(secret: &[u8]) -> Result<Totp, PeopleError> {
    let builder = Builder::new().with_secret(secret.to_vec()).with_skew(1);
    builder.build().map_err(|_| PeopleError::Seal)
}

/// Base32 (RFC 4648) of bytes in fives.
fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5);
    for five in bytes.chunks_exact(5) {
        let number = five
            .iter()
            .fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
        for place in (0..8).rev() {
            text.push(char::from(ALPHABET[(number >> (5 * place) & 31) as usize]));
        }
    }
    text
}

fn grouped(code: &str) -> String {
    let groups: Vec<_> = code
        .as_bytes()
        .chunks(4)
        .map(String::from_utf8_lossy)
        .collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_that_of_rfc_4648() {
        assert_eq!(base32(b"fooba"), "MZXW6YTB");
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        let totp = totp(b"12345678901234567890").expect("makes");
        for (second, code) in [(59, "287082"), (1_111_111_109, "081804")] {
            assert_eq!(totp.check(code, second), Some(second / 30));
            assert_eq!(totp.check(code, second + 90), None);
        }
    }
}
