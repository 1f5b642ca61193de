//! What becomes of what detectors say.

use palisade_core::{Clock, Detector, Severity, SuppressionId};
use palisade_detect::{Signal, Subject};
use palisade_store::{FindingState, Suppression, Verdict};

use crate::world::{World, alarm, until};

#[tokio::test]
async fn equal_alarms_join_one_finding_and_are_told_once_in_a_while() {
    let world = World::new().await;
    let running = world.run().await;
    let device = world.device("cam-1").await;
    world.say_all(&device, "scan low", 40).await;
    until("all are counted", async || {
        let found = world.findings().await;
        found.first().is_some_and(|one| one.finding.count == 40)
    })
    .await;
    let found = world.findings().await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].subject, "device/cam-1");
    assert_eq!(found[0].device.as_ref(), Some(&device));
    assert_eq!(found[0].finding.evidence.len(), 16, "it is bounded");
    until("it is told, once", async || world.told().await == 1).await;

    world.say(&device, "scan critical").await;
    until("what is worse is told at once", async || {
        world.told().await == 2
    })
    .await;
    let found = world.findings().await;
    assert_eq!(found[0].finding.severity, Severity::Critical);
    assert_eq!(found[0].finding.count, 41);
    assert_eq!(running.detect.stats().alarms, 41);
    assert_eq!(running.detect.stats().findings, 2);
    running.stop().await;
}

