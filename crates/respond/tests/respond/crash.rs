//! What was ordered is done once, and taken back once, whenever the process dies.

use std::sync::Arc;

use palisade_core::{
    ActionState, Clock, Door, Event, EventKind, Impact, Lifecycle, Order, Severity, Target,
    port::{BoxFuture, EffectError, Effector, Journal, Parameters},
};
use palisade_respond::RespondConfig;
use serde_json::Value;

use crate::house::{House, device, until};

/// Dies before or after the real action, without a word.
struct Dies {
    real: Arc<dyn Effector>,
    after: bool,
}

impl Effector for Dies {
    fn name(&self) -> &'static str {
        self.real.name()
    }
    fn summary(&self) -> &'static str {
        self.real.summary()
    }
    fn impact(&self) -> Impact {
        self.real.impact()
    }
    fn check(&self, parameters: &Parameters) -> Result<(), EffectError> {
        self.real.check(parameters)
    }
    fn applies_to(&self, target: &Target) -> bool {
        self.real.applies_to(target)
    }
    fn apply<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<Option<Value>, EffectError>> {
        Box::pin(async move {
            if self.after {
                self.real.apply(order).await?;
            }
            std::future::pending().await
        })
    }
    fn undo<'a>(
        &'a self,
        order: &'a Order,
        memory: &'a Value,
    ) -> BoxFuture<'a, Result<(), EffectError>> {
        Box::pin(async move {
            if self.after {
                self.real.undo(order, memory).await?;
            }
            std::future::pending().await
        })
    }
}

fn dies(all: Vec<Arc<dyn Effector>>, after: bool) -> Vec<Arc<dyn Effector>> {
    all.into_iter()
        .map(|real| match real.name() {
            "quarantine" => Arc::new(Dies { real, after }),
            _ => real,
        })
        .collect()
}

fn dies_before(all: Vec<Arc<dyn Effector>>) -> Vec<Arc<dyn Effector>> {
    dies(all, false)
}

fn dies_after(all: Vec<Arc<dyn Effector>>) -> Vec<Arc<dyn Effector>> {
    dies(all, true)
}

#[tokio::test]
async fn an_action_that_was_written_down_and_not_done_is_done_after_the_crash() {
    let house = House::new().await;
    house.devices(10).await;
    let (directory, clock) = house.stop().await;
    let house = House::at(directory, clock, RespondConfig::default(), dies_before).await;
    house
        .found("cam-1", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.in_state("quarantine", ActionState::Running).await == 1).await;
    assert_eq!(house.lifecycle("cam-1").await, Lifecycle::Active);
    let (directory, clock) = house.kill().await;
    let house = House::at(directory, clock, RespondConfig::default(), |all| all).await;
    until(async || house.in_state("quarantine", ActionState::Done).await == 1).await;
    assert_eq!(house.lifecycle("cam-1").await, Lifecycle::Quarantined);
    house.stop().await;
}

#[tokio::test]
async fn an_action_that_was_done_and_not_written_down_is_done_once_and_can_be_undone() {
    let house = House::new().await;
    house.devices(10).await;
    let (directory, clock) = house.stop().await;
    let house = House::at(directory, clock, RespondConfig::default(), dies_after).await;
    house
        .found("cam-1", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.lifecycle("cam-1").await == Lifecycle::Quarantined).await;
    assert_eq!(house.in_state("quarantine", ActionState::Running).await, 1);
    let (directory, clock) = house.kill().await;
    let house = House::at(directory, clock, RespondConfig::default(), |all| all).await;
    until(async || house.in_state("quarantine", ActionState::Done).await == 1).await;
    house.clock.advance_millis(3_601_000);
    until(async || house.in_state("quarantine", ActionState::Undone).await == 1).await;
    assert_eq!(
        house.lifecycle("cam-1").await,
        Lifecycle::Active,
        "as it was before"
    );
    house.stop().await;
}

#[tokio::test]
async fn an_undo_that_was_under_way_is_ended_after_the_crash() {
    for dying in [dies_before, dies_after] {
        let house = House::new().await;
        house.devices(10).await;
        house
            .found("cam-1", "mqtt-topic-scan", Severity::High)
            .await;
        until(async || house.in_state("quarantine", ActionState::Done).await == 1).await;
        let (directory, clock) = house.stop().await;
        clock.advance_millis(3_601_000);
        let house = House::at(directory, clock, RespondConfig::default(), dying).await;
        until(async || house.in_state("quarantine", ActionState::Undoing).await == 1).await;
        let (directory, clock) = house.kill().await;
        let house = House::at(directory, clock, RespondConfig::default(), |all| all).await;
        until(async || house.in_state("quarantine", ActionState::Undone).await == 1).await;
        assert_eq!(house.lifecycle("cam-1").await, Lifecycle::Active);
        house.stop().await;
    }
}

