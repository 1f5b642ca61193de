//! A small provider of OpenID Connect: discovery, keys, tokens and userinfo over TLS, with real signatures and a real check of
//! PKCE, of the client and of the redirect; and what one that is broken or hostile does in their place.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use aws_lc_rs::{
    digest, hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use palisade_core::Timestamp;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use url::Url;

pub const CLIENT: &str = "palisade";
pub const SECRET: &str = "a secret that only two know";

pub struct Provider {
    pub issuer: String,
    ca: String,
    script: Arc<Mutex<Script>>,
}

/// How an ID token is signed.
pub enum Sign {
    /// With the key that is published.
    Key,
    /// With a key that nobody published, under the name of the one that is.
    Other,
    /// Not at all.
    Nothing,
    /// With a secret that is none.
    Hmac(Vec<u8>),
}

/// What the token endpoint does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Usual,
    Never,
    Huge,
    Elsewhere,
}

pub struct Script {
    issuer: String,
    key: EcdsaKeyPair,
    other: EcdsaKeyPair,
    codes: HashMap<String, Code>,
    /// The name of the key that signs.
    pub kid: String,
    /// The names under which it is published.
    pub published: Vec<String>,
    /// What the ID token says besides; `null` takes a claim away.
    pub claims: Value,
    /// What userinfo says.
    pub userinfo: Value,
    pub sign: Sign,
    pub answer: Answer,
    pub answers_discovery: Answer,
    /// Whether what comes back says from whom it is.
    pub says_issuer: bool,
    pub keys_read: usize,
    pub discovered: usize,
    /// How often somebody came to the token endpoint, and how often with success.
    pub asked: usize,
    pub exchanged: usize,
    pub misled: usize,
}

struct Code {
    challenge: String,
    redirect: String,
    nonce: String,
}

/// What a browser brings back.
pub struct Ticket {
    pub code: String,
    pub state: String,
}

fn key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("makes")
}

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Provider {
    /// One that runs until the test ends.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let issuer = format!("https://localhost:{port}");
        let script = Script {
            issuer: issuer.clone(),
            key: key(),
            other: key(),
            codes: HashMap::new(),
            kid: "one".to_owned(),
            published: vec!["one".to_owned()],
            claims: json!({}),
            userinfo: json!({}),
            sign: Sign::Key,
            answer: Answer::Usual,
            answers_discovery: Answer::Usual,
            says_issuer: false,
            keys_read: 0,
            discovered: 0,
            asked: 0,
            exchanged: 0,
            misled: 0,
        };
        let script = Arc::new(Mutex::new(script));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/elsewhere", get(elsewhere).post(elsewhere))
            .route("/userinfo", get(userinfo))
            .with_state(script.clone());
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("makes");
        let ca = made.cert.pem();
        let der = made.signing_key.serialize_der();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(der);
        let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(crypto)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .expect("a certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = TowerToHyperService::new(router);
                    let server = Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { issuer, ca, script }
    }

    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no panic")
    }

    /// Writes down the root that leads to it; where.
    pub fn root_in(&self, directory: &Path) -> PathBuf {
        let port = self.issuer.rsplit(':').next().expect("a port");
        let path = directory.join(format!("provider-{port}.pem"));
        std::fs::write(&path, &self.ca).expect("writes");
        path
    }

    /// Somebody signs in: what their browser is sent back with.
    pub fn lets_in(&self, url: &str) -> Ticket {
        assert!(
            url.starts_with(&format!("{}/authorize?", self.issuer)),
            "{url}"
        );
        let url = Url::parse(url).expect("a URL");
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["client_id"], CLIENT);
        assert_eq!(query["code_challenge_method"], "S256");
        assert!(query["scope"].split(' ').any(|scope| scope == "openid"));
        let mut script = self.script();
        let code = format!("code-{}", script.codes.len());
        let given = Code {
            challenge: query["code_challenge"].clone(),
            redirect: query["redirect_uri"].clone(),
            nonce: query["nonce"].clone(),
        };
        script.codes.insert(code.clone(), given);
        Ticket {
            code,
            state: query["state"].clone(),
        }
    }
}

