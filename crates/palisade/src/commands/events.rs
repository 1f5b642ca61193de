//! `palisade events`.

use clap::Args;
use serde_json::Value;

use super::PageArgs;
use crate::{
    client::{Act, Follow, Session, path},
    failure::Failure,
    output::{Column, cell, column, sanitise},
};

const COLUMNS: [Column; 6] = [
    column("POSITION", "/position"),
    column("TIME", "/event/time"),
    column("KIND", "/event/kind"),
    column("PRINCIPAL", "/event/principal"),
    column("SOURCE", "/event/source"),
    column("WHAT", "/what"),
];
/// What every event has; the rest is what one line says about it.
const COMMON: [&str; 6] = ["id", "time", "door", "principal", "source", "kind"];

/// `palisade events`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  palisade events --limit 20
  palisade events --follow
  palisade events --follow --kind denied --principal device/cam-1 --json")]
pub(crate) struct EventsCommand {
    /// Print events as they happen, until interrupted
    #[arg(long, short)]
    follow: bool,
    /// Only of this kind
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only about this principal (device/ID or service/ID)
    #[arg(long, value_name = "PRINCIPAL")]
    principal: Option<String>,
    #[command(flatten)]
    page: PageArgs,
}

impl Act for EventsCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        if self.follow {
            return self.follow(session);
        }
        let mut answer = self.page.read(|| {
            session
                .get(path(&["events"]))
                .header("Accept", "application/json")
                .query("kind", self.kind.as_ref())
                .query("principal", self.principal.as_ref())
        })?;
        if !session.output.is_json() {
            summarise(&mut answer, "event");
        }
        session.output.list(&answer, &COLUMNS)
    }
}

impl EventsCommand {
    fn follow(self, session: &Session) -> Result<(), Failure> {
        let filters = [("kind", self.kind), ("principal", self.principal)];
        let follow = Follow {
            session,
            path: path(&["events"]),
            query: filters
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect(),
            after: self.page.after,
        };
        follow.run(|message| {
            let event: Value = serde_json::from_str(&message.data)?;
            match session.output.is_json() {
                true => session.output.json_line(&event),
                false => session.output.text(&line(&event)),
            }
        })
    }
}

/// An event as one line for people.
fn line(event: &Value) -> String {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut line = format!("{}  {}", text("time"), text("kind"));
    if let Some(principal) = event.get("principal").filter(|value| value.is_object()) {
        let part = |name: &str| principal.get(name).and_then(Value::as_str).unwrap_or("");
        line.push_str(&format!("  {}/{}", part("type"), part("id")));
    }
    line.push_str("  ");
    line.push_str(&what(event));
    sanitise(line.trim_end()).replace('\n', " ")
}

/// What an event says beyond what every event has.
fn what(event: &Value) -> String {
    let text = |name: &str| cell(event.get(name));
    if let Some(act) = event.get("act") {
        let mut what = format!(
            "{} {} by {}",
            cell(Some(act)),
            text("target"),
            text("actor")
        );
        if event
            .get("outcome")
            .is_some_and(|outcome| outcome != "done")
        {
            what.push_str(&format!(", {}", text("outcome")));
        }
        if event.get("reason").is_some_and(|reason| !reason.is_null()) {
            what.push_str(&format!(": {}", text("reason")));
        }
        return what;
    }
    let of_kind =
        |(key, value): &(&String, &Value)| !COMMON.contains(&key.as_str()) && !value.is_null();
    let map = event.as_object().into_iter().flatten();
    map.filter(of_kind)
        .map(|(key, value)| format!("{key}={}", cell(Some(value))))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Adds to each item of a list what its event says, for a table.
pub(super) fn summarise(answer: &mut Value, event: &str) {
    let items = answer.get_mut("items").and_then(Value::as_array_mut);
    for item in items.into_iter().flatten() {
        let what = item.get(event).map(what).unwrap_or_default();
        if let Some(map) = item.as_object_mut() {
            map.insert("what".to_owned(), what.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_administrative_act_says_who_did_what() {
        let event = json!({
            "kind": "administrative", "act": "device.retire", "target": "cam-1", "outcome": "refused",
            "actor": {"type": "token", "id": "admin"}, "reason": "scrapped",
        });
        assert_eq!(
            what(&event),
            "device.retire cam-1 by token/admin, refused: scrapped"
        );
    }

    #[test]
    fn an_event_is_one_line() {
        let event = json!({
            "id": "x", "time": "2026-01-01T00:00:00Z", "door": "mqtt", "kind": "denied",
            "principal": {"type": "device", "id": "cam-1"}, "count": 3, "resource": "a\nb\u{1b}[2J",
        });
        assert_eq!(
            line(&event),
            "2026-01-01T00:00:00Z  denied  device/cam-1  count=3 resource=a b\u{fffd}[2J"
        );
    }
}
