//! People: the first account, logging in, second factors, roles, and what ends a session.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::house::{Call, House, house};

pub(crate) const PASSWORD: &str = "tanzbar loewe kiste fenster";
pub(crate) const OTHER: &str = "umbrella seven giraffe kelp";

impl Call<'_> {
    /// As a page of this server sends it.
    pub(crate) fn cookie(self, secret: &str) -> Self {
        self.header("cookie", &format!("__Host-palisade={secret}"))
            .header("palisade-request", "1")
            .header("host", "fleet.test:8443")
            .header("origin", "https://fleet.test:8443")
            .header("sec-fetch-site", "same-origin")
    }
}

/// Logs in; the answer's status, its body, and the session's secret.
pub(crate) async fn log_in(house: &House, body: Value) -> (StatusCode, Value, Option<String>) {
    let call = house.anonymous(Method::POST, "/api/v1/session").json(body);
    let answer = call.answer().await;
    let cookie = answer.headers.get("set-cookie").map(|value| {
        let text = value.to_str().expect("text");
        let (pair, attributes) = text.split_once("; ").expect("attributes");
        assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Strict");
        pair.strip_prefix("__Host-palisade=")
            .expect("the name")
            .to_owned()
    });
    let status = answer.status;
    let body = serde_json::from_str(&answer.text().await).expect("json");
    (status, body, cookie)
}

/// An account whose person has chosen its password.
pub(crate) async fn account(house: &House, name: &str, role: &str) {
    let body = json!({ "name": name, "roles": [role], "password": OTHER });
    house.post("/api/v1/accounts", body).expect(201).await;
    let (_, view, first) = log_in(house, json!({ "account": name, "password": OTHER })).await;
    assert_eq!(view["first"], "change_password", "{view}");
    let change = json!({ "current": OTHER, "password": PASSWORD });
    let call = house.anonymous(Method::PUT, "/api/v1/account/password");
    let call = call.cookie(&first.expect("a session")).json(change);
    assert_eq!(call.answer().await.status, StatusCode::NO_CONTENT);
}

pub(crate) async fn session(house: &House, name: &str) -> String {
    let (status, view, secret) =
        log_in(house, json!({ "account": name, "password": PASSWORD })).await;
    assert_eq!(status, StatusCode::OK, "{view}");
    secret.expect("a session")
}

pub(crate) fn code(secret: &str, house: &House) -> String {
    use palisade_core::Clock;
    let secret = totp_rs::Secret::try_from_base32(secret).expect("base32");
    let totp = totp_rs::Builder::new().with_secret(secret).build();
    let now = u64::try_from(house.clock.now().as_second()).expect("after 1970");
    totp.expect("makes").generate(now).to_string()
}

/// Enrols TOTP; the secret, the recovery codes and the new session.
pub(crate) async fn enrol(house: &House, session: &str) -> (String, Vec<String>, String) {
    let call = house.anonymous(Method::POST, "/api/v1/account/totp");
    let made = call.cookie(session).expect(201).await;
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    let call = house.anonymous(Method::POST, "/api/v1/account/totp/confirm");
    let call = call
        .cookie(session)
        .json(json!({ "code": code(&secret, house) }));
    let answer = call.answer().await;
    assert_eq!(answer.status, StatusCode::OK);
    let cookie = answer.headers["set-cookie"].to_str().expect("text");
    let pair = cookie.split(';').next().expect("a pair");
    let new = pair
        .strip_prefix("__Host-palisade=")
        .expect("the name")
        .to_owned();
    let body: Value = serde_json::from_str(&answer.text().await).expect("json");
    let codes = body["recovery_codes"].as_array().expect("codes").iter();
    let codes = codes.map(|code| code.as_str().expect("text").to_owned());
    (secret, codes.collect(), new)
}

