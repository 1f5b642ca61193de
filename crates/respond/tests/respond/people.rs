//! What people say about actions.

use palisade_core::{
    ActionId, ActionState, Clock, Grant, GrantActions, GrantId, GrantScope, Lifecycle, Mode,
    Request, Severity, Target, Topic, TopicFilter, TopicPattern,
};
use palisade_policy::Subject;
use palisade_respond::{DeskError, Hand, RespondConfig};

use crate::house::{House, device, until};

fn hand(case: palisade_core::CaseId, action: &str) -> Hand {
    Hand {
        case,
        action: action.to_owned(),
        target: Target::Device(device("cam-1")),
        parameters: serde_json::Map::new(),
        ttl_s: None,
        reason: "by hand".to_owned(),
    }
}

#[tokio::test]
async fn what_cannot_be_undone_is_approved_by_another_than_who_ordered_it() {
    let house = House::new().await;
    house.devices(10).await;
    house.found("cam-1", "odd", Severity::Low).await;
    let case = house.case().await;
    let order = hand(case, "revoke-certificate");
    let ordered = house.respond.order(order, "ann").await.expect("ordered");
    assert_eq!(ordered.state, ActionState::Waiting);
    let id = ordered.order.id;
    let refused = house.respond.approve(id, "ann").await.expect_err("refused");
    assert!(matches!(refused, DeskError::Refused(_)), "{refused}");
    let approved = house.respond.approve(id, "ben").await.expect("approved");
    assert_eq!(approved.decided_by.as_deref(), Some("ben"));
    assert!(house.respond.approve(id, "cleo").await.is_err(), "twice");
    house.stop().await;
}

#[tokio::test]
async fn what_was_done_meanwhile_by_another_action_is_not_done_again_when_it_is_approved() {
    let house = House::new().await;
    house.devices(100).await;
    house.found("cam-1", "odd", Severity::Low).await;
    let case = house.case().await;
    house
        .respond
        .turn(true, "a test", "ann")
        .await
        .expect("stops");
    house
        .found("cam-1", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.in_state("quarantine", ActionState::Waiting).await == 1).await;
    house
        .respond
        .turn(false, "a test", "ann")
        .await
        .expect("goes on");
    let waiting = house.actions().await;
    let waiting = waiting
        .iter()
        .find(|one| one.state == ActionState::Waiting && one.order.action == "quarantine")
        .expect("it waits")
        .clone();
    let mut order = hand(case, "quarantine");
    order.ttl_s = Some(60);
    let twin = house.respond.order(order, "ben").await.expect("ordered");
    until(async || house.in_state("quarantine", ActionState::Done).await == 1).await;
    let approved = house.respond.approve(waiting.order.id, "cleo").await;
    let approved = approved.expect("approved");
    assert_eq!(approved.state, ActionState::Done);
    assert!(
        approved.why.contains(&twin.order.id.to_string()),
        "{}",
        approved.why
    );
    assert!(approved.memory.is_none(), "it holds nothing of its own");
    let twin = house.respond.action(twin.order.id).await.expect("there");
    let hour = waiting.ttl_s.expect("it has an end");
    let left = twin
        .until
        .expect("it ends")
        .duration_since(house.clock.now());
    assert!(
        left.as_secs() >= i64::try_from(hour).expect("small") - 1,
        "{left:?}"
    );
    assert!(
        house
            .respond
            .approve(waiting.order.id, "cleo")
            .await
            .is_err(),
        "twice"
    );
    house
        .respond
        .undo(twin.order.id, "ann", "")
        .await
        .expect("undone");
    until(async || house.lifecycle("cam-1").await == Lifecycle::Active).await;
    house.stop().await;
}

#[tokio::test]
async fn a_person_contains_by_hand_and_takes_it_back() {
    let house = House::new().await;
    house.devices(10).await;
    house.found("cam-1", "odd", Severity::Low).await;
    let order = hand(house.case().await, "quarantine");
    let ordered = house.respond.order(order, "ann").await.expect("ordered");
    until(async || house.lifecycle("cam-1").await == Lifecycle::Quarantined).await;
    until(async || house.in_state("quarantine", ActionState::Done).await == 1).await;
    let id = ordered.order.id;
    house
        .respond
        .undo(id, "ann", "a mistake")
        .await
        .expect("undone");
    until(async || house.in_state("quarantine", ActionState::Undone).await == 1).await;
    assert_eq!(house.lifecycle("cam-1").await, Lifecycle::Active);
    assert!(house.respond.undo(id, "ann", "").await.is_err(), "twice");
    house.stop().await;
}

#[tokio::test]
async fn what_waits_too_long_is_given_up_and_what_is_rejected_does_not_come_back() {
    let house = House::with(RespondConfig {
        max_mode: Mode::Approve,
        approval_timeout_s: 600,
        ..RespondConfig::default()
    })
    .await;
    house.devices(100).await;
    house
        .found("cam-1", "mqtt-topic-scan", Severity::High)
        .await;
    house
        .found("cam-2", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.in_state("quarantine", ActionState::Waiting).await == 2).await;
    let first = house.actions().await[0].order.id;
    house
        .respond
        .reject(first, "ann", "it is mine")
        .await
        .expect("rejected");
    house.clock.advance_millis(601_000);
    until(async || house.in_state("quarantine", ActionState::Rejected).await == 2).await;
    house.clock.advance_millis(7_200_000);
    house
        .found("cam-1", "mqtt-topic-scan", Severity::High)
        .await;
    house
        .found("cam-2", "mqtt-topic-scan", Severity::High)
        .await;
    house.caught_up().await;
    let waiting = house.actions().await;
    let waiting: Vec<String> = waiting
        .iter()
        .filter(|one| one.state == ActionState::Waiting)
        .map(|one| one.order.target.to_string())
        .collect();
    assert_eq!(waiting, ["device/cam-2"], "nobody said no to this one");
    assert_eq!(house.lifecycle("cam-1").await, Lifecycle::Active);
    house.stop().await;
}

