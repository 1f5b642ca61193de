//! Devices, their life, and what they hold.

use axum::http::Method;
use palisade_core::{DeviceId, Lifecycle, Principal, port::RevocationView};
use serde_json::{Value, json};

use crate::house::{House, house};

fn ids(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| item["id"].as_str().expect("an id"))
        .collect()
}

async fn act(house: &House, id: &str, verb: &str) -> Value {
    let path = format!("/api/v1/devices/{id}/{verb}");
    house
        .post(&path, json!({ "reason": "a test" }))
        .expect(200)
        .await
}

/// A device with a certificate that is in force.
async fn enrolled(house: &House, id: &str) -> palisade_core::Serial {
    let device = DeviceId::parse(id).expect("valid");
    let principal = Principal::from(device.clone());
    let issued = house.identity.issue_with_key(&principal).await;
    let to = Lifecycle::Active;
    let active = house.pdp.set_lifecycle(&device, to, "enrolled").await;
    active.expect("is active");
    issued.expect("issues").0.serial
}

#[tokio::test]
async fn a_device_is_registered_read_and_changed() {
    let house = house().await;
    let body = json!({ "default_segment": "edge" });
    house.put("/api/v1/products/camera", body).expect(200).await;
    let body = json!({ "id": "cam-1", "product": "camera", "labels": { "site": "berlin" } });
    let made = house
        .post("/api/v1/devices", body.clone())
        .expect(201)
        .await;
    assert_eq!(made["posture"]["segment"], "edge");
    assert_eq!(made["posture"]["lifecycle"], "registered");
    assert_eq!(made["posture"]["trust"], 100);
    let read = house.get("/api/v1/devices/cam-1").expect(200).await;
    assert_eq!(read, made);
    house.post("/api/v1/devices", body).problem(409).await;
    let change = json!({ "labels": { "site": "paris" }, "segment": "gate" });
    let call = house.call(Method::PATCH, "/api/v1/devices/cam-1");
    let changed = call.json(change).expect(200).await;
    assert_eq!(changed["labels"], json!({ "site": "paris" }));
    assert_eq!(changed["posture"]["segment"], "gate");
    assert!(changed["posture"]["epoch"].as_u64() > made["posture"]["epoch"].as_u64());
    let segments = house.get("/api/v1/segments").expect(200).await;
    assert_eq!(ids(&segments), ["edge", "gate"]);
}

#[tokio::test]
async fn a_device_of_an_unknown_product_is_refused_and_told_why() {
    let house = house().await;
    let body = json!({ "id": "cam-1", "product": "camera" });
    let why = house.post("/api/v1/devices", body).problem(409).await;
    assert!(why.contains("PUT /api/v1/products/camera"), "{why}");
    for body in [
        json!({ "id": "a/b", "product": "camera" }),
        json!({ "id": "x".repeat(65), "product": "camera" }),
        json!({ "id": "a", "product": "camera", "labels": { "a b": "c" } }),
        json!({ "id": "a", "product": "camera", "lifecycle": "active" }),
    ] {
        house.post("/api/v1/devices", body).problem(422).await;
    }
}

#[tokio::test]
async fn lists_come_in_parts_without_gap_or_repeat() {
    let house = house().await;
    let all: Vec<String> = (0..25).map(|n| format!("d{n:02}")).collect();
    let names: Vec<&str> = all.iter().map(String::as_str).collect();
    house.fleet(&names).await;
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/devices?limit=10{after}");
        let page = house.get(&path).expect(200).await;
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, all);
}

#[tokio::test]
async fn devices_are_found_by_what_is_said_of_them() {
    let house = house().await;
    house.fleet(&["cam-1", "cam-2", "Door-1"]).await;
    act(&house, "cam-2", "quarantine").await;
    for (query, expected) in [
        ("product=camera", vec!["Door-1", "cam-1", "cam-2"]),
        ("product=other", vec![]),
        ("lifecycle=quarantined", vec!["cam-2"]),
        ("label=site=berlin", vec!["Door-1", "cam-1", "cam-2"]),
        ("label=site=paris", vec![]),
        ("search=door", vec!["Door-1"]),
        (
            "segment=default&search=CAM&lifecycle=registered",
            vec!["cam-1"],
        ),
    ] {
        let page = house
            .get(&format!("/api/v1/devices?{query}"))
            .expect(200)
            .await;
        assert_eq!(ids(&page), expected, "{query}");
    }
}

#[tokio::test]
async fn a_device_is_contained_and_released() {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    enrolled(&house, "cam-1").await;
    let contained = act(&house, "cam-1", "quarantine").await;
    assert_eq!(contained["posture"]["lifecycle"], "quarantined");
    assert_eq!(contained["closed_sessions"], 0);
    assert_eq!(act(&house, "cam-1", "quarantine").await["id"], "cam-1");
    let released = act(&house, "cam-1", "release").await;
    assert_eq!(released["posture"]["lifecycle"], "active");
    let again = house.post("/api/v1/devices/cam-1/release", json!({}));
    assert!(
        again
            .problem(409)
            .await
            .contains("only one that is quarantined")
    );
}

