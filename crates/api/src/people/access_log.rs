//! The log of access: each request of a person or a program at this door leaves an entry, whether it was let through
//! or not. What is alike within an hour is counted in one; an act that is in the ledger has one of its own, which
//! names that. Requests never wait for it: it is held in memory, bounded, and written in batches. What found no room
//! is counted.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{http::StatusCode, response::Response};
use palisade_core::{Clock, EventId};
use palisade_store::{AccessEntry, AccessKind, AccessOutcome, Store};

use super::{PeopleState, access::Access, auth::Caller, routes::Rule};
use crate::problem::Detail;

/// Kinds of requests that are told apart until they are written.
const MAX_KINDS: usize = 20_000;
/// Acts that are held until they are written.
const MAX_ACTS: usize = 50_000;
/// Entries that are written in one transaction.
const BATCH: usize = 500;
const MAX_RESOURCE: usize = 200;
const MAX_REASON: usize = 300;

/// The numbers of the log since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AccessLogStats {
    /// Requests that were written down.
    pub(crate) noted: u64,
    /// Requests that were not, for want of room.
    pub(crate) lost: u64,
}

/// The entry of the ledger that a request became.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told(pub(super) EventId);

/// Who came, where only the handler could tell: somebody who logged in just now.
#[derive(Debug, Clone)]
pub(super) struct CameAs {
    pub(super) account: String,
    pub(super) session: String,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Alike {
    hour: i64,
    kind: AccessKind,
    subject: String,
    action: String,
    outcome: AccessOutcome,
    /// From where: what is written is one, and each place is noted.
    source: Option<String>,
}

impl Alike {
    fn of(entry: &AccessEntry) -> Self {
        Self {
            hour: entry.hour(),
            kind: entry.kind,
            subject: entry.subject.clone(),
            action: entry.action.clone(),
            outcome: entry.outcome,
            source: entry.source.clone(),
        }
    }
}

#[derive(Default)]
struct Pending {
    alike: HashMap<Alike, AccessEntry>,
    acts: Vec<AccessEntry>,
}

pub(super) struct AccessLog {
    store: Store,
    clock: Arc<dyn Clock>,
    pending: Mutex<Pending>,
    /// One writes at a time, so that whoever has flushed sees all that was noted before.
    writing: tokio::sync::Mutex<()>,
    noted: AtomicU64,
    lost: AtomicU64,
}

impl AccessLog {
    pub(super) fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            pending: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            noted: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    pub(super) fn stats(&self) -> AccessLogStats {
        AccessLogStats {
            noted: self.noted.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    fn note(&self, entry: AccessEntry) {
        let times = entry.times;
        if !hold(&mut self.pending(), entry) {
            self.lost.fetch_add(times, Ordering::Relaxed);
        }
    }

    /// Writes down what was noted; what cannot be written is tried again the next time.
    pub(super) async fn flush(&self) {
        let _one_writes = self.writing.lock().await;
        let Pending { alike, acts } = std::mem::take(&mut *self.pending());
        let entries: Vec<AccessEntry> = acts.into_iter().chain(alike.into_values()).collect();
        let mut left = entries.as_slice();
        while let Some(batch) = left
            .get(..left.len().min(BATCH))
            .filter(|batch| !batch.is_empty())
        {
            if let Err(error) = self.store.access().add(batch).await {
                tracing::warn!(%error, "the log of access could not be written; it is tried again");
                break;
            }
            let times = batch.iter().map(|entry| entry.times).sum();
            self.noted.fetch_add(times, Ordering::Relaxed);
            left = left.get(batch.len()..).unwrap_or_default();
        }
        for entry in left {
            self.note(entry.clone());
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds an entry; `false` where there is no room for it.
fn hold(pending: &mut Pending, entry: AccessEntry) -> bool {
    if entry.event.is_some() {
        let has_room = pending.acts.len() < MAX_ACTS;
        if has_room {
            pending.acts.push(entry);
        }
        return has_room;
    }
    let has_room = pending.alike.len() < MAX_KINDS;
    match pending.alike.entry(Alike::of(&entry)) {
        Entry::Occupied(mut held) => join(held.get_mut(), entry),
        Entry::Vacant(place) if has_room => drop(place.insert(entry)),
        Entry::Vacant(_) => return false,
    }
    true
}

fn join(held: &mut AccessEntry, entry: AccessEntry) {
    let (id, times) = (held.id, held.times + entry.times);
    let first_at = held.first_at.min(entry.first_at);
    // What failed to be written comes back behind what was noted meanwhile.
    if entry.last_at >= held.last_at {
        *held = entry;
    }
    held.id = id;
    held.times = times;
    held.first_at = first_at;
}

/// One request on its way: whatever becomes of it, it is noted, at the latest when its client has left.
pub(super) struct Watch {
    state: PeopleState,
    entry: Option<AccessEntry>,
}

impl Watch {
    pub(super) fn of(state: &PeopleState, rule: Rule, path: &str, source: Option<IpAddr>) -> Self {
        let now = state.access_log().clock.now();
        let entry = AccessEntry {
            id: EventId::generate(),
            kind: AccessKind::Nobody,
            subject: String::new(),
            name: String::new(),
            session: None,
            action: rule.action.to_owned(),
            outcome: AccessOutcome::Allowed,
            event: None,
            times: 1,
            first_at: now,
            last_at: now,
            resource: path.chars().take(MAX_RESOURCE).collect(),
            source: source.map(|source| source.to_string()),
            status: None,
            reason: None,
        };
        Self {
            state: state.clone(),
            // What is for anybody is of nobody.
            entry: (rule.access != Access::Public).then_some(entry),
        }
    }

    /// Who came.
    pub(super) fn caller(&mut self, caller: &Caller) {
        let Some(entry) = &mut self.entry else {
            return;
        };
        entry.name.clone_from(&caller.name);
        match caller.person {
            Some(_) => {
                entry.kind = AccessKind::Account;
                entry.subject.clone_from(&caller.name);
                entry.session = Some(caller.token.to_string());
            }
            None => {
                entry.kind = AccessKind::Token;
                entry.subject = caller.token.to_string();
            }
        }
    }

    /// It was refused, and this is why, whatever the client is told.
    pub(super) fn refused(&mut self, why: &str) {
        if let Some(entry) = &mut self.entry {
            entry.outcome = AccessOutcome::Denied;
            entry.reason = Some(why.to_owned());
        }
    }

    /// This is the answer.
    pub(super) fn end(mut self, response: &mut Response) {
        let extensions = response.extensions_mut();
        let (told, came_as) = (extensions.remove::<Told>(), extensions.remove::<CameAs>());
        let detail = extensions.remove::<Detail>();
        let status = response.status();
        let Some(mut entry) = self.entry.take() else {
            return;
        };
        if let Some(CameAs { account, session }) = came_as {
            entry.kind = AccessKind::Account;
            entry.name.clone_from(&account);
            entry.subject = account;
            entry.session = Some(session);
        }
        entry.status = Some(status.as_u16());
        entry.event = told.map(|Told(event)| event);
        if entry.outcome == AccessOutcome::Allowed {
            entry.outcome = outcome_of(status);
        }
        if entry.outcome != AccessOutcome::Allowed && entry.reason.is_none() {
            entry.reason = detail.map(|Detail(detail)| detail);
        }
        let reason = entry.reason.take();
        entry.reason = reason.map(|reason| reason.chars().take(MAX_REASON).collect());
        self.state.access_log().note(entry);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(mut entry) = self.entry.take() {
            entry.reason = Some("the client left before the answer".to_owned());
            self.state.access_log().note(entry);
        }
    }
}

fn outcome_of(status: StatusCode) -> AccessOutcome {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => {
            AccessOutcome::Denied
        }
        status if status.is_server_error() => AccessOutcome::Failed,
        _ => AccessOutcome::Allowed,
    }
}

#[cfg(test)]
mod tests {
    use palisade_core::Timestamp;

    use super::*;

    fn entry(action: String, event: Option<EventId>) -> AccessEntry {
        AccessEntry {
            id: EventId::generate(),
            kind: AccessKind::Account,
            subject: "anna".to_owned(),
            name: "anna".to_owned(),
            session: None,
            action,
            outcome: AccessOutcome::Allowed,
            event,
            times: 1,
            first_at: Timestamp::UNIX_EPOCH,
            last_at: Timestamp::UNIX_EPOCH,
            resource: String::new(),
            source: None,
            status: Some(200),
            reason: None,
        }
    }

    #[test]
    fn what_is_held_is_bounded_and_what_is_known_is_counted_all_the_same() {
        let mut pending = Pending::default();
        for n in 0..MAX_KINDS {
            assert!(hold(&mut pending, entry(format!("a{n}"), None)));
        }
        assert!(!hold(&mut pending, entry("one-more".to_owned(), None)));
        assert!(hold(&mut pending, entry("a0".to_owned(), None)));
        assert_eq!(pending.alike.len(), MAX_KINDS);
        for _ in 0..MAX_ACTS {
            let act = entry("a".to_owned(), Some(EventId::generate()));
            assert!(hold(&mut pending, act));
        }
        let act = entry("a".to_owned(), Some(EventId::generate()));
        assert!(!hold(&mut pending, act));
    }
}
