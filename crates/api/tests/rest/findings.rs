//! Findings, what people make of them, and what is not to be reported.

use std::time::Duration;

use axum::http::Method;
use palisade_core::{
    Clock, Confidence, Detector, DeviceId, Door, Event, EventId, EventKind, Finding, FindingId,
    Severity, Timestamp, port::Journal,
};
use palisade_store::{FindingRecord, FindingState};
use serde_json::json;

use crate::house::{House, house};

const NO_ULID: &str = "01JZX3R5W8Q2M4N6P7T9V0A1BC";

fn finding(device: &str, severity: Severity, evidence: Vec<EventId>) -> FindingRecord {
    FindingRecord {
        finding: Finding {
            id: FindingId::generate(),
            detector: Detector::Rule("mqtt-topic-scan".to_owned()),
            title: "Topic scan".to_owned(),
            severity,
            confidence: Confidence::new(80),
            detail: "it asked for 40 topics".to_owned(),
            techniques: vec!["attack.t0846".to_owned()],
            evidence,
            count: 3,
            first_seen: Timestamp::UNIX_EPOCH,
            last_seen: Timestamp::UNIX_EPOCH,
        },
        subject: format!("device/{device}"),
        device: DeviceId::parse(device).ok(),
        source: "192.0.2.9".parse().ok(),
        state: FindingState::Open,
        verdict: None,
        verdict_by: None,
        verdict_note: None,
    }
}

async fn hold(house: &House, record: &FindingRecord) -> String {
    house.store.findings().put(record).await.expect("writes");
    record.finding.id.to_string()
}

