//! Messages from the client.

use std::sync::atomic::Ordering;

use palisade_core::{Decision, DenyReason, Request, SessionEnd, Topic};
use palisade_policy::Handling;
use tokio::time::Instant;

use super::{Connection, Ending, Gated, LONGEST_STALL, Turn, aliases::AliasError, routes::Known};
use crate::{
    broker::{After, Broker, Distributed},
    codec::{Publish, Version, encode::AckKind, reason},
    limits::Excess,
    message::{Manner, Message, after},
    persist::Op,
    sealed::is_sealed,
    session::Engine,
    tap::{Passing, Way},
};

/// What became of a message from the client.
enum Taken {
    /// It is on its way, and to be acknowledged after this.
    Accepted { after: After, reason: u8 },
    /// It goes nowhere.
    Refused(u8),
    /// It cannot be made durable now.
    Unavailable,
}

impl Connection {
    pub(super) fn on_publish(
        &mut self,
        turn: &mut Turn<'_, '_>,
        engine: &mut Engine,
        publish: &Publish<'_>,
    ) -> Result<(), Ending> {
        let bytes = publish.topic.len() + publish.payload.len();
        self.charge(1, bytes, publish.qos > 0);
        if publish.qos > 0 {
            self.check_receive_maximum()?;
            if publish.qos == 2 && engine.has_received(publish.packet_id) {
                // A duplicate: it was taken before, and PUBREC goes out after the first one's.
                self.unreleased += 1;
                let gated = Gated::Ack(AckKind::Rec, publish.packet_id, reason::SUCCESS);
                let after = self.gates.last();
                self.gate(turn, engine, after, gated);
                return Ok(());
            }
            if self.broker.persister.is_failing() {
                return self.refuse_for_now(turn, engine, publish);
            }
        }
        let known = self.find_routes(publish)?;
        if publish.qos == 2 && engine.expiry > 0 {
            // Were the message durable and its identifier not, a duplicate would be taken for new.
            let persister = self.broker.persister.clone();
            let _as_one = persister.together();
            self.take_and_answer(turn, engine, &known, publish)
        } else {
            self.take_and_answer(turn, engine, &known, publish)
        }
    }

    fn take_and_answer(
        &mut self,
        turn: &mut Turn<'_, '_>,
        engine: &mut Engine,
        known: &Known,
        publish: &Publish<'_>,
    ) -> Result<(), Ending> {
        let taken = self.take(turn, known, publish);
        if matches!(taken, Taken::Unavailable) {
            return self.refuse_for_now(turn, engine, publish);
        }
        self.acknowledge(turn, engine, publish, &taken);
        Ok(())
    }

    /// Counts against the rate of the principal; in excess of it nothing is read for a while.
    pub(super) fn charge(&mut self, messages: usize, bytes: usize, is_acknowledged: bool) {
        let now = self.broker.limits.now();
        let counted = self.usage.publish(now, (messages, bytes), is_acknowledged);
        if let Err(Excess { wait, limit }) = counted {
            self.paused_until = Some(Instant::now() + wait);
            self.broker.stats.throttled.fetch_add(1, Ordering::Relaxed);
            if let Some(limit) = limit {
                self.broker.notices.exceeded(&self.session.principal, limit);
            }
        }
    }

    /// Holds the client to the receive maximum, in what it has not released; what it cannot have heard of
    /// yet, as it waits for the disk, is not its fault (see [`Connection::may_go_on`]).
    fn check_receive_maximum(&self) -> Result<(), Ending> {
        let max = usize::from(self.broker.config.receive_maximum);
        if self.version() == Version::V5 && self.unreleased >= max {
            return Err(Ending::told(
                SessionEnd::ProtocolError,
                reason::RECEIVE_MAXIMUM_EXCEEDED,
                "more messages in flight than the server's receive maximum",
            ));
        }
        Ok(())
    }

    /// What cannot be made durable is refused, not acknowledged.
    fn refuse_for_now(
        &mut self,
        turn: &mut Turn<'_, '_>,
        engine: &mut Engine,
        publish: &Publish<'_>,
    ) -> Result<(), Ending> {
        if self.version() == Version::V3 {
            return Err(Ending::silent(SessionEnd::LimitExceeded));
        }
        self.acknowledge(turn, engine, publish, &Taken::Unavailable);
        Ok(())
    }

    fn find_routes(&mut self, publish: &Publish<'_>) -> Result<Known, Ending> {
        let invalid = |_| Ending::protocol(reason::TOPIC_NAME_INVALID, "the topic is not valid");
        let session = self.session.key;
        let Some(alias) = publish.alias else {
            return self
                .routes
                .find(&self.broker, publish.topic, session)
                .map_err(invalid);
        };
        let bad_alias = |error: AliasError| match error {
            AliasError::OutOfRange => Ending::protocol(
                reason::TOPIC_ALIAS_INVALID,
                "the topic alias is out of range",
            ),
            AliasError::Unknown => {
                Ending::protocol(reason::PROTOCOL_ERROR, "the topic alias was not set")
            }
        };
        self.aliases_in.check(alias).map_err(bad_alias)?;
        if publish.topic.is_empty() {
            let topic = self.aliases_in.get(alias).map_err(bad_alias)?;
            return self
                .routes
                .find(&self.broker, topic.as_str(), session)
                .map_err(invalid);
        }
        let known = self
            .routes
            .find(&self.broker, publish.topic, session)
            .map_err(invalid)?;
        self.aliases_in.set(alias, known.topic.clone());
        Ok(known)
    }

