//! Messages from programs that speak no MQTT.

use axum::http::Method;
use palisade_core::ServiceId;
use serde_json::{Value, json};

use crate::house::{Call, House, house};

async fn sender(house: &House) -> String {
    let service = house.put("/api/v1/services/billing", json!({}));
    service.expect(200).await;
    let bind = |token: &mut palisade_store::ApiToken| {
        token.service = Some(ServiceId::parse("billing").expect("valid"));
    };
    house.add_token("sender", &["messages:write"], bind).await
}

fn send<'a>(house: &'a House, secret: &str, body: Value) -> Call<'a> {
    let call = house.anonymous(Method::POST, "/api/v1/messages");
    call.bearer(secret).json(body)
}

#[tokio::test]
async fn a_message_needs_a_service_and_a_grant() {
    let house = house().await;
    let message = json!({ "topic": "devices/cam-1/commands", "payload": "on", "qos": 1 });
    let why = house
        .post("/api/v1/messages", message.clone())
        .problem(403)
        .await;
    assert!(why.contains("not bound to a service"), "{why}");
    let secret = sender(&house).await;
    send(&house, &secret, message.clone()).problem(403).await;
    let grant = json!({
        "scope": { "type": "service", "id": "billing" },
        "pattern": "devices/+/commands",
        "actions": { "publish": true }
    });
    let grant = house.post("/api/v1/grants", grant).expect(201).await;
    let taken = send(&house, &secret, message.clone()).expect(202).await;
    assert_eq!(taken, json!({ "receivers": 0 }));
    let listed = house.get("/api/v1/grants").expect(200).await;
    assert_eq!(listed["items"], json!([grant]));
    let path = format!("/api/v1/grants/{}", grant["id"].as_str().expect("an id"));
    house.call(Method::DELETE, &path).expect(204).await;
    house.call(Method::DELETE, &path).problem(404).await;
    send(&house, &secret, message).problem(403).await;
}

#[tokio::test]
async fn a_message_that_cannot_be_is_refused() {
    let house = house().await;
    let secret = sender(&house).await;
    for body in [
        json!({ "topic": "a/+/b" }),
        json!({ "topic": "" }),
        json!({ "topic": "a", "qos": 3 }),
        json!({ "topic": "a", "payload": "x", "payload_base64": "eA==" }),
        json!({ "topic": "a", "payload_base64": "not base64!" }),
        json!({ "topic": "a", "colour": "red" }),
    ] {
        send(&house, &secret, body).problem(422).await;
    }
}

#[tokio::test]
async fn a_grant_is_for_what_is_known() {
    let house = house().await;
    let grant = |kind: &str| {
        json!({
            "scope": { "type": kind, "id": "nosuch" },
            "pattern": "a/#",
            "actions": { "publish": true }
        })
    };
    for kind in ["product", "device", "service"] {
        let why = house.post("/api/v1/grants", grant(kind)).problem(409).await;
        assert!(why.contains(kind) && why.contains("nosuch"), "{why}");
    }
    // Segments are there as soon as they are named.
    house
        .post("/api/v1/grants", grant("segment"))
        .expect(201)
        .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_value_is_said_without_its_place_in_the_text() {
    let house = house().await;
    let grant = json!({ "scope": { "type": "fleet" }, "pattern": "a/#/b", "actions": {} });
    let why = house.post("/api/v1/grants", grant).problem(422).await;
    let is_named = why.contains("pattern: the pattern is not a topic filter");
    assert!(is_named && !why.contains(" at line "), "{why}");
}

#[tokio::test]
async fn a_grant_that_is_none_is_refused() {
    let house = house().await;
    for body in [
        json!({ "scope": { "type": "fleet" }, "pattern": "a/#/b", "actions": {} }),
        json!({ "scope": { "type": "fleet" }, "pattern": "{maker}/x", "actions": {} }),
        json!({ "scope": { "type": "planet", "id": "x" }, "pattern": "a", "actions": {} }),
        json!({ "scope": { "type": "device" }, "pattern": "a", "actions": {} }),
        json!({ "scope": { "type": "fleet" }, "pattern": "a", "actions": { "fly": true } }),
    ] {
        house.post("/api/v1/grants", body).problem(422).await;
    }
}