#[tokio::test]
async fn findings_are_listed_newest_first_page_by_page_and_narrowed() {
    let house = house().await;
    let mut ids = Vec::new();
    for severity in Severity::ALL {
        ids.push(hold(&house, &finding("cam-1", severity, Vec::new())).await);
    }
    ids.sort_unstable();
    ids.reverse();
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/findings?limit=2{after}");
        let page = house.get(&path).expect(200).await;
        let items = page["items"].as_array().expect("items");
        seen.extend(
            items
                .iter()
                .map(|one| one["id"].as_str().expect("an id").to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ids);

    for (query, expected) in [
        ("severity=high", 2),
        ("device=cam-1&state=open", 5),
        ("device=cam-2", 0),
        ("subject=device/cam-1&unjudged=true", 5),
        ("state=cleared", 0),
        ("detector=rule/mqtt-topic-scan", 5),
        ("detector=audit/dormant-device", 0),
    ] {
        let page = house
            .get(&format!("/api/v1/findings?{query}"))
            .expect(200)
            .await;
        let found = page["items"].as_array().expect("items").len();
        assert_eq!(found, expected, "{query}");
    }
    for query in ["severity=awful", "detector=x", "after=zz", "sevrity=low"] {
        let path = format!("/api/v1/findings?{query}");
        house.get(&path).problem(400).await;
    }
    for subject in ["x", "address/0000", "device/.."] {
        let path = format!("/api/v1/findings?subject={subject}");
        house.get(&path).problem(422).await;
    }
    // What no list has is a place at its end.
    let past = house.get("/api/v1/findings?after=6162").expect(200).await;
    assert_eq!(past["items"], json!([]));
}

#[tokio::test]
async fn a_finding_is_shown_with_the_events_that_show_it() {
    let house = house().await;
    let kind = EventKind::Refused {
        reason: "nobody knows it".to_owned(),
        count: 1,
    };
    let event = Event::new(Timestamp::UNIX_EPOCH, Door::Mqtt, kind);
    let named = vec![EventId::generate(), event.id];
    house.journal.record(vec![event]).await.expect("records");
    let id = hold(&house, &finding("cam-1", Severity::High, named)).await;
    let shown = house
        .get(&format!("/api/v1/findings/{id}"))
        .expect(200)
        .await;
    assert_eq!(shown["title"], "Topic scan");
    assert_eq!(shown["confidence"], 80);
    assert_eq!(shown["evidence"].as_array().expect("names").len(), 2);
    let events = shown["events"].as_array().expect("events");
    assert_eq!(events.len(), 1, "the other one is no longer on the stream");
    assert_eq!(events[0]["event"]["reason"], "nobody knows it");
    let missing = format!("/api/v1/findings/{NO_ULID}");
    house.get(&missing).problem(404).await;
}

#[tokio::test]
async fn a_verdict_is_noted_with_its_author_and_recorded() {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    let id = hold(&house, &finding("cam-1", Severity::High, Vec::new())).await;
    let path = format!("/api/v1/findings/{id}/verdict");
    let body = json!({ "verdict": "false_positive", "note": "an installer" });
    let judged = house.post(&path, body).expect(200).await;
    assert_eq!(judged["verdict"], "false_positive");
    assert_eq!(judged["verdict_by"], "admin");
    assert_eq!(judged["verdict_note"], "an installer");
    let page = house
        .get("/api/v1/findings?unjudged=true")
        .expect(200)
        .await;
    assert_eq!(page["items"], json!([]));
    let entries = house.entries().await;
    let entry = entries.last().expect("an entry");
    assert_eq!(entry["act"], "finding.judge");
    assert_eq!(entry["reason"], "an installer");
    assert_eq!(entry["principal"]["id"], "cam-1");

    let body = json!({ "verdict": "perhaps" });
    house.post(&path, body).problem(422).await;
    let missing = format!("/api/v1/findings/{NO_ULID}/verdict");
    let body = json!({ "verdict": "true_positive" });
    house.post(&missing, body).problem(404).await;
}

#[tokio::test]
async fn who_may_only_read_judges_nothing() {
    let house = house().await;
    let id = hold(&house, &finding("cam-1", Severity::High, Vec::new())).await;
    let reader = house.token("reader", &["detect:read"]).await;
    let path = format!("/api/v1/findings/{id}/verdict");
    let call = house.anonymous(Method::POST, &path).bearer(&reader);
    let body = json!({ "verdict": "false_positive" });
    call.json(body).problem(403).await;
    let found = house
        .get(&format!("/api/v1/findings/{id}"))
        .expect(200)
        .await;
    assert!(found["verdict"].is_null());
}

#[tokio::test]
async fn a_suppression_is_made_listed_and_ended() {
    let house = house().await;
    let hour = house.clock.now().checked_add(Duration::from_secs(3_600));
    let body = json!({
        "detector": "rule/mqtt-topic-scan",
        "subject": "segment/laboratory",
        "until": hour.expect("a time"),
        "reason": "the laboratory scans on purpose",
    });
    let made = house.post("/api/v1/suppressions", body).expect(201).await;
    assert_eq!(made["made_by"], "admin");
    let entries = house.entries().await;
    let entry = entries.last().expect("an entry");
    assert_eq!(entry["act"], "suppression.add");
    assert_eq!(entry["reason"], "the laboratory scans on purpose");
    let all = house.get("/api/v1/suppressions").expect(200).await;
    assert_eq!(all["items"], json!([made]));
    let path = format!(
        "/api/v1/suppressions/{}",
        made["id"].as_str().expect("an id")
    );
    house.call(Method::DELETE, &path).expect(204).await;
    house.call(Method::DELETE, &path).problem(404).await;
    let all = house.get("/api/v1/suppressions").expect(200).await;
    assert_eq!(all["items"], json!([]));
}

#[tokio::test]
async fn a_suppression_says_why_about_whom_and_until_a_time_to_come() {
    let house = house().await;
    let good = json!({ "detector": "*", "subject": "device/cam-1", "reason": "a test" });
    house
        .post("/api/v1/suppressions", good.clone())
        .expect(201)
        .await;
    for (member, value) in [
        ("reason", json!("")),
        ("reason", json!(null)),
        ("subject", json!("cam-1")),
        ("subject", json!("device/#")),
        ("detector", json!("mqtt-topic-scan")),
        ("until", json!("2001-01-01T00:00:00Z")),
    ] {
        let mut bad = good.clone();
        bad[member] = value.clone();
        let why = house.post("/api/v1/suppressions", bad).problem(422).await;
        assert!(why.contains(member), "{member} {value}: {why}");
    }
}

#[tokio::test]
async fn detection_says_how_it_is_doing() {
    let house = house().await;
    let stats = house.get("/api/v1/detect").expect(200).await;
    assert_eq!(stats["watchers"], json!(["audits"]));
    for number in [
        "events",
        "backlog",
        "shed_events",
        "shed_findings",
        "suppressed",
    ] {
        assert_eq!(stats[number], 0, "{number}");
    }
}
