//! Events in the shape of the Open Cybersecurity Schema Framework (OCSF 1.3), which every SIEM reads.

use palisade_core::{ActionState, Actor, AdministrativeAct, Event, EventKind, Outcome, Severity};
use serde_json::{Map, Value, json};

struct Class {
    uid: u32,
    category: u32,
    activity: u32,
    severity: u32,
    success: bool,
    message: String,
}

const AUTHENTICATION: u32 = 3002;
const AUTHORIZE_SESSION: u32 = 3003;
const ENTITY_MANAGEMENT: u32 = 3004;
const NETWORK_ACTIVITY: u32 = 4001;
const API_ACTIVITY: u32 = 6003;
const DETECTION_FINDING: u32 = 2004;
const INFORMATIONAL: u32 = 1;
const LOW: u32 = 2;
const MEDIUM: u32 = 3;
const HIGH: u32 = 4;
const CRITICAL: u32 = 5;

/// The OCSF form of an event.
#[must_use]
pub fn ocsf(event: &Event) -> Value {
    let class = classify(&event.kind);
    let mut record = Map::new();
    let mut put = |name: &str, value: Value| {
        record.insert(name.to_owned(), value);
    };
    put("class_uid", json!(class.uid));
    put("category_uid", json!(class.category));
    put("activity_id", json!(class.activity));
    put(
        "type_uid",
        json!(u64::from(class.uid) * 100 + u64::from(class.activity)),
    );
    put("severity_id", json!(class.severity));
    put("status_id", json!(if class.success { 1 } else { 2 }));
    put(
        "status",
        json!(if class.success { "Success" } else { "Failure" }),
    );
    put("time", json!(event.time.as_millisecond()));
    put("message", json!(class.message));
    put(
        "metadata",
        json!({
            "version": "1.3.0",
            "uid": event.id.to_string(),
            "product": { "name": "Palisade", "vendor_name": "Palisade",
                         "version": env!("CARGO_PKG_VERSION") },
        }),
    );
    if let Some(principal) = &event.principal {
        put(
            "actor",
            json!({ "user": { "uid": principal.to_string(), "name": principal.id() } }),
        );
        if let Some(device) = principal.device() {
            // 7 is "IOT" in OCSF's device types.
            put(
                "device",
                json!({ "uid": device.as_str(), "name": device.as_str(), "type_id": 7 }),
            );
        }
    }
    if let EventKind::Administrative(act) = &event.kind {
        put("actor", json!({ "user": { "name": actor(&act.actor) } }));
        put("api", json!({ "operation": act.act }));
        put("resources", json!([{ "name": act.target }]));
    }
    if let Some(source) = event.source {
        put("src_endpoint", json!({ "ip": source.to_string() }));
    }
    // What OCSF has no field for is kept whole.
    put(
        "unmapped",
        serde_json::to_value(&event.kind).unwrap_or(Value::Null),
    );
    Value::Object(record)
}

fn actor(actor: &Actor) -> String {
    match actor {
        Actor::Token(name) => format!("token/{name}"),
        Actor::System(part) => format!("system/{part}"),
        Actor::Console => "console".to_owned(),
    }
}

fn class(uid: u32, activity: u32, severity: u32, success: bool, message: String) -> Class {
    Class {
        uid,
        category: uid / 1000,
        activity,
        severity,
        success,
        message,
    }
}

