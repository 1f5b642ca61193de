//! What attackers try on people and their sessions. That a code counts once, that other origins are refused, and what
//! ends a session stands in `people.rs`; passkeys and providers have files of their own.

use std::sync::{Arc, Mutex};

use axum::http::{Method, StatusCode};
use palisade_people::{AccountName, NewAccount};
use serde_json::{Value, json};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use crate::{
    house::{House, house},
    passkeys::{Person, begin, begin_enrolment, end, enrol_passkey, refused_with, secret_in},
    people::{OTHER, PASSWORD, account, code, enrol, log_in, session},
    scopes::operations,
};

async fn who(house: &House, secret: &str) -> (StatusCode, Value) {
    let call = house.anonymous(Method::GET, "/api/v1/session");
    call.cookie(secret).send().await
}

#[tokio::test]
async fn a_session_that_was_planted_is_never_the_one_that_begins() {
    let house = house().await;
    account(&house, "anna", "auditor").await;
    account(&house, "mallory", "technician").await;
    let planted = session(&house, "mallory").await;
    let made_up = format!("pss_{:A<43}", "planted");
    for before in [&planted, &made_up] {
        let body = json!({ "account": "anna", "password": PASSWORD });
        let call = house.anonymous(Method::POST, "/api/v1/session");
        let cookie = format!("__Host-palisade={before}");
        let answer = call.header("cookie", &cookie).json(body).answer().await;
        assert_eq!(answer.status, StatusCode::OK);
        let secret = secret_in(answer.headers["set-cookie"].to_str().expect("text"));
        assert_ne!(&secret, before);
        assert_eq!(who(&house, &secret).await.1["name"], "anna");
    }
    assert_eq!(who(&house, &planted).await.1["name"], "mallory");
    assert_eq!(who(&house, &made_up).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn no_write_at_all_is_done_for_a_page_of_another_origin() {
    let house = house().await;
    account(&house, "olga", "owner").await;
    let (_, _, secret) = enrol(&house, &session(&house, "olga").await).await;
    let mut writes = 0;
    for operation in operations() {
        if operation.method == Method::GET || operation.scope.is_none() {
            continue;
        }
        let call = || {
            let call = house.anonymous(operation.method.clone(), &operation.path);
            call.header("cookie", &format!("__Host-palisade={secret}"))
                .header("host", "fleet.test:8443")
                .json(json!({}))
        };
        let why = call().problem(403).await;
        assert!(why.contains("Palisade-Request"), "{}: {why}", operation.id);
        let forged = call().header("palisade-request", "1");
        let forged = forged.header("origin", "https://evil.test");
        let why = forged.problem(403).await;
        assert!(why.contains("Palisade-Request"), "{}: {why}", operation.id);
        writes += 1;
    }
    assert!(writes > 40, "only {writes}");
    assert_eq!(who(&house, &secret).await.0, StatusCode::OK);
}

#[tokio::test]
async fn credentials_in_an_address_are_worth_nothing() {
    let house = house().await;
    account(&house, "anna", "auditor").await;
    let secret = session(&house, "anna").await;
    let token = house.admin.clone();
    for name in [
        "token",
        "access_token",
        "session",
        "__Host-palisade",
        "authorization",
    ] {
        for value in [&secret, &token] {
            let path = format!("/api/v1/session?{name}={value}");
            let answer = house.anonymous(Method::GET, &path).answer().await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name}");
        }
    }
}

/// A log of everything at every level, kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<String>>);

impl Visit for Kept {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let mut log = self.0.lock().expect("whole");
        log.push_str(&format!("{}={value:?}\n", field.name()));
    }
}

