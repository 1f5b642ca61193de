//! What is sent once a change is durable, and not before.

use std::{collections::VecDeque, task::Poll};

use super::{Connection, Turn};
use crate::{broker::After, codec::encode::AckKind, session::Engine};

/// A packet that is sent once a change is durable.
#[derive(Debug)]
pub(super) enum Gated {
    Ack(AckKind, u16, u8),
    SubAck(u16, Vec<u8>),
    UnsubAck(u16, Vec<u8>),
    /// The message that is in flight under this identifier.
    Publish(u16),
}

/// Packets that wait, in order, each with the change that it waits for.
#[derive(Debug, Default)]
pub(super) struct Gates {
    queue: VecDeque<(After, Gated)>,
    /// How many of them acknowledge a message of the client.
    acks: usize,
    /// How many of them are messages.
    publishes: usize,
    /// What the connection asked to be woken for.
    awaited: Option<After>,
}

impl Gates {
    /// How many packets wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// How many messages of the client wait for the disk before they are acknowledged.
    pub(super) fn acks(&self) -> usize {
        self.acks
    }

    /// Whether a message waits, so that later ones have to wait behind it.
    pub(super) fn hold_messages(&self) -> bool {
        self.publishes > 0
    }

    /// What the last packet waits for.
    pub(super) fn last(&self) -> After {
        self.queue
            .back()
            .map_or_else(After::default, |(after, _)| *after)
    }

    fn push(&mut self, after: After, gated: Gated) {
        self.count(&gated, usize::wrapping_add);
        self.queue.push_back((after.and(self.last()), gated));
    }

    fn pop_if(&mut self, is_durable: impl Fn(After) -> bool) -> Option<Gated> {
        let (_, gated) = self.queue.pop_front_if(|(after, _)| is_durable(*after))?;
        self.count(&gated, usize::wrapping_sub);
        if self.queue.is_empty() && self.queue.capacity() > 64 {
            self.queue = VecDeque::new();
        }
        Some(gated)
    }

    fn count(&mut self, gated: &Gated, step: impl Fn(usize, usize) -> usize) {
        match gated {
            Gated::Ack(AckKind::Ack | AckKind::Rec, ..) => self.acks = step(self.acks, 1),
            Gated::Publish(_) => self.publishes = step(self.publishes, 1),
            _ => {}
        }
    }
}

impl Connection {
    /// Sends what waited for changes that are durable now.
    pub(super) fn open_gates(&mut self, turn: &mut Turn<'_, '_>, engine: &mut Engine) {
        if self.gates.len() == 0 {
            return;
        }
        let broker = self.broker.clone();
        let is_durable = |after| broker.is_durable(after);
        while let Some(gated) = self.gates.pop_if(is_durable) {
            self.let_through(turn, engine, gated);
        }
    }

    /// Asks to be woken when the first of what waits may be sent.
    pub(super) fn watch_gates(&mut self, turn: &mut Turn<'_, '_>) {
        let Some((after, _)) = self.gates.queue.front() else {
            return;
        };
        if self.gates.awaited == Some(*after) {
            return;
        }
        let waker = turn.cx.waker();
        match self.broker.poll_durable(*after, waker) {
            Poll::Ready(()) => waker.wake_by_ref(),
            Poll::Pending => self.gates.awaited = Some(*after),
        }
    }

    /// Sends a packet once what it is about is durable, and after those before it.
    pub(super) fn gate(
        &mut self,
        turn: &mut Turn<'_, '_>,
        engine: &mut Engine,
        after: impl Into<After>,
        gated: Gated,
    ) {
        let after = after.into();
        let is_open = after == After::default() || self.broker.is_durable(after);
        if self.gates.len() == 0 && is_open {
            self.let_through(turn, engine, gated);
        } else {
            self.gates.push(after, gated);
        }
    }

    fn let_through(&mut self, turn: &mut Turn<'_, '_>, engine: &mut Engine, gated: Gated) {
        let out = &mut turn.scratch.plain_out;
        if !matches!(gated, Gated::Publish(_)) {
            self.counted.used.packets_out += 1;
        }
        match gated {
            Gated::Ack(kind, packet_id, reason) => self.encoder.ack(out, kind, packet_id, reason),
            Gated::SubAck(packet_id, reasons) => self.encoder.suback(out, packet_id, &reasons),
            Gated::UnsubAck(packet_id, reasons) => self.encoder.unsuback(out, packet_id, &reasons),
            Gated::Publish(packet_id) => self.put_in_flight(turn, engine, packet_id),
        }
    }
}