fn classify(kind: &EventKind) -> Class {
    match kind {
        EventKind::Admitted {
            client_id,
            protocol,
            ..
        } => class(
            AUTHENTICATION,
            1,
            INFORMATIONAL,
            true,
            format!("{client_id} opened a session over {protocol}"),
        ),
        EventKind::Refused { reason, count } => {
            let message = match count {
                1 => reason.clone(),
                count => format!("{reason} ({count} times)"),
            };
            class(AUTHENTICATION, 1, LOW, false, message)
        }
        EventKind::Disconnected { client_id, end, .. } => class(
            AUTHENTICATION,
            2,
            INFORMATIONAL,
            true,
            format!("the session of {client_id} ended: {end:?}"),
        ),
        EventKind::Denied {
            action,
            resource,
            reason,
            count,
        } => class(
            AUTHORIZE_SESSION,
            99,
            LOW,
            false,
            format!("{action} {resource} was denied {count} times: {reason}"),
        ),
        EventKind::LimitExceeded { limit, count } => class(
            NETWORK_ACTIVITY,
            5,
            MEDIUM,
            false,
            format!("limit {limit} was exceeded {count} times"),
        ),
        EventKind::Subscribed { filter } => class(
            API_ACTIVITY,
            1,
            INFORMATIONAL,
            true,
            format!("subscribed to {filter}"),
        ),
        EventKind::Found(finding) => class(
            DETECTION_FINDING,
            if finding.count > 1 { 2 } else { 1 },
            severity(finding.severity),
            true,
            format!("{}: {}", finding.title, finding.detail),
        ),
        EventKind::Responded(response) => class(
            DETECTION_FINDING,
            2,
            INFORMATIONAL,
            response.state != ActionState::Failed,
            format!(
                "{} on {}: {:?}: {}",
                response.action, response.target, response.state, response.reason
            ),
        ),
        EventKind::PublishStatistics {
            messages, bytes, ..
        } => class(
            NETWORK_ACTIVITY,
            6,
            INFORMATIONAL,
            true,
            format!("published {messages} messages, {bytes} bytes"),
        ),
        EventKind::Registered { count } => class(
            ENTITY_MANAGEMENT,
            1,
            INFORMATIONAL,
            true,
            format!("{count} registered"),
        ),
        EventKind::Enrolled { serial, .. } => class(
            ENTITY_MANAGEMENT,
            1,
            INFORMATIONAL,
            true,
            format!("certificate {serial} was issued"),
        ),
        EventKind::Renewed { serial, previous } => class(
            ENTITY_MANAGEMENT,
            3,
            INFORMATIONAL,
            true,
            format!("certificate {previous} was renewed as {serial}"),
        ),
        EventKind::CertificateRevoked { serial, reason } => class(
            ENTITY_MANAGEMENT,
            4,
            MEDIUM,
            true,
            format!("certificate {serial} was revoked: {reason}"),
        ),
        EventKind::CrlIssued { number, entries } => class(
            ENTITY_MANAGEMENT,
            3,
            INFORMATIONAL,
            true,
            format!("CRL {number} was issued with {entries} entries"),
        ),
        EventKind::PostureChanged {
            lifecycle,
            trust,
            reason,
            ..
        } => class(
            DETECTION_FINDING,
            1,
            HIGH,
            true,
            format!("now {lifecycle}, trust {}: {reason}", trust.value()),
        ),
        EventKind::AgentReport { version, .. } => class(
            ENTITY_MANAGEMENT,
            2,
            INFORMATIONAL,
            true,
            format!("agent {version} reported"),
        ),
        EventKind::Administrative(act) => administrative(act),
    }
}

fn severity(severity: Severity) -> u32 {
    match severity {
        Severity::Informational => INFORMATIONAL,
        Severity::Low => LOW,
        Severity::Medium => MEDIUM,
        Severity::High => HIGH,
        Severity::Critical => CRITICAL,
    }
}

fn administrative(act: &AdministrativeAct) -> Class {
    let verb = act.act.rsplit_once('.').map_or("", |(_, verb)| verb);
    let activity = match verb {
        "create" | "register" | "import" | "add" => 1,
        "read" | "list" | "export" => 2,
        "delete" | "remove" | "revoke" | "retire" => 4,
        _ => 3,
    };
    let success = act.outcome == Outcome::Done;
    let severity = if success { INFORMATIONAL } else { LOW };
    let message = format!(
        "{} {} by {}: {:?}",
        act.act,
        act.target,
        actor(&act.actor),
        act.outcome
    );
    class(API_ACTIVITY, activity, severity, success, message)
}
