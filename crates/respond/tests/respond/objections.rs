//! What cannot be done, or need not be, waits for nobody.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use palisade_core::{
    ActionState, Impact, Lifecycle, Order, Severity, Target,
    port::{BoxFuture, EffectError, Effector, Objection, Parameters},
};
use palisade_respond::{Hand, RespondConfig};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::house::{House, device, until, write_playbook};

const PLAYBOOK: &str = "name: own
description: a test
trigger: { detectors: [odd], min_severity: low }
actions:
  - action: guarded
    mode: approve
";

/// Whether it can be done.
static CAN: AtomicBool = AtomicBool::new(true);

/// Does nothing, and says beforehand when it cannot.
struct Guarded;

impl Effector for Guarded {
    fn name(&self) -> &'static str {
        "guarded"
    }
    fn summary(&self) -> &'static str {
        "Says what stands against it."
    }
    fn impact(&self) -> Impact {
        Impact::Full
    }
    fn check(&self, _: &Parameters) -> Result<(), EffectError> {
        Ok(())
    }
    fn applies_to(&self, target: &Target) -> bool {
        matches!(target, Target::Device(_))
    }
    fn objection<'a>(
        &'a self,
        _: &'a Target,
        _: &'a Parameters,
    ) -> BoxFuture<'a, Option<Objection>> {
        let can = CAN.load(Ordering::SeqCst);
        let why = || Objection::Impossible("the list says so".to_owned());
        Box::pin(async move { (!can).then(why) })
    }
    fn apply<'a>(&'a self, _: &'a Order) -> BoxFuture<'a, Result<Option<Value>, EffectError>> {
        Box::pin(async { Ok(Some(json!({}))) })
    }
    fn undo<'a>(&'a self, _: &'a Order, _: &'a Value) -> BoxFuture<'a, Result<(), EffectError>> {
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test]
async fn a_device_that_is_revoked_is_not_quarantined_and_nobody_is_asked_to() {
    let house = House::new().await;
    house.devices(10).await;
    house
        .pdp
        .set_lifecycle(&device("cam-1"), Lifecycle::Revoked, "its key was lost")
        .await
        .expect("revoked");
    house
        .found("cam-1", "mqtt-topic-scan", Severity::Critical)
        .await;
    house.caught_up().await;
    let actions = house.actions().await;
    let quarantine = actions.iter().find(|one| one.order.action == "quarantine");
    let quarantine = quarantine.expect("it is on the record");
    assert_eq!(quarantine.state, ActionState::Rejected);
    assert!(
        quarantine
            .why
            .starts_with("not needed: device cam-1 is revoked"),
        "{}",
        quarantine.why
    );
    assert_eq!(house.told("quarantine").await, [ActionState::Rejected]);
    let hand = Hand {
        case: house.case().await,
        action: "quarantine".to_owned(),
        target: Target::Device(device("cam-1")),
        parameters: serde_json::Map::new(),
        ttl_s: None,
        reason: String::new(),
    };
    let refused = house.respond.order(hand, "ann").await.expect_err("refused");
    assert!(refused.to_string().contains("not needed"), "{refused}");
    house.stop().await;
}

#[tokio::test]
async fn what_waits_for_a_person_ends_when_its_device_is_revoked() {
    let house = House::new().await;
    house.devices(10).await;
    let stopped = house.respond.turn(true, "maintenance", "ann").await;
    stopped.expect("stopped");
    house
        .found("cam-1", "mqtt-topic-scan", Severity::High)
        .await;
    house
        .found("cam-2", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.in_state("quarantine", ActionState::Waiting).await == 2).await;
    house
        .pdp
        .set_lifecycle(&device("cam-1"), Lifecycle::Revoked, "its key was lost")
        .await
        .expect("revoked");
    until(async || house.in_state("quarantine", ActionState::Rejected).await == 1).await;
    assert_eq!(house.in_state("quarantine", ActionState::Waiting).await, 1);
    house.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_at_once_or_when_it_is_approved() {
    let directory = TempDir::new().expect("a directory");
    write_playbook(directory.path(), "own.yaml", PLAYBOOK);
    let config = RespondConfig {
        playbooks_dir: Some(directory.path().to_owned()),
        ..RespondConfig::default()
    };
    let clock = palisade_core::ManualClock::new(palisade_core::Timestamp::now());
    let house = House::at(TempDir::new().expect("data"), clock, config, |mut all| {
        all.push(Arc::new(Guarded));
        all
    })
    .await;
    house.devices(10).await;
    house.found("cam-1", "odd", Severity::Low).await;
    until(async || house.in_state("guarded", ActionState::Waiting).await == 1).await;
    CAN.store(false, Ordering::SeqCst);
    house.found("cam-2", "odd", Severity::Low).await;
    until(async || house.in_state("guarded", ActionState::Rejected).await == 1).await;
    let actions = house.actions().await;
    let (waits, never) = (&actions[0], &actions[1]);
    assert_eq!(never.why, "refused: the list says so");
    let refused = house.respond.approve(waits.order.id, "ann").await;
    let refused = refused.expect_err("refused").to_string();
    assert!(refused.contains("the list says so"), "{refused}");
    assert_eq!(house.in_state("guarded", ActionState::Rejected).await, 2);
    house.stop().await;
}
