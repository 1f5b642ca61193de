//! Baselines, shown and set.

use axum::http::{Method, StatusCode};
use palisade_core::{Door, Event, EventKind, Product, ProductId, SegmentId};
use palisade_detect::{Known, Seen, Watcher};
use serde_json::{Value, json};

use crate::house::{House, house};

async fn product(house: &House, id: &str) {
    let product = Product {
        id: ProductId::parse(id).expect("valid"),
        description: String::new(),
        default_segment: SegmentId::parse("default").expect("valid"),
        inventory_only: false,
        created_at: palisade_core::Timestamp::UNIX_EPOCH,
    };
    let put = house.store.devices().put_product(&product).await;
    put.expect("writes");
}

/// Lets a device of the product `cam` be heard of in some intervals.
fn heard(house: &House, device: &str, messages: &[u64]) {
    let known = Known {
        id: palisade_core::DeviceId::parse(device).expect("valid"),
        product: ProductId::parse("cam").expect("valid"),
        segment: SegmentId::parse("default").expect("valid"),
        labels: palisade_core::Labels::default(),
        lifecycle: palisade_core::Lifecycle::Active,
    };
    let mut watcher = house.baselines.watcher();
    let mut out = Vec::new();
    for messages in messages {
        let kind = EventKind::PublishStatistics {
            window_ms: 60_000,
            messages: *messages,
            bytes: messages * 10,
            largest: 10,
            messages_out: 0,
            bytes_out: 0,
            packets_in: *messages,
            packets_out: *messages,
        };
        let now = palisade_core::Clock::now(&house.clock);
        let event = Event::new(now, Door::Mqtt, kind).about(known.id.clone());
        let seen = Seen {
            position: 1,
            event: &event,
            device: Some(&known),
        };
        watcher.observe(&seen, &mut out);
        house.clock.advance_millis(300_000);
    }
}

fn metric<'a>(view: &'a Value, name: &str) -> &'a Value {
    let metrics = view["metrics"].as_array().expect("metrics");
    metrics
        .iter()
        .find(|one| one["metric"] == name)
        .expect("the metric")
}

#[tokio::test]
async fn a_device_is_shown_metric_by_metric_with_its_last_datapoints() {
    let house = house().await;
    heard(&house, "cam-1", &[60, 61, 59, 60]);
    let view = house
        .get("/api/v1/baselines/devices/cam-1")
        .expect(200)
        .await;
    assert_eq!(view["product"], "cam");
    assert_eq!(view["mode"], "watching");
    assert_eq!(view["metrics"].as_array().map(Vec::len), Some(15));
    let sent = metric(&view, "messages_sent");
    assert_eq!(sent["state"], "learning");
    assert_eq!(sent["last"][0]["value"], 60.0);
    assert!(sent["usual"]["low"].as_f64() < sent["usual"]["high"].as_f64());
    assert_eq!(metric(&view, "listening_ports")["usual"], Value::Null);
    house
        .get("/api/v1/baselines/devices/nobody")
        .expect(404)
        .await;
}

#[tokio::test]
async fn settings_of_a_product_are_checked_kept_and_shown() {
    let house = house().await;
    product(&house, "cam").await;
    heard(&house, "cam-1", &[60, 61]);
    let settings = json!({
        "thresholds": [{ "metric": "bytes_out", "operator": "above", "value": 5000, "duration_s": 600 }],
        "metrics": [{ "metric": "destinations", "enabled": false }],
    });
    let path = "/api/v1/baselines/products/cam";
    let put = house.call(Method::PUT, path).json(settings);
    let view = put.expect(200).await;
    assert_eq!(view["thresholds"][0]["severity"], "medium");
    assert_eq!(metric(&view, "destinations")["enabled"], false);
    let listed = house.get("/api/v1/baselines").expect(200).await;
    assert_eq!(listed["items"][0], view);
    let device = house
        .get("/api/v1/baselines/devices/cam-1")
        .expect(200)
        .await;
    assert_eq!(metric(&device, "destinations")["state"], "off");
    for bad in [
        json!({ "thresholds": [{ "metric": "bytes", "operator": "above", "value": 1 }] }),
        json!({ "thresholds": [{ "metric": "bytes_out", "operator": "above", "value": -1 }] }),
        json!({ "thresholds": [["bytes_out", "above", 1]] }),
        json!({ "metrics": [{ "metric": "bytes_out", "datapoints_to_alarm": 16 }] }),
        json!({ "metrics": [{ "metric": "bytes_out" }, { "metric": "bytes_out" }] }),
        json!({ "unknown": 1 }),
    ] {
        house.call(Method::PUT, path).json(bad).expect(422).await;
    }
    let nobody = house.call(Method::PUT, "/api/v1/baselines/products/x");
    nobody.json(json!({})).expect(404).await;
    let acts = house.entries().await;
    let is_set = |entry: &Value| entry["act"] == "baseline.set" && entry["outcome"] == "done";
    assert!(acts.iter().any(is_set), "{acts:?}");
}

#[tokio::test]
async fn the_fleet_learns_without_alarms_until_it_is_told_otherwise() {
    let house = house().await;
    let path = "/api/v1/baselines/fleet";
    assert_eq!(house.get(path).expect(200).await["mode"], "watching");
    let until = json!({ "learn_until": "2999-01-01T00:00:00Z" });
    let view = house.call(Method::PUT, path).json(until).expect(200).await;
    assert_eq!(view["mode"], "learning");
    let none = house.call(Method::PUT, path).json(json!({}));
    assert_eq!(none.expect(200).await["mode"], "watching");
    let token = house.token("reader", &["detect:read"]).await;
    let denied = house.anonymous(Method::PUT, path).bearer(&token);
    let answer = denied.json(json!({})).answer().await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}
