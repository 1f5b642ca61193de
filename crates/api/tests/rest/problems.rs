//! Whatever goes wrong is a problem, and says nothing of the insides.

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
use axum::http::{HeaderMap, Method, StatusCode};
use palisade_api::people::{self, AuthError, Authenticator, Caller};
use serde_json::{Value, json};

use crate::house::house;

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_says_what_is_wrong() {
    let house = house().await;
    let path = "/api/v1/products/camera";
    let put = |body: &str| {
        let call = house.call(Method::PUT, path);
        call.body("application/json", body.to_owned())
    };
    for (body, status, says) in [
        ("{", 400, "not JSON"),
        ("", 400, "not JSON"),
        ("{}{}", 400, "not JSON"),
        ("[]", 422, "an object"),
        ("null", 422, "an object"),
        ("{\"colour\":1}", 422, "colour"),
        ("{\"description\":1}", 422, "description"),
        ("{\"description\":\"a\\u0000b\"}", 422, "control"),
        ("{\"default_segment\":\"a/b\"}", 422, "default_segment"),
        (
            "{\"description\":\"a\",\"description\":\"b\"}",
            422,
            "duplicate",
        ),
    ] {
        let why = put(body).problem(status).await;
        assert!(why.contains(says), "{body}: {why}");
    }
    let deep = format!("{{\"x\":{}", "[".repeat(10_000));
    put(&deep).problem(422).await;
    // The type comes after what it is the type of, which has to be held until then.
    let deep = "[".repeat(10_000);
    let deep = format!("{{\"scope\":{{\"id\":{deep}");
    let call = house.call(Method::POST, "/api/v1/grants");
    call.body("application/json", deep).problem(400).await;
    put(&format!("{{\"description\":\"{}\"}}", "x".repeat(2 << 20)))
        .problem(413)
        .await;
    let call = house.call(Method::PUT, path).body("text/plain", "{}");
    call.problem(415).await;
    put("{}").expect(200).await;
}

#[tokio::test]
async fn a_path_or_query_that_is_not_valid_is_refused() {
    let house = house().await;
    for (path, says) in [
        ("/api/v1/devices/a%2Fb", "device id"),
        ("/api/v1/devices?colour=red", "colour"),
        ("/api/v1/devices?limit=0", "limit"),
        ("/api/v1/devices?limit=1001", "limit"),
        ("/api/v1/devices?after=%00", "after"),
        ("/api/v1/devices?label=site", "label"),
        ("/api/v1/devices?lifecycle=happy", "lifecycle"),
        ("/api/v1/whoami?x=1", "x"),
        ("/api/v1/events?after=-1", "after"),
        ("/api/v1/events?kind=nothing", "kind"),
        ("/api/v1/events?principal=x", "principal"),
    ] {
        let why = house.get(path).problem(400).await;
        assert!(why.contains(says), "{path}: {why}");
    }
}

#[tokio::test]
async fn an_unknown_path_or_method_is_a_problem_too() {
    let house = house().await;
    for path in ["/api/v1", "/api/v1/nothing", "/api/v1/devices/"] {
        house.get(path).problem(404).await;
    }
    let answer = house.call(Method::DELETE, "/api/v1/devices").answer().await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.media_type(), "application/problem+json");
    let allow = answer.headers["allow"].to_str().expect("text");
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
}

#[tokio::test]
async fn every_answer_carries_what_browsers_must_know_and_no_cors() {
    let house = house().await;
    for path in ["/api/openapi.json", "/api/v1/status", "/nothing"] {
        let call = house
            .get(path)
            .header("origin", "https://elsewhere.example");
        let answer = call.answer().await;
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert!(answer.headers.contains_key("strict-transport-security"));
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
}

/// Recognises nobody, and breaks.
struct Panics;

#[async_trait]
impl Authenticator for Panics {
    async fn authenticate(&self, _: &HeaderMap, _: Option<IpAddr>) -> Result<Caller, AuthError> {
        panic!("the secret plan");
    }
}

#[tokio::test]
async fn a_panic_is_answered_and_says_nothing() {
    let mut house = house().await;
    house.router = people::router(house.state_with(Arc::new(Panics)));
    let why = house.get("/api/v1/whoami").problem(500).await;
    assert!(!why.contains("plan"), "{why}");
}

#[tokio::test]
async fn a_problem_names_its_type_title_and_status() {
    let house = house().await;
    let text = house.get("/api/v1/devices/none").problem(404).await;
    let problem: Value = serde_json::from_str(&text).expect("json");
    let expected = json!({
        "type": "urn:palisade:problem:not-found",
        "title": "There is no such resource",
        "status": 404,
        "detail": "device none does not exist",
    });
    assert_eq!(problem, expected);
}
