//! A session belongs to the browser and, where that is wanted, to the network it began in.

use axum::http::{Method, StatusCode};
use palisade_people::{AccountsConfig, Bond, SessionRules};

use crate::{
    house::{Call, House, house, house_of},
    people::{account, session},
};

const PATH: &str = "/api/v1/session";

fn as_browser<'a>(house: &'a House, secret: &str, browser: &str) -> Call<'a> {
    let call = house.anonymous(Method::GET, PATH).cookie(secret);
    call.header("user-agent", browser)
}

async fn status(call: Call<'_>) -> StatusCode {
    call.answer().await.status
}

#[tokio::test]
async fn a_session_that_another_browser_shows_ends_for_both_and_is_found() {
    let house = house().await;
    account(&house, "anna", "auditor").await;
    let secret = session(&house, "anna").await;
    assert_eq!(status(as_browser(&house, &secret, "Firefox")).await, 200);
    assert_eq!(status(as_browser(&house, &secret, "Firefox")).await, 200);
    assert_eq!(status(as_browser(&house, &secret, "curl")).await, 401);
    // Whoever stole it could say that they are Firefox: nobody has it any more.
    assert_eq!(status(as_browser(&house, &secret, "Firefox")).await, 401);
    let events = house
        .get("/api/v1/events?kind=administrative")
        .expect(200)
        .await;
    let events = events["items"].as_array().expect("items");
    let mut events = events.iter().map(|item| &item["event"]);
    let told = events.find(|event| {
        let reason = event["reason"].as_str().unwrap_or_default();
        reason.starts_with("a session came from another browser")
    });
    let told = told.expect("it is on the record");
    assert_eq!(
        (told["actor"]["id"].as_str(), told["outcome"].as_str()),
        (Some("anna"), Some("refused"))
    );
    // Anna's other sessions go on.
    let other = session(&house, "anna").await;
    assert_eq!(status(as_browser(&house, &other, "Firefox")).await, 200);
}

#[tokio::test]
async fn a_session_may_be_bound_to_its_network() {
    let rules = |bound_to| AccountsConfig {
        sessions: SessionRules {
            bound_to,
            ..SessionRules::default()
        },
        ..AccountsConfig::default()
    };
    for (bound_to, expected) in [
        (vec![Bond::Browser], StatusCode::OK),
        (vec![Bond::Network], StatusCode::UNAUTHORIZED),
        (vec![], StatusCode::OK),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let house = house_of(directory, rules(bound_to)).await;
        account(&house, "anna", "auditor").await;
        let secret = session(&house, "anna").await;
        assert_eq!(status(as_browser(&house, &secret, "Firefox")).await, 200);
        let elsewhere = as_browser(&house, &secret, "Firefox").from([198, 51, 100, 9]);
        assert_eq!(status(elsewhere).await, expected);
        assert_eq!(
            status(as_browser(&house, &secret, "Firefox")).await,
            expected
        );
    }
}
