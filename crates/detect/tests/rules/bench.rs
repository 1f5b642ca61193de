//! Rules on a bench: shown events, without a server.

use std::sync::Arc;

use palisade_core::{Action, DenyReason, DeviceId, Door, Event, EventKind, Timestamp};
use palisade_detect::{
    Seen,
    rules::{FlatEvent, Origin, RuleEngine, RuleFile, RuleMatch, RuleSet, SigmaEngine},
};

/// An engine, and what it says of events.
pub struct Bench {
    pub engine: SigmaEngine,
    matches: Vec<RuleMatch>,
}

impl Bench {
    /// Rules from the text of one file.
    pub fn of(text: &str) -> Self {
        Self::of_files(&[RuleFile::new("one.yaml", Origin::Own, text)])
    }

    pub fn of_files(files: &[RuleFile]) -> Self {
        let set = match RuleSet::read(files, |_| true) {
            Ok(set) => Arc::new(set),
            Err(error) => panic!("{error}"),
        };
        Self {
            engine: set.engine(),
            matches: Vec::new(),
        }
    }

    /// How many rules speak of an event, now being its own time.
    pub fn show(&mut self, event: &Event) -> usize {
        let seen = Seen {
            position: 0,
            event,
            device: None,
        };
        self.matches.clear();
        let flat = FlatEvent::of(&seen);
        self.engine.evaluate(&flat, event.time, &mut self.matches);
        self.matches.len()
    }

    /// How many rules speak of a denial.
    pub fn denied(&mut self, resource: &str) -> usize {
        self.show(&denied("cam-1", resource, 0))
    }
}

pub fn denied(device: &str, resource: &str, at_s: i64) -> Event {
    let kind = EventKind::Denied {
        action: Action::Publish,
        resource: resource.to_owned(),
        reason: DenyReason::NoGrant,
        count: 1,
    };
    let time = Timestamp::from_second(1_800_000_000 + at_s).expect("a time");
    Event::new(time, Door::Mqtt, kind).about(DeviceId::parse(device).expect("valid"))
}

/// A detection of one line.
pub fn detection(name: &str, line: &str) -> String {
    format!(
        "title: {name}\nname: {name}\nlogsource:\n  product: palisade\n  category: mqtt\ndetection:\n  \
         selection:\n    {line}\n  condition: selection\n"
    )
}
