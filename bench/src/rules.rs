//! Sigma rules: how many events a core evaluates, against `sigma-rust` on the same rules and events.
//!
//! Ours pays for all it does with an event: the view of it, routing, matching, correlations. The peer has
//! no correlations, so it is given the detections alone, and its events are made ready before the clock
//! runs.

use std::{hint::black_box, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use palisade_core::{
    Action, Actor, AdministrativeAct, DenyReason, DeviceId, Door, Event, EventKind, Outcome,
    SessionEnd, Timestamp,
};
use palisade_detect::{
    Seen,
    rules::{FieldValue, FlatEvent, Origin, RuleEngine, RuleFile, RuleSet, shipped},
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value};

/// Different events that are shown again and again.
const EVENTS: usize = 4_096;
/// How long each side is measured, at least.
const LONG: Duration = Duration::from_secs(2);

/// Events a second of processor time.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    pub palisade: f64,
    pub sigma_rust: f64,
    /// Detections that the peer cannot read, and need not evaluate.
    pub unread: usize,
    pub rules: usize,
}

/// Measures with the shipped rules and `more` besides.
pub fn run(more: usize) -> Result<Rates> {
    let mut files = shipped();
    files.extend((0..more).map(generated));
    let events: Vec<Event> = (0..EVENTS).map(event).collect::<Result<_>>()?;
    let set = RuleSet::read(&files, |_| true)?;
    let rules = set.rules().len();
    let mut engine = Arc::new(set).engine();
    let mut matches = Vec::new();
    let mut position = 0;
    let palisade = rate(|| {
        for event in &events {
            position += 1;
            let seen = Seen {
                position,
                event,
                device: None,
            };
            engine.evaluate(&FlatEvent::of(&seen), event.time, &mut matches);
            matches.clear();
        }
    });
    let (peers, unread) = peer_rules(&files);
    let their_events: Vec<sigma_rust::Event> =
        events.iter().map(their_event).collect::<Result<_>>()?;
    // A part of the events at a time: with many rules all of them take long.
    let mut parts = their_events.chunks(64).cycle();
    let sigma_rust = rate_of(64, || {
        for event in parts.next().unwrap_or_default() {
            for rule in &peers {
                black_box(rule.is_match(event));
            }
        }
    });
    Ok(Rates {
        palisade,
        sigma_rust,
        unread,
        rules,
    })
}

fn rate(work: impl FnMut()) -> f64 {
    rate_of(EVENTS, work)
}

/// Does `work`, which is about `events` events, until it took long enough.
fn rate_of(events: usize, mut work: impl FnMut()) -> f64 {
    work();
    let start = processor();
    let mut done = 0;
    loop {
        work();
        done += events;
        let took = processor() - start;
        if took >= LONG {
            return done as f64 / took.as_secs_f64();
        }
    }
}

/// Processor time of this thread.
fn processor() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

/// The detections, as the peer reads them, and how many it cannot read.
fn peer_rules(files: &[RuleFile]) -> (Vec<sigma_rust::Rule>, usize) {
    let documents = files.iter().flat_map(|file| file.text.split("\n---\n"));
    let detections = documents.filter(|text| text.contains("\ndetection:"));
    let (mut rules, mut unread) = (Vec::new(), 0);
    for text in detections {
        match sigma_rust::rule_from_yaml(text) {
            Ok(rule) => rules.push(rule),
            Err(_) => unread += 1,
        }
    }
    (rules, unread)
}

fn their_event(event: &Event) -> Result<sigma_rust::Event> {
    let seen = Seen {
        position: 0,
        event,
        device: None,
    };
    let flat = FlatEvent::of(&seen);
    let fields: Map<String, Value> = flat
        .iter()
        .map(|(name, value)| (name.to_owned(), json(value)))
        .collect();
    sigma_rust::event_from_json(&Value::Object(fields).to_string())
        .context("an event of the peer's")
}

fn json(value: &FieldValue<'_>) -> Value {
    match value {
        FieldValue::Text(text) => text.as_ref().into(),
        FieldValue::Number(number) => (*number).into(),
        FieldValue::Real(number) => (*number).into(),
        FieldValue::Flag(flag) => (*flag).into(),
        FieldValue::Null => Value::Null,
        FieldValue::List(all) => all.iter().map(json).collect(),
    }
}

/// A rule as operators write them, each a little different.
fn generated(number: usize) -> RuleFile {
    let (category, selection) = match number % 6 {
        0 => (
            "mqtt",
            format!("kind: denied\n    resource|contains: /secret-{number}/"),
        ),
        1 => (
            "mqtt",
            format!("kind: subscribed\n    filter|startswith: plant-{number}/"),
        ),
        2 => (
            "statistics",
            format!(
                "kind: publish_statistics\n    bytes|gte: {}",
                10_000_000 + number
            ),
        ),
        3 => (
            "administration",
            format!("act: device.retire\n    target: cam-{number}"),
        ),
        4 => (
            "agent",
            format!("kind: agent_report\n    facts.kernel|endswith: -{number}-bad"),
        ),
        _ => (
            "mqtt",
            format!(
                "kind: admitted\n    client_id:\n      - rogue-{number}\n      - evil-{number}"
            ),
        ),
    };
    let text = format!(
        "title: More {number}\nlogsource:\n  product: palisade\n  category: {category}\ndetection:\n  selection:\n    \
         {selection}\n  condition: selection\nlevel: low\n"
    );
    RuleFile::new(format!("more-{number}.yaml"), Origin::Own, text)
}

/// What a fleet does that is well: mostly statistics, some sessions, few denials.
fn event(number: usize) -> Result<Event> {
    let device = DeviceId::parse(&format!("cam-{}", number % 1_000))?;
    let client_id = device.to_string();
    let kind = match number % 20 {
        0..10 => EventKind::PublishStatistics {
            window_ms: 60_000,
            messages: 12,
            bytes: 2_400,
            largest: 220,
            messages_out: 2,
            bytes_out: 80,
            packets_in: 20,
            packets_out: 18,
        },
        10..13 => EventKind::Admitted {
            client_id,
            protocol: "mqtt 5".to_owned(),
            serial: None,
            key_exchange: Some("X25519MLKEM768".to_owned()),
        },
        13..16 => EventKind::Disconnected {
            client_id,
            end: SessionEnd::Client,
            duration_ms: 60_000,
            messages_in: 12,
            messages_out: 2,
        },
        16 | 17 => EventKind::Subscribed {
            filter: format!("devices/{device}/commands/#"),
        },
        18 => EventKind::Denied {
            action: Action::Publish,
            resource: format!("devices/{device}/firmware"),
            reason: DenyReason::NoGrant,
            count: 1,
        },
        _ => EventKind::Administrative(AdministrativeAct {
            actor: Actor::Token("ops".to_owned()),
            act: "device.change".to_owned(),
            target: client_id,
            reason: None,
            outcome: Outcome::Done,
        }),
    };
    let time = Timestamp::from_second(1_800_000_000 + number as i64)?;
    Ok(Event::new(time, Door::Mqtt, kind)
        .about(device)
        .from_source([192, 0, 2, (number % 250) as u8].into()))
}
