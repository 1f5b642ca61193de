//! `palisade baseline`.

mod picture;

use clap::{Args, Subcommand, ValueEnum};
use palisade_core::{Clock, SystemClock, Timestamp};
use palisade_detect::baseline::Metric;
use serde_json::{Value, json};

use super::PageArgs;
use crate::{
    client::{Act, Session, path},
    config::Span,
    failure::Failure,
    output::{Column, column},
};

const COLUMNS: [Column; 6] = [
    column("PRODUCT", "/product"),
    column("MODE", "/mode"),
    column("DEVICES", "/devices"),
    column("HELD", "/held"),
    column("ALARMING", "/alarming"),
    column("THRESHOLDS", "/limits"),
];
const METRICS: [Column; 7] = [
    column("METRIC", "/metric"),
    column("STATE", "/state"),
    column("LEARNED", "/learned"),
    column("USUAL NOW", "/usual"),
    column("LAST", "/now"),
    column("FACTOR", "/threshold_factor"),
    column("LAST DATAPOINTS", "/picture"),
];

/// Baselines: what is usual for each device, and what alarms.
#[derive(Debug, Subcommand)]
pub(crate) enum BaselineCommand {
    /// List what is known of each product's devices
    #[command(after_help = "Examples:\n  palisade baseline list")]
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show what is usual for a device, metric by metric
    #[command(after_help = "Examples:
  palisade baseline show cam-17
  palisade baseline show cam-17 --json")]
    Show {
        /// The device's id
        device: String,
    },
    /// Say how the baselines of a product are to work; what is not said stays
    #[command(after_help = "Examples:
  palisade baseline set camera --threshold 'bytes_out>5000000' --duration 600
  palisade baseline set camera --metric messages_sent --confidence medium --to-alarm 2
  palisade baseline set camera --metric destinations --off
  palisade baseline set camera --no-thresholds")]
    Set(SetArgs),
    /// Learn without alarms for a while: a product, or the whole fleet
    #[command(after_help = "Examples:
  palisade baseline learn --product camera --for 7d
  palisade baseline learn --fleet --for 12h
  palisade baseline learn --fleet --stop")]
    Learn(LearnArgs),
    /// Show how baselines are doing: devices, memory, datapoints
    #[command(after_help = "Examples:\n  palisade baseline stats")]
    Stats,
}

/// How the baselines of a product are to work.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true)
    .args(["threshold", "no_thresholds", "metric"]))]
pub(crate) struct SetArgs {
    /// The product
    product: String,
    /// A limit that is not learned, as `METRIC>VALUE` or `METRIC<VALUE`; one interval's worth
    #[arg(long, value_name = "LIMIT", value_parser = read_limit)]
    threshold: Option<Limit>,
    /// For how many seconds the limit must be crossed before it alarms
    #[arg(long, value_name = "SECONDS", requires = "threshold")]
    duration: Option<u64>,
    /// How bad it is when the limit is crossed
    #[arg(long, requires = "threshold")]
    severity: Option<super::finding::Severity>,
    /// Remove all limits first
    #[arg(long)]
    no_thresholds: bool,
    /// The metric that the options below are about
    #[arg(long, value_name = "METRIC", value_parser = read_metric)]
    metric: Option<Metric>,
    /// Do not watch the metric
    #[arg(long, requires = "metric", conflicts_with = "on")]
    off: bool,
    /// Watch the metric
    #[arg(long, requires = "metric")]
    on: bool,
    /// How sure the baseline must be before it alarms
    #[arg(long, requires = "metric")]
    confidence: Option<Confidence>,
    /// Datapoints in a row that make an alarm
    #[arg(long, value_name = "N", requires = "metric", value_parser = clap::value_parser!(u8).range(1..=15))]
    to_alarm: Option<u8>,
    /// Datapoints in a row that end an alarm
    #[arg(long, value_name = "N", requires = "metric", value_parser = clap::value_parser!(u8).range(1..=15))]
    to_clear: Option<u8>,
}

