use palisade_core::{ActionId, CaseId, DeviceId, Mode, Order, Severity, Target};
use serde_json::json;

use super::*;
use crate::playbook::{Conditions, Trigger};

const HOUR: u64 = 3_600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

fn impact(action: &str) -> Impact {
    match action {
        "notify" => Impact::None,
        "lower-trust" => Impact::Partial,
        "quarantine" => Impact::Full,
        _ => Impact::Permanent,
    }
}

fn playbook(actions: &[&str]) -> Playbook {
    let step = |action: &&str| Step {
        action: (*action).to_owned(),
        parameters: serde_json::Map::new(),
        mode: Mode::Auto,
        ttl: None,
        only_if_repeated: None,
    };
    Playbook {
        name: "own".to_owned(),
        description: String::new(),
        trigger: Trigger {
            detectors: Vec::new(),
            techniques: Vec::new(),
            min_severity: Severity::Low,
            min_confidence: 0,
        },
        conditions: Conditions::default(),
        actions: actions.iter().map(step).collect(),
    }
}

/// An action ordered at the beginning; `ended` where it is over.
fn record(action: &str, state: ActionState, ended: Option<i64>) -> ActionRecord {
    let holds = impact(action) > Impact::None && state == ActionState::Done && ended.is_none();
    ActionRecord {
        order: Order {
            id: ActionId::generate(),
            case: CaseId::generate(),
            action: action.to_owned(),
            target: Target::Device(DeviceId::parse("cam-1").expect("valid")),
            parameters: serde_json::Map::new(),
            reason: String::new(),
            context: serde_json::Value::Null,
        },
        playbook: Some("own".to_owned()),
        impact: impact(action),
        mode: Mode::Auto,
        state,
        why: String::new(),
        told: None,
        ordered_by: None,
        decided_by: None,
        refused: false,
        lifted: false,
        product: None,
        segment: None,
        ttl_s: None,
        ordered_at: at(0),
        done_at: None,
        until: None,
        due_at: None,
        ended_at: ended.map(at),
        attempts: 0,
        memory: holds.then(|| json!(true)),
    }
}

fn refused(action: &str, state: ActionState) -> ActionRecord {
    ActionRecord {
        refused: true,
        decided_by: Some("ann".to_owned()),
        ..record(action, state, Some(10))
    }
}

fn names(actions: &[&str], ordered: &[ActionRecord], seen: i64) -> Vec<String> {
    let playbook = playbook(actions);
    let of = |step: &Step| impact(&step.action);
    let steps = again(&playbook, of, ordered, HOUR, at(seen));
    steps.into_iter().map(|step| step.action.clone()).collect()
}

const ALL: [&str; 4] = ["lower-trust", "quarantine", "revoke-certificate", "notify"];

#[test]
fn what_waits_keeps_no_other_action_from_being_done_again() {
    let ordered = [
        record("quarantine", ActionState::Undone, Some(60)),
        record("revoke-certificate", ActionState::Waiting, None),
        record("notify", ActionState::Running, None),
    ];
    assert_eq!(names(&ALL[1..], &ordered, 61), ["quarantine"]);
    assert!(names(&ALL[1..], &ordered, 60).is_empty(), "not seen since");
}

#[test]
fn what_holds_is_not_doubled_and_keeps_no_other_from_being_done_again() {
    let ordered = [
        record("lower-trust", ActionState::Done, None),
        record("quarantine", ActionState::Undone, Some(60)),
        record("notify", ActionState::Done, Some(1)),
    ];
    assert_eq!(
        names(&ALL, &ordered, 61),
        ["quarantine", "revoke-certificate", "notify"]
    );
    let ordered = [
        record("lower-trust", ActionState::Done, None),
        record("quarantine", ActionState::Running, None),
        record("notify", ActionState::Done, Some(1)),
    ];
    assert!(names(&ALL, &ordered, 100_000).is_empty());
}

#[test]
fn a_no_counts_for_what_takes_as_much_and_not_for_what_takes_less() {
    let ordered = [
        record("lower-trust", ActionState::Undone, Some(60)),
        record("quarantine", ActionState::Undone, Some(60)),
        refused("revoke-certificate", ActionState::Rejected),
        record("notify", ActionState::Done, Some(1)),
    ];
    assert_eq!(
        names(&ALL, &ordered, 61),
        ["lower-trust", "quarantine", "notify"]
    );
    let ordered = [
        record("lower-trust", ActionState::Undone, Some(60)),
        refused("quarantine", ActionState::Undone),
        record("revoke-certificate", ActionState::Rejected, Some(60)),
    ];
    assert_eq!(names(&ALL, &ordered, 100_000), ["lower-trust", "notify"]);
    let only = [
        refused("quarantine", ActionState::Undone),
        record("notify", ActionState::Done, Some(1)),
    ];
    assert!(names(&["quarantine", "notify"], &only, 100_000).is_empty());
}

#[test]
fn what_holds_nothing_or_failed_is_tried_again_after_a_rest() {
    for state in [ActionState::Failed, ActionState::Rejected] {
        let ordered = [record("quarantine", state, Some(1))];
        assert!(names(&["quarantine"], &ordered, 3_600).is_empty());
        assert_eq!(names(&["quarantine"], &ordered, 3_601), ["quarantine"]);
    }
    let told = [record("notify", ActionState::Done, Some(1))];
    assert!(names(&["notify"], &told, 3_600).is_empty());
    assert_eq!(names(&["notify"], &told, 3_601), ["notify"]);
}

#[test]
fn one_that_a_person_approved_and_that_ended_by_itself_is_no_refusal() {
    let approved = ActionRecord {
        decided_by: Some("ann".to_owned()),
        ..record("quarantine", ActionState::Undone, Some(60))
    };
    assert_eq!(names(&["quarantine"], &[approved], 61), ["quarantine"]);
}
