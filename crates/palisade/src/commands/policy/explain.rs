//! `palisade policy explain`.

use std::net::IpAddr;

use clap::Args;
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
#[command(group = clap::ArgGroup::new("who").required(true))]
pub(crate) struct ExplainArgs {
    /// Who asks: a device
    #[arg(long, value_name = "DEVICE", group = "who")]
    device: Option<String>,
    /// Who asks: a service
    #[arg(long, value_name = "SERVICE", group = "who")]
    service: Option<String>,
    /// What for
    #[arg(value_parser = ["connect", "publish", "subscribe", "receive", "enroll", "renew"])]
    action: String,
    /// The topic, or the filter of a subscription
    #[arg(value_name = "TOPIC")]
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
        let principal = match (&self.device, &self.service) {
            (Some(device), _) => json!({ "type": "device", "id": device }),
            (None, service) => json!({ "type": "service", "id": service }),
        };
        let mut body = json!({ "principal": principal, "action": self.action });
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
        let attributes = answer
            .as_object_mut()
            .and_then(|map| map.remove("attributes"))
            .unwrap_or(Value::Null);
        session.output.record(&answer, &FIELDS)?;
        session.output.list(&attributes, &ATTRIBUTES)
    }
}