#[tokio::test]
async fn what_comes_after_the_window_is_a_new_finding_and_the_old_one_is_over() {
    let world = World::new().await;
    let running = world.run().await;
    let device = world.device("cam-1").await;
    world.say(&device, "scan low").await;
    until("it is found", async || world.findings().await.len() == 1).await;
    world.clock.advance_millis(3_601_000);
    world.say(&device, "scan low").await;
    until("there are two", async || world.findings().await.len() == 2).await;
    world.clock.advance_millis(3_601_000);
    until("both are over", async || {
        let found = world.findings().await;
        found.iter().all(|one| one.state == FindingState::Cleared)
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn what_a_detector_clears_is_cleared_however_long_ago_it_was_said() {
    let world = World::new().await;
    let running = world.run().await;
    let device = world.device("cam-1").await;
    let baseline = Detector::Baseline("messages_sent".to_owned());
    let subject = Subject::Principal(device.clone().into());
    let raised = alarm(baseline.clone(), subject.clone(), world.clock.now());
    let raise = Signal::Raise(raised);
    running.detect.submit(raise).await.expect("it listens");
    until("it is found", async || world.findings().await.len() == 1).await;
    world.clock.advance_millis(86_400_000);
    world.say(&device, "other low").await;
    until("time passed", async || world.findings().await.len() == 2).await;
    let clear = Signal::Clear {
        detector: baseline,
        subject,
        at: world.clock.now(),
    };
    running.detect.submit(clear).await.expect("it listens");
    until("it is cleared", async || {
        let found = world.findings().await;
        let old = found
            .iter()
            .find(|one| one.finding.detector.kind() == "baseline");
        old.is_some_and(|one| one.state == FindingState::Cleared)
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn what_an_audit_says_again_is_one_finding_and_what_a_person_declared_nothing_is_not_said_again()
 {
    let world = World::new().await;
    let running = world.run().await;
    let device = world.device("cam-1").await;
    let say = async || {
        let subject = Subject::Principal(device.clone().into());
        let detector = Detector::Audit("dormant-device".to_owned());
        let said = alarm(detector, subject, world.clock.now());
        let signal = Signal::Raise(said);
        running.detect.submit(signal).await.expect("it listens");
    };
    say().await;
    until("it is found", async || world.told().await == 1).await;
    world.clock.advance_millis(86_400_000);
    say().await;
    until("it is told again", async || world.told().await == 2).await;
    let found = world.findings().await;
    assert_eq!((found.len(), found[0].finding.count), (1, 2));

    let id = found[0].finding.id;
    let judged = running
        .detect
        .judge(id, Verdict::BenignExpected, "ann", None);
    assert!(judged.await.expect("judges").is_some());
    until("the detector hears of it", async || {
        world.heard.lock().len() == 1
    })
    .await;
    world.clock.advance_millis(86_400_000);
    say().await;
    until("it was said", async || running.detect.stats().alarms == 3).await;
    assert_eq!(world.findings().await.len(), 1);
    assert_eq!(world.told().await, 2);
    running.stop().await;
}

#[tokio::test]
async fn what_is_suppressed_is_counted_and_not_found_until_the_suppression_ends() {
    let world = World::new().await;
    let running = world.run().await;
    let (covered, other) = (world.device("cam-1").await, world.device("cam-2").await);
    let suppression = |detector: &str, subject: &str| Suppression {
        id: SuppressionId::generate(),
        detector: detector.to_owned(),
        subject: subject.to_owned(),
        until: world
            .clock
            .now()
            .checked_add(std::time::Duration::from_secs(60))
            .ok(),
        reason: "a test".to_owned(),
        made_by: "ann".to_owned(),
        created_at: world.clock.now(),
    };
    let detect = &running.detect;
    let one = suppression("rule/scan", "device/cam-1");
    detect.suppress(&one).await.expect("writes");
    let said = async |device, what: &str, suppressed: u64, found: usize| {
        world.say(device, what).await;
        until(what, async || {
            let stats = detect.stats();
            stats.suppressed == suppressed && world.findings().await.len() == found
        })
        .await;
    };
    said(&covered, "scan low", 1, 0).await;
    said(&other, "scan low", 1, 1).await;
    said(&covered, "flood low", 1, 2).await;
    world.clock.advance_millis(60_000);
    said(&covered, "scan low", 1, 3).await;

    // By segment, by product, and over all.
    for (number, about) in ["segment/floor", "product/sensor", "*"]
        .into_iter()
        .enumerate()
    {
        let whole = suppression("*", about);
        detect.suppress(&whole).await.expect("writes");
        said(&other, &format!("rule-{number} low"), 2 + number as u64, 3).await;
        assert!(detect.unsuppress(whole.id).await.expect("runs"));
    }
    said(&other, "rule-9 low", 4, 4).await;
    running.stop().await;
}

#[tokio::test]
async fn too_many_new_findings_at_once_are_shed_and_counted() {
    let mut world = World::new().await;
    world.config.max_findings_per_s = 10;
    let running = world.run().await;
    let device = world.device("cam-1").await;
    for number in 0..25 {
        world.say(&device, &format!("rule-{number} low")).await;
    }
    until("the rest is shed", async || {
        running.detect.stats().shed_findings == 15
    })
    .await;
    assert_eq!(running.detect.stats().findings, 10);
    assert_eq!(world.findings().await.len(), 10);
    // What is known already is still joined.
    world.say(&device, "rule-0 critical").await;
    until("it is told", async || world.told().await == 11).await;
    running.stop().await;
}

#[tokio::test]
async fn a_restart_takes_up_open_findings() {
    let world = World::new().await;
    let running = world.run().await;
    let device = world.device("cam-1").await;
    world.say_all(&device, "scan low", 3).await;
    until("it is found", async || world.findings().await.len() == 1).await;
    until("all were seen", async || running.detect.stats().events >= 3).await;
    running.stop().await;
    let written = world.findings().await;
    assert_eq!(written[0].finding.count, 3, "the end writes what was held");

    let again = world.run().await;
    world.say(&device, "scan low").await;
    until("it joins", async || {
        let found = world.findings().await;
        found[0].finding.count == 4
    })
    .await;
    assert_eq!(world.findings().await.len(), 1);
    again.stop().await;
}

#[tokio::test]
async fn a_name_that_nobody_registered_holds_no_evidence() {
    let world = World::new().await;
    let running = world.run().await;
    let stranger = palisade_core::DeviceId::parse("nobody").expect("valid");
    world.say(&stranger, "scan critical").await;
    until("it is found", async || world.findings().await.len() == 1).await;
    let found = world.findings().await;
    assert_eq!(found[0].subject, "device/nobody");
    assert_eq!(found[0].device, None);
    let evidence = running.detect.evidence();
    assert!(evidence.evidence(&stranger, world.clock.now()).is_empty());
    running.stop().await;
}
