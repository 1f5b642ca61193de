//! What ends a session from without: an order, a changed epoch, a revoked certificate, the clock.

use std::{future::Future, time::Duration};

use palisade_core::{Decision, Request, SessionEnd, port::RevocationView};
use tokio::time::Instant;

use super::{Connection, Ending, Turn};
use crate::{
    codec::reason,
    session::{Close, Engine, Peer},
};

/// How often the system of record is told of a client that stays connected: what asks for devices that were silent for
/// days must not find them, and a million of them must not keep the disk busy.
const NOTED_EVERY: Duration = Duration::from_secs(15 * 60);

impl Connection {
    /// Asks to be woken by the mailbox, and obeys whoever told the connection to close.
    pub(super) fn hear_orders(&mut self, turn: &mut Turn<'_, '_>) -> Result<(), Ending> {
        let close = {
            let mut mailbox = self.session.mailbox.lock();
            mailbox.set_waker(turn.cx.waker());
            mailbox.close_ordered()
        };
        match close {
            None => Ok(()),
            Some(Close::TakenOver(by)) => Err(self.taken_over(Some(by))),
            Some(Close::Administrative) => Err(Ending::told(
                SessionEnd::Administrative,
                reason::ADMINISTRATIVE,
                "an operator closed the connection",
            )),
            Some(Close::Shutdown) => Err(Ending::told(
                SessionEnd::Shutdown,
                self.broker.goodbye(reason::SHUTTING_DOWN),
                "the server is shutting down",
            )),
        }
    }

    /// Another connection has the session now. Where it is the same client that came back, or where this one has said
    /// goodbye before, nobody took anything from anybody.
    pub(super) fn taken_over(&self, by: Option<Peer>) -> Ending {
        let own = Peer {
            source: self.source,
            serial: self.credential.as_ref().map(|held| held.serial),
        };
        let end = match by {
            _ if self.has_said_goodbye => SessionEnd::Client,
            Some(by) if by == own => SessionEnd::Replaced,
            _ => SessionEnd::TakenOver,
        };
        Ending::told(
            end,
            reason::TAKEN_OVER,
            "another connection has the session now",
        )
    }

    /// When an epoch moved: asks anew whether the session may be, and each of its subscriptions.
    pub(super) fn reauthorize(&mut self, engine: &mut Engine) -> Result<(), Ending> {
        self.check_credential()?;
        if !self.access.has_moved() {
            return Ok(());
        }
        if let Decision::Deny(reason) = self.access.decide(&Request::Connect) {
            let subject = self.access.subject();
            self.broker
                .denied(subject, self.source, &Request::Connect, reason);
            return Err(Ending::told(
                SessionEnd::NotAuthorized,
                reason::NOT_AUTHORIZED,
                "the posture or the policy has changed",
            ));
        }
        self.recheck_subscriptions(engine);
        Ok(())
    }

    pub(super) fn check_credential(&mut self) -> Result<(), Ending> {
        let Some(credential) = &mut self.credential else {
            return Ok(());
        };
        let revocations = self.broker.revocations();
        if credential.revocations == revocations {
            return Ok(());
        }
        credential.revocations = revocations;
        if self.broker.identity.is_revoked(&credential.serial) {
            return Err(Ending::told(
                SessionEnd::NotAuthorized,
                reason::NOT_AUTHORIZED,
                "the certificate is revoked",
            ));
        }
        Ok(())
    }

    /// The client was heard: its silence begins anew, lists say so, and now and then the system of record is told.
    pub(super) fn hear(&mut self) {
        let now = Instant::now();
        self.last_heard = now;
        self.session.facts.heard(self.broker.since_start(now));
        if now.duration_since(self.noted) >= NOTED_EVERY {
            self.noted = now;
            let at = self.broker.clock.now();
            self.broker.seen.note(&self.session.principal, at);
        }
    }

    pub(super) fn watch_clock(&mut self, turn: &mut Turn<'_, '_>) -> Result<(), Ending> {
        let patience = self
            .keep_alive
            .map(|keep_alive| self.last_heard + keep_alive * 3 / 2);
        let stalled = self.waiting_for.as_ref().map(|(_, until)| *until);
        let credential = self.credential.as_ref().map(|credential| credential.ends);
        let next = [patience, self.paused_until, stalled, credential]
            .into_iter()
            .flatten()
            .min();
        let Some(next) = next else {
            return Ok(());
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next)));
        if timer.deadline() > next {
            timer.as_mut().reset(next);
        }
        // The timer is moved forward only when it rings: most of the time it has been heard of since.
        while timer.as_mut().poll(turn.cx).is_ready() {
            let now = Instant::now();
            if credential.is_some_and(|ends| ends <= now) {
                return Err(Ending::told(
                    SessionEnd::NotAuthorized,
                    reason::NOT_AUTHORIZED,
                    "the certificate has ended",
                ));
            }
            // A client that is not read from cannot be blamed for silence.
            if patience.is_some_and(|patience| patience <= now) {
                if self.paused_until.is_none() && self.waiting_for.is_none() && !self.has_unread {
                    return Err(Ending::told(
                        SessionEnd::KeepAlive,
                        reason::KEEP_ALIVE_TIMEOUT,
                        "nothing came within one and a half keep-alives",
                    ));
                }
                self.last_heard = now;
            }
            if next <= now {
                turn.cx.waker().wake_by_ref();
                timer.as_mut().reset(now + Duration::from_secs(1));
            } else {
                timer.as_mut().reset(next);
            }
        }
        Ok(())
    }
}
