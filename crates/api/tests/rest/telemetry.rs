//! What devices sent, read at the REST door.

use std::sync::atomic::Ordering;

use palisade_core::{
    Clock, DeviceId, ProductId, SegmentId, Topic,
    port::{Telemetry, TelemetrySink},
};
use serde_json::{Value, json};

use axum::http::Method;

use crate::house::{House, house};

const PATH: &str = "/api/v1/devices/cam-1/telemetry";

async fn keep(house: &House, topic: &str, payload: &[u8]) {
    let number = house.vault.keep(&Telemetry {
        at: house.clock.now(),
        device: &DeviceId::parse("cam-1").expect("an id"),
        product: &ProductId::parse("cam").expect("an id"),
        segment: &SegmentId::parse("default").expect("an id"),
        days: 30,
        topic: Topic::parse(topic).expect("a topic"),
        qos: 1,
        retain: false,
        properties: b"",
        payload,
    });
    let number = number.expect("kept");
    std::future::poll_fn(|cx| house.vault.poll_durable(number, cx.waker())).await;
}

async fn furnished() -> House {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    house
}

fn acts(ledger: &Value) -> Vec<(String, String, String)> {
    let items = ledger["items"].as_array().expect("items").iter();
    let text =
        |entry: &Value, name: &str| entry["entry"][name].as_str().unwrap_or_default().to_owned();
    items
        .map(|item| {
            (
                text(item, "act"),
                text(item, "outcome"),
                text(item, "reason"),
            )
        })
        .filter(|(act, ..)| act.starts_with("telemetry."))
        .collect()
}

#[tokio::test]
async fn a_reading_has_a_purpose_and_is_in_the_ledger_before_it_is_answered() {
    let house = furnished().await;
    keep(&house, "t/a", b"one").await;
    keep(&house, "t/b", b"\xff\x00").await;
    house.post(PATH, json!({})).problem(422).await;
    house
        .post(PATH, json!({ "purpose": "x" }))
        .problem(422)
        .await;
    let found = house
        .post(PATH, json!({ "purpose": "case 7" }))
        .expect(200)
        .await;
    assert_eq!(found["items"][0]["payload"], "one");
    assert_eq!(found["items"][1]["payload_base64"], "/wA=");
    assert_eq!(found["next"], Value::Null);
    let ledger = house.get("/api/v1/ledger?limit=1000").expect(200).await;
    let told = acts(&ledger);
    let wanted = (
        "telemetry.read".to_owned(),
        "done".to_owned(),
        "case 7".to_owned(),
    );
    assert!(told.contains(&wanted), "{told:?}");
    assert!(
        !ledger.to_string().contains("/wA="),
        "what was read is not in the ledger"
    );
}

#[tokio::test]
async fn nothing_is_read_that_cannot_be_recorded() {
    let house = furnished().await;
    keep(&house, "t/a", b"measured").await;
    house.journal.fails.store(true, Ordering::SeqCst);
    let problem = house
        .post(PATH, json!({ "purpose": "case 7" }))
        .problem(503)
        .await;
    assert!(!problem.contains("measured"), "{problem}");
}

#[tokio::test]
async fn a_reader_gets_pages() {
    let house = furnished().await;
    for number in 0..5 {
        keep(&house, "t/a", number.to_string().as_bytes()).await;
    }
    let (mut seen, mut after) = (String::new(), None::<String>);
    loop {
        let mut body = json!({ "purpose": "a test", "limit": 2 });
        if let Some(after) = &after {
            body["after"] = after.as_str().into();
        }
        let page = house.post(PATH, body).expect(200).await;
        for item in page["items"].as_array().expect("items") {
            seen.push_str(item["payload"].as_str().expect("text"));
        }
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen, "01234");
    for bad in [
        json!({ "after": "x" }),
        json!({ "limit": 0 }),
        json!({ "limit": 1001 }),
        json!({ "topics": "a/#/b" }),
    ] {
        let mut body = bad;
        body["purpose"] = "a test".into();
        house.post(PATH, body).problem(422).await;
    }
    house
        .post(
            "/api/v1/devices/cam-9/telemetry",
            json!({ "purpose": "a test" }),
        )
        .problem(404)
        .await;
}

#[tokio::test]
async fn a_scope_alone_opens_the_vault() {
    let house = furnished().await;
    keep(&house, "t/a", b"one").await;
    let others = house
        .token(
            "others",
            &["devices:read", "devices:write", "telemetry:write"],
        )
        .await;
    let reader = house.token("reader", &["telemetry:read"]).await;
    let ask = |token: &str| {
        house
            .post(PATH, json!({ "purpose": "a test" }))
            .bearer(token)
    };
    ask(&others).problem(403).await;
    ask(&reader).expect(200).await;
    let erase = house
        .post(&format!("{PATH}/erase"), json!({ "reason": "a test" }))
        .bearer(&reader);
    erase.problem(403).await;
}

#[tokio::test]
async fn what_is_held_is_not_erased_and_what_is_not_is_gone() {
    let house = furnished().await;
    keep(&house, "t/a", b"one").await;
    let hold = json!({ "reason": "a court", "device": "cam-1" });
    let hold = house
        .post("/api/v1/telemetry/holds", hold)
        .expect(201)
        .await;
    let erase = || {
        house.post(
            &format!("{PATH}/erase"),
            json!({ "reason": "the owner asked" }),
        )
    };
    erase().problem(409).await;
    let id = hold["id"].as_str().expect("an id");
    house
        .call(Method::DELETE, &format!("/api/v1/telemetry/holds/{id}"))
        .expect(204)
        .await;
    house
        .call(Method::DELETE, &format!("/api/v1/telemetry/holds/{id}"))
        .problem(404)
        .await;
    let erased = erase().expect(200).await;
    assert_eq!(erased["messages"], 1);
    let found = house
        .post(PATH, json!({ "purpose": "a test" }))
        .expect(200)
        .await;
    assert_eq!(found["items"], json!([]));
    let holds = house.get("/api/v1/telemetry/holds").expect(200).await;
    assert!(holds["items"][0]["released_at"].is_string());
    let status = house.get("/api/v1/telemetry").expect(200).await;
    assert_eq!(status["sealed_messages"], 0);
    let told = acts(&house.get("/api/v1/ledger?limit=1000").expect(200).await);
    let of = |act: &str, outcome: &str| told.iter().any(|one| one.0 == act && one.1 == outcome);
    assert!(
        of("telemetry.hold", "done")
            && of("telemetry.erase", "refused")
            && of("telemetry.erase", "done"),
        "{told:?}"
    );
}
