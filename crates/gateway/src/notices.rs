//! What auditors and detection hear of: the first of a kind within milliseconds, so that detection can act
//! upon it, and equal denials, refusals and exceeded limits within the second that follows as one event, so
//! that a flood of acts is not a flood of entries. The trust score hears of each denial at once.

use std::{net::IpAddr, sync::Arc, time::Duration};

use palisade_core::{
    Action, Clock, Counted, DenyReason, Door, Event, EventKind, Principal, Repeated, Repeats,
    Taken, Timestamp, port::Journal,
};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::limits::network;

/// Collects what happened and writes it down.
pub struct Notices {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    pending: Mutex<Pending>,
    /// Something happened where nothing was pending.
    began: Notify,
}

#[derive(Debug)]
struct Pending {
    repeats: Repeats<Key, First>,
    events: Vec<Event>,
    /// When the first of what is to be written at once happened.
    since: Option<Instant>,
    /// Found no room among the events.
    lost: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Denied(Principal, Action, DenyReason),
    Exceeded(Principal, &'static str),
    Refused(IpAddr, Option<Principal>, String),
}

/// The first of those that are one event.
#[derive(Debug)]
struct First {
    resource: String,
    source: Option<IpAddr>,
}

/// The most different things within one second; what is beyond is counted together.
const MAX_KINDS: usize = 50_000;
/// The most single events at a time.
const MAX_EVENTS: usize = 50_000;
/// How long equal things are one.
const WINDOW: Duration = Duration::from_secs(1);
/// How long what is written at once waits for company.
const GATHER: Duration = Duration::from_millis(5);
/// The disk rests this many times as long as the last write took, so that a busy gateway writes more at a
/// time and not more often: the disk is also what messages wait for.
const REST: u32 = 3;
/// The longest such rest.
const LONGEST_REST: Duration = Duration::from_millis(250);

impl Notices {
    /// Nothing happened yet.
    pub fn new(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>) -> Self {
        let pending = Pending {
            repeats: Repeats::new(WINDOW, MAX_KINDS),
            events: Vec::new(),
            since: None,
            lost: 0,
        };
        Self {
            journal,
            clock,
            pending: Mutex::new(pending),
            began: Notify::new(),
        }
    }

    /// Policy said no.
    pub fn denied(
        &self,
        principal: &Principal,
        source: IpAddr,
        action: Action,
        reason: DenyReason,
        resource: &str,
    ) {
        let key = Key::Denied(principal.clone(), action, reason);
        self.count(key, Some(source), resource);
    }

    /// A limit was exceeded.
    pub fn exceeded(&self, principal: &Principal, limit: &'static str) {
        self.count(Key::Exceeded(principal.clone(), limit), None, "");
    }

    /// A connection was refused before it was a session.
    pub fn refused(&self, source: IpAddr, principal: Option<&Principal>, reason: String) {
        let key = Key::Refused(network(source), principal.cloned(), reason);
        self.count(key, Some(source), "");
    }

    /// Something happened that is not counted.
    pub fn event(&self, principal: &Principal, source: Option<IpAddr>, kind: EventKind) {
        let mut event = Event::new(self.clock.now(), Door::Mqtt, kind).about(principal.clone());
        event.source = source;
        let mut pending = self.pending.lock();
        if pending.events.len() < MAX_EVENTS {
            pending.events.push(event);
            self.begin(&mut pending, Instant::now());
        } else {
            pending.lost += 1;
        }
    }

    fn count(&self, key: Key, source: Option<IpAddr>, resource: &str) {
        let now = Instant::now();
        let first = || First {
            resource: resource.to_owned(),
            source,
        };
        let mut pending = self.pending.lock();
        if pending.repeats.count(key, now.into_std(), first) == Counted::First {
            self.begin(&mut pending, now);
        }
    }

    fn begin(&self, pending: &mut Pending, now: Instant) {
        if pending.since.is_none() {
            pending.since = Some(now);
            self.began.notify_one();
        }
    }

    /// Writes down all that was not written yet.
    pub async fn flush(&self) {
        let (events, taken) = {
            let mut pending = self.pending.lock();
            (pending.take_events(), pending.repeats.take_all())
        };
        self.write(events, taken).await;
    }

    async fn flush_due(&self) {
        let (events, taken) = {
            let mut pending = self.pending.lock();
            let now = Instant::now().into_std();
            (pending.take_events(), pending.repeats.take(now))
        };
        self.write(events, taken).await;
    }

    async fn write(&self, (mut events, lost): (Vec<Event>, u64), taken: Taken<Key, First>) {
        let lost = lost + taken.beyond;
        if lost > 0 {
            tracing::warn!(lost, "more happened within a second than is written down");
        }
        let now = self.clock.now();
        let repeated = taken.repeated.into_iter();
        events.extend(repeated.map(|repeated| to_event(now, repeated)));
        if events.is_empty() {
            return;
        }
        let count = events.len();
        if let Err(error) = self.journal.record(events).await {
            tracing::error!(%error, events = count, "events could not be written down");
        }
    }

    /// Writes down what happens until `cancel`, and then what is left.
    pub async fn run(&self, cancel: CancellationToken) {
        let mut rested = Instant::now();
        while cancel.run_until_cancelled(self.due(rested)).await.is_some() {
            let begun = Instant::now();
            self.flush_due().await;
            let rest = (begun.elapsed() * REST).min(LONGEST_REST);
            rested = Instant::now() + rest;
        }
        self.flush().await;
    }

    /// Waits until something is to be written, and not before the disk has rested.
    async fn due(&self, rested: Instant) {
        loop {
            let due = self.pending.lock().due();
            match due {
                None => self.began.notified().await,
                Some(due) => {
                    // A repeat may be due later than what happens meanwhile.
                    let began = self.began.notified();
                    if timeout_at(due.max(rested), began).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

impl Pending {
    fn take_events(&mut self) -> (Vec<Event>, u64) {
        self.since = None;
        (
            std::mem::take(&mut self.events),
            std::mem::take(&mut self.lost),
        )
    }

    fn due(&self) -> Option<Instant> {
        let at_once = self.since.map(|since| since + GATHER);
        let repeats = self.repeats.next_due().map(Instant::from_std);
        [at_once, repeats].into_iter().flatten().min()
    }
}

fn to_event(now: Timestamp, repeated: Repeated<Key, First>) -> Event {
    let First { resource, source } = repeated.first;
    let count = repeated.count;
    let (principal, kind) = match repeated.kind {
        Key::Denied(principal, action, reason) => {
            let kind = EventKind::Denied {
                action,
                resource,
                reason,
                count,
            };
            (Some(principal), kind)
        }
        Key::Exceeded(principal, limit) => {
            let limit = limit.to_owned();
            (Some(principal), EventKind::LimitExceeded { limit, count })
        }
        Key::Refused(_, principal, reason) => (principal, EventKind::Refused { reason, count }),
    };
    let mut event = Event::new(now, Door::Mqtt, kind);
    event.principal = principal;
    event.source = source;
    event
}

impl std::fmt::Debug for Notices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notices").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
