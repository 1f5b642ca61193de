//! How the stream is read: once, behind the doors, and not further behind than is useful.

use std::sync::atomic::Ordering;

use palisade_core::Severity;
use palisade_core::{Clock, Detector};
use palisade_detect::{Signal, Subject};
use palisade_store::OutboxRow;

use crate::world::{World, alarm, until};

#[tokio::test]
async fn what_was_looked_at_is_not_looked_at_again_after_a_restart() {
    let world = World::new().await;
    let device = world.device("cam-1").await;
    world.say(&device, "scan low").await;
    let running = world.run().await;
    until("it is found", async || world.findings().await.len() == 1).await;
    until("it is acknowledged", async || {
        let cursor = world.store.journal().cursor("detect").await;
        cursor.expect("reads") >= 1
    })
    .await;
    running.stop().await;
    let again = world.run().await;
    world.say(&device, "other low").await;
    until("the next is found", async || {
        world.findings().await.len() == 2
    })
    .await;
    let found = world.findings().await;
    assert!(found.iter().all(|one| one.finding.count == 1), "{found:?}");
    again.stop().await;
}

#[tokio::test]
async fn what_detection_says_itself_is_not_looked_at() {
    let world = World::new().await;
    let running = world.run().await;
    let device = world.device("cam-1").await;
    world.say(&device, "scan low").await;
    until("both events were read", async || {
        running.detect.stats().events == 2
    })
    .await;
    assert_eq!(running.detect.stats().alarms, 1);
    running.stop().await;
}

#[tokio::test]
async fn a_backlog_that_is_too_long_is_skipped_and_counted() {
    let mut world = World::new().await;
    world.config.max_backlog = 600;
    let device = world.device("cam-1").await;
    world.say_all(&device, "nothing", 2_000).await;
    world.say(&device, "scan low").await;
    let running = world.run().await;
    until("the newest is found", async || {
        world.findings().await.len() == 1
    })
    .await;
    // With the event that says so itself.
    until("all are read or skipped", async || {
        let stats = running.detect.stats();
        stats.shed_events + stats.events == 2_002
    })
    .await;
    assert!(running.detect.stats().shed_events >= 1_000);
    running.stop().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_back_ends_nothing() {
    let world = World::new().await;
    let device = world.device("cam-1").await;
    world.say(&device, "scan low").await;
    let broken = OutboxRow {
        kind: "tomorrow".to_owned(),
        principal: None,
        source: None,
        severity: Severity::Informational,
        body: r#"{"id":"01JZX3R5W8Q2M4N6P7T9V0A1BC","kind":"tomorrow"}"#.to_owned(),
    };
    let journal = world.store.journal();
    journal.append(&[], &[broken]).await.expect("writes");
    world.say(&device, "other low").await;
    let running = world.run().await;
    until("both are found", async || world.findings().await.len() == 2).await;
    assert_eq!(running.detect.stats().shed_events, 1);
    running.stop().await;
}

#[tokio::test]
async fn what_could_not_be_told_while_the_journal_failed_is_told_when_it_works_again() {
    let world = World::new().await;
    let running = world.run().await;
    let device = world.device("cam-1").await;
    world.fails.store(true, Ordering::SeqCst);
    world.say(&device, "scan low").await;
    until("it failed", async || {
        world.failures.load(Ordering::SeqCst) > 0
    })
    .await;
    assert_eq!(world.told().await, 0);
    world.fails.store(false, Ordering::SeqCst);
    until("it is told", async || world.told().await == 1).await;
    world.say(&device, "other low").await;
    until("it goes on", async || world.told().await == 2).await;
    running.stop().await;
}

#[tokio::test]
async fn what_an_audit_said_while_the_journal_failed_is_told_when_it_works_again() {
    let world = World::new().await;
    let running = world.run().await;
    let device = world.device("cam-1").await;
    world.fails.store(true, Ordering::SeqCst);
    let detector = Detector::Audit("dormant-device".to_owned());
    let subject = Subject::Principal(device.into());
    let said = alarm(detector, subject, world.clock.now());
    let signal = Signal::Raise(said);
    running.detect.submit(signal).await.expect("it listens");
    until("it failed", async || {
        world.failures.load(Ordering::SeqCst) > 0
    })
    .await;
    world.fails.store(false, Ordering::SeqCst);
    until("it is told", async || world.told().await == 1).await;
    running.stop().await;
}
