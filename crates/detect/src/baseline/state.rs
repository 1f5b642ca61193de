//! What is known of one device, and how it is packed.
//!
//! A scalar metric takes forty bytes (a [`Cell`]): level and span as four-byte floats (12), the smoothed
//! value and the habituation as half floats (4), three usual deviations by their logarithms (6), the number
//! of datapoints (2), the running mean of the hour (2), the size of a place in the profile (1), the row of
//! datapoints and the raised threshold in four bits each (1), and twenty-four hours in four bits each (12).
//! Twelve metrics are 480 bytes; the day's clock and the alarms in force are four more. The sets are apart:
//! a cell for how many there are, and a set of 128 bits with four elements that wait to be known.

use super::{
    cell::Cell, clock::DayClock, cohort::Cohort, known::Known, metric::Metric,
    settings::BaselineConfig,
};

/// The scalar metrics of a device, all together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scalars {
    pub(super) cells: [Cell; Metric::SCALARS],
    pub(super) day: DayClock,
    /// Metrics whose alarm is in force, a bit each.
    pub(super) alarming: u16,
}

/// A set metric of a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SetState {
    pub(super) cell: Cell,
    pub(super) known: Known,
}

/// What is known of one device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct State {
    pub(super) scalars: Scalars,
    pub(super) sets: [SetState; Metric::COUNT - Metric::SCALARS],
}

impl State {
    /// A device that nothing is known of but its product.
    pub(super) fn new(cohort: &Cohort, config: &BaselineConfig) -> Self {
        let cell = |metric: Metric| {
            let norm = &cohort.norms[metric.index()];
            let (known_after, interval) = (config.known_after(), config.interval_ms());
            let primed = norm.prime(cohort.devices, known_after, interval);
            primed.unwrap_or(Cell::NEW)
        };
        let mut cells = [Cell::NEW; Metric::SCALARS];
        let mut sets = [SetState {
            cell: Cell::NEW,
            known: Known::default(),
        }; Metric::COUNT - Metric::SCALARS];
        for metric in Metric::ALL {
            match metric.set() {
                Some(set) => sets[set].cell = cell(metric),
                None => cells[metric.index()] = cell(metric),
            }
        }
        let scalars = Scalars {
            cells,
            day: DayClock::default(),
            alarming: 0,
        };
        Self { scalars, sets }
    }

    pub(super) fn cell(&self, metric: Metric) -> &Cell {
        match metric.set() {
            Some(set) => &self.sets[set].cell,
            None => &self.scalars.cells[metric.index()],
        }
    }

    pub(super) fn cell_mut(&mut self, metric: Metric) -> &mut Cell {
        match metric.set() {
            Some(set) => &mut self.sets[set].cell,
            None => &mut self.scalars.cells[metric.index()],
        }
    }

    /// Whether the alarm of a metric is in force.
    pub(super) fn is_alarming(&self, metric: Metric) -> bool {
        self.scalars.alarming & (1 << metric.index()) != 0
    }

    pub(super) fn set_alarming(&mut self, metric: Metric, is_alarming: bool) {
        let bit = 1 << metric.index();
        match is_alarming {
            true => self.scalars.alarming |= bit,
            false => self.scalars.alarming &= !bit,
        }
    }

    /// An hour of the day ended.
    pub(super) fn end_hour(&mut self, hour: u8) {
        for metric in Metric::ALL {
            self.cell_mut(metric).end_hour(hour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scalar_metrics_of_a_device_fit_into_512_bytes() {
        const { assert!(size_of::<Cell>() == 40) };
        const { assert!(size_of::<Scalars>() <= 512) };
        const { assert!(size_of::<State>() <= 768) };
    }
}
