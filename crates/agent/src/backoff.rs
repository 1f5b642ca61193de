//! When to try again: sooner after a broken line, later after a refusal, and never all devices at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Cause;

/// How long to wait before the next attempt. Waiting doubles with each failure; half of it is chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackoffOptions {
    /// The first wait after the line broke, in milliseconds. 1 s unless said otherwise.
    pub first_ms: u64,
    /// The longest wait after the line broke, in milliseconds. 60 s unless said otherwise.
    pub max_ms: u64,
    /// The first wait after the server refused, in milliseconds. 30 s unless said otherwise.
    pub refused_first_ms: u64,
    /// The longest wait after the server refused, in milliseconds. 15 min unless said otherwise.
    pub refused_max_ms: u64,
    /// How long a connection must hold for its failures to be forgotten, in milliseconds. 30 s unless said
    /// otherwise.
    pub stable_ms: u64,
}

impl Default for BackoffOptions {
    fn default() -> Self {
        Self {
            first_ms: 1_000,
            max_ms: 60_000,
            refused_first_ms: 30_000,
            refused_max_ms: 900_000,
            stable_ms: 30_000,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Backoff {
    options: BackoffOptions,
    failures: u32,
    refusals: u32,
}

impl Backoff {
    pub(crate) fn new(options: BackoffOptions) -> Self {
        Self {
            options,
            failures: 0,
            refusals: 0,
        }
    }

    /// How long to wait after a connection that held for `held` ended for `cause`; `chance` is from 0 to 1.
    pub(crate) fn after(&mut self, cause: &Cause, held: Duration, chance: f64) -> Duration {
        if matches!(cause, Cause::Renewed | Cause::Requested) {
            return Duration::ZERO;
        }
        if held >= Duration::from_millis(self.options.stable_ms) {
            self.failures = 0;
            self.refusals = 0;
        }
        let options = &self.options;
        let (first, max, count) = match cause.is_refusal() {
            true => (
                options.refused_first_ms,
                options.refused_max_ms,
                &mut self.refusals,
            ),
            false => (options.first_ms, options.max_ms, &mut self.failures),
        };
        let doubled = first.saturating_mul(1 << (*count).min(32));
        *count = count.saturating_add(1);
        let whole = Duration::from_millis(doubled.min(max));
        whole / 2 + (whole / 2).mul_f64(chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROKEN: Duration = Duration::ZERO;

    fn network() -> Cause {
        Cause::Network("reset".to_owned())
    }

    fn refused(reason: u8) -> Cause {
        Cause::Refused { reason, text: None }
    }

    #[test]
    fn the_wait_doubles_up_to_its_limit() {
        let mut backoff = Backoff::new(BackoffOptions::default());
        let waits: Vec<u64> = (0..8)
            .map(|_| backoff.after(&network(), BROKEN, 1.0).as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn half_of_the_wait_is_chance() {
        let mut backoff = Backoff::new(BackoffOptions::default());
        let wait = backoff.after(&network(), BROKEN, 0.0);
        assert_eq!(wait, Duration::from_millis(500));
    }

    #[test]
    fn a_refusal_waits_longer_than_a_broken_line() {
        let mut backoff = Backoff::new(BackoffOptions::default());
        for reason in [0x87, 0x8a, 0x8e, 0x98, 0x9f] {
            let wait = Backoff::new(BackoffOptions::default()).after(&refused(reason), BROKEN, 0.0);
            assert!(
                wait >= Duration::from_secs(15),
                "0x{reason:02x} waits {wait:?}"
            );
        }
        let busy = backoff.after(&refused(0x89), BROKEN, 1.0);
        assert_eq!(busy, Duration::from_secs(1));
    }

    #[test]
    fn a_connection_that_held_forgets_the_failures_before_it() {
        let mut backoff = Backoff::new(BackoffOptions::default());
        for _ in 0..5 {
            backoff.after(&network(), BROKEN, 1.0);
        }
        let wait = backoff.after(&network(), Duration::from_secs(31), 1.0);
        assert_eq!(wait, Duration::from_secs(1));
    }

    #[test]
    fn a_new_certificate_is_used_at_once() {
        let mut backoff = Backoff::new(BackoffOptions::default());
        assert_eq!(backoff.after(&Cause::Renewed, BROKEN, 1.0), Duration::ZERO);
    }

    #[test]
    fn waits_never_overflow() {
        let options = BackoffOptions {
            first_ms: u64::MAX,
            max_ms: u64::MAX,
            ..BackoffOptions::default()
        };
        let mut backoff = Backoff::new(options);
        for _ in 0..100 {
            backoff.after(&network(), BROKEN, 1.0);
        }
    }
}
