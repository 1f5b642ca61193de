//! Policies: read, tried out, applied, taken back; decisions explained.

use axum::http::Method;
use palisade_policy::{DEFAULT_POLICIES, DEFAULT_TESTS};
use serde_json::{Value, json};

use crate::house::house;

#[tokio::test]
async fn the_policies_in_force_are_read_and_tested() {
    let house = house().await;
    let policy = house.get("/api/v1/policy").expect(200).await;
    assert_eq!(policy["version"], 1);
    assert_eq!(policy["text"], DEFAULT_POLICIES);
    assert!(!policy["policies"].as_array().expect("policies").is_empty());
    let report = house
        .post("/api/v1/policy/test", json!({}))
        .expect(200)
        .await;
    assert_eq!(report["passed"], true);
    assert!(report["tests"].as_array().expect("tests").len() > 3);
    let check = json!({ "text": "permit (principal, action, resource) when { principal.x };" });
    let checked = house.post("/api/v1/policy/check", check).expect(200).await;
    assert_eq!(checked["valid"], false);
    assert!(!checked["problems"].as_array().expect("problems").is_empty());
}

#[tokio::test]
async fn policies_are_applied_once_they_are_valid_and_taken_back() {
    let house = house().await;
    let apply = |text: &str, tests: &str| {
        let body = json!({ "text": text, "tests": tests, "reason": "a test" });
        house.post("/api/v1/policy/apply", body)
    };
    let why = apply("permit (", DEFAULT_TESTS).problem(422).await;
    assert!(why.contains("errors"), "{why}");
    let failing = "[[test]]\nname = \"no\"\naction = \"publish\"\nexpect = \"deny\"\n";
    let why = apply(DEFAULT_POLICIES, failing).problem(422).await;
    assert!(why.contains("expected deny, found allow"), "{why}");
    let text = format!("{DEFAULT_POLICIES}\n// Another.\n");
    let applied = apply(&text, DEFAULT_TESTS).expect(200).await;
    assert_eq!(applied["version"], 2);
    assert_eq!(applied["author"], "admin");
    let body = json!({ "version": 1, "reason": "back" });
    let back = house
        .post("/api/v1/policy/rollback", body)
        .expect(200)
        .await;
    assert_eq!(back["version"], 3);
    assert_eq!(back["text"], DEFAULT_POLICIES);
    let body = json!({ "version": 99, "reason": "back" });
    house
        .post("/api/v1/policy/rollback", body)
        .problem(404)
        .await;
    let versions = house
        .get("/api/v1/policy/versions?limit=2")
        .expect(200)
        .await;
    let numbers = |page: &Value| -> Vec<u64> {
        let items = page["items"].as_array().expect("items").iter();
        items
            .map(|item| item["version"].as_u64().expect("a number"))
            .collect()
    };
    assert_eq!(numbers(&versions), [3, 2]);
    let next = versions["next"].as_str().expect("more");
    let path = format!("/api/v1/policy/versions?after={next}");
    assert_eq!(numbers(&house.get(&path).expect(200).await), [1]);
}

#[tokio::test]
async fn a_candidate_is_asked_beside_those_in_force() {
    let house = house().await;
    let path = "/api/v1/policy/shadow";
    house.get(path).problem(404).await;
    house
        .put(path, json!({ "text": "permit (" }))
        .problem(422)
        .await;
    let started = house.put(path, json!({ "text": DEFAULT_POLICIES }));
    assert_eq!(started.expect(200).await["compared"], 0);
    house.get(path).expect(200).await;
    house.call(Method::DELETE, path).expect(200).await;
    house.call(Method::DELETE, path).problem(404).await;
}

#[tokio::test]
async fn a_decision_is_explained() {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    let path = "/api/v1/policy/explain";
    let ask = json!({
        "principal": { "type": "device", "id": "cam-1" },
        "action": "publish",
        "topic": "devices/cam-1/telemetry",
        "qos": 1,
        "source": "192.0.2.1"
    });
    let explained = house.post(path, ask.clone()).expect(200).await;
    assert_eq!(explained["allowed"], false);
    assert_eq!(explained["reason"]["code"], "no_grant");
    assert_eq!(explained["source"], "192.0.2.1");
    let grant = json!({
        "scope": { "type": "fleet" },
        "pattern": "devices/{device}/telemetry",
        "actions": { "publish": true }
    });
    let grant = house.post("/api/v1/grants", grant).expect(201).await;
    let explained = house.post(path, ask).expect(200).await;
    assert_eq!(explained["grants"], json!([grant["id"]]));
    assert_ne!(explained["reason"]["code"], "no_grant");
    for (ask, status) in [
        (
            json!({ "principal": { "type": "device", "id": "none" }, "action": "connect" }),
            404,
        ),
        (
            json!({ "principal": { "type": "device", "id": "cam-1" }, "action": "publish" }),
            422,
        ),
        (
            json!({ "principal": { "type": "device", "id": "cam-1" }, "action": "fly" }),
            422,
        ),
    ] {
        house.post(path, ask).problem(status).await;
    }
    let subscribe = json!({
        "principal": { "type": "device", "id": "cam-1" }, "action": "subscribe", "topic": "#"
    });
    let explained = house.post(path, subscribe).expect(200).await;
    assert_eq!(explained["reason"]["code"], "no_grant");
}
