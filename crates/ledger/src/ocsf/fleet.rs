//! What becomes of devices and their certificates, what their agents report, and what people do to them.

use palisade_core::{AdministrativeAct, Event, EventKind, Lifecycle, Outcome};
use serde_json::{Value, json};

use super::{
    FAILURE, Record, actor,
    class::{
        ACTIVATE, API_ACTIVITY, Activity, COLLECT, CREATE, DEACTIVATE, DELETE, DEVICE_INVENTORY,
        DISABLE, ENROLL, ENTITY_MANAGEMENT, READ, RESUME, SUSPEND, UPDATE,
    },
    device, service, source,
};

pub(super) fn describe(event: &Event) -> Record {
    match &event.kind {
        EventKind::Registered { count } => {
            let message = format!("{count} registered");
            entity(event, CREATE, this_device(event), message).with("count", json!(count))
        }
        EventKind::Enrolled { serial, .. } => {
            let message = format!("certificate {serial} was issued");
            entity(event, ENROLL, this_device(event), message)
        }
        EventKind::Renewed { serial, previous } => {
            let message = format!("certificate {previous} was renewed as {serial}");
            entity(event, UPDATE, certificate(previous.to_string()), message)
                .with("entity_result", certificate(serial.to_string()))
        }
        EventKind::CertificateRevoked { serial, reason } => {
            let message = format!("certificate {serial} was revoked: {reason}");
            entity(event, DISABLE, certificate(serial.to_string()), message)
                .with("status_detail", json!(reason))
        }
        EventKind::CrlIssued { number, entries } => {
            let message = format!("CRL {number} was issued with {entries} entries");
            let crl = json!({ "name": format!("CRL {number}"), "type": "CRL", "type_id": 99 });
            entity(event, CREATE, crl, message)
        }
        EventKind::PostureChanged { .. } => posture(event),
        // INVARIANT: the caller sends only what is named above, and this.
        _ => report(event),
    }
}

fn entity(event: &Event, activity: Activity, entity: Value, message: String) -> Record {
    Record::new(ENTITY_MANAGEMENT, activity, message)
        .with("entity", entity)
        .with("src_endpoint", source(event))
        .with_device(event)
}

/// The device as what was changed.
fn this_device(event: &Event) -> Value {
    match (&event.principal, device(event)) {
        (Some(principal), Some(device)) => json!({
            "uid": principal.id(),
            "name": principal.id(),
            "type": "Device",
            "type_id": 1,
            "device": device,
        }),
        (Some(principal), None) => json!({
            "uid": principal.to_string(),
            "name": principal.id(),
            "type": "Service",
            "type_id": 99,
        }),
        (None, _) => json!({ "name": "devices", "type": "Device", "type_id": 1 }),
    }
}

fn certificate(serial: String) -> Value {
    json!({ "uid": serial, "name": serial, "type": "Certificate", "type_id": 99 })
}

fn posture(event: &Event) -> Record {
    let EventKind::PostureChanged {
        lifecycle_before,
        lifecycle,
        trust,
        reason,
        ..
    } = &event.kind
    else {
        return report(event);
    };
    let activity = match (lifecycle_before, lifecycle) {
        (before, after) if before == after => UPDATE,
        (_, Lifecycle::Quarantined) => SUSPEND,
        (Lifecycle::Quarantined, Lifecycle::Active) => RESUME,
        (_, Lifecycle::Active) => ACTIVATE,
        (_, Lifecycle::Revoked | Lifecycle::Retired) => DEACTIVATE,
        (_, Lifecycle::Registered) => UPDATE,
    };
    let message = format!("now {lifecycle}, trust {}: {reason}", trust.value());
    entity(event, activity, this_device(event), message)
        .with("status_detail", json!(reason))
        .with("comment", json!(reason))
}

fn report(event: &Event) -> Record {
    let EventKind::AgentReport { version, facts } = &event.kind else {
        return Record::new(DEVICE_INVENTORY, COLLECT, event.kind.name().to_owned());
    };
    let mut about = device(event).unwrap_or_else(|| json!({ "type_id": 0, "type": "Unknown" }));
    let fact = |name: &str| facts.get(name).and_then(Value::as_str);
    if let Some(name) = fact("os") {
        let (type_id, kind) = match name.to_ascii_lowercase() {
            name if name.contains("linux") => (200, "Linux"),
            _ => (99, "Other"),
        };
        about["os"] = json!({
            "name": name,
            "type_id": type_id,
            "type": kind,
            "version": fact("os_version").or_else(|| fact("kernel")),
        });
    }
    about["agent_list"] =
        json!([{ "name": "palisade-agent", "version": version, "vendor_name": "Palisade" }]);
    Record::new(
        DEVICE_INVENTORY,
        COLLECT,
        format!("agent {version} reported"),
    )
    .with("device", about)
}

pub(super) fn administrative(event: &Event, act: &AdministrativeAct) -> Record {
    let verb = act.act.rsplit_once('.').map_or("", |(_, verb)| verb);
    let activity = match verb {
        "create" | "register" | "import" | "add" => CREATE,
        "read" | "list" | "export" => READ,
        "delete" | "remove" | "revoke" | "retire" => DELETE,
        _ => UPDATE,
    };
    let is_done = act.outcome == Outcome::Done;
    let who = actor(&act.actor);
    let message = format!("{} {} by {who}: {:?}", act.act, act.target, act.outcome);
    let record = Record::new(API_ACTIVITY, activity, message)
        .with(
            "actor",
            json!({ "user": { "uid": who, "name": who, "type_id": 2, "type": "Admin" } }),
        )
        .with(
            "api",
            json!({ "operation": act.act, "service": { "name": service(event.door) } }),
        )
        .with("resources", json!([{ "name": act.target }]))
        .with("src_endpoint", source(event))
        .with("status_detail", json!(act.reason));
    match is_done {
        true => record,
        false => record.status(FAILURE),
    }
}
