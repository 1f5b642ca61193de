//! What agents report of their devices.

use std::{sync::Arc, time::Instant};

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use palisade_core::{Door, Event, EventKind, Principal, Request};
use palisade_identity::Peer;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Devices, answer::Refusal, credentials, refused::Refused};
use crate::serve::ConnectInfo;

const MAX_BODY: usize = 16 * 1024;
const MAX_FACTS: usize = 64;
const MAX_NAME: usize = 64;
const MAX_TEXT: usize = 512;
/// Of a fact that is a list.
const MAX_ITEMS: usize = 64;
const MAX_ITEM: usize = 64;

/// A report, as it is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    version: String,
    #[serde(default)]
    facts: Map<String, Value>,
}

pub(crate) fn router() -> Router<Arc<Devices>> {
    Router::new()
        .route("/device/v1/report", post(report))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

async fn report(
    State(devices): State<Arc<Devices>>,
    Extension(info): Extension<ConnectInfo>,
    body: Bytes,
) -> Response {
    match devices.report(&info, &body).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

impl Devices {
    async fn report(&self, info: &ConnectInfo, body: &[u8]) -> Result<(), Refusal> {
        let source = info.source.ip().to_canonical();
        let refused = match credentials::peer(info, &self.identity) {
            Some(Ok(Peer::Principal { principal, .. })) => {
                let done = self.try_report(&principal, info, body).await;
                return match done {
                    Ok(()) => Ok(()),
                    Err(refused) => Err(self.settle(source, refused.about(&principal)).await),
                };
            }
            Some(Ok(Peer::MakerDevice { device, .. })) => {
                let reason = "a maker's certificate is for enrolment alone";
                Refused::forbidden(reason).about(&device.into())
            }
            Some(Err(error)) => Refused::forbidden(error.to_string()),
            None => Refused::forbidden("a report needs a client certificate of ours"),
        };
        Err(self.settle_stranger(source, refused).await)
    }

    async fn try_report(
        &self,
        principal: &Principal,
        info: &ConnectInfo,
        body: &[u8],
    ) -> Result<(), Refused> {
        let limited = self.reports.take(principal, Instant::now());
        limited.map_err(|wait| Refused::too_often("reports_per_hour", wait))?;
        let source = info.source.ip().to_canonical();
        let Some(device) = principal.device() else {
            return Err(Refused::forbidden("devices report, services do not"));
        };
        let subject = self.subject(principal, source).await?;
        if let Err(denied) = self.ask(&subject, &Request::Connect) {
            self.observe_denial(principal);
            return Err(denied);
        }
        let Report { version, facts } = read(body)?;
        let now = self.clock.now();
        let kind = EventKind::AgentReport { version, facts };
        let event = Event::new(now, Door::DeviceHttps, kind);
        let event = event.about(device.clone()).from_source(source);
        self.journal
            .record(vec![event])
            .await
            .map_err(Refused::ours)?;
        let seen = self.store.devices().touch(&[(device.clone(), now)]).await;
        seen.map_err(Refused::ours)
    }
}

/// Reads a report: flat, and small in every part.
fn read(body: &[u8]) -> Result<Report, Refused> {
    let report: Report =
        serde_json::from_slice(body).map_err(|error| Refused::bad_request(&error))?;
    let bad = |text: String| Refused::new(Refusal::BadRequest(text.clone()), text);
    if report.version.is_empty() || report.version.len() > MAX_NAME {
        return Err(bad(format!("the version has 1 to {MAX_NAME} bytes")));
    }
    if report.facts.len() > MAX_FACTS {
        return Err(bad(format!("at most {MAX_FACTS} facts are read")));
    }
    for (name, value) in &report.facts {
        let is_small = match value {
            Value::Array(items) => {
                items.len() <= MAX_ITEMS && items.iter().all(|item| is_small(item, MAX_ITEM))
            }
            value => is_small(value, MAX_TEXT),
        };
        if name.is_empty() || name.len() > MAX_NAME || !is_small {
            let name: String = name.chars().take(MAX_NAME).collect();
            return Err(bad(format!(
                "fact {name:?}: a name has 1 to {MAX_NAME} bytes, a value is a number, a flag, a text of at \
                 most {MAX_TEXT} bytes, or a list of at most {MAX_ITEMS} of these with {MAX_ITEM} bytes each"
            )));
        }
    }
    Ok(report)
}

fn is_small(value: &Value, max_text: usize) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => text.len() <= max_text,
        Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_flat_and_small() {
        assert!(read(br#"{"version": "1.0", "facts": {"os": "linux", "cores": 2}}"#).is_ok());
        assert!(read(br#"{"version": "1.0"}"#).is_ok());
        let listed = |count: usize, item: &str| {
            let items = vec![item; count].join(",");
            read(format!(r#"{{"version": "1", "facts": {{"a": [{items}]}}}}"#).as_bytes())
        };
        assert!(listed(64, "\"192.0.2.1:443\"").is_ok());
        assert!(listed(65, "1").is_err());
        assert!(listed(1, "[1]").is_err());
        assert!(listed(1, &format!("{:?}", "x".repeat(65))).is_err());
        let deep = format!(
            r#"{{"version": "1", "facts": {{"a": {}1{}}}}}"#,
            "[".repeat(200),
            "]".repeat(200)
        );
        let long = format!(
            r#"{{"version": "1", "facts": {{"a": "{}"}}}}"#,
            "x".repeat(600)
        );
        let many: String = (0..65).map(|n| format!("\"f{n}\":1,")).collect();
        let many = format!(r#"{{"version": "1", "facts": {{{}"z":1}}}}"#, many);
        for bad in [
            deep.as_str(),
            &long,
            &many,
            "",
            "[]",
            r#"{"version": ""}"#,
            r#"{"version": "1", "x": 1}"#,
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad:.60} was accepted");
        }
    }
}
