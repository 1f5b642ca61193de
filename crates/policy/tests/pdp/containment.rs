//! Trust: devices that are denied again and again contain themselves, and come back.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use palisade_core::{
    Decision, DenyReason, DeviceId, GrantScope, Lifecycle, PolicyId, Request, Timestamp,
    TrustReason, port::EvidenceSource,
};
use palisade_policy::{Pdp, Subject, SubjectError};

use crate::world::{HOME, World, publish, until};

/// What a door does with a device that publishes where it may not.
fn misbehave(pdp: &Pdp, subject: &Subject, times: usize) {
    for _ in 0..times {
        if !pdp.decide(subject, &publish("somebody/elses")).is_allow() {
            pdp.observe_denial(subject.principal().device().expect("a device"), 1);
        }
    }
}

fn trust(subject: &Subject) -> u8 {
    subject.posture().expect("a device").trust.value()
}

fn floor() -> Decision {
    let policies = [PolicyId::parse("trust-floor").expect("valid")].into();
    Decision::Deny(DenyReason::Forbidden { policies })
}

const MINUTE: i64 = 60_000;

#[tokio::test]
async fn a_device_that_misbehaves_contains_itself_within_moments_and_few_writes() {
    let world = World::new().await;
    world.grant(GrantScope::Fleet, "devices/{device}/#").await;
    let subject = world.subject(&world.device("bad").await).await;
    let good = world.subject(&world.device("good").await).await;
    world.run();
    let stamp = subject.stamp();
    let started = Instant::now();
    misbehave(&world.pdp, &subject, 5_000);
    until("the device is below the floor", async || {
        trust(&subject) < 40
    })
    .await;
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "it took {:?}",
        started.elapsed()
    );
    assert_ne!(subject.stamp(), stamp);
    assert_eq!(
        world.pdp.decide(&subject, &publish("devices/bad/a")),
        floor()
    );
    assert_eq!(world.pdp.decide(&subject, &Request::Connect), floor());
    assert_eq!(trust(&good), 100);
    assert!(
        world
            .pdp
            .decide(&good, &publish("devices/good/a"))
            .is_allow()
    );
    // A session is contained before the audit log is written, so the log is waited for.
    until("it is recorded", async || {
        !world.posture_reasons().await.is_empty()
    })
    .await;
    let reasons = world.posture_reasons().await;
    assert!(reasons.len() <= 3, "{} writes", reasons.len());
    assert!(
        reasons[0].starts_with("trust fell from 100 to "),
        "{}",
        reasons[0]
    );
    let posture = world.posture(&world_device(&subject)).await;
    assert_eq!(posture.reasons[0].evidence, "denials");
    assert_eq!(posture.reasons[0].points, 100 - posture.trust.value());
}

fn world_device(subject: &Subject) -> DeviceId {
    subject.principal().device().expect("a device").clone()
}

#[tokio::test]
async fn a_few_denials_cost_little_and_about_twenty_within_a_minute_contain() {
    let world = World::new().await;
    let stray = world.subject(&world.device("stray").await).await;
    let loops = world.subject(&world.device("loops").await).await;
    world.run();
    misbehave(&world.pdp, &stray, 1);
    for _ in 0..22 {
        misbehave(&world.pdp, &loops, 1);
        world.clock.advance_millis(2_500);
    }
    until("the loop is contained", async || trust(&loops) < 40).await;
    assert_eq!(trust(&stray), 100);
    misbehave(&world.pdp, &stray, 4);
    until("five denials are seen", async || trust(&stray) < 100).await;
    assert!(trust(&stray) >= 90, "{}", trust(&stray));
}

#[tokio::test]
async fn a_contained_device_that_keeps_knocking_comes_back_in_steps() {
    let world = World::new().await;
    let id = world.device("bad").await;
    let subject = world.subject(&id).await;
    world.run();
    misbehave(&world.pdp, &subject, 1_000);
    until("it is contained", async || trust(&subject) < 40).await;
    for _ in 0..30 {
        // It knocks every few seconds, as a client does that was told to come later.
        for _ in 0..12 {
            let knock = world.subject(&id).await;
            if !world.pdp.decide(&knock, &Request::Connect).is_allow() {
                world.pdp.observe_denial(&id, 1);
            }
        }
        world.clock.advance_millis(MINUTE);
    }
    let back = world.subject(&id).await;
    assert!(
        world.pdp.decide(&back, &Request::Connect).is_allow(),
        "trust {}",
        trust(&back)
    );
    world.clock.advance_millis(60 * MINUTE);
    until("all trust returned", async || trust(&back) == 100).await;
    assert!(world.posture(&id).await.reasons.is_empty());
    until("it is recorded", async || {
        let steps = world.posture_reasons().await;
        steps
            .last()
            .is_some_and(|step| step.ends_with("nothing is held against it"))
    })
    .await;
    let steps = world.posture_reasons().await;
    assert!(steps.len() <= 14, "{} writes: {steps:#?}", steps.len());
}

#[tokio::test]
async fn denials_for_the_lifecycle_do_not_count() {
    let world = World::new().await;
    let id = world.device("bad").await;
    let subject = world.subject(&id).await;
    world.run();
    world
        .pdp
        .set_lifecycle(&id, Lifecycle::Quarantined, "held")
        .await
        .expect("sets");
    misbehave(&world.pdp, &subject, 1_000);
    world
        .pdp
        .set_lifecycle(&id, Lifecycle::Active, "released")
        .await
        .expect("sets");
    // Those that count are weighed after those that do not, so the wait covers both.
    misbehave(&world.pdp, &subject, 6);
    until("six denials are seen", async || trust(&subject) < 100).await;
    assert!(trust(&subject) > 80, "{}", trust(&subject));
}

