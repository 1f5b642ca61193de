//! What auditors hear of refusals. The first is written down before the client is answered; equal ones
//! within a second are counted, and written down as one.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use palisade_core::{
    Action, Clock, Counted, DenyReason, Door, Event, EventKind, Principal, Repeats, Taken,
    port::{Journal, JournalError},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// How long equal things are one.
const WINDOW: Duration = Duration::from_secs(1);
/// The most different things within a window; what is beyond is counted together.
const MAX_KINDS: usize = 10_000;
/// How long the first of a kind that nobody waits for waits for company.
const GATHER: Duration = Duration::from_millis(5);
/// How many times as long as the last write took nothing is written.
const REST: u32 = 3;
/// The longest such rest.
const LONGEST_REST: Duration = Duration::from_millis(250);

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

type Key = (About, What);

pub(crate) struct Notices {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    repeats: Mutex<Repeats<Key, ()>>,
    /// Something is to be written down, at once or when a window is over.
    began: Notify,
}

impl Notices {
    pub(crate) fn new(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>) -> Self {
        Self {
            journal,
            clock,
            repeats: Mutex::new(Repeats::new(WINDOW, MAX_KINDS)),
            began: Notify::new(),
        }
    }

    /// Writes a refusal down: durable when this returns, unless an equal one was within this second.
    ///
    /// # Errors
    /// When the journal fails.
    pub(crate) async fn note(&self, about: About, what: What) -> Result<(), JournalError> {
        let key = (about, what);
        let is_first = self
            .repeats()
            .is_first(&key, Instant::now().into_std(), || ());
        if !is_first {
            return Ok(());
        }
        self.began.notify_one();
        let event = self.event(key, 1);
        self.journal.record(vec![event]).await
    }

    /// Counts a refusal that has no answer which could wait: the first is written down within
    /// milliseconds.
    pub(crate) fn note_soon(&self, about: About, what: What) {
        let now = Instant::now().into_std();
        let counted = self.repeats().count((about, what), now, || ());
        if counted != Counted::Again {
            self.began.notify_one();
        }
    }

    /// Writes down what was counted until cancelled, and once more then.
    pub(crate) async fn run(&self, cancel: CancellationToken) {
        while cancel.run_until_cancelled(self.due()).await.is_some() {
            let begun = Instant::now();
            let taken = self.repeats().take(begun.into_std());
            self.write(taken).await;
            // The disk is also what devices wait for: a flood of strangers does not keep it busy.
            let rest = (begun.elapsed() * REST).min(LONGEST_REST);
            cancel.run_until_cancelled(sleep(rest)).await;
        }
        self.flush().await;
    }

    /// Waits until there is something to write.
    async fn due(&self) {
        let due = self.repeats().next_due().map(Instant::from_std);
        match due {
            None => self.began.notified().await,
            Some(due) => {
                if timeout_at(due, self.began.notified()).await.is_err() {
                    return;
                }
            }
        }
        sleep(GATHER).await;
    }

    async fn flush(&self) {
        let taken = self.repeats().take_all();
        self.write(taken).await;
    }

    async fn write(&self, taken: Taken<Key, ()>) {
        let repeated = taken.repeated.into_iter();
        let mut events: Vec<Event> = repeated
            .map(|repeated| self.event(repeated.kind, repeated.count))
            .collect();
        if taken.beyond > 0 {
            let kind = EventKind::Refused {
                reason: "more kinds of requests within a second than are told apart".to_owned(),
                count: taken.beyond,
            };
            events.push(Event::new(self.clock.now(), Door::DeviceHttps, kind));
        }
        if let Err(error) = self.journal.record(events).await {
            tracing::error!(%error, "refusals could not be written down");
        }
    }

    fn repeats(&self) -> std::sync::MutexGuard<'_, Repeats<Key, ()>> {
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn event(&self, (about, what): Key, count: u64) -> Event {
        let kind = match what {
            What::Denied(action, reason) => EventKind::Denied {
                action,
                resource: String::new(),
                reason,
                count,
            },
            What::Refused(reason) => EventKind::Refused { reason, count },
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

    #[tokio::test(start_paused = true)]
    async fn a_refusal_that_nobody_waits_for_is_written_within_milliseconds() {
        let kept = Arc::new(Kept::default());
        let notices = Arc::new(Notices::new(kept.clone(), Arc::new(SystemClock)));
        let cancel = CancellationToken::new();
        let (runs, token) = (notices.clone(), cancel.clone());
        let task = tokio::spawn(async move { runs.run(token).await });
        let about = About {
            source: IpAddr::from([192, 0, 2, 1]),
            principal: None,
        };
        let what = What::Refused("tls handshake".to_owned());
        let mut written = Vec::new();
        for wait in [10, 800, 400] {
            for _ in 0..3 {
                notices.note_soon(about.clone(), what.clone());
            }
            tokio::time::sleep(Duration::from_millis(wait)).await;
            written.push(kept.0.lock().expect("whole").len());
        }
        // The first three at once, the next six a second later.
        assert_eq!(written, [1, 1, 2]);
        cancel.cancel();
        task.await.expect("ends");
        assert_eq!(kept.0.lock().expect("whole").len(), 2);
    }
}
