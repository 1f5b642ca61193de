//! What people see of baselines.

use palisade_core::{DeviceId, ProductId, Timestamp};
use serde::Serialize;

use super::{
    cell::Cell,
    clock::hour_of,
    fleet::{Fleet, Product, Slot},
    judge,
    metric::Metric,
    settings::ProductSettings,
    state::State,
    telling,
};

/// Whether alarms are raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// All is learned, nothing alarms.
    Learning,
    /// What is out of the ordinary alarms.
    Watching,
}

/// Where a metric of a device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricState {
    /// It is not watched.
    Off,
    /// Too little is known yet.
    Learning,
    /// It is judged, and usual.
    Watching,
    /// An alarm is in force.
    Alarming,
}

/// A range of values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Range {
    /// From.
    pub low: f64,
    /// To.
    pub high: f64,
}

/// One datapoint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Datapoint {
    /// When its interval ended.
    pub at: Timestamp,
    /// What was measured.
    pub value: f64,
}

/// One metric of a device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricBaseline {
    /// Which.
    pub metric: Metric,
    /// Where it stands.
    pub state: MetricState,
    /// Datapoints learned; what the product's devices do counts as many as make a device known.
    pub learned: u16,
    /// What is usual at this hour of the day, where anything is known.
    pub usual: Option<Range>,
    /// The least and the most that was seen, where anything is known.
    pub seen: Option<Range>,
    /// By what verdicts multiplied the threshold.
    pub threshold_factor: f64,
    /// How many elements of a set the device is known to use, about.
    pub known: Option<u32>,
    /// The last datapoints, oldest first; none after a restart.
    pub last: Vec<Datapoint>,
}

/// What is known of a device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceBaseline {
    /// Which.
    pub device: DeviceId,
    /// Its type.
    pub product: ProductId,
    /// Whether alarms are raised.
    pub mode: Mode,
    /// Whether it is held in memory; otherwise this is as it was written down.
    pub held: bool,
    /// Each metric.
    pub metrics: Vec<MetricBaseline>,
}

/// One metric of a product.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProductMetric {
    /// Which.
    pub metric: Metric,
    /// Whether it is watched.
    pub enabled: bool,
    /// Datapoints learned, of all devices.
    pub learned: u64,
    /// What is usual for one device at this hour of the day, where anything is known.
    pub usual: Option<Range>,
    /// Devices whose alarm is in force.
    pub alarming: u32,
    /// By what verdicts multiplied the threshold of all devices.
    pub threshold_factor: f64,
}

/// What is known of a product's devices.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProductBaseline {
    /// Which.
    pub product: ProductId,
    /// Whether alarms are raised.
    pub mode: Mode,
    /// Devices that were learned from.
    pub devices: u64,
    /// Devices that are held in memory.
    pub held: u64,
    /// What an operator says.
    pub settings: ProductSettings,
    /// Each metric.
    pub metrics: Vec<ProductMetric>,
}

/// How baselines are doing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FleetBaseline {
    /// Whether behaviour is learned and judged at all.
    pub enabled: bool,
    /// Whether alarms are raised.
    pub mode: Mode,
    /// Until then, nothing alarms.
    pub learn_until: Option<Timestamp>,
    /// One datapoint every so many seconds.
    pub interval_s: u64,
    /// Devices that are held in memory.
    pub devices: u64,
    /// The most devices that are.
    pub max_devices: u64,
    /// Memory that they take, in bytes, about.
    pub bytes: u64,
    /// Datapoints judged since the start.
    pub datapoints: u64,
    /// Alarms raised and cleared since the start.
    pub alarms: u64,
    /// Events that came too late to count since the start.
    pub late: u64,
    /// Devices that were let go of since the start, to be taken up when they come back.
    pub evicted: u64,
    /// Devices that were let go of before what they had learned was written down.
    pub dropped: u64,
}

