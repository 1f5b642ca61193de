//! The sessions there are, by name and by principal.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use palisade_core::Principal;
use parking_lot::RwLock;

use crate::session::Session;

/// The sessions there are.
#[derive(Debug, Default)]
pub struct Registry(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    by_name: BTreeMap<Arc<str>, Arc<Session>>,
    by_principal: HashMap<Principal, Vec<Arc<Session>>>,
}

/// No room for another session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// Of anybody.
    All,
    /// Of this principal.
    Principal,
}

impl Registry {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.read().by_name.len()
    }

    /// The session of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Session>> {
        self.0.read().by_name.get(name).cloned()
    }

    /// The sessions of a principal.
    pub fn of(&self, principal: &Principal) -> Vec<Arc<Session>> {
        self.0
            .read()
            .by_principal
            .get(principal)
            .cloned()
            .unwrap_or_default()
    }

    /// Up to `limit` sessions after a name, in order of names.
    pub fn page(&self, after: Option<&str>, limit: usize) -> Vec<Arc<Session>> {
        let inner = self.0.read();
        let from = match after {
            Some(name) => Bound::Excluded(name),
            None => Bound::Unbounded,
        };
        inner
            .by_name
            .range::<str, _>((from, Bound::Unbounded))
            .take(limit)
            .map(|(_, session)| session.clone())
            .collect()
    }

    /// All sessions.
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.0.read().by_name.values().cloned().collect()
    }

    /// Whether there is room for the session of this name: it is there, or there may be another.
    pub(super) fn room(
        &self,
        name: &str,
        principal: &Principal,
        max: (usize, usize),
    ) -> Result<(), NoRoom> {
        let inner = self.0.read();
        if inner.by_name.contains_key(name) {
            return Ok(());
        }
        let own = inner.by_principal.get(principal).map_or(0, Vec::len);
        inner.check_room(own, max)
    }

    /// The session of this name, or else a new one; and whether it was there.
    pub(super) fn get_or_make(
        &self,
        name: &str,
        make: impl FnOnce() -> Arc<Session>,
        max: (usize, usize),
    ) -> Result<(Arc<Session>, bool), NoRoom> {
        let mut inner = self.0.write();
        if let Some(found) = inner.by_name.get(name) {
            return Ok((found.clone(), true));
        }
        let session = make();
        let own = inner.by_principal.get(&session.principal);
        inner.check_room(own.map_or(0, Vec::len), max)?;
        inner.add(session.clone());
        Ok((session, false))
    }

    /// Adds a session that survived.
    pub(super) fn restore(&self, session: Arc<Session>) {
        self.0.write().add(session);
    }

    /// Removes this very session. Says whether it was there.
    pub(super) fn remove(&self, session: &Arc<Session>) -> bool {
        self.0.write().remove(session)
    }
}

impl Inner {
    fn add(&mut self, session: Arc<Session>) {
        let own = self.by_principal.entry(session.principal.clone());
        own.or_default().push(session.clone());
        self.by_name.insert(session.name.clone(), session);
    }

    fn check_room(&self, own: usize, max: (usize, usize)) -> Result<(), NoRoom> {
        if self.by_name.len() >= max.0 {
            Err(NoRoom::All)
        } else if own >= max.1 {
            Err(NoRoom::Principal)
        } else {
            Ok(())
        }
    }

    fn remove(&mut self, session: &Arc<Session>) -> bool {
        let is_there = self
            .by_name
            .get(&session.name)
            .is_some_and(|found| Arc::ptr_eq(found, session));
        if !is_there {
            return false;
        }
        self.by_name.remove(&session.name);
        if let Some(own) = self.by_principal.get_mut(&session.principal) {
            own.retain(|other| !Arc::ptr_eq(other, session));
            if own.is_empty() {
                self.by_principal.remove(&session.principal);
            }
        }
        true
    }
}
