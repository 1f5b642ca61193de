//! A file of Sigma rules: it is read or refused, and what is read evaluates an event.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use palisade_core::{Action, DenyReason, Door, Event, EventKind, Timestamp};
use palisade_detect::{
    Seen,
    rules::{FlatEvent, Origin, RuleEngine, RuleFile, RuleSet},
};

fuzz_target!(|text: &str| {
    let file = RuleFile::new("fuzz.yaml", Origin::Own, text);
    let Ok(set) = RuleSet::read(&[file], |_| true) else {
        return;
    };
    let mut engine = Arc::new(set).engine();
    let mut matches = Vec::new();
    for second in [0, 1, 100, -1] {
        let kind = EventKind::Denied {
            action: Action::Publish,
            resource: "devices/cam-1/telemetry".to_owned(),
            reason: DenyReason::NoGrant,
            count: 7,
        };
        let time = Timestamp::from_second(1_800_000_000 + second).expect("a time");
        let event = Event::new(time, Door::Mqtt, kind).from_source([192, 0, 2, 1].into());
        let seen = Seen {
            position: 1,
            event: &event,
            device: None,
        };
        engine.evaluate(&FlatEvent::of(&seen), time, &mut matches);
        matches.clear();
    }
});
