//! Logging in through a provider of identities: one that is as bad as a test asks. That a real one is understood is
//! held by `tests/e2e/test_oidc.py`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use axum::http::{Method, StatusCode};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use palisade_people::{AccountName, Fetch, FetchError, HttpRequest, HttpResponse, OidcConfig};
use serde_json::{Value, json};
use url::Url;

use crate::{
    house::{Answer, House, house_with, sha256},
    passkeys::{refused_with, secret_in},
    people::{PASSWORD, account, log_in},
};

const ISSUER: &str = "https://id.test";
const SECRET: &str = "the secret of this server there";

/// What a provider says of a person, and how it signs it.
#[derive(Clone)]
struct Says {
    claims: Value,
    alg: &'static str,
    nonce: Option<&'static str>,
}

struct Provider {
    key: EcdsaKeyPair,
    says: Mutex<Says>,
    /// The code that was given, with the challenge and the nonce of the browser that brought them.
    given: Mutex<HashMap<String, (String, String)>>,
}

impl Provider {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("makes"),
            says: Mutex::new(Says {
                claims: json!({
                    "iss": ISSUER, "aud": "palisade", "sub": "0815",
                    "preferred_username": "Anna", "groups": ["staff", "others"],
                    "iat": now_s(), "exp": now_s() + 300,
                }),
                alg: "ES256",
                nonce: None,
            }),
            given: Mutex::default(),
        })
    }

    fn says(&self, change: impl FnOnce(&mut Says)) {
        change(&mut self.says.lock().expect("whole"));
    }

    /// The person logs in there; returns the code.
    fn gives(&self, url: &Url) -> String {
        assert!(
            url.as_str().starts_with("https://id.test/authorize?"),
            "{url}"
        );
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(asked["code_challenge_method"], "S256");
        let back = "https://fleet.test:8443/api/v1/session/oidc/corp/callback";
        assert_eq!(asked["redirect_uri"], back);
        let mut given = self.given.lock().expect("whole");
        let code = format!("code-{}", given.len());
        let kept = (asked["code_challenge"].clone(), asked["nonce"].clone());
        given.insert(code.clone(), kept);
        code
    }

    fn signed(&self, nonce: &str) -> String {
        let Says {
            mut claims,
            alg,
            nonce: other,
        } = self.says.lock().expect("whole").clone();
        claims["nonce"] = other.unwrap_or(nonce).into();
        let head = match alg {
            "ES256" => json!({ "alg": "ES256", "kid": "one" }),
            "none" => json!({ "alg": "none" }),
            _ => json!({ "alg": "HS256" }),
        };
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&head), part(&claims));
        let signature = match alg {
            "ES256" => {
                let signature = self.key.sign(&SystemRandom::new(), text.as_bytes());
                signature.expect("signs").as_ref().to_vec()
            }
            "none" => Vec::new(),
            "HS256 by the secret" => mac(SECRET.as_bytes(), &text),
            _ => mac(self.key.public_key().as_ref(), &text),
        };
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn redeem(&self, body: &[u8]) -> Option<Value> {
        let form: HashMap<String, String> =
            url::form_urlencoded::parse(body).into_owned().collect();
        // A code counts once, and for whoever has the verifier.
        let (challenge, nonce) = self.given.lock().expect("whole").remove(&form["code"])?;
        let hash = sha256(&form["code_verifier"]);
        assert_eq!(URL_SAFE_NO_PAD.encode(hash), challenge);
        Some(json!({
            "access_token": "x", "token_type": "Bearer", "id_token": self.signed(&nonce)
        }))
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn now_s() -> i64 {
    palisade_core::Timestamp::now().as_second()
}

#[async_trait::async_trait]
impl Fetch for Provider {
    async fn fetch(&self, ca: &[u8], request: HttpRequest) -> Result<HttpResponse, FetchError> {
        assert_eq!(ca, b"the CA of the provider");
        let answer = match request.uri().path() {
            "/.well-known/openid-configuration" => Some(json!({
                "issuer": ISSUER,
                "authorization_endpoint": "https://id.test/authorize",
                "token_endpoint": "https://id.test/token",
                "jwks_uri": "https://id.test/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
            })),
            "/keys" => {
                let point = &self.key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(32);
                Some(json!({ "keys": [{
                    "kty": "EC", "crv": "P-256", "kid": "one", "use": "sig", "alg": "ES256",
                    "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
                }] }))
            }
            "/token" => self.redeem(request.body()),
            other => panic!("nobody asks for {other}"),
        };
        let mut response = HttpResponse::new(answer.clone().unwrap_or_default().to_string().into());
        if answer.is_none() {
            *response.status_mut() = StatusCode::BAD_REQUEST;
            *response.body_mut() = json!({ "error": "invalid_grant" }).to_string().into();
        }
        let json = "application/json".parse().expect("a value");
        response.headers_mut().insert("content-type", json);
        Ok(response)
    }
}

async fn house(provider: &Arc<Provider>) -> House {
    let house = house_with(|accounts, directory| {
        std::fs::write(directory.join("secret"), format!("{SECRET}\n")).expect("writes");
        std::fs::write(directory.join("ca.pem"), "the CA of the provider").expect("writes");
        let config: OidcConfig = serde_json::from_value(json!({
            "title": "Corp", "issuer": ISSUER, "client_id": "palisade",
            "client_secret_file": "secret", "ca_file": "ca.pem", "make_accounts": true,
            "roles": { "staff": ["auditor"], "field": ["technician"], "admins": ["owner"] },
        }))
        .expect("a configuration");
        accounts.oidc.insert("other".to_owned(), config.clone());
        accounts.oidc.insert("corp".to_owned(), config);
    });
    let house = house.await;
    house.people.ask_providers_through(provider.clone());
    house
}

/// Where a browser is sent, and the cookie that it is given.
async fn sent_out(house: &House) -> (Url, String) {
    let answer = house.anonymous(Method::GET, "/api/v1/session/oidc/corp");
    let answer = answer.answer().await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let text = |name: &str| answer.headers[name].to_str().expect("text").to_owned();
    let cookie = text("set-cookie");
    let (pair, attributes) = cookie.split_once("; ").expect("attributes");
    assert_eq!(
        attributes,
        "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"
    );
    (
        Url::parse(&text("location")).expect("a URL"),
        pair.to_owned(),
    )
}

fn state_of(url: &Url) -> String {
    let mut pairs = url.query_pairs();
    let state = pairs.find(|(name, _)| name == "state");
    state.expect("a state").1.into_owned()
}

async fn came_back(house: &House, query: &str, cookie: &str) -> Answer {
    let path = format!("/api/v1/session/oidc/corp/callback?{query}");
    let call = house.anonymous(Method::GET, &path);
    call.header("cookie", cookie).answer().await
}

/// The whole way; what came of it.
async fn through(house: &House, provider: &Provider) -> Answer {
    let (url, cookie) = sent_out(house).await;
    let query = format!(
        "state={}&code={}&session_state=x",
        state_of(&url),
        provider.gives(&url)
    );
    came_back(house, &query, &cookie).await
}

async fn session_through(house: &House, provider: &Provider) -> String {
    let answer = through(house, provider).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    secret_in(answer.headers["set-cookie"].to_str().expect("text"))
}

async fn who(house: &House, session: &str) -> (StatusCode, Value) {
    let call = house.anonymous(Method::GET, "/api/v1/session");
    call.cookie(session).send().await
}

#[tokio::test]
async fn somebody_whom_the_provider_knows_gets_an_account_with_the_roles_of_the_mapping() {
    let provider = Provider::new();
    let house = house(&provider).await;
    let listed = house.anonymous(Method::GET, "/api/v1/session/providers");
    let listed = listed.expect(200).await;
    assert_eq!(
        listed["items"][0],
        json!({ "name": "corp", "title": "Corp" })
    );

    let first = session_through(&house, &provider).await;
    let (_, view) = who(&house, &first).await;
    assert_eq!(
        (&view["name"], &view["roles"]),
        (&json!("anna"), &json!(["auditor"]))
    );
    assert!(
        refused_with(&house, "\"through corp\"").await,
        "it is on the ledger"
    );

    // Anew at each log-in; what was based on other roles has ended.
    provider.says(|says| says.claims["groups"] = json!("field"));
    let second = session_through(&house, &provider).await;
    assert_eq!(who(&house, &second).await.1["roles"], json!(["technician"]));
    assert_eq!(who(&house, &first).await.0, StatusCode::UNAUTHORIZED);
    provider.says(|says| says.claims["groups"] = json!(["owner", "auditor"]));
    let answer = through(&house, &provider).await;
    assert_eq!(
        answer.status,
        StatusCode::FORBIDDEN,
        "nothing that makes a role"
    );
    assert_eq!(who(&house, &second).await.0, StatusCode::UNAUTHORIZED);
    // Whom the provider does not check twice does here, where the role wants it.
    account(&house, "olga", "owner").await;
    provider.says(|says| says.claims["groups"] = json!(["admins"]));
    let third = session_through(&house, &provider).await;
    assert_eq!(who(&house, &third).await.1["first"], "enrol_second_factor");
}

#[tokio::test]
async fn who_comes_through_a_provider_has_no_other_way_in() {
    let provider = Provider::new();
    let house = house(&provider).await;
    let session = session_through(&house, &provider).await;
    for path in ["/api/v1/account/totp", "/api/v1/account/passkeys/begin"] {
        let why = house.anonymous(Method::POST, path).cookie(&session);
        let why = why.problem(409).await;
        assert!(why.contains("its provider"), "{why}");
    }
    let body = json!({ "password": PASSWORD });
    house
        .put("/api/v1/accounts/anna/password", body)
        .problem(409)
        .await;
    for password in ["", " ", PASSWORD] {
        let body = json!({ "account": "anna", "password": password });
        assert_ne!(log_in(&house, body).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn nobody_comes_in_to_an_account_that_is_not_theirs_by_its_name() {
    let provider = Provider::new();
    let house = house(&provider).await;
    account(&house, "anna", "auditor").await;
    assert_eq!(
        through(&house, &provider).await.status,
        StatusCode::FORBIDDEN
    );
    // Nor does another person of the provider who took over the name.
    provider.says(|says| says.claims["preferred_username"] = json!("bert"));
    session_through(&house, &provider).await;
    provider.says(|says| says.claims["sub"] = json!("4711"));
    assert_eq!(
        through(&house, &provider).await.status,
        StatusCode::FORBIDDEN
    );
    provider.says(|says| says.claims["preferred_username"] = json!("no name!"));
    assert_eq!(
        through(&house, &provider).await.status,
        StatusCode::UNAUTHORIZED
    );
    // Nor is a disabled one opened.
    provider.says(|says| says.claims["sub"] = json!("0815"));
    let bert = AccountName::parse("bert").expect("a name");
    house.people.set_disabled(&bert, true).await.expect("sets");
    assert_eq!(
        through(&house, &provider).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn an_id_token_that_is_not_right_logs_nobody_in() {
    let provider = Provider::new();
    let house = house(&provider).await;
    let right = provider.says.lock().expect("whole").clone();
    type Change = fn(&mut Says);
    let attacks: [(&str, Change); 9] = [
        ("of another nonce", |says| says.nonce = Some("another")),
        ("that nobody signed", |says| says.alg = "none"),
        ("signed with our secret", |says| {
            says.alg = "HS256 by the secret"
        }),
        ("signed with the public key", |says| {
            says.alg = "HS256 by the key"
        }),
        ("that has ended", |says| {
            says.claims["exp"] = json!(now_s() - 1)
        }),
        ("for another server", |says| {
            says.claims["aud"] = json!("another")
        }),
        ("for another server too", |says| {
            says.claims["aud"] = json!(["palisade", "another"])
        }),
        ("of another issuer", |says| {
            says.claims["iss"] = json!("https://evil.test")
        }),
        ("of nobody", |says| says.claims["sub"] = Value::Null),
    ];
    for (what, attack) in attacks {
        provider.says(attack);
        let answer = through(&house, &provider).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}");
        assert!(!answer.headers.contains_key("set-cookie"), "{what}");
        provider.says(|says| *says = right.clone());
    }
    session_through(&house, &provider).await;
}

#[tokio::test]
async fn a_log_in_comes_back_once_to_the_browser_and_the_provider_that_it_began_with() {
    let provider = Provider::new();
    let house = house(&provider).await;
    let (url, cookie) = sent_out(&house).await;
    let state = state_of(&url);
    let query = format!("state={state}&code={}", provider.gives(&url));
    let (_, others) = sent_out(&house).await;
    let mut tries = 0;
    let mut refused = async |query: &str, cookie: &str, what: &str| {
        tries += 1;
        let answer = came_back(&house, query, cookie).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}");
    };
    refused(
        "state=pst_unknown&code=code-0",
        &cookie,
        "a state that nobody gave",
    )
    .await;
    refused(
        &query,
        &others,
        "what an attacker began, in the victim's browser",
    )
    .await;
    refused(&query, &cookie, "a state that was tried").await;

    let (url, cookie) = sent_out(&house).await;
    let query = format!("state={}&code={}", state_of(&url), provider.gives(&url));
    let mixed = format!("{query}&iss=https%3A%2F%2Fevil.test");
    refused(&mixed, &cookie, "of another issuer").await;
    let (url, cookie) = sent_out(&house).await;
    let query = format!("state={}&code={}", state_of(&url), provider.gives(&url));
    let path = format!("/api/v1/session/oidc/other/callback?{query}");
    let call = house
        .anonymous(Method::GET, &path)
        .header("cookie", &cookie);
    assert_eq!(
        call.answer().await.status,
        StatusCode::UNAUTHORIZED,
        "another provider"
    );

    let (url, cookie) = sent_out(&house).await;
    let query = format!(
        "state={}&code={}&iss={}",
        state_of(&url),
        provider.gives(&url),
        "https%3A%2F%2Fid.test"
    );
    let right = came_back(&house, &query, &cookie).await;
    assert_eq!(
        (right.status, right.headers["location"].as_bytes()),
        (StatusCode::SEE_OTHER, &b"/"[..])
    );
    refused(&query, &cookie, "once more").await;
    let (url, cookie) = sent_out(&house).await;
    let query = format!("state={}&code=code-5", state_of(&url));
    refused(&query, &cookie, "a code that was redeemed, or never given").await;
    let (url, cookie) = sent_out(&house).await;
    let query = format!("state={}&code={}", state_of(&url), provider.gives(&url));
    house.clock.advance_millis(600_000);
    refused(&query, &cookie, "too late").await;
}

#[tokio::test]
async fn no_request_says_where_a_browser_goes() {
    let provider = Provider::new();
    let house = house(&provider).await;
    let path = "/api/v1/session/oidc/corp?return_to=https://evil.test";
    house.anonymous(Method::GET, path).problem(400).await;
    for provider in ["nobody", "..", "%2Fevil.test", "evil.test"] {
        let path = format!("/api/v1/session/oidc/{provider}");
        let answer = house.anonymous(Method::GET, &path).answer().await;
        assert!(!answer.headers.contains_key("location"), "{provider}");
    }
    let (url, cookie) = sent_out(&house).await;
    let code = provider.gives(&url);
    let query = format!(
        "state={}&code={code}&redirect_uri=https://evil.test",
        state_of(&url)
    );
    let answer = came_back(&house, &query, &cookie).await;
    assert_eq!(answer.headers["location"], "/");
}
