//! The last datapoints of a device, for people to look at. No judgement depends on them, and they do not
//! survive a restart.

use super::metric::Metric;

/// Datapoints of each metric.
const LENGTH: usize = 24;

/// The last datapoints of a device.
#[derive(Debug, Clone)]
pub(super) struct History {
    ends: [i64; LENGTH],
    /// Not a number where there was none.
    values: [[f32; LENGTH]; Metric::COUNT],
    next: usize,
    taken: usize,
}

impl Default for History {
    fn default() -> Self {
        Self {
            ends: [0; LENGTH],
            values: [[f32::NAN; LENGTH]; Metric::COUNT],
            next: 0,
            taken: 0,
        }
    }
}

impl History {
    /// The datapoints of an interval that ended at `end` (milliseconds).
    pub(super) fn push(&mut self, end: i64, values: &[Option<f64>; Metric::COUNT]) {
        self.ends[self.next] = end;
        for (kept, value) in self.values.iter_mut().zip(values) {
            kept[self.next] = value.map_or(f32::NAN, |value| value as f32);
        }
        self.next = (self.next + 1) % LENGTH;
        self.taken = (self.taken + 1).min(LENGTH);
    }

    /// The datapoints of a metric, oldest first.
    pub(super) fn of(&self, metric: Metric) -> Vec<(i64, f64)> {
        let first = (self.next + LENGTH - self.taken) % LENGTH;
        (0..self.taken)
            .map(|n| (first + n) % LENGTH)
            .map(|place| (self.ends[place], self.values[metric.index()][place]))
            .filter(|(_, value)| value.is_finite())
            .map(|(end, value)| (end, f64::from(value)))
            .collect()
    }
}
