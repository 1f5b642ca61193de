//! `palisade policy explain`.

use std::net::IpAddr;

use clap::Args;
use palisade_core::DenyReason;
use serde_json::{Value, json};

use crate::{
    client::{Session, path},
    failure::Failure,
    output::{Column, column},
};

const FIELDS: [Column; 6] = [
    column("allowed", "/allowed"),
    column("summary", "/summary"),
    column("reason", "/reason"),
    column("grants", "/grants"),
    column("policies", "/policies"),
    column("source", "/source"),
];
const ATTRIBUTES: [Column; 2] = [column("ATTRIBUTE", "/path"), column("VALUE", "/value")];

/// A request to explain.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Who asks: device/ID or service/ID
    #[arg(value_parser = principal)]
    principal: Value,
    /// What for
    #[arg(value_parser = ["connect", "publish", "subscribe", "receive", "enroll", "renew"])]
    action: String,
    /// The topic, or the filter of a subscription
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Quality of service
    #[arg(long, value_name = "0..2", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Whether the message is to be retained
    #[arg(long)]
    retain: bool,
    /// The payload's size in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    size: usize,
    /// From which address
    #[arg(long, value_name = "ADDRESS")]
    source: Option<IpAddr>,
}

impl ExplainArgs {
    pub(super) fn explain(self, session: &Session) -> Result<(), Failure> {
        let needs_topic = ["publish", "subscribe", "receive"].contains(&self.action.as_str());
        if needs_topic && self.topic.is_none() {
            let message = format!("on which topic would it {}?", self.action);
            return Err(Failure::usage(message).next("give it with --topic TOPIC"));
        }
        let mut body = json!({ "principal": self.principal, "action": self.action });
        if let Some(topic) = &self.topic {
            body["topic"] = json!(topic);
            body["qos"] = json!(self.qos);
            body["retain"] = json!(self.retain);
            body["size"] = json!(self.size);
        }
        if let Some(source) = self.source {
            body["source"] = json!(source);
        }
        let mut answer = session
            .post(path(&["policy", "explain"]))
            .json(&body)
            .send()?;
        if session.output.is_json() {
            return session.output.json(&answer);
        }
        if let Some(reason) = answer.get_mut("reason") {
            *reason = in_words(reason);
        }
        let attributes = answer
            .as_object_mut()
            .and_then(|map| map.remove("attributes"))
            .unwrap_or(Value::Null);
        session.output.record(&answer, &FIELDS)?;
        session.output.list(&attributes, &ATTRIBUTES)
    }
}

/// A principal as it is written on the wire.
fn principal(text: &str) -> Result<Value, String> {
    match text.split_once('/') {
        Some((kind @ ("device" | "service"), id)) if !id.is_empty() => {
            Ok(json!({ "type": kind, "id": id }))
        }
        _ => Err("write device/ID or service/ID".to_owned()),
    }
}

/// A reason in the words that events and logs have for it; one that is newer than this client stays.
fn in_words(reason: &Value) -> Value {
    match serde_json::from_value::<DenyReason>(reason.clone()) {
        Ok(reason) => reason.to_string().into(),
        Err(_) => reason.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_a_device_or_a_service() {
        assert_eq!(
            principal("device/cam-1"),
            Ok(json!({ "type": "device", "id": "cam-1" }))
        );
        for bad in ["cam-1", "device/", "person/eve", ""] {
            assert!(principal(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_reason_is_said_in_words() {
        assert_eq!(
            in_words(&json!({ "code": "no_grant" })),
            "no grant covers it"
        );
        let newer = json!({ "code": "of_a_newer_server" });
        assert_eq!(in_words(&newer), newer);
    }
}
