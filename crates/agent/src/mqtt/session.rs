//! The client's half of an MQTT session: which messages are under way, which subscriptions are wanted. It
//! outlives connections; packets go in, effects come out.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    num::NonZeroU16,
};

use bytestring::ByteString;
use palisade_core::Topic;
use rmqtt_codec::{
    types::{Publish, QoS},
    v5::{
        ConnectAck, Packet, PublishAck, PublishAckReason, PublishProperties, RetainHandling,
        Subscribe, SubscribeAck, SubscriptionOptions, Unsubscribe, UnsubscribeAck,
    },
};

use crate::{
    message::{Message, Outgoing, Qos},
    queue::Seq,
};

/// What a packet from the server means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing more.
    None,
    /// A message; to be acknowledged under the identifier, if there is one, once the application has it.
    Deliver(Box<Message>, Option<NonZeroU16>),
    /// The server has a message, or does not want it.
    Acknowledged {
        seq: Seq,
        reason: u8,
        topic: ByteString,
    },
    /// An answer about a subscription: whether it stands, and the reason code.
    Subscribed { filter: String, reason: u8 },
    /// A subscription has ended.
    Unsubscribed { filter: String, reason: u8 },
    /// The server ends the connection.
    Closed {
        reason: u8,
        text: Option<String>,
        reference: Option<String>,
    },
}

/// A subscription that the application wants.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    qos: Qos,
    /// The server has said yes in the session that it has now.
    stands: bool,
    /// The server has said yes at some time.
    stood: bool,
}

#[derive(Debug)]
enum Asked {
    Subscribe(String),
    Unsubscribe(String),
}

#[derive(Debug)]
pub(crate) struct Session {
    // Sent in this connection, not acknowledged.
    under_way: BTreeMap<u16, (Seq, ByteString)>,
    // Sent in an earlier connection of this session: to be sent again under the same identifier.
    again: BTreeMap<Seq, u16>,
    asked: HashMap<u16, Asked>,
    wanted: BTreeMap<String, Wanted>,
    // Ended while there was no connection to say so.
    unwanted: BTreeSet<String>,
    last_id: u16,
    window: usize,
}

impl Session {
    pub(crate) fn new() -> Self {
        Self {
            under_way: BTreeMap::new(),
            again: BTreeMap::new(),
            asked: HashMap::new(),
            wanted: BTreeMap::new(),
            unwanted: BTreeSet::new(),
            last_id: 0,
            window: 1,
        }
    }

    /// Begins a connection: what to say about subscriptions first. Messages under way are sent again, as the
    /// queue hands them out.
    pub(crate) fn connected(&mut self, ack: &ConnectAck, window: u16) -> Vec<Packet> {
        self.window = usize::from(ack.receive_max.get().min(window)).max(1);
        self.asked.clear();
        let under_way = std::mem::take(&mut self.under_way);
        match ack.session_present {
            true => self
                .again
                .extend(under_way.into_iter().map(|(id, (seq, _))| (seq, id))),
            false => {
                self.again.clear();
                self.unwanted.clear();
                self.wanted
                    .values_mut()
                    .for_each(|wanted| wanted.stands = false);
            }
        }
        let unwanted = std::mem::take(&mut self.unwanted);
        let ends = unwanted
            .iter()
            .map(|filter| self.unsubscribe(filter).into());
        let mut packets: Vec<Packet> = ends.collect();
        let missing = self.wanted.iter().filter(|(_, wanted)| !wanted.stands);
        let missing: Vec<String> = missing.map(|(filter, _)| filter.clone()).collect();
        packets.extend(
            missing
                .iter()
                .filter_map(|filter| self.subscribe(filter))
                .map(Packet::from),
        );
        packets
    }

    /// Whether another message of quality of service 1 may be under way.
    pub(crate) fn has_room(&self) -> bool {
        self.under_way.len() < self.window
    }

