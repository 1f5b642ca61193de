//! A rate: so many units in a time, with a burst.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The generic cell rate algorithm: what is stored is the moment at which everything taken so far is
/// paid for.
#[derive(Debug)]
pub struct Rate {
    paid_at: AtomicU64,
    /// Nanoseconds that a unit costs; 0 is without a limit.
    cost: u64,
    /// Nanoseconds that may be owed.
    burst: u64,
}

impl Rate {
    /// `units` in `time` and `burst` at once; 0 units are without a limit.
    #[must_use]
    pub fn new(units: u64, time: Duration, burst: u64) -> Self {
        let cost = (time.as_nanos() as u64).checked_div(units).unwrap_or(0);
        Self {
            paid_at: AtomicU64::new(0),
            cost,
            burst: cost.saturating_mul(burst.max(1)),
        }
    }

    /// Takes units if they are there.
    ///
    /// # Errors
    /// How long until they are; nothing is taken then.
    pub fn take(&self, now: u64, units: u64) -> Result<(), Duration> {
        if self.cost == 0 {
            return Ok(());
        }
        let due = self.cost.saturating_mul(units);
        let mut paid_at = self.paid_at.load(Ordering::Relaxed);
        loop {
            let next = paid_at.max(now).saturating_add(due);
            let owed = next - now;
            if owed > self.burst {
                return Err(Duration::from_nanos(owed - self.burst));
            }
            match self.paid_at.compare_exchange_weak(
                paid_at,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(found) => paid_at = found,
            }
        }
    }

    /// Takes units whether they are there or not, and says how long until they are paid for.
    pub fn charge(&self, now: u64, units: u64) -> Duration {
        if self.cost == 0 {
            return Duration::ZERO;
        }
        let due = self.cost.saturating_mul(units);
        let before = self
            .paid_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid_at| {
                Some(paid_at.max(now).saturating_add(due))
            })
            .unwrap_or_else(|paid_at| paid_at);
        let owed = before.max(now).saturating_add(due) - now;
        Duration::from_nanos(owed.saturating_sub(self.burst))
    }

    /// Whether it is as if nothing had ever been taken.
    #[must_use]
    pub fn is_idle(&self, now: u64) -> bool {
        self.paid_at.load(Ordering::Relaxed) <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_is_allowed_and_then_the_rate_holds() {
        let rate = Rate::new(10, Duration::from_secs(1), 5);
        assert!((0..5).all(|_| rate.take(0, 1).is_ok()));
        assert!(rate.take(0, 1).is_err());
        assert!(rate.take(SECOND / 10, 1).is_ok());
        assert!(rate.take(SECOND / 10, 1).is_err());
        assert!(!rate.is_idle(SECOND / 10));
        assert!(rate.is_idle(2 * SECOND));
    }

    #[test]
    fn zero_is_without_a_limit() {
        let rate = Rate::new(0, Duration::from_secs(1), 0);
        assert!((0..10_000).all(|_| rate.take(0, 1_000).is_ok()));
        assert_eq!(rate.charge(0, u64::MAX), Duration::ZERO);
    }

    #[test]
    fn a_charge_in_excess_says_how_long_to_wait() {
        let rate = Rate::new(10, Duration::from_secs(1), 10);
        assert_eq!(rate.charge(0, 10), Duration::ZERO);
        assert_eq!(rate.charge(0, 5), Duration::from_millis(500));
        assert_eq!(rate.charge(SECOND, 1), Duration::ZERO);
    }
}
