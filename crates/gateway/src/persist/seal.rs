//! What is kept of sessions and messages is sealed, each piece for its place: whoever reads the disk learns whose and
//! under which topic something waits, and not what.

use palisade_keys::{Keystore, KeystoreError, StateSeal, StateSealError};

/// The key in the keystore.
const KEY: &str = "mqtt-state";
/// In the keystore since every piece is sealed: from then on a plain one is not ours.
const WHOLE: &str = "mqtt-state-whole";

/// Seals pieces, and opens them.
#[derive(Debug)]
pub struct Seal(StateSeal);

impl Seal {
    /// With the key of the keystore.
    ///
    /// # Errors
    /// When the keystore cannot be read or written.
    pub fn open(keys: &Keystore) -> Result<Self, StateSealError> {
        StateSeal::open(keys, KEY).map(Self)
    }

    /// Whether pieces of an earlier version may stand there, plain.
    #[must_use]
    pub fn may_be_plain(keys: &Keystore) -> bool {
        !keys.contains(WHOLE)
    }

    /// From now on every piece is sealed.
    ///
    /// # Errors
    /// When the keystore cannot be written.
    pub fn is_whole(keys: &Keystore) -> Result<(), KeystoreError> {
        match keys.contains(WHOLE) {
            true => Ok(()),
            false => keys.put(WHOLE, b"1"),
        }
    }

    pub(super) fn seal(&self, place: &Place<'_>, piece: &[u8]) -> Result<Vec<u8>, StateSealError> {
        self.0.seal(&place.to_bytes(), piece)
    }

    pub(super) fn unseal(
        &self,
        place: &Place<'_>,
        piece: &[u8],
    ) -> Result<Vec<u8>, StateSealError> {
        self.0.unseal(&place.to_bytes(), piece)
    }
}

/// Where a piece belongs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// The state of a session.
    Session(&'a str),
    /// A message that waits for a session.
    Queue(&'a str, u64),
    /// A retained message.
    Retained(&'a str),
}

impl Place<'_> {
    /// The session's name, or the topic.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Session(name) | Self::Queue(name, _) | Self::Retained(name) => name,
        }
    }

    fn to_bytes(self) -> Vec<u8> {
        let (kind, number, name) = match self {
            Self::Session(name) => (b's', 0, name),
            Self::Queue(name, number) => (b'q', number, name),
            Self::Retained(topic) => (b'r', 0, topic),
        };
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes
    }
}
