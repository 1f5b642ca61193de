//! Passwords are judged for whoever asks, and forgotten.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::house::house;

#[tokio::test]
async fn software_may_ask_whether_a_password_may_be_used() {
    let house = house().await;
    let reader = house.token("reader", &["devices:read"]).await;
    let judge = async |body: Value| {
        let call = house.anonymous(Method::POST, "/api/v1/passwords/check");
        call.bearer(&reader).json(body).send().await
    };
    let (status, verdict) = judge(json!({ "password": "123456" })).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(verdict["acceptable"], false);
    let rules: Vec<_> = verdict["failing"]
        .as_array()
        .expect("rules")
        .iter()
        .map(|failing| failing["rule"].as_str().expect("a name"))
        .collect();
    assert!(rules.contains(&"length") && rules.contains(&"common"));
    let (_, verdict) = judge(json!({ "password": "tanzbar loewe kiste fenster" })).await;
    assert_eq!(verdict["acceptable"], true, "{verdict}");
    let own = json!({ "password": "tanzbar loewe kiste fenster", "own": ["loewe"] });
    let (_, verdict) = judge(own).await;
    assert_eq!(verdict["failing"][0]["rule"], "own_data", "{verdict}");
}

#[tokio::test]
async fn a_password_that_is_asked_about_is_written_down_nowhere() {
    let house = house().await;
    let secret = "zebra-under-GLASS-77-tree";
    let body = json!({ "password": secret });
    let (status, verdict) = house.post("/api/v1/passwords/check", body).send().await;
    assert_eq!(status, StatusCode::OK);
    assert!(!verdict.to_string().contains(secret));
    let entries = house.entries().await;
    assert!(!json!(entries).to_string().contains(secret));
    let files = std::fs::read_dir(house.directory.path()).expect("reads");
    for file in files.flatten() {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        let found = bytes
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!found, "{}", file.path().display());
    }
}

#[tokio::test]
async fn a_question_about_too_much_is_refused() {
    let house = house().await;
    let words: Vec<_> = (0..17).map(|i| format!("w{i}")).collect();
    for (body, expected) in [
        (json!({ "password": "x".repeat(1025) }), 422),
        (json!({ "password": "x", "own": words }), 422),
        (json!({ "password": "x", "more": 1 }), 422),
        (json!({ "password": "x".repeat(20_000) }), 413),
    ] {
        let (status, _) = house.post("/api/v1/passwords/check", body).send().await;
        assert_eq!(status.as_u16(), expected);
    }
}
