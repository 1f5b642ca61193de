//! What an operator says about the baselines of a product, or of the fleet.

use palisade_core::{Severity, Timestamp};
use serde::{Deserialize, Serialize};

use super::metric::Metric;

/// How sure the baseline must be before it alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensitivity {
    /// Alarms at what is strange for the hour of the day, too: most alarms, most of them false.
    Low,
    /// Alarms at what lies beyond everything seen of the device.
    Medium,
    /// Alarms at what lies far beyond everything seen of the device.
    #[default]
    High,
}

impl Sensitivity {
    /// The strength at which a datapoint counts as an alarm.
    pub(super) fn threshold(self) -> f32 {
        match self {
            Self::Low => 4.5,
            Self::Medium => 10.0,
            Self::High => super::judge::ALARMING,
        }
    }

    /// How sure an alarm at this confidence is, 0 to 100.
    pub(super) fn percent(self) -> u8 {
        match self {
            Self::Low => 40,
            Self::Medium => 60,
            Self::High => 75,
        }
    }
}

/// On which side of its value a threshold is crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// Above the value.
    Above,
    /// Below the value.
    Below,
}

/// A limit that an operator set: it is not learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Of what.
    pub metric: Metric,
    /// On which side of the value it is crossed.
    pub operator: Operator,
    /// The value, in the metric's unit, of one interval.
    pub value: f64,
    /// For how many seconds it must be crossed before it alarms; 0 is the first datapoint.
    #[serde(default)]
    pub duration_s: u64,
    /// How bad it is.
    #[serde(default = "medium")]
    pub severity: Severity,
}

fn medium() -> Severity {
    Severity::Medium
}

/// How one metric is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricSettings {
    /// Which metric.
    pub metric: Metric,
    /// Whether it is watched at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// How sure the baseline must be; the installation's where nothing is said.
    #[serde(default)]
    pub confidence: Option<Sensitivity>,
    /// Datapoints in a row that make an alarm, 1 to 15; the installation's where nothing is said.
    #[serde(default)]
    pub datapoints_to_alarm: Option<u8>,
    /// Datapoints in a row that end one, 1 to 15; the installation's where nothing is said.
    #[serde(default)]
    pub datapoints_to_clear: Option<u8>,
}

fn yes() -> bool {
    true
}

/// What an operator says about the baselines of a product.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProductSettings {
    /// Until then, its devices are learned and nothing alarms.
    pub learn_until: Option<Timestamp>,
    /// Limits that are not learned.
    pub thresholds: Vec<Threshold>,
    /// How its metrics are judged, where they are judged in their own way.
    pub metrics: Vec<MetricSettings>,
}

/// Why settings are refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// Too many thresholds.
    #[error("a product has at most {max} thresholds, these are {0}", max = ProductSettings::MAX_THRESHOLDS)]
    TooMany(usize),
    /// A metric that is set twice.
    #[error("{0} is set twice")]
    Twice(Metric),
    /// A threshold that is no finite number, or below zero.
    #[error("the threshold of {0} is a number from 0")]
    Value(Metric),
    /// A threshold that must be crossed for too long.
    #[error("the threshold of {0} may ask for at most {max} seconds", max = ProductSettings::MAX_DURATION_S)]
    Duration(Metric),
    /// Datapoints outside 1 to 15.
    #[error("{0} alarms and clears after 1 to 15 datapoints")]
    Datapoints(Metric),
}

impl ProductSettings {
    /// The most thresholds of a product.
    pub const MAX_THRESHOLDS: usize = 32;
    /// The longest time that a threshold may ask for, in seconds: a week.
    pub const MAX_DURATION_S: u64 = 7 * 24 * 3_600;

    /// Refuses what cannot work.
    ///
    /// # Errors
    /// When there are too many thresholds, one metric is set twice, or a number is out of its range.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.thresholds.len() > Self::MAX_THRESHOLDS {
            return Err(SettingsError::TooMany(self.thresholds.len()));
        }
        for threshold in &self.thresholds {
            if !threshold.value.is_finite() || threshold.value < 0.0 {
                return Err(SettingsError::Value(threshold.metric));
            }
            if threshold.duration_s > Self::MAX_DURATION_S {
                return Err(SettingsError::Duration(threshold.metric));
            }
        }
        let mut set = Vec::new();
        for one in &self.metrics {
            if set.contains(&one.metric) {
                return Err(SettingsError::Twice(one.metric));
            }
            set.push(one.metric);
            let datapoints = [one.datapoints_to_alarm, one.datapoints_to_clear];
            if datapoints
                .into_iter()
                .flatten()
                .any(|count| !(1..=15).contains(&count))
            {
                return Err(SettingsError::Datapoints(one.metric));
            }
        }
        Ok(())
    }
}

/// How baselines work in this installation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BaselineConfig {
    /// Whether behaviour is learned and judged at all.
    pub enabled: bool,
    /// One datapoint per device and metric every so many seconds. A multiple of the gateway's statistics
    /// window.
    pub interval_s: u64,
    /// Datapoints that a device must have shown before it is judged by its own baseline; a day of them, so
    /// that its nights are known too. Where its product is known, it is judged by that from its first one.
    pub learn_datapoints: u16,
    /// How sure a baseline must be before it alarms: `low`, `medium` or `high`.
    pub confidence: Sensitivity,
    /// Datapoints in a row that make an alarm, 1 to 15.
    pub datapoints_to_alarm: u8,
    /// Datapoints in a row that end an alarm, 1 to 15.
    pub datapoints_to_clear: u8,
    /// The most devices whose baselines are held in memory, at about a kilobyte each; beyond, those that
    /// were not heard of for longest are written down and taken up again when they come back.
    pub max_devices: usize,
    /// The most devices of which the last datapoints are held for people to look at.
    pub history_devices: usize,
}

impl Default for BaselineConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval_s: 300,
            learn_datapoints: 288,
            confidence: Sensitivity::High,
            datapoints_to_alarm: 1,
            datapoints_to_clear: 2,
            max_devices: 250_000,
            history_devices: 10_000,
        }
    }
}

/// How one metric of one product is judged, all said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Terms {
    pub(super) enabled: bool,
    pub(super) confidence: Sensitivity,
    pub(super) to_alarm: u8,
    pub(super) to_clear: u8,
}

impl BaselineConfig {
    /// The terms of each metric of a product.
    pub(super) fn terms(&self, settings: &ProductSettings) -> [Terms; Metric::COUNT] {
        Metric::ALL.map(|metric| {
            let own = settings.metrics.iter().find(|one| one.metric == metric);
            let bounded = |count: Option<u8>, default: u8| count.unwrap_or(default).clamp(1, 15);
            Terms {
                enabled: own.is_none_or(|own| own.enabled),
                confidence: own
                    .and_then(|own| own.confidence)
                    .unwrap_or(self.confidence),
                to_alarm: bounded(
                    own.and_then(|own| own.datapoints_to_alarm),
                    self.datapoints_to_alarm,
                ),
                to_clear: bounded(
                    own.and_then(|own| own.datapoints_to_clear),
                    self.datapoints_to_clear,
                ),
            }
        })
    }

    /// Datapoints after which a device is known.
    pub(super) fn known_after(&self) -> u16 {
        self.learn_datapoints.max(1)
    }

    /// The interval in milliseconds, at least a second.
    pub(super) fn interval_ms(&self) -> i64 {
        let seconds = self.interval_s.clamp(1, 24 * 3_600);
        i64::try_from(seconds).unwrap_or(300) * 1_000
    }
}
