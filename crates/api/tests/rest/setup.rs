//! The first administrator.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::house::{House, house};

async fn revoke_all(house: &House) {
    for token in house.store.tokens().api().await.expect("reads") {
        let revoked = house.store.tokens().revoke_api(token.id).await;
        assert!(revoked.expect("revokes"));
    }
}

async fn exchange(house: &House, token: &str) -> (StatusCode, Value) {
    let call = house.anonymous(Method::POST, "/api/v1/setup");
    let body = json!({ "token": token, "name": "first" });
    call.json(body).send().await
}

#[tokio::test]
async fn the_set_up_token_becomes_an_api_token_once() {
    let house = house().await;
    revoke_all(&house).await;
    let token = house.setup_token().await.expect("a token");
    assert!(token.starts_with("pset_") && token.len() == 48, "{token}");
    assert_eq!(house.setup_token().await, None, "a second one was made");
    let (status, made) = exchange(&house, &token).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(made["scopes"], json!(["*"]));
    let secret = made["secret"].as_str().expect("a secret");
    let who = house.anonymous(Method::GET, "/api/v1/whoami");
    assert_eq!(who.bearer(secret).expect(200).await["name"], "first");
    let (status, _) = exchange(&house, &token).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(house.setup_token().await, None, "there is an API token");
    let entries = house.entries().await;
    let act = entries
        .iter()
        .find(|entry| entry["act"] == "api_token.create");
    assert_eq!(act.expect("an entry")["actor"]["id"], "setup");
}

#[tokio::test]
async fn of_two_who_come_with_the_set_up_token_at_once_one_gets_in() {
    let house = house().await;
    revoke_all(&house).await;
    let token = house.setup_token().await.expect("a token");
    let (one, other) = tokio::join!(exchange(&house, &token), exchange(&house, &token));
    let mut statuses = [one.0.as_u16(), other.0.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 401]);
}

#[tokio::test]
async fn the_set_up_token_ends_after_a_day_and_is_made_anew() {
    let house = house().await;
    revoke_all(&house).await;
    let token = house.setup_token().await.expect("a token");
    house.clock.advance_millis(24 * 60 * 60 * 1_000);
    let (status, _) = exchange(&house, &token).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(house.setup_token().await.is_some());
}

#[tokio::test]
async fn a_set_up_that_cannot_be_recorded_can_be_tried_again() {
    let house = house().await;
    revoke_all(&house).await;
    let token = house.setup_token().await.expect("a token");
    let fails = &house.journal.fails;
    fails.store(true, std::sync::atomic::Ordering::SeqCst);
    let (status, _) = exchange(&house, &token).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    fails.store(false, std::sync::atomic::Ordering::SeqCst);
    let (status, _) = exchange(&house, &token).await;
    assert_eq!(status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_wrong_set_up_token_is_refused_and_recorded() {
    let house = house().await;
    let (status, why) = exchange(&house, "pset_wrong").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{why}");
    let entries = house.entries().await;
    assert_eq!(entries.last().expect("an entry")["kind"], "refused");
}
