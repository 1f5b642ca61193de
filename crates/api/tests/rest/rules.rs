//! Rules over REST: listed, shown, switched, checked, reloaded and replayed.

use std::time::{Duration, Instant};

use axum::http::Method;
use palisade_core::{
    Action, DenyReason, DeviceId, Door, Event, EventKind, Timestamp, port::Journal,
};
use serde_json::{Value, json};

use crate::house::{House, house};

const MINE: &str = "title: Mine\nlogsource:\n  product: palisade\n  category: mqtt\ndetection:\n  selection:\n    \
                    kind: denied\n  condition: selection\nlevel: low\n";

async fn denials(house: &House, count: i64) {
    let cam = DeviceId::parse("cam-1").expect("valid");
    let event = |second: i64| {
        let kind = EventKind::Denied {
            action: Action::Publish,
            resource: "plant/line-3".to_owned(),
            reason: DenyReason::NoGrant,
            count: 1,
        };
        let time = Timestamp::from_second(1_800_000_000 + second).expect("a time");
        Event::new(time, Door::Mqtt, kind).about(cam.clone())
    };
    let events = (0..count).map(event).collect();
    house.journal.record(events).await.expect("records");
}

#[tokio::test]
async fn rules_are_listed_in_parts_and_shown_with_their_text() {
    let house = house().await;
    let first = house.get("/api/v1/rules?limit=30").expect(200).await;
    assert_eq!(first["items"].as_array().expect("items").len(), 30);
    let (mut names, mut next) = (Vec::new(), json!(""));
    while !next.is_null() {
        let after = next.as_str().filter(|after| !after.is_empty());
        let after = after
            .map(|after| format!("&after={after}"))
            .unwrap_or_default();
        let part = house
            .get(&format!("/api/v1/rules?limit=30{after}"))
            .expect(200)
            .await;
        let items = part["items"].as_array().expect("items");
        names.extend(
            items
                .iter()
                .map(|item| item["id"].as_str().expect("an id").to_owned()),
        );
        next = part["next"].clone();
    }
    let status = house.get("/api/v1/rules/status").expect(200).await;
    assert_eq!(status["rules"], names.len());
    assert_eq!(status["problem"], Value::Null);
    assert!(names.is_sorted() && names.len() >= 40, "{names:?}");

    let scan = house.get("/api/v1/rules/mqtt-topic-scan").expect(200).await;
    assert_eq!(scan["kind"], "event_count");
    assert_eq!(scan["severity"], "high");
    assert_eq!(scan["source"], "shipped");
    assert_eq!(scan["fired"], 0);
    assert!(
        scan["text"]
            .as_str()
            .expect("a text")
            .contains("event_count")
    );
    house.get("/api/v1/rules/nobody").problem(404).await;
    house.get("/api/v1/rules/%20").problem(400).await;
}

#[tokio::test]
async fn a_rule_is_switched_and_that_is_an_act_on_the_record() {
    let house = house().await;
    let off = house.post("/api/v1/rules/mqtt-topic-scan/disable", json!({}));
    assert_eq!(off.expect(200).await["enabled"], false);
    let shown = house.get("/api/v1/rules/mqtt-topic-scan").expect(200).await;
    assert_eq!(shown["enabled"], false);
    let entry = house.entries().await.pop().expect("an entry");
    assert_eq!(
        (&entry["act"], &entry["target"]),
        (&json!("rule.disable"), &json!("mqtt-topic-scan"))
    );
    let on = house.post("/api/v1/rules/mqtt-topic-scan/enable", json!({}));
    assert_eq!(on.expect(200).await["enabled"], true);
    house
        .post("/api/v1/rules/nobody/disable", json!({}))
        .problem(404)
        .await;
}

#[tokio::test]
async fn who_only_reads_switches_nothing() {
    let house = house().await;
    let secret = house.token("reader", &["detect:read"]).await;
    let get = house
        .anonymous(Method::GET, "/api/v1/rules")
        .bearer(&secret);
    get.expect(200).await;
    for path in ["mqtt-topic-scan/disable", "reload", "replay"] {
        let post = house.anonymous(Method::POST, &format!("/api/v1/rules/{path}"));
        post.bearer(&secret).json(json!({})).problem(403).await;
    }
}

#[tokio::test]
async fn rules_are_checked_and_what_is_wrong_is_named() {
    let house = house().await;
    let good = house.post("/api/v1/rules/check", json!({ "text": MINE }));
    let good = good.expect(200).await;
    assert_eq!(
        (&good["valid"], &good["titles"]),
        (&json!(true), &json!(["Mine"]))
    );
    let text = MINE.replace("kind:", "knid:");
    let bad = house.post("/api/v1/rules/check", json!({ "text": text }));
    let bad = bad.expect(200).await;
    assert_eq!(bad["valid"], false);
    assert_eq!(bad["problem"]["line"], 7);
    // It may be about rules that are shipped.
    let text = "title: More\ncorrelation:\n  type: event_count\n  rules: palisade_topic_scan\n  group-by: \
                principal.id\n  timespan: 1h\n  condition:\n    gte: 3\n";
    let about = house.post("/api/v1/rules/check", json!({ "text": text }));
    assert_eq!(about.expect(200).await["titles"], json!(["More"]));
}

#[tokio::test]
async fn a_reload_says_what_is_in_force() {
    let house = house().await;
    let reloaded = house
        .post("/api/v1/rules/reload", json!({}))
        .expect(200)
        .await;
    let status = house.get("/api/v1/rules/status").expect(200).await;
    assert_eq!(reloaded["rules"], status["rules"]);
}

#[tokio::test]
async fn a_replay_is_begun_and_watched_to_its_end() {
    let house = house().await;
    house.get("/api/v1/rules/replay").problem(404).await;
    denials(&house, 50).await;
    let body = json!({ "text": MINE, "after": "2027-01-15T08:00:00Z" });
    let begun = house.post("/api/v1/rules/replay", body).expect(202).await;
    assert!(begun["percent"].is_number(), "{begun}");
    let deadline = Instant::now() + Duration::from_secs(20);
    let replay = loop {
        let replay = house.get("/api/v1/rules/replay").expect(200).await;
        if replay["state"] != "running" {
            break replay;
        }
        assert!(Instant::now() < deadline, "{replay}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(
        (&replay["state"], &replay["percent"]),
        (&json!("done"), &json!(100))
    );
    let found = replay["found"].as_array().expect("lines");
    assert_eq!(found.len(), 1, "{replay}");
    assert_eq!(found[0]["count"], 50);
    assert_eq!(found[0]["subject"], "device/cam-1");
    house
        .call(Method::DELETE, "/api/v1/rules/replay")
        .problem(404)
        .await;
    let bad = house.post("/api/v1/rules/replay", json!({ "text": "title: [" }));
    bad.problem(422).await;
}
