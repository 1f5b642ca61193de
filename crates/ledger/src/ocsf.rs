//! Events in the shape of the Open Cybersecurity Schema Framework (OCSF 1.3), which every SIEM reads. Each
//! kind of event has its class there, with all that the class requires; what OCSF has no place for is kept
//! whole under `unmapped`.

mod class;
mod finding;
mod fleet;
mod severity;
mod traffic;

use palisade_core::{Actor, Door, Event, EventKind, Principal, Severity};
use serde_json::{Map, Value, json};

use class::{Activity, Class};
pub use severity::severity;

/// The version of the schema.
const VERSION: &str = "1.3.0";

/// The OCSF form of an event.
#[must_use]
pub fn ocsf(event: &Event) -> Value {
    let mut record = describe(event);
    // What OCSF has no field for is kept whole.
    let kind = serde_json::to_value(&event.kind).unwrap_or(Value::Null);
    record.put("unmapped", kind);
    record.finish(event)
}

fn describe(event: &Event) -> Record {
    match &event.kind {
        EventKind::Admitted { .. }
        | EventKind::Refused { .. }
        | EventKind::Disconnected { .. }
        | EventKind::Denied { .. }
        | EventKind::Subscribed { .. }
        | EventKind::LimitExceeded { .. }
        | EventKind::PublishStatistics { .. } => traffic::describe(event),
        EventKind::Registered { .. }
        | EventKind::Enrolled { .. }
        | EventKind::Renewed { .. }
        | EventKind::CertificateRevoked { .. }
        | EventKind::CrlIssued { .. }
        | EventKind::PostureChanged { .. }
        | EventKind::AgentReport { .. } => fleet::describe(event),
        EventKind::Administrative(act) => fleet::administrative(event, act),
        EventKind::Found(found) => finding::found(event, found),
        EventKind::Responded(response) => finding::responded(response),
    }
}

/// A record that is being put together.
struct Record {
    class: Class,
    activity: Activity,
    status: Status,
    message: String,
    /// Profiles of the schema from which it has attributes.
    profiles: Vec<&'static str>,
    fields: Map<String, Value>,
}

/// `status_id` and `status`.
#[derive(Debug, Clone, Copy)]
struct Status(u32, &'static str);

const SUCCESS: Status = Status(1, "Success");
const FAILURE: Status = Status(2, "Failure");

impl Record {
    fn new(class: Class, activity: Activity, message: String) -> Self {
        Self {
            class,
            activity,
            status: SUCCESS,
            message,
            profiles: Vec::new(),
            fields: Map::new(),
        }
    }

    fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.put(name, value);
        self
    }

    fn put(&mut self, name: &str, value: Value) {
        if !value.is_null() {
            self.fields.insert(name.to_owned(), value);
        }
    }

    /// About a device, in a class to which the schema adds it by a profile.
    fn with_device(mut self, event: &Event) -> Self {
        if let Some(device) = device(event) {
            self.put("device", device);
            self.profiles.push("host");
        }
        self
    }

    /// A control said no.
    fn denied(mut self) -> Self {
        self.profiles.push("security_control");
        self.with("action_id", json!(2))
            .with("action", json!("Denied"))
            .with("disposition_id", json!(2))
            .with("disposition", json!("Blocked"))
    }

    fn finish(self, event: &Event) -> Value {
        let Class {
            uid,
            name,
            category,
            category_name,
        } = self.class;
        let Activity(activity, activity_name) = self.activity;
        let (severity_id, severity_name) = severity_of(severity(event));
        let mut metadata = json!({
            "version": VERSION,
            "uid": event.id.to_string(),
            "log_name": "events",
            "event_code": event.kind.name(),
            "product": {
                "name": "Palisade",
                "vendor_name": "Palisade",
                "version": env!("CARGO_PKG_VERSION"),
            },
        });
        if !self.profiles.is_empty() {
            metadata["profiles"] = json!(self.profiles);
        }
        let mut record = self.fields;
        let common = json!({
            "class_uid": uid,
            "class_name": name,
            "category_uid": category,
            "category_name": category_name,
            "activity_id": activity,
            "activity_name": activity_name,
            "type_uid": u64::from(uid) * 100 + u64::from(activity),
            "type_name": format!("{name}: {activity_name}"),
            "severity_id": severity_id,
            "severity": severity_name,
            "status_id": self.status.0,
            "status": self.status.1,
            "time": event.time.as_millisecond(),
            "message": self.message,
            "metadata": metadata,
        });
        if let Value::Object(common) = common {
            record.extend(common);
        }
        Value::Object(record)
    }
}

fn severity_of(severity: Severity) -> (u32, &'static str) {
    match severity {
        Severity::Informational => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    }
}

/// The principal as a user; `unknown` where there is none, as the schema requires one.
fn user(event: &Event) -> Value {
    match &event.principal {
        // 3 is "System": no person is behind it.
        Some(principal) => json!({
            "uid": principal.to_string(),
            "name": principal.id(),
            "type_id": 3,
            "type": "System",
        }),
        None => json!({ "name": "unknown", "type_id": 0, "type": "Unknown" }),
    }
}

/// The device that it is about, if it is about one; 7 is "IOT" in OCSF's device types.
fn device(event: &Event) -> Option<Value> {
    let id = event.principal.as_ref().and_then(Principal::device)?;
    let mut device = json!({
        "uid": id.as_str(),
        "name": id.as_str(),
        "type_id": 7,
        "type": "IOT",
    });
    if let Some(source) = event.source {
        device["ip"] = json!(source.to_string());
    }
    Some(device)
}

/// From where it came: the address, or else the principal by its name.
fn source(event: &Event) -> Value {
    match (&event.source, &event.principal) {
        (Some(source), _) => json!({ "ip": source.to_string() }),
        (None, Some(principal)) => json!({ "name": principal.to_string() }),
        (None, None) => json!({ "svc_name": service(event.door) }),
    }
}

/// The part of us that it reached.
fn service(door: Door) -> &'static str {
    match door {
        Door::Mqtt => "palisade-mqtt",
        Door::DeviceHttps => "palisade-devices",
        Door::Rest => "palisade-rest",
        Door::Internal => "palisade",
    }
}

fn actor(actor: &Actor) -> String {
    match actor {
        Actor::Token(name) => format!("token/{name}"),
        Actor::Account(name) => format!("account/{name}"),
        Actor::System(part) => format!("system/{part}"),
        Actor::Console => "console".to_owned(),
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

#[cfg(test)]
mod tests;
