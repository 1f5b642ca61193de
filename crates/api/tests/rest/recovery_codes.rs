//! Recovery codes of one's own account: how many are left, and new ones.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    house::{House, house},
    people::{PASSWORD, account, enrol, log_in, session},
};

const PATH: &str = "/api/v1/account/recovery-codes";

async fn get(house: &House, secret: &str) -> Value {
    let call = house.anonymous(Method::GET, PATH);
    call.cookie(secret).expect(200).await
}

async fn renew(house: &House, secret: &str) -> (StatusCode, Value) {
    let call = house.anonymous(Method::POST, PATH);
    call.cookie(secret).send().await
}

#[tokio::test]
async fn they_are_counted_and_new_ones_put_the_old_out_of_use() {
    let house = house().await;
    account(&house, "olga", "owner").await;
    let first = session(&house, "olga").await;
    assert_eq!(get(&house, &first).await, json!({ "left": 0, "made": 0 }));
    let (status, problem) = renew(&house, &first).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    let (_, codes, secret) = enrol(&house, &first).await;
    assert_eq!(
        get(&house, &secret).await,
        json!({ "left": 10, "made": 10 })
    );
    let with = |code: &str| json!({ "account": "olga", "password": PASSWORD, "code": code });
    assert_eq!(log_in(&house, with(&codes[0])).await.0, StatusCode::OK);
    assert_eq!(get(&house, &secret).await, json!({ "left": 9, "made": 10 }));
    let (status, made) = renew(&house, &secret).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let new = made["recovery_codes"].as_array().expect("codes");
    assert_eq!(new.len(), 10);
    assert_eq!(
        get(&house, &secret).await,
        json!({ "left": 10, "made": 10 })
    );
    let old = log_in(&house, with(&codes[1])).await;
    assert_eq!(old.0, StatusCode::UNAUTHORIZED);
    let new = log_in(&house, with(new[0].as_str().expect("text"))).await;
    assert_eq!(new.0, StatusCode::OK);
}

#[tokio::test]
async fn a_session_of_more_than_an_hour_makes_none_and_an_api_token_has_none() {
    let house = house().await;
    account(&house, "olga", "owner").await;
    let (_, _, secret) = enrol(&house, &session(&house, "olga").await).await;
    for _ in 0..3 {
        house.clock.advance_millis(25 * 60_000);
        get(&house, &secret).await;
    }
    let (status, problem) = renew(&house, &secret).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{problem}");
    let of_token = house.call(Method::GET, PATH).expect(200).await;
    assert_eq!(of_token, json!({ "left": 0, "made": 0 }));
    let made = house.call(Method::POST, PATH).send().await;
    assert_eq!(made.0, StatusCode::CONFLICT);
}
