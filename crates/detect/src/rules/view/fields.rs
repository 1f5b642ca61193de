//! Which fields each kind of event has.

use std::borrow::Cow;

use palisade_core::{
    Actor, AdministrativeAct, DenyReason, Door, Event, EventKind, Outcome, Response, SessionEnd,
};
use serde::Serialize;
use serde_json::Value;

use super::{FieldValue, FlatEvent, cut};
use crate::Known;

/// Fields that events may have.
const FIELDS: [&str; 59] = [
    "act",
    "action",
    "actor.id",
    "actor.type",
    "by",
    "bytes",
    "bytes_out",
    "case",
    "client_id",
    "count",
    "device.known",
    "device.lifecycle",
    "device.product",
    "device.segment",
    "door",
    "duration_ms",
    "end",
    "entries",
    "filter",
    "hour",
    "key_exchange",
    "kind",
    "largest",
    "lifecycle",
    "lifecycle_before",
    "limit",
    "messages",
    "messages_in",
    "messages_out",
    "mode",
    "number",
    "outcome",
    "packets_in",
    "packets_out",
    "playbook",
    "previous",
    "principal.id",
    "principal.type",
    "protocol",
    "reason",
    "reason.code",
    "reason.detail",
    "reason.lifecycle",
    "reason.policies",
    "resource",
    "response",
    "serial",
    "source",
    "state",
    "subject",
    "target",
    "target.id",
    "target.type",
    "token",
    "trust",
    "trust_before",
    "until",
    "version",
    "window_ms",
];
/// Below these, names are whatever agents and operators call things.
const OPEN: [&str; 2] = ["facts.", "device.label."];
/// The most facts of an agent that rules look at.
const MAX_FACTS: usize = 128;
/// The most values of a list that rules look at.
const MAX_LIST: usize = 128;

/// Whether events may have a field of this name.
#[must_use]
pub fn is_field(name: &str) -> bool {
    FIELDS.binary_search(&name).is_ok()
        || OPEN
            .iter()
            .any(|open| name.len() > open.len() && name.starts_with(open))
}

/// The field whose name is most like this one, if any is like it.
pub(crate) fn nearest_field(name: &str) -> Option<&'static str> {
    FIELDS
        .into_iter()
        .map(|field| (strsim::osa_distance(name, field), field))
        .filter(|(far, field)| *far <= 1 + field.len() / 4)
        .min_by_key(|(far, field)| (*far, std::cmp::Reverse(field.len())))
        .map(|(_, field)| field)
}

impl<'a> FlatEvent<'a> {
    pub(super) fn fill(&mut self, event: &'a Event, device: Option<&'a Known>) {
        self.text("kind", self.kind);
        self.text("door", door(event.door));
        if let Some(source) = event.source {
            self.said("source", source);
        }
        self.subject(event);
        let hour = event.time.as_second().rem_euclid(86_400) / 3_600;
        self.put("hour", FieldValue::Number(hour));
        if let Some(principal) = &event.principal {
            self.text("principal.type", principal.kind());
            self.text("principal.id", principal.id());
            if principal.device().is_some() {
                self.device(device);
            }
        }
        self.fill_kind(&event.kind);
    }

    fn device(&mut self, device: Option<&'a Known>) {
        self.put("device.known", FieldValue::Flag(device.is_some()));
        let Some(known) = device else {
            return;
        };
        self.text("device.product", known.product.as_str());
        self.text("device.segment", known.segment.as_str());
        self.text("device.lifecycle", known.lifecycle.as_str());
        for (key, value) in known.labels.iter() {
            let value = FieldValue::Text(Cow::Borrowed(cut(value)));
            self.put(format!("device.label.{key}"), value);
        }
    }

