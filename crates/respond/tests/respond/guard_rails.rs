//! The guard rails: what must not happen with no person having a part in it.

use palisade_core::{ActionState, Event, EventKind, Lifecycle, Severity, port::Journal};
use palisade_respond::{Caps, NeverTouch, RespondConfig};

use crate::house::{House, device, until};

#[tokio::test]
async fn a_malicious_source_of_events_cannot_make_us_quarantine_a_healthy_fleet() {
    let house = House::new().await;
    const FLEET: usize = 3_000;
    house.devices(FLEET).await;
    for part in (1..=FLEET).collect::<Vec<_>>().chunks(500) {
        let events = part
            .iter()
            .map(|number| {
                let found = EventKind::Found(house.finding("mqtt-topic-scan", Severity::Critical));
                let id = device(&format!("cam-{number}"));
                let now = palisade_core::Clock::now(&house.clock);
                Event::new(now, palisade_core::Door::Internal, found).about(id)
            })
            .collect();
        house.ledger.record(events).await.expect("recorded");
    }
    let cap = usize::try_from(Caps::default().full).expect("small");
    let journal = house.store.journal();
    let begun = std::time::Instant::now();
    while journal.cursor("respond").await.expect("reads") < FLEET as u64 {
        assert!(begun.elapsed().as_secs() < 240, "it reads too slowly");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    until(async || house.in_state("quarantine", ActionState::Done).await == cap).await;
    let counts = house
        .store
        .devices()
        .count_by_lifecycle()
        .await
        .expect("reads");
    let quarantined = counts
        .iter()
        .find(|(lifecycle, _)| *lifecycle == Lifecycle::Quarantined);
    assert_eq!(quarantined.map(|(_, count)| *count), Some(cap as u64));
    assert_eq!(
        house.in_state("quarantine", ActionState::Waiting).await,
        FLEET - cap,
        "the rest waits for a person"
    );
    let cases = house.cases().await;
    assert!(cases.len() <= 6, "{} cases", cases.len());
    assert!(
        cases
            .iter()
            .any(|case| case.subject == "campaign/rule/mqtt-topic-scan")
    );
    house.stop().await;
}

#[tokio::test]
async fn a_share_of_a_segment_is_contained_and_the_rest_of_it_waits() {
    let house = House::new().await;
    house.devices_in("berlin", 30).await;
    for number in 1..=10 {
        house
            .found(&format!("cam-{number}"), "mqtt-topic-scan", Severity::High)
            .await;
    }
    house.caught_up().await;
    until(async || house.in_state("quarantine", ActionState::Done).await == 3).await;
    assert_eq!(house.in_state("quarantine", ActionState::Waiting).await, 7);
    // What is in force counts however old it is: slowly is not further.
    house.clock.advance_millis(3_500_000);
    house
        .found("cam-20", "mqtt-topic-scan", Severity::High)
        .await;
    house.caught_up().await;
    assert_eq!(house.in_state("quarantine", ActionState::Waiting).await, 8);
    let why = house.actions().await.last().expect("an action").why.clone();
    assert!(why.contains("segment berlin"), "{why}");
    house.stop().await;
}

#[tokio::test]
async fn a_device_that_a_person_released_counts_no_longer_and_one_whose_time_is_over_does() {
    let house = House::with(RespondConfig {
        caps: Caps {
            window_s: 7_200,
            ..Caps::default()
        },
        ..RespondConfig::default()
    })
    .await;
    house.devices_in("berlin", 30).await;
    for number in 1..=4 {
        house
            .found(&format!("cam-{number}"), "mqtt-topic-scan", Severity::High)
            .await;
    }
    until(async || house.in_state("quarantine", ActionState::Done).await == 3).await;
    until(async || house.in_state("quarantine", ActionState::Waiting).await == 1).await;
    house
        .pdp
        .set_lifecycle(&device("cam-1"), Lifecycle::Active, "a false alarm")
        .await
        .expect("released");
    until(async || house.in_state("quarantine", ActionState::Undone).await == 1).await;
    house
        .found("cam-5", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.in_state("quarantine", ActionState::Done).await == 3).await;
    // The quarantines end by themselves: within the window of the caps these count all the same.
    house.clock.advance_millis(3_700_000);
    until(async || house.in_state("quarantine", ActionState::Undone).await == 4).await;
    house
        .found("cam-6", "mqtt-topic-scan", Severity::High)
        .await;
    house.caught_up().await;
    assert_eq!(house.in_state("quarantine", ActionState::Waiting).await, 2);
    house.stop().await;
}

#[tokio::test]
async fn a_fleet_of_three_is_protected_too() {
    let house = House::new().await;
    house.devices(3).await;
    for number in 1..=3 {
        let id = format!("cam-{number}");
        house.found(&id, "mqtt-topic-scan", Severity::High).await;
        until(async || house.lifecycle(&id).await == Lifecycle::Quarantined).await;
    }
    house.stop().await;
}

#[tokio::test]
async fn a_drill_is_held_back_by_no_cap_and_uses_none_up() {
    let house = House::new().await;
    house.devices_in("drill", 40).await;
    for number in 1..=30 {
        house
            .found(&format!("cam-{number}"), "mqtt-topic-scan", Severity::High)
            .await;
    }
    house.caught_up().await;
    until(async || house.in_state("quarantine", ActionState::Done).await == 30).await;
    let real = palisade_core::SegmentId::parse("berlin").expect("valid");
    house
        .pdp
        .set_segment(&device("cam-31"), real, "moved")
        .await
        .expect("moved");
    house
        .found("cam-31", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.lifecycle("cam-31").await == Lifecycle::Quarantined).await;
    house.stop().await;
}

#[tokio::test]
async fn what_is_never_touched_is_touched_neither_by_playbooks_nor_by_people() {
    let house = House::with(RespondConfig {
        never_touch: NeverTouch {
            devices: vec![device("cam-1")],
            ..NeverTouch::default()
        },
        ..RespondConfig::default()
    })
    .await;
    house.devices(10).await;
    house
        .found("cam-1", "mqtt-topic-scan", Severity::Critical)
        .await;
    until(async || house.in_state("quarantine", ActionState::Rejected).await == 1).await;
    let hand = palisade_respond::Hand {
        case: house.case().await,
        action: "quarantine".to_owned(),
        target: palisade_core::Target::Device(device("cam-1")),
        parameters: serde_json::Map::new(),
        ttl_s: None,
        reason: String::new(),
    };
    let refused = house.respond.order(hand, "ann").await.expect_err("refused");
    assert!(refused.to_string().contains("never touched"), "{refused}");
    assert_eq!(house.lifecycle("cam-1").await, Lifecycle::Active);
    house.stop().await;
}

#[tokio::test]
async fn the_switch_stops_all_automatic_action_at_once_and_survives_a_restart() {
    let house = House::new().await;
    house.devices(10).await;
    house
        .respond
        .turn(true, "maintenance", "ann")
        .await
        .expect("stopped");
    house
        .found("cam-1", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.in_state("quarantine", ActionState::Waiting).await == 1).await;
    let (directory, clock) = house.stop().await;
    let house = House::at(directory, clock, RespondConfig::default(), |all| all).await;
    assert!(house.respond.switch().stopped);
    house
        .found("cam-2", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.in_state("quarantine", ActionState::Waiting).await == 2).await;
    // A person decides all the same.
    let waiting = house.actions().await[0].order.id;
    house
        .respond
        .approve(waiting, "ann")
        .await
        .expect("approved");
    until(async || house.lifecycle("cam-1").await == Lifecycle::Quarantined).await;
    house.respond.turn(false, "", "ann").await.expect("started");
    house
        .found("cam-3", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.lifecycle("cam-3").await == Lifecycle::Quarantined).await;
    assert_eq!(
        house.lifecycle("cam-2").await,
        Lifecycle::Active,
        "it still waits"
    );
    house.stop().await;
}

#[tokio::test]
async fn an_action_that_causes_an_event_that_causes_an_action_comes_to_an_end() {
    let house = House::new().await;
    house.devices(100).await;
    house
        .found("cam-1", "mqtt-topic-scan", Severity::High)
        .await;
    // A detector that finds something in whatever response does, each time anew.
    for _ in 0..30 {
        house.caught_up().await;
        for playbook in [
            "mqtt-topic-scan",
            "mqtt-identity-theft",
            "statistics-exfiltration",
        ] {
            house.found("cam-1", playbook, Severity::High).await;
        }
    }
    house.caught_up().await;
    let quarantines = house.actions().await;
    let quarantines = quarantines
        .iter()
        .filter(|one| one.order.action == "quarantine");
    assert_eq!(quarantines.count(), 1);
    assert!(
        house.actions().await.len() < 10,
        "{}",
        house.actions().await.len()
    );
    assert_eq!(house.cases().await.len(), 1);
    house.stop().await;
}

#[tokio::test]
async fn the_same_action_on_the_same_target_is_joined_and_holds_longer() {
    let house = House::new().await;
    house.devices(100).await;
    house
        .found("cam-1", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.in_state("quarantine", ActionState::Done).await == 1).await;
    let before = house.actions().await[0].until.expect("an end");
    house.clock.advance_millis(600_000);
    // Worse than before, so that it is no echo of the containment; it holds for four hours.
    house
        .found("cam-1", "mqtt-identity-theft", Severity::Critical)
        .await;
    house.caught_up().await;
    let quarantines = house.actions().await;
    let quarantines: Vec<_> = quarantines
        .iter()
        .filter(|one| one.order.action == "quarantine")
        .collect();
    assert_eq!(quarantines.len(), 1);
    assert!(quarantines[0].until.expect("an end") > before);
    assert!(house.respond.stats().joined >= 1);
    house.stop().await;
}

#[tokio::test]
async fn a_repeat_offender_is_contained_for_longer_each_time() {
    let house = House::new().await;
    house.devices(100).await;
    let mut hours = Vec::new();
    for _ in 0..3 {
        house
            .found("cam-1", "mqtt-topic-scan", Severity::High)
            .await;
        until(async || house.lifecycle("cam-1").await == Lifecycle::Quarantined).await;
        until(async || house.in_state("quarantine", ActionState::Done).await == 1).await;
        let all = house.actions().await;
        let last = all
            .iter()
            .rfind(|one| one.order.action == "quarantine")
            .expect("one");
        let (until_, done) = (last.until.expect("an end"), last.done_at.expect("done"));
        let length = until_.duration_since(done).as_secs();
        hours.push(length / 3_600);
        house.clock.advance_millis((length + 1) * 1_000);
        until(async || house.in_state("quarantine", ActionState::Done).await == 0).await;
        until(async || house.in_state("quarantine", ActionState::Undoing).await == 0).await;
        house.clock.advance_millis(1_000);
    }
    assert_eq!(hours, [1, 2, 4]);
    house.stop().await;
}

#[tokio::test]
async fn an_action_that_waits_for_a_person_holds_up_none_that_need_not() {
    let house = House::new().await;
    house.devices(100).await;
    house
        .found("cam-1", "statistics-exfiltration", Severity::High)
        .await;
    until(async || house.in_state("quarantine", ActionState::Waiting).await == 1).await;
    house
        .found("cam-1", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.lifecycle("cam-1").await == Lifecycle::Quarantined).await;
    house.stop().await;
}
