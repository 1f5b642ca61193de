//! How sessions begin, change hands and end.

use std::{
    sync::{Arc, atomic::Ordering},
    task::Waker,
};

use palisade_core::{Principal, Timestamp};
use tokio::time::Instant;

use super::{Broker, registry::NoRoom};
use crate::{
    message::after,
    persist::Op,
    session::{Close, ConnectionFacts, Engine, Room, Session, StoredSession, StoredWill, Will},
};

/// A connection that wants a session.
#[derive(Debug)]
pub struct Attach {
    /// Its number.
    pub connection: u64,
    /// Who.
    pub principal: Principal,
    /// The client identifier.
    pub client_id: Arc<str>,
    /// Whether an earlier session is to be forgotten.
    pub clean_start: bool,
    /// Seconds that the session outlives the connection.
    pub expiry: u32,
    /// The message for when the connection breaks.
    pub will: Option<Box<Will>>,
    /// About the connection.
    pub facts: ConnectionFacts,
}

/// A session for a connection.
#[derive(Debug)]
pub struct Attached {
    /// The session.
    pub session: Arc<Session>,
    /// Whether it was there before.
    pub is_present: bool,
    /// The change after which it is durable.
    pub durable_after: u64,
}

/// Why a connection gets no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The server has as many as it may.
    #[error("the server has as many sessions as it may")]
    ServerFull,
    /// The principal has as many as it may.
    #[error("the principal has as many sessions as it may")]
    PrincipalFull,
}

impl From<NoRoom> for AttachError {
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::All => Self::ServerFull,
            NoRoom::Principal => Self::PrincipalFull,
        }
    }
}

/// What is left of a session's last connection.
struct Lapsed {
    /// A Will that is due now.
    will: Option<Box<Will>>,
    /// The session had expired, and begins anew.
    has_ended: bool,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Whether the Will is to be published.
    pub publish_will: bool,
}

impl Broker {
    /// Under which name the sessions of a principal are kept: two principals may use one client
    /// identifier (a device and a service of the same id) and do not share a session.
    pub fn session_name(principal: &Principal, client_id: &str) -> String {
        format!("{principal}/{client_id}")
    }

    /// Whether a connection would get a session, as far as numbers go.
    ///
    /// # Errors
    /// When there is no room for another session.
    pub fn check_room(&self, principal: &Principal, client_id: &str) -> Result<(), AttachError> {
        let name = Self::session_name(principal, client_id);
        let max = self.config.limits(principal).max_sessions;
        Ok(self
            .registry
            .room(&name, principal, (self.config.max_sessions, max))?)
    }

    /// Gives a connection its session: the one it had, or a new one.
    ///
    /// # Errors
    /// When there is no room for another session.
    pub fn attach(&self, attach: Attach) -> Result<Attached, AttachError> {
        let now = self.clock.now();
        loop {
            let (session, is_present) = self.session_for(&attach, now)?;
            if attach.clean_start && is_present {
                // Somebody else was given the name in between.
                continue;
            }
            // A connection that still owns the session finds out when it is woken.
            session.close(Close::TakenOver(attach.facts.peer));
            let mut engine = session.engine.lock();
            if engine.is_over {
                continue;
            }
            let lapsed = self.take_over(&session, &mut engine, now);
            let publishers = self.hand_over(&session, &mut engine, &attach);
            let durable_after = self.write_session(&session, &engine);
            drop(engine);
            session.facts.heard(self.since_start(Instant::now()));
            self.seen.note(&session.principal, now);
            publishers.into_iter().for_each(Waker::wake);
            if let Some(will) = lapsed.will {
                self.publish_will(&will, now);
            }
            return Ok(Attached {
                session,
                is_present: is_present && !lapsed.has_ended,
                durable_after,
            });
        }
    }

    /// The session of that name, and whether it was there before.
    fn session_for(
        &self,
        attach: &Attach,
        now: Timestamp,
    ) -> Result<(Arc<Session>, bool), AttachError> {
        let name: Arc<str> = Self::session_name(&attach.principal, &attach.client_id).into();
        let limits = self.config.limits(&attach.principal);
        let room = Room {
            messages: limits.max_queued_messages,
            bytes: limits.max_queued_bytes,
        };
        // A session that ends with its connection is not taken over: it ends now. It ends before another has its name,
        // since what is deleted of it must not be what the other has written.
        let ends = |found: &Arc<Session>| {
            let engine = found.engine.lock();
            attach.clean_start || engine.expiry == 0 || engine.is_over
        };
        if let Some(old) = self.registry.get(&name).filter(ends) {
            old.close(Close::TakenOver(attach.facts.peer));
            old.engine.lock().latest = Some(attach.facts.peer);
            self.end(&old, now);
        }
        let make = || {
            let client_id = attach.client_id.clone();
            let principal = attach.principal.clone();
            Arc::new(Session::new(
                self.number(),
                name.clone(),
                client_id,
                principal,
                room,
            ))
        };
        let max = (self.config.max_sessions, limits.max_sessions);
        Ok(self.registry.get_or_make(&name, make, max)?)
    }

    /// Takes a session from whoever has it, or from nobody.
    fn take_over(&self, session: &Arc<Session>, engine: &mut Engine, now: Timestamp) -> Lapsed {
        let will = engine.will.take();
        let will_due = engine.will_due.take();
        let ends_at = engine.ends_at.take();
        for at in [will_due, ends_at].into_iter().flatten() {
            self.deadlines.remove(at, session.key);
        }
        let has_ended = ends_at.is_some_and(|ends_at| ends_at <= now);
        if has_ended {
            self.forget_state(session, engine);
            self.delete_stored(session);
        }
        // A delayed Will is called off by a resumed session, all others are not (section 3.1.3.2.2).
        let is_called_off = will.as_ref().is_some_and(|will| will.delay > 0)
            && will_due.is_none_or(|due| due > now)
            && !has_ended;
        Lapsed {
            will: will.filter(|_| !is_called_off),
            has_ended,
        }
    }

