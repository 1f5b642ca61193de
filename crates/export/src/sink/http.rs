//! An HTTP collector. A batch is one POST; 2xx is taken. What the collector refuses for good is found by
//! halving the batch, and left out; everything else is tried again.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request,
    client::conn::http1::{self, SendRequest},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use palisade_core::EventId;
use tokio::{task::JoinHandle, time::timeout};

use super::{SinkError, Taken, link::connect};
use crate::{config::HttpBody, plan::HttpTarget, record::Record};

/// The longest token, in bytes.
const MAX_TOKEN: u64 = 16 * 1024;
/// Bytes of an answer that are read, so that the connection can be used again.
const MAX_ANSWER: usize = 64 * 1024;
/// Requests in a row that were refused for who we are, before the events are given up.
const MAX_UNAUTHORISED: u32 = 10;
/// The longest wait that a collector may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

pub(crate) struct HttpSink {
    target: HttpTarget,
    connection: Option<Connection>,
    /// Requests in a row that were answered 401 or 403.
    unauthorised: u32,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What a collector answered.
enum Answer {
    Taken,
    /// These events it does not want, whenever they come.
    Refused(u16),
}

impl HttpSink {
    pub(super) fn new(target: HttpTarget) -> Self {
        Self {
            target,
            connection: None,
            unauthorised: 0,
        }
    }

    fn to(&self) -> String {
        format!("{}:{}", self.target.host, self.target.port)
    }

    pub(super) fn reset(&mut self) {
        self.connection = None;
    }

    pub(super) async fn send(&mut self, records: &[Record]) -> Result<Taken, SinkError> {
        let mut refused = Vec::new();
        let mut parts = vec![records];
        while let Some(part) = parts.pop() {
            match (self.post(part).await?, part) {
                (Answer::Taken, _) => {}
                (Answer::Refused(status), [one]) => {
                    note_refused(&self.to(), status, one.id);
                    refused.push(one.id);
                }
                (Answer::Refused(_), part) => {
                    // One of them is the reason. The first half comes first, as on the stream.
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.push(second);
                    parts.push(first);
                }
            }
        }
        Ok(Taken { refused })
    }

    async fn post(&mut self, records: &[Record]) -> Result<Answer, SinkError> {
        if records.is_empty() {
            return Ok(Answer::Taken);
        }
        let patience = self.target.timeout;
        let answered = timeout(patience, self.exchange(records)).await;
        let (status, retry_after) = match answered {
            Ok(answer) => answer.inspect_err(|_| self.connection = None)?,
            Err(_) => {
                self.connection = None;
                return Err(SinkError::Timeout(self.to()));
            }
        };
        let later = Err(SinkError::Status {
            to: self.to(),
            status,
            retry_after,
        });
        match status {
            200..=299 => {
                self.unauthorised = 0;
                Ok(Answer::Taken)
            }
            408 | 429 => later,
            // Not the events are wrong but our token, and it may be renewed; but not for ever.
            401 | 403 if self.unauthorised < MAX_UNAUTHORISED => {
                self.unauthorised += 1;
                later
            }
            400..=499 => Ok(Answer::Refused(status)),
            _ => later,
        }
    }

    async fn exchange(&mut self, records: &[Record]) -> Result<(u16, Option<Duration>), SinkError> {
        let to = self.to();
        let broken = |why: &dyn std::fmt::Display| SinkError::Broken {
            to: to.clone(),
            why: why.to_string(),
        };
        let request = self.request(records).await?;
        let connection = self.connected().await?;
        let answer = connection.sender.send_request(request).await;
        let answer = answer.map_err(|error| broken(&error))?;
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(seconds);
        // What it says besides is of no use, but has to be read off the connection.
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        if body.is_err() {
            self.connection = None;
        }
        Ok((status, retry_after))
    }

    async fn request(&self, records: &[Record]) -> Result<Request<Full<Bytes>>, SinkError> {
        let HttpTarget { url, body, .. } = &self.target;
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let host = url.authority().map_or("", |authority| authority.as_str());
        let (content_type, content) = match body {
            HttpBody::Ndjson => ("application/x-ndjson", ndjson(records)),
            HttpBody::Array => ("application/json", array(records)),
        };
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, host)
            .header(CONTENT_TYPE, content_type)
            .header(USER_AGENT, concat!("palisade/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = &self.target.token_file {
            request = request.header(AUTHORIZATION, bearer(file).await?);
        }
        request
            .body(Full::new(content))
            .map_err(|error| SinkError::Broken {
                to: self.to(),
                why: error.to_string(),
            })
    }

    /// The connection, or a new one where it has ended.
    async fn connected(&mut self) -> Result<&mut Connection, SinkError> {
        let to = self.to();
        if self
            .connection
            .as_ref()
            .is_some_and(|connection| connection.sender.is_closed())
        {
            self.connection = None;
        }
        if self.connection.is_none() {
            let HttpTarget {
                host,
                port,
                tls,
                timeout,
                ..
            } = &self.target;
            let stream = connect(host, *port, tls.as_ref(), *timeout).await?;
            let (sender, connection) =
                http1::handshake(TokioIo::new(stream))
                    .await
                    .map_err(|error| SinkError::Broken {
                        to: to.clone(),
                        why: error.to_string(),
                    })?;
            let driver = tokio::spawn(async move {
                // Whoever sends hears of its end.
                let _ = connection.await;
            });
            self.connection = Some(Connection { sender, driver });
        }
        let ready = match &mut self.connection {
            Some(connection) => connection.sender.ready().await,
            None => Ok(()),
        };
        if let Err(error) = ready {
            self.connection = None;
            let why = error.to_string();
            return Err(SinkError::Broken { to, why });
        }
        self.connection.as_mut().ok_or(SinkError::Timeout(to))
    }
}

fn note_refused(to: &str, status: u16, event: EventId) {
    tracing::error!(%to, status, %event, "the collector refuses an event for good; it is left out");
}

fn seconds(value: &HeaderValue) -> Option<Duration> {
    let seconds = value.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

fn ndjson(records: &[Record]) -> Bytes {
    let mut text = String::new();
    for record in records {
        text.push_str(&record.json);
        text.push('\n');
    }
    text.into()
}

fn array(records: &[Record]) -> Bytes {
    let all: Vec<&str> = records.iter().map(|record| record.json.as_str()).collect();
    format!("[{}]", all.join(",")).into()
}

/// The header with the token of a file, marked so that nothing shows it.
async fn bearer(file: &Path) -> Result<HeaderValue, SinkError> {
    let failed = |source| SinkError::File {
        what: format!("cannot read the token in {}", file.display()),
        source,
    };
    let invalid = |words: &'static str| failed(std::io::Error::other(words));
    let metadata = tokio::fs::metadata(file).await.map_err(failed)?;
    if metadata.len() > MAX_TOKEN {
        return Err(invalid("it is too large for a token"));
    }
    let text = tokio::fs::read_to_string(file).await.map_err(failed)?;
    let token = text.trim();
    if token.is_empty() {
        return Err(invalid("it is empty"));
    }
    let header = HeaderValue::try_from(format!("Bearer {token}"));
    let mut header = header.map_err(|_| invalid("it has characters that no token has"))?;
    header.set_sensitive(true);
    Ok(header)
}

impl std::fmt::Debug for HttpSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpSink").finish_non_exhaustive()
    }
}
