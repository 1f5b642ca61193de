//! Passkeys, made and used by an authenticator that we did not write: enrolling, logging in, removing, and what an
//! attacker tries.

use axum::http::{Method, StatusCode};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use palisade_people::{AccountName, Role};
use passkey::{
    authenticator::{Authenticator, UiHint, UserCheck, UserValidationMethod},
    client::{Client, DefaultClientData},
    crypto::aws_lc_rs::AwsLcRsBackend,
    types::{
        Passkey,
        ctap2::{Aaguid, Ctap2Error},
    },
};
use serde_json::{Value, json};
use url::Url;

use crate::{
    house::{House, house},
    people::{PASSWORD, account, enrol, log_in, session},
};

const ORIGIN: &str = "https://fleet.test:8443";

/// Somebody with an authenticator that holds one passkey.
struct Person {
    passkey: Option<Passkey>,
    is_known: bool,
    origin: Url,
}

/// A finger on the authenticator, that it knows or does not.
struct Finger {
    is_known: bool,
}

#[async_trait::async_trait]
impl UserValidationMethod for Finger {
    type PasskeyItem = Passkey;

    async fn check_user<'a>(
        &self,
        _: UiHint<'a, Passkey>,
        presence: bool,
        _: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck {
            presence,
            verification: self.is_known,
        })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(true)
    }
}

impl Person {
    fn new() -> Self {
        Self {
            passkey: None,
            is_known: true,
            origin: Url::parse(ORIGIN).expect("a URL"),
        }
    }

    fn authenticator(&self) -> Authenticator<Option<Passkey>, Finger, AwsLcRsBackend> {
        let finger = Finger {
            is_known: self.is_known,
        };
        let store = self.passkey.clone();
        let aaguid = Aaguid::new_empty();
        let mut authenticator = Authenticator::new(aaguid, store, finger, AwsLcRsBackend);
        authenticator.set_make_credentials_with_signature_counter(true);
        authenticator
    }

    async fn makes(&mut self, options: &Value) -> Value {
        let options = serde_json::from_value(options.clone()).expect("WebAuthn's JSON");
        let mut client = Client::new(self.authenticator());
        let made = client.register(&self.origin, options, DefaultClientData);
        let made = as_browsers_write(&made.await.expect("makes"));
        self.passkey = client.authenticator().store().clone();
        made
    }

    async fn signs(&mut self, options: &Value) -> Value {
        let mut options = options.clone();
        // Browsers take an empty list for none; this client does not.
        let public_key = options["publicKey"].as_object_mut().expect("an object");
        assert_eq!(public_key.remove("allowCredentials"), Some(json!([])));
        let options = serde_json::from_value(options).expect("WebAuthn's JSON");
        let mut client = Client::new(self.authenticator());
        let signed = client.authenticate(&self.origin, options, DefaultClientData);
        let signed = as_browsers_write(&signed.await.expect("signs"));
        self.passkey = client.authenticator().store().clone();
        signed
    }

    fn passkey(&mut self) -> &mut Passkey {
        self.passkey.as_mut().expect("a passkey")
    }
}

/// The JSON of `PublicKeyCredential.toJSON()`: bytes are in base64url.
fn as_browsers_write(credential: &impl serde::Serialize) -> Value {
    fn walk(value: Value) -> Value {
        match value {
            Value::Object(members) => {
                let members = members.into_iter().map(|(name, value)| (name, walk(value)));
                Value::Object(members.collect())
            }
            Value::Array(items) if items.iter().all(Value::is_u64) => {
                let bytes = items
                    .iter()
                    .filter_map(|item| item.as_u64()?.try_into().ok());
                let bytes: Vec<u8> = bytes.collect();
                URL_SAFE_NO_PAD.encode(bytes).into()
            }
            other => other,
        }
    }
    walk(serde_json::to_value(credential).expect("JSON"))
}

async fn begin_enrolment(house: &House, session: &str) -> Value {
    let call = house.anonymous(Method::POST, "/api/v1/account/passkeys/begin");
    call.cookie(session).expect(200).await
}

/// The answer's status and body, and the secret of a new session.
async fn end_enrolment(
    house: &House,
    session: &str,
    ceremony: &Value,
    credential: Value,
) -> (StatusCode, Value, Option<String>) {
    let body = json!({ "ceremony": ceremony, "name": "Laptop", "credential": credential });
    let call = house.anonymous(Method::POST, "/api/v1/account/passkeys");
    let answer = call.cookie(session).json(body).answer().await;
    let cookie = answer.headers.get("set-cookie");
    let cookie = cookie.map(|value| secret_in(value.to_str().expect("text")));
    let status = answer.status;
    let body = serde_json::from_str(&answer.text().await).expect("JSON");
    (status, body, cookie)
}