#[tokio::test]
async fn the_set_up_token_becomes_an_owner_who_enrols_a_second_factor_before_anything_else() {
    let house = house().await;
    for token in house.store.tokens().api().await.expect("reads") {
        house
            .store
            .tokens()
            .revoke_api(token.id)
            .await
            .expect("revokes");
    }
    let token = house.setup_token().await.expect("a token");
    let set_up = async |password: &str| {
        let body = json!({ "token": token, "name": "Anna", "password": password });
        let call = house.anonymous(Method::POST, "/api/v1/setup/account");
        call.json(body).send().await
    };
    let (status, problem) = set_up("palisade123").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert!(!problem["errors"].as_array().expect("why").is_empty());
    let (status, made) = set_up(PASSWORD).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(
        (&made["name"], &made["roles"]),
        (&json!("anna"), &json!(["owner"]))
    );
    assert_eq!(set_up(PASSWORD).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(house.setup_token().await, None, "there is an owner");

    let first = session(&house, "anna").await;
    let get = async |path: &str, secret: &str| {
        let call = house.anonymous(Method::GET, path);
        call.cookie(secret).send().await
    };
    let (status, why) = get("/api/v1/accounts", &first).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(
        why["detail"]
            .as_str()
            .expect("why")
            .contains("second factor"),
        "{why}"
    );
    let (_, who) = get("/api/v1/session", &first).await;
    assert_eq!(
        (&who["scopes"], &who["first"]),
        (&json!([]), &json!("enrol_second_factor"))
    );

    let (_, codes, second) = enrol(&house, &first).await;
    assert_eq!(codes.len(), 10);
    assert_eq!(
        get("/api/v1/session", &first).await.0,
        StatusCode::UNAUTHORIZED,
        "it rotates"
    );
    let (status, listed) = get("/api/v1/accounts", &second).await;
    assert_eq!(status, StatusCode::OK, "{listed}");
    let acts = house.entries().await;
    let act = acts
        .iter()
        .find(|entry| entry["act"] == "account.confirm_totp");
    let actor = &act.expect("an entry")["actor"];
    assert_eq!(actor, &json!({ "type": "account", "id": "anna" }));
}

#[tokio::test]
async fn a_code_counts_once_and_so_does_a_recovery_code() {
    let house = house().await;
    account(&house, "olga", "owner").await;
    let (secret, codes, _) = enrol(&house, &session(&house, "olga").await).await;
    let with = |code: &str| json!({ "account": "olga", "password": PASSWORD, "code": code });
    let (status, problem, _) =
        log_in(&house, json!({ "account": "olga", "password": PASSWORD })).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        problem["second_factor"],
        json!(["totp", "recovery"]),
        "{problem}"
    );
    // The code that confirmed it, and then the next one twice.
    let used = code(&secret, &house);
    assert_eq!(
        log_in(&house, with(&used)).await.0,
        StatusCode::UNAUTHORIZED
    );
    house.clock.advance_millis(30_000);
    let next = code(&secret, &house);
    assert_eq!(log_in(&house, with(&next)).await.0, StatusCode::OK);
    assert_eq!(
        log_in(&house, with(&next)).await.0,
        StatusCode::UNAUTHORIZED,
        "replayed"
    );
    house.clock.advance_millis(90_000);
    assert_eq!(
        log_in(&house, with(&next)).await.0,
        StatusCode::UNAUTHORIZED,
        "too old"
    );
    assert_eq!(log_in(&house, with(&codes[0])).await.0, StatusCode::OK);
    assert_eq!(
        log_in(&house, with(&codes[0])).await.0,
        StatusCode::UNAUTHORIZED
    );
    let wrong = json!({ "account": "olga", "password": "wrong", "code": codes[1] });
    let (_, problem, _) = log_in(&house, wrong).await;
    assert_eq!(problem.get("second_factor"), None, "{problem}");
}

