//! Baselines as the REST door shows them.

use palisade_core::{DeviceId, ProductId, Severity, Timestamp};
use palisade_detect::baseline::{
    Datapoint, DeviceBaseline, FleetBaseline, Metric, MetricBaseline, MetricSettings, MetricState,
    Mode, Operator, ProductBaseline, ProductMetric, Range, Sensitivity, Threshold,
};
use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

use crate::people::{findings::SeverityDoc, schema};

/// The metrics, in the document.
pub(crate) struct MetricDoc;

impl PartialSchema for MetricDoc {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("What is measured of a device in each interval."))
            .enum_values(Some(Metric::ALL.map(Metric::as_str)))
            .into()
    }
}

impl ToSchema for MetricDoc {
    fn name() -> std::borrow::Cow<'static, str> {
        "BaselineMetric".into()
    }
}

/// How sure a baseline must be before it alarms.
#[derive(ToSchema)]
#[schema(as = BaselineConfidence, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for detection's type")]
pub(crate) enum SensitivityDoc {
    /// Alarms at what is strange for the hour of the day, too.
    Low,
    /// Alarms at what lies beyond everything seen of the device.
    Medium,
    /// Alarms at what lies far beyond everything seen of the device.
    High,
}

/// On which side of its value a threshold is crossed.
#[derive(ToSchema)]
#[schema(as = BaselineOperator, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for detection's type")]
pub(crate) enum OperatorDoc {
    /// Above the value.
    Above,
    /// Below the value.
    Below,
}

/// Whether alarms are raised.
#[derive(ToSchema)]
#[schema(as = BaselineMode, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for detection's type")]
pub(crate) enum ModeDoc {
    /// All is learned, nothing alarms.
    Learning,
    /// What is out of the ordinary alarms.
    Watching,
}

/// Where a metric of a device stands.
#[derive(ToSchema)]
#[schema(as = BaselineState, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for detection's type")]
pub(crate) enum StateDoc {
    /// It is not watched.
    Off,
    /// Too little is known yet.
    Learning,
    /// It is judged, and usual.
    Watching,
    /// An alarm is in force.
    Alarming,
}

/// A limit that is not learned.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BaselineThreshold)]
pub(crate) struct ThresholdView {
    /// Of what.
    #[schema(value_type = MetricDoc)]
    metric: Metric,
    /// On which side of the value it is crossed.
    #[schema(value_type = OperatorDoc)]
    operator: Operator,
    /// The value, in the metric's unit, of one interval.
    #[schema(minimum = 0.0)]
    value: f64,
    /// For how many seconds it must be crossed before it alarms; 0 is the first datapoint.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 604_800)]
    duration_s: u64,
    /// How bad it is; medium where nothing is said.
    #[serde(default = "medium")]
    #[schema(value_type = Option<SeverityDoc>)]
    severity: Severity,
}

fn medium() -> Severity {
    Severity::Medium
}

impl From<ThresholdView> for Threshold {
    fn from(view: ThresholdView) -> Self {
        Self {
            metric: view.metric,
            operator: view.operator,
            value: view.value,
            duration_s: view.duration_s,
            severity: view.severity,
        }
    }
}

impl From<Threshold> for ThresholdView {
    fn from(threshold: Threshold) -> Self {
        Self {
            metric: threshold.metric,
            operator: threshold.operator,
            value: threshold.value,
            duration_s: threshold.duration_s,
            severity: threshold.severity,
        }
    }
}

/// How one metric is judged.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BaselineMetricSettings)]
pub(crate) struct MetricSettingsView {
    /// Which metric.
    #[schema(value_type = MetricDoc)]
    metric: Metric,
    /// Whether it is watched at all.
    #[serde(default = "yes")]
    enabled: bool,
    /// How sure the baseline must be; the installation's where nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<SensitivityDoc>)]
    confidence: Option<Sensitivity>,
    /// Datapoints in a row that make an alarm; the installation's where nothing is said.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 15)]
    datapoints_to_alarm: Option<u8>,
    /// Datapoints in a row that end one; the installation's where nothing is said.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 15)]
    datapoints_to_clear: Option<u8>,
}

