//! Seals what changes fast and is read back at a start: many small pieces, each bound to its place.

use std::collections::HashMap;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
    rand::{SecureRandom, SystemRandom},
};
use parking_lot::Mutex;

use crate::{Keystore, KeystoreError, Secret, WrapError, random_key};

/// What sealed pieces begin with.
const MARK: u8 = 0xe5;
const SALT: usize = 16;
/// Mark, salt, nonce.
const HEAD: usize = 1 + SALT + NONCE_LEN;
/// Keys of earlier processes that are remembered while pieces are opened.
const REMEMBERED: usize = 256;
const LABEL: &[u8] = b"palisade state 1";

/// Why a piece cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum StateSealError {
    /// It was changed, moved, or sealed by another installation.
    #[error("it cannot be opened: it was changed on the disk, or belongs elsewhere")]
    Refused,
    /// The cryptographic library refused.
    #[error("the cryptographic library failed to {0}")]
    Crypto(&'static str),
    /// The key cannot be had.
    #[error(transparent)]
    Key(#[from] WrapError),
    /// The keystore failed.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
}

/// Seals with AES-256-GCM. Each process derives a key of its own from the kept one (HKDF-SHA-256, random salt) and
/// counts its nonces, so that no two pieces share one however many there are.
#[derive(Debug)]
pub struct StateSeal {
    kept: Secret,
    own: Mutex<Own>,
    others: Mutex<HashMap<[u8; SALT], LessSafeKey>>,
}

#[derive(Debug)]
struct Own {
    salt: [u8; SALT],
    key: LessSafeKey,
    next: u64,
}

impl StateSeal {
    /// With the key of this name, which is made where there is none.
    ///
    /// # Errors
    /// When the keystore cannot be read or written.
    pub fn open(keys: &Keystore, name: &str) -> Result<Self, StateSealError> {
        if !keys.contains(name) {
            keys.put(name, random_key(32)?.expose())?;
        }
        let kept = keys.get(name)?;
        let mut salt = [0; SALT];
        let filled = SystemRandom::new().fill(&mut salt);
        filled.map_err(|_| StateSealError::Crypto("find randomness"))?;
        let own = Own {
            key: derive(&kept, &salt)?,
            salt,
            next: 0,
        };
        Ok(Self {
            kept,
            own: Mutex::new(own),
            others: Mutex::default(),
        })
    }

    /// Seals a piece for its place.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn seal(&self, place: &[u8], piece: &[u8]) -> Result<Vec<u8>, StateSealError> {
        let mut own = self.own.lock();
        let mut nonce = [0; NONCE_LEN];
        nonce[NONCE_LEN - 8..].copy_from_slice(&own.next.to_be_bytes());
        own.next += 1;
        let mut sealed = Vec::with_capacity(HEAD + piece.len() + AES_256_GCM.tag_len());
        sealed.push(MARK);
        sealed.extend_from_slice(&own.salt);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(piece);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = own
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(place), &mut sealed[HEAD..])
            .map_err(|_| StateSealError::Crypto("seal"))?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Whether a piece is a sealed one.
    #[must_use]
    pub fn is_sealed(piece: &[u8]) -> bool {
        piece.first() == Some(&MARK)
    }

    /// Opens a piece that was sealed for this place, by this process or an earlier one.
    ///
    /// # Errors
    /// When it was sealed for another place or changed.
    pub fn unseal(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StateSealError> {
        let (head, body) = sealed
            .split_first_chunk::<HEAD>()
            .ok_or(StateSealError::Refused)?;
        let (mark, head) = head.split_at(1);
        let (salt, nonce) = head.split_at(SALT);
        let (Ok(salt), Ok(nonce)) = (salt.try_into(), nonce.try_into()) else {
            return Err(StateSealError::Refused);
        };
        if mark != [MARK] {
            return Err(StateSealError::Refused);
        }
        let mut body = body.to_vec();
        let mut others = self.others.lock();
        if !others.contains_key(&salt) {
            if others.len() >= REMEMBERED {
                others.clear();
            }
            others.insert(salt, derive(&self.kept, &salt)?);
        }
        let key = others.get(&salt).ok_or(StateSealError::Refused)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = key
            .open_in_place(nonce, Aad::from(place), &mut body)
            .map_err(|_| StateSealError::Refused)?;
        let length = opened.len();
        body.truncate(length);
        Ok(body)
    }
}

fn derive(kept: &Secret, salt: &[u8; SALT]) -> Result<LessSafeKey, StateSealError> {
    let of_process = Salt::new(HKDF_SHA256, salt).extract(kept.expose());
    let info = [LABEL];
    let derived = of_process.expand(&info, &AES_256_GCM);
    let derived = derived.map_err(|_| StateSealError::Crypto("derive a key"))?;
    Ok(LessSafeKey::new(UnboundKey::from(derived)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeySource;

    fn keystore(folder: &tempfile::TempDir) -> Keystore {
        let key = folder.path().join("kek");
        if !key.exists() {
            KeySource::generate_file(&key).expect("makes");
        }
        Keystore::open(&folder.path().join("keys"), &KeySource::File(key)).expect("opens")
    }

    #[test]
    fn a_piece_opens_at_its_place_alone_and_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let seal = StateSeal::open(&keystore(&folder), "state").expect("opens");
        let one = seal.seal(b"a/1", b"piece").expect("seals");
        let same = seal.seal(b"a/1", b"piece").expect("seals");
        assert!(StateSeal::is_sealed(&one) && one != same);
        assert!(!one.windows(5).any(|window| window == b"piece"));
        assert_eq!(seal.unseal(b"a/1", &one).expect("opens"), b"piece");
        assert!(seal.unseal(b"a/2", &one).is_err());
        drop(seal);
        let again = StateSeal::open(&keystore(&folder), "state").expect("opens");
        assert_eq!(again.unseal(b"a/1", &one).expect("opens"), b"piece");
        let new = again.seal(b"a/1", b"piece").expect("seals");
        assert_ne!(
            new[1..=SALT],
            one[1..=SALT],
            "each process has a key of its own"
        );
    }

    #[test]
    fn a_piece_that_was_changed_or_cut_anywhere_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let seal = StateSeal::open(&keystore(&folder), "state").expect("opens");
        let piece = seal.seal(b"a", b"piece").expect("seals");
        for at in 0..piece.len() {
            let mut changed = piece.clone();
            changed[at] ^= 1;
            assert!(seal.unseal(b"a", &changed).is_err(), "byte {at}");
            assert!(seal.unseal(b"a", &piece[..at]).is_err(), "cut at {at}");
        }
    }
}