    fn take(&mut self, turn: &mut Turn<'_, '_>, known: &Known, publish: &Publish<'_>) -> Taken {
        let topic = known.topic.as_topic();
        if !self.is_allowed_to_publish(topic, publish) {
            return Taken::Refused(reason::NOT_AUTHORIZED);
        }
        let handling = self.access.handling(&known.topic).cloned();
        let Handling { keeping, sealed } = handling.unwrap_or_default();
        if sealed && !is_sealed(publish.payload, publish.retain) {
            let request = request_of(topic, publish);
            let subject = self.access.subject();
            self.broker
                .denied(subject, self.source, &request, DenyReason::NotSealed);
            return Taken::Refused(reason::PAYLOAD_FORMAT_INVALID);
        }
        let size = publish.payload.len() as u64;
        let used = &mut self.counted.used;
        used.messages += 1;
        used.bytes += size;
        used.largest = used.largest.max(size);
        let (taps, principal) = (&self.broker.taps, &self.session.principal);
        taps.pass(principal, || Passing {
            at: turn.now,
            way: Way::Published,
            topic: &known.topic,
            qos: publish.qos,
            retain: publish.retain,
            payload: publish.payload,
        });
        if known.routes.is_empty() && !publish.retain && keeping.is_none() {
            return Taken::Accepted {
                after: After::default(),
                reason: reason::NO_MATCHING_SUBSCRIBERS,
            };
        }
        let manner = Manner {
            qos: publish.qos,
            retain: publish.retain,
            expires: publish.expiry.map(|seconds| after(turn.now, seconds)),
        };
        let message = Message::new(
            known.topic.clone(),
            manner,
            &publish.properties,
            publish.payload,
        );
        let mut kept_after = 0;
        if let Some(keeping) = keeping {
            let principal = &self.session.principal;
            match self.broker.keep(principal, &keeping, &message, turn.now) {
                Ok(number) => kept_after = number,
                // A message of quality of service 0 goes on to whoever listens; that it is not kept is counted.
                Err(_) if publish.qos == 0 => {}
                Err(_) => return Taken::Unavailable,
            }
        }
        let mut retained_after = 0;
        if publish.retain {
            match self.broker.retain(&message) {
                Some(number) => retained_after = number,
                None => {
                    self.broker
                        .notices
                        .exceeded(&self.session.principal, "retained");
                    // Version 3.1.1 hears an acknowledgement all the same: not before it is kept.
                    return Taken::Accepted {
                        after: After {
                            change: 0,
                            kept: kept_after,
                        },
                        reason: reason::QUOTA_EXCEEDED,
                    };
                }
            }
        }
        let Distributed {
            durable_after,
            receivers,
            congested,
        } = self
            .broker
            .distribute(&known.routes, &message, &mut turn.wakes);
        // A connection that waits for itself would never read its own acknowledgements.
        if let Some(slow) = congested.filter(|slow| slow.key != self.session.key) {
            self.waiting_for = Some((slow, Instant::now() + LONGEST_STALL));
        }
        Taken::Accepted {
            after: After {
                change: durable_after.max(retained_after),
                kept: kept_after,
            },
            reason: if receivers == 0 {
                reason::NO_MATCHING_SUBSCRIBERS
            } else {
                reason::SUCCESS
            },
        }
    }

    fn is_allowed_to_publish(&mut self, topic: Topic<'_>, publish: &Publish<'_>) -> bool {
        if Broker::is_reserved(topic) {
            let subject = self.access.subject();
            self.broker.denied_reserved(subject, self.source, topic);
            return false;
        }
        let request = request_of(topic, publish);
        match self.access.decide(&request) {
            Decision::Allow => true,
            Decision::Deny(reason) => {
                let subject = self.access.subject();
                self.broker.denied(subject, self.source, &request, reason);
                false
            }
        }
    }

    fn acknowledge(
        &mut self,
        turn: &mut Turn<'_, '_>,
        engine: &mut Engine,
        publish: &Publish<'_>,
        taken: &Taken,
    ) {
        let kind = match publish.qos {
            0 => return,
            1 => AckKind::Ack,
            _ => AckKind::Rec,
        };
        let packet_id = publish.packet_id;
        let (mut after, reason) = match *taken {
            Taken::Accepted { after, reason } => (after, reason),
            // Version 3.1.1 knows no refusal: its client would send the message for ever (section
            // 3.3.5 leaves this or closing the connection).
            Taken::Refused(reason) => (After::default(), reason),
            Taken::Unavailable => (After::default(), reason::UNSPECIFIED),
        };
        let is_kept = kind == AckKind::Rec && (reason < 0x80 || self.version() == Version::V3);
        if is_kept {
            self.unreleased += 1;
            engine.on_publish2(packet_id);
            if engine.expiry > 0 {
                let op = Op::PutReceived(self.session.name.clone(), packet_id);
                after = after.and(self.broker.persister.submit(op).into());
            }
        }
        self.gate(turn, engine, after, Gated::Ack(kind, packet_id, reason));
    }
}

fn request_of<'a>(topic: Topic<'a>, publish: &Publish<'_>) -> Request<'a> {
    Request::Publish {
        topic,
        qos: publish.qos,
        retain: publish.retain,
        size: publish.payload.len(),
    }
}