fn yes() -> bool {
    true
}

impl From<MetricSettingsView> for MetricSettings {
    fn from(view: MetricSettingsView) -> Self {
        Self {
            metric: view.metric,
            enabled: view.enabled,
            confidence: view.confidence,
            datapoints_to_alarm: view.datapoints_to_alarm,
            datapoints_to_clear: view.datapoints_to_clear,
        }
    }
}

impl From<MetricSettings> for MetricSettingsView {
    fn from(settings: MetricSettings) -> Self {
        Self {
            metric: settings.metric,
            enabled: settings.enabled,
            confidence: settings.confidence,
            datapoints_to_alarm: settings.datapoints_to_alarm,
            datapoints_to_clear: settings.datapoints_to_clear,
        }
    }
}

/// A range of values.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BaselineRange)]
pub(crate) struct RangeView {
    /// From.
    low: f64,
    /// To.
    high: f64,
}

impl From<Range> for RangeView {
    fn from(range: Range) -> Self {
        Self {
            low: range.low,
            high: range.high,
        }
    }
}

/// One datapoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BaselineDatapoint)]
pub(crate) struct DatapointView {
    /// When its interval ended.
    #[schema(value_type = schema::Time)]
    at: Timestamp,
    /// What was measured.
    value: f64,
}

impl From<Datapoint> for DatapointView {
    fn from(datapoint: Datapoint) -> Self {
        Self {
            at: datapoint.at,
            value: datapoint.value,
        }
    }
}

/// One metric of a device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BaselineDeviceMetric)]
pub(crate) struct MetricView {
    /// Which.
    #[schema(value_type = MetricDoc)]
    metric: Metric,
    /// Where it stands.
    #[schema(value_type = StateDoc)]
    state: MetricState,
    /// Datapoints learned; what the product's devices do counts as many as make a device known.
    learned: u16,
    /// What is usual at this hour of the day, where anything is known.
    usual: Option<RangeView>,
    /// The least and the most that was seen, where anything is known.
    seen: Option<RangeView>,
    /// By what verdicts multiplied the threshold.
    threshold_factor: f64,
    /// How many elements of a set the device is known to use, about.
    #[schema(minimum = 0)]
    known: Option<u32>,
    /// The last datapoints, oldest first; none after a restart.
    last: Vec<DatapointView>,
}

impl From<MetricBaseline> for MetricView {
    fn from(one: MetricBaseline) -> Self {
        Self {
            metric: one.metric,
            state: one.state,
            learned: one.learned,
            usual: one.usual.map(RangeView::from),
            seen: one.seen.map(RangeView::from),
            threshold_factor: one.threshold_factor,
            known: one.known,
            last: one.last.into_iter().map(DatapointView::from).collect(),
        }
    }
}

/// What is known of a device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeviceBaseline)]
pub(crate) struct DeviceView {
    /// Which.
    #[schema(value_type = schema::DeviceId)]
    device: DeviceId,
    /// Its type.
    #[schema(value_type = schema::ProductId)]
    product: ProductId,
    /// Whether alarms are raised.
    #[schema(value_type = ModeDoc)]
    mode: Mode,
    /// Whether it is held in memory; otherwise this is as it was written down.
    held: bool,
    /// Each metric.
    metrics: Vec<MetricView>,
}

impl From<DeviceBaseline> for DeviceView {
    fn from(baseline: DeviceBaseline) -> Self {
        Self {
            device: baseline.device,
            product: baseline.product,
            mode: baseline.mode,
            held: baseline.held,
            metrics: baseline.metrics.into_iter().map(MetricView::from).collect(),
        }
    }
}

/// One metric of a product.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BaselineProductMetric)]
pub(crate) struct ProductMetricView {
    /// Which.
    #[schema(value_type = MetricDoc)]
    metric: Metric,
    /// Whether it is watched.
    enabled: bool,
    /// Datapoints learned, of all devices.
    #[schema(minimum = 0)]
    learned: u64,
    /// What is usual for one device at this hour of the day, where anything is known.
    usual: Option<RangeView>,
    /// Devices whose alarm is in force.
    #[schema(minimum = 0)]
    alarming: u32,
    /// By what verdicts multiplied the threshold of all devices.
    threshold_factor: f64,
}

