//! Dead certificates of ours that were shown in handshakes. Such a handshake ends before the client is
//! anybody; an audit wants to know all the same.

use std::collections::HashMap;

use jiff::SignedDuration;
use palisade_core::{Serial, Timestamp};
use parking_lot::Mutex;

use crate::Identity;

/// The most certificates that are remembered; beyond, new ones are not.
const MAX_HELD: usize = 4_096;
/// For how long they are.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(48);

/// Why a certificate of ours is no good any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dead {
    /// It is revoked.
    Revoked,
    /// Its time is over.
    Ended,
}

/// A dead certificate of ours that was shown in handshakes. Whether whoever showed it has its key is not
/// known: the handshake ended before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusedHandshake {
    /// Its serial number.
    pub serial: Serial,
    /// Why it is no good.
    pub why: Dead,
    /// How often it was shown.
    pub times: u64,
    /// When last.
    pub last_at: Timestamp,
}

/// Those that were shown lately, bounded.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    held: Mutex<HashMap<Serial, RefusedHandshake>>,
}

impl Refusals {
    pub(crate) fn note(&self, serial: Serial, why: Dead, now: Timestamp) {
        let mut held = self.held.lock();
        if let Some(known) = held.get_mut(&serial) {
            known.times = known.times.saturating_add(1);
            (known.why, known.last_at) = (why, now);
            return;
        }
        if held.len() >= MAX_HELD {
            held.retain(|_, known| now.duration_since(known.last_at) < REMEMBERED);
        }
        if held.len() < MAX_HELD {
            let first = RefusedHandshake {
                serial,
                why,
                times: 1,
                last_at: now,
            };
            held.insert(serial, first);
        }
    }
}

impl Identity {
    /// Dead certificates of ours that were shown within the last two days, since the server started.
    #[must_use]
    pub fn refused_handshakes(&self) -> Vec<RefusedHandshake> {
        let now = self.clock.now();
        let mut held = self.refusals.held.lock();
        held.retain(|_, known| now.duration_since(known.last_at) < REMEMBERED);
        let mut all: Vec<RefusedHandshake> = held.values().copied().collect();
        drop(held);
        all.sort_unstable_by_key(|known| known.serial);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_dead_certificates_fills_no_memory() {
        let refusals = Refusals::default();
        let now = Timestamp::UNIX_EPOCH;
        for number in 1..=5_000_u32 {
            let serial = Serial::from_bytes(&number.to_be_bytes()).expect("valid");
            refusals.note(serial, Dead::Revoked, now);
        }
        assert_eq!(refusals.held.lock().len(), MAX_HELD);
        let serial = Serial::from_bytes(&[1]).expect("valid");
        refusals.note(serial, Dead::Revoked, now);
        assert_eq!(refusals.held.lock()[&serial].times, 2);
    }
}
