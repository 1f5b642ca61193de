use std::sync::Arc;

use palisade_core::{
    Action, Actor, AdministrativeAct, DenyReason, DeviceId, Lifecycle, Outcome, PolicyId,
    SessionEnd, TrustScore,
};
use serde_json::{Value, json};

use super::*;

fn event(kind: EventKind) -> Event {
    let device = DeviceId::parse("cam-1").expect("valid");
    Event::new(Timestamp::UNIX_EPOCH, Door::Mqtt, kind)
        .about(device)
        .from_source([192, 0, 2, 1].into())
}

fn seen(event: &Event) -> Seen<'_> {
    Seen {
        position: 1,
        event,
        device: None,
    }
}

fn flatten(prefix: &str, value: &Value, out: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let path = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                flatten(&path, value, out);
            }
        }
        other => out.push((prefix.to_owned(), other.clone())),
    }
}

fn kinds() -> Vec<EventKind> {
    let serial = "0a0b".parse().expect("a serial");
    let policy = PolicyId::parse("quarantine").expect("valid");
    vec![
        EventKind::Admitted {
            client_id: "cam-1".into(),
            protocol: "mqtt 5".into(),
            serial: Some(serial),
            key_exchange: Some("X25519MLKEM768".into()),
        },
        EventKind::Refused {
            reason: "too fast".into(),
            count: 3,
        },
        EventKind::Disconnected {
            client_id: "cam-1".into(),
            end: SessionEnd::TakenOver,
            duration_ms: 12,
            messages_in: 1,
            messages_out: 2,
        },
        EventKind::Denied {
            action: Action::Publish,
            resource: "a/b".into(),
            reason: DenyReason::Forbidden {
                policies: Arc::from([policy]),
            },
            count: 7,
        },
        EventKind::Denied {
            action: Action::Connect,
            resource: String::new(),
            reason: DenyReason::Lifecycle {
                lifecycle: Lifecycle::Quarantined,
            },
            count: 1,
        },
        EventKind::LimitExceeded {
            limit: "publish_rate".into(),
            count: 9,
        },
        EventKind::Subscribed { filter: "#".into() },
        EventKind::Registered { count: 2 },
        EventKind::PostureChanged {
            lifecycle_before: Lifecycle::Active,
            lifecycle: Lifecycle::Quarantined,
            trust_before: TrustScore::MAX,
            trust: TrustScore::MAX,
            reason: "why".into(),
        },
        EventKind::AgentReport {
            version: "0.1.0".into(),
            facts: serde_json::from_value(json!({"os": "linux", "cores": 4})).expect("facts"),
        },
        EventKind::Administrative(AdministrativeAct {
            actor: Actor::Token("ops".into()),
            act: "device.quarantine".into(),
            target: "cam-1".into(),
            reason: Some("seen".into()),
            outcome: Outcome::Done,
        }),
    ]
}

#[test]
fn fields_are_the_paths_into_the_event_as_json() {
    for kind in kinds() {
        let event = event(kind);
        let mut paths = Vec::new();
        let json = serde_json::to_value(&event).expect("json");
        flatten("", &json, &mut paths);
        let flat = FlatEvent::of(&seen(&event));
        assert!(KINDS.contains(&flat.kind), "{}", flat.kind);
        for (path, value) in paths {
            if ["id", "time"].contains(&path.as_str()) {
                continue;
            }
            assert!(is_field(&path), "{path} is not among the fields");
            let Some(found) = flat.get(&path) else {
                panic!("{path} of {} is missing", event.kind.name());
            };
            let expected = match value {
                Value::String(text) => text,
                Value::Array(_) => continue,
                other => other.to_string(),
            };
            assert_eq!(found.to_text().expect("one value"), expected, "{path}");
        }
        for (name, _) in flat.iter() {
            assert!(is_field(name), "{name} is not among the fields");
        }
    }
}

#[test]
fn an_event_stands_for_as_many_as_it_counts() {
    let refused = event(EventKind::Refused {
        reason: "no".into(),
        count: 40,
    });
    assert_eq!(FlatEvent::of(&seen(&refused)).weight, 40);
    let subscribed = event(EventKind::Subscribed { filter: "a".into() });
    assert_eq!(FlatEvent::of(&seen(&subscribed)).weight, 1);
}

#[test]
fn a_text_of_ten_megabytes_is_cut() {
    let long = event(EventKind::Subscribed {
        filter: "ü".repeat(5_000_000),
    });
    let flat = FlatEvent::of(&seen(&long));
    let Some(FieldValue::Text(text)) = flat.get("filter") else {
        panic!("a text");
    };
    assert_eq!(text.len(), MAX_TEXT);
}

#[test]
fn a_misspelt_field_is_told_from_its_neighbour() {
    assert!(!is_field("principle.id"));
    assert_eq!(nearest_field("principle.id"), Some("principal.id"));
    assert_eq!(nearest_field("huor"), Some("hour"));
    assert_eq!(nearest_field("CommandLine"), None);
    assert!(is_field("facts.kernel"));
    assert!(!is_field("facts."));
}