/// Whom to learn without alarms.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("whom").required(true))]
#[command(group = clap::ArgGroup::new("until").required(true))]
pub(crate) struct LearnArgs {
    /// The devices of a product
    #[arg(long, value_name = "PRODUCT", group = "whom")]
    product: Option<String>,
    /// Every device
    #[arg(long, group = "whom")]
    fleet: bool,
    /// For how long
    #[arg(long = "for", value_name = "TIME", group = "until")]
    life: Option<Span>,
    /// No longer: alarm again
    #[arg(long, group = "until")]
    stop: bool,
}

/// How sure a baseline must be before it alarms.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Confidence {
    /// Alarms at what is strange for the hour of the day, too
    Low,
    /// Alarms at what lies beyond everything seen of the device
    Medium,
    /// Alarms at what lies far beyond everything seen of the device
    High,
}

/// A limit that is not learned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limit {
    metric: Metric,
    operator: &'static str,
    value: f64,
}

fn read_metric(text: &str) -> Result<Metric, String> {
    Metric::parse(text).ok_or_else(|| {
        let names = Metric::ALL.map(Metric::as_str).join(", ");
        format!("there is no metric of this name; there are {names}")
    })
}

fn read_limit(text: &str) -> Result<Limit, String> {
    let (operator, sign) = match text.contains('>') {
        true => ("above", '>'),
        false => ("below", '<'),
    };
    let (metric, value) = text
        .split_once(sign)
        .ok_or("a limit is written METRIC>VALUE or METRIC<VALUE")?;
    let value: f64 = value
        .trim()
        .parse()
        .map_err(|_| format!("{value:?} is not a number"))?;
    let metric = read_metric(metric.trim())?;
    Ok(Limit {
        metric,
        operator,
        value,
    })
}

impl Act for BaselineCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { page } => {
                let answer = page.read(|| session.get(path(&["baselines"])))?;
                list(session, answer)
            }
            Self::Show { device } => {
                let answer = session
                    .get(path(&["baselines", "devices", &device]))
                    .send()?;
                show(session, answer)
            }
            Self::Set(args) => set(&args, session),
            Self::Learn(args) => learn(&args, session),
            Self::Stats => {
                let answer = session.get(path(&["baselines", "fleet"])).send()?;
                session.output.record(&answer, &[])
            }
        }
    }
}

fn list(session: &Session, mut answer: Value) -> Result<(), Failure> {
    if session.output.is_json() {
        return session.output.json(&answer);
    }
    let items = answer["items"].as_array_mut();
    for item in items.into_iter().flatten() {
        let metrics = item["metrics"].as_array();
        let alarming = metrics.into_iter().flatten().map(|one| &one["alarming"]);
        let alarming: u64 = alarming.filter_map(Value::as_u64).sum();
        item["alarming"] = alarming.into();
        let limits = item["thresholds"].as_array();
        let limits: Vec<String> = limits.into_iter().flatten().map(limit).collect();
        item["limits"] = limits.into();
    }
    session.output.list(&answer, &COLUMNS)
}

fn limit(threshold: &Value) -> String {
    let sign = match threshold["operator"].as_str() {
        Some("below") => '<',
        _ => '>',
    };
    let metric = threshold["metric"].as_str().unwrap_or_default();
    format!("{metric}{sign}{}", threshold["value"])
}

fn show(session: &Session, mut answer: Value) -> Result<(), Failure> {
    if session.output.is_json() {
        return session.output.json(&answer);
    }
    let metrics = answer
        .as_object_mut()
        .and_then(|device| device.remove("metrics"))
        .unwrap_or_default();
    session.output.record(&answer, &[])?;
    let metrics = metrics.as_array().cloned().unwrap_or_default();
    let metrics: Vec<Value> = metrics.into_iter().map(picture::row).collect();
    session.output.text("")?;
    session.output.list(&metrics.into(), &METRICS)
}

