//! Actions whose end is not ours alone to bring about.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use palisade_core::{
    ActionState, Impact, Order, Severity, Target,
    port::{BoxFuture, EffectError, Effector, Parameters, Progress},
};
use palisade_respond::{Caps, RespondConfig};
use palisade_store::CaseEntry;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::house::{House, until, write_playbook};

const PLAYBOOK: &str = "name: own
description: a test
trigger: { detectors: [odd], min_severity: low }
actions:
  - action: slow
    mode: auto
";

/// How far it came.
static STAGE: AtomicU8 = AtomicU8::new(0);

/// Does nothing, and says what the test wants to hear.
struct Slow;

impl Effector for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }
    fn summary(&self) -> &'static str {
        "Takes its time."
    }
    fn impact(&self) -> Impact {
        Impact::Partial
    }
    fn check(&self, _: &Parameters) -> Result<(), EffectError> {
        Ok(())
    }
    fn applies_to(&self, target: &Target) -> bool {
        matches!(target, Target::Device(_))
    }
    fn apply<'a>(&'a self, _: &'a Order) -> BoxFuture<'a, Result<Option<Value>, EffectError>> {
        Box::pin(async { Ok(Some(json!({}))) })
    }
    fn look<'a>(
        &'a self,
        _: &'a Order,
        _: &'a Value,
    ) -> BoxFuture<'a, Result<Progress, EffectError>> {
        Box::pin(async {
            Ok(match STAGE.load(Ordering::SeqCst) {
                0 => Progress::Waits("it was asked".to_owned()),
                1 => Progress::Overdue {
                    why: "it did not follow".to_owned(),
                    then: Some("quarantine"),
                },
                _ => Progress::Over("it followed".to_owned()),
            })
        })
    }
    fn is_watched(&self) -> bool {
        true
    }
    fn undo<'a>(&'a self, _: &'a Order, _: &'a Value) -> BoxFuture<'a, Result<(), EffectError>> {
        Box::pin(async { Ok(()) })
    }
}

fn with_slow(mut all: Vec<Arc<dyn Effector>>) -> Vec<Arc<dyn Effector>> {
    all.push(Arc::new(Slow));
    all
}

async fn notes(house: &House) -> Vec<CaseEntry> {
    let case = house.case().await;
    let mut all = house.store.cases().entries(case, 100).await.expect("reads");
    all.retain(|one| one.text.starts_with("slow:"));
    all
}

#[tokio::test]
async fn an_overdue_action_tells_a_person_once_orders_what_follows_inside_the_caps_and_ends() {
    let playbooks = TempDir::new().expect("a directory");
    write_playbook(playbooks.path(), "own.yaml", PLAYBOOK);
    let config = || RespondConfig {
        playbooks_dir: Some(playbooks.path().to_owned()),
        // No automatic quarantine at all: what follows has to wait for a person.
        caps: Caps {
            full: 0,
            ..Caps::default()
        },
        ..RespondConfig::default()
    };
    let (directory, clock) = House::new().await.stop().await;
    let house = House::at(directory, clock, config(), with_slow).await;
    house.devices(10).await;
    house.found("cam-1", "odd", Severity::High).await;
    let slow = async |house: &House| {
        let all = house.actions().await;
        let found = all.into_iter().find(|one| one.order.action == "slow");
        found.expect("it is ordered")
    };
    until(async || house.in_state("slow", ActionState::Done).await == 1).await;
    house.clock.advance_millis(6_000);
    until(async || slow(&house).await.why == "it was asked").await;
    assert!(notes(&house).await.is_empty());
    STAGE.store(1, Ordering::SeqCst);
    house.clock.advance_millis(6_000);
    until(async || slow(&house).await.why == "it did not follow").await;
    assert_eq!(house.in_state("quarantine", ActionState::Waiting).await, 1);
    // It is looked at again, also after a crash, and nobody is told twice.
    let (directory, clock) = house.kill().await;
    let house = House::at(directory, clock, config(), with_slow).await;
    let before = slow(&house).await.due_at;
    house.clock.advance_millis(6_000);
    until(async || slow(&house).await.due_at != before).await;
    assert_eq!(notes(&house).await.len(), 1);
    assert_eq!(house.in_state("quarantine", ActionState::Waiting).await, 1);
    STAGE.store(2, Ordering::SeqCst);
    house.clock.advance_millis(6_000);
    until(async || slow(&house).await.ended_at.is_some()).await;
    let over = slow(&house).await;
    assert_eq!(
        (over.state, over.why.as_str()),
        (ActionState::Done, "it followed")
    );
    assert_eq!(
        (over.memory, over.due_at),
        (None, None),
        "nothing is left to undo"
    );
    let id = over.order.id;
    let undone = house.respond.undo(id, "ann", "").await;
    assert!(undone.is_err(), "what is over is not undone");
    until(async || notes(&house).await.len() == 2).await;
    house.stop().await;
}
