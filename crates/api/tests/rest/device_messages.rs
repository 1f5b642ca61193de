//! The messages of a device as they pass: who may see them, and that each watching is written down.

use std::net::{IpAddr, Ipv4Addr};

use axum::http::{Method, StatusCode};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use palisade_core::{DeviceId, Lifecycle};
use palisade_gateway::{MAX_WATCHERS, Submission};
use serde_json::{Value, json};

use crate::{
    house::{Answer, House, house},
    people::{account, session},
};

const WATCH: &str = "/api/v1/devices/cam-1/messages";
const READ: &str = "/api/v1/devices/cam-1/messages/payloads";

pub(crate) async fn fleet() -> House {
    let house = house().await;
    house.fleet(&["cam-1", "cam-2"]).await;
    for id in ["cam-1", "cam-2"] {
        let id = DeviceId::parse(id).expect("valid");
        let activated = house.pdp.set_lifecycle(&id, Lifecycle::Active, "enrolled");
        activated.await.expect("activates");
    }
    let grant = json!({
        "scope": { "type": "fleet" },
        "pattern": "devices/{device}/#",
        "actions": { "publish": true, "retain": true }
    });
    house.post("/api/v1/grants", grant).expect(201).await;
    house
}

/// A device says something.
pub(crate) async fn say(house: &House, device: &str, text: &str) {
    let message = Submission {
        topic: format!("devices/{device}/x"),
        payload: text.to_owned().into(),
        qos: 1,
        ..Submission::default()
    };
    let device = DeviceId::parse(device).expect("valid").into();
    let published = house
        .gateway
        .publish(&device, IpAddr::V4(Ipv4Addr::LOCALHOST), message);
    published.await.expect("publishes");
}

pub(crate) async fn open(call: crate::house::Call<'_>) -> Answer {
    let answer = call.header("accept", "text/event-stream").answer().await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.media_type(), "text/event-stream");
    answer
}

/// The next event's name and data; what only keeps the connection open is passed over.
pub(crate) async fn next(stream: &mut Answer) -> Option<(String, Value)> {
    loop {
        let piece = stream.piece().await?;
        let field = |name: &str| {
            let mut lines = piece.lines();
            lines.find_map(|line| line.strip_prefix(name).map(str::to_owned))
        };
        if let (Some(name), Some(data)) = (field("event: "), field("data: ")) {
            return Some((name, serde_json::from_str(&data).expect("json")));
        }
    }
}

async fn acts(house: &House, act: &str) -> Vec<Value> {
    let entries = house.entries().await.into_iter();
    entries.filter(|entry| entry["act"] == act).collect()
}

#[tokio::test]
async fn messages_of_one_device_are_streamed_and_what_is_in_them_only_by_the_other_right() {
    let house = fleet().await;
    let (mut blind, mut seeing) = (open(house.get(WATCH)).await, open(house.get(READ)).await);
    let (name, begin) = next(&mut blind).await.expect("an event");
    assert_eq!(
        (name.as_str(), &begin["payloads"]),
        ("watching", &json!(false))
    );
    assert_eq!(
        next(&mut seeing).await.expect("an event").1["payloads"],
        true
    );
    say(&house, "cam-2", "not watched").await;
    say(&house, "cam-1", "{\"t\": 21}").await;
    let (name, message) = next(&mut blind).await.expect("a message");
    assert_eq!(name, "message");
    assert_eq!(message["topic"], "devices/cam-1/x");
    assert_eq!(
        (&message["way"], &message["qos"]),
        (&json!("published"), &json!(1))
    );
    assert_eq!(
        (&message["size"], &message["payload_base64"]),
        (&json!(9), &Value::Null)
    );
    let (_, message) = next(&mut seeing).await.expect("a message");
    let payload = BASE64_STANDARD.encode("{\"t\": 21}");
    assert_eq!(message["payload_base64"], payload);
}

