//! Signing in with providers of OpenID Connect: who gets in, as whom and with which roles; and what attackers try.

mod attacks;
mod linking;
mod provider;
mod second_factor;

use std::{collections::HashMap, path::Path};

use axum::http::{Method, StatusCode};
use palisade_people::{AccountName, AccountsConfig};
use serde_json::{Value, json};
use url::Url;

use crate::{
    house::{House, house_of},
    people::account,
};
use provider::{CLIENT, Provider, SECRET, Ticket};

const BEGIN: &str = "/api/v1/session/oidc/corp/begin";

/// The configuration of a provider, changed as it is said.
fn config(provider: &Provider, directory: &Path, more: Value) -> Value {
    let secret = directory.join("client-secret");
    std::fs::write(&secret, SECRET).expect("writes");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, private).expect("sets");
    let mut config = json!({
        "name": "corp", "label": "Corp", "issuer": provider.issuer, "client_id": CLIENT,
        "client_secret_file": "client-secret", "ca": provider.root_in(directory),
        "roles": { "ops": ["operator"], "audit": ["auditor"], "admins": ["owner"] },
    });
    let members = more.as_object().expect("an object").clone();
    config.as_object_mut().expect("an object").extend(members);
    config
}

/// A server that knows these providers.
async fn house_with(configs: impl FnOnce(&Path) -> Vec<Value>) -> House {
    let directory = tempfile::tempdir().expect("a directory");
    let configs = configs(directory.path());
    let accounts = AccountsConfig {
        origins: vec![
            "https://fleet.test:8443".to_owned(),
            "https://fleet.test".to_owned(),
        ],
        oidc: serde_json::from_value(configs.into()).expect("providers"),
        ..AccountsConfig::default()
    };
    accounts.check().expect("is valid");
    house_of(directory, accounts).await
}

/// A provider and a server that knows it.
async fn fleet(more: Value) -> (Provider, House) {
    let provider = Provider::start().await;
    provider.script().claims = json!({ "preferred_username": "Olga", "groups": ["ops"] });
    let house = house_with(|directory| vec![config(&provider, directory, more)]).await;
    (provider, house)
}

/// A browser: its cookies, and what it was last answered.
#[derive(Default)]
struct Browser {
    cookies: HashMap<String, String>,
    /// Whether it shows pages to somebody.
    is_shown: bool,
}

struct Page {
    status: StatusCode,
    location: String,
    body: Value,
}

