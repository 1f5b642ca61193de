//! Messages to the client. Policy is asked for every one of them, at the moment it is sent.

use std::collections::VecDeque;

use palisade_core::{Decision, Request, SessionEnd};

use super::{Connection, Ending, Gated, Turn};
use crate::{
    codec::{Outgoing, Version, encode::AckKind, reason},
    message::Message,
    persist::Op,
    session::{Delivery, Engine, Resend, StoredDelivery},
    tap::{Passing, Way},
};

/// Bytes of packets that are put together before they are sent.
const BATCH_BYTES: usize = 64 * 1024;
/// Messages taken from the mailbox at once.
const BATCH_MESSAGES: usize = 256;
/// Batches in one poll, before others get their turn.
const BATCHES_A_POLL: usize = 8;

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    /// It left the queue: it was sent, or goes nowhere.
    Gone,
    /// It waits for the window to open.
    Waits,
}

impl Connection {
    /// Sends what waits, as far as the socket and the window allow.
    pub(super) fn deliver(
        &mut self,
        turn: &mut Turn<'_, '_>,
        engine: &mut Engine,
    ) -> Result<(), Ending> {
        for _ in 0..BATCHES_A_POLL {
            let is_more = self.fill_batch(turn, engine);
            if let Err(error) = self.link.poll_send(turn.cx, turn.scratch) {
                tracing::debug!(session = %self.session.name, %error, "connection lost");
                return Err(Ending::silent(SessionEnd::ConnectionLost));
            }
            // What is left over is sent when the socket has room; it wakes the connection.
            if !is_more || self.link.unsent() > 0 {
                return Ok(());
            }
        }
        turn.cx.waker().wake_by_ref();
        Ok(())
    }

    /// Puts packets together. Says whether more waits.
    fn fill_batch(&mut self, turn: &mut Turn<'_, '_>, engine: &mut Engine) -> bool {
        if self.link.unsent() > 0 {
            return false;
        }
        if !self.resend.is_empty() {
            self.send_again(turn, engine);
        }
        let mut messages = 0;
        let mut bytes = 0;
        let mut is_more = true;
        while turn.scratch.plain_out.len() < BATCH_BYTES {
            let (delivery, is_counted) = if let Some(delivery) = self.next_waiting(engine) {
                (delivery, true)
            } else if let Some(delivery) = self.next_retained(engine) {
                (delivery, false)
            } else if let Some(delivery) = self.next_from_mailbox(engine) {
                (delivery, true)
            } else {
                is_more = false;
                break;
            };
            let weight = delivery.message.weight();
            if self.send(turn, engine, delivery) == Sent::Gone && is_counted {
                messages += 1;
                bytes += weight;
            }
        }
        if messages > 0 {
            let publishers = self.session.mailbox.lock().sent(messages, bytes);
            publishers.into_iter().for_each(std::task::Waker::wake);
        }
        is_more
    }

    fn has_window(&self, engine: &Engine) -> bool {
        engine.inflight_len() < self.window
    }

    fn next_waiting(&self, engine: &mut Engine) -> Option<Delivery> {
        if self.has_window(engine) {
            engine.waiting.pop_front()
        } else {
            None
        }
    }

    /// A retained message, if it could be sent at once: it is not counted in the mailbox, and so must not
    /// wait among those that are.
    fn next_retained(&self, engine: &mut Engine) -> Option<Delivery> {
        let first = engine.backlog.front()?;
        if first.qos > 0 && !self.has_window(engine) {
            return None;
        }
        let delivery = engine.backlog.pop_front();
        if engine.backlog.is_empty() {
            engine.backlog = VecDeque::new();
        }
        delivery
    }

    fn next_from_mailbox(&self, engine: &mut Engine) -> Option<Delivery> {
        if engine.outbox.is_empty() {
            let mut mailbox = self.session.mailbox.lock();
            mailbox.take(BATCH_MESSAGES, &mut engine.outbox);
        }
        let delivery = engine.outbox.pop_front();
        if delivery.is_none() && engine.outbox.capacity() > 0 {
            engine.outbox = VecDeque::new();
        }
        delivery
    }

    fn send(
        &mut self,
        turn: &mut Turn<'_, '_>,
        engine: &mut Engine,
        mut delivery: Delivery,
    ) -> Sent {
        if delivery.message.is_expired(turn.now) || !self.may_receive(&delivery) {
            self.forget_stored(delivery.seq);
            return Sent::Gone;
        }
        if delivery.qos == 0 {
            self.put(turn, &delivery, 0, false);
            return Sent::Gone;
        }
        if !self.has_window(engine) {
            engine.waiting.push_back(delivery);
            return Sent::Waits;
        }
        if delivery.seq == 0 && engine.expiry > 0 {
            // A retained message for a session that outlives its connection: kept from now on.
            delivery.seq = self.session.mailbox.lock().take_seq();
            self.broker.persister.submit(Op::Enqueue(
                self.session.name.clone(),
                delivery.seq,
                StoredDelivery::Waiting(delivery.clone()),
            ));
        }
        if self.packet_len(&delivery, turn) > self.encoder.max_packet_size as usize {
            self.forget_stored(delivery.seq);
            return Sent::Gone;
        }
        let seq = delivery.seq;
        let qos = delivery.qos;
        let Some(packet_id) = engine.send(delivery.clone()) else {
            engine.waiting.push_back(delivery);
            return Sent::Waits;
        };
        if qos == 2 && seq > 0 {
            // Were the identifier forgotten, the message would be sent again under another and be
            // received twice.
            let number = self.broker.persister.submit(Op::Update(
                self.session.name.clone(),
                seq,
                StoredDelivery::Published(packet_id, delivery),
            ));
            self.gate(turn, engine, number, Gated::Publish(packet_id));
        } else if self.gates.hold_messages() {
            // It came after what waits there.
            self.gate(turn, engine, 0, Gated::Publish(packet_id));
        } else {
            self.put(turn, &delivery, packet_id, false);
        }
        Sent::Gone
    }

