//! What auditors and detection hear of. Equal denials, refusals and exceeded limits within one second
//! are one event, so that a flood of acts is not a flood of entries; the trust score hears of each
//! denial at once.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use palisade_core::{Action, Clock, DenyReason, Door, Event, EventKind, Principal, port::Journal};
use parking_lot::Mutex;

use crate::limits::network;
use tokio_util::sync::CancellationToken;

/// Collects what happened and writes it down once a second.
pub struct Notices {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    counted: HashMap<Key, Counted>,
    events: Vec<Event>,
    /// Found no room among the above.
    lost: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Denied(Principal, Action, DenyReason),
    Exceeded(Principal, &'static str),
    Refused(IpAddr, Option<Principal>, String),
}

#[derive(Debug)]
struct Counted {
    resource: String,
    source: Option<IpAddr>,
    count: u64,
}

/// The most different things within one second; what is beyond is counted together.
const MAX_KEYS: usize = 50_000;
/// The most single events within one second.
const MAX_EVENTS: usize = 50_000;
/// How long equal things are one.
const WINDOW: Duration = Duration::from_secs(1);

impl Notices {
    /// Nothing happened yet.
    pub fn new(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>) -> Self {
        Self {
            journal,
            clock,
            pending: Mutex::new(Pending::default()),
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
        } else {
            pending.lost += 1;
        }
    }

    fn count(&self, key: Key, source: Option<IpAddr>, resource: &str) {
        let mut pending = self.pending.lock();
        if let Some(counted) = pending.counted.get_mut(&key) {
            counted.count += 1;
        } else if pending.counted.len() < MAX_KEYS {
            let counted = Counted {
                resource: resource.to_owned(),
                source,
                count: 1,
            };
            pending.counted.insert(key, counted);
        } else {
            pending.lost += 1;
        }
    }

    /// Writes down what happened since the last time.
    pub async fn flush(&self) {
        let pending = std::mem::take(&mut *self.pending.lock());
        if pending.lost > 0 {
            tracing::warn!(
                lost = pending.lost,
                "more happened within a second than is written down"
            );
        }
        let now = self.clock.now();
        let mut events = pending.events;
        events.extend(
            pending
                .counted
                .into_iter()
                .map(|(key, counted)| to_event(now, key, counted)),
        );
        if events.is_empty() {
            return;
        }
        let count = events.len();
        if let Err(error) = self.journal.record(events).await {
            tracing::error!(%error, events = count, "events could not be written down");
        }
    }

    /// Writes down every second until `cancel`, and then what is left.
    pub async fn run(&self, cancel: CancellationToken) {
        let mut ticks = tokio::time::interval(WINDOW);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.flush().await,
                () = cancel.cancelled() => break,
            }
        }
        self.flush().await;
    }
}

fn to_event(now: palisade_core::Timestamp, key: Key, counted: Counted) -> Event {
    let Counted {
        resource,
        source,
        count,
    } = counted;
    let (principal, kind) = match key {
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
        Key::Refused(_, principal, reason) => {
            let reason = match count {
                1 => reason,
                count => format!("{reason} ({count} times)"),
            };
            (principal, EventKind::Refused { reason })
        }
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
mod tests {
    use palisade_core::{
        DeviceId, SystemClock,
        port::{BoxFuture, JournalError},
    };

    use super::*;

    #[derive(Default)]
    struct Written(Mutex<Vec<Event>>);

    impl Journal for Written {
        fn record(&self, events: Vec<Event>) -> BoxFuture<'_, Result<(), JournalError>> {
            self.0.lock().extend(events);
            Box::pin(std::future::ready(Ok(())))
        }
    }

    #[tokio::test]
    async fn a_flood_of_equal_denials_is_one_event() {
        let journal = Arc::new(Written::default());
        let notices = Notices::new(journal.clone(), Arc::new(SystemClock));
        let device: Principal = DeviceId::parse("cam-1").expect("valid").into();
        let source = IpAddr::from([10, 0, 0, 1]);
        for number in 0..1000 {
            let topic = format!("devices/{number}");
            notices.denied(
                &device,
                source,
                Action::Publish,
                DenyReason::NoGrant,
                &topic,
            );
        }
        notices.denied(&device, source, Action::Subscribe, DenyReason::NoGrant, "#");
        notices.flush().await;
        notices.flush().await;
        let events = journal.0.lock();
        assert_eq!(events.len(), 2);
        assert!(events.iter().any(|event| matches!(
            &event.kind,
            EventKind::Denied { count: 1000, resource, .. } if resource == "devices/0"
        )));
    }
}
