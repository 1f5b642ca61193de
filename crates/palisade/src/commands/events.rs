//! `palisade events`.

use std::{net::IpAddr, str::FromStr};

use clap::{Args, ValueEnum, builder::PossibleValuesParser};
use palisade_api::people::EVENT_KINDS;
use palisade_core::{Clock, SystemClock, Timestamp};
use serde_json::Value;

use super::{
    PageArgs,
    finding::{Severity, on_the_wire},
};
use crate::{
    client::{Act, Call, Follow, Session, path},
    config::Span,
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

/// In which form events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// As Palisade has them
    Native,
    /// The Open Cybersecurity Schema Framework, a JSON object a line
    Ocsf,
}

/// `palisade events`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  palisade events
  palisade events --newest 20 --kind denied
  palisade events --since 1h --severity medium
  palisade events --since 2026-05-01T00:00:00Z --until 2026-05-02T00:00:00Z --source 192.0.2.7
  palisade events --follow --kind denied --principal device/cam-1 --json
  palisade events --oldest --limit 1000 --format ocsf > events.ndjson

Without --after, --since and --oldest the newest events are shown, in the order in which they happened.")]
pub(crate) struct EventsCommand {
    /// Print events as they happen, until interrupted; with --newest, those first
    #[arg(long, short, conflicts_with_all = ["since", "until", "oldest"])]
    follow: bool,
    /// Show the newest N
    #[arg(long, value_name = "N", conflicts_with_all = ["after", "oldest", "limit"])]
    newest: Option<usize>,
    /// Begin with the oldest that is kept
    #[arg(long, conflicts_with = "after")]
    oldest: bool,
    /// Only from so long ago on (1h, 2d), or from this moment on
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Only until so long ago, or before this moment
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Only of this kind
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(EVENT_KINDS))]
    kind: Option<String>,
    /// Only about this principal (device/ID or service/ID)
    #[arg(long, value_name = "PRINCIPAL")]
    principal: Option<String>,
    /// Only from this address
    #[arg(long, value_name = "ADDRESS")]
    source: Option<IpAddr>,
    /// Only those at least this severe
    #[arg(long)]
    severity: Option<Severity>,
    /// In which form
    #[arg(long, default_value = "native")]
    format: Form,
    #[command(flatten)]
    page: PageArgs,
}

/// A moment: as it stands in a calendar, or so long ago.
#[derive(Debug, Clone, Copy)]
enum Moment {
    At(Timestamp),
    Ago(Span),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(span) = text.parse() {
            return Ok(Self::Ago(span));
        }
        text.parse()
            .map(Self::At)
            .map_err(|_| format!("{text:?} is no moment: write 1h, 2d or 2026-05-01T12:00:00Z"))
    }
}

impl Moment {
    fn at(self) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Ago(span) => {
                let now = SystemClock.now();
                now.checked_sub(span.duration()).unwrap_or(Timestamp::MIN)
            }
        }
    }
}

impl Act for EventsCommand {
    fn act(mut self, session: &Session) -> Result<(), Failure> {
        if self.follow {
            return self.follow(session);
        }
        // Operators ask what is going on now; from the beginning on is asked for.
        let is_unplaced = self.page.after.is_none() && self.since.is_none() && !self.oldest;
        let newest = self.newest.or(is_unplaced.then_some(self.page.limit));
        let answer = match newest {
            Some(count) => {
                self.page = PageArgs {
                    limit: count,
                    after: None,
                };
                self.newest(session)?
            }
            None => self.page.read(|| self.call(session, "oldest"))?,
        };
        self.show(session, answer)
    }
}

impl EventsCommand {
    fn call<'a>(&self, session: &'a Session, order: &'static str) -> Call<'a> {
        let mut call = session
            .get(path(&["events"]))
            .header("Accept", "application/json")
            .query("order", Some(order))
            .query("since", self.since.map(Moment::at))
            .query("until", self.until.map(Moment::at));
        for (name, value) in self.filters() {
            call = call.query(name, Some(value));
        }
        call
    }

    /// What a list and a stream are asked for alike.
    fn filters(&self) -> Vec<(&'static str, String)> {
        let severity = self.severity.and_then(on_the_wire);
        let format = (self.format == Form::Ocsf).then(|| "ocsf".to_owned());
        let filters = [
            ("kind", self.kind.clone()),
            ("principal", self.principal.clone()),
            ("source", self.source.map(|source| source.to_string())),
            ("severity", severity),
            ("format", format),
        ];
        let given = filters.into_iter();
        given
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// The newest events, in the order in which they happened.
    fn newest(&self, session: &Session) -> Result<Value, Failure> {
        let mut answer = self.page.read(|| self.call(session, "newest"))?;
        if let Some(items) = answer.get_mut("items").and_then(Value::as_array_mut) {
            items.reverse();
        }
        answer["next"] = Value::Null;
        Ok(answer)
    }

    fn show(&self, session: &Session, mut answer: Value) -> Result<(), Failure> {
        if self.format == Form::Ocsf {
            let items = answer.get("items").and_then(Value::as_array);
            for event in items
                .into_iter()
                .flatten()
                .filter_map(|item| item.get("event"))
            {
                session.output.json_line(event)?;
            }
            return Ok(());
        }
        if !session.output.is_json() {
            summarise(&mut answer, "event");
        }
        session.output.list(&answer, &COLUMNS)
    }

    fn follow(mut self, session: &Session) -> Result<(), Failure> {
        let mut after = self.page.after.take();
        if let Some(count) = self.newest {
            self.page.limit = count;
            let newest = self.newest(session)?;
            for item in newest["items"].as_array().into_iter().flatten() {
                self.print(session, &item["event"])?;
                after = item["position"]
                    .as_u64()
                    .map(|position| position.to_string());
            }
        }
        let follow = Follow {
            session,
            path: path(&["events"]),
            query: self.filters(),
            after,
        };
        follow.run(|message| {
            let event: Value = serde_json::from_str(&message.data)?;
            self.print(session, &event)
        })
    }

    fn print(&self, session: &Session, event: &Value) -> Result<(), Failure> {
        match session.output.is_json() || self.format == Form::Ocsf {
            true => session.output.json_line(event),
            false => session.output.text(&line(event)),
        }
    }
}

/// An event as one line for people.
fn line(event: &Value) -> String {
    let time = event.get("time").and_then(Value::as_str);
    format!(
        "{}  {}",
        sanitise(time.unwrap_or_default()),
        event_line(event)
    )
}

/// An event as one line for people who know what day it is: the time to the second, and what happened.
pub(crate) fn short_line(event: &Value) -> String {
    let time = event.get("time").and_then(Value::as_str);
    let clock = time.and_then(|time| time.get(11..19)).unwrap_or_default();
    format!("{}  {}", sanitise(clock), event_line(event))
}

fn event_line(event: &Value) -> String {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut line = text("kind").to_owned();
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
        assert_eq!(
            short_line(&event),
            "00:00:00  denied  device/cam-1  count=3 resource=a b\u{fffd}[2J"
        );
    }
}