#[tokio::test]
async fn a_device_that_somebody_else_contained_is_not_released_by_the_action() {
    let house = House::new().await;
    house.devices(10).await;
    let id = crate::house::device("cam-1");
    let contained = house
        .pdp
        .set_lifecycle(&id, Lifecycle::Quarantined, "by hand")
        .await;
    contained.expect("contained");
    house
        .found("cam-1", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.in_state("quarantine", ActionState::Done).await == 1).await;
    house.clock.advance_millis(7_200_000);
    house
        .found("cam-2", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.in_state("quarantine", ActionState::Done).await == 2).await;
    assert_eq!(house.lifecycle("cam-1").await, Lifecycle::Quarantined);
    house.stop().await;
}

#[tokio::test]
async fn a_device_that_a_person_released_and_that_offends_again_is_contained_again() {
    let house = House::new().await;
    house.devices(100).await;
    house
        .found("cam-1", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.in_state("quarantine", ActionState::Done).await == 1).await;
    let id = crate::house::device("cam-1");
    house.clock.advance_millis(1_000);
    let released = house
        .pdp
        .set_lifecycle(&id, Lifecycle::Active, "it was me")
        .await;
    released.expect("released");
    until(async || house.in_state("quarantine", ActionState::Undone).await == 1).await;
    house.clock.advance_millis(1_000);
    house
        .found("cam-1", "mqtt-topic-scan", Severity::Critical)
        .await;
    until(async || house.lifecycle("cam-1").await == Lifecycle::Quarantined).await;
    house.stop().await;
}

#[tokio::test]
async fn many_findings_are_written_in_few_transactions_and_each_once_whenever_the_process_dies() {
    let house = House::new().await;
    house.devices(400).await;
    let (directory, clock) = house.stop().await;
    // Nobody reads while they come in: they are there all at once.
    let house = House::at(directory, clock, RespondConfig::default(), |all| all).await;
    let mut events = Vec::new();
    for number in 1..=400 {
        let finding = house.finding(&format!("odd-{}", number % 100), Severity::Low);
        let event = Event::new(house.clock.now(), Door::Internal, EventKind::Found(finding));
        events.push(event.about(device(&format!("cam-{number}"))));
    }
    house.ledger.record(events).await.expect("recorded");
    until(async || house.respond.stats().findings > 0).await;
    let (directory, clock) = house.kill().await;
    let house = House::at(directory, clock, RespondConfig::default(), |all| all).await;
    house.caught_up().await;
    let cases = house.cases().await;
    assert_eq!(cases.len(), 400, "each has one case");
    for case in &cases {
        let count = house.store.cases().count_findings(case.id).await;
        assert_eq!(count.expect("reads"), 1);
    }
    let stats = house.respond.stats();
    assert!(
        stats.findings < 64 || stats.batches * 16 < stats.findings,
        "{stats:?}"
    );
    house.stop().await;
}

#[tokio::test]
async fn findings_of_one_batch_are_judged_as_if_each_were_written_before_the_next() {
    let house = House::new().await;
    house.devices(100).await;
    let told = |house: &House, number: usize, detector: &str, severity| {
        let finding = house.finding(detector, severity);
        let event = Event::new(house.clock.now(), Door::Internal, EventKind::Found(finding));
        event.about(device(&format!("cam-{number}")))
    };
    // Twelve devices by one detector are a campaign; the same device twice is one case; caps hold in between.
    let mut events: Vec<Event> = (1..=12)
        .map(|number| told(&house, number, "odd", Severity::Low))
        .collect();
    events.push(told(&house, 50, "other", Severity::Low));
    events.push(told(&house, 50, "another", Severity::Medium));
    for number in 60..=90 {
        events.push(told(&house, number, "mqtt-topic-scan", Severity::High));
    }
    house.ledger.record(events).await.expect("recorded");
    house.caught_up().await;
    let cases = house.cases().await;
    let about = |subject: &str| cases.iter().filter(|case| case.subject == subject).count();
    assert_eq!(about("campaign/rule/odd"), 1);
    assert_eq!(about("device/cam-50"), 1);
    let own: Vec<_> = cases
        .iter()
        .filter(|case| case.title == "odd fired")
        .collect();
    assert_eq!(own.len(), 5, "the sixth finds the campaign: {own:#?}");
    assert!(own.iter().all(|case| case.campaign.is_some()));
    // Ten of a hundred devices of one segment, and not one more.
    let taken = house.in_state("quarantine", ActionState::Waiting).await;
    assert_eq!(taken, 21);
    house.stop().await;
}
