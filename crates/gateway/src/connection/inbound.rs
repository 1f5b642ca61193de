//! Packets from the client.

use palisade_core::SessionEnd;

use super::{Connection, Ending, Gated, Turn};
use crate::{
    codec::{Ack, DecodeError, Header, Packet, Version, encode::AckKind, reason},
    persist::Op,
    session::{Engine, PubRecOutcome, StoredDelivery},
};

impl Connection {
    /// Handles every whole packet in `scratch.plain_in` and keeps the rest.
    pub(super) fn read_packets(
        &mut self,
        turn: &mut Turn<'_, '_>,
        engine: &mut Engine,
    ) -> Result<(), Ending> {
        let mut bytes = std::mem::take(&mut turn.scratch.plain_in);
        let mut from = 0;
        let max = self.broker.config.max_packet_size;
        let result = loop {
            let rest = &bytes[from..];
            let header = match Header::peek(rest, max) {
                Ok(Some(header)) if header.total_len <= rest.len() => header,
                Ok(_) => break Ok(()),
                Err(error) => break Err(Self::not_understood(&error)),
            };
            if !self.may_go_on() {
                self.has_unread = true;
                break Ok(());
            }
            let packet = &rest[..header.total_len];
            from += header.total_len;
            let handled = Packet::decode(self.version(), header, packet)
                .map_err(|error| Self::not_understood(&error))
                .and_then(|packet| self.on_packet(turn, engine, packet));
            if handled.is_err() {
                break handled;
            }
        };
        if from < bytes.len() {
            self.link.keep_partial(&mut bytes, from);
        }
        turn.scratch.plain_in = bytes;
        turn.scratch.plain_in.clear();
        result
    }

    /// Whether the next packet may be handled now. More than the receive maximum do not wait for the disk
    /// at once: what comes on top stays in the socket.
    pub(super) fn may_go_on(&self) -> bool {
        let max = usize::from(self.broker.config.receive_maximum);
        self.paused_until.is_none() && self.waiting_for.is_none() && self.gates.acks() < max
    }

    fn not_understood(error: &DecodeError) -> Ending {
        let words = match error {
            DecodeError::Malformed(words) | DecodeError::Protocol(words) => words,
            DecodeError::TooLarge { .. } => "the packet is larger than the server takes",
            DecodeError::NotUtf8 => "a text is not utf-8 or has a nul",
            _ => "the packet is malformed",
        };
        Ending::protocol(error.reason(), words)
    }

    fn on_packet(
        &mut self,
        turn: &mut Turn<'_, '_>,
        engine: &mut Engine,
        packet: Packet<'_>,
    ) -> Result<(), Ending> {
        if matches!(packet, Packet::PingReq | Packet::Disconnect { .. }) {
            self.counted.quiet.packets_in += 1;
        } else {
            self.counted.used.packets_in += 1;
        }
        match packet {
            Packet::Publish(publish) => return self.on_publish(turn, engine, &publish),
            Packet::PubAck(ack) => self.on_puback(turn, engine, ack),
            Packet::PubRec(ack) => self.on_pubrec(turn, engine, ack),
            Packet::PubRel(ack) => self.on_pubrel(turn, engine, ack),
            Packet::PubComp(ack) => self.on_pubcomp(turn, engine, ack),
            Packet::Subscribe {
                packet_id,
                subscription_id,
                filters,
            } => {
                // It costs as much as a message, and more.
                self.charge(filters.len(), 0, false);
                self.on_subscribe(turn, engine, (packet_id, subscription_id), filters);
            }
            Packet::Unsubscribe { packet_id, filters } => {
                self.charge(filters.len(), 0, false);
                self.on_unsubscribe(turn, engine, packet_id, &filters);
            }
            Packet::PingReq => {
                self.charge(1, 0, false);
                self.encoder.pingresp(&mut turn.scratch.plain_out);
                self.counted.quiet.packets_out += 1;
                // A client that pings is idle, and holds nothing that it may not need again.
                self.routes.clear();
            }
            Packet::Disconnect {
                reason,
                session_expiry,
            } => return Err(self.on_disconnect(engine, reason, session_expiry)),
            Packet::Auth => {
                return Err(Ending::protocol(
                    reason::PROTOCOL_ERROR,
                    "extended authentication was not agreed upon",
                ));
            }
        }
        Ok(())
    }

