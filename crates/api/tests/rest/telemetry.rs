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

pub(crate) async fn keep(house: &House, topic: &str, payload: &[u8]) {
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

/// As if somebody had read so many messages, or as many as were left.
pub(crate) fn spend(house: &House, reader: &str, messages: usize) {
    let reading = house.vault.may_read(reader, messages).expect("is left");
    reading.has_read(messages);
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
async fn an_erasure_during_which_the_database_is_read_says_what_it_erased_and_that_keys_are_left() {
    if !palisade_test_store::is_on_sqlite() {
        // A reader holds up nothing in PostgreSQL.
        return;
    }
    let house = furnished().await;
    keep(&house, "t/a", b"one").await;
    house.vault.roll_all().await.expect("rolls");
    let file = house.directory.path().join("palisade.db");
    let url = format!("sqlite://{}", file.display());
    let reader = sqlx::AnyPool::connect(&url).await.expect("opens");
    let mut reads = reader.begin().await.expect("begins");
    let rows = sqlx::query("SELECT id FROM vault_objects").fetch_all(&mut *reads);
    assert_eq!(rows.await.expect("reads").len(), 1);
    let path = format!("{PATH}/erase");
    let erase = || house.post(&path, json!({ "reason": "the owner asked" }));
    let erased = erase().expect(200).await;
    assert_eq!(
        (&erased["messages"], &erased["files"], &erased["keys_left"]),
        (&json!(1), &json!(1), &json!(true))
    );
    let told = house.entries().await.into_iter();
    let told: Vec<String> = told
        .filter(|entry| entry["act"] == "telemetry.erase")
        .map(|entry| entry["target"].to_string())
        .collect();
    assert!(
        told[0].contains("1 messages") && told[0].contains("keys are still to be overwritten"),
        "{told:?}"
    );
    reads.rollback().await.expect("ends");
    assert_eq!(erase().expect(200).await["keys_left"], false);
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
    assert_eq!(erased["retained"], 0);
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

/// The acts of exports in the ledger: what they say was read.
async fn exports(house: &House) -> Vec<String> {
    let entries = house.entries().await.into_iter();
    let exports = entries.filter(|entry| entry["act"] == "telemetry.export");
    exports
        .map(|entry| entry["target"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn an_export_comes_in_each_form_and_its_ledger_entry_names_form_and_recipient() {
    let house = furnished().await;
    keep(&house, "t/a", b"one").await;
    keep(&house, "t/b", b"\xff\x00").await;
    let path = format!("{PATH}/export");
    let answer = async |body: Value| {
        let answer = house.post(&path, body).answer().await;
        assert_eq!(answer.status, 200);
        answer
    };
    let lines = answer(json!({ "purpose": "case 7" })).await;
    assert_eq!(lines.media_type(), "application/x-ndjson");
    let name = lines.headers["palisade-export"]
        .to_str()
        .expect("text")
        .to_owned();
    let lines: Vec<Value> = lines
        .text()
        .await
        .lines()
        .map(|line| serde_json::from_str(line).expect("json"))
        .collect();
    assert_eq!(lines[0]["payload"], "one");
    assert_eq!(lines[1]["payload_base64"], "/wA=");
    let told = house
        .get(&format!("{PATH}/exports/{name}"))
        .expect(200)
        .await;
    assert_eq!(
        told,
        json!({ "id": name, "messages": 2, "withheld": 0, "is_whole": true })
    );
    let other = house.token("other", &["telemetry:read"]).await;
    let asked = house.get(&format!("{PATH}/exports/{name}"));
    asked.bearer(&other).problem(404).await;
    for (format, begins) in [("csv", "number,"), ("arrow", "\u{ff}"), ("parquet", "PAR1")] {
        let body = json!({ "purpose": "case 7", "format": format });
        let body = answer(body).await.body;
        let bytes = http_body_util::BodyExt::collect(body)
            .await
            .expect("whole")
            .to_bytes();
        let begins: Vec<u8> = begins.chars().map(|sign| sign as u8).collect();
        assert!(bytes.starts_with(&begins), "{format}");
    }
    let key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let body =
        json!({ "purpose": "case 7", "format": "parquet", "recipients": [key], "topics": "t/#" });
    let sealed = answer(body).await;
    assert_eq!(sealed.media_type(), "application/octet-stream");
    let sealed = http_body_util::BodyExt::collect(sealed.body)
        .await
        .expect("whole")
        .to_bytes();
    assert!(sealed.starts_with(b"age-encryption.org/v1"));
    let told = exports(&house).await;
    assert_eq!(told.len(), 5, "{told:?}");
    assert!(
        told[0].starts_with("cam-1: 2 messages from "),
        "{}",
        told[0]
    );
    assert!(
        told[4].ends_with(&format!("as parquet, sealed for {key} of t/#")),
        "{}",
        told[4]
    );
}

#[tokio::test]
async fn an_export_that_cannot_be_recorded_to_its_end_breaks_off() {
    let house = furnished().await;
    for _ in 0..4 {
        keep(&house, "t/a", &[b'x'; 900_000]).await;
    }
    let body = json!({ "purpose": "case 7" });
    let mut answer = house.post(&format!("{PATH}/export"), body).answer().await;
    let name = answer.headers["palisade-export"]
        .to_str()
        .expect("text")
        .to_owned();
    let first = answer.piece().await.expect("a part");
    assert_eq!(first.lines().count(), 2, "two messages fill a part");
    house.journal.fails.store(true, Ordering::SeqCst);
    let rest = http_body_util::BodyExt::collect(answer.body).await;
    rest.expect_err("the second part could not be written down");
    house.journal.fails.store(false, Ordering::SeqCst);
    let told = house
        .get(&format!("{PATH}/exports/{name}"))
        .expect(200)
        .await;
    assert_eq!(
        (&told["messages"], &told["is_whole"]),
        (&json!(2), &json!(false))
    );
    assert_eq!(exports(&house).await.len(), 1);
}

#[tokio::test]
async fn an_export_ends_with_the_right_to_it() {
    let house = furnished().await;
    for _ in 0..4 {
        keep(&house, "t/a", &[b'x'; 900_000]).await;
    }
    let reader = house.token("reader", &["telemetry:read"]).await;
    let ask = house.post(&format!("{PATH}/export"), json!({ "purpose": "case 7" }));
    let mut answer = ask.bearer(&reader).answer().await;
    answer.piece().await.expect("a part");
    let tokens = house.get("/api/v1/api-tokens?limit=100").expect(200).await;
    let tokens = tokens["items"].as_array().expect("items").iter();
    let id = tokens
        .clone()
        .find(|token| token["name"] == "reader")
        .expect("is there")["id"]
        .clone();
    let revoke = format!("/api/v1/api-tokens/{}", id.as_str().expect("an id"));
    house.call(Method::DELETE, &revoke).expect(204).await;
    let rest = http_body_util::BodyExt::collect(answer.body).await;
    rest.expect_err("the token was revoked");
}

#[tokio::test]
async fn who_has_read_as_much_as_one_may_waits_with_an_export_and_begins_none() {
    let house = furnished().await;
    for _ in 0..4 {
        keep(&house, "t/a", &[b'x'; 900_000]).await;
    }
    let path = format!("{PATH}/export");
    let ask = || house.post(&path, json!({ "purpose": "case 7" }));
    let mut answer = ask().answer().await;
    answer.piece().await.expect("a part");
    spend(&house, "admin", 100_000);
    assert_eq!(ask().answer().await.status, 429);
    let mut rest = Box::pin(http_body_util::BodyExt::collect(answer.body));
    let waits = tokio::time::timeout(std::time::Duration::from_millis(300), &mut rest).await;
    waits.expect_err("it waits for the minute to pass");
    house.clock.advance_millis(61_000);
    let rest = rest.await.expect("goes on").to_bytes();
    assert_eq!(rest.iter().filter(|byte| **byte == b'\n').count(), 2);
}

#[tokio::test]
async fn what_is_no_recipient_is_refused_and_a_secret_one_is_not_repeated() {
    let house = furnished().await;
    let path = format!("{PATH}/export");
    let secret = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ";
    for bad in [
        json!([secret]),
        json!(["ssh-ed25519 AAAA"]),
        json!(["x", "x", "x", "x", "x", "x"]),
    ] {
        let body = json!({ "purpose": "case 7", "recipients": bad });
        let problem = house.post(&path, body).problem(422).await;
        assert!(!problem.contains("QQQQ"), "{problem}");
    }
    let body = json!({ "purpose": "case 7", "format": "xlsx" });
    house.post(&path, body).problem(422).await;
    house.post(&path, json!({})).problem(422).await;
}

#[tokio::test]
async fn the_key_of_a_file_leaves_under_a_scope_of_its_own_and_is_kept_for_no_retry() {
    let house = furnished().await;
    keep(&house, "t/a", b"one").await;
    house.vault.roll_all().await.expect("rolls");
    let objects = house
        .store
        .vault()
        .objects_in(palisade_store::ObjectState::Live)
        .await;
    let path = objects.expect("reads")[0].path.clone();
    let place = "/api/v1/telemetry/file-key";
    let ask = || house.post(place, json!({ "file": path, "reason": "for the expert" }));
    let others = house
        .token("others", &["telemetry:read", "telemetry:write"])
        .await;
    ask().bearer(&others).problem(403).await;
    let keyed = house.token("keyed", &["telemetry:keys"]).await;
    let found = ask()
        .bearer(&keyed)
        .header("idempotency-key", "a")
        .expect(200)
        .await;
    let key = found["key_base64"].as_str().expect("a key").to_owned();
    assert_eq!(found["aad_prefix"], path.as_str());
    ask()
        .bearer(&keyed)
        .header("idempotency-key", "a")
        .expect(200)
        .await;
    let told = acts(&house.get("/api/v1/ledger?limit=1000").expect(200).await);
    let opened: Vec<_> = told
        .iter()
        .filter(|act| act.0 == "telemetry.open_file_key" && act.1 == "done")
        .collect();
    assert_eq!(opened.len(), 2, "each time is an act of its own");
    assert!(
        !house
            .get("/api/v1/ledger?limit=1000")
            .expect(200)
            .await
            .to_string()
            .contains(&key)
    );
    let other = json!({ "file": "../../keys.json", "reason": "for the expert" });
    house.post(place, other).problem(422).await;
}