/// What is said of a product now, as the body of the request that says it anew.
fn settings(product: &str, session: &Session) -> Result<Value, Failure> {
    let found = session
        .get(path(&["baselines", "products", product]))
        .send();
    let said = match found {
        Ok(said) => said,
        // Nothing is known of it yet; the request itself says whether there is such a product.
        Err(failure) if failure.code() == crate::failure::Exit::NotFound => Value::Null,
        Err(failure) => return Err(failure),
    };
    let member = |name: &str| match &said[name] {
        Value::Null => json!([]),
        found => found.clone(),
    };
    Ok(json!({
        "learn_until": said["learn_until"],
        "thresholds": member("thresholds"),
        "metrics": member("settings"),
    }))
}

fn set(args: &SetArgs, session: &Session) -> Result<(), Failure> {
    let mut body = settings(&args.product, session)?;
    if args.no_thresholds {
        body["thresholds"] = json!([]);
    }
    if let (Some(limit), Some(thresholds)) = (&args.threshold, body["thresholds"].as_array_mut()) {
        let severity = args.severity.and_then(super::finding::on_the_wire);
        thresholds.push(json!({
            "metric": limit.metric,
            "operator": limit.operator,
            "value": limit.value,
            "duration_s": args.duration.unwrap_or_default(),
            "severity": severity.unwrap_or_else(|| "medium".to_owned()),
        }));
    }
    if let (Some(metric), Some(metrics)) = (args.metric, body["metrics"].as_array_mut()) {
        set_metric(args, metric, metrics);
    }
    let call = session.put(path(&["baselines", "products", &args.product]));
    let answer = call.json(&body).send()?;
    let sentence = format!("Baselines of {} work so from now on.", args.product);
    session.output.done(&answer, &sentence)
}

fn set_metric(args: &SetArgs, metric: Metric, metrics: &mut Vec<Value>) {
    let name = metric.as_str();
    let place = metrics.iter().position(|one| one["metric"] == name);
    let place = place.unwrap_or_else(|| {
        metrics.push(json!({ "metric": name, "enabled": true }));
        metrics.len() - 1
    });
    let one = &mut metrics[place];
    if args.off || args.on {
        one["enabled"] = args.on.into();
    }
    if let Some(confidence) = args.confidence.and_then(super::finding::on_the_wire) {
        one["confidence"] = confidence.into();
    }
    if let Some(count) = args.to_alarm {
        one["datapoints_to_alarm"] = count.into();
    }
    if let Some(count) = args.to_clear {
        one["datapoints_to_clear"] = count.into();
    }
}

fn learn(args: &LearnArgs, session: &Session) -> Result<(), Failure> {
    let now = SystemClock.now();
    let end = |life: Span| now.checked_add(life.duration()).unwrap_or(Timestamp::MAX);
    let until = args.life.map(end);
    let whom = args.product.as_deref().unwrap_or("the fleet");
    let answer = match &args.product {
        Some(product) => {
            let mut body = settings(product, session)?;
            body["learn_until"] = json!(until);
            let call = session.put(path(&["baselines", "products", product]));
            call.json(&body).send()?
        }
        None => {
            let call = session.put(path(&["baselines", "fleet"]));
            call.json(&json!({ "learn_until": until })).send()?
        }
    };
    let sentence = match until {
        Some(until) => format!("Nothing of {whom} alarms until {until:.0}; all is learned."),
        None => format!("What is unusual of {whom} alarms again."),
    };
    session.output.done(&answer, &sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_in_both_directions_and_refused_by_name() {
        let above = read_limit("bytes_out > 5e6").expect("reads");
        assert_eq!((above.operator, above.value), ("above", 5e6));
        let below = read_limit("messages_sent<1").expect("reads");
        assert_eq!(
            (below.metric, below.operator),
            (Metric::MessagesSent, "below")
        );
        for bad in ["bytes_out", "bytes>1", "bytes_out>much", ""] {
            assert!(read_limit(bad).is_err(), "{bad}");
        }
        assert!(
            read_limit("bytes>1")
                .expect_err("refused")
                .contains("bytes_out")
        );
    }
}
