//! Refused attempts on the record: the first of a kind at once, those that follow within a second as one
//! entry with their number, so that a flood of them cannot flood the ledger.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use palisade_core::{
    Actor, AdministrativeAct, Clock, Door, Event, EventKind, Outcome, Repeated, Repeats, Taken,
    Timestamp, port::Journal,
};
use tokio::time::Instant;

use super::failures::network;

/// How long equal attempts are one.
const WINDOW: Duration = Duration::from_secs(1);
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
        caller: Actor,
        act: String,
        why: String,
        source: Option<IpAddr>,
    },
}

pub(crate) struct Denials {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    /// With the first target that was refused.
    repeats: Mutex<Repeats<Refusal, String>>,
}

impl Denials {
    pub(crate) fn new(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>) -> Self {
        Self {
            journal,
            clock,
            repeats: Mutex::new(Repeats::new(WINDOW, MAX_KINDS)),
        }
    }

    /// Notes a refusal on `target`; on disk when this returns, if it is the first of its kind.
    pub(crate) async fn note(&self, refusal: Refusal, target: &str) {
        let refusal = coarse(refusal);
        let now = Instant::now().into_std();
        let is_first = self.repeats().is_first(&refusal, now, || short(target));
        if is_first {
            let event = event(&refusal, &short(target), 1, self.clock.now());
            self.write(vec![event]).await;
        }
    }

    /// Records what was counted since; called now and then, and with `all` at the end.
    pub(crate) async fn flush(&self, all: bool) {
        let taken = {
            let mut repeats = self.repeats();
            match all {
                true => repeats.take_all(),
                false => repeats.take(Instant::now().into_std()),
            }
        };
        let Taken { repeated, beyond } = taken;
        let now = self.clock.now();
        let told = repeated.into_iter().map(|repeated| {
            let Repeated { kind, first, count } = repeated;
            event(&kind, &first, count, now)
        });
        let mut events: Vec<Event> = told.collect();
        if beyond > 0 {
            let others = Refusal::Unrecognised {
                source: None,
                why: "attempts of many kinds",
            };
            events.push(event(&others, "", beyond, now));
        }
        self.write(events).await;
    }

    async fn write(&self, events: Vec<Event>) {
        if let Err(error) = self.journal.record(events).await {
            // Nothing was done that could be taken back; the refusal itself stands.
            tracing::error!(%error, "refused attempts could not be recorded");
        }
    }

    fn repeats(&self) -> std::sync::MutexGuard<'_, Repeats<Refusal, String>> {
        self.repeats
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A target as far as the record has room for it.
fn short(target: &str) -> String {
    target.chars().take(200).collect()
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
            let reason = format!("REST: {why}");
            (*source, EventKind::Refused { reason, count })
        }
        Refusal::Forbidden {
            caller,
            act,
            why,
            source,
        } => {
            let act = AdministrativeAct {
                actor: caller.clone(),
                act: act.clone(),
                target: target.to_owned(),
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