#[tokio::test]
async fn nobody_learns_from_an_answer_which_accounts_there_are() {
    let house = house().await;
    account(&house, "anna", "auditor").await;
    account(&house, "carl", "auditor").await;
    let body = json!({ "disabled": true });
    let call = house
        .call(Method::PATCH, "/api/v1/accounts/carl")
        .json(body);
    call.expect(200).await;
    let mut answers = Vec::new();
    for (name, password) in [
        ("anna", "wrong"),
        ("nobody", "wrong"),
        ("no name!", "wrong"),
        ("carl", PASSWORD),
    ] {
        let (status, problem, cookie) =
            log_in(&house, json!({ "account": name, "password": password })).await;
        assert_eq!(cookie, None);
        answers.push((status, problem));
    }
    assert_eq!(answers[0].0, StatusCode::UNAUTHORIZED);
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
}

#[tokio::test]
async fn guesses_are_held_back_by_account_and_by_address() {
    let house = house().await;
    account(&house, "anna", "auditor").await;
    let guess = async |name: &str| {
        let body = json!({ "account": name, "password": "wrong" });
        log_in(&house, body).await.0
    };
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(guess("anna").await);
    }
    assert_eq!(
        statuses.last(),
        Some(&StatusCode::TOO_MANY_REQUESTS),
        "{statuses:?}"
    );
    // The right password waits as well, and then gets in.
    let right = json!({ "account": "anna", "password": PASSWORD });
    assert_eq!(
        log_in(&house, right.clone()).await.0,
        StatusCode::TOO_MANY_REQUESTS
    );
    house.clock.advance_millis(5_000);
    assert_eq!(log_in(&house, right).await.0, StatusCode::OK);
    let mut held_back = 0;
    for other in 0..40 {
        if guess(&format!("other-{other}")).await == StatusCode::TOO_MANY_REQUESTS {
            held_back += 1;
        }
    }
    assert!(held_back >= 15, "{held_back}");
}

#[tokio::test]
async fn a_request_that_another_page_made_a_browser_send_is_refused() {
    let house = house().await;
    account(&house, "anna", "operator").await;
    let secret = session(&house, "anna").await;
    let put = || {
        let call = house.anonymous(Method::PUT, "/api/v1/products/camera");
        call.json(json!({ "description": "x" }))
            .header("cookie", &format!("__Host-palisade={secret}"))
            .header("host", "fleet.test")
    };
    put().problem(403).await;
    put()
        .header("palisade-request", "1")
        .header("sec-fetch-site", "cross-site")
        .problem(403)
        .await;
    put()
        .header("palisade-request", "1")
        .header("origin", "https://evil.test")
        .problem(403)
        .await;
    put()
        .header("palisade-request", "1")
        .header("origin", "null")
        .problem(403)
        .await;
    let ours = put()
        .header("palisade-request", "1")
        .header("origin", "https://fleet.test");
    assert!(ours.answer().await.status.is_success());
    // Reading needs no header: another page cannot read the answer.
    let read = house.anonymous(Method::GET, "/api/v1/products");
    read.header("cookie", &format!("__Host-palisade={secret}"))
        .expect(200)
        .await;
    let both = house.get("/api/v1/products").cookie(&secret);
    both.problem(401).await;
}

