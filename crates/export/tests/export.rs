//! Exports over a real store, bus and ledger, to receivers that hang, fail, break off and come back.

#![expect(clippy::expect_used, reason = "a test ends where its set-up fails")]

#[path = "export/collector.rs"]
mod collector;
#[path = "export/house.rs"]
mod house;
#[path = "export/receiver.rs"]
mod receiver;

use std::time::{Duration, Instant};

use palisade_export::{ExportState, SinkKind};
use serde_json::json;

use collector::{Collector, Mood};
use house::{House, until};
use receiver::Receiver;

fn numbers(from: u64, to: u64) -> Vec<u64> {
    (from..to).collect()
}

#[tokio::test]
async fn a_file_has_every_event_once_and_in_order_over_a_restart() {
    let mut house =
        House::new(json!({ "kind": "file", "path": "out.ndjson", "format": "native" })).await;
    house.say(0..600).await;
    house.run();
    until("the first are there", async || house.file().len() == 600).await;
    house.stop().await;
    house.say(600..700).await;
    house.run();
    until("all are there", async || house.file().len() == 700).await;
    assert_eq!(house.file(), numbers(0, 700));
    let status = house.status().await;
    assert_eq!((status.state, status.sent), (ExportState::Running, 100));
    until("the cursor follows", async || house.status().await.lag == 0).await;
    house.stop().await;
}

#[tokio::test]
async fn a_collector_that_hangs_fails_and_recovers_gets_everything_in_order() {
    let collector = Collector::start().await;
    let mut house = House::new(collector.config(json!({ "timeout_s": 1 }))).await;
    collector.is(Mood::Hangs);
    house.say(0..50).await;
    house.run();
    until("it hangs", async || house.status().await.failures >= 1).await;
    collector.is(Mood::Answers(500));
    until("it fails", async || {
        let status = house.status().await;
        status.last_error.is_some_and(|error| error.contains("500"))
    })
    .await;
    house.say(50..60).await;
    assert_eq!(house.status().await.state, ExportState::Retrying);
    collector.is(Mood::Takes);
    until("all are there", async || collector.numbers().len() >= 60).await;
    assert_eq!(collector.numbers(), numbers(0, 60));
    let status = house.status().await;
    assert_eq!((status.dead_letters, status.lost), (0, 0));
    house.stop().await;
}

#[tokio::test]
async fn what_a_collector_never_took_is_sent_after_a_restart() {
    let collector = Collector::start().await;
    let mut house = House::new(collector.config(json!({ "timeout_s": 1 }))).await;
    collector.is(Mood::Answers(503));
    house.say(0..10).await;
    house.run();
    until("it fails", async || house.status().await.failures >= 1).await;
    house.crash().await;
    collector.is(Mood::Takes);
    house.run();
    until("all are there", async || collector.numbers().len() == 10).await;
    assert_eq!(collector.numbers(), numbers(0, 10));
    house.stop().await;
}

#[tokio::test]
async fn an_event_that_the_collector_refuses_for_good_is_left_out_and_counted() {
    let collector = Collector::start().await;
    let mut house = House::new(collector.config(json!({ "body": "array" }))).await;
    collector.is(Mood::Refuses(17));
    house.say(0..40).await;
    house.run();
    until("the others are there", async || {
        collector.numbers().len() >= 39
    })
    .await;
    let mut expected = numbers(0, 40);
    expected.retain(|number| *number != 17);
    assert_eq!(collector.numbers(), expected);
    until("it is counted", async || {
        house.status().await.dead_letters == 1
    })
    .await;
    house.stop().await;
}

#[tokio::test]
async fn a_token_that_is_refused_is_read_again_before_events_are_given_up() {
    let collector = Collector::start().await;
    let mut house = House::new(collector.config(json!({ "token_file": "token" }))).await;
    collector.wants_token("right");
    house.write("token", "wrong\n");
    house.say(0..5).await;
    house.run();
    until("it is refused", async || house.status().await.failures >= 1).await;
    let error = house.status().await.last_error.expect("an error");
    assert!(error.contains("401") && !error.contains("wrong"), "{error}");
    house.write("token", "right\n");
    until("all are there", async || collector.numbers().len() == 5).await;
    assert_eq!(house.status().await.dead_letters, 0);
    house.stop().await;
}

#[tokio::test]
async fn a_collector_under_another_authority_is_sent_nothing() {
    let collector = Collector::start().await;
    let other = Collector::start().await;
    let config = collector.config(json!({ "ca_file": other.authority() }));
    let mut house = House::new(config).await;
    house.say(0..5).await;
    house.run();
    until("it is refused", async || house.status().await.failures >= 1).await;
    let error = house.status().await.last_error.expect("an error");
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(collector.numbers(), numbers(0, 0));
    house.stop().await;
}

#[tokio::test]
async fn a_syslog_receiver_that_breaks_off_gets_what_had_not_settled_again() {
    let receiver = Receiver::start(false).await;
    let mut house = House::new(receiver.config(json!({}))).await;
    house.say(0..20).await;
    house.run();
    until("the first are there", async || {
        receiver.numbers().len() == 20
    })
    .await;
    receiver.break_off();
    house.say(20..30).await;
    until("all are there", async || receiver.numbers().contains(&29)).await;
    let received = receiver.numbers();
    for number in 0..30 {
        assert!(received.contains(&number), "{number} is lost: {received:?}");
    }
    // What came on the second connection is in order, and without a gap.
    let second = &received[20..];
    assert!(
        second.windows(2).all(|two| two[1] == two[0] + 1),
        "{second:?}"
    );
    house.stop().await;
}

