//! Refused attempts on the record: the first of a kind at once, those that follow within a few seconds
//! as one entry with their number, so that a flood of them cannot flood the ledger.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use palisade_core::{
    Actor, AdministrativeAct, Clock, Door, Event, EventKind, Outcome, Timestamp, port::Journal,
};

use super::failures::network;

const WINDOW_S: i64 = 10;
/// Kinds that are told apart at a time; beyond that the rest are one kind.
const MAX_KINDS: usize = 1_024;

/// What was refused to whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    /// Nobody was recognised.
    Unrecognised {
        source: Option<IpAddr>,
        why: &'static str,
    },
    /// A caller who may not do it.
    Forbidden {
        caller: String,
        act: String,
        why: String,
        source: Option<IpAddr>,
    },
}

struct Kind {
    since_s: i64,
    /// The first target that was refused.
    target: String,
    /// Those that came after the one that was recorded at once.
    more: u64,
}

pub(crate) struct Denials {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    kinds: Mutex<HashMap<Refusal, Kind>>,
}

impl Denials {
    pub(crate) fn new(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>) -> Self {
        Self {
            journal,
            clock,
            kinds: Mutex::new(HashMap::new()),
        }
    }

    /// Notes a refusal on `target`; on disk when this returns, if it is the first of its kind.
    pub(crate) async fn note(&self, refusal: Refusal, target: &str) {
        let now = self.clock.now();
        if let Some(event) = self.count(refusal, target, now) {
            self.write(vec![event]).await;
        }
    }

    fn count(&self, refusal: Refusal, target: &str, now: Timestamp) -> Option<Event> {
        let refusal = coarse(refusal);
        let mut kinds = self.lock();
        if let Some(kind) = kinds.get_mut(&refusal) {
            kind.more = kind.more.saturating_add(1);
            return None;
        }
        if kinds.len() >= MAX_KINDS {
            let others = Refusal::Unrecognised {
                source: None,
                why: "attempts of many kinds",
            };
            kinds.entry(others).or_insert_with(|| opened(now, "")).more += 1;
            return None;
        }
        let event = event(&refusal, target, 1, now);
        kinds.insert(refusal, opened(now, target));
        Some(event)
    }

    /// Records what was counted since; called now and then, and with `all` at the end.
    pub(crate) async fn flush(&self, all: bool) {
        let now = self.clock.now();
        let mut events = Vec::new();
        self.lock().retain(|refusal, kind| {
            let is_over = all || (now.as_second() - kind.since_s).abs() >= WINDOW_S;
            if is_over && kind.more > 0 {
                events.push(event(refusal, &kind.target, kind.more, now));
            }
            !is_over
        });
        self.write(events).await;
    }

    async fn write(&self, events: Vec<Event>) {
        if let Err(error) = self.journal.record(events).await {
            // Nothing was done that could be taken back; the refusal itself stands.
            tracing::error!(%error, "refused attempts could not be recorded");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Refusal, Kind>> {
        self.kinds
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn opened(now: Timestamp, target: &str) -> Kind {
    Kind {
        since_s: now.as_second(),
        target: target.chars().take(200).collect(),
        more: 0,
    }
}

fn coarse(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Unrecognised { source, why } => Refusal::Unrecognised {
            source: source.map(network),
            why,
        },
        forbidden => forbidden,
    }
}

fn event(refusal: &Refusal, target: &str, count: u64, now: Timestamp) -> Event {
    let (source, kind) = match refusal {
        Refusal::Unrecognised { source, why } => {
            let reason = format!("REST, {count} times: {why}");
            (*source, EventKind::Refused { reason })
        }
        Refusal::Forbidden {
            caller,
            act,
            why,
            source,
        } => {
            let act = AdministrativeAct {
                actor: Actor::Token(caller.clone()),
                act: act.clone(),
                target: target.chars().take(200).collect(),
                reason: Some(format!("{why} ({count} times)")),
                outcome: Outcome::Refused,
            };
            (*source, EventKind::Administrative(act))
        }
    };
    let event = Event::new(now, Door::Rest, kind);
    match source {
        Some(source) => event.from_source(source),
        None => event,
    }
}
