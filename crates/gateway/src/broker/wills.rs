//! What is due while sessions are away: Wills, and the end of sessions.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use palisade_core::{DenyReason, Principal, Request, Timestamp};
use palisade_policy::Handling;
use tokio_util::sync::CancellationToken;

use super::{Broker, Distributed};
use crate::{
    message::{Manner, Message, after},
    sealed::is_sealed,
    session::{Session, Will},
    tap::{Passing, Way},
};

impl Broker {
    /// Publishes a Will, if policy still lets it.
    pub(super) fn publish_will(&self, will: &Will, now: Timestamp) -> Distributed {
        let message = &will.message;
        let request = Request::Publish {
            topic: message.topic.as_topic(),
            qos: message.qos,
            retain: message.retain,
            size: message.payload().len(),
        };
        if !self.is_allowed(&will.subject, will.source, &request) {
            return Distributed::default();
        }
        let Handling { keeping, sealed } =
            self.pdp.handling(&will.subject, message.topic.as_topic());
        if sealed && !is_sealed(message.payload(), message.retain) {
            let reason = DenyReason::NotSealed;
            self.denied(&will.subject, will.source, &request, reason);
            return Distributed::default();
        }
        self.stats.wills.fetch_add(1, Ordering::Relaxed);
        let manner = Manner {
            qos: message.qos,
            retain: message.retain,
            expires: will.expiry.map(|seconds| after(now, seconds)),
        };
        let message = Message::new(
            message.topic.clone(),
            manner,
            message.properties(),
            message.payload(),
        );
        if let Some(keeping) = keeping {
            // Whoever left it hears no answer: what cannot be kept is counted.
            let _ = self.keep(will.subject.principal(), &keeping, &message, now);
        }
        if message.retain && self.retain(&message).is_none() {
            self.notices.exceeded(will.subject.principal(), "retained");
        }
        self.taps.pass(will.subject.principal(), || Passing {
            at: now,
            way: Way::Published,
            topic: &message.topic,
            qos: message.qos,
            retain: message.retain,
            payload: message.payload(),
        });
        self.publish(&message)
    }

    /// Looks after sessions that are away until `cancel`: publishes Wills that are due, ends sessions
    /// that have expired, and lets go of what nobody needs any more.
    pub async fn look_after_sessions(&self, cancel: CancellationToken) {
        const LONGEST: Duration = Duration::from_secs(1);
        let mut last_tidy = std::time::Instant::now();
        loop {
            let now = self.clock.now();
            let wait = self.deadlines.next().map_or(LONGEST, |next| {
                let millis = next.as_millisecond() - now.as_millisecond();
                Duration::from_millis(u64::try_from(millis).unwrap_or(0)).min(LONGEST)
            });
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.deadlines.changed() => {}
                () = cancel.cancelled() => return,
            }
            let now = self.clock.now();
            for session in self.deadlines.take_due(now) {
                self.on_deadline(&session, now);
            }
            self.expire_retained(now);
            if last_tidy.elapsed() > Duration::from_secs(60) {
                last_tidy = std::time::Instant::now();
                self.limits.tidy();
            }
        }
    }

    fn on_deadline(&self, session: &Arc<Session>, now: Timestamp) {
        let (will, has_ended) = {
            let mut engine = session.engine.lock();
            if engine.owner != 0 {
                return;
            }
            let is_due = engine.will_due.is_some_and(|due| due <= now);
            let will = if is_due { engine.will.take() } else { None };
            if is_due {
                engine.will_due = None;
            }
            (will, engine.ends_at.is_some_and(|ends_at| ends_at <= now))
        };
        if let Some(will) = will {
            let engine = session.engine.lock();
            let _as_one = self.persister.together();
            self.publish_will(&will, now);
            self.write_session(session, &engine);
        }
        if has_ended {
            self.end_if_away(session, now);
        }
    }

    /// What wakes connections: all sessions of a principal look at their epochs.
    pub fn wake_sessions_of(&self, principal: &Principal) {
        for session in self.registry.of(principal) {
            session.wake();
        }
    }

    /// The same for all sessions.
    pub fn wake_all_sessions(&self) {
        for session in self.registry.all() {
            session.wake();
        }
    }
}