#[tokio::test]
async fn each_watching_is_on_the_ledger_before_anything_is_shown_and_in_the_log_of_access() {
    let house = fleet().await;
    let _stream = open(house.get(READ)).await;
    house.get(WATCH).expect(200).await;
    let read = acts(&house, "message.read").await;
    assert_eq!(read.len(), 1, "{read:?}");
    assert_eq!(read[0]["principal"]["id"], "cam-1");
    assert_eq!(acts(&house, "message.watch").await.len(), 1);
    let log = house
        .get("/api/v1/access?action=message.read")
        .expect(200)
        .await;
    let entry = &log["items"][0];
    assert_eq!(
        (&entry["name"], &entry["outcome"]),
        (&json!("admin"), &json!("allowed"))
    );
    assert_eq!(entry["event"], read[0]["id"], "{entry}");
    house
        .journal
        .fails
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let why = house
        .get(READ)
        .header("accept", "text/event-stream")
        .problem(503)
        .await;
    assert!(why.contains("nothing is shown"), "{why}");
    assert_eq!(
        house.gateway.watch_stats().open,
        1,
        "who is refused watches nothing"
    );
}

#[tokio::test]
async fn the_roles_that_ship_decide_who_sees_and_who_reads() {
    let house = fleet().await;
    for (role, sees, reads) in [
        ("security-analyst", true, true),
        ("operator", true, false),
        ("technician", true, false),
        ("auditor", false, false),
        ("release-manager", false, false),
    ] {
        account(&house, role, role).await;
        let secret = session(&house, role).await;
        for (path, may) in [(WATCH, sees), (READ, reads)] {
            let call = house.anonymous(Method::GET, path).cookie(&secret);
            let status = call.answer().await.status;
            let expected = if may {
                StatusCode::OK
            } else {
                StatusCode::FORBIDDEN
            };
            assert_eq!(status, expected, "{role} {path}");
        }
    }
    house
        .get("/api/v1/devices/cam-9/messages")
        .problem(404)
        .await;
}

#[tokio::test]
async fn a_stream_ends_at_once_when_the_session_or_the_role_does() {
    let house = fleet().await;
    for (name, end) in [("anna", "role"), ("otto", "account"), ("rita", "session")] {
        account(&house, name, "security-analyst").await;
        let secret = session(&house, name).await;
        let mut stream = open(house.anonymous(Method::GET, READ).cookie(&secret)).await;
        assert_eq!(next(&mut stream).await.expect("an event").0, "watching");
        say(&house, "cam-1", "seen").await;
        assert_eq!(next(&mut stream).await.expect("an event").0, "message");
        match end {
            "role" => {
                let body = json!({ "assignments": [{ "role": "auditor" }] });
                let path = format!("/api/v1/accounts/{name}/roles");
                house.put(&path, body).expect(200).await;
            }
            "account" => {
                let path = format!("/api/v1/accounts/{name}");
                let call = house.call(Method::PATCH, &path);
                call.json(json!({ "disabled": true })).expect(200).await;
            }
            _ => {
                let call = house
                    .anonymous(Method::DELETE, "/api/v1/session")
                    .cookie(&secret);
                assert!(call.answer().await.status.is_success());
            }
        }
        say(&house, "cam-1", "a secret").await;
        let (last, data) = next(&mut stream).await.expect("an event");
        assert_eq!(last, "end", "{end}: {data}");
        assert_eq!(next(&mut stream).await, None, "{end}: the stream goes on");
    }
    assert_eq!(house.gateway.watch_stats().open, 0);
}

#[tokio::test]
async fn an_answer_in_one_piece_holds_what_passed_meanwhile() {
    let house = fleet().await;
    let path = format!("{READ}?seconds=2");
    let taken = house.get(&path).expect(200);
    let talk = async {
        // It is heard from when it watches on.
        while house.gateway.watch_stats().open == 0 {
            tokio::task::yield_now().await;
        }
        say(&house, "cam-1", "hello").await;
    };
    let (taken, ()) = tokio::join!(taken, talk);
    assert_eq!(
        taken["items"].as_array().expect("items").len(),
        1,
        "{taken}"
    );
    assert_eq!(taken["skipped"], 0);
    house.get(&format!("{WATCH}?seconds=6")).problem(400).await;
}

#[tokio::test]
async fn watchers_are_bounded_in_number() {
    let house = fleet().await;
    let mut all = Vec::new();
    for _ in 0..MAX_WATCHERS {
        all.push(open(house.get(WATCH)).await);
    }
    // Its body is not read: one that was let in has no end.
    let more = house.get(WATCH).header("accept", "text/event-stream");
    assert_eq!(more.answer().await.status, StatusCode::TOO_MANY_REQUESTS);
    all.pop();
    open(house.get(WATCH)).await;
}
