//! An HTTP collector over TLS, in many moods.

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::house::number;

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Takes,
    /// It reads and does not answer.
    Hangs,
    Answers(u16),
    /// It refuses whatever has the event of this number.
    Refuses(u64),
}

#[derive(Debug)]
struct State {
    mood: Mood,
    token: Option<String>,
    texts: Vec<String>,
}

/// A collector that runs.
pub struct Collector {
    address: SocketAddr,
    directory: tempfile::TempDir,
    state: Arc<Mutex<State>>,
}

/// An authority, and a certificate for `localhost` under it.
pub struct Pki {
    pub ca_pem: String,
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let (chain, key) = issue(&issuer);
        Self {
            ca_pem: issuer.pem(),
            chain,
            key,
            issuer,
        }
    }

    /// Another certificate and its key, as PEM.
    pub fn client(&self) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["palisade".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        (certificate.pem(), key.serialize_pem())
    }
}

fn issue(
    issuer: &CertifiedIssuer<'static, KeyPair>,
) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, issuer).expect("signs");
    let der = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    (vec![certificate.der().clone()], der)
}

impl Collector {
    pub async fn start() -> Self {
        let pki = Pki::new();
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("ca.pem"), &pki.ca_pem).expect("writes");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(pki.chain, pki.key)
            .expect("a server");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State {
            mood: Mood::Takes,
            token: None,
            texts: Vec::new(),
        }));
        tokio::spawn(serve(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            state.clone(),
        ));
        Self {
            address,
            directory,
            state,
        }
    }

    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    pub fn config(&self, more: Value) -> Value {
        let mut config = json!({
            "kind": "http",
            "url": format!("https://localhost:{}/in?key=1", self.address.port()),
            "ca_file": self.authority(),
        });
        for (key, value) in more.as_object().expect("an object") {
            config[key] = value.clone();
        }
        config
    }

    pub fn is(&self, mood: Mood) {
        self.state.lock().expect("whole").mood = mood;
    }

    pub fn wants_token(&self, token: &str) {
        self.state.lock().expect("whole").token = Some(token.to_owned());
    }

    pub fn texts(&self) -> Vec<String> {
        self.state.lock().expect("whole").texts.clone()
    }

    pub fn numbers(&self) -> Vec<u64> {
        self.texts()
            .iter()
            .filter_map(|text| number(text))
            .collect()
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, state) = (tls.clone(), state.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let answer = service_fn(move |request| answer(request, state.clone()));
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.uri(), "/in?key=1");
    let authorization = request.headers().get("authorization");
    let token = authorization.map(|value| value.to_str().expect("text").to_owned());
    let is_array = request.headers()["content-type"] == "application/json";
    let body = request
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    let text = String::from_utf8(body.to_vec()).expect("text");
    let texts: Vec<String> = match is_array {
        true => {
            let all: Vec<Value> = serde_json::from_str(&text).expect("an array");
            all.iter().map(Value::to_string).collect()
        }
        false => text.lines().map(str::to_owned).collect(),
    };
    let mood = state.lock().expect("whole").mood;
    if mood == Mood::Hangs {
        std::future::pending::<()>().await;
    }
    let mut state = state.lock().expect("whole");
    let wanted = state.token.as_ref().map(|token| format!("Bearer {token}"));
    let status = match state.mood {
        _ if wanted.is_some() && token != wanted => 401,
        Mood::Answers(status) => status,
        Mood::Refuses(bad) if texts.iter().any(|text| number(text) == Some(bad)) => 400,
        Mood::Takes | Mood::Refuses(_) | Mood::Hangs => {
            state.texts.extend(texts);
            204
        }
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = status.try_into().expect("a status");
    Ok(response)
}
