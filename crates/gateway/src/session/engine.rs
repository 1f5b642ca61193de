//! Session state as a machine: it is told what arrived and says what follows. No I/O, no clock.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    net::IpAddr,
    sync::Arc,
};

use palisade_core::{Subscription, Timestamp};
use palisade_policy::Subject;

use super::{Peer, mailbox::Delivery};
use crate::{codec::SubscriptionOptions, message::Message};

/// The state of a session that its connections hand on to each other.
#[derive(Debug, Default)]
pub struct Engine {
    /// The number of the connection that owns the session; 0 while it is away.
    pub owner: u64,
    /// Whose connection had the session last, or has it.
    pub latest: Option<Peer>,
    /// Whether the session has ended for good; whoever finds it makes another.
    pub is_over: bool,
    /// Seconds that the session outlives its connection; `u32::MAX` is for ever.
    pub expiry: u32,
    /// Since when nobody owns the session; nothing while somebody does.
    pub away_since: Option<Timestamp>,
    /// When an away session ends.
    pub ends_at: Option<Timestamp>,
    /// The message for when the connection breaks.
    pub will: Option<Box<Will>>,
    /// When that is published, once the connection is gone.
    pub will_due: Option<Timestamp>,
    /// Subscriptions, by filter as the client wrote it.
    pub subscriptions: HashMap<Box<str>, Held>,
    /// Messages of quality of service 1 and 2 that wait for the window to open.
    pub waiting: VecDeque<Delivery>,
    /// Messages taken from the mailbox that are next.
    pub outbox: VecDeque<Delivery>,
    /// Retained messages for new subscriptions; they go first and do not count in the mailbox.
    pub backlog: VecDeque<Delivery>,
    inflight: ById<Inflight>,
    received: HashSet<u16, BuildHasherDefault<IdHasher>>,
    last_packet_id: u16,
    sent: u64,
}

/// A subscription as a session holds it.
#[derive(Debug, Clone)]
pub struct Held {
    /// For what.
    pub subscription: Subscription,
    /// How.
    pub options: SubscriptionOptions,
    /// Its identifier, 0 where it has none.
    pub id: u32,
}

/// The message for when the connection breaks, and on whose behalf.
#[derive(Debug, Clone)]
pub struct Will {
    /// The message; its own expiry counts from when it is published.
    pub message: Arc<Message>,
    /// Seconds after which the message is of no use.
    pub expiry: Option<u32>,
    /// Seconds to wait before it is published.
    pub delay: u32,
    /// Who asks for it: policy decides anew when it is published.
    pub subject: Arc<Subject>,
    /// From where.
    pub source: IpAddr,
}

#[derive(Debug)]
struct Inflight {
    order: u64,
    seq: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// PUBLISH was sent.
    Published(Delivery),
    /// PUBREC came and PUBREL was sent.
    Released,
}

/// What follows from a PUBREC.
#[derive(Debug, PartialEq, Eq)]
pub enum PubRecOutcome {
    /// Answer PUBREL, once the place `seq` in the store says so.
    Release {
        /// The place in the store; 0 where there is none.
        seq: u64,
    },
    /// The client refused the message; it is over.
    Over {
        /// The place in the store; 0 where there is none.
        seq: u64,
    },
    /// The packet identifier is not known.
    Unknown,
}

/// What is sent again when a session is resumed.
#[derive(Debug)]
pub enum Resend {
    /// PUBLISH, as a duplicate.
    Publish(u16, Delivery),
    /// PUBREL.
    Release(u16),
}

impl Engine {
    /// Forgets everything but who owns the session, for how long it lives and its Will; gives the
    /// subscriptions that it had.
    pub fn reset(&mut self) -> HashMap<Box<str>, Held> {
        let fresh = Self {
            owner: self.owner,
            latest: self.latest,
            is_over: self.is_over,
            expiry: self.expiry,
            will: self.will.take(),
            ..Self::default()
        };
        std::mem::replace(self, fresh).subscriptions
    }

    /// How many messages are sent and not acknowledged.
    #[must_use]
    pub fn inflight_len(&self) -> usize {
        self.inflight.len()
    }