fn secret_in(cookie: &str) -> String {
    let pair = cookie.split(';').next().expect("a pair");
    let secret = pair.strip_prefix("__Host-palisade=");
    secret.expect("the name").to_owned()
}

/// Enrols a passkey; what was answered, and the session to go on with.
async fn enrol_passkey(house: &House, session: &str, person: &mut Person) -> (Value, String) {
    let begun = begin_enrolment(house, session).await;
    let made = person.makes(&begun["options"]).await;
    let (status, body, new) = end_enrolment(house, session, &begun["ceremony"], made).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    (body, new.unwrap_or_else(|| session.to_owned()))
}

async fn begin(house: &House) -> Value {
    let call = house.anonymous(Method::POST, "/api/v1/session/passkey/begin");
    call.json(json!({})).expect(200).await
}

async fn end(house: &House, ceremony: &Value, credential: &Value) -> (StatusCode, Value) {
    let body = json!({ "ceremony": ceremony, "credential": credential });
    let call = house.anonymous(Method::POST, "/api/v1/session/passkey");
    call.json(body).send().await
}

async fn logs_in(house: &House, person: &mut Person) -> (StatusCode, Value) {
    let begun = begin(house).await;
    let signed = person.signs(&begun["options"]).await;
    end(house, &begun["ceremony"], &signed).await
}

async fn refused_with(house: &House, part: &str) -> bool {
    house.state.clone().run(cancelled()).await;
    let entries = house.entries().await;
    entries.iter().any(|entry| entry.to_string().contains(part))
}

fn cancelled() -> tokio_util::sync::CancellationToken {
    let cancel = tokio_util::sync::CancellationToken::new();
    cancel.cancel();
    cancel
}

#[tokio::test]
async fn an_owner_enrols_a_passkey_and_logs_in_with_nothing_else() {
    let house = house().await;
    account(&house, "olga", "owner").await;
    let first = session(&house, "olga").await;
    let mut person = Person::new();
    let begun = begin_enrolment(&house, &first).await;
    let options = &begun["options"]["publicKey"];
    assert_eq!(options["rp"]["id"], "fleet.test", "{options}");
    let selection = &options["authenticatorSelection"];
    assert_eq!(selection["residentKey"], "required", "{options}");
    assert_eq!(selection["userVerification"], "required", "{options}");

    let (enrolled, second) = enrol_passkey(&house, &first, &mut person).await;
    assert_eq!(enrolled["name"], "Laptop");
    let codes = enrolled["recovery_codes"].as_array().expect("codes");
    assert_eq!(codes.len(), 10);
    let who = house.anonymous(Method::GET, "/api/v1/session");
    who.cookie(&first).problem(401).await;
    let who = house.anonymous(Method::GET, "/api/v1/session");
    let who = who.cookie(&second).expect(200).await;
    assert_eq!(
        (&who["first"], &who["scopes"]),
        (&Value::Null, &json!(["*"]))
    );

    let (status, who) = logs_in(&house, &mut person).await;
    assert_eq!(status, StatusCode::OK, "{who}");
    assert_eq!(
        (&who["name"], &who["first"]),
        (&json!("olga"), &Value::Null)
    );
    let listed = house.anonymous(Method::GET, "/api/v1/account/passkeys");
    let listed = listed.cookie(&second).expect(200).await;
    assert_eq!(listed["items"][0]["id"], enrolled["id"]);
    assert_ne!(listed["items"][0]["last_used_at"], Value::Null);
    assert!(
        refused_with(&house, "\"by passkey\"").await,
        "it is on the ledger"
    );

    // The password alone does no longer, and says what helps.
    let only = json!({ "account": "olga", "password": PASSWORD });
    let (status, problem, _) = log_in(&house, only).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(problem["second_factor"], json!(["passkey", "recovery"]));
    let with = json!({ "account": "olga", "password": PASSWORD, "code": codes[0] });
    assert_eq!(log_in(&house, with).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_passkey_beside_another_factor_ends_no_session_and_shows_no_codes() {
    let house = house().await;
    account(&house, "olga", "owner").await;
    let (_, _, session) = enrol(&house, &session(&house, "olga").await).await;
    let begun = begin_enrolment(&house, &session).await;
    let made = Person::new().makes(&begun["options"]).await;
    let (status, body, new) = end_enrolment(&house, &session, &begun["ceremony"], made).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    assert_eq!((body.get("recovery_codes"), new), (None, None));
    let who = house.anonymous(Method::GET, "/api/v1/session");
    who.cookie(&session).expect(200).await;
}

#[tokio::test]
async fn an_assertion_counts_once_and_so_does_a_ceremony() {
    let house = house().await;
    account(&house, "olga", "owner").await;
    let first = session(&house, "olga").await;
    let mut person = Person::new();
    let begun = begin_enrolment(&house, &first).await;
    let made = person.makes(&begun["options"]).await;
    let ceremony = &begun["ceremony"];
    let (status, _, second) = end_enrolment(&house, &first, ceremony, made.clone()).await;
    assert_eq!(status, StatusCode::CREATED);
    let second = second.expect("a session");
    let (status, ..) = end_enrolment(&house, &second, ceremony, made).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "enrolled twice");

    let begun = begin(&house).await;
    let signed = person.signs(&begun["options"]).await;
    let right = end(&house, &begun["ceremony"], &signed).await;
    assert_eq!(right.0, StatusCode::OK, "{}", right.1);
    let (status, problem) = end(&house, &begun["ceremony"], &signed).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "replayed");
    assert_eq!(problem["type"], "urn:palisade:problem:unauthorized");
    let other = begin(&house).await;
    let (status, _) = end(&house, &other["ceremony"], &signed).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "for another challenge");
    // A failed attempt used the ceremony up.
    let signed = person.signs(&other["options"]).await;
    let (status, _) = end(&house, &other["ceremony"], &signed).await;
    assert_eq!(
        status,
        StatusCode::UNAUTHORIZED,
        "a ceremony that was tried"
    );
    // Nor is a ceremony of one kind one of another.
    let begun = begin_enrolment(&house, &second).await;
    let other = begin(&house).await;
    let signed = person.signs(&other["options"]).await;
    let (status, _) = end(&house, &begun["ceremony"], &signed).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "of another kind");
}

