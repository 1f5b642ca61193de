//! HTTPS, one request a connection: the agent speaks it a few times a day. Every answer is bounded in
//! size and time.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request as HttpRequest,
    client::conn::http1,
    header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::time::timeout;

use crate::{
    endpoint::{Endpoint, EndpointError},
    link,
    pkcs7::MAX_ANSWER,
};

const TIMEOUT: Duration = Duration::from_secs(60);
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
const MAX_DETAIL: usize = 300;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The server cannot be named.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// No connection, or one that TLS refused.
    #[error("cannot connect to {endpoint}: {source}")]
    Connect {
        /// Where.
        endpoint: Endpoint,
        /// Why.
        source: io::Error,
    },
    /// It took too long.
    #[error("{0} did not answer within {seconds} s", seconds = TIMEOUT.as_secs())]
    Timeout(Endpoint),
    /// What came is not HTTP, or was cut off.
    #[error("the exchange with {endpoint} failed: {why}")]
    Exchange {
        /// With whom.
        endpoint: Endpoint,
        /// Why.
        why: String,
    },
    /// The answer is too large.
    #[error("the answer of {0} has more than {MAX_ANSWER} bytes")]
    TooLarge(Endpoint),
}

/// What is asked.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) content_type: Option<&'static str>,
    /// Marked as sensitive, so that nothing logs it.
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) body: Bytes,
}

impl<'a> Request<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            content_type: None,
            authorization: None,
            body: Bytes::new(),
        }
    }

    pub(crate) fn post(path: &'a str, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            method: Method::POST,
            path,
            content_type: Some(content_type),
            authorization: None,
            body: body.into(),
        }
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In seconds; a date is not read.
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as a short text that is safe to show.
    pub(crate) fn detail(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let words = text.split(|c: char| c.is_whitespace() || c.is_control());
        let words: Vec<_> = words
            .filter(|word| !word.is_empty())
            .take(MAX_DETAIL)
            .collect();
        let detail: String = words.join(" ").chars().take(MAX_DETAIL).collect();
        match detail.is_empty() {
            true => "no reason given".to_owned(),
            false => detail,
        }
    }
}

/// Asks.
pub(crate) async fn send(
    endpoint: &Endpoint,
    tls: Arc<ClientConfig>,
    request: Request<'_>,
) -> Result<Answer, HttpError> {
    match timeout(TIMEOUT, exchange(endpoint, tls, request)).await {
        Ok(answer) => answer,
        Err(_) => Err(HttpError::Timeout(endpoint.clone())),
    }
}

async fn exchange(
    endpoint: &Endpoint,
    tls: Arc<ClientConfig>,
    request: Request<'_>,
) -> Result<Answer, HttpError> {
    let failed = |why: &dyn std::fmt::Display| HttpError::Exchange {
        endpoint: endpoint.clone(),
        why: why.to_string(),
    };
    let request = to_http(endpoint, request).map_err(|error| failed(&error))?;
    let name = endpoint.server_name()?;
    let stream = link::connect(endpoint, name, tls, None).await;
    let stream = stream.map_err(|source| HttpError::Connect {
        endpoint: endpoint.clone(),
        source,
    })?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(&error))?;
    let answer = async move {
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| failed(&why(&error)))?;
        let (head, body) = answer.into_parts();
        let retry_after = head.headers.get(RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(
            |error| match error.is::<http_body_util::LengthLimitError>() {
                true => HttpError::TooLarge(endpoint.clone()),
                false => failed(&error),
            },
        )?;
        Ok(Answer {
            status: head.status.as_u16(),
            retry_after,
            body: body.to_bytes(),
        })
    };
    // The connection ends once the sender above is dropped; its own error says no more than the answer's.
    let (answer, _) = tokio::join!(answer, connection);
    answer
}

/// hyper keeps what went wrong one level down.
fn why(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn to_http(
    endpoint: &Endpoint,
    request: Request<'_>,
) -> Result<HttpRequest<Full<Bytes>>, hyper::http::Error> {
    let mut builder = HttpRequest::builder()
        .method(request.method)
        .uri(request.path)
        .header(HOST, endpoint.to_string())
        .header(
            USER_AGENT,
            concat!("palisade-agent/", env!("CARGO_PKG_VERSION")),
        )
        .header(CONNECTION, "close");
    if let Some(content_type) = request.content_type {
        builder = builder.header(CONTENT_TYPE, content_type);
    }
    if let Some(authorization) = request.authorization {
        builder = builder.header(AUTHORIZATION, authorization);
    }
    builder.body(Full::new(request.body))
}
