//! How providers of identities are asked: over HTTPS alone, to the address that was meant, within bounds.

use std::{io::Read, sync::Arc, time::Duration};

use async_trait::async_trait;
use palisade_people::{Fetch, FetchError, HttpRequest, HttpResponse};
use ureq::{
    Agent,
    tls::{RootCerts, TlsConfig},
};

use crate::client::read_roots;

/// The longest that one answer may take, its body included.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer of a provider, in bytes.
const MAX_ANSWER: u64 = 1024 * 1024;

/// Asks providers of identities.
pub(crate) struct Asker;

#[async_trait]
impl Fetch for Asker {
    async fn fetch(&self, ca: &[u8], request: HttpRequest) -> Result<HttpResponse, FetchError> {
        let ca = String::from_utf8_lossy(ca).into_owned();
        let asked = tokio::task::spawn_blocking(move || ask(&ca, request));
        asked
            .await
            .unwrap_or_else(|error| Err(FetchError(error.to_string())))
    }
}

fn ask(ca: &str, request: HttpRequest) -> Result<HttpResponse, FetchError> {
    let failed = |error: &dyn std::fmt::Display| FetchError(error.to_string());
    let roots = read_roots(ca)
        .map_err(|_| FetchError("its ca_file holds no certificates that can be read".to_owned()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .https_only(true)
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(PATIENCE))
        .build();
    let answer = config.new_agent().run(request);
    let (head, body) = answer.map_err(|error| failed(&error))?.into_parts();
    let mut bytes = Vec::new();
    let mut body = body.into_reader().take(MAX_ANSWER + 1);
    body.read_to_end(&mut bytes)
        .map_err(|error| failed(&error))?;
    match bytes.len() as u64 <= MAX_ANSWER {
        true => Ok(HttpResponse::from_parts(head, bytes)),
        false => Err(FetchError(format!(
            "the answer is larger than {MAX_ANSWER} bytes"
        ))),
    }
}
