//! What passes between the engine and a kind of detector.

use std::net::IpAddr;

use palisade_core::{Confidence, Detector, Event, EventId, Severity, Timestamp, port::BoxFuture};
use palisade_store::Verdict;

use crate::{DetectError, Known, Subject};

/// An event, and what is known about its device.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Where it is on the stream.
    pub position: u64,
    /// What happened.
    pub event: &'a Event,
    /// The device that it is about, where it is about one that is known.
    pub device: Option<&'a Known>,
}

/// What a detector says.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// Something is wrong.
    Raise(Alarm),
    /// What this detector said about this subject holds no longer.
    Clear {
        /// Which detector.
        detector: Detector,
        /// About whom.
        subject: Subject,
        /// Since when.
        at: Timestamp,
    },
}

/// Something is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// What found it.
    pub detector: Detector,
    /// What it is called.
    pub title: String,
    /// How bad it would be.
    pub severity: Severity,
    /// How sure the detector is.
    pub confidence: Confidence,
    /// What was seen, for people, in one sentence.
    pub detail: String,
    /// ATT&CK techniques, as Sigma tags.
    pub techniques: Vec<String>,
    /// About whom.
    pub subject: Subject,
    /// From which address, if known.
    pub source: Option<IpAddr>,
    /// The events that show it, newest last.
    pub evidence: Vec<EventId>,
    /// When.
    pub at: Timestamp,
}

/// What a person made of a finding, told to the detector that made it.
#[derive(Debug, Clone, PartialEq)]
pub struct Feedback {
    /// Which detector.
    pub detector: Detector,
    /// About whom.
    pub subject: String,
    /// What the person says.
    pub verdict: Verdict,
}

/// A kind of detector. The engine calls it from one task, in the order of the stream: it needs no lock,
/// and it must not wait.
pub trait Watcher: Send + 'static {
    /// Its name, for logs and numbers (`rules`).
    fn name(&self) -> &'static str;

    /// Looks at an event. An event may come twice after a crash.
    fn observe(&mut self, seen: &Seen<'_>, out: &mut Vec<Signal>);

    /// Time passes: called about once a second.
    fn tick(&mut self, now: Timestamp, out: &mut Vec<Signal>);

    /// A person judged what it said.
    fn feedback(&mut self, feedback: &Feedback);

    /// Writes down what must survive a restart: called about once a minute. Nothing is looked at meanwhile:
    /// who has much to write does it beside.
    fn save(&mut self) -> BoxFuture<'_, Result<(), DetectError>>;

    /// Writes down all that must survive a restart before the end.
    fn finish(&mut self) -> BoxFuture<'_, Result<(), DetectError>> {
        self.save()
    }
}