#[tokio::test]
async fn a_device_that_lost_trust_is_released_without_being_quarantined_first() {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    enrolled(&house, "cam-1").await;
    let device = palisade_core::DeviceId::parse("cam-1").expect("valid");
    let source = std::net::IpAddr::from([10, 0, 0, 1]);
    let session = house.pdp.subject(&device.clone().into(), source).await;
    let session = session.expect("known");
    house.pdp.observe_denial(&device, 30);
    // The next admission weighs it.
    let weighed = house.pdp.subject(&device.clone().into(), source).await;
    let posture = weighed.expect("known").posture().expect("a device");
    assert!(posture.trust.value() < 40, "{posture:?}");
    let released = act(&house, "cam-1", "release").await;
    assert_eq!(released["posture"]["lifecycle"], "active");
    assert_eq!(released["posture"]["trust"], 100);
    drop(session);
}

#[tokio::test]
async fn a_device_that_never_enrolled_is_released_to_where_it_was() {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    act(&house, "cam-1", "quarantine").await;
    let released = act(&house, "cam-1", "release").await;
    assert_eq!(released["posture"]["lifecycle"], "registered");
}

#[tokio::test]
async fn a_revoked_device_has_no_certificate_and_can_be_reinstated() {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    let serial = enrolled(&house, "cam-1").await;
    let body = json!({ "reason": "stolen", "certificate_reason": "keyCompromise" });
    let path = "/api/v1/devices/cam-1/revoke";
    let revoked = house.post(path, body).expect(200).await;
    assert_eq!(revoked["posture"]["lifecycle"], "revoked");
    assert_eq!(revoked["revoked_certificates"], json!([serial.to_string()]));
    assert!(house.identity.is_revoked(&serial));
    let path = "/api/v1/devices/cam-1/certificates";
    let held = house.get(path).expect(200).await;
    assert_eq!(held["items"][0]["revocation"]["reason"], "keyCompromise");
    let reinstated = act(&house, "cam-1", "reinstate").await;
    assert_eq!(reinstated["posture"]["lifecycle"], "registered");
    let again = house.post("/api/v1/devices/cam-1/reinstate", json!({}));
    again.problem(409).await;
}

#[tokio::test]
async fn a_retired_device_is_gone_for_good() {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    let serial = enrolled(&house, "cam-1").await;
    act(&house, "cam-1", "retire").await;
    assert!(house.identity.is_revoked(&serial));
    for verb in ["quarantine", "release", "revoke", "reinstate"] {
        let path = format!("/api/v1/devices/cam-1/{verb}");
        house.post(&path, json!({})).problem(409).await;
    }
}

#[tokio::test]
async fn nothing_is_done_to_a_device_that_is_not_there() {
    let house = house().await;
    for verb in [
        "quarantine",
        "release",
        "revoke",
        "retire",
        "reinstate",
        "disconnect",
    ] {
        let path = format!("/api/v1/devices/none/{verb}");
        house.post(&path, json!({})).problem(404).await;
    }
    for what in ["", "/certificates", "/sessions"] {
        let path = format!("/api/v1/devices/none{what}");
        house.get(&path).problem(404).await;
    }
    let call = house.call(Method::PATCH, "/api/v1/devices/none");
    call.json(json!({})).problem(404).await;
}

#[tokio::test]
async fn a_device_without_sessions_shows_none() {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    let sessions = house
        .get("/api/v1/devices/cam-1/sessions")
        .expect(200)
        .await;
    assert_eq!(sessions, json!({ "items": [], "next": null }));
    let all = house.get("/api/v1/sessions").expect(200).await;
    assert_eq!(all, json!({ "items": [], "next": null }));
    let call = house.call(Method::POST, "/api/v1/devices/cam-1/disconnect");
    assert_eq!(call.expect(200).await["closed_sessions"], 0);
}

#[tokio::test]
async fn the_status_counts_devices() {
    let house = house().await;
    house.fleet(&["cam-1", "cam-2"]).await;
    act(&house, "cam-2", "quarantine").await;
    let status = house.get("/api/v1/status").expect(200).await;
    assert_eq!(status["devices"]["total"], 2);
    assert_eq!(status["devices"]["quarantined"], 1);
    assert_eq!(status["policy_version"], 1);
    assert_eq!(status["root_key_is_here"], true);
}

#[tokio::test]
async fn a_person_asks_a_device_for_a_new_key_and_takes_it_back() {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    let path = "/api/v1/devices/cam-1/rotate";
    // Without a certificate there is none to replace.
    let why = house.post(path, json!({})).problem(409).await;
    assert!(why.contains("no certificate"), "{why}");
    enrolled(&house, "cam-1").await;
    house
        .get("/api/v1/devices/cam-1/rotation")
        .problem(404)
        .await;
    for wrong in [json!({ "within_s": 0 }), json!({ "keep_old_s": 2_592_001 })] {
        house.post(path, wrong).problem(422).await;
    }
    let body = json!({ "reason": "a clone", "within_s": 600, "keep_old_s": 0 });
    let asked = house.post(path, body).expect(200).await;
    assert_eq!(
        (&asked["state"], &asked["is_late"]),
        (&json!("asked"), &json!(false))
    );
    house.post(path, json!({})).problem(409).await;
    let shown = house.get("/api/v1/devices/cam-1/rotation").expect(200);
    assert_eq!(shown.await, asked);
    let stop = "/api/v1/devices/cam-1/rotation/stop";
    let stopped = house.post(stop, json!({ "reason": "found" })).expect(200);
    assert_eq!(stopped.await["state"], "cancelled");
    house.post(stop, json!({})).problem(409).await;
    // It can be asked anew.
    house.post(path, json!({})).expect(200).await;
}