    /// Takes a message of quality of service 1 or 2 into flight, under a new packet identifier.
    /// `None` when every identifier is taken.
    pub fn send(&mut self, delivery: Delivery) -> Option<u16> {
        let packet_id = self.free_packet_id()?;
        let seq = delivery.seq;
        self.track(packet_id, seq, State::Published(delivery));
        Some(packet_id)
    }

    /// Takes a message into flight that was in flight before a restart.
    pub fn restore_published(&mut self, packet_id: u16, delivery: Delivery) {
        self.track(packet_id, delivery.seq, State::Published(delivery));
    }

    /// Takes a release into flight that was in flight before a restart.
    pub fn restore_released(&mut self, packet_id: u16, seq: u64) {
        self.track(packet_id, seq, State::Released);
    }

    fn track(&mut self, packet_id: u16, seq: u64, state: State) {
        self.sent += 1;
        let order = self.sent;
        self.inflight
            .insert(packet_id, Inflight { order, seq, state });
    }

    fn free_packet_id(&mut self) -> Option<u16> {
        if self.inflight.len() >= usize::from(u16::MAX) {
            return None;
        }
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            if !self.inflight.contains_key(&self.last_packet_id) {
                return Some(self.last_packet_id);
            }
        }
    }

    /// The message that is in flight under this identifier and was not released.
    #[must_use]
    pub fn in_flight(&self, packet_id: u16) -> Option<&Delivery> {
        match &self.inflight.get(&packet_id)?.state {
            State::Published(delivery) => Some(delivery),
            State::Released => None,
        }
    }

    /// PUBACK came. Gives the message that is over; `None` when the identifier is not known.
    pub fn on_puback(&mut self, packet_id: u16) -> Option<Delivery> {
        match self.inflight.get(&packet_id)?.state {
            State::Published(ref delivery) if delivery.qos == 1 => {}
            _ => return None,
        }
        match self.inflight.remove(&packet_id)?.state {
            State::Published(delivery) => Some(delivery),
            State::Released => None,
        }
    }

    /// PUBREC came.
    pub fn on_pubrec(&mut self, packet_id: u16, reason: u8) -> PubRecOutcome {
        let Some(entry) = self.inflight.get_mut(&packet_id) else {
            return PubRecOutcome::Unknown;
        };
        let seq = entry.seq;
        match &entry.state {
            State::Published(delivery) if delivery.qos != 2 => PubRecOutcome::Unknown,
            State::Published(_) if reason >= 0x80 => {
                self.inflight.remove(&packet_id);
                PubRecOutcome::Over { seq }
            }
            _ => {
                entry.state = State::Released;
                PubRecOutcome::Release { seq }
            }
        }
    }

    /// PUBCOMP came. Gives the place in the store that is free now; `None` when the identifier is
    /// not known.
    pub fn on_pubcomp(&mut self, packet_id: u16) -> Option<u64> {
        match self.inflight.get(&packet_id)?.state {
            State::Released => self.inflight.remove(&packet_id).map(|entry| entry.seq),
            State::Published(_) => None,
        }
    }

    /// A message of quality of service 2 came. Whether it is new.
    pub fn on_publish2(&mut self, packet_id: u16) -> bool {
        self.received.insert(packet_id)
    }

    /// Whether a message of quality of service 2 came under this identifier and was not released.
    #[must_use]
    pub fn has_received(&self, packet_id: u16) -> bool {
        self.received.contains(&packet_id)
    }

    /// PUBREL came. Whether the identifier was known.
    pub fn on_pubrel(&mut self, packet_id: u16) -> bool {
        self.received.remove(&packet_id)
    }

    /// What is sent again on a new connection, in the order of the first time (section 4.4).
    #[must_use]
    pub fn resend(&self) -> Vec<Resend> {
        let mut entries: Vec<(&u16, &Inflight)> = self.inflight.iter().collect();
        entries.sort_unstable_by_key(|(_, entry)| entry.order);
        entries
            .into_iter()
            .map(|(packet_id, entry)| match &entry.state {
                State::Published(delivery) => Resend::Publish(*packet_id, delivery.clone()),
                State::Released => Resend::Release(*packet_id),
            })
            .collect()
    }

    /// Drops a message that is in flight, as policy does not let it be sent again.
    pub fn forget(&mut self, packet_id: u16) -> Option<u64> {
        self.inflight.remove(&packet_id).map(|entry| entry.seq)
    }
}