    /// A message of quality of service 0.
    pub(crate) fn publish_once(message: Outgoing) -> Publish {
        publish(message, None, false)
    }

    /// A message of quality of service 1, now under way.
    pub(crate) fn publish(&mut self, seq: Seq, message: Outgoing) -> Publish {
        // The queue hands out in order: what is older was let go meanwhile.
        self.again = self.again.split_off(&seq);
        let before = self.again.remove(&seq);
        let id = before
            .and_then(NonZeroU16::new)
            .unwrap_or_else(|| self.free_id());
        self.under_way
            .insert(id.get(), (seq, message.topic.clone()));
        publish(message, Some(id), before.is_some())
    }

    /// A message did not go out after all.
    pub(crate) fn forget(&mut self, seq: Seq) {
        self.under_way.retain(|_, (other, _)| *other != seq);
    }

    /// Wants a subscription.
    pub(crate) fn want(&mut self, filter: &str, qos: Qos) {
        let stood = self.wanted.get(filter).is_some_and(|wanted| wanted.stood);
        let wanted = Wanted {
            qos,
            stands: false,
            stood,
        };
        self.wanted.insert(filter.to_owned(), wanted);
        self.unwanted.remove(filter);
    }

    /// Wants a subscription no more, without a connection. The server may hold it in a session that goes on:
    /// it is told once there is one.
    pub(crate) fn want_no_more(&mut self, filter: &str) {
        self.wanted.remove(filter);
        self.unwanted.insert(filter.to_owned());
    }

    /// Asks the server for a wanted subscription.
    pub(crate) fn subscribe(&mut self, filter: &str) -> Option<Subscribe> {
        let qos = self.wanted.get(filter)?.qos;
        let packet_id = self.free_id();
        let asked = Asked::Subscribe(filter.to_owned());
        self.asked.insert(packet_id.get(), asked);
        let options = SubscriptionOptions {
            qos: to_codec(qos),
            no_local: false,
            retain_as_published: true,
            retain_handling: RetainHandling::AtSubscribe,
        };
        Some(Subscribe {
            packet_id,
            id: None,
            user_properties: Vec::new(),
            topic_filters: vec![(ByteString::from(filter), options)],
        })
    }

    /// Wants a subscription no more, and says so to the server.
    pub(crate) fn unsubscribe(&mut self, filter: &str) -> Unsubscribe {
        self.wanted.remove(filter);
        let packet_id = self.free_id();
        let asked = Asked::Unsubscribe(filter.to_owned());
        self.asked.insert(packet_id.get(), asked);
        Unsubscribe {
            packet_id,
            user_properties: Vec::new(),
            topic_filters: vec![ByteString::from(filter)],
        }
    }

