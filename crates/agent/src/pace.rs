//! How fast what waited is sent: a server that is sent more than it takes holds the connection up, and calls it a flood
//! where nobody waits for its answers. Whoever comes back with a day's readings sends them at a pace below that.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

/// So much time's worth may go at once.
const BURST: Duration = Duration::from_secs(1);

/// How fast messages of the queue are sent. What is not queued goes at once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PaceOptions {
    /// Messages a second; 0 is as fast as the server takes them. 400 unless said otherwise, where a server takes 500.
    pub messages_per_second: u32,
    /// Bytes a second; 0 is as fast as the server takes them. 800 KiB unless said otherwise, where a server takes 1 MiB.
    pub bytes_per_second: u32,
}

impl Default for PaceOptions {
    fn default() -> Self {
        Self {
            messages_per_second: 400,
            bytes_per_second: 800 * 1024,
        }
    }
}

/// When the next message may go.
#[derive(Debug)]
pub(crate) struct Pace {
    /// What a message and a byte take.
    costs: [Duration; 2],
    /// Until when each is spent.
    spent_until: [Option<Instant>; 2],
}

impl Pace {
    pub(crate) fn new(options: &PaceOptions) -> Self {
        let cost = |rate: u32| match rate {
            0 => Duration::ZERO,
            rate => Duration::from_secs(1) / rate,
        };
        Self {
            costs: [
                cost(options.messages_per_second),
                cost(options.bytes_per_second),
            ],
            spent_until: [None; 2],
        }
    }

    /// When the next message may go, where it may not at once.
    pub(crate) fn wait_until(&self, now: Instant) -> Option<Instant> {
        let until = self.spent_until.iter().flatten().max()?;
        let until = until.checked_sub(BURST)?;
        (until > now).then_some(until)
    }

    /// A message of so many bytes goes.
    pub(crate) fn spend(&mut self, now: Instant, bytes: usize) {
        let units = [1, u32::try_from(bytes).unwrap_or(u32::MAX)];
        let both = self.costs.iter().zip(units);
        for (until, (cost, units)) in self.spent_until.iter_mut().zip(both) {
            let from = until.map_or(now, |until| until.max(now));
            *until = Some(from + cost.saturating_mul(units));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long it takes to send so many messages of so many bytes.
    fn time_for(options: &PaceOptions, messages: u32, bytes: usize) -> Duration {
        let (mut pace, begun) = (Pace::new(options), Instant::now());
        let mut now = begun;
        for _ in 0..messages {
            now = pace.wait_until(now).unwrap_or(now);
            pace.spend(now, bytes);
        }
        now - begun
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_pace() {
        let options = PaceOptions {
            messages_per_second: 100,
            bytes_per_second: 10_000,
        };
        assert_eq!(time_for(&options, 100, 10), Duration::ZERO);
        let by_messages = time_for(&options, 500, 10);
        assert!((3..=4).contains(&by_messages.as_secs()), "{by_messages:?}");
        let by_bytes = time_for(&options, 50, 1_000);
        assert!((3..=4).contains(&by_bytes.as_secs()), "{by_bytes:?}");
    }

    #[test]
    fn without_a_pace_nothing_waits() {
        let options = PaceOptions {
            messages_per_second: 0,
            bytes_per_second: 0,
        };
        assert_eq!(time_for(&options, 100_000, 10_000), Duration::ZERO);
    }
}
