//! When sessions that are away end and their Wills are due.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use palisade_core::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::session::Session;

/// Moments at which to look at a session. A session that is back by then is left alone.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    due: Mutex<BTreeMap<(Timestamp, u64), Weak<Session>>>,
    earlier: Notify,
}

impl Deadlines {
    /// Looks at the session at this moment.
    pub(super) fn add(&self, at: Timestamp, session: &Arc<Session>) {
        let is_first = {
            let mut due = self.due.lock();
            due.insert((at, session.key), Arc::downgrade(session));
            due.first_key_value()
                .is_some_and(|(first, _)| *first == (at, session.key))
        };
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// There is no need to look at the session at this moment any more.
    pub(super) fn remove(&self, at: Timestamp, key: u64) {
        self.due.lock().remove(&(at, key));
    }

    /// Takes out the sessions whose moment has come.
    pub(super) fn take_due(&self, now: Timestamp) -> Vec<Arc<Session>> {
        let mut due = self.due.lock();
        let mut sessions = Vec::new();
        while let Some(first) = due.first_entry() {
            if first.key().0 > now {
                break;
            }
            sessions.extend(first.remove().upgrade());
        }
        sessions
    }

    /// The next moment.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.due.lock().first_key_value().map(|((at, _), _)| *at)
    }

    /// Waits until the next moment is an earlier one.
    pub(super) async fn changed(&self) {
        self.earlier.notified().await;
    }
}
