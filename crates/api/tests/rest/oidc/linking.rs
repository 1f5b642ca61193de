//! Linking an account with a provider: an act of its own person, and of nobody else.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    Browser, Page, fleet, is_written, name, provider::Provider, refused, sign_in, signs_in,
};
use crate::{
    house::House,
    people::{account, enrol, session},
};

const LINKS: &str = "/api/v1/account/oidc";

/// Begins to link the account of a session: the browser that does, and where it is sent.
async fn begin(house: &House, session: &str) -> (Browser, String) {
    let call = house.anonymous(Method::POST, "/api/v1/account/oidc/corp/begin");
    let answer = call.cookie(session).answer().await;
    assert_eq!(answer.status, StatusCode::OK);
    let cookie = answer.headers["set-cookie"].to_str().expect("text");
    let (bound, _) = cookie.split_once(';').expect("attributes");
    let (name, value) = bound.split_once('=').expect("a value");
    let mut browser = Browser::default();
    browser.cookies.insert(name.to_owned(), value.to_owned());
    let body: Value = serde_json::from_str(&answer.text().await).expect("JSON");
    (browser, body["url"].as_str().expect("a URL").to_owned())
}

async fn link(provider: &Provider, house: &House, session: &str) -> Page {
    let (mut browser, url) = begin(house, session).await;
    browser.back(house, &provider.lets_in(&url)).await
}

#[tokio::test]
async fn the_person_of_an_account_links_it_and_it_keeps_its_roles() {
    let (provider, house) = fleet(json!({})).await;
    account(&house, "olga", "auditor").await;
    let own = session(&house, "olga").await;
    let page = link(&provider, &house, &own).await;
    assert_eq!(
        (page.status, page.location.as_str()),
        (StatusCode::SEE_OTHER, "/account")
    );
    assert!(is_written(&house, &["account.link", "\"olga\"", "with corp"]).await);
    let links = house
        .anonymous(Method::GET, LINKS)
        .cookie(&own)
        .expect(200)
        .await;
    let one = &links["items"][0];
    assert_eq!(
        (&one["provider"], &one["subject"]),
        (&json!("corp"), &json!("subject-1"))
    );
    assert_eq!(one["is_origin"], false);
    // The claims say operator; what was given here stays.
    let browser = signs_in(&provider, &house).await;
    let who = browser.who(&house).await;
    assert_eq!(
        (&who["name"], &who["roles"]),
        (&json!("olga"), &json!(["auditor"]))
    );
    // A link beside it there is not, and it can be ended: that ends every session.
    let call = house.anonymous(Method::POST, "/api/v1/account/oidc/corp/begin");
    call.cookie(&own).problem(409).await;
    let call = house.anonymous(Method::DELETE, "/api/v1/account/oidc/corp");
    let answer = call.cookie(&own).answer().await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let call = house.anonymous(Method::GET, "/api/v1/session");
    call.cookie(browser.session().expect("a session"))
        .problem(401)
        .await;
    refused(&provider, &house, 403).await;
}

#[tokio::test]
async fn nobody_links_an_account_that_is_not_theirs() {
    let (provider, house) = fleet(json!({})).await;
    account(&house, "olga", "auditor").await;
    account(&house, "mallory", "technician").await;
    let olga = session(&house, "olga").await;
    // Not with a page of another origin, which cannot send the header.
    let call = house.anonymous(Method::POST, "/api/v1/account/oidc/corp/begin");
    let cookie = format!("__Host-palisade={olga}");
    call.header("cookie", &cookie).problem(403).await;
    // Not with what was begun in another browser: Mallory's identity would open Olga's account.
    let (_, url) = begin(&house, &olga).await;
    let ticket = provider.lets_in(&url);
    let mut mallory = Browser::default();
    mallory.begin(&house).await;
    assert_eq!(
        mallory.back(&house, &ticket).await.status,
        StatusCode::UNAUTHORIZED
    );
    // Not after the account was changed in between.
    let (mut browser, url) = begin(&house, &olga).await;
    house
        .store
        .accounts()
        .end_sessions("olga")
        .await
        .expect("ends");
    let page = browser.back(&house, &provider.lets_in(&url)).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.body);
    let olga = session(&house, "olga").await;
    let links = house
        .anonymous(Method::GET, LINKS)
        .cookie(&olga)
        .expect(200)
        .await;
    assert_eq!(links["items"], json!([]));
    // And one identity is one account's.
    assert_eq!(
        link(&provider, &house, &olga).await.status,
        StatusCode::SEE_OTHER
    );
    let own = session(&house, "mallory").await;
    let page = link(&provider, &house, &own).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.body);
    let who = signs_in(&provider, &house).await.who(&house).await;
    assert_eq!(who["name"], "olga");
}

#[tokio::test]
async fn linking_signs_nobody_in_and_does_not_spare_the_second_factor() {
    let (provider, house) = fleet(json!({})).await;
    account(&house, "olga", "owner").await;
    let first = session(&house, "olga").await;
    // Who has something else to do first adds no way in.
    let call = house.anonymous(Method::POST, "/api/v1/account/oidc/corp/begin");
    call.cookie(&first).problem(403).await;
    let (_, _, own) = enrol(&house, &first).await;
    let (mut browser, url) = begin(&house, &own).await;
    let page = browser.back(&house, &provider.lets_in(&url)).await;
    assert_eq!(page.location, "/account");
    assert_eq!(browser.session(), None);
    let (page, browser) = sign_in(&provider, &house).await;
    assert!(
        page.location.starts_with("/?owes=totp"),
        "{}",
        page.location
    );
    assert_eq!(browser.session(), None);
}

#[tokio::test]
async fn an_account_that_a_provider_made_has_no_way_in_besides() {
    let (provider, house) = fleet(json!({})).await;
    let browser = signs_in(&provider, &house).await;
    let own = browser.session().expect("a session");
    for (method, path) in [
        (Method::POST, "/api/v1/account/passkeys/begin"),
        (Method::POST, "/api/v1/account/oidc/corp/begin"),
        (Method::DELETE, "/api/v1/account/oidc/corp"),
    ] {
        let why = house.anonymous(method, path).cookie(own).problem(409).await;
        assert!(why.contains("made by a provider"), "{path}: {why}");
    }
    let found = house.people.account(&name("olga")).await.expect("is there");
    assert_eq!(found.roles, ["operator"]);
}

#[tokio::test]
async fn a_session_that_is_hours_old_links_nothing() {
    let (_provider, house) = fleet(json!({})).await;
    account(&house, "anna", "auditor").await;
    let own = session(&house, "anna").await;
    for _ in 0..3 {
        house.clock.advance_millis(25 * 60_000);
        house
            .anonymous(Method::GET, "/api/v1/session")
            .cookie(&own)
            .expect(200)
            .await;
    }
    let call = house.anonymous(Method::POST, "/api/v1/account/oidc/corp/begin");
    let why = call.cookie(&own).problem(403).await;
    assert!(why.contains("log in anew"), "{why}");
}
