//! What the devices of a product do: from this a new device is judged before it has shown anything.

use super::{
    cell::{Cell, Scale},
    known::CohortKnown,
    metric::Metric,
};

/// Devices after which the cohort says something.
const SPEAKS_WITH: u64 = 3;
/// In usual deviations, how far out a datapoint is learned; beyond, it is learned as this.
const CLIP: f64 = 3.0;
const CLIP_SINCE: u64 = 50;
/// The slowest that the level follows, a datapoint.
const SLOWEST: f64 = 1.0 / 65_536.0;
/// The slowest that an hour of the profile follows, a datapoint.
const SLOWEST_HOUR: f64 = 1.0 / 4_096.0;
/// The most twentieths that verdicts raise the thresholds of all devices of a product.
const MAX_RAISED: u8 = 10;

/// One metric of a product's devices.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Norm {
    pub(super) seen: u64,
    pub(super) level: f64,
    /// The mean absolute deviation of one device's datapoint from what the hour lets expect.
    pub(super) spread: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) hours: [f32; 24],
    pub(super) hours_seen: [u32; 24],
    /// Twentieths that verdicts raised the threshold.
    pub(super) raised: u8,
}

impl Default for Norm {
    fn default() -> Self {
        Self {
            seen: 0,
            level: 0.0,
            spread: 0.0,
            low: 0.0,
            high: 0.0,
            hours: [0.0; 24],
            hours_seen: [0; 24],
            raised: 0,
        }
    }
}

impl Norm {
    /// Learns a datapoint that is not alarming, of any device.
    pub(super) fn learn(&mut self, value: f32, hour: u8, scale: Scale) {
        let value = f64::from(value);
        if self.seen == 0 {
            (self.level, self.low, self.high) = (value, value, value);
        }
        self.seen = self.seen.saturating_add(1);
        let hour = usize::from(hour % 24);
        let bound = match self.seen > CLIP_SINCE {
            true => CLIP * self.usual(scale),
            false => f64::MAX,
        };
        let share = 1.0 / self.seen as f64;
        let from_level = (value - self.level).clamp(-bound, bound);
        let from_hour = (value - self.level - f64::from(self.hours[hour])).clamp(-bound, bound);
        self.level += SLOWEST.max(share) * from_level;
        self.hours_seen[hour] = self.hours_seen[hour].saturating_add(1);
        let hour_share = SLOWEST_HOUR.max(1.0 / (f64::from(self.hours_seen[hour]) + 1.0));
        self.hours[hour] += (hour_share * from_hour) as f32;
        self.spread += SLOWEST.max(share) * (from_hour.abs() - self.spread);
        self.high += (value - self.high).clamp(0.0, bound);
        self.low -= (self.low - value).clamp(0.0, bound);
    }

    /// The usual deviation.
    fn usual(&self, scale: Scale) -> f64 {
        (self.spread * 1.2533).max(f64::from(scale.floor(self.level as f32)))
    }
    /// What a new device is taken to be, if the cohort says something: it counts as much as what makes a
    /// device known on its own.
    pub(super) fn prime(&self, devices: u64, known_after: u16, interval_ms: i64) -> Option<Cell> {
        if !self.speaks(devices, known_after, interval_ms) {
            return None;
        }
        Some(self.as_cell(known_after))
    }

    /// A device that did what the devices do, as if `seen` datapoints had shown it.
    pub(super) fn as_cell(&self, seen: u16) -> Cell {
        let span = (self.low as f32, self.high as f32);
        let mut cell = Cell::primed(self.level as f32, span, self.spread as f32, seen);
        cell.set_profile(|hour| self.hours[usize::from(hour)]);
        cell
    }

    /// Whether enough was seen of enough devices, at as many hours of the day as make one device known.
    pub(super) fn speaks(&self, devices: u64, known_after: u16, interval_ms: i64) -> bool {
        const HOUR_MS: i64 = 3_600_000;
        let hours = (i64::from(known_after) * interval_ms / HOUR_MS).clamp(0, 24);
        let seen_hours = self.hours_seen.iter().filter(|seen| **seen > 0).count();
        let least = u64::from(known_after).saturating_mul(SPEAKS_WITH);
        self.seen >= least && devices >= SPEAKS_WITH && seen_hours as i64 >= hours
    }

    /// By what verdicts multiply the thresholds of all devices.
    pub(super) fn factor(&self) -> f32 {
        1.0 + f32::from(self.raised.min(MAX_RAISED)) / 20.0
    }

    /// A person judged an alarm of one of the devices.
    pub(super) fn hear(&mut self, was_right: bool) {
        self.raised = match was_right {
            true => self.raised.saturating_sub(1),
            false => (self.raised + 1).min(MAX_RAISED),
        };
    }

    /// Whether all numbers in it are numbers.
    pub(super) fn is_sound(&self) -> bool {
        let floats = [self.level, self.spread, self.low, self.high];
        floats.iter().all(|float| float.is_finite())
            && self.spread >= 0.0
            && self.low <= self.high
            && self.hours.iter().all(|hour| hour.is_finite())
    }
}

/// The devices of a product.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Cohort {
    pub(super) norms: [Norm; Metric::COUNT],
    pub(super) sets: [CohortKnown; Metric::COUNT - Metric::SCALARS],
    /// Devices that were ever learned from.
    pub(super) devices: u64,
}
