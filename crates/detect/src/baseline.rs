//! Baselines of behaviour: what each device does, learned as it goes, and what is out of the ordinary for
//! it. A datapoint per device, metric and interval is judged by what the device did before and, while that
//! is little, by what the devices of its product do. Begin with [`Baselines`]; [`Series`] is the detector of
//! one metric on its own.

mod blob;
mod cell;
mod clock;
mod cohort;
mod fleet;
mod history;
mod interval;
mod judge;
mod keep;
mod known;
mod metric;
mod packed;
mod series;
mod settings;
mod state;
mod tally;
mod telling;
#[cfg(test)]
mod tests;
mod view;
mod watcher;

pub use metric::Metric;
pub use series::Series;
pub use settings::{
    BaselineConfig, MetricSettings, Operator, ProductSettings, Sensitivity, SettingsError,
    Threshold,
};
pub use view::{
    Datapoint, DeviceBaseline, FleetBaseline, MetricBaseline, MetricState, Mode, ProductBaseline,
    ProductMetric, Range,
};
pub use watcher::{BaselineError, BaselineWatcher, Baselines};

/// What the scalar metrics of one device take, in bytes.
pub const SCALAR_BYTES: usize = size_of::<state::Scalars>();
/// What all learned of one device takes, in bytes: the scalar metrics and the sets.
pub const DEVICE_BYTES: usize = size_of::<state::State>();
/// What a device that is held takes in memory, in bytes, besides its name and its last datapoints.
pub const HELD_BYTES: usize = size_of::<fleet::Slot>();