#[tokio::test]
async fn a_session_ends_with_whatever_it_was_based_on() {
    let house = house().await;
    account(&house, "anna", "operator").await;
    let is_in = async |secret: &str| {
        let call = house.anonymous(Method::GET, "/api/v1/devices");
        call.cookie(secret).answer().await.status == StatusCode::OK
    };
    let change = async |body: Value| {
        house
            .call(Method::PATCH, "/api/v1/accounts/anna")
            .json(body)
            .expect(200)
            .await
    };
    let secret = session(&house, "anna").await;
    assert!(is_in(&secret).await);
    change(json!({ "roles": ["auditor"] })).await;
    assert!(!is_in(&secret).await, "a change of roles");

    let secret = session(&house, "anna").await;
    change(json!({ "disabled": true })).await;
    assert!(!is_in(&secret).await, "a disabled account");
    change(json!({ "disabled": false })).await;
    assert!(!is_in(&secret).await, "an account that was disabled");

    let (one, other) = (session(&house, "anna").await, session(&house, "anna").await);
    let own = house.anonymous(Method::GET, "/api/v1/account/sessions");
    let own = own.cookie(&one).expect(200).await;
    let current = own["items"].as_array().expect("items").iter();
    let current: Vec<&Value> = current.map(|session| &session["current"]).collect();
    assert_eq!(current, [&json!(true), &json!(false)], "{own}");
    let call = house
        .anonymous(Method::DELETE, "/api/v1/session")
        .cookie(&one);
    assert_eq!(call.answer().await.status, StatusCode::NO_CONTENT);
    assert!(!is_in(&one).await && is_in(&other).await, "only the one");
    let listed = house
        .get("/api/v1/accounts/anna/sessions")
        .expect(200)
        .await;
    let id = listed["items"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/accounts/anna/sessions/{id}");
    assert_eq!(
        house.call(Method::DELETE, &path).answer().await.status,
        StatusCode::NO_CONTENT
    );
    assert!(!is_in(&other).await, "an administrator ended it");

    let secret = session(&house, "anna").await;
    house
        .clock
        .advance_millis(Duration::from_secs(31 * 60).as_millis() as i64);
    assert!(!is_in(&secret).await, "idle");
    let secret = session(&house, "anna").await;
    let body = json!({ "password": OTHER.to_owned() + " 9" });
    let call = house
        .call(Method::PUT, "/api/v1/accounts/anna/password")
        .json(body);
    assert_eq!(call.answer().await.status, StatusCode::NO_CONTENT);
    assert!(!is_in(&secret).await, "another password");
}

#[tokio::test]
async fn nobody_makes_an_account_that_may_do_more_than_they_may() {
    let house = house().await;
    account(&house, "olga", "owner").await;
    let admin = house.token("narrow", &["admin"]).await;
    let call = |method, path: &str, body| house.anonymous(method, path).bearer(&admin).json(body);
    let new = json!({ "name": "mallory", "roles": ["owner"], "password": PASSWORD });
    call(Method::POST, "/api/v1/accounts", new)
        .problem(403)
        .await;
    let new = json!({ "name": "mallory", "roles": [], "password": PASSWORD });
    call(Method::POST, "/api/v1/accounts", new)
        .expect(201)
        .await;
    for (method, path, body) in [
        (
            Method::PATCH,
            "/api/v1/accounts/mallory",
            json!({ "roles": ["owner"] }),
        ),
        (
            Method::PUT,
            "/api/v1/accounts/olga/password",
            json!({ "password": OTHER }),
        ),
        (
            Method::DELETE,
            "/api/v1/accounts/olga/second-factors",
            json!({}),
        ),
    ] {
        call(method, path, body).problem(403).await;
    }
    // Nor does the last owner vanish.
    let last = house.call(Method::PATCH, "/api/v1/accounts/olga");
    last.json(json!({ "disabled": true })).problem(409).await;
    let last = house.call(Method::PATCH, "/api/v1/accounts/olga");
    last.json(json!({ "roles": ["auditor"] }))
        .problem(409)
        .await;
}

#[tokio::test]
async fn what_a_session_stands_on_is_in_no_file_and_no_record() {
    let house = house().await;
    account(&house, "olga", "owner").await;
    let (secret, codes, session) = enrol(&house, &session(&house, "olga").await).await;
    let bytes: Vec<Vec<u8>> = std::fs::read_dir(house.directory.path())
        .expect("reads")
        .flatten()
        .map(|file| std::fs::read(file.path()).unwrap_or_default())
        .collect();
    let code = codes[0].replace('-', "");
    for text in [PASSWORD, OTHER, &secret, &session, &codes[0], &code] {
        let is_in = |file: &Vec<u8>| file.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!bytes.iter().any(is_in), "{text}");
    }
}