    fn fill_kind(&mut self, kind: &'a EventKind) {
        match kind {
            EventKind::Admitted { .. }
            | EventKind::Refused { .. }
            | EventKind::Disconnected { .. }
            | EventKind::Denied { .. }
            | EventKind::LimitExceeded { .. }
            | EventKind::Subscribed { .. }
            | EventKind::PublishStatistics { .. } => self.session(kind),
            EventKind::Registered { .. }
            | EventKind::Enrolled { .. }
            | EventKind::Renewed { .. }
            | EventKind::CertificateRevoked { .. }
            | EventKind::CrlIssued { .. } => self.identity(kind),
            EventKind::PostureChanged {
                lifecycle_before,
                lifecycle,
                trust_before,
                trust,
                reason,
            } => {
                self.text("lifecycle_before", lifecycle_before.as_str());
                self.text("lifecycle", lifecycle.as_str());
                self.number("trust_before", u64::from(trust_before.value()));
                self.number("trust", u64::from(trust.value()));
                self.text("reason", reason);
            }
            EventKind::AgentReport { version, facts } => {
                self.text("version", version);
                for (name, value) in facts.iter().take(MAX_FACTS) {
                    if let Some(value) = fact(value) {
                        self.put(format!("facts.{}", cut(name)), value);
                    }
                }
            }
            EventKind::Administrative(act) => self.act(act),
            EventKind::Responded(response) => self.response(response),
            EventKind::Found(_) => {}
        }
    }

    fn session(&mut self, kind: &'a EventKind) {
        match kind {
            EventKind::Admitted {
                client_id,
                protocol,
                serial,
                key_exchange,
            } => {
                self.text("client_id", client_id);
                self.text("protocol", protocol);
                if let Some(serial) = serial {
                    self.said("serial", serial);
                }
                if let Some(key_exchange) = key_exchange {
                    self.text("key_exchange", key_exchange);
                }
            }
            EventKind::Refused { reason, count } => {
                self.text("reason", reason);
                self.counted(*count);
            }
            EventKind::Disconnected {
                client_id,
                end,
                duration_ms,
                messages_in,
                messages_out,
            } => {
                self.text("client_id", client_id);
                self.text("end", session_end(*end));
                self.number("duration_ms", *duration_ms);
                self.number("messages_in", *messages_in);
                self.number("messages_out", *messages_out);
            }
            EventKind::Denied {
                action,
                resource,
                reason,
                count,
            } => {
                self.text("action", action.as_str());
                self.text("resource", resource);
                self.deny_reason(reason);
                self.counted(*count);
            }
            EventKind::LimitExceeded { limit, count } => {
                self.text("limit", limit);
                self.counted(*count);
            }
            EventKind::Subscribed { filter } => self.text("filter", filter),
            EventKind::PublishStatistics {
                window_ms,
                messages,
                bytes,
                largest,
                messages_out,
                bytes_out,
                packets_in,
                packets_out,
            } => {
                self.number("window_ms", *window_ms);
                self.number("messages", *messages);
                self.number("bytes", *bytes);
                self.number("largest", *largest);
                self.number("messages_out", *messages_out);
                self.number("bytes_out", *bytes_out);
                self.number("packets_in", *packets_in);
                self.number("packets_out", *packets_out);
            }
            _ => {}
        }
    }

    fn identity(&mut self, kind: &'a EventKind) {
        match kind {
            EventKind::Registered { count } => self.counted(*count),
            EventKind::Enrolled { serial, token } => {
                self.said("serial", serial);
                if let Some(token) = token {
                    self.said("token", token);
                }
            }
            EventKind::Renewed { serial, previous } => {
                self.said("serial", serial);
                self.said("previous", previous);
            }
            EventKind::CertificateRevoked { serial, reason } => {
                self.said("serial", serial);
                self.text("reason", reason);
            }
            EventKind::CrlIssued { number, entries } => {
                self.number("number", *number);
                self.number("entries", *entries);
            }
            _ => {}
        }
    }

    fn counted(&mut self, count: u64) {
        self.number("count", count);
        self.weight = count.max(1);
    }

