//! The REST door of the Palisade under test, as an operator's script would use it.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig, TlsProvider},
};

/// A client of one door.
#[derive(Clone)]
pub struct Rest {
    agent: Agent,
    base: String,
    token: Option<String>,
}

impl Rest {
    /// A client that trusts `root` (PEM) alone.
    pub fn new(base: String, root: &str) -> Result<Self> {
        let root = Certificate::from_pem(root.as_bytes())?.to_owned();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::new_with_certs(&[root]))
            .unversioned_rustls_crypto_provider(Arc::new(
                rustls::crypto::aws_lc_rs::default_provider(),
            ))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .build();
        Ok(Self {
            agent: config.new_agent(),
            base,
            token: None,
        })
    }

    /// The same client with a bearer token.
    pub fn with_token(mut self, token: String) -> Self {
        self.token = Some(token);
        self
    }

    /// The header that authorises, as HTTP/1.1 has it.
    pub fn authorization(&self) -> String {
        match &self.token {
            Some(token) => format!("Authorization: Bearer {token}\r\n"),
            None => String::new(),
        }
    }

    /// Sends JSON and reads JSON.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(
            "POST",
            path,
            "application/json",
            &[],
            &serde_json::to_vec(body)?,
        )
    }

    /// Sends JSON with PUT.
    pub fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(
            "PUT",
            path,
            "application/json",
            &[],
            &serde_json::to_vec(body)?,
        )
    }

    /// Sends any body.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Value> {
        let text = self.raw(method, path, content_type, headers, body)?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Sends any body and reads text.
    pub fn raw(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<String> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("content-type", content_type);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = self
            .agent
            .run(request.body(body)?)
            .with_context(|| path.to_owned())?;
        let status = answer.status();
        let text = answer
            .body_mut()
            .with_config()
            .limit(64 << 20)
            .read_to_string()?;
        ensure!(status.is_success(), "{method} {path}: {status} {text}");
        Ok(text)
    }

    /// Turns the single-use set-up token into an API token that may do all.
    pub fn set_up(self, setup_token: &str) -> Result<Self> {
        let made = self.post(
            "/api/v1/setup",
            &json!({"token": setup_token, "name": "bench"}),
        )?;
        let secret = made["secret"]
            .as_str()
            .context("no secret in the answer of /setup")?;
        let secret = secret.to_owned();
        Ok(self.with_token(secret))
    }
}
