//! Requests to a provider: by TLS, to the roots that are named, bounded in size and time, a few at once, and without
//! following a redirect, which could lead to where no provider is.

use std::{pin::Pin, sync::Arc, time::Duration};

use openidconnect::{
    AsyncHttpClient, HttpRequest, HttpResponse,
    http::{Method, Request, Response},
};
use tokio::sync::Semaphore;
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

/// The longest that one request takes, from the connection to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer, in bytes.
const MAX_ANSWER: u64 = 256 * 1024;
/// Requests to one provider at once: each holds a thread while it waits.
const MAX_AT_ONCE: usize = 16;

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// Too many wait for the provider already.
    #[error("too many sign-ins wait for it")]
    Busy,
    /// It is not reached by TLS.
    #[error("it names an address that is not https://")]
    Plain,
    /// The answer is too large.
    #[error("its answer is larger than {MAX_ANSWER} bytes")]
    TooLarge,
    /// It took too long.
    #[error("it took longer than {} seconds", PATIENCE.as_secs())]
    Slow,
    /// Something else of the network or of HTTP.
    #[error("{0}")]
    Transport(String),
}

/// What speaks to one provider.
#[derive(Debug)]
pub(crate) struct Http {
    agent: Agent,
    places: Arc<Semaphore>,
}

impl Http {
    pub(crate) fn new(roots: &[Vec<u8>]) -> Self {
        let roots: Vec<Certificate<'static>> = roots
            .iter()
            .map(|der| Certificate::from_der(der).to_owned())
            .collect();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .https_only(true)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("palisade/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        Self {
            agent,
            places: Arc::new(Semaphore::new(MAX_AT_ONCE)),
        }
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if request.uri().scheme_str() != Some("https") {
            return Err(HttpError::Plain);
        }
        let place = self.places.clone().try_acquire_owned();
        let place = place.map_err(|_| HttpError::Busy)?;
        let agent = self.agent.clone();
        // The place is held by the work itself: whoever stops waiting for it does not make it stop.
        let task = tokio::task::spawn_blocking(move || {
            let answer = exchange(&agent, request);
            drop(place);
            answer
        });
        task.await
            .unwrap_or_else(|error| Err(HttpError::Transport(error.to_string())))
    }
}

fn exchange(agent: &Agent, request: HttpRequest) -> Result<HttpResponse, HttpError> {
    let answered = match *request.method() {
        Method::GET => {
            let (head, _) = request.into_parts();
            agent.run(Request::from_parts(head, ()))
        }
        _ => agent.run(request),
    };
    let (head, mut body) = answered.map_err(of)?.into_parts();
    let bytes = body.with_config().limit(MAX_ANSWER).read_to_vec();
    Ok(Response::from_parts(head, bytes.map_err(of)?))
}

/// An error of the transport may name the address, and nothing that is sent.
fn of(error: ureq::Error) -> HttpError {
    match error {
        ureq::Error::BodyExceedsLimit(_) => HttpError::TooLarge,
        ureq::Error::Timeout(_) => HttpError::Slow,
        other => HttpError::Transport(other.to_string()),
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}
