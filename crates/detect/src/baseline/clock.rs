//! Where in the day a device's datapoints lie.

use palisade_core::Timestamp;

use super::cell::Moment;

/// Counts the datapoints of the hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DayClock {
    /// The hour of the last datapoint, or [`DayClock::NONE`].
    pub(super) hour: u8,
    /// Datapoints of that hour so far.
    pub(super) nth: u8,
}

impl DayClock {
    pub(super) const NONE: u8 = u8::MAX;

    /// The next datapoint lies at `at`: where that is in the day, and the hour that ended with it, if one
    /// did.
    pub(super) fn advance(&mut self, at: Timestamp) -> (Moment, Option<u8>) {
        let hour = hour_of(at);
        let ended = (self.hour != hour && self.hour != Self::NONE).then_some(self.hour);
        self.nth = match self.hour == hour {
            true => self.nth.saturating_add(1),
            false => 1,
        };
        self.hour = hour;
        let nth = self.nth;
        (Moment { hour, nth }, ended)
    }
}

impl Default for DayClock {
    fn default() -> Self {
        Self {
            hour: Self::NONE,
            nth: 0,
        }
    }
}

/// The hour of the day in UTC.
pub(super) fn hour_of(at: Timestamp) -> u8 {
    (at.as_second().div_euclid(3_600)).rem_euclid(24) as u8
}
