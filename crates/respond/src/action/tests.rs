use palisade_core::{ActionId, CaseId, DeviceId, Impact, Mode, Order, Target};

use super::*;

fn record(state: ActionState) -> ActionRecord {
    ActionRecord {
        order: Order {
            id: ActionId::generate(),
            case: CaseId::generate(),
            action: "quarantine".to_owned(),
            target: Target::Device(DeviceId::parse("cam-1").expect("valid")),
            parameters: serde_json::Map::new(),
            reason: String::new(),
            context: serde_json::Value::Null,
        },
        playbook: None,
        impact: Impact::Full,
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
        ttl_s: Some(60),
        ordered_at: Timestamp::UNIX_EPOCH,
        done_at: None,
        until: None,
        due_at: None,
        ended_at: None,
        attempts: 0,
        memory: None,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

#[test]
fn an_action_that_holds_something_ends_by_itself_and_one_that_does_not_is_over() {
    let mut held = record(ActionState::Running);
    step(&mut held, ActionEvent::Applied(Some(true.into())), at(10)).expect("a step");
    assert_eq!(held.state, ActionState::Done);
    assert_eq!((held.until, held.due_at), (Some(at(70)), Some(at(70))));
    step(&mut held, ActionEvent::Ended, at(70)).expect("a step");
    assert_eq!(held.state, ActionState::Undoing);
    step(&mut held, ActionEvent::Undone(String::new()), at(71)).expect("a step");
    assert_eq!((held.state, held.due_at), (ActionState::Undone, None));
    let mut over = record(ActionState::Running);
    step(&mut over, ActionEvent::Applied(None), at(10)).expect("a step");
    assert_eq!((over.state, over.due_at), (ActionState::Done, None));
    assert!(
        step(
            &mut over,
            ActionEvent::Undo("ann".into(), String::new()),
            at(11)
        )
        .is_err()
    );
}

#[test]
fn a_failure_is_tried_again_ever_more_slowly_until_it_is_given_up() {
    let mut action = record(ActionState::Running);
    let until = at(3_600);
    let mut now = at(0);
    let mut waits = Vec::new();
    while action.state == ActionState::Running {
        step(&mut action, ActionEvent::Faltered("500".into(), until), now).expect("a step");
        if let Some(due) = action.due_at {
            waits.push(due.duration_since(now).as_secs());
            now = due;
        }
    }
    assert_eq!(action.state, ActionState::Failed);
    assert_eq!(waits[..5], [1, 2, 4, 8, 16]);
    assert_eq!(waits.last(), Some(&300));
    assert!(waits.len() < 25, "{waits:?}");
}

#[test]
fn only_what_waits_is_approved_or_rejected() {
    for state in [
        ActionState::Observed,
        ActionState::DryRun,
        ActionState::Rejected,
        ActionState::Running,
        ActionState::Done,
        ActionState::Failed,
        ActionState::Undoing,
        ActionState::Undone,
    ] {
        let mut action = record(state);
        assert!(step(&mut action, ActionEvent::Approved("ann".into()), at(0)).is_err());
        let rejected = ActionEvent::Rejected("ann".into(), String::new());
        assert!(step(&mut action, rejected, at(0)).is_err());
        assert_eq!(action.state, state);
    }
    let mut action = record(ActionState::Waiting);
    step(&mut action, ActionEvent::Approved("ann".into()), at(0)).expect("a step");
    assert_eq!(action.state, ActionState::Running);
    assert!(!action.is_automatic());
}