    /// Sends the message that is in flight under this identifier, if it still is.
    pub(super) fn put_in_flight(
        &mut self,
        turn: &mut Turn<'_, '_>,
        engine: &mut Engine,
        packet_id: u16,
    ) {
        let Some(delivery) = engine.in_flight(packet_id).cloned() else {
            return;
        };
        // It waited for the disk: what was allowed then is asked again now.
        if self.may_receive(&delivery) {
            self.put(turn, &delivery, packet_id, false);
        } else if let Some(seq) = engine.forget(packet_id) {
            self.forget_stored(seq);
        }
    }

    /// Sends again what was in flight when the last connection ended (section 4.4), as far as the window
    /// allows: this connection's may be smaller than the last one's.
    fn send_again(&mut self, turn: &mut Turn<'_, '_>, engine: &mut Engine) {
        while engine.inflight_len() < self.window + self.resend.len() {
            let Some(resend) = self.resend.pop_front() else {
                self.resend = VecDeque::new();
                return;
            };
            match resend {
                Resend::Release(packet_id) => {
                    let gated = Gated::Ack(AckKind::Rel, packet_id, reason::SUCCESS);
                    self.gate(turn, engine, 0, gated);
                }
                // It may have been acknowledged meanwhile.
                Resend::Publish(packet_id, _) if engine.in_flight(packet_id).is_none() => {}
                Resend::Publish(packet_id, delivery) => {
                    let max = self.encoder.max_packet_size as usize;
                    let is_of_use =
                        self.may_receive(&delivery) && self.packet_len(&delivery, turn) <= max;
                    if is_of_use {
                        self.put(turn, &delivery, packet_id, true);
                    } else if let Some(seq) = engine.forget(packet_id) {
                        self.forget_stored(seq);
                    }
                }
            }
        }
    }

    fn may_receive(&mut self, delivery: &Delivery) -> bool {
        let message = &delivery.message;
        let request = Request::Receive {
            topic: message.topic.as_topic(),
            qos: delivery.qos,
            size: message.payload().len(),
        };
        match self.access.decide(&request) {
            Decision::Allow => true,
            Decision::Deny(reason) => {
                let subject = self.access.subject();
                self.broker.denied(subject, self.source, &request, reason);
                false
            }
        }
    }

    fn packet_len(&self, delivery: &Delivery, turn: &Turn<'_, '_>) -> usize {
        outgoing(delivery, self.version(), turn, 0, false).len()
    }

    fn put(&mut self, turn: &mut Turn<'_, '_>, delivery: &Delivery, packet_id: u16, dup: bool) {
        let message: &Message = &delivery.message;
        let mut packet = outgoing(delivery, self.version(), turn, packet_id, dup);
        let mut new_alias = false;
        if self.version() == Version::V5
            && let Some((alias, is_new)) = self.aliases_out.of(&message.topic)
        {
            packet.alias = Some(alias);
            new_alias = is_new;
            if !is_new {
                packet.topic = "";
            }
        }
        if packet.len() > self.encoder.max_packet_size as usize {
            if new_alias {
                self.aliases_out.forget(&message.topic);
                packet.alias = None;
            }
            // A message that the client does not take is as good as delivered (section 3.1.2.11.4).
            if packet.len() > self.encoder.max_packet_size as usize {
                return;
            }
        }
        packet.encode(&mut turn.scratch.plain_out);
        let (taps, principal) = (&self.broker.taps, &self.session.principal);
        taps.pass(principal, || Passing {
            at: turn.now,
            way: Way::Delivered,
            topic: &message.topic,
            qos: delivery.qos,
            retain: delivery.retain,
            payload: message.payload(),
        });
        let used = &mut self.counted.used;
        used.packets_out += 1;
        used.messages_out += 1;
        used.bytes_out += message.payload().len() as u64;
    }
}

fn outgoing<'a>(
    delivery: &'a Delivery,
    version: Version,
    turn: &Turn<'_, '_>,
    packet_id: u16,
    dup: bool,
) -> Outgoing<'a> {
    let message: &Message = &delivery.message;
    let is_v5 = version == Version::V5;
    Outgoing {
        version,
        dup,
        qos: delivery.qos,
        retain: delivery.retain,
        topic: message.topic.as_str(),
        packet_id,
        alias: None,
        expiry: message.expiry_left(turn.now).filter(|_| is_v5),
        subscription_ids: if is_v5 { delivery.ids.as_slice() } else { &[] },
        properties: if is_v5 { message.properties() } else { &[] },
        payload: message.payload(),
    }
}