impl Script {
    /// The key that is published, as JSON.
    pub fn jwk(&self, kid: &str) -> Value {
        let point = self.key.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
            "x": base64url(&point[1..33]), "y": base64url(&point[33..65]),
        })
    }

    fn id_token(&self, nonce: &str, access: &str) -> String {
        let now = Timestamp::now().as_second();
        let hash = digest::digest(&digest::SHA256, access.as_bytes());
        let mut claims = json!({
            "iss": self.issuer, "sub": "subject-1", "aud": CLIENT, "nonce": nonce,
            "iat": now, "exp": now + 300, "at_hash": base64url(&hash.as_ref()[..16]),
        });
        merge(claims.as_object_mut().expect("an object"), &self.claims);
        let algorithm = match &self.sign {
            Sign::Key | Sign::Other => "ES256",
            Sign::Nothing => "none",
            Sign::Hmac(_) => "HS256",
        };
        let head = json!({ "alg": algorithm, "kid": self.kid, "typ": "JWT" });
        let signed = format!(
            "{}.{}",
            base64url(head.to_string()),
            base64url(claims.to_string())
        );
        let by = |key: &EcdsaKeyPair| {
            let signature = key.sign(&SystemRandom::new(), signed.as_bytes());
            signature.expect("signs").as_ref().to_vec()
        };
        let signature = match &self.sign {
            Sign::Key => by(&self.key),
            Sign::Other => by(&self.other),
            Sign::Nothing => Vec::new(),
            Sign::Hmac(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
            }
        };
        format!("{signed}.{}", base64url(signature))
    }
}

fn merge(into: &mut Map<String, Value>, from: &Value) {
    for (name, value) in from.as_object().expect("an object") {
        match value {
            Value::Null => drop(into.remove(name)),
            value => drop(into.insert(name.clone(), value.clone())),
        }
    }
}

type Shared = State<Arc<Mutex<Script>>>;

async fn discovery(State(script): Shared) -> Response {
    let mut script = script.lock().expect("no panic");
    script.discovered += 1;
    let issuer = &script.issuer;
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        // What a provider says of itself makes nothing weaker here.
        "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
    });
    if script.says_issuer {
        document["authorization_response_iss_parameter_supported"] = true.into();
    }
    if script.answers_discovery == Answer::Huge {
        document["padding"] = "x".repeat(300 * 1024).into();
    }
    Json(document).into_response()
}

async fn keys(State(script): Shared) -> Json<Value> {
    let mut script = script.lock().expect("no panic");
    script.keys_read += 1;
    let all: Vec<Value> = script.published.iter().map(|kid| script.jwk(kid)).collect();
    Json(json!({ "keys": all }))
}

/// What a token endpoint must check (RFC 6749, section 4.1.3; RFC 7636, section 4.6).
async fn token(
    State(script): Shared,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let answer = {
        let mut script = script.lock().expect("no panic");
        script.asked += 1;
        script.answer
    };
    match answer {
        Answer::Never => std::future::pending::<()>().await,
        Answer::Huge => {
            let body = format!("{{\"access_token\": \"{}\"}}", "x".repeat(300 * 1024));
            return ([(header::CONTENT_TYPE, "application/json")], body).into_response();
        }
        Answer::Elsewhere => {
            let elsewhere = [(header::LOCATION, "/elsewhere")];
            return (StatusCode::SEE_OTHER, elsewhere).into_response();
        }
        Answer::Usual => {}
    }
    let mut script = script.lock().expect("no panic");
    let ours = format!("{CLIENT}:{}", SECRET.replace(' ', "+"));
    let is_ours = headers[header::AUTHORIZATION] == format!("Basic {}", STANDARD.encode(ours));
    let known = script
        .codes
        .remove(form.get("code").map_or("", String::as_str));
    let verifier = form.get("code_verifier").map_or("", String::as_str);
    let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
    let challenge = base64url(hash);
    let refused = |error: &str| {
        let error = Json(json!({ "error": error }));
        (StatusCode::BAD_REQUEST, error).into_response()
    };
    let Some(code) = known else {
        return refused("invalid_grant");
    };
    let is_right = code.challenge == challenge && form.get("redirect_uri") == Some(&code.redirect);
    if !is_ours
        || !is_right
        || form.get("grant_type").map(String::as_str) != Some("authorization_code")
    {
        return refused("invalid_grant");
    }
    script.exchanged += 1;
    let token = script.id_token(&code.nonce, "access-1");
    let answer = json!({ "access_token": "access-1", "token_type": "Bearer", "id_token": token });
    Json(answer).into_response()
}

async fn elsewhere(State(script): Shared) -> Json<Value> {
    let mut script = script.lock().expect("no panic");
    script.misled += 1;
    let token = script.id_token("", "access-1");
    Json(json!({ "access_token": "access-1", "token_type": "Bearer", "id_token": token }))
}

async fn userinfo(State(script): Shared, headers: HeaderMap) -> Response {
    let script = script.lock().expect("no panic");
    match headers.get(header::AUTHORIZATION) {
        Some(bearer) if bearer == "Bearer access-1" => {
            let mut claims = json!({ "sub": "subject-1" });
            merge(claims.as_object_mut().expect("an object"), &script.userinfo);
            Json(claims).into_response()
        }
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}