#[tokio::test]
async fn an_order_that_makes_no_sense_is_refused() {
    let house = House::new().await;
    house.devices(1).await;
    house.found("cam-1", "odd", Severity::Low).await;
    let case = house.case().await;
    let refused = async |order: Hand| {
        house
            .respond
            .order(order, "ann")
            .await
            .expect_err("refused")
            .to_string()
    };
    assert!(
        refused(hand(case, "explode"))
            .await
            .contains("there is no action")
    );
    let wrong = Hand {
        target: Target::Fleet,
        ..hand(case, "quarantine")
    };
    assert!(refused(wrong).await.contains("does not apply"));
    let wrong = Hand {
        target: Target::Device(device("nobody")),
        ..hand(case, "quarantine")
    };
    assert!(refused(wrong).await.contains("there is no device"));
    let wrong = Hand {
        ttl_s: Some(10),
        ..hand(case, "revoke-certificate")
    };
    assert!(refused(wrong).await.contains("undone"));
    assert!(refused(hand(case, "lower-trust")).await.contains("points"));
    let nowhere = hand(palisade_core::CaseId::generate(), "quarantine");
    let nowhere = house.respond.order(nowhere, "ann").await;
    assert!(matches!(nowhere, Err(DeskError::NoCase(_))));
    let nothing = house.respond.approve(ActionId::generate(), "ann").await;
    assert!(matches!(nothing, Err(DeskError::NoAction(_))));
    house.stop().await;
}

#[tokio::test]
async fn lowered_trust_is_in_the_score_until_its_time_is_over_and_over_a_restart() {
    let house = House::new().await;
    house.devices(10).await;
    house.found("cam-1", "odd", Severity::Low).await;
    let mut order = hand(house.case().await, "lower-trust");
    order.parameters.insert("points".to_owned(), 30.into());
    order.ttl_s = Some(600);
    house.respond.order(order, "ann").await.expect("ordered");
    let trust = async |house: &House| {
        let posture = house.pdp.posture(&device("cam-1")).await.expect("reads");
        posture.expect("a posture").trust.value()
    };
    until(async || trust(&house).await == 70).await;
    until(async || house.in_state("lower-trust", ActionState::Done).await == 1).await;
    let (directory, clock) = house.stop().await;
    let house = House::at(directory, clock, RespondConfig::default(), |all| all).await;
    house.clock.advance_millis(601_000);
    until(async || house.in_state("lower-trust", ActionState::Undone).await == 1).await;
    until(async || trust(&house).await == 100).await;
    house.stop().await;
}

#[tokio::test]
async fn restricted_grants_count_on_the_named_topics_only_until_the_restriction_ends() {
    let topics = ["devices/{device}/health"].map(|text| TopicPattern::parse(text).expect("valid"));
    let config = RespondConfig {
        grant_sets: [("essential".to_owned(), topics.to_vec())].into(),
        ..RespondConfig::default()
    };
    let house = House::with(config.clone()).await;
    house.devices(10).await;
    let grant = Grant {
        id: GrantId::generate(),
        scope: GrantScope::Fleet,
        pattern: TopicPattern::parse("devices/{device}/#").expect("valid"),
        actions: GrantActions {
            publish: true,
            subscribe: true,
            ..GrantActions::default()
        },
        created_at: Clock::now(&house.clock),
    };
    house.pdp.add_grant(grant).await.expect("granted");
    house.found("cam-1", "odd", Severity::Low).await;
    let principal = device("cam-1").into();
    let source = "127.0.0.1".parse().expect("an address");
    let subject = house.pdp.subject(&principal, source).await.expect("known");
    let may = |house: &House, subject: &Subject, topic: &str| {
        let topic = Topic::parse(topic).expect("valid");
        let request = Request::Publish {
            topic,
            qos: 0,
            retain: false,
            size: 1,
        };
        house.pdp.decide(subject, &request).is_allow()
    };
    assert!(may(&house, &subject, "devices/cam-1/video"));
    let mut order = hand(house.case().await, "restrict-grants");
    order
        .parameters
        .insert("set".to_owned(), "no such set".into());
    assert!(house.respond.order(order.clone(), "ann").await.is_err());
    order
        .parameters
        .insert("set".to_owned(), "essential".into());
    order.ttl_s = Some(600);
    let before = subject.stamp();
    house.respond.order(order, "ann").await.expect("ordered");
    until(async || house.in_state("restrict-grants", ActionState::Done).await == 1).await;
    assert!(!may(&house, &subject, "devices/cam-1/video"));
    assert!(may(&house, &subject, "devices/cam-1/health"));
    assert!(
        !may(&house, &subject, "devices/cam-2/health"),
        "it widens nothing"
    );
    assert_ne!(subject.stamp(), before, "open sessions are decided anew");
    let filter = TopicFilter::parse("devices/cam-1/#").expect("valid");
    let wide = Request::Subscribe {
        filter: &filter,
        qos: 0,
    };
    assert!(!house.pdp.decide(&subject, &wide).is_allow());
    drop(subject);
    let (directory, clock) = house.stop().await;
    let house = House::at(directory, clock, config, |all| all).await;
    let subject = house.pdp.subject(&principal, source).await.expect("known");
    assert!(
        !may(&house, &subject, "devices/cam-1/video"),
        "over a restart"
    );
    house.clock.advance_millis(601_000);
    until(async || house.in_state("restrict-grants", ActionState::Undone).await == 1).await;
    assert!(may(&house, &subject, "devices/cam-1/video"));
    house.stop().await;
}
