//! What detection found, and what was done about it.

use palisade_core::{ActionState, Detector, Event, Finding, Response, Target};
use serde_json::{Value, json};

use super::{
    FAILURE, Record, SUCCESS, Status,
    class::{
        Activity, DETECTION_FINDING, EVICT, FINDING_CREATED, FINDING_UPDATED, HARDEN, ISOLATE,
        OTHER, REMEDIATION, RESTORE,
    },
    device, source,
};

pub(super) fn found(event: &Event, finding: &Finding) -> Record {
    let activity = match finding.count {
        0 | 1 => FINDING_CREATED,
        _ => FINDING_UPDATED,
    };
    let (confidence_id, confidence) = match finding.confidence.value() {
        0..=33 => (1, "Low"),
        34..=66 => (2, "Medium"),
        67.. => (3, "High"),
    };
    let message = format!("{}: {}", finding.title, finding.detail);
    Record::new(DETECTION_FINDING, activity, message)
        .status(Status(1, "New"))
        .with("finding_info", finding_info(finding))
        .with("confidence_id", json!(confidence_id))
        .with("confidence", json!(confidence))
        .with("confidence_score", json!(finding.confidence.value()))
        .with("count", json!(finding.count))
        .with("evidences", evidences(event, finding))
        .with("resources", resources(event))
        .with_device(event)
}

fn finding_info(finding: &Finding) -> Value {
    let (type_id, kind) = match &finding.detector {
        Detector::Rule(_) => (1, "Rule"),
        Detector::Baseline(_) => (2, "Behavioral"),
        Detector::Audit(_) => (99, "Other"),
    };
    let attacks: Vec<Value> = finding
        .techniques
        .iter()
        .filter_map(|tag| attack(tag))
        .collect();
    let mut info = json!({
        "uid": finding.id.to_string(),
        "title": finding.title,
        "desc": finding.detail,
        "types": [finding.detector.kind()],
        "analytic": {
            "uid": finding.detector.to_string(),
            "name": finding.detector.id(),
            "type_id": type_id,
            "type": kind,
        },
        "created_time": finding.first_seen.as_millisecond(),
        "first_seen_time": finding.first_seen.as_millisecond(),
        "last_seen_time": finding.last_seen.as_millisecond(),
        "data_sources": ["palisade events"],
    });
    if !attacks.is_empty() {
        info["attacks"] = json!(attacks);
    }
    info
}

/// A Sigma tag as ATT&CK has it: `attack.t0836` is the technique T0836, `attack.t1110.001` a
/// sub-technique; what is neither is a tactic by its name.
fn attack(tag: &str) -> Option<Value> {
    let name = tag.strip_prefix("attack.")?;
    let digits = name.strip_prefix(['t', 'T']).unwrap_or_default();
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return Some(json!({ "tactic": { "name": name } }));
    }
    let uid = name.to_ascii_uppercase();
    Some(match uid.split_once('.') {
        None => json!({ "technique": { "uid": uid } }),
        Some((technique, _)) => json!({
            "technique": { "uid": technique },
            "sub_technique": { "uid": uid },
        }),
    })
}

/// The events that show it, by their names; with none, whom and whence it is about.
fn evidences(event: &Event, finding: &Finding) -> Value {
    let mut common = json!({ "src_endpoint": source(event) });
    if let Some(device) = device(event) {
        common["device"] = device;
    }
    if finding.evidence.is_empty() {
        return json!([common]);
    }
    let evidence = finding.evidence.iter().map(|id| {
        let mut evidence = common.clone();
        evidence["data"] = json!({ "event": id.to_string() });
        evidence
    });
    Value::Array(evidence.collect())
}

fn resources(event: &Event) -> Value {
    match &event.principal {
        Some(principal) => {
            let kind = match principal.device() {
                Some(_) => "device",
                None => "service",
            };
            json!([{ "uid": principal.to_string(), "name": principal.id(), "type": kind }])
        }
        None => Value::Null,
    }
}

pub(super) fn responded(response: &Response) -> Record {
    let state = serde_json::to_value(response.state).unwrap_or_default();
    let message = format!(
        "{} on {}: {}: {}",
        response.action,
        response.target,
        state.as_str().unwrap_or_default(),
        response.reason
    );
    let status = match response.state {
        ActionState::Done | ActionState::Undone => SUCCESS,
        ActionState::Failed => FAILURE,
        ActionState::Waiting => Status(99, "Waiting"),
        ActionState::Running | ActionState::Undoing => Status(99, "Running"),
        ActionState::Rejected => Status(99, "Rejected"),
        ActionState::Observed | ActionState::DryRun => Status(99, "Not applied"),
    };
    let mut record = Record::new(REMEDIATION, remedy(response), message)
        .status(status)
        .with("command_uid", json!(response.id.to_string()))
        .with("status_detail", json!(response.reason))
        .with("remediation", json!({ "desc": response.action }));
    if let Some(by) = &response.by {
        record.put("actor", json!({ "user": { "name": by, "uid": by } }));
        record.profiles.push("host");
    }
    if let Target::Device(id) = &response.target {
        let device =
            json!({ "uid": id.as_str(), "name": id.as_str(), "type_id": 7, "type": "IOT" });
        record.put("device", device);
        if !record.profiles.contains(&"host") {
            record.profiles.push("host");
        }
    }
    record
}

/// D3FEND's tactic of an action; those of other capabilities are "Other" until they are known here.
fn remedy(response: &Response) -> Activity {
    if matches!(response.state, ActionState::Undoing | ActionState::Undone) {
        return RESTORE;
    }
    let action = response.action.as_str();
    let has = |word: &str| action.contains(word);
    if has("quarantine") || has("block") || has("close") || has("isolate") {
        ISOLATE
    } else if has("revoke") || has("rotate") {
        EVICT
    } else if has("trust") || has("restrict") || has("grant") {
        HARDEN
    } else {
        OTHER
    }
}