#[tokio::test]
async fn a_restart_does_not_forgive_and_does_not_forget_to() {
    let world = World::new().await;
    let id = world.device("bad").await;
    let subject = world.subject(&id).await;
    world.run();
    misbehave(&world.pdp, &subject, 1_000);
    until("it is contained", async || trust(&subject) <= 15).await;
    let restarted = world.another().await;
    world.clock.advance_millis(MINUTE);
    let knock = restarted
        .subject(&id.clone().into(), HOME)
        .await
        .expect("known");
    assert_eq!(restarted.decide(&knock, &Request::Connect), floor());
    drop(knock);
    world.clock.advance_millis(20 * MINUTE);
    let knock = restarted.subject(&id.into(), HOME).await.expect("known");
    assert!(
        restarted.decide(&knock, &Request::Connect).is_allow(),
        "trust {}",
        trust(&knock)
    );
    assert!(trust(&knock) < 90, "only what decayed is forgotten");
}

#[tokio::test]
async fn forgiveness_gives_trust_back_at_once_and_holds() {
    let world = World::new().await;
    let id = world.device("bad").await;
    let subject = world.subject(&id).await;
    world.run();
    misbehave(&world.pdp, &subject, 1_000);
    until("it is contained", async || trust(&subject) < 40).await;
    let posture = world
        .pdp
        .forgive(&id, "the firmware is mended")
        .await
        .expect("forgives");
    assert_eq!((posture.trust.value(), posture.reasons.len()), (100, 0));
    assert!(world.pdp.decide(&subject, &Request::Connect).is_allow());
    let reasons = world.posture_reasons().await;
    assert_eq!(
        reasons.last().map(String::as_str),
        Some("forgiven: the firmware is mended")
    );
    // Later denials count from nothing, and nothing old comes back with them.
    misbehave(&world.pdp, &subject, 6);
    until("six denials are seen", async || trust(&subject) < 100).await;
    assert!(trust(&subject) > 80, "{}", trust(&subject));
    assert_eq!(
        world
            .pdp
            .forgive(&id, "again")
            .await
            .expect("forgives")
            .trust
            .value(),
        100
    );
}

#[tokio::test]
async fn who_has_no_session_cannot_lose_trust() {
    let world = World::new().await;
    let id = world.device("gone").await;
    world.run();
    world.pdp.observe_denial(&id, u64::MAX);
    let subject = world.subject(&id).await;
    misbehave(&world.pdp, &subject, 6);
    until("six denials are seen", async || trust(&subject) < 100).await;
    assert!(trust(&subject) > 80, "{}", trust(&subject));
}

#[derive(Debug, Default)]
struct Told(Mutex<Vec<TrustReason>>);

impl EvidenceSource for Told {
    fn evidence(&self, _: &DeviceId, _: Timestamp) -> Vec<TrustReason> {
        self.0.lock().expect("not poisoned").clone()
    }
}

fn held(points: u8) -> TrustReason {
    TrustReason {
        evidence: "certificate_age".to_owned(),
        points,
        detail: "the certificate is old".to_owned(),
        since: Timestamp::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn other_evidence_is_weighed_at_admission_and_adds_up_with_denials() {
    let told = Arc::new(Told::default());
    let world = World::with_evidence(vec![told.clone()]).await;
    let id = world.device("old").await;
    world.run();
    *told.0.lock().expect("not poisoned") = vec![held(30), held(0)];
    let subject = world.subject(&id).await;
    assert_eq!(trust(&subject), 70);
    assert_eq!(world.posture(&id).await.reasons, [held(30)]);
    misbehave(&world.pdp, &subject, 10);
    until("both count", async || trust(&subject) <= 40).await;
    let sum: u8 = world
        .posture(&id)
        .await
        .reasons
        .iter()
        .map(|reason| reason.points)
        .sum();
    assert_eq!(trust(&subject), 100 - sum);
    world.pdp.forgive(&id, "mended").await.expect("forgives");
    assert_eq!(
        world.posture(&id).await.reasons,
        [held(30)],
        "other evidence stands"
    );
    told.0.lock().expect("not poisoned").clear();
    assert_eq!(trust(&*world.subject(&id).await), 100);
    // More than all of it is no trust at all.
    *told.0.lock().expect("not poisoned") = vec![held(80), held(90)];
    assert_eq!(trust(&*world.subject(&id).await), 0);
}

#[tokio::test]
async fn a_store_that_fails_admits_nobody_and_leaves_open_sessions_alone() {
    let world = World::new().await;
    world.grant(GrantScope::Fleet, "devices/{device}/#").await;
    let id = world.device("cam-1").await;
    let subject = world.subject(&id).await;
    world.store.close().await;
    let refused = world.pdp.subject(&id.into(), HOME).await;
    assert!(
        matches!(refused, Err(SubjectError::Store(_))),
        "{refused:?}"
    );
    assert!(
        world
            .pdp
            .decide(&subject, &publish("devices/cam-1/a"))
            .is_allow()
    );
    assert!(
        !world
            .pdp
            .decide(&subject, &publish("devices/cam-2/a"))
            .is_allow()
    );
}