#[tokio::test]
async fn a_ceremony_ends_after_five_minutes() {
    let house = house().await;
    account(&house, "olga", "owner").await;
    let mut person = Person::new();
    let first = session(&house, "olga").await;
    let late = begin_enrolment(&house, &first).await;
    let made = person.makes(&late["options"]).await;
    house.clock.advance_millis(300_000);
    let (status, ..) = end_enrolment(&house, &first, &late["ceremony"], made).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);

    enrol_passkey(&house, &first, &mut person).await;
    let begun = begin(&house).await;
    let signed = person.signs(&begun["options"]).await;
    house.clock.advance_millis(299_999);
    assert_eq!(
        end(&house, &begun["ceremony"], &signed).await.0,
        StatusCode::OK
    );
    let begun = begin(&house).await;
    let signed = person.signs(&begun["options"]).await;
    house.clock.advance_millis(300_000);
    let (status, _) = end(&house, &begun["ceremony"], &signed).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_page_of_another_origin_neither_enrols_a_passkey_nor_uses_one() {
    let house = house().await;
    account(&house, "olga", "owner").await;
    let first = session(&house, "olga").await;
    // Within the domain, so that a browser would let it: another server there must not stand in for this one.
    let elsewhere = Url::parse("https://evil.fleet.test:8443").expect("a URL");
    let mut person = Person::new();
    person.origin = elsewhere.clone();
    let begun = begin_enrolment(&house, &first).await;
    let made = person.makes(&begun["options"]).await;
    let (status, ..) = end_enrolment(&house, &first, &begun["ceremony"], made).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);

    let mut person = Person::new();
    enrol_passkey(&house, &first, &mut person).await;
    person.origin = elsewhere;
    assert_eq!(
        logs_in(&house, &mut person).await.0,
        StatusCode::UNAUTHORIZED
    );
    person.origin = Url::parse("https://fleet.test:9443").expect("a URL");
    assert_eq!(
        logs_in(&house, &mut person).await.0,
        StatusCode::UNAUTHORIZED
    );
    person.origin = Url::parse(ORIGIN).expect("a URL");
    assert_eq!(logs_in(&house, &mut person).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_passkey_of_another_domain_is_worth_nothing_here() {
    let house = house().await;
    account(&house, "olga", "owner").await;
    let first = session(&house, "olga").await;
    let mut person = Person::new();
    let begun = begin_enrolment(&house, &first).await;
    let mut options = begun["options"].clone();
    options["publicKey"]["rp"]["id"] = "evil.test".into();
    person.origin = Url::parse("https://evil.test").expect("a URL");
    let made = person.makes(&options).await;
    // The client data says our origin; the authenticator signed for the other domain.
    let mut forged = made.clone();
    let text = forged["response"]["clientDataJSON"].as_str().expect("text");
    forged["response"]["clientDataJSON"] = with_origin(text, ORIGIN).into();
    let (status, ..) = end_enrolment(&house, &first, &begun["ceremony"], forged).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

/// Client data with another origin in it.
fn with_origin(text: &str, origin: &str) -> String {
    let bytes = URL_SAFE_NO_PAD.decode(text).expect("base64url");
    let mut data: Value = serde_json::from_slice(&bytes).expect("JSON");
    data["origin"] = origin.into();
    URL_SAFE_NO_PAD.encode(data.to_string())
}

#[tokio::test]
async fn a_passkey_whose_counter_goes_backwards_is_refused_and_written_down() {
    let house = house().await;
    account(&house, "olga", "owner").await;
    let first = session(&house, "olga").await;
    let mut person = Person::new();
    enrol_passkey(&house, &first, &mut person).await;
    assert_eq!(logs_in(&house, &mut person).await.0, StatusCode::OK);
    assert_eq!(logs_in(&house, &mut person).await.0, StatusCode::OK);
    let counted = person.passkey().counter.expect("counts");
    // A copy that was made before counts on from there.
    person.passkey().counter = Some(counted - 1);
    let (status, problem) = logs_in(&house, &mut person).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(!problem.to_string().contains("copy"), "{problem}");
    assert!(refused_with(&house, "there may be a copy").await);
    person.passkey().counter = Some(counted);
    assert_eq!(logs_in(&house, &mut person).await.0, StatusCode::OK);
    person.passkey().counter = None;
    assert_eq!(
        logs_in(&house, &mut person).await.0,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_passkey_logs_in_to_no_account_but_its_own() {
    let house = house().await;
    account(&house, "olga", "owner").await;
    account(&house, "mallory", "technician").await;
    let (mut olga, mut mallory) = (Person::new(), Person::new());
    let (_, _) = enrol_passkey(&house, &session(&house, "olga").await, &mut olga).await;
    let first = session(&house, "mallory").await;
    let (_, second) = enrol_passkey(&house, &first, &mut mallory).await;
    // Her authenticator says that the passkey is Olga's.
    let own = mallory.passkey().user_handle.clone();
    mallory.passkey().user_handle = olga.passkey().user_handle.clone();
    assert_eq!(
        logs_in(&house, &mut mallory).await.0,
        StatusCode::UNAUTHORIZED
    );
    // Or that it has the name of Olga's.
    let name = mallory.passkey().credential_id.clone();
    mallory.passkey().credential_id = olga.passkey().credential_id.clone();
    assert_eq!(
        logs_in(&house, &mut mallory).await.0,
        StatusCode::UNAUTHORIZED
    );
    mallory.passkey().credential_id = name;
    mallory.passkey().user_handle = own;
    assert_eq!(logs_in(&house, &mut mallory).await.1["name"], "mallory");
    // Nor does she end what Olga began, or remove what is Olga's.
    let olgas = begin_enrolment(&house, &session_by(&house, &mut olga).await).await;
    let made = Person::new().makes(&olgas["options"]).await;
    let (status, ..) = end_enrolment(&house, &second, &olgas["ceremony"], made).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let olga = AccountName::parse("olga").expect("a name");
    let olga = house.people.account(&olga).await.expect("is there");
    let id = house.people.passkeys(&olga).await.expect("reads")[0].id;
    let path = format!("/api/v1/account/passkeys/{id}");
    let call = house.anonymous(Method::DELETE, &path);
    call.cookie(&second).problem(404).await;
}

/// The secret of a session that begins with a passkey.
async fn session_by(house: &House, person: &mut Person) -> String {
    let begun = begin(house).await;
    let signed = person.signs(&begun["options"]).await;
    let body = json!({ "ceremony": begun["ceremony"], "credential": signed });
    let call = house.anonymous(Method::POST, "/api/v1/session/passkey");
    let answer = call.json(body).answer().await;
    assert_eq!(answer.status, StatusCode::OK);
    secret_in(answer.headers["set-cookie"].to_str().expect("text"))
}

#[tokio::test]
async fn whom_the_authenticator_did_not_check_is_not_logged_in() {
    let house = house().await;
    account(&house, "olga", "owner").await;
    let first = session(&house, "olga").await;
    let mut person = Person::new();
    enrol_passkey(&house, &first, &mut person).await;
    let begun = begin(&house).await;
    let mut options = begun["options"].clone();
    options["publicKey"]["userVerification"] = "discouraged".into();
    person.is_known = false;
    let signed = person.signs(&options).await;
    let (status, _) = end(&house, &begun["ceremony"], &signed).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_disabled_account_is_not_logged_in_to_by_its_passkey() {
    let house = house().await;
    account(&house, "anna", "auditor").await;
    let mut person = Person::new();
    let first = session(&house, "anna").await;
    enrol_passkey(&house, &first, &mut person).await;
    let name = AccountName::parse("anna").expect("a name");
    house.people.set_disabled(&name, true).await.expect("sets");
    assert_eq!(
        logs_in(&house, &mut person).await.0,
        StatusCode::UNAUTHORIZED
    );
    house.people.set_disabled(&name, false).await.expect("sets");
    house
        .people
        .set_roles(&name, &[Role::Owner])
        .await
        .expect("sets");
    assert_eq!(logs_in(&house, &mut person).await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_owner_keeps_a_second_factor_and_a_removed_passkey_is_worth_nothing() {
    let house = house().await;
    account(&house, "olga", "owner").await;
    let first = session(&house, "olga").await;
    let (mut lost, mut kept) = (Person::new(), Person::new());
    let (one, session) = enrol_passkey(&house, &first, &mut lost).await;
    let path = |passkey: &Value| {
        let id = passkey["id"].as_str().expect("an id");
        format!("/api/v1/account/passkeys/{id}")
    };
    let call = house.anonymous(Method::DELETE, &path(&one));
    let why = call.cookie(&session).problem(409).await;
    assert!(why.contains("last second factor"), "{why}");
    let (_, session) = enrol_passkey(&house, &session, &mut kept).await;
    let thief = session_by(&house, &mut lost).await;
    let answer = house.anonymous(Method::DELETE, &path(&one));
    let answer = answer.cookie(&session).answer().await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let new = secret_in(answer.headers["set-cookie"].to_str().expect("text"));
    assert_eq!(logs_in(&house, &mut lost).await.0, StatusCode::UNAUTHORIZED);
    let who = house.anonymous(Method::GET, "/api/v1/session");
    who.cookie(&thief).problem(401).await;
    let who = house.anonymous(Method::GET, "/api/v1/session");
    who.cookie(&new).expect(200).await;
    assert_eq!(logs_in(&house, &mut kept).await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_account_has_at_most_ten_passkeys_and_each_authenticator_one() {
    let house = house().await;
    account(&house, "anna", "auditor").await;
    let mut session = session(&house, "anna").await;
    for _ in 0..10 {
        session = enrol_passkey(&house, &session, &mut Person::new()).await.1;
    }
    let call = house.anonymous(Method::POST, "/api/v1/account/passkeys/begin");
    call.cookie(&session).problem(409).await;
}

#[tokio::test]
async fn a_session_that_is_hours_old_adds_no_way_to_log_in() {
    let house = house().await;
    account(&house, "anna", "auditor").await;
    let session = session(&house, "anna").await;
    for _ in 0..3 {
        house.clock.advance_millis(25 * 60_000);
        let who = house.anonymous(Method::GET, "/api/v1/session");
        who.cookie(&session).expect(200).await;
    }
    let call = house.anonymous(Method::POST, "/api/v1/account/passkeys/begin");
    let why = call.cookie(&session).problem(403).await;
    assert!(why.contains("log in anew"), "{why}");
}

#[tokio::test]
async fn what_waits_for_browsers_is_bounded() {
    let house = house().await;
    let call = || house.anonymous(Method::POST, "/api/v1/session/passkey/begin");
    for _ in 0..120 {
        call().json(json!({})).expect(200).await;
    }
    call().json(json!({})).problem(429).await;
    let waiting = house.store.ceremonies().waiting("passkey").await;
    assert_eq!(waiting.expect("counts"), 32, "of one address");
}