    fn deny_reason(&mut self, reason: &'a DenyReason) {
        let code = match reason {
            DenyReason::NoGrant => "no_grant",
            DenyReason::Forbidden { policies } => {
                let policies = policies.iter().take(MAX_LIST);
                let ids = policies.map(|id| FieldValue::Text(Cow::Owned(id.to_string())));
                self.put("reason.policies", FieldValue::List(ids.collect()));
                "forbidden"
            }
            DenyReason::NotSealed => "not_sealed",
            DenyReason::NotPermitted => "not_permitted",
            DenyReason::Lifecycle { lifecycle } => {
                self.text("reason.lifecycle", lifecycle.as_str());
                "lifecycle"
            }
            DenyReason::Unknown => "unknown",
            DenyReason::EvaluationFailed { detail } => {
                self.text("reason.detail", detail);
                "evaluation_failed"
            }
        };
        self.text("reason.code", code);
    }

    fn act(&mut self, act: &'a AdministrativeAct) {
        let (kind, id) = match &act.actor {
            Actor::Token(name) => ("token", Some(name)),
            Actor::Account(name) => ("account", Some(name)),
            Actor::System(part) => ("system", Some(part)),
            Actor::Console => ("console", None),
        };
        self.text("actor.type", kind);
        if let Some(id) = id {
            self.text("actor.id", id);
        }
        self.text("act", &act.act);
        self.text("target", &act.target);
        if let Some(reason) = &act.reason {
            self.text("reason", reason);
        }
        let outcome = match act.outcome {
            Outcome::Done => "done",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        };
        self.text("outcome", outcome);
    }

    fn response(&mut self, response: &'a Response) {
        self.said("response", response.id);
        self.said("case", response.case);
        if let Some(playbook) = &response.playbook {
            self.text("playbook", playbook);
        }
        self.text("action", &response.action);
        if let Value::Object(target) = serde_json::to_value(&response.target).unwrap_or_default() {
            for (name, value) in target {
                if let Value::String(text) = value {
                    self.put(format!("target.{name}"), FieldValue::Text(text.into()));
                }
            }
        }
        self.said("mode", word(&response.mode));
        self.said("state", word(&response.state));
        self.text("reason", &response.reason);
        if let Some(by) = &response.by {
            self.text("by", by);
        }
        if let Some(until) = response.until {
            self.said("until", until);
        }
    }
}

fn door(door: Door) -> &'static str {
    match door {
        Door::Mqtt => "mqtt",
        Door::DeviceHttps => "device_https",
        Door::Rest => "rest",
        Door::Internal => "internal",
    }
}

fn session_end(end: SessionEnd) -> &'static str {
    match end {
        SessionEnd::Client => "client",
        SessionEnd::ConnectionLost => "connection_lost",
        SessionEnd::KeepAlive => "keep_alive",
        SessionEnd::TakenOver => "taken_over",
        SessionEnd::Replaced => "replaced",
        SessionEnd::NotAuthorized => "not_authorized",
        SessionEnd::ProtocolError => "protocol_error",
        SessionEnd::LimitExceeded => "limit_exceeded",
        SessionEnd::Shutdown => "shutdown",
        SessionEnd::Administrative => "administrative",
    }
}

/// The word that stands for a value in JSON.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

fn fact(value: &Value) -> Option<FieldValue<'_>> {
    Some(match value {
        Value::Null => FieldValue::Null,
        Value::Bool(flag) => FieldValue::Flag(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => FieldValue::Number(whole),
            None => FieldValue::Real(number.as_f64()?),
        },
        Value::String(text) => FieldValue::Text(Cow::Borrowed(cut(text))),
        Value::Array(all) => {
            let values = all.iter().take(MAX_LIST).filter(|value| !value.is_array());
            FieldValue::List(values.filter_map(fact).collect())
        }
        Value::Object(_) => return None,
    })
}