impl Browser {
    async fn get(&mut self, house: &House, path: &str) -> Page {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut call = house
            .anonymous(Method::GET, path)
            .header("host", "fleet.test:8443");
        if !cookies.is_empty() {
            call = call.header("cookie", &cookies.join("; "));
        }
        if self.is_shown {
            call = call.header("accept", "text/html,*/*;q=0.8");
        }
        let answer = call.answer().await;
        for value in answer.headers.get_all("set-cookie") {
            let text = value.to_str().expect("text");
            let (pair, attributes) = text.split_once("; ").expect("attributes");
            let (name, value) = pair.split_once('=').expect("a value");
            let site = match name {
                "__Host-palisade" => "SameSite=Strict",
                _ => "SameSite=Lax",
            };
            for wanted in ["Path=/", "Secure", "HttpOnly", site] {
                assert!(attributes.contains(wanted), "{text}");
            }
            match attributes.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        let location = answer.headers.get("location");
        let location = location.map(|value| value.to_str().expect("text").to_owned());
        let status = answer.status;
        let text = answer.text().await;
        Page {
            status,
            location: location.unwrap_or_default(),
            body: serde_json::from_str(&text).unwrap_or_default(),
        }
    }

    /// Goes to the provider: where to.
    async fn begin(&mut self, house: &House) -> String {
        let page = self.get(house, BEGIN).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
        page.location
    }

    async fn back(&mut self, house: &House, ticket: &Ticket) -> Page {
        let path = format!(
            "/api/v1/session/oidc/corp/callback?code={}&state={}",
            ticket.code, ticket.state
        );
        self.get(house, &path).await
    }

    fn session(&self) -> Option<&String> {
        self.cookies.get("__Host-palisade")
    }

    /// Who is signed in.
    async fn who(&self, house: &House) -> Value {
        let call = house.anonymous(Method::GET, "/api/v1/session");
        call.cookie(self.session().expect("a session"))
            .expect(200)
            .await
    }
}

/// Signs in; what came of it, and the browser.
async fn sign_in(provider: &Provider, house: &House) -> (Page, Browser) {
    let mut browser = Browser::default();
    let url = browser.begin(house).await;
    let page = browser.back(house, &provider.lets_in(&url)).await;
    (page, browser)
}

async fn signs_in(provider: &Provider, house: &House) -> Browser {
    let (page, browser) = sign_in(provider, house).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
    browser
}

/// Why nobody was signed in, where the answer is of this status.
async fn refused(provider: &Provider, house: &House, status: u16) -> String {
    let (page, browser) = sign_in(provider, house).await;
    let why = page.body["detail"].as_str().unwrap_or_default().to_owned();
    assert_eq!(page.status.as_u16(), status, "{why}");
    assert_eq!(browser.session(), None, "a session was begun: {why}");
    why
}

/// Whether the ledger has an entry in which all of these stand.
async fn is_written(house: &House, parts: &[&str]) -> bool {
    let cancel = tokio_util::sync::CancellationToken::new();
    cancel.cancel();
    house.state.clone().run(cancel).await;
    let entries = house.entries().await;
    entries
        .iter()
        .map(Value::to_string)
        .any(|entry| parts.iter().all(|part| entry.contains(part)))
}

fn name(text: &str) -> AccountName {
    AccountName::parse(text).expect("a name")
}

#[tokio::test]
async fn the_first_sign_in_makes_the_account_with_the_roles_of_the_claims() {
    let (provider, house) = fleet(json!({})).await;
    let listed = house
        .anonymous(Method::GET, "/api/v1/session/oidc")
        .expect(200)
        .await;
    assert_eq!(
        listed["items"],
        json!([{ "name": "corp", "label": "Corp" }])
    );
    let mut browser = Browser::default();
    let page = browser
        .get(&house, &format!("{BEGIN}?next=/devices%3Flabel%3Dx"))
        .await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
    let url = Url::parse(&page.location).expect("a URL");
    let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
    let callback = "https://fleet.test:8443/api/v1/session/oidc/corp/callback";
    assert_eq!(query["redirect_uri"], callback);
    assert!(!page.location.contains(SECRET));
    let page = browser.back(&house, &provider.lets_in(url.as_str())).await;
    assert_eq!(
        (page.status, page.location.as_str()),
        (StatusCode::SEE_OTHER, "/devices?label=x")
    );
    let who = browser.who(&house).await;
    assert_eq!(
        (&who["name"], &who["roles"]),
        (&json!("olga"), &json!(["operator"]))
    );
    assert_eq!(who["first"], Value::Null);
    assert!(!browser.cookies.contains_key("__Host-palisade-sign-in"));
    assert!(is_written(&house, &["account.create", "\"olga\"", "corp", "operator"]).await);
    assert!(
        is_written(
            &house,
            &["session.begin", "\"olga\"", "by OpenID Connect: corp"]
        )
        .await
    );
    // The same person again is the same account, whatever they are called by now.
    provider.script().claims["preferred_username"] = "olga-new".into();
    let again = signs_in(&provider, &house).await.who(&house).await;
    assert_eq!(again["name"], "olga");
    // Nobody knows a password of it.
    let body = json!({ "account": "olga", "password": "" });
    house
        .anonymous(Method::POST, "/api/v1/session")
        .json(body)
        .problem(422)
        .await;
    assert!(!std::format!("{:?}", house.people).contains(SECRET));
}

#[tokio::test]
async fn who_has_no_role_by_the_claims_is_refused_and_that_is_written_down() {
    let (provider, house) = fleet(json!({})).await;
    for claims in [
        json!({ "preferred_username": "olga" }),
        json!({ "preferred_username": "olga", "groups": [] }),
        json!({ "preferred_username": "olga", "groups": ["owner", "operator", "Ops"] }),
        json!({ "preferred_username": "olga", "groups": { "ops": true } }),
        json!({ "preferred_username": "olga", "roles": ["operator"] }),
    ] {
        provider.script().claims = claims;
        let why = refused(&provider, &house, 403).await;
        assert!(why.contains("roles_claim"), "{why}");
    }
    assert!(
        is_written(
            &house,
            &["session.begin", "corp:subject-1", "refused", "roles_claim"]
        )
        .await
    );
    house
        .people
        .account(&name("olga"))
        .await
        .expect_err("was made");
}

#[tokio::test]
async fn other_claims_are_other_roles_and_end_the_sessions_that_had_the_old_ones() {
    let (provider, house) = fleet(json!({})).await;
    let before = signs_in(&provider, &house).await;
    // The same claims end nothing.
    signs_in(&provider, &house).await;
    before.who(&house).await;
    provider.script().claims["groups"] = json!(["audit"]);
    let after = signs_in(&provider, &house).await;
    assert_eq!(after.who(&house).await["roles"], json!(["auditor"]));
    let call = house.anonymous(Method::GET, "/api/v1/session");
    call.cookie(before.session().expect("a session"))
        .problem(401)
        .await;
    assert!(
        is_written(
            &house,
            &["account.set_roles", "before: operator; now: auditor"]
        )
        .await
    );
    // None at all: they are out, and so is what they had open.
    provider.script().claims["groups"] = json!([]);
    refused(&provider, &house, 403).await;
    let call = house.anonymous(Method::GET, "/api/v1/session");
    call.cookie(after.session().expect("a session"))
        .problem(401)
        .await;
    assert!(
        house
            .people
            .account(&name("olga"))
            .await
            .expect("is there")
            .roles
            .is_empty()
    );
}

#[tokio::test]
async fn what_the_id_token_does_not_say_is_asked_of_userinfo_about_the_same_person() {
    let (provider, house) = fleet(json!({ "roles_claim": "realm.roles" })).await;
    provider.script().claims = json!({ "preferred_username": "olga" });
    provider.script().userinfo =
        json!({ "realm": { "roles": ["audit"] }, "preferred_username": "mallory" });
    let who = signs_in(&provider, &house).await.who(&house).await;
    // What is signed counts, and the rest is added.
    assert_eq!(
        (&who["name"], &who["roles"]),
        (&json!("olga"), &json!(["auditor"]))
    );
    provider.script().userinfo = json!({ "sub": "subject-2", "realm": { "roles": ["admins"] } });
    refused(&provider, &house, 401).await;
}

#[tokio::test]
async fn a_disabled_account_stays_out() {
    let (provider, house) = fleet(json!({})).await;
    let browser = signs_in(&provider, &house).await;
    house
        .people
        .set_disabled(&name("olga"), true)
        .await
        .expect("sets");
    let call = house.anonymous(Method::GET, "/api/v1/session");
    call.cookie(browser.session().expect("a session"))
        .problem(401)
        .await;
    let why = refused(&provider, &house, 403).await;
    assert!(why.contains("disabled"), "{why}");
    assert!(is_written(&house, &["session.begin", "\"olga\"", "disabled"]).await);
}

#[tokio::test]
async fn accounts_are_made_only_where_the_configuration_says_so_and_named_as_accounts_are() {
    let (provider, house) = fleet(json!({ "make_accounts": false })).await;
    let why = refused(&provider, &house, 403).await;
    assert!(why.contains("link"), "{why}");
    let (provider, house) = fleet(json!({ "name_claim": "email" })).await;
    for bad in [
        json!("../olga"),
        json!("<b>olga</b>"),
        json!(""),
        Value::Null,
    ] {
        provider.script().claims["email"] = bad;
        let why = refused(&provider, &house, 403).await;
        assert!(why.contains("name_claim"), "{why}");
    }
    provider.script().claims["email"] = "Olga@fleet.test".into();
    assert_eq!(
        signs_in(&provider, &house).await.who(&house).await["name"],
        "olga@fleet.test"
    );
}

#[tokio::test]
async fn an_account_that_was_there_before_is_nobodys_for_its_name_alone() {
    let (provider, house) = fleet(json!({ "name_claim": "email" })).await;
    account(&house, "olga@fleet.test", "auditor").await;
    provider.script().claims =
        json!({ "email": "olga@fleet.test", "email_verified": true, "groups": ["ops"] });
    let why = refused(&provider, &house, 403).await;
    assert!(why.contains("link it on its page"), "{why}");
    let found = house
        .people
        .account(&name("olga@fleet.test"))
        .await
        .expect("is there");
    assert_eq!(found.roles, ["auditor"]);
    // Whoever has no role here does not learn which names are taken.
    provider.script().claims["groups"] = json!([]);
    let why = refused(&provider, &house, 403).await;
    assert!(why.contains("roles_claim"), "{why}");
}

#[tokio::test]
async fn a_person_is_shown_the_console_with_a_word_for_what_happened() {
    let (provider, house) = fleet(json!({})).await;
    provider.script().claims["groups"] = json!([]);
    let mut browser = Browser {
        is_shown: true,
        ..Browser::default()
    };
    let url = browser.begin(&house).await;
    let page = browser.back(&house, &provider.lets_in(&url)).await;
    assert_eq!(
        (page.status, page.location.as_str()),
        (StatusCode::SEE_OTHER, "/?refused=no-role")
    );
    let page = browser
        .get(
            &house,
            "/api/v1/session/oidc/corp/callback?error=access_denied&state=x",
        )
        .await;
    assert_eq!(page.location, "/?refused=not-begun");
    let url = browser.begin(&house).await;
    let state = provider.lets_in(&url).state;
    let path = format!("/api/v1/session/oidc/corp/callback?error=access_denied&state={state}");
    assert_eq!(
        browser.get(&house, &path).await.location,
        "/?refused=refused"
    );
    let page = browser
        .get(&house, "/api/v1/session/oidc/other/begin")
        .await;
    assert_eq!(page.location, "/?refused=no-provider");
    // Programs are answered in their way.
    house
        .anonymous(Method::GET, "/api/v1/session/oidc/other/begin")
        .problem(404)
        .await;
}

#[tokio::test]
async fn a_browser_comes_back_to_where_it_was_of_the_addresses_that_are_ours() {
    let (_provider, house) = fleet(json!({})).await;
    for (host, origin) in [
        ("fleet.test", "https://fleet.test/"),
        ("FLEET.test:8443", "https://fleet.test:8443/"),
        ("evil.test", "https://fleet.test:8443/"),
    ] {
        let call = house.anonymous(Method::GET, BEGIN).header("host", host);
        let answer = call.answer().await;
        let url = answer.headers["location"].to_str().expect("text");
        let url = Url::parse(url).expect("a URL");
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert!(
            query["redirect_uri"].starts_with(origin),
            "{host}: {}",
            query["redirect_uri"]
        );
    }
}
