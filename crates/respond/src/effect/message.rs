//! What is sent, and the templates of tickets, without I/O.

use palisade_core::Order;
use palisade_mail::one_line;
use serde_json::{Value, json};

/// The longest text that a place in a template becomes, in characters.
const MAX_PLACE: usize = 2_000;

/// What `notify` sends.
pub(super) fn notification(order: &Order) -> Value {
    json!({
        "type": "palisade.case",
        "delivery": order.id.to_string(),
        "case": order.case.to_string(),
        "target": order.target.to_string(),
        "reason": order.reason,
        "context": order.context,
    })
}

/// The subject of an e-mail.
pub(super) fn subject(order: &Order) -> String {
    fill_text("[{severity}] {target}: {title}", order)
}

/// The text of an e-mail. Each value is one line of it, so that none can pass for another.
pub(super) fn letter(order: &Order) -> String {
    const LINES: [(&str, &str); 13] = [
        ("severity", "{severity}"),
        ("title", "{title}"),
        ("target", "{target}"),
        ("subject", "{subject}"),
        ("source", "{source}"),
        ("detector", "{finding.detector.type}/{finding.detector.id}"),
        ("detail", "{finding.detail}"),
        (
            "seen",
            "{finding.count} times, {finding.first_seen} to {finding.last_seen}",
        ),
        ("confidence", "{finding.confidence}"),
        ("playbook", "{playbook}"),
        ("because", "{reason}"),
        ("case", "{case}"),
        ("look", "palisade case show {case}"),
    ];
    let mut text = String::new();
    for (name, value) in LINES {
        let value = one_line(&fill_text(value, order));
        // A place that the order has no value for, as one by hand has no finding.
        if !value.is_empty() && !value.contains("{finding.") {
            text.push_str(&format!("{name}: {value}\n"));
        }
    }
    text
}

/// A template with its places filled: `{title}`, `{severity}`, `{finding.detail}` and whatever else the
/// context has, in the texts of the template. What is filled in stays text: it cannot add members.
pub(super) fn fill(template: &Value, order: &Order) -> Value {
    match template {
        Value::String(text) => Value::String(fill_text(text, order)),
        Value::Array(items) => items.iter().map(|item| fill(item, order)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key.clone(), fill(value, order)))
            .collect(),
        other => other.clone(),
    }
}

fn fill_text(text: &str, order: &Order) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match after.split_once('}') {
            Some((place, after)) => {
                match place_of(place, order) {
                    Some(value) => filled.extend(value.chars().take(MAX_PLACE)),
                    None => filled.push_str(&format!("{{{place}}}")),
                }
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

fn place_of(place: &str, order: &Order) -> Option<String> {
    match place {
        "case" => return Some(order.case.to_string()),
        "target" => return Some(order.target.to_string()),
        "reason" => return Some(order.reason.clone()),
        _ => {}
    }
    let mut value = &order.context;
    for part in place.split('.') {
        value = value.get(part)?;
    }
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => Some(String::new()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use palisade_core::{ActionId, CaseId, Target};

    use super::*;

    #[test]
    fn a_template_is_filled_and_hostile_text_stays_text() {
        let order = Order {
            id: ActionId::generate(),
            case: CaseId::generate(),
            action: "ticket".to_owned(),
            target: Target::Fleet,
            parameters: serde_json::Map::new(),
            reason: "because".to_owned(),
            context: json!({
                "title": "\", \"admin\": true, \"x\": \"{reason}",
                "finding": { "count": 3 },
            }),
        };
        let template =
            json!({ "summary": "{title}", "n": ["{finding.count} of {target}", 5], "{": "{" });
        let filled = fill(&template, &order);
        assert_eq!(filled["summary"], "\", \"admin\": true, \"x\": \"{reason}");
        assert_eq!(filled["n"], json!(["3 of fleet", 5]));
        assert_eq!(filled["{"], "{");
        assert_eq!(filled.as_object().map(serde_json::Map::len), Some(3));
        assert_eq!(
            fill(&json!("{nothing} {finding.x}"), &order),
            "{nothing} {finding.x}"
        );
    }
}
