//! The bytes of a log file: a head, and chunks that are sealed each with its place.
//!
//! A file has a key of its own, and the nonce of a chunk is its number: no key seals two chunks with one nonce,
//! for a file is never written to again by a process that did not make it. The number is part of what is
//! authenticated, so that a chunk cannot be left out, moved or taken from another file. The head says how the
//! file before it ended: a file cannot be replaced by an older one of its name.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use palisade_keys::Secret;
use serde::{Deserialize, Serialize};

/// How a head begins.
const MAGIC: [u8; 8] = *b"PALWAL\x001";
/// The length of a seal, in bytes.
pub(crate) const TAG: usize = 16;
/// What stands before a chunk: its kind and the length of what is sealed.
pub(crate) const FRAME: usize = 5;
/// The most that a chunk may hold, in bytes: a message is never cut in two.
pub(crate) const MAX_CHUNK: usize = 4 * 1024 * 1024;
/// The most that a head may be, in bytes.
pub(crate) const MAX_HEAD: usize = 4096;

/// What a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Messages.
    Messages = 1,
    /// The end of a file that was closed in good order.
    End = 2,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Messages, Self::End]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// How a file ended, as the next one says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Tail {
    /// Which file.
    pub(crate) number: u64,
    /// How many chunks of messages it has.
    pub(crate) chunks: u64,
    /// The seal of the last.
    pub(crate) seal: [u8; TAG],
}

/// What stands first in a file, in the open; the wrapped key is bound to all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    magic: [u8; 8],
    /// Which file of the log it is.
    pub(crate) number: u64,
    /// The number of the first message.
    pub(crate) first: u64,
    /// How the file before it ended, where this process or one before it wrote that.
    pub(crate) before: Option<Tail>,
    /// The key of this file, wrapped.
    pub(crate) key: Vec<u8>,
}

impl Head {
    pub(crate) fn new(number: u64, first: u64, before: Option<Tail>) -> Self {
        Self {
            magic: MAGIC,
            number,
            first,
            before,
            key: Vec::new(),
        }
    }

    /// What the wrapped key is bound to.
    pub(crate) fn context(&self) -> Vec<u8> {
        let mut context = b"palisade vault wal".to_vec();
        context.extend_from_slice(&self.number.to_be_bytes());
        context.extend_from_slice(&self.first.to_be_bytes());
        if let Some(before) = self.before {
            context.extend_from_slice(&before.number.to_be_bytes());
            context.extend_from_slice(&before.chunks.to_be_bytes());
            context.extend_from_slice(&before.seal);
        }
        context
    }

    /// Its bytes, with their length before them.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, postcard::Error> {
        let body = postcard::to_stdvec(self)?;
        let mut bytes = (body.len() as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    /// Reads what stands behind the length.
    pub(crate) fn from_bytes(body: &[u8]) -> Option<Self> {
        let (head, rest): (Self, _) = postcard::take_from_bytes(body).ok()?;
        (head.magic == MAGIC && rest.is_empty()).then_some(head)
    }
}

/// Seals and opens the chunks of one file, in their order.
pub(crate) struct Sealer {
    key: LessSafeKey,
    number: u64,
    next: u64,
    seal: [u8; TAG],
}

/// Why a chunk was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

impl Sealer {
    /// `None` where the key is none.
    pub(crate) fn new(key: &Secret, number: u64) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key.expose()).ok()?;
        Some(Self {
            key: LessSafeKey::new(key),
            number,
            next: 0,
            seal: [0; TAG],
        })
    }

    /// How the file ends so far.
    pub(crate) fn tail(&self) -> Tail {
        Tail {
            number: self.number,
            chunks: self.next,
            seal: self.seal,
        }
    }

    /// Seals a chunk that stands in `out` behind `from` with [`FRAME`] bytes of room before it.
    pub(crate) fn seal(
        &mut self,
        out: &mut Vec<u8>,
        from: usize,
        kind: Kind,
    ) -> Result<(), Broken> {
        let body = out.get_mut(from + FRAME..).ok_or(Broken)?;
        let len = u32::try_from(body.len()).map_err(|_| Broken)?;
        let aad = self.aad(kind, len);
        let seal = self
            .key
            .seal_in_place_separate_tag(self.nonce(), aad, body)
            .map_err(|_| Broken)?;
        let frame = out.get_mut(from..from + FRAME).ok_or(Broken)?;
        if let [first, rest @ ..] = frame {
            *first = kind as u8;
            rest.copy_from_slice(&len.to_be_bytes());
        }
        out.extend_from_slice(seal.as_ref());
        self.step(seal.as_ref());
        Ok(())
    }

    /// Opens the chunk in `bytes`, which is its body and its seal, in place.
    pub(crate) fn open<'a>(
        &mut self,
        frame: Frame,
        bytes: &'a mut [u8],
    ) -> Result<&'a [u8], Broken> {
        let seal: [u8; TAG] = bytes.last_chunk().copied().ok_or(Broken)?;
        let aad = self.aad(frame.kind, frame.len);
        let opened = self
            .key
            .open_in_place(self.nonce(), aad, bytes)
            .map_err(|_| Broken)?;
        self.step(&seal);
        Ok(opened)
    }

    fn step(&mut self, seal: &[u8]) {
        self.next += 1;
        if let Ok(seal) = seal.try_into() {
            self.seal = seal;
        }
    }

    fn nonce(&self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.next.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    fn aad(&self, kind: Kind, len: u32) -> Aad<[u8; 21]> {
        let mut aad = [0; 21];
        aad[..8].copy_from_slice(&self.number.to_be_bytes());
        aad[8..16].copy_from_slice(&self.next.to_be_bytes());
        aad[16] = kind as u8;
        aad[17..].copy_from_slice(&len.to_be_bytes());
        Aad::from(aad)
    }
}

/// What stands before a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    len: u32,
}

impl Frame {
    /// Reads it; `None` where it is none, or promises more than a chunk holds.
    pub(crate) fn from_bytes([kind, len @ ..]: [u8; FRAME]) -> Option<Self> {
        let len = u32::from_be_bytes(len);
        let kind = Kind::of(kind)?;
        (len as usize <= MAX_CHUNK).then_some(Self { kind, len })
    }

    /// How many bytes follow: the chunk and its seal.
    pub(crate) fn follows(self) -> usize {
        self.len as usize + TAG
    }
}
