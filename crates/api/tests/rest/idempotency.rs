//! A write that is sent twice under one key is done once.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::house::{House, house};

async fn make_token(house: &House, key: &str, note: &str) -> (StatusCode, Value) {
    let body = json!({ "product": "camera", "note": note });
    let call = house.post("/api/v1/enrolment-tokens", body);
    call.header("idempotency-key", key).send().await
}

async fn made(house: &House) -> usize {
    let tokens = house.store.tokens().enrolments().await;
    tokens.expect("reads").len()
}

#[tokio::test]
async fn the_same_request_under_the_same_key_has_the_same_answer_and_is_done_once() {
    let house = house().await;
    house.fleet(&[]).await;
    let first = make_token(&house, "k1", "a").await;
    assert_eq!(first.0, StatusCode::CREATED);
    let recorded = house.entries().await.len();
    let second = make_token(&house, "k1", "a").await;
    assert_eq!(first, second, "the secret included");
    assert_eq!(made(&house).await, 1);
    assert_eq!(house.entries().await.len(), recorded);
    let body = json!({ "product": "camera", "note": "a" });
    let call = house.post("/api/v1/enrolment-tokens", body);
    let answer = call.header("idempotency-key", "k1").answer().await;
    assert_eq!(answer.headers["idempotency-replayed"], "true");
    assert_eq!(answer.media_type(), "application/json");
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    let house = house().await;
    house.fleet(&[]).await;
    make_token(&house, "k1", "a").await;
    let (status, why) = make_token(&house, "k1", "b").await;
    assert_eq!(status, StatusCode::CONFLICT, "{why}");
    assert_eq!(made(&house).await, 1);
}

#[tokio::test]
async fn the_keys_of_two_callers_are_two_keys() {
    let house = house().await;
    house.fleet(&[]).await;
    let first = make_token(&house, "k1", "a").await;
    let other = house.token("other", &["*"]).await;
    let body = json!({ "product": "camera", "note": "a" });
    let call = house.post("/api/v1/enrolment-tokens", body);
    let call = call.header("idempotency-key", "k1").bearer(&other);
    let second = call.send().await;
    assert_eq!(second.0, StatusCode::CREATED);
    assert_ne!(first.1["secret"], second.1["secret"]);
}

#[tokio::test]
async fn of_many_at_once_one_is_done() {
    let house = house().await;
    house.fleet(&[]).await;
    let all = (0..16).map(|_| make_token(&house, "k1", "a"));
    let answers = futures_util::future::join_all(all).await;
    assert_eq!(made(&house).await, 1);
    let done = answers
        .iter()
        .find(|answer| answer.0 == StatusCode::CREATED);
    let done = done.expect("one is done");
    for answer in &answers {
        match answer.0 {
            StatusCode::CREATED => assert_eq!(answer, done),
            status => assert_eq!(status, StatusCode::CONFLICT, "{}", answer.1),
        }
    }
}

#[tokio::test]
async fn a_write_that_failed_frees_its_key() {
    let house = house().await;
    let (status, why) = make_token(&house, "k1", "a").await;
    assert_eq!(status, StatusCode::CONFLICT, "{why}");
    house.fleet(&[]).await;
    let (status, _) = make_token(&house, "k1", "a").await;
    assert_eq!(status, StatusCode::CREATED);
}

/// All files below a folder.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("reads");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}

#[tokio::test]
async fn a_kept_answer_does_not_hold_the_secret_it_gives_back() {
    if !palisade_test_store::is_on_sqlite() {
        // The files of another engine are not in the data directory.
        return;
    }
    let house = house().await;
    house.fleet(&[]).await;
    let (_, answer) = make_token(&house, "k1", "a").await;
    let secret = answer["secret"].as_str().expect("a secret");
    let mut looked_at = 0;
    for file in files(house.directory.path()) {
        let bytes = std::fs::read(file).expect("reads");
        looked_at += bytes.len();
        let found = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "the secret is on disk");
    }
    assert!(looked_at > 10_000);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let house = house().await;
    for key in ["", "a b", &"k".repeat(256)] {
        let call = house.put("/api/v1/segments/gate", json!({}));
        call.header("idempotency-key", key).problem(400).await;
    }
}

#[tokio::test]
async fn an_answer_without_a_body_is_given_back_too() {
    let house = house().await;
    house.fleet(&[]).await;
    let (_, token) = make_token(&house, "k1", "a").await;
    let path = format!(
        "/api/v1/enrolment-tokens/{}",
        token["id"].as_str().expect("an id")
    );
    for _ in 0..2 {
        let call = house.call(axum::http::Method::DELETE, &path);
        let answer = call.header("idempotency-key", "k2").answer().await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(answer.text().await, "");
    }
}