impl From<ProductMetric> for ProductMetricView {
    fn from(one: ProductMetric) -> Self {
        Self {
            metric: one.metric,
            enabled: one.enabled,
            learned: one.learned,
            usual: one.usual.map(RangeView::from),
            alarming: one.alarming,
            threshold_factor: one.threshold_factor,
        }
    }
}

/// What is known of a product's devices.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductBaseline)]
pub(crate) struct ProductView {
    /// Which.
    #[schema(value_type = schema::ProductId)]
    pub(super) product: ProductId,
    /// Whether alarms are raised.
    #[schema(value_type = ModeDoc)]
    mode: Mode,
    /// Devices that were learned from.
    #[schema(minimum = 0)]
    devices: u64,
    /// Devices that are held in memory.
    #[schema(minimum = 0)]
    held: u64,
    /// Until then nothing alarms, where it is said so of the product.
    #[schema(value_type = Option<schema::Time>)]
    learn_until: Option<Timestamp>,
    /// Limits that are not learned.
    thresholds: Vec<ThresholdView>,
    /// How metrics are judged, where they are judged in their own way.
    settings: Vec<MetricSettingsView>,
    /// Each metric.
    metrics: Vec<ProductMetricView>,
}

impl From<ProductBaseline> for ProductView {
    fn from(baseline: ProductBaseline) -> Self {
        let settings = baseline.settings;
        let metrics = baseline.metrics.into_iter();
        Self {
            product: baseline.product,
            mode: baseline.mode,
            devices: baseline.devices,
            held: baseline.held,
            learn_until: settings.learn_until,
            thresholds: settings.thresholds.into_iter().map(Into::into).collect(),
            settings: settings.metrics.into_iter().map(Into::into).collect(),
            metrics: metrics.map(ProductMetricView::from).collect(),
        }
    }
}

/// How baselines are doing; numbers count from when the server started.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FleetBaseline)]
pub(crate) struct FleetView {
    /// Whether behaviour is learned and judged at all.
    enabled: bool,
    /// Whether alarms are raised.
    #[schema(value_type = ModeDoc)]
    mode: Mode,
    /// Until then nothing alarms, where it is said so of the fleet.
    #[schema(value_type = Option<schema::Time>)]
    learn_until: Option<Timestamp>,
    /// One datapoint every so many seconds.
    #[schema(minimum = 0)]
    interval_s: u64,
    /// Devices that are held in memory.
    #[schema(minimum = 0)]
    devices: u64,
    /// The most devices that are.
    #[schema(minimum = 0)]
    max_devices: u64,
    /// Memory that they take, in bytes, about.
    #[schema(minimum = 0)]
    bytes: u64,
    /// Datapoints judged.
    #[schema(minimum = 0)]
    datapoints: u64,
    /// Alarms raised and cleared.
    #[schema(minimum = 0)]
    alarms: u64,
    /// Events that came too late to count.
    #[schema(minimum = 0)]
    late: u64,
    /// Devices that were let go of, to be taken up when they come back.
    #[schema(minimum = 0)]
    evicted: u64,
    /// Devices that were let go of before what they had learned was written down.
    #[schema(minimum = 0)]
    dropped: u64,
}

impl From<FleetBaseline> for FleetView {
    fn from(baseline: FleetBaseline) -> Self {
        Self {
            enabled: baseline.enabled,
            mode: baseline.mode,
            learn_until: baseline.learn_until,
            interval_s: baseline.interval_s,
            devices: baseline.devices,
            max_devices: baseline.max_devices,
            bytes: baseline.bytes,
            datapoints: baseline.datapoints,
            alarms: baseline.alarms,
            late: baseline.late,
            evicted: baseline.evicted,
            dropped: baseline.dropped,
        }
    }
}