    /// Takes in a packet from the server.
    pub(crate) fn receive(&mut self, packet: Packet) -> Result<Effect, &'static str> {
        match packet {
            Packet::Publish(publish) => deliver(*publish),
            Packet::PublishAck(ack) => Ok(self.acknowledged(&ack)),
            Packet::SubscribeAck(ack) => self.subscribed(&ack),
            Packet::UnsubscribeAck(ack) => self.unsubscribed(&ack),
            Packet::PingResponse => Ok(Effect::None),
            Packet::Disconnect(disconnect) => Ok(Effect::Closed {
                reason: disconnect.reason_code.into(),
                text: disconnect.reason_string.map(|text| shown(&text)),
                reference: disconnect.server_reference.map(|text| text.to_string()),
            }),
            Packet::ConnectAck(_) => Err("a second CONNACK"),
            Packet::Auth(_) => Err("extended authentication, which was not asked for"),
            Packet::PublishReceived(_) | Packet::PublishRelease(_) | Packet::PublishComplete(_) => {
                Err("an acknowledgement of quality of service 2, which was not asked for")
            }
            Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingRequest => Err("a packet that only clients send"),
        }
    }

    fn acknowledged(&mut self, ack: &PublishAck) -> Effect {
        match self.under_way.remove(&ack.packet_id.get()) {
            Some((seq, topic)) => Effect::Acknowledged {
                seq,
                reason: ack.reason_code.into(),
                topic,
            },
            None => Effect::None,
        }
    }

    fn subscribed(&mut self, ack: &SubscribeAck) -> Result<Effect, &'static str> {
        let asked = self.asked.remove(&ack.packet_id.get());
        let (Some(Asked::Subscribe(filter)), [status]) = (asked, ack.status.as_slice()) else {
            return Err("an answer to a subscription that was not asked for");
        };
        let reason = u8::from(*status);
        let is_refused = reason >= 0x80;
        if let Some(wanted) = self.wanted.get_mut(&filter) {
            wanted.stands = !is_refused;
            wanted.stood |= !is_refused;
            // One that stood is asked for again in the next session: a quarantine passes.
            if !wanted.stood {
                self.wanted.remove(&filter);
            }
        }
        Ok(Effect::Subscribed { filter, reason })
    }

    fn unsubscribed(&mut self, ack: &UnsubscribeAck) -> Result<Effect, &'static str> {
        let asked = self.asked.remove(&ack.packet_id.get());
        match (asked, ack.status.as_slice()) {
            (Some(Asked::Unsubscribe(filter)), [status]) => Ok(Effect::Unsubscribed {
                filter,
                reason: (*status).into(),
            }),
            _ => Err("an answer to the end of a subscription that was not asked for"),
        }
    }

    fn free_id(&mut self) -> NonZeroU16 {
        let again: HashSet<u16> = self.again.values().copied().collect();
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            let id = self.last_id;
            let is_used = self.under_way.contains_key(&id)
                || self.asked.contains_key(&id)
                || again.contains(&id);
            if let (Some(id), false) = (NonZeroU16::new(id), is_used) {
                return id;
            }
        }
    }
}

fn to_codec(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    }
}

fn publish(message: Outgoing, packet_id: Option<NonZeroU16>, dup: bool) -> Publish {
    Publish {
        dup,
        retain: message.retain,
        qos: match packet_id {
            Some(_) => QoS::AtLeastOnce,
            None => QoS::AtMostOnce,
        },
        topic: message.topic,
        packet_id,
        payload: message.payload,
        properties: Some(PublishProperties::default()),
    }
}

/// The answer to a message of quality of service 1.
pub(crate) fn acknowledgement(packet_id: NonZeroU16) -> Packet {
    Packet::PublishAck(PublishAck {
        packet_id,
        reason_code: PublishAckReason::Success,
        properties: Vec::new(),
        reason_string: None,
    })
}

fn deliver(publish: Publish) -> Result<Effect, &'static str> {
    let qos = match publish.qos {
        QoS::AtMostOnce => Qos::AtMostOnce,
        QoS::AtLeastOnce => Qos::AtLeastOnce,
        QoS::ExactlyOnce => {
            return Err("a message of quality of service 2, which was not asked for");
        }
    };
    // We give the server no topic aliases, so that an empty topic is none.
    Topic::parse(&publish.topic).map_err(|_| "a message to what is no topic")?;
    let properties = publish.properties.unwrap_or_default();
    let user_properties = properties.user_properties.iter();
    let message = Message {
        topic: publish.topic.to_string(),
        payload: publish.payload,
        qos,
        retain: publish.retain,
        dup: publish.dup,
        response_topic: properties.response_topic.map(|text| text.to_string()),
        correlation_data: properties.correlation_data,
        content_type: properties.content_type.map(|text| text.to_string()),
        user_properties: user_properties
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect(),
    };
    Ok(Effect::Deliver(Box::new(message), publish.packet_id))
}

/// A text of the server's that is safe to show.
pub(crate) fn shown(text: &str) -> String {
    let text = text.chars().filter(|c| !c.is_control());
    text.take(200).collect()
}

#[cfg(test)]
mod tests;