impl Fleet {
    pub(super) fn view(&self, now: Timestamp) -> FleetBaseline {
        FleetBaseline {
            enabled: self.config.enabled,
            mode: mode([self.learn_until, None], now),
            learn_until: self.learn_until,
            interval_s: self.config.interval_s,
            devices: self.slots.len() as u64,
            max_devices: self.config.max_devices as u64,
            bytes: self.bytes() as u64,
            datapoints: self.counts.datapoints,
            alarms: self.counts.alarms,
            late: self.counts.late,
            evicted: self.counts.evicted,
            dropped: self.counts.dropped,
        }
    }

    pub(super) fn view_product(&self, product: &Product, now: Timestamp) -> ProductBaseline {
        let metric = |metric: Metric| {
            let norm = &product.cohort.norms[metric.index()];
            let cell = (norm.seen > 0).then(|| norm.as_cell(1));
            ProductMetric {
                metric,
                enabled: product.terms[metric.index()].enabled,
                learned: norm.seen,
                usual: cell.map(|cell| usual(&cell, now, metric)),
                alarming: product.alarming[metric.index()],
                threshold_factor: f64::from(norm.factor()),
            }
        };
        ProductBaseline {
            product: product.id.clone(),
            mode: mode([self.learn_until, product.settings.learn_until], now),
            devices: product.cohort.devices,
            held: product.held as u64,
            settings: product.settings.clone(),
            metrics: Metric::ALL.map(metric).to_vec(),
        }
    }

    pub(super) fn view_device(&self, slot: &Slot, now: Timestamp) -> DeviceBaseline {
        let product = &self.products[slot.product];
        let mut view = self.view_state(&slot.id, product, &slot.state, now);
        view.held = true;
        for one in &mut view.metrics {
            let is_crossed =
                |crossing: &super::fleet::Crossing| crossing.metric == one.metric && crossing.is_on;
            if slot.crossings.iter().any(is_crossed) {
                one.state = MetricState::Alarming;
            }
            let history = slot.history.as_deref();
            one.last = history.map_or_else(Vec::new, |history| {
                let datapoint = |(end, value)| Datapoint {
                    at: Timestamp::from_millisecond(end).unwrap_or(Timestamp::UNIX_EPOCH),
                    value,
                };
                history.of(one.metric).into_iter().map(datapoint).collect()
            });
        }
        view
    }

    /// A device as it is known by what was learned of it alone.
    pub(super) fn view_state(
        &self,
        device: &DeviceId,
        product: &Product,
        state: &State,
        now: Timestamp,
    ) -> DeviceBaseline {
        let metric = |metric: Metric| {
            let cell = state.cell(metric);
            let is_known = cell.seen > 0;
            let scale = metric.scale();
            MetricBaseline {
                metric,
                state: match product.terms[metric.index()].enabled {
                    false => MetricState::Off,
                    true if state.is_alarming(metric) => MetricState::Alarming,
                    true if cell.seen < self.config.known_after() => MetricState::Learning,
                    true => MetricState::Watching,
                },
                learned: cell.seen,
                usual: is_known.then(|| usual(cell, now, metric)),
                seen: is_known.then(|| Range {
                    low: scale.leave(cell.low),
                    high: scale.leave(cell.high),
                }),
                threshold_factor: f64::from(judge::factor(cell.raised())),
                known: metric.set().map(|set| state.sets[set].known.estimate()),
                last: Vec::new(),
            }
        };
        DeviceBaseline {
            device: device.clone(),
            product: product.id.clone(),
            mode: mode([self.learn_until, product.settings.learn_until], now),
            held: false,
            metrics: Metric::ALL.map(metric).to_vec(),
        }
    }
}

fn usual(cell: &Cell, now: Timestamp, metric: Metric) -> Range {
    let (low, high) = telling::usual(cell, hour_of(now), metric);
    Range { low, high }
}

fn mode(until: [Option<Timestamp>; 2], now: Timestamp) -> Mode {
    match until.into_iter().flatten().any(|until| now < until) {
        true => Mode::Learning,
        false => Mode::Watching,
    }
}