    /// Gives a session to a connection. Says which publishers need not wait for the one before.
    fn hand_over(&self, session: &Session, engine: &mut Engine, attach: &Attach) -> Vec<Waker> {
        engine.owner = attach.connection;
        engine.latest = Some(attach.facts.peer);
        engine.away_since = None;
        engine.expiry = attach.expiry;
        engine.will = attach.will.clone();
        *session.facts.connection.lock() = Some(attach.facts);
        session.facts.online.store(true, Ordering::Release);
        let mut mailbox = session.mailbox.lock();
        mailbox.set_persistent(attach.expiry > 0);
        mailbox.set_online(true)
    }

    /// Takes a session back from a connection that ended, unless another has it by now.
    pub fn detach(&self, session: &Arc<Session>, connection: u64, ended: Ended) {
        let now = self.clock.now();
        let mut engine = session.engine.lock();
        if engine.owner != connection {
            return;
        }
        engine.owner = 0;
        session.facts.online.store(false, Ordering::Release);
        *session.facts.connection.lock() = None;
        engine.away_since = Some(now);
        self.seen.note(&session.principal, now);
        let publishers = session.mailbox.lock().set_online(false);
        if !ended.publish_will {
            engine.will = None;
        }
        if engine.expiry == 0 {
            // Not in two steps: whoever found it in between would be thrown out of a session that it was just given.
            let will = self.end_locked(session, &mut engine);
            drop(engine);
            publishers.into_iter().for_each(Waker::wake);
            self.forget(session, will, now);
            return;
        }
        let delay = engine.will.as_ref().map_or(0, |will| will.delay);
        let will = if delay == 0 {
            engine.will.take()
        } else {
            let due = after(now, delay.min(engine.expiry));
            engine.will_due = Some(due);
            self.deadlines.add(due, session);
            None
        };
        if engine.expiry != u32::MAX {
            let ends_at = after(now, engine.expiry);
            engine.ends_at = Some(ends_at);
            self.deadlines.add(ends_at, session);
        }
        // A Will that was published is not in the store any more, at the same moment.
        let as_one = self.persister.together();
        if let Some(will) = &will {
            self.publish_will(will, now);
        }
        self.write_session(session, &engine);
        drop(as_one);
        drop(engine);
        publishers.into_iter().for_each(Waker::wake);
    }

    /// Ends a session for good: nobody may own it any more.
    pub fn end(&self, session: &Arc<Session>, now: Timestamp) {
        let mut engine = session.engine.lock();
        let will = self.end_locked(session, &mut engine);
        drop(engine);
        self.forget(session, will, now);
    }

    /// Ends a session that has no connection.
    pub(super) fn end_if_away(&self, session: &Arc<Session>, now: Timestamp) {
        let mut engine = session.engine.lock();
        if engine.owner != 0 {
            return;
        }
        let will = self.end_locked(session, &mut engine);
        drop(engine);
        self.forget(session, will, now);
    }

    fn forget(&self, session: &Arc<Session>, will: Option<Box<Will>>, now: Timestamp) {
        self.registry.remove(session);
        if let Some(will) = will {
            self.publish_will(&will, now);
        }
    }

    // All of it under the engine's lock: whoever finds the session in the registry meanwhile waits, sees
    // that it is over, and makes another, whose state is written after this one's was deleted.
    fn end_locked(&self, session: &Arc<Session>, engine: &mut Engine) -> Option<Box<Will>> {
        engine.is_over = true;
        engine.owner = 0;
        let deadlines = [engine.will_due.take(), engine.ends_at.take()];
        for at in deadlines.into_iter().flatten() {
            self.deadlines.remove(at, session.key);
        }
        session.facts.online.store(false, Ordering::Release);
        let publishers = {
            let mut mailbox = session.mailbox.lock();
            mailbox.set_persistent(false);
            mailbox.set_online(false)
        };
        publishers.into_iter().for_each(Waker::wake);
        self.forget_state(session, engine);
        self.delete_stored(session);
        engine.will.take()
    }

    fn delete_stored(&self, session: &Session) {
        if session.facts.is_stored.swap(false, Ordering::AcqRel) {
            self.persister
                .submit(Op::DeleteSession(session.name.clone()));
        }
    }

    /// Drops subscriptions and all that waits.
    fn forget_state(&self, session: &Arc<Session>, engine: &mut Engine) {
        for held in engine.reset().values() {
            self.unsubscribe(session, held);
        }
        session.mailbox.lock().clear();
    }

    /// Writes a session to the store, if it outlives its connection or has a Will that must not be
    /// lost with the server.
    pub fn write_session(&self, session: &Session, engine: &Engine) -> u64 {
        let was_stored = session.facts.is_stored.load(Ordering::Acquire);
        if engine.expiry == 0 && engine.will.is_none() && !was_stored {
            return 0;
        }
        session.facts.is_stored.store(true, Ordering::Release);
        let stored = StoredSession {
            client_id: session.client_id.to_string(),
            principal: session.principal.clone(),
            expiry: engine.expiry,
            away_since: engine.away_since,
            subscriptions: engine
                .subscriptions
                .iter()
                .map(|(filter, held)| (filter.to_string(), held.options.to_byte(), held.id))
                .collect(),
            will: engine.will.as_ref().map(|will| StoredWill {
                message: will.message.to_bytes(),
                expiry: will.expiry,
                delay: will.delay,
                source: will.source,
            }),
        };
        self.persister
            .submit(Op::PutSession(session.name.clone(), stored.to_bytes()))
    }
}
