//! One request and its answer.

use std::{fmt::Write, io::Read};

use palisade_core::EventId;
use palisade_people::SESSION_PREFIX;
use serde_json::Value;
use ureq::{
    Body, SendBody,
    http::{Request, Response, header},
};

use super::{Client, problem};
use crate::failure::{Exit, Failure};

/// An answer with its body unread.
pub(crate) type Answer = Response<Body>;

/// The cookie that is a person's session.
pub(crate) const SESSION_COOKIE: &str = "__Host-palisade";
/// The largest answer that is read at once, in bytes.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// The path of a resource under `/api/v1`; what operators name is escaped.
pub(crate) fn path(parts: &[&str]) -> String {
    let mut path = String::from("/api/v1");
    for part in parts {
        path.push('/');
        escape(&mut path, part);
    }
    path
}

fn escape(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into());
            }
            // Writing to a string does not fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
}

/// A request that is being put together.
#[derive(Debug)]
#[must_use]
pub(crate) struct Call<'a> {
    client: &'a Client,
    method: &'static str,
    path: String,
    query: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(client: &'a Client, method: &'static str, path: String) -> Self {
        Self {
            client,
            method,
            path,
            query: String::new(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// Adds a query parameter, where there is a value.
    pub(crate) fn query(mut self, name: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.query
                .push(if self.query.is_empty() { '?' } else { '&' });
            escape(&mut self.query, name);
            self.query.push('=');
            escape(&mut self.query, &value.to_string());
        }
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends a JSON value along.
    pub(crate) fn json(mut self, value: &Value) -> Self {
        self.body = Some(value.to_string().into_bytes());
        self.header("Content-Type", "application/json")
    }

    /// Sends a CSV text along.
    pub(crate) fn csv(mut self, text: Vec<u8>) -> Self {
        self.body = Some(text);
        self.header("Content-Type", "text/csv")
    }

    /// Sends it and returns the JSON answer; `null` where the answer is empty.
    pub(crate) fn send(self) -> Result<Value, Failure> {
        let text = self.text()?;
        match text.trim().is_empty() {
            true => Ok(Value::Null),
            false => Ok(serde_json::from_str(&text)?),
        }
    }

    /// Sends it and returns the answer as text.
    pub(crate) fn text(self) -> Result<String, Failure> {
        let answer = self.open()?;
        let mut text = String::new();
        answer
            .into_body()
            .into_reader()
            .take(MAX_ANSWER)
            .read_to_string(&mut text)?;
        Ok(text)
    }

    /// Sends it and returns the answer as bytes.
    pub(crate) fn bytes(self) -> Result<Vec<u8>, Failure> {
        let answer = self.open()?;
        let mut bytes = Vec::new();
        answer
            .into_body()
            .into_reader()
            .take(MAX_ANSWER)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Sends it and returns the answer with its body unread; a refusal is a failure.
    pub(crate) fn open(self) -> Result<Answer, Failure> {
        let variable = self.client.token_variable();
        let answer = self.whole()?;
        match answer.status().is_success() {
            true => Ok(answer),
            false => Err(problem::read(answer, variable)),
        }
    }

    /// Sends it and returns the answer, whatever it says.
    pub(crate) fn whole(mut self) -> Result<Answer, Failure> {
        // One name for all attempts, so that what was done once is not done twice.
        if self.method != "GET" {
            let key = EventId::generate().to_string();
            self.headers.push(("Idempotency-Key", key));
            let approval = self.client.approval.clone();
            let approval = approval.map(|id| ("Palisade-Approval", id));
            self.headers.extend(approval);
        }
        let answer = match self.attempt() {
            Err(ureq::Error::Io(error))
                if error.kind() != std::io::ErrorKind::ConnectionRefused =>
            {
                self.attempt()
            }
            other => other,
        };
        answer.map_err(|error| unreachable(&self.client.server, &error))
    }

    fn attempt(&self) -> Result<Response<Body>, ureq::Error> {
        let uri = format!("{}{}{}", self.client.server, self.path, self.query);
        let mut request = Request::builder().method(self.method).uri(uri);
        request = match &self.client.token {
            // A session of a person goes as the console sends it.
            Some(secret) if secret.starts_with(SESSION_PREFIX) => request
                .header(header::COOKIE, format!("{SESSION_COOKIE}={secret}"))
                .header("Palisade-Request", "1"),
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        };
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        match &self.body {
            Some(body) => {
                let progress = crate::output::bar("sending", body.len() as u64);
                let mut reader = progress.wrap_read(body.as_slice());
                let request = request
                    .header(header::CONTENT_LENGTH, body.len())
                    .body(SendBody::from_reader(&mut reader))?;
                let answer = self.client.agent.run(request);
                progress.finish_and_clear();
                answer
            }
            None if self.method == "GET" => self.client.agent.run(request.body(())?),
            None => self.client.agent.run(request.body(SendBody::none())?),
        }
    }
}

fn unreachable(server: &str, error: &ureq::Error) -> Failure {
    let next = match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => {
            "the CA does not vouch for this server: give its own root.pem with --ca"
        }
        ureq::Error::Io(error) if error.to_string().contains("certificate") => {
            "the CA does not vouch for this server under this name: give its own root.pem with --ca, and \
             use a name of identity.server_names"
        }
        _ => "is it running? try `palisade doctor --data DIR` on the server",
    };
    Failure::new(format!("cannot reach {server}: {error}"))
        .exit(Exit::Unreachable)
        .next(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_names_stays_one_part_of_the_path() {
        assert_eq!(
            path(&["devices", "a/b ?ü"]),
            "/api/v1/devices/a%2Fb%20%3F%C3%BC"
        );
    }
}
