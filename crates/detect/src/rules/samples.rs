//! Samples of a rule: events that it must find, and events that it must not.

use std::{collections::BTreeMap, sync::Arc};

use palisade_core::{DeviceId, Event, EventId, Labels, Lifecycle, ProductId, SegmentId, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::{FlatEvent, RuleEngine, RuleFile, RuleSet, SigmaEngine, budget, watcher::subject};
use crate::{Known, Seen};

/// The most events of a sample, repetitions counted.
const MAX_EVENTS: u32 = 100_000;

/// The samples of a file of rules.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Samples {
    /// What must be found.
    pub positive: Vec<Sample>,
    /// What must not.
    pub negative: Vec<Sample>,
}

/// Events, one after the other.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// What it shows, in a few words.
    pub name: String,
    /// About whom the finding must be (`device/cam-1`), if that is tested.
    #[serde(default)]
    subject: Option<String>,
    /// What is known about the devices in it.
    #[serde(default)]
    devices: BTreeMap<DeviceId, Device>,
    /// The events, as Palisade writes them in JSON. The `id` may be left out; `times` and `every_s` beside
    /// an `event` repeat it.
    events: Vec<Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Device {
    product: ProductId,
    segment: SegmentId,
    #[serde(default = "active")]
    lifecycle: Lifecycle,
    #[serde(default)]
    labels: Labels,
}

fn active() -> Lifecycle {
    Lifecycle::Active
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeated {
    event: Value,
    times: u32,
    #[serde(default)]
    every_s: i64,
}

/// Why samples cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// They are no YAML, or not of their form.
    #[error("the samples cannot be read: {0}")]
    Form(String),
    /// An event is none.
    #[error("sample {sample:?}, event {number}: {why}")]
    Event {
        /// In which sample.
        sample: String,
        /// Which, counted from 1.
        number: usize,
        /// What is wrong.
        why: String,
    },
    /// There are no positive, or no negative ones.
    #[error("there must be a positive and a negative sample")]
    Missing,
}

/// What came of samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestReport {
    /// How many were run.
    pub samples: usize,
    /// What went wrong, each in a sentence.
    pub failures: Vec<String>,
}

impl Samples {
    /// Reads samples.
    ///
    /// # Errors
    /// When they are not of their form, or one kind is missing.
    pub fn read(text: &str) -> Result<Self, SampleError> {
        let form = |error: yaml_serde::Error| SampleError::Form(error.to_string());
        budget::check(yaml_serde::Deserializer::from_str(text)).map_err(form)?;
        let samples: Self = yaml_serde::from_str(text).map_err(form)?;
        if samples.positive.is_empty() || samples.negative.is_empty() {
            return Err(SampleError::Missing);
        }
        Ok(samples)
    }

    /// Runs the rules of a file over its samples.
    ///
    /// # Errors
    /// When an event of a sample is none.
    pub fn run(&self, file: &RuleFile, set: &Arc<RuleSet>) -> Result<TestReport, SampleError> {
        let mut report = TestReport::default();
        let all = self.positive.iter().map(|sample| (sample, true));
        let all = all.chain(self.negative.iter().map(|sample| (sample, false)));
        for (sample, is_positive) in all {
            report.samples += 1;
            let found = sample.found(file, set)?;
            let name = &sample.name;
            let failure = match (is_positive, &sample.subject) {
                (true, _) if found.is_empty() => format!("{name:?} is not found"),
                (true, Some(subject)) if !found.contains(subject) => {
                    format!("{name:?} is found about {found:?}, not about {subject}")
                }
                (false, _) if !found.is_empty() => format!("{name:?} is found, and must not be"),
                _ => continue,
            };
            report.failures.push(failure);
        }
        Ok(report)
    }
}

impl Sample {
    /// About whom the rules of a file speak.
    fn found(&self, file: &RuleFile, set: &Arc<RuleSet>) -> Result<Vec<String>, SampleError> {
        let mut engine: SigmaEngine = set.engine();
        let mut found = Vec::new();
        let mut matches = Vec::new();
        for event in self.events()? {
            let device = event.principal.as_ref().and_then(|who| who.device());
            let known = device.and_then(|id| Some(self.devices.get(id)?.known(id)));
            let seen = Seen {
                position: 0,
                event: &event,
                device: known.as_ref(),
            };
            engine.evaluate(&FlatEvent::of(&seen), event.time, &mut matches);
            for one in matches.drain(..) {
                let is_of_file = set.rules()[one.rule].file == file.name;
                if is_of_file {
                    found.push(subject(&one, &seen).to_string());
                }
            }
        }
        Ok(found)
    }

    fn events(&self) -> Result<Vec<Event>, SampleError> {
        let mut events = Vec::new();
        for (at, step) in self.events.iter().enumerate() {
            let error = |why: String| SampleError::Event {
                sample: self.name.clone(),
                number: at + 1,
                why,
            };
            let step = match step.get("event") {
                Some(_) => serde_json::from_value(step.clone()),
                None => Ok(Repeated {
                    event: step.clone(),
                    times: 1,
                    every_s: 0,
                }),
            };
            let step = step.map_err(|why| error(why.to_string()))?;
            if step.times > MAX_EVENTS || events.len() > MAX_EVENTS as usize {
                return Err(error(format!("a sample has at most {MAX_EVENTS} events")));
            }
            let first = event(step.event).map_err(|why| error(why.to_string()))?;
            for number in 0..step.times {
                let mut next = first.clone();
                if number > 0 {
                    next.id = EventId::generate();
                }
                next.time = later(first.time, i64::from(number).saturating_mul(step.every_s));
                events.push(next);
            }
        }
        Ok(events)
    }
}

impl Device {
    fn known(&self, id: &DeviceId) -> Known {
        Known {
            id: id.clone(),
            product: self.product.clone(),
            segment: self.segment.clone(),
            labels: self.labels.clone(),
            lifecycle: self.lifecycle,
        }
    }
}

fn event(mut json: Value) -> Result<Event, serde_json::Error> {
    if let Some(map) = json.as_object_mut()
        && !map.contains_key("id")
    {
        map.insert("id".to_owned(), EventId::generate().to_string().into());
    }
    serde_json::from_value(json)
}

fn later(time: Timestamp, seconds: i64) -> Timestamp {
    time.checked_add(jiff::SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}
