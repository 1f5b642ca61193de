//! What `palisade top` shows: written by who asks, read by who draws.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use serde_json::{Value, json};

/// As much history as a wide terminal shows.
const HISTORY: usize = 240;
/// As many events as a tall terminal shows.
const EVENTS: usize = 200;

/// What a question was answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// Not asked yet.
    Nothing,
    /// The items of a list.
    Items(Vec<Value>),
    /// Why not.
    Refused(String),
}

/// Everything that is drawn.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    /// The server's address.
    pub(super) server: String,
    /// What it says of itself; `null` before it was asked.
    pub(super) status: Value,
    /// When it said so.
    pub(super) asked: Option<Instant>,
    /// Why it does not answer now.
    pub(super) lost: Option<String>,
    /// Messages let through in a second, over time.
    pub(super) messages: Vec<u64>,
    /// Requests denied in a second, over time.
    pub(super) denied: Vec<u64>,
    /// Open cases.
    pub(super) cases: Found,
    /// Actions that wait for a person.
    pub(super) waiting: Found,
    /// Whether response is stopped by its switch; `None` where this caller may not know.
    pub(super) is_stopped: Option<bool>,
    /// The newest events, the newest last, each as one line.
    pub(super) events: VecDeque<String>,
    /// Why there are none.
    pub(super) no_events: Option<String>,
}

impl Snapshot {
    /// For programs.
    pub(super) fn json(&self) -> Value {
        let found = |found: &Found| match found {
            Found::Nothing => Value::Null,
            Found::Items(items) => items.clone().into(),
            Found::Refused(why) => json!({ "error": why }),
        };
        json!({
            "server": self.server,
            "status": self.status,
            "rates": {"messages_per_second": self.messages.last(), "denied_per_second": self.denied.last()},
            "cases": found(&self.cases),
            "waiting": found(&self.waiting),
            "kill_switch": self.is_stopped,
        })
    }
}

/// The picture.
#[derive(Debug)]
pub(super) struct Picture(Mutex<Snapshot>);

impl Picture {
    pub(super) fn new(server: &str) -> Self {
        Self(Mutex::new(Snapshot {
            server: server.to_owned(),
            status: Value::Null,
            asked: None,
            lost: None,
            messages: Vec::new(),
            denied: Vec::new(),
            cases: Found::Nothing,
            waiting: Found::Nothing,
            is_stopped: None,
            events: VecDeque::new(),
            no_events: None,
        }))
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.change(|now| now.clone())
    }

    /// Notes what the server says of itself, and from the last time on how much there was in a second.
    pub(super) fn status(&self, status: Value, at: Instant) {
        self.change(|now| {
            // A server that started anew counts from nothing.
            let is_same = now.status["gateway"]["started_at"] == status["gateway"]["started_at"];
            if let (Some(before), true) = (now.asked, is_same) {
                let seconds = at.duration_since(before).as_secs_f64();
                for (history, name) in [
                    (&mut now.messages, "messages_in"),
                    (&mut now.denied, "denied"),
                ] {
                    let count = |status: &Value| status["gateway"][name].as_u64().unwrap_or(0);
                    let more = count(&status).saturating_sub(count(&now.status));
                    if history.len() == HISTORY {
                        history.remove(0);
                    }
                    history.push((more as f64 / seconds.max(0.001)).round() as u64);
                }
            }
            now.status = status;
            now.asked = Some(at);
            now.lost = None;
        });
    }

    pub(super) fn lost(&self, why: String) {
        self.change(|now| now.lost = Some(why));
    }

    pub(super) fn response(&self, cases: Found, waiting: Found, is_stopped: Option<bool>) {
        self.change(|now| (now.cases, now.waiting, now.is_stopped) = (cases, waiting, is_stopped));
    }

    pub(super) fn event(&self, line: String) {
        self.change(|now| {
            now.no_events = None;
            if now.events.len() == EVENTS {
                now.events.pop_front();
            }
            now.events.push_back(line);
        });
    }

    pub(super) fn no_events(&self, why: String) {
        self.change(|now| now.no_events = Some(why));
    }

    fn change<R>(&self, with: impl FnOnce(&mut Snapshot) -> R) -> R {
        // A panic elsewhere does not spoil a picture.
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn status(started: &str, messages: u64) -> Value {
        json!({"gateway": {"started_at": started, "messages_in": messages, "denied": 0}})
    }

    #[test]
    fn rates_are_of_the_time_between_and_begin_anew_with_the_server() {
        let picture = Picture::new("https://localhost:8443");
        let at = Instant::now();
        picture.status(status("a", 100), at);
        picture.status(status("a", 300), at + Duration::from_secs(4));
        assert_eq!(picture.snapshot().messages, [50]);
        picture.status(status("b", 5), at + Duration::from_secs(6));
        assert_eq!(picture.snapshot().messages, [50], "counted from nothing");
        picture.status(status("b", 25), at + Duration::from_secs(8));
        assert_eq!(picture.snapshot().messages, [50, 10]);
    }

    #[test]
    fn history_and_events_are_bounded() {
        let picture = Picture::new("x");
        let at = Instant::now();
        for second in 0..(HISTORY as u64 + 9) {
            picture.status(status("a", second), at + Duration::from_secs(second));
            picture.event(format!("event {second}"));
        }
        let now = picture.snapshot();
        assert_eq!((now.messages.len(), now.events.len()), (HISTORY, EVENTS));
        assert_eq!(
            now.events.back().map(String::as_str),
            Some(&*format!("event {}", HISTORY + 8))
        );
    }
}
