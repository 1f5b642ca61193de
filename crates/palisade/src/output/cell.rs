//! One value as text for people.

use serde_json::Value;

/// The widest cell of a table, in characters; what is longer is cut. The last of a row pushes nothing
/// aside.
const WIDEST: usize = 60;
const WIDEST_LAST: usize = 160;

/// A value on one line.
pub(crate) fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => sanitise(&time(text).unwrap_or_else(|| text.clone())),
        Some(Value::Array(items)) if items.is_empty() => "-".to_owned(),
        Some(Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(|item| text(Some(item))).collect();
            items.join(", ")
        }
        Some(Value::Object(map)) => object(map),
    }
}

fn object(map: &serde_json::Map<String, Value>) -> String {
    // `{type, id}` is how principals, scopes and actors are written.
    if let Some(Value::String(kind)) = map.get("type")
        && map.len() <= 2
    {
        return match map.get("id") {
            Some(id) => format!("{}/{}", sanitise(kind), text(Some(id))),
            None => sanitise(kind),
        };
    }
    let parts: Vec<String> = map
        .iter()
        .filter(|(_, value)| !matches!(value, Value::Null | Value::Bool(false)))
        .map(|(key, value)| match value {
            Value::Bool(true) => sanitise(key),
            other => format!("{}={}", sanitise(key), text(Some(other))),
        })
        .collect();
    match parts.is_empty() {
        true => "-".to_owned(),
        false => parts.join(" "),
    }
}

/// A timestamp to the second, as people read it.
fn time(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_time = bytes.len() >= 20
        && bytes[..19].iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            10 => *byte == b'T',
            13 | 16 => *byte == b':',
            _ => byte.is_ascii_digit(),
        })
        && text.ends_with('Z');
    is_time.then(|| format!("{} {}Z", &text[..10], &text[11..19]))
}

/// Text that a device or an operator chose, without what would steer the terminal.
pub(crate) fn sanitise(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() && c != '\n' && c != '\t'
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(steers) {
        return text.to_owned();
    }
    text.chars()
        .map(|c| if steers(c) { '\u{fffd}' } else { c })
        .collect()
}

/// The text on one line and no wider than a cell.
pub(crate) fn fit(text: &str, is_last: bool) -> String {
    let flat = text.replace(['\n', '\t'], " ");
    let widest = if is_last { WIDEST_LAST } else { WIDEST };
    match flat.chars().count() > widest {
        true => flat.chars().take(widest - 1).chain(['…']).collect(),
        false => flat,
    }
}

/// The colour of a word that says how something is, as an ANSI code.
pub(crate) fn colour(word: &str) -> Option<&'static str> {
    Some(match word {
        "active" | "ok" | "ready" | "valid" | "allow" | "done" => "32",
        "quarantined" | "warn" | "warning" | "registered" => "33",
        "revoked" | "fail" | "failed" | "deny" | "refused" => "31",
        "retired" | "-" => "2",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_written_as_people_read_them() {
        for (value, expected) in [
            (json!(null), "-"),
            (json!(true), "yes"),
            (json!([]), "-"),
            (json!(["a", 2]), "a, 2"),
            (
                json!({"floor": "2", "site": "berlin"}),
                "floor=2 site=berlin",
            ),
            (json!({"publish": true, "retain": false}), "publish"),
            (json!({"type": "device", "id": "cam-1"}), "device/cam-1"),
            (json!({"type": "fleet"}), "fleet"),
            (
                json!("2026-03-04T05:06:07.123456789Z"),
                "2026-03-04 05:06:07Z",
            ),
            (json!("2026"), "2026"),
        ] {
            assert_eq!(text(Some(&value)), expected);
        }
    }

    #[test]
    fn text_from_outside_does_not_steer_the_terminal() {
        assert_eq!(
            text(Some(&json!("a\u{1b}[2Jb\u{202e}"))),
            "a\u{fffd}[2Jb\u{fffd}"
        );
    }
}