#[tokio::test]
async fn what_a_syslog_receiver_did_not_read_is_not_taken_for_arrived() {
    let receiver = Receiver::start(false).await;
    receiver.is_deaf(true);
    let mut house = House::new(receiver.config(json!({}))).await;
    house.say(0..20).await;
    house.run();
    until("it is written", async || house.status().await.sent == 20).await;
    // The cursor is moved twice a second: it would have been by now.
    let written = Instant::now();
    until("a second is over", async || {
        written.elapsed() > Duration::from_secs(1)
    })
    .await;
    assert_eq!(house.status().await.position, 0);
    receiver.is_deaf(false);
    receiver.break_off();
    until("all are there", async || receiver.numbers().len() >= 20).await;
    assert_eq!(receiver.numbers(), numbers(0, 20));
    until("the cursor follows", async || house.status().await.lag == 0).await;
    house.stop().await;
}

#[tokio::test]
async fn a_syslog_export_that_stops_well_sends_nothing_twice() {
    let receiver = Receiver::start(false).await;
    let mut house = House::new(receiver.config(json!({}))).await;
    house.say(0..20).await;
    house.run();
    until("the first are there", async || {
        receiver.numbers().len() == 20
    })
    .await;
    house.stop().await;
    house.say(20..25).await;
    house.run();
    until("all are there", async || receiver.numbers().contains(&24)).await;
    assert_eq!(receiver.numbers(), numbers(0, 25));
    house.stop().await;
}

#[tokio::test]
async fn a_syslog_receiver_may_ask_for_our_certificate() {
    let receiver = Receiver::start(true).await;
    let mut nobody = House::new(receiver.config(json!({}))).await;
    nobody.say(0..3).await;
    nobody.run();
    until("it is refused", async || {
        nobody.status().await.failures >= 1
    })
    .await;
    nobody.stop().await;
    let own = receiver.own();
    let mut house = House::new(receiver.config(own)).await;
    house.say(0..3).await;
    house.run();
    until("all are there", async || receiver.numbers().len() >= 3).await;
    house.stop().await;
}

#[tokio::test]
async fn an_export_that_is_stuck_holds_up_no_other() {
    let collector = Collector::start().await;
    collector.is(Mood::Hangs);
    let mut house = House::new(collector.config(json!({}))).await;
    house.also(
        "file",
        json!({ "kind": "file", "path": "out.ndjson", "format": "native" }),
    );
    house.run();
    house.say(0..1_000).await;
    until("the file has all", async || house.file().len() == 1_000).await;
    house.stop().await;
}

#[tokio::test]
async fn only_what_is_asked_for_is_sent_and_the_cursor_passes_the_rest() {
    let config = json!({
        "kind": "file", "path": "out.ndjson", "format": "native",
        "kinds": ["registered"], "min_severity": "low",
    });
    let mut house = House::new(config).await;
    house.say(0..10).await;
    house.run();
    until("it passed all", async || house.status().await.lag == 0).await;
    assert_eq!(
        house.file(),
        numbers(0, 0),
        "a registration is informational"
    );
    house.stop().await;
}

#[tokio::test]
async fn a_new_export_begins_with_what_is_to_come_where_that_is_asked_for() {
    let config = json!({
        "kind": "file", "path": "out.ndjson", "format": "native", "start": "newest",
    });
    let mut house = House::new(config).await;
    house.say(0..10).await;
    house.run();
    until("it has begun", async || house.status().await.position == 10).await;
    house.say(10..12).await;
    until("the new are there", async || house.file().len() == 2).await;
    assert_eq!(house.file(), [10, 11]);
    house.stop().await;
}

#[tokio::test]
async fn a_crash_repeats_events_and_loses_none() {
    let collector = Collector::start().await;
    let mut house = House::new(collector.config(json!({}))).await;
    house.say(0..300).await;
    house.run();
    until("some are there", async || !collector.numbers().is_empty()).await;
    house.crash().await;
    house.say(300..350).await;
    house.run();
    until("all are there", async || collector.numbers().contains(&349)).await;
    let received = collector.numbers();
    for number in 0..350 {
        assert!(received.contains(&number), "{number} is lost");
    }
    house.stop().await;
}

#[tokio::test]
async fn a_test_event_arrives_or_says_why_not() {
    let collector = Collector::start().await;
    let house =
        House::new(collector.config(json!({ "format": "native", "kinds": ["found"] }))).await;
    let to = house.test("main").await.expect("taken");
    assert!(to.starts_with("https://localhost:"), "{to}");
    assert!(collector.texts()[0].contains("export.test"));
    collector.is(Mood::Answers(503));
    let error = house.test("main").await.expect_err("refused").to_string();
    assert!(error.contains("503"), "{error}");
    assert!(house.test("none").await.is_err());
    assert_eq!(house.kind(), SinkKind::Http);
    // A test leaves no trace on the stream's cursors.
    assert!(house.cursors().await.is_empty());
}
