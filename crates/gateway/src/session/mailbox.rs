//! Where others leave messages for a session.

use std::{collections::VecDeque, sync::Arc, task::Waker};

use super::Peer;
use crate::{message::Message, routing::SubscriptionIds};

/// A message for one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message.
    pub message: Arc<Message>,
    /// Quality of service for this session, 0 to 2.
    pub qos: u8,
    /// The retain flag for this session.
    pub retain: bool,
    /// The subscriptions that it matched.
    pub ids: SubscriptionIds,
    /// Its place in the session's queue in the store; 0 where it is not kept there.
    pub seq: u64,
}

/// How much a mailbox holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Messages.
    pub messages: usize,
    /// Bytes of topics, properties and payloads.
    pub bytes: usize,
}

/// Why a connection is told to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// Another connection has the session now: this one's.
    TakenOver(Peer),
    /// An operator says so.
    Administrative,
    /// The server goes down.
    Shutdown,
}

/// What became of a message.
#[derive(Debug)]
pub struct Push {
    /// Whom to wake, once the batch is through.
    pub wake: Option<Waker>,
    /// Whether the publisher had better wait until the session has caught up.
    pub is_congested: bool,
}

/// A message found no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// Messages for a session, in order, bounded.
#[derive(Debug)]
pub struct Mailbox {
    queue: VecDeque<Delivery>,
    /// Counts those too that the engine has taken and could not send yet.
    messages: usize,
    bytes: usize,
    room: Room,
    next_seq: u64,
    is_persistent: bool,
    is_online: bool,
    /// Publishers waited in vain once; they do not again until the session has caught up.
    is_stalled: bool,
    waker: Option<Waker>,
    publishers: Vec<Waker>,
    close: Option<Close>,
}

impl Mailbox {
    /// An empty one.
    #[must_use]
    pub fn new(room: Room) -> Self {
        Self {
            queue: VecDeque::new(),
            messages: 0,
            bytes: 0,
            room,
            next_seq: 1,
            is_persistent: false,
            is_online: false,
            is_stalled: false,
            waker: None,
            publishers: Vec::new(),
            close: None,
        }
    }

    /// Leaves a message. `keep` is called, still under the lock so that the store hears of it in
    /// order, when it has to be kept in the store.
    ///
    /// # Errors
    /// When there is no room, or the session is away and does not want what comes meanwhile.
    pub fn push(
        &mut self,
        mut delivery: Delivery,
        keep: impl FnOnce(&Delivery),
    ) -> Result<Push, Refused> {
        let weight = delivery.message.weight();
        let is_full = self.messages >= self.room.messages || self.bytes + weight > self.room.bytes;
        if is_full || (!self.is_online && (!self.is_persistent || delivery.qos == 0)) {
            return Err(Refused);
        }
        if self.is_persistent && delivery.qos > 0 {
            delivery.seq = self.take_seq();
            keep(&delivery);
        }
        self.messages += 1;
        self.bytes += weight;
        self.queue.push_back(delivery);
        Ok(Push {
            wake: self.waker.take(),
            is_congested: self.is_online && !self.is_stalled && self.is_above(2),
        })
    }

    /// The next place in the store's queue.
    pub fn take_seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    /// Places below `seq` were used before a restart.
    pub fn skip_seqs(&mut self, seq: u64) {
        self.next_seq = self.next_seq.max(seq);
    }

    /// Takes up to `max` messages out; they stay counted until [`Mailbox::sent`].
    pub fn take(&mut self, max: usize, into: &mut VecDeque<Delivery>) {
        let count = max.min(self.queue.len());
        into.extend(self.queue.drain(..count));
        if self.queue.is_empty() && self.queue.capacity() > 32 {
            self.queue = VecDeque::new();
        }
    }

    /// Adds messages that are in the store already, whatever the room.
    pub fn restore(&mut self, delivery: Delivery) {
        self.messages += 1;
        self.bytes += delivery.message.weight();
        self.queue.push_back(delivery);
    }

    /// Notes that messages left the session's queue. Says which publishers can go on.
    pub fn sent(&mut self, messages: usize, bytes: usize) -> Vec<Waker> {
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.is_above(4) {
            return Vec::new();
        }
        self.is_stalled = false;
        std::mem::take(&mut self.publishers)
    }

    /// How many messages wait, those that the engine holds included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages
    }

    /// Whether more than a part of the room is taken.
    fn is_above(&self, part: usize) -> bool {
        self.messages > self.room.messages / part || self.bytes > self.room.bytes / part
    }

    /// Lets a publisher wait until the session has caught up; `false` when there is no need.
    pub fn wait_for_room(&mut self, publisher: &Waker) -> bool {
        if !self.is_online || self.is_stalled || !self.is_above(4) {
            return false;
        }
        if !self
            .publishers
            .iter()
            .any(|waker| waker.will_wake(publisher))
        {
            self.publishers.push(publisher.clone());
        }
        true
    }

    /// A publisher waited in vain: nobody waits for this session until it has caught up.
    pub fn mark_stalled(&mut self) -> Vec<Waker> {
        self.is_stalled = true;
        std::mem::take(&mut self.publishers)
    }

    /// The session has a connection, or has none any more. Says which publishers need not wait.
    pub fn set_online(&mut self, is_online: bool) -> Vec<Waker> {
        self.is_online = is_online;
        self.is_stalled = false;
        self.waker = None;
        self.close = None;
        std::mem::take(&mut self.publishers)
    }

    /// Whether what comes while the session is away is kept.
    pub fn set_persistent(&mut self, is_persistent: bool) {
        self.is_persistent = is_persistent;
    }

    /// Forgets all that waits.
    pub fn clear(&mut self) {
        self.queue = VecDeque::new();
        self.messages = 0;
        self.bytes = 0;
    }

    /// Whom to wake when something comes; the next thing that comes takes it.
    pub fn set_waker(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|own| own.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }

    /// Takes that.
    pub fn take_waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }

    /// Orders the connection to close; the first order stands.
    pub fn order_close(&mut self, close: Close) {
        self.close.get_or_insert(close);
    }

    /// The order to close, if there is one.
    #[must_use]
    pub fn close_ordered(&self) -> Option<Close> {
        self.close
    }
}