impl Subscriber for Kept {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn what_people_show_and_what_they_are_given_is_in_no_log() {
    let kept = Kept::default();
    let subscriber = kept.clone();
    let _guard = tracing::subscriber::set_default(subscriber);
    let house = house().await;
    account(&house, "olga", "owner").await;
    let first = session(&house, "olga").await;
    let (totp, codes, second) = enrol(&house, &first).await;
    let begun = begin_enrolment(&house, &second).await;
    let mut person = Person::new();
    enrol_passkey(&house, &second, &mut person).await;
    let challenge = begin(&house).await;
    let signed = person.signs(&challenge["options"]).await;
    end(&house, &challenge["ceremony"], &signed).await;
    let wrong = "a password that is not right";
    log_in(
        &house,
        json!({ "account": "olga", "password": wrong, "code": codes[0] }),
    )
    .await;
    tracing::info!("the log is kept");
    let log = kept.0.lock().expect("whole").clone();
    assert!(log.contains("the log is kept"));
    let ceremonies = [&begun["ceremony"], &challenge["ceremony"]];
    let ceremonies = ceremonies.map(|text| text.as_str().expect("text").to_owned());
    let mut secrets = vec![PASSWORD, OTHER, wrong, &first, &second, &totp, &house.admin];
    secrets.extend(codes.iter().chain(&ceremonies).map(String::as_str));
    for secret in secrets {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn of_two_who_show_the_same_at_the_same_time_one_comes_in() {
    let house = house().await;
    account(&house, "olga", "owner").await;
    let first = session(&house, "olga").await;
    let made = house.anonymous(Method::POST, "/api/v1/account/totp");
    let made = made.cookie(&first).expect(201).await;
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    let confirm = async || {
        let call = house.anonymous(Method::POST, "/api/v1/account/totp/confirm");
        let call = call.cookie(&first);
        let body = json!({ "code": code(&secret, &house) });
        call.json(body).answer().await.status == StatusCode::OK
    };
    let (one, other) = tokio::join!(confirm(), confirm());
    assert!(one ^ other, "two confirmations");

    house.clock.advance_millis(30_000);
    let body = json!({ "account": "olga", "password": PASSWORD, "code": code(&secret, &house) });
    let enter = async || log_in(&house, body.clone()).await.0 == StatusCode::OK;
    let (one, other) = tokio::join!(enter(), enter());
    assert!(one ^ other, "two log-ins with one code");

    house.clock.advance_millis(30_000);
    let body = json!({ "account": "olga", "password": PASSWORD, "code": code(&secret, &house) });
    let session = log_in(&house, body).await.2.expect("a session");
    let mut person = Person::new();
    enrol_passkey(&house, &session, &mut person).await;
    let begun = begin(&house).await;
    let signed = person.signs(&begun["options"]).await;
    let enter = async || end(&house, &begun["ceremony"], &signed).await.0 == StatusCode::OK;
    let (one, other) = tokio::join!(enter(), enter());
    assert!(one ^ other, "two log-ins with one assertion");
}

#[tokio::test]
async fn one_address_that_tries_one_password_at_a_thousand_accounts_is_stopped_and_seen() {
    let house = house().await;
    account(&house, "anna", "auditor").await;
    let before = house.people.workshop().works();
    let mut tried = 0;
    for number in 0..1_000 {
        let name = format!("account-{number}");
        let (status, ..) = log_in(&house, json!({ "account": name, "password": OTHER })).await;
        tried += usize::from(status == StatusCode::UNAUTHORIZED);
        assert!(
            matches!(
                status,
                StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS
            ),
            "{status}"
        );
    }
    assert_eq!(tried, 21, "each further one waits");
    let hashed = house.people.workshop().works() - before;
    assert_eq!(hashed, 21, "who must wait costs no hashing");
    assert!(refused_with(&house, "an account or password that is not right").await);
    assert!(refused_with(&house, "too many attempts to log in").await);
}

#[tokio::test]
async fn an_account_that_is_attacked_is_told_of_by_name() {
    let house = house().await;
    account(&house, "anna", "auditor").await;
    house.clock.advance_millis(4_000_000);
    for _ in 0..7 {
        log_in(&house, json!({ "account": "Anna", "password": OTHER })).await;
    }
    assert!(refused_with(&house, "too many attempts at this account").await);
    let entries = house.entries().await;
    let told = entries
        .iter()
        .find(|entry| entry["act"] == "session.begin" && entry["outcome"] == "refused");
    let actor = &told.expect("an entry")["actor"];
    assert_eq!(actor, &json!({ "type": "account", "id": "anna" }));
}

#[tokio::test]
async fn no_body_of_ones_own_account_makes_more_of_it() {
    let house = house().await;
    account(&house, "anna", "auditor").await;
    let secret = session(&house, "anna").await;
    let more = [
        ("roles", json!(["owner"])),
        ("role", json!("owner")),
        ("owner", json!(true)),
        ("must_change", json!(false)),
        ("second_factor", json!(true)),
        ("name", json!("olga")),
        ("account", json!("olga")),
        ("generation", json!(0)),
    ];
    let credential = json!({ "ceremony": "pce_x", "credential": {} });
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
        (Method::POST, "/api/v1/account/passkeys", credential.clone()),
        (Method::POST, "/api/v1/session/passkey", credential),
        (Method::POST, "/api/v1/session/passkey/begin", json!({})),
        (
            Method::POST,
            "/api/v1/session",
            json!({ "account": "anna", "password": PASSWORD }),
        ),
    ];
    for (method, path, body) in bodies {
        for (name, value) in &more {
            let is_known = (*name == "account" && path == "/api/v1/session")
                || (*name == "name" && path == "/api/v1/account/passkeys");
            if is_known {
                continue;
            }
            let mut body = body.clone();
            if path == "/api/v1/account/passkeys" {
                body["name"] = json!("Laptop");
            }
            body[*name] = value.clone();
            let call = house.anonymous(method.clone(), path).cookie(&secret);
            let why = call.json(body).problem(422).await;
            assert!(why.contains(name), "{path}: {why}");
        }
    }
    let (_, view) = who(&house, &secret).await;
    assert_eq!(
        (&view["name"], &view["roles"]),
        (&json!("anna"), &json!(["auditor"]))
    );
}

#[tokio::test]
async fn whoever_is_not_let_in_costs_the_same_work() {
    let house = house().await;
    account(&house, "anna", "auditor").await;
    account(&house, "carl", "auditor").await;
    let carl = AccountName::parse("carl").expect("a name");
    house.people.set_disabled(&carl, true).await.expect("sets");
    // One that came through a provider has no password.
    let bert = NewAccount {
        name: AccountName::parse("bert").expect("a name"),
        roles: Vec::new(),
        password: PASSWORD.to_owned(),
        must_change: false,
    };
    let mut bert = house.people.prepare(bert).await.expect("is good");
    bert.password.clear();
    let subjects = house.store.oidc_subjects();
    subjects
        .add("https://id.test", "1", &bert)
        .await
        .expect("adds");
    house.clock.advance_millis(4_000_000);
    let mut answers = Vec::new();
    for (name, password) in [
        ("anna", OTHER),
        ("nobody", OTHER),
        ("no name!", OTHER),
        ("carl", PASSWORD),
        ("bert", PASSWORD),
        ("bert", ""),
    ] {
        let before = house.people.workshop().works();
        let password = if password.is_empty() { " " } else { password };
        let body = json!({ "account": name, "password": password });
        let (status, problem, _) = log_in(&house, body).await;
        assert_eq!(house.people.workshop().works() - before, 1, "{name}");
        answers.push((status, problem));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}
