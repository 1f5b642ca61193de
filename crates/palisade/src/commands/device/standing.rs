//! How a device stands: whether policy shuts it out for its trust, and why it is held. What the server does
//! not say, because the caller may not read it, is left out.

use serde_json::{Value, json};

use crate::{
    client::{Session, path},
    failure::Failure,
    output::cell,
};

/// The most devices that are asked about one by one.
const MOST: u64 = 100;
/// The most pages of events that are read about one device.
const PAGES: usize = 20;

/// Says beside the lifecycle of an active device that policy shuts it out. A lost point of trust is what
/// makes it worth asking; where trust ends to be enough, the policies in force say.
pub(super) fn mark(device: &mut Value, session: &Session) {
    let (Some(id), Some(trust)) = (device["id"].as_str(), device["posture"]["trust"].as_u64())
    else {
        return;
    };
    let is_suspect = device["posture"]["lifecycle"] == "active" && trust < 100;
    if is_suspect && is_shut_out(id, session) == Some(true) {
        device["posture"]["lifecycle"] = format!("active (contained: trust {trust})").into();
    }
}

/// Whether the device may not connect; `None` where that cannot be known.
fn is_shut_out(device: &str, session: &Session) -> Option<bool> {
    let principal = json!({ "type": "device", "id": device });
    let asked = json!({ "principal": principal, "action": "connect" });
    let call = session.post(path(&["policy", "explain"])).json(&asked);
    let allowed = call.send().ok()?.get("allowed")?.as_bool()?;
    Some(!allowed)
}

/// How many active devices policy shuts out, for people: a number, or at least a number.
pub(in crate::commands) fn count_contained(session: &Session) -> Result<Option<String>, Failure> {
    let suspects = session
        .get(path(&["devices"]))
        .query("lifecycle", Some("active"))
        .query("trust_below", Some(100))
        .query("limit", Some(MOST))
        .send()?;
    let mut contained = 0;
    let items = suspects["items"].as_array().map_or(&[][..], Vec::as_slice);
    for device in items {
        let id = device["id"].as_str().unwrap_or_default();
        match is_shut_out(id, session) {
            Some(true) => contained += 1,
            Some(false) => {}
            None => return Ok(None),
        }
    }
    Ok(Some(match suspects["next"].is_null() {
        true => contained.to_string(),
        false => format!("{contained} or more"),
    }))
}

/// Says of a device that was taken out of service why that was done, when, and by whom.
pub(super) fn explain(device: &mut Value, session: &Session) {
    let (Some(id), Some(lifecycle)) = (
        device["id"].as_str(),
        device["posture"]["lifecycle"].as_str(),
    ) else {
        return;
    };
    let act = match lifecycle {
        "quarantined" => "device.quarantine",
        "revoked" => "device.revoke",
        "retired" => "device.retire",
        _ => return,
    };
    let became =
        |event: &Value| event["lifecycle"] == lifecycle && event["lifecycle_before"] != lifecycle;
    let did = |event: &Value| event["act"] == act && event["outcome"] == "done";
    let Some(change) = newest(id, "posture_changed", session, became) else {
        return;
    };
    let by = newest(id, "administrative", session, did);
    device["held"] = sentence(&change, by.as_ref()).into();
}

fn sentence(change: &Value, by: Option<&Value>) -> String {
    let reason = change["reason"].as_str().filter(|text| !text.is_empty());
    let mut sentence = format!(
        "{} (since {}",
        reason.unwrap_or("no reason was given"),
        cell(change.get("time"))
    );
    // An older act of the same kind is not what brought this change about.
    if let Some(by) = by.filter(|by| by["reason"] == change["reason"]) {
        sentence.push_str(&format!(", by {}", cell(by.get("actor"))));
    }
    sentence + ")"
}

/// The newest event of a kind about a device that is a wanted one.
fn newest(
    device: &str,
    kind: &str,
    session: &Session,
    is_wanted: impl Fn(&Value) -> bool,
) -> Option<Value> {
    let mut after = None::<String>;
    for _ in 0..PAGES {
        let page = session
            .get(path(&["events"]))
            .header("Accept", "application/json")
            .query("principal", Some(format!("device/{device}")))
            .query("kind", Some(kind))
            .query("order", Some("newest"))
            .query("limit", Some(1000))
            .query("after", after.as_ref())
            .send()
            .ok()?;
        let mut events = page["items"].as_array()?.iter().map(|item| &item["event"]);
        if let Some(found) = events.find(|event| is_wanted(event)) {
            return Some(found.clone());
        }
        after = Some(page["next"].as_str()?.to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_contained_a_device_is_said_of_the_act_that_did_it() {
        let change = json!({"reason": "talks to strangers", "time": "2026-01-02T03:04:05Z"});
        let by =
            |reason: &str| json!({"reason": reason, "actor": {"type": "token", "id": "admin"}});
        assert_eq!(
            sentence(&change, Some(&by("talks to strangers"))),
            "talks to strangers (since 2026-01-02 03:04:05Z, by token/admin)"
        );
        assert_eq!(
            sentence(&change, Some(&by("an older one"))),
            "talks to strangers (since 2026-01-02 03:04:05Z)"
        );
    }
}
