//! What attackers try at the door for people that is no matter of one route: a session that was planted, fields that are not
//! theirs to set, one password at many accounts, secrets in addresses.

use axum::http::{Method, StatusCode};
use palisade_people::PasswordHash;
use palisade_store::Account;
use serde_json::json;

use crate::{
    house::{House, house},
    people::{OTHER, PASSWORD, account, log_in, session},
};

async fn answers(house: &House, secret: &str) -> StatusCode {
    let call = house.anonymous(Method::GET, "/api/v1/session");
    call.cookie(secret).answer().await.status
}

#[tokio::test]
async fn a_session_that_was_planted_in_a_browser_is_never_who_logs_in_with_it() {
    let house = house().await;
    account(&house, "anna", "auditor").await;
    account(&house, "mallory", "technician").await;
    let of_mallory = session(&house, "mallory").await;
    let made_up = format!("pss_{}", "A".repeat(43));
    for planted in [made_up, of_mallory.clone()] {
        let body = json!({ "account": "anna", "password": PASSWORD });
        let call = house.anonymous(Method::POST, "/api/v1/session");
        let answer = call.cookie(&planted).json(body).answer().await;
        assert_eq!(answer.status, StatusCode::OK);
        let set = answer.headers["set-cookie"].to_str().expect("text");
        assert!(
            !set.contains(&planted),
            "the session is the one that was planted"
        );
        let call = house.anonymous(Method::GET, "/api/v1/session");
        let (_, who) = call.cookie(&planted).send().await;
        assert_ne!(who["name"], "anna", "{who}");
    }
    assert_eq!(answers(&house, &of_mallory).await, StatusCode::OK);
    // Nor does a rise of privilege keep the session that it began in.
    let before = session(&house, "anna").await;
    crate::people::enrol(&house, &before).await;
    assert_eq!(answers(&house, &before).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn fields_that_are_not_there_to_be_set_are_refused_and_set_nothing() {
    let house = house().await;
    account(&house, "anna", "auditor").await;
    let own = session(&house, "anna").await;
    let extras = [
        json!({ "roles": ["owner"] }),
        json!({ "role": "owner" }),
        json!({ "name": "olga" }),
        json!({ "disabled": false }),
        json!({ "must_change": false }),
        json!({ "generation": 7 }),
        json!({ "second_factor": true }),
        json!({ "scopes": ["*"] }),
        json!({ "account": "olga" }),
        json!({ "__proto__": { "roles": ["owner"] } }),
    ];
    let bodies = [
        (
            Method::PUT,
            "/api/v1/account/password",
            json!({ "current": PASSWORD, "password": OTHER }),
        ),
        (
            Method::POST,
            "/api/v1/account/totp/confirm",
            json!({ "code": "123456" }),
        ),
        (
            Method::POST,
            "/api/v1/session/oidc/code",
            json!({ "code": "123456" }),
        ),
        (Method::POST, "/api/v1/session/passkey/begin", json!({})),
    ];
    for (method, path, body) in bodies {
        for extra in &extras {
            let mut body = body.clone();
            let members = extra.as_object().expect("an object").clone();
            body.as_object_mut().expect("an object").extend(members);
            let call = house.anonymous(method.clone(), path).cookie(&own);
            let why = call.json(body).problem(422).await;
            assert!(why.contains("unknown field"), "{path} {extra}: {why}");
        }
    }
    // An administrator sets what there is to be set, and nothing beside it.
    for extra in [
        "generation",
        "password",
        "name",
        "second_factor",
        "created_at",
    ] {
        let call = house.call(Method::PATCH, "/api/v1/accounts/anna");
        let body = json!({ "disabled": false, extra: "x" });
        call.json(body).problem(422).await;
    }
    let who = house
        .anonymous(Method::GET, "/api/v1/session")
        .cookie(&own)
        .expect(200)
        .await;
    assert_eq!(
        (&who["name"], &who["roles"]),
        (&json!("anna"), &json!(["auditor"]))
    );
}

#[tokio::test]
async fn one_password_at_a_thousand_accounts_from_one_address_opens_none_of_them() {
    let house = house().await;
    account(&house, "anna", "auditor").await;
    let inside = session(&house, "anna").await;
    let hash = PasswordHash::of(PASSWORD).expect("hashes");
    let now = palisade_core::Timestamp::now();
    for number in 0..1_000 {
        let one = Account {
            name: format!("person-{number:04}"),
            roles: vec!["auditor".to_owned()],
            password: hash.as_str().to_owned(),
            must_change: false,
            disabled: false,
            generation: 1,
            created_at: now,
            password_changed_at: now,
            last_login_at: None,
        };
        house.store.accounts().add(&one).await.expect("adds");
    }
    let (mut judged, mut held_back) = (0, 0);
    for number in 0..1_000 {
        let body =
            json!({ "account": format!("person-{number:04}"), "password": "Sommer-2026-Sommer" });
        match log_in(&house, body).await.0 {
            StatusCode::UNAUTHORIZED => judged += 1,
            StatusCode::TOO_MANY_REQUESTS => held_back += 1,
            other => panic!("{other}"),
        }
        // A minute for all of them, as a patient tool would take.
        house.clock.advance_millis(60);
    }
    assert!(
        judged < 40,
        "{judged} passwords were judged, {held_back} held back"
    );
    // Nobody else is locked out, and whoever is in stays in.
    assert_eq!(answers(&house, &inside).await, StatusCode::OK);
    let account = palisade_people::LogIn {
        account: "person-0999".to_owned(),
        password: PASSWORD.to_owned(),
        code: None,
        source: Some([198, 51, 100, 9].into()),
    };
    house
        .people
        .log_in(account)
        .await
        .map(drop)
        .expect("another address gets in");
}

#[tokio::test]
async fn a_secret_in_an_address_opens_nothing_and_is_in_no_record() {
    let house = house().await;
    account(&house, "anna", "auditor").await;
    let own = session(&house, "anna").await;
    let token = house.token("leaky", &["*"]).await;
    for name in [
        "token",
        "access_token",
        "authorization",
        "session",
        "__Host-palisade",
        "api_key",
    ] {
        for secret in [&token, &own] {
            let path = format!("/api/v1/devices?{name}={secret}");
            let status = house.anonymous(Method::GET, &path).answer().await.status;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{name}");
        }
    }
    let path = format!("/api/v1/session/oidc/corp/callback?code={own}&state={token}");
    house.anonymous(Method::GET, &path).answer().await;
    let cancel = tokio_util::sync::CancellationToken::new();
    cancel.cancel();
    house.state.clone().run(cancel).await;
    for entry in house.entries().await {
        let entry = entry.to_string();
        assert!(!entry.contains(&token) && !entry.contains(&own), "{entry}");
    }
}
