//! What is done is on the record before it is acknowledged.

use std::sync::atomic::Ordering;

use axum::http::Method;
use palisade_core::Lifecycle;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::house::house;

#[tokio::test]
async fn a_write_is_in_the_ledger_when_it_is_answered() {
    let house = house().await;
    let body = json!({ "description": "Outdoor camera" });
    house.put("/api/v1/products/camera", body).expect(200).await;
    let entries = house.entries().await;
    let entry = entries.last().expect("an entry");
    assert_eq!(entry["kind"], "administrative");
    assert_eq!(entry["act"], "product.put");
    assert_eq!(entry["target"], "camera");
    assert_eq!(entry["outcome"], "done");
    assert_eq!(entry["actor"], json!({ "type": "token", "id": "admin" }));
    assert_eq!(entry["source"], "192.0.2.7");
}

#[tokio::test]
async fn what_is_done_to_a_device_is_found_under_the_device() {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    let body = json!({ "reason": "speaks for others" });
    let path = "/api/v1/devices/cam-1/quarantine";
    house.post(path, body).expect(200).await;
    let path = "/api/v1/events?principal=device/cam-1&kind=administrative";
    let events = house.get(path).expect(200).await;
    let event = &events["items"][0]["event"];
    assert_eq!(event["act"], "device.quarantine");
    assert_eq!(event["reason"], "speaks for others");
}

#[tokio::test]
async fn a_containment_that_cannot_be_recorded_is_in_force_and_not_acknowledged() {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    house.journal.fails.store(true, Ordering::SeqCst);
    let call = house.post("/api/v1/devices/cam-1/quarantine", json!({}));
    let why = call.problem(503).await;
    assert!(why.contains("in force"), "{why}");
    assert!(!why.contains("disk is full"), "the cause leaked: {why}");
    assert_eq!(house.lifecycle("cam-1").await, Lifecycle::Quarantined);
}

#[tokio::test]
async fn a_write_that_cannot_be_recorded_says_that_it_was_done() {
    let house = house().await;
    house.journal.fails.store(true, Ordering::SeqCst);
    let call = house.put("/api/v1/segments/gate", json!({}));
    let why = call.problem(503).await;
    assert!(why.contains("segment.put on gate was done"), "{why}");
}

#[tokio::test]
async fn a_flood_of_forbidden_acts_is_two_entries() {
    let house = house().await;
    let secret = house.token("reader", &["devices:read"]).await;
    let before = house.entries().await.len();
    for _ in 0..50 {
        let call = house.anonymous(Method::PUT, "/api/v1/products/camera");
        call.bearer(&secret).json(json!({})).problem(403).await;
    }
    let at_once = house.entries().await;
    assert_eq!(at_once.len(), before + 1);
    let first = at_once.last().expect("an entry");
    assert_eq!(first["act"], "product.put");
    assert_eq!(first["outcome"], "refused");
    // The rest is recorded when the window ends, or the server stops.
    let cancel = CancellationToken::new();
    cancel.cancel();
    house.state.clone().run(cancel).await;
    let entries = house.entries().await;
    assert_eq!(entries.len(), before + 2);
    let rest = entries.last().expect("an entry")["reason"].to_string();
    assert!(rest.contains("49 times"), "{rest}");
}

#[tokio::test]
async fn an_act_that_life_does_not_allow_is_refused_and_recorded_as_refused() {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    let retire = house.post("/api/v1/devices/cam-1/retire", json!({}));
    retire.expect(200).await;
    let quarantine = house.post("/api/v1/devices/cam-1/quarantine", json!({}));
    let why = quarantine.problem(409).await;
    assert!(why.contains("retired"), "{why}");
    let entries = house.entries().await;
    let entry = entries.last().expect("an entry");
    assert_eq!(entry["act"], "device.quarantine");
    assert_eq!(entry["outcome"], "refused");
}
