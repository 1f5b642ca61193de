//! Somebody who has the session of a reader: what they get of what devices sent.

use std::time::Duration;

use axum::http::Method;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    house::{Call, House, READ_PER_MINUTE, house},
    people::{account, session},
    telemetry::keep,
};

const PATH: &str = "/api/v1/devices/cam-1/telemetry";

fn reads<'a>(house: &'a House, secret: &str, browser: &str) -> Call<'a> {
    let call = house.anonymous(Method::POST, PATH).cookie(secret);
    let body = json!({ "purpose": "case 7", "limit": 1_000 });
    call.header("user-agent", browser).json(body)
}

async fn furnished(messages: u64) -> House {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    account(&house, "sam", "security-analyst").await;
    for number in 0..messages {
        keep(&house, "t/a", number.to_string().as_bytes()).await;
    }
    house
}

/// Readings in the ledger, by whom and how they ended.
async fn readings(house: &House) -> Vec<(String, String)> {
    let entries = house.entries().await;
    let readings = entries
        .iter()
        .filter(|entry| entry["act"] == "telemetry.read");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    readings
        .map(|entry| (text(&entry["actor"]["id"]), text(&entry["outcome"])))
        .collect()
}

#[tokio::test]
async fn from_another_browser_they_get_nothing_and_the_session_ends() {
    let house = furnished(1).await;
    let secret = session(&house, "sam").await;
    reads(&house, &secret, "Firefox").expect(200).await;
    let stolen = reads(&house, &secret, "curl").problem(401).await;
    assert!(!stolen.to_string().contains("payload"), "{stolen}");
    // Whoever says that they are Firefox comes too late.
    reads(&house, &secret, "Firefox").problem(401).await;
    let of = |outcome: &str| ("sam".to_owned(), outcome.to_owned());
    assert_eq!(readings(&house).await, [of("done"), of("refused")]);
}

#[tokio::test]
async fn as_the_same_browser_they_get_a_minutes_bound_and_each_reading_is_on_the_record() {
    let house = furnished(READ_PER_MINUTE).await;
    let secret = session(&house, "sam").await;
    let whole = reads(&house, &secret, "Firefox").expect(200).await;
    let read = whole["items"].as_array().expect("items").len();
    assert_eq!(read as u64, READ_PER_MINUTE);
    let told = readings(&house).await;
    assert_eq!(told, [("sam".to_owned(), "done".to_owned())]);
    let refused = reads(&house, &secret, "Firefox").answer().await;
    assert_eq!(refused.status, 429);
    assert!(refused.headers.contains_key("retry-after"));
    // Another reader is not held up by it.
    account(&house, "zoe", "security-analyst").await;
    let other = session(&house, "zoe").await;
    reads(&house, &other, "Firefox").expect(200).await;
    house.clock.advance_millis(61_000);
    reads(&house, &secret, "Firefox").expect(200).await;
    // Once the account is disabled, the next reading is refused.
    let path = "/api/v1/accounts/sam";
    let call = house
        .call(Method::PATCH, path)
        .json(json!({ "disabled": true }));
    call.expect(200).await;
    reads(&house, &secret, "Firefox").problem(401).await;
}

#[tokio::test]
async fn with_many_requests_at_once_they_get_no_more() {
    let house = furnished(READ_PER_MINUTE).await;
    let secret = session(&house, "sam").await;
    let asked = (0..8).map(|_| reads(&house, &secret, "Firefox").send());
    let answers = join_all(asked).await;
    let read = |body: &Value| body["items"].as_array().map_or(0, Vec::len) as u64;
    let whole: u64 = answers.iter().map(|(_, body)| read(body)).sum();
    assert_eq!(whole, READ_PER_MINUTE);
    let refused = answers.iter().filter(|(status, _)| *status == 429);
    assert_eq!(refused.count(), 7);
}

/// Waits until exports of the administrator have written out so many messages.
async fn written(house: &House, exports: &[String], wanted: u64) {
    let reached = async {
        loop {
            let mut messages = 0;
            for export in exports {
                let told = house.get(&format!("{PATH}/exports/{export}"));
                messages += told.expect(200).await["messages"]
                    .as_u64()
                    .expect("so many");
            }
            if messages == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_secs(20), reached).await;
    reached.unwrap_or_else(|_| panic!("not {wanted} messages"));
}

#[tokio::test]
async fn exports_that_wait_for_the_next_minute_share_it() {
    let house = furnished(READ_PER_MINUTE).await;
    let take = |messages| house.vault.may_read("admin", messages).expect("is left");
    let mut held = vec![take(10), take(10)];
    take(970).has_read(970);
    // Each has ten messages when all of a minute's are read.
    let (mut names, mut bodies) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let ask = house.post(&format!("{PATH}/export"), json!({ "purpose": "case 7" }));
        let answer = ask.answer().await;
        assert_eq!(answer.status, 200);
        let name = answer.headers["palisade-export"].to_str().expect("text");
        names.push(name.to_owned());
        bodies.push(answer.text());
        held.pop();
    }
    let rests: Vec<_> = bodies.into_iter().map(tokio::spawn).collect();
    for minute in 0..=3 {
        let whole = 3 * READ_PER_MINUTE;
        written(&house, &names, whole.min(30 + minute * READ_PER_MINUTE)).await;
        house.clock.advance_millis(61_000);
    }
    for rest in rests {
        let lines = rest.await.expect("ends").lines().count();
        assert_eq!(lines as u64, READ_PER_MINUTE);
    }
}
