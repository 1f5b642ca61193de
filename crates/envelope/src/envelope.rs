//! The envelope: a message sealed once, and its key sealed for each reader.
//!
//! ```text
//! "PSE1"                                     4 bytes
//! how many readers, 1 to 8                   1 byte
//! for each: name of the key                  8 bytes
//!           encapsulated key (HPKE enc)     32 bytes
//!           message key, sealed by HPKE     48 bytes
//! message, sealed with AES-256-GCM           its length and 16 bytes
//! ```
//!
//! HPKE: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, base mode; `info` is `palisade sealed message 1`, `aad` the topic.
//! A message key seals one message, under the nonce zero; its `aad` is all that stands before it, and the topic.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as HPKE,
    hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey},
};
use zeroize::Zeroizing;

use crate::key::{ID, KEY, KeyId, ReaderKey, ReaderPublicKey};

/// The most readers of a message.
pub const MAX_READERS: usize = 8;
/// Bytes that an envelope for one reader is longer than its message.
pub const OVERHEAD: usize = HEAD + READER + TAG;

const MAGIC: &[u8; 4] = b"PSE1";
const HEAD: usize = MAGIC.len() + 1;
const TAG: usize = 16;
const SEALED_KEY: usize = KEY + TAG;
const READER: usize = ID + KEY + SEALED_KEY;
const INFO: &[u8] = b"palisade sealed message 1";

/// Why bytes are no envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// They do not begin as one.
    #[error("it does not begin with PSE1")]
    Magic,
    /// It is for nobody, or for too many.
    #[error("it is for {0} readers: 1 to {MAX_READERS} are allowed")]
    Readers(u8),
    /// It ends too early.
    #[error("it ends in the middle")]
    Short,
}

/// Why a message cannot be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// For nobody, or for too many.
    #[error("a message is sealed for 1 to {MAX_READERS} readers, and {0} were given")]
    Readers(usize),
    /// The key of a reader cannot be used.
    #[error("nothing can be sealed for {0}")]
    Key(ReaderPublicKey),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// Why a message cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is not for this reader.
    #[error("the message is not sealed for this key")]
    NotForUs,
    /// It does not open.
    #[error("the message does not open: it was changed, or came on another topic")]
    Changed,
}

/// Seals a message for readers; it opens on this topic alone.
///
/// # Errors
/// When there are no readers, too many, or one whose key is none.
pub fn seal(
    message: &[u8],
    topic: &str,
    readers: &[ReaderPublicKey],
) -> Result<Vec<u8>, SealError> {
    let count = u8::try_from(readers.len()).ok();
    let count = count.filter(|count| (1..=MAX_READERS).contains(&usize::from(*count)));
    let count = count.ok_or(SealError::Readers(readers.len()))?;
    let mut key = Zeroizing::new([0; KEY]);
    aws_lc_rs::rand::fill(key.as_mut()).map_err(|_| SealError::Random)?;
    let mut out = Vec::with_capacity(HEAD + readers.len() * READER + message.len() + TAG);
    out.extend_from_slice(MAGIC);
    out.push(count);
    for reader in readers {
        let refused = || SealError::Key(reader.clone());
        let public = HpkePublicKey(reader.as_bytes().to_vec());
        let sealed = HPKE.seal(INFO, topic.as_bytes(), key.as_ref(), &public);
        let (EncapsulatedSecret(enc), sealed) = sealed.map_err(|_| refused())?;
        if enc.len() != KEY || sealed.len() != SEALED_KEY {
            return Err(refused());
        }
        out.extend_from_slice(&reader.id().0);
        out.extend_from_slice(&enc);
        out.extend_from_slice(&sealed);
    }
    let aad = aad(&out, topic);
    let start = out.len();
    out.extend_from_slice(message);
    let tag = message_key(key.as_ref())
        .and_then(|key| {
            key.seal_in_place_separate_tag(nonce(), Aad::from(&aad), &mut out[start..])
                .ok()
        })
        .ok_or(SealError::Random)?;
    out.extend_from_slice(tag.as_ref());
    Ok(out)
}

/// A sealed message whose form is right. Whether it opens, only a reader knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    head: &'a [u8],
    readers: &'a [[u8; READER]],
    sealed: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Reads its form.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(EnvelopeError::Magic)?;
        let (count, rest) = rest.split_first().ok_or(EnvelopeError::Short)?;
        if !(1..=MAX_READERS).contains(&usize::from(*count)) {
            return Err(EnvelopeError::Readers(*count));
        }
        let length = usize::from(*count) * READER;
        let (readers, sealed) = rest.split_at_checked(length).ok_or(EnvelopeError::Short)?;
        if sealed.len() < TAG {
            return Err(EnvelopeError::Short);
        }
        let (readers, _) = readers.as_chunks::<READER>();
        Ok(Self {
            head: &bytes[..HEAD + length],
            readers,
            sealed,
        })
    }

    /// For whom it is sealed.
    pub fn readers(&self) -> impl Iterator<Item = KeyId> + 'a {
        self.readers.iter().map(id_of)
    }

    /// What it says, for somebody whom it is sealed for, on the topic that it came on.
    ///
    /// # Errors
    /// When it is not sealed for this key, was changed, or was sealed for another topic.
    pub fn open(&self, key: &ReaderKey, topic: &str) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let wanted = key.public().id();
        let own = self.readers.iter().filter(|reader| id_of(reader) == wanted);
        let mut error = OpenError::NotForUs;
        for reader in own {
            match self.open_by(reader, key, topic) {
                Some(message) => return Ok(message),
                None => error = OpenError::Changed,
            }
        }
        Err(error)
    }

    fn open_by(
        &self,
        reader: &[u8; READER],
        key: &ReaderKey,
        topic: &str,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let enc = EncapsulatedSecret(reader[ID..ID + KEY].to_vec());
        let secret = HpkePrivateKey::from(key.secret().to_vec());
        let opened = HPKE.open(&enc, INFO, topic.as_bytes(), &reader[ID + KEY..], &secret);
        let message_key = message_key(&Zeroizing::new(opened.ok()?))?;
        let mut message = Zeroizing::new(self.sealed.to_vec());
        let aad = aad(self.head, topic);
        let length = message_key
            .open_in_place(nonce(), Aad::from(&aad), &mut message)
            .ok()?
            .len();
        message.truncate(length);
        Some(message)
    }
}

fn id_of(reader: &[u8; READER]) -> KeyId {
    let mut id = [0; ID];
    id.copy_from_slice(&reader[..ID]);
    KeyId(id)
}

fn aad(head: &[u8], topic: &str) -> Vec<u8> {
    [head, topic.as_bytes()].concat()
}

fn message_key(key: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key)
        .ok()
        .map(LessSafeKey::new)
}

/// A message key seals one message.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests;
