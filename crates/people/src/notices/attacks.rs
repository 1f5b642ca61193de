//! Attempts that are held back, counted in memory until they are written down, a moment later. The names are whatever
//! attackers say: there is room for so many, and what finds none is counted.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use palisade_core::Timestamp;

/// Names that are remembered between two writes.
const MAX_NAMES: usize = 2_000;

/// How far somebody got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Attack {
    /// They know no password that is right.
    Password,
    /// The password was right, and the code of the second factor was not.
    Code,
}

/// What was tried at one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tried {
    pub(super) count: u64,
    pub(super) source: Option<IpAddr>,
    pub(super) first_at: Timestamp,
    pub(super) last_at: Timestamp,
}

/// Attempts that are not written down yet.
#[derive(Debug, Default)]
pub(crate) struct Attacks {
    by_name: Mutex<HashMap<(String, Attack), Tried>>,
    lost: AtomicU64,
}

impl Attacks {
    /// Notes an attempt at an account, whether there is one of that name or not.
    pub(super) fn note(&self, name: &str, source: Option<IpAddr>, attack: Attack, now: Timestamp) {
        let name: String = name.chars().take(64).collect();
        let mut by_name = self
            .by_name
            .lock()
            .unwrap_or_else(|broken| broken.into_inner());
        let has_room = by_name.len() < MAX_NAMES;
        let first = Tried {
            count: 0,
            source,
            first_at: now,
            last_at: now,
        };
        let tried = match by_name.get_mut(&(name.clone(), attack)) {
            Some(tried) => tried,
            None if has_room => by_name.entry((name, attack)).or_insert(first),
            None => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        *tried = Tried {
            count: tried.count.saturating_add(1),
            source,
            first_at: tried.first_at,
            last_at: now,
        };
    }

    /// All that was noted since it was asked last.
    pub(super) fn take(&self) -> HashMap<(String, Attack), Tried> {
        let mut by_name = self
            .by_name
            .lock()
            .unwrap_or_else(|broken| broken.into_inner());
        std::mem::take(&mut *by_name)
    }

    /// How many attempts found no room.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_attackers_make_up_are_bounded_and_what_finds_no_room_is_counted() {
        let attacks = Attacks::default();
        let now = Timestamp::UNIX_EPOCH;
        for round in 0..3_000 {
            attacks.note(&format!("name-{round}"), None, Attack::Password, now);
        }
        attacks.note("name-7", None, Attack::Password, now);
        attacks.note(&"x".repeat(100_000), None, Attack::Password, now);
        assert_eq!(attacks.lost(), 1_001);
        let taken = attacks.take();
        assert_eq!(taken.len(), MAX_NAMES);
        assert_eq!(taken[&("name-7".to_owned(), Attack::Password)].count, 2);
        assert!(attacks.take().is_empty());
    }
}