type ById<T> = HashMap<u16, T, BuildHasherDefault<IdHasher>>;

/// Packet identifiers are numbers within a bound; spreading them needs one multiplication.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
    }

    fn write_u16(&mut self, id: u16) {
        self.0 = u64::from(id).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

#[cfg(test)]
mod tests {
    use palisade_core::Topic;

    use super::*;
    use crate::{message::Manner, routing::SubscriptionIds};

    fn delivery(qos: u8, seq: u64) -> Delivery {
        let topic = Topic::parse("a").expect("valid").to_owned();
        Delivery {
            message: Message::new(topic, Manner::default(), b"", b"x"),
            qos,
            retain: false,
            ids: SubscriptionIds::None,
            seq,
        }
    }

    #[test]
    fn quality_of_service_1_ends_with_puback_and_with_nothing_else() {
        let mut engine = Engine::default();
        let id = engine.send(delivery(1, 9)).expect("an identifier");
        assert_eq!(engine.on_pubrec(id, 0), PubRecOutcome::Unknown);
        assert_eq!(engine.on_pubcomp(id), None);
        assert_eq!(engine.on_puback(id).map(|delivery| delivery.seq), Some(9));
        assert_eq!(engine.on_puback(id), None);
        assert_eq!(engine.inflight_len(), 0);
    }

    #[test]
    fn quality_of_service_2_is_released_before_it_ends() {
        let mut engine = Engine::default();
        let id = engine.send(delivery(2, 9)).expect("an identifier");
        assert_eq!(engine.on_puback(id), None);
        assert_eq!(engine.on_pubcomp(id), None);
        assert_eq!(engine.on_pubrec(id, 0), PubRecOutcome::Release { seq: 9 });
        assert_eq!(engine.on_pubrec(id, 0), PubRecOutcome::Release { seq: 9 });
        assert_eq!(engine.on_pubcomp(id), Some(9));
        assert_eq!(engine.on_pubrec(id, 0), PubRecOutcome::Unknown);
        let id = engine.send(delivery(2, 10)).expect("an identifier");
        assert_eq!(engine.on_pubrec(id, 0x97), PubRecOutcome::Over { seq: 10 });
    }

    #[test]
    fn a_received_message_is_new_once_until_it_is_released() {
        let mut engine = Engine::default();
        assert!(engine.on_publish2(7));
        assert!(!engine.on_publish2(7));
        assert!(engine.on_pubrel(7));
        assert!(!engine.on_pubrel(7));
        assert!(engine.on_publish2(7));
    }

    #[test]
    fn what_is_sent_again_keeps_its_order_and_its_identifiers() {
        let mut engine = Engine::default();
        let ids: Vec<u16> = (1..=3)
            .filter_map(|seq| engine.send(delivery(2, seq)))
            .collect();
        engine.on_pubrec(ids[1], 0);
        let again: Vec<(u16, bool)> = engine
            .resend()
            .iter()
            .map(|resend| match resend {
                Resend::Publish(id, _) => (*id, true),
                Resend::Release(id) => (*id, false),
            })
            .collect();
        assert_eq!(again, [(ids[0], true), (ids[1], false), (ids[2], true)]);
    }

    #[test]
    fn an_identifier_in_use_is_not_given_out_again() {
        let mut engine = Engine::default();
        let first = engine.send(delivery(1, 0)).expect("an identifier");
        for _ in 0..u16::MAX as usize - 1 {
            let id = engine.send(delivery(1, 0)).expect("an identifier");
            assert_ne!(id, first);
            assert!(engine.on_puback(id).is_some());
        }
        assert_ne!(engine.send(delivery(1, 0)), Some(first));
    }
}
