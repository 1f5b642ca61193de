//! What auditors hear of refusals. The first is written down before the client is answered; equal ones
//! within a second are counted, and written down as one.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use palisade_core::{
    Action, Clock, DenyReason, Door, Event, EventKind, Principal,
    port::{Journal, JournalError},
};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How long equal things are one.
const WINDOW: Duration = Duration::from_secs(1);
/// The most different things within a window; what is beyond is counted together.
const MAX_KEYS: usize = 10_000;

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum What {
    /// Policy said no.
    Denied(Action, DenyReason),
    /// It was refused before policy was asked.
    Refused(String),
    /// A limit was exceeded.
    Exceeded(&'static str),
}

/// Whom a refusal is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct About {
    pub(crate) source: IpAddr,
    pub(crate) principal: Option<Principal>,
}

pub(crate) struct Notices {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    // How many there were that are not written down yet.
    held: HashMap<(About, What), u64>,
    beyond: u64,
}

impl Notices {
    pub(crate) fn new(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>) -> Self {
        Self {
            journal,
            clock,
            window: Mutex::default(),
        }
    }

    /// Writes a refusal down: durable when this returns, unless an equal one was within this second.
    ///
    /// # Errors
    /// When the journal fails.
    pub(crate) async fn note(&self, about: About, what: What) -> Result<(), JournalError> {
        let key = (about, what);
        let is_first = self.window().count(&key, 0);
        if !is_first {
            return Ok(());
        }
        let (about, what) = key;
        let event = self.event(about, what, 1);
        self.journal.record(vec![event]).await
    }

    /// Counts a refusal that has no answer which could wait: written down within a second.
    pub(crate) fn note_soon(&self, about: About, what: What) {
        self.window().count(&(about, what), 1);
    }

    /// Writes down what was counted, each second until cancelled and once more then.
    pub(crate) async fn run(&self, cancel: CancellationToken) {
        let mut ticks = tokio::time::interval(WINDOW);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while cancel.run_until_cancelled(ticks.tick()).await.is_some() {
            self.flush().await;
        }
        self.flush().await;
    }

    async fn flush(&self) {
        let window = std::mem::take(&mut *self.window());
        let counted = window.held.into_iter().filter(|(_, count)| *count > 0);
        let mut events: Vec<Event> = counted
            .map(|((about, what), count)| self.event(about, what, count))
            .collect();
        if window.beyond > 0 {
            let reason = format!("{} more requests within a second", window.beyond);
            let kind = EventKind::Refused { reason };
            events.push(Event::new(self.clock.now(), Door::DeviceHttps, kind));
        }
        if let Err(error) = self.journal.record(events).await {
            tracing::error!(%error, "refusals could not be written down");
        }
    }

    fn window(&self) -> std::sync::MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn event(&self, about: About, what: What, count: u64) -> Event {
        let kind = match what {
            What::Denied(action, reason) => EventKind::Denied {
                action,
                resource: String::new(),
                reason,
                count,
            },
            What::Refused(reason) if count == 1 => EventKind::Refused { reason },
            What::Refused(reason) => EventKind::Refused {
                reason: format!("{reason} ({count} times within a second)"),
            },
            What::Exceeded(limit) => EventKind::LimitExceeded {
                limit: limit.to_owned(),
                count,
            },
        };
        let mut event = Event::new(self.clock.now(), Door::DeviceHttps, kind);
        event.source = Some(about.source);
        event.principal = about.principal;
        event
    }
}

impl Window {
    /// Counts; `true` where it is the first of its kind in this window, which counts for `first`.
    fn count(&mut self, key: &(About, What), first: u64) -> bool {
        if let Some(count) = self.held.get_mut(key) {
            *count += 1;
            return false;
        }
        if self.held.len() >= MAX_KEYS {
            self.beyond += 1;
            return false;
        }
        self.held.insert(key.clone(), first);
        true
    }
}

#[cfg(test)]
mod tests {
    use palisade_core::{SystemClock, port::BoxFuture};

    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Event>>);

    impl Journal for Kept {
        fn record(&self, events: Vec<Event>) -> BoxFuture<'_, Result<(), JournalError>> {
            self.0.lock().expect("whole").extend(events);
            Box::pin(std::future::ready(Ok(())))
        }
    }

    #[tokio::test]
    async fn the_first_refusal_is_written_at_once_and_a_flood_of_equals_is_one_more() {
        let kept = Arc::new(Kept::default());
        let notices = Notices::new(kept.clone(), Arc::new(SystemClock));
        let about = About {
            source: IpAddr::from([192, 0, 2, 1]),
            principal: None,
        };
        let what = What::Exceeded("enrolment failures");
        for _ in 0..1_000 {
            let noted = notices.note(about.clone(), what.clone()).await;
            noted.expect("written");
        }
        assert_eq!(kept.0.lock().expect("whole").len(), 1);
        notices.flush().await;
        let counts: Vec<u64> = kept
            .0
            .lock()
            .expect("whole")
            .iter()
            .map(|event| match &event.kind {
                EventKind::LimitExceeded { count, .. } => *count,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(counts, [1, 999]);
    }
}
