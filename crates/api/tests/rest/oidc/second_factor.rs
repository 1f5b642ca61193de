//! Second factors of those who sign in with a provider: the provider's where the configuration says so, else ours.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Browser, fleet, is_written, name, provider::Provider, refused, sign_in, signs_in};
use crate::{
    house::House,
    people::{PASSWORD, account, code, enrol, session},
};

#[tokio::test]
async fn an_owner_by_claims_may_do_nothing_until_a_second_factor_is_there() {
    let (provider, house) = fleet(json!({})).await;
    provider.script().claims["groups"] = json!(["admins"]);
    provider.script().claims["amr"] = json!(["pwd", "mfa", "otp", "hwk"]);
    let browser = signs_in(&provider, &house).await;
    let who = browser.who(&house).await;
    // What the provider says of it counts nowhere but where it is configured to.
    assert_eq!(
        (&who["first"], &who["scopes"]),
        (&json!("enrol_second_factor"), &json!([]))
    );
    let call = house.anonymous(Method::GET, "/api/v1/devices");
    call.cookie(browser.session().expect("a session"))
        .problem(403)
        .await;
}

#[tokio::test]
async fn a_second_factor_of_the_provider_is_one_where_it_is_configured_to_be() {
    let trusting = json!({ "second_factor_amr": ["mfa", "hwk"], "second_factor_acr": ["gold"] });
    let (provider, house) = fleet(trusting).await;
    provider.script().claims["groups"] = json!(["admins"]);
    for (claims, is_enough) in [
        (json!({ "amr": ["pwd", "mfa"] }), true),
        (json!({ "amr": ["pwd"] }), false),
        (json!({ "acr": "gold" }), true),
        (json!({ "acr": "mfa" }), false),
    ] {
        for claim in ["amr", "acr"] {
            provider.script().claims[claim] = claims.get(claim).cloned().unwrap_or_default();
        }
        let who = signs_in(&provider, &house).await.who(&house).await;
        assert_eq!(who["first"] == Value::Null, is_enough, "{claims}: {who}");
        assert_eq!(who["scopes"] == json!(["*"]), is_enough, "{claims}: {who}");
    }
}

/// An account that a provider made, with an authenticator app: its secret.
async fn with_app(provider: &Provider, house: &House) -> String {
    let browser = signs_in(provider, house).await;
    enrol(house, browser.session().expect("a session")).await.0
}

async fn show(house: &House, browser: &mut Browser, code: &str) -> (StatusCode, Value) {
    let bound = browser
        .cookies
        .get("__Host-palisade-sign-in")
        .cloned()
        .unwrap_or_default();
    let call = house.anonymous(Method::POST, "/api/v1/session/oidc/code");
    let call = call.header("cookie", &format!("__Host-palisade-sign-in={bound}"));
    let answer = call.json(json!({ "code": code })).answer().await;
    for value in answer.headers.get_all("set-cookie") {
        let pair = value
            .to_str()
            .expect("text")
            .split(';')
            .next()
            .expect("a pair");
        let (name, value) = pair.split_once('=').expect("a value");
        browser.cookies.insert(name.to_owned(), value.to_owned());
    }
    let status = answer.status;
    (
        status,
        serde_json::from_str(&answer.text().await).expect("JSON"),
    )
}

#[tokio::test]
async fn who_has_a_second_factor_here_owes_its_code_once() {
    let (provider, house) = fleet(json!({})).await;
    let secret = with_app(&provider, &house).await;
    let (page, mut browser) = sign_in(&provider, &house).await;
    assert_eq!(page.location, "/?owes=totp&next=/");
    assert_eq!(browser.session(), None, "a session before the code");
    let (status, problem) = show(&house, &mut browser, "000000").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{problem}");
    assert_eq!(problem["second_factor"], json!(["totp", "recovery"]));
    assert!(is_written(&house, &["no code of a second factor that is right"]).await);
    // The code that enrolled it counted then.
    let (status, _) = show(&house, &mut browser, &code(&secret, &house)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "a code that was used");
    house.clock.advance_millis(30_000);
    let right = code(&secret, &house);
    let bound = browser.cookies.clone();
    let (status, who) = show(&house, &mut browser, &right).await;
    assert_eq!(status, StatusCode::OK, "{who}");
    assert_eq!(browser.who(&house).await["name"], "olga");
    // What was owed is paid: neither the code nor what it was shown with opens anything again.
    house.clock.advance_millis(30_000);
    let mut thief = Browser {
        cookies: bound,
        ..Browser::default()
    };
    let (status, _) = show(&house, &mut thief, &code(&secret, &house)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, _) = show(&house, &mut Browser::default(), &code(&secret, &house)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "without a sign-in");
}

#[tokio::test]
async fn codes_are_not_guessed_and_a_disabled_account_pays_in_vain() {
    let (provider, house) = fleet(json!({})).await;
    let secret = with_app(&provider, &house).await;
    let (_, mut browser) = sign_in(&provider, &house).await;
    let mut statuses = Vec::new();
    for guess in 0..8 {
        statuses.push(
            show(&house, &mut browser, &format!("{guess:06}"))
                .await
                .0
                .as_u16(),
        );
    }
    assert!(statuses.ends_with(&[429, 429]), "{statuses:?}");
    house.clock.advance_millis(30_000);
    house
        .people
        .set_disabled(&name("olga"), true)
        .await
        .expect("sets");
    let (status, _) = show(&house, &mut browser, &code(&secret, &house)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn nobody_is_an_owner_by_claims_but_by_a_value_that_is_mapped_to_it() {
    let (provider, house) = fleet(json!({ "roles": { "ops": ["operator"] } })).await;
    provider.script().claims["groups"] = json!(["ops", "owner", "admins", "*"]);
    let who = signs_in(&provider, &house).await.who(&house).await;
    assert_eq!(who["roles"], json!(["operator"]));
}

#[tokio::test]
async fn the_last_owner_is_not_lost_to_a_claim_and_gets_in_as_nothing_else() {
    let (provider, house) = fleet(json!({ "second_factor_amr": ["mfa"] })).await;
    provider.script().claims["groups"] = json!(["admins"]);
    provider.script().claims["amr"] = json!(["mfa"]);
    let browser = signs_in(&provider, &house).await;
    provider.script().claims["groups"] = json!(["ops"]);
    let why = refused(&provider, &house, 403).await;
    assert!(why.contains("last owner"), "{why}");
    browser.who(&house).await;
    account(&house, "anna", "owner").await;
    assert_eq!(
        signs_in(&provider, &house).await.who(&house).await["roles"],
        json!(["operator"])
    );
    let _ = (PASSWORD, session(&house, "anna").await);
}