    fn on_puback(&mut self, _turn: &mut Turn<'_, '_>, engine: &mut Engine, ack: Ack) {
        if let Some(delivery) = engine.on_puback(ack.packet_id) {
            self.forget_stored(delivery.seq);
        }
    }

    fn on_pubrec(&mut self, turn: &mut Turn<'_, '_>, engine: &mut Engine, ack: Ack) {
        match engine.on_pubrec(ack.packet_id, ack.reason) {
            PubRecOutcome::Release { seq } => {
                // Were the release forgotten, the message would be sent again as if it were new.
                let number = match seq {
                    0 => 0,
                    seq => self.broker.persister.submit(Op::Update(
                        self.session.name.clone(),
                        seq,
                        StoredDelivery::Released(ack.packet_id),
                    )),
                };
                let gated = Gated::Ack(AckKind::Rel, ack.packet_id, reason::SUCCESS);
                self.gate(turn, engine, number, gated);
            }
            PubRecOutcome::Over { seq } => self.forget_stored(seq),
            PubRecOutcome::Unknown if ack.reason >= 0x80 => {}
            PubRecOutcome::Unknown => {
                let gated = Gated::Ack(AckKind::Rel, ack.packet_id, reason::PACKET_ID_NOT_FOUND);
                self.gate(turn, engine, 0, gated);
            }
        }
    }

    fn on_pubrel(&mut self, turn: &mut Turn<'_, '_>, engine: &mut Engine, ack: Ack) {
        self.unreleased = self.unreleased.saturating_sub(1);
        let (number, reason) = match (engine.on_pubrel(ack.packet_id), engine.expiry) {
            (false, _) => (0, reason::PACKET_ID_NOT_FOUND),
            (true, 0) => (0, reason::SUCCESS),
            // Were the release forgotten, the next message of this identifier would be taken for a
            // duplicate and lost.
            (true, _) => {
                let name = self.session.name.clone();
                let op = Op::DeleteReceived(name, ack.packet_id);
                (self.broker.persister.submit(op), reason::SUCCESS)
            }
        };
        let gated = Gated::Ack(AckKind::Comp, ack.packet_id, reason);
        self.gate(turn, engine, number, gated);
    }

    fn on_pubcomp(&mut self, _turn: &mut Turn<'_, '_>, engine: &mut Engine, ack: Ack) {
        if let Some(seq) = engine.on_pubcomp(ack.packet_id) {
            self.forget_stored(seq);
        }
    }

    /// A message is over: the store need not keep it.
    pub(super) fn forget_stored(&self, seq: u64) {
        if seq > 0 {
            let op = Op::Dequeue(self.session.name.clone(), seq);
            self.broker.persister.submit(op);
        }
    }

    pub(super) fn on_disconnect(
        &mut self,
        engine: &mut Engine,
        reason: u8,
        expiry: Option<u32>,
    ) -> Ending {
        if let Some(expiry) = expiry {
            if engine.expiry == 0 && expiry > 0 {
                return Ending::protocol(
                    reason::PROTOCOL_ERROR,
                    "a session that was to end with its connection cannot be prolonged",
                );
            }
            engine.expiry = expiry.min(self.broker.config.max_session_expiry_s);
            self.session
                .mailbox
                .lock()
                .set_persistent(engine.expiry > 0);
        }
        let is_normal = reason == reason::SUCCESS || self.version() == Version::V3;
        if is_normal {
            // At once: a connection that takes the session over must not find it.
            engine.will = None;
        }
        Ending {
            end: SessionEnd::Client,
            tell: None,
            publish_will: !is_normal,
        }
    }
}
