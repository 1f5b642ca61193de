//! A clock that is wrong must not destroy what is kept: where it went ahead by more than a server is away for, nothing is
//! taken away for its age until it has said so for a day.

use std::time::Duration;

use palisade_core::Timestamp;
use palisade_store::VaultClock;

use crate::{Vault, VaultError};

/// By how much a clock goes ahead while nobody looks, at the most.
const JUMP: Duration = Duration::from_secs(7 * 86_400);
/// How long it has to go on from there before it is believed.
const PROOF: Duration = Duration::from_secs(86_400);

impl Vault {
    /// Looks at the clock: from when on something may be taken away for its age, where it may not now.
    pub(crate) async fn look_at_clock(&self) -> Result<Option<Timestamp>, VaultError> {
        let before = self.store.vault().clock().await?;
        let now = look(before, self.clock.now());
        if before != Some(now) {
            self.store.vault().set_clock(now).await?;
        }
        let believed_at = now.jumped_at.map(|jumped| later(jumped, PROOF));
        *self.believed_at.lock() = believed_at;
        Ok(believed_at)
    }

    /// From when on files go for their age, where the clock is not believed now: it went far ahead.
    #[must_use]
    pub fn waits_for_clock(&self) -> Option<Timestamp> {
        *self.believed_at.lock()
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn look(before: Option<VaultClock>, now: Timestamp) -> VaultClock {
    let jumped_at = match before {
        Some(before) if now > later(before.seen_at, JUMP) => Some(now),
        // Who waits long enough is believed; a clock that went back was put right.
        Some(before) => before
            .jumped_at
            .filter(|jumped| *jumped <= now && now < later(*jumped, PROOF)),
        None => None,
    };
    VaultClock {
        seen_at: now,
        jumped_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;
    const DAY: i64 = 24 * HOUR;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).expect("a time")
    }

    fn after(looks: &[i64]) -> Option<Timestamp> {
        let mut seen = None;
        for second in looks {
            seen = Some(look(seen, at(*second)));
        }
        seen.and_then(|seen| seen.jumped_at)
    }

    #[test]
    fn a_clock_that_goes_far_ahead_is_believed_after_a_day_or_once_it_is_put_right() {
        assert_eq!(after(&[0]), None);
        assert_eq!(after(&[0, HOUR, 7 * DAY]), None, "a week away");
        let far = 90 * DAY;
        assert_eq!(after(&[0, far]), Some(at(far)));
        assert_eq!(after(&[0, far, far + HOUR, far + DAY - 1]), Some(at(far)));
        assert_eq!(after(&[0, far, far + HOUR, far + DAY]), None);
        assert_eq!(after(&[0, far, HOUR]), None, "it was put right");
        assert_eq!(after(&[0, far, HOUR, 2 * HOUR]), None);
        assert_eq!(after(&[0, far, 3 * far]), Some(at(3 * far)), "and again");
    }
}
