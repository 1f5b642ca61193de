//! One series on its own: the detector of each metric of each device, without a device around it.

use palisade_core::Timestamp;

use super::{
    cell::{Cell, Scale},
    clock::DayClock,
    judge::{ALARMING, LEARNED_WHEN_ALARMING},
};

/// A day of five minutes.
const KNOWN_AFTER: u16 = 288;

/// The detector of one series: values in, scores out. It holds what a device holds of a metric, and looks
/// at nothing that comes later.
#[derive(Debug, Clone)]
pub struct Series {
    cell: Cell,
    day: DayClock,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            cell: Cell::NEW,
            day: DayClock::default(),
        }
    }
}

impl Series {
    /// What a device holds of one metric, in bytes.
    pub const BYTES: usize = size_of::<Cell>();

    /// Takes the next value and says how strange and new it is: 0 (usual) to 1. What is no number is
    /// passed over.
    pub fn score(&mut self, at: Timestamp, value: f64) -> f64 {
        let scale = Scale::Linear;
        let Some(value) = scale.enter(value) else {
            return 0.0;
        };
        let (moment, ended) = self.day.advance(at);
        if let Some(hour) = ended {
            self.cell.end_hour(hour);
        }
        let reading = self.cell.judge(value, moment.hour, scale, KNOWN_AFTER);
        let weight = match reading.strength >= ALARMING {
            true => LEARNED_WHEN_ALARMING,
            false => 1.0,
        };
        self.cell.learn(value, &reading, moment, scale, weight);
        let onset = self.cell.onset(reading.strength);
        1.0 - (-f64::from(onset) / 8.0).exp()
    }
}
