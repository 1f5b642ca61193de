//! The packets that clients send, the same for both versions of the protocol.

use bytes::{Bytes, BytesMut};
use rmqtt_codec::{error::DecodeError as CodecError, v3, v5};
use tokio_util::codec::Decoder;

use super::{DecodeError, Header, PropertyWriter, Publish, Version, guard};

/// A packet from a client that has connected.
#[derive(Debug)]
pub enum Packet<'a> {
    /// A message.
    Publish(Publish<'a>),
    /// A message of quality of service 1 has arrived there.
    PubAck(Ack),
    /// A message of quality of service 2 has arrived there.
    PubRec(Ack),
    /// The client forgets the message that it sent.
    PubRel(Ack),
    /// The client forgets the message that it received.
    PubComp(Ack),
    /// Subscriptions to make.
    Subscribe {
        /// To be repeated in the answer.
        packet_id: u16,
        /// The subscription identifier for all of them.
        subscription_id: Option<u32>,
        /// For what, in order.
        filters: Vec<SubscribeFilter>,
    },
    /// Subscriptions to end.
    Unsubscribe {
        /// To be repeated in the answer.
        packet_id: u16,
        /// Which, in order.
        filters: Vec<String>,
    },
    /// A sign of life.
    PingReq,
    /// The end.
    Disconnect {
        /// Why.
        reason: u8,
        /// A new session expiry in seconds.
        session_expiry: Option<u32>,
    },
    /// Extended authentication, which this server does not do.
    Auth,
}

/// An acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Of which packet.
    pub packet_id: u16,
    /// Failures are 0x80 and above.
    pub reason: u8,
}

/// One filter of a SUBSCRIBE packet, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeFilter {
    /// The filter as sent, `$share/...` included.
    pub filter: String,
    /// How it is wanted.
    pub options: SubscriptionOptions,
}

/// How a subscription is wanted (MQTT 5, section 3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubscriptionOptions {
    /// The largest quality of service, 0 to 2.
    pub qos: u8,
    /// Whether the client's own messages stay away.
    pub no_local: bool,
    /// Whether the retain flag stays as the publisher set it.
    pub retain_as_published: bool,
    /// 0: send retained messages; 1: only where the subscription is new; 2: never.
    pub retain_handling: u8,
}

impl SubscriptionOptions {
    /// In one byte, as the wire has it.
    #[must_use]
    pub fn to_byte(self) -> u8 {
        self.qos
            | u8::from(self.no_local) << 2
            | u8::from(self.retain_as_published) << 3
            | self.retain_handling << 4
    }

    /// From that byte; bits without a meaning are ignored.
    #[must_use]
    pub fn from_byte(byte: u8) -> Self {
        Self {
            qos: (byte & 0b11).min(2),
            no_local: byte & 0b100 != 0,
            retain_as_published: byte & 0b1000 != 0,
            retain_handling: (byte >> 4 & 0b11).min(2),
        }
    }
}

/// A CONNECT packet.
#[derive(Debug, Clone)]
pub struct Connect {
    /// Which version it speaks.
    pub version: Version,
    /// Whether an earlier session is to be forgotten.
    pub clean_start: bool,
    /// Seconds between signs of life; 0 is for ever.
    pub keep_alive: u16,
    /// Seconds that the session outlives its connection; `u32::MAX` is for ever.
    pub session_expiry: u32,
    /// Who it says it is.
    pub client_id: String,
    /// The message for when the connection breaks.
    pub will: Option<WillPacket>,
    /// How many unacknowledged messages it takes at once.
    pub receive_max: u16,
    /// The largest packet that it takes.
    pub max_packet_size: Option<u32>,
    /// How many topic aliases it remembers.
    pub topic_alias_max: u16,
    /// The extended authentication method that it wants.
    pub auth_method: Option<String>,
}

/// A Will as CONNECT carries it.
#[derive(Debug, Clone)]
pub struct WillPacket {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Bytes,
    /// Quality of service, 0 to 2.
    pub qos: u8,
    /// Whether it is to be retained.
    pub retain: bool,
    /// Seconds to wait before it is published.
    pub delay: u32,
    /// Seconds after which it is of no use.
    pub expiry: Option<u32>,
    /// The properties that travel with it, as they stand on the wire.
    pub properties: Vec<u8>,
}

impl Connect {
    /// Reads a whole CONNECT packet.
    ///
    /// # Errors
    /// When it is not a CONNECT packet, not of a version served here, or malformed.
    pub fn decode(header: Header, packet: &[u8]) -> Result<Self, DecodeError> {
        if header.first != 0x10 {
            return Err(DecodeError::Protocol("the first packet is not CONNECT"));
        }
        let guarded = guard::connect(&packet[header.header_len..])?;
        match guarded.version {
            Version::V3 => match decode_v3(packet)? {
                v3::Packet::Connect(connect) => Ok(from_v3(*connect)),
                _ => Err(DecodeError::Protocol("the first packet is not CONNECT")),
            },
            Version::V5 => {
                // The codec refuses an empty client identifier without a clean start, which version 5
                // allows: it is shown another flag.
                let mut shown = packet.to_vec();
                if let Some(flags) = shown.get_mut(header.header_len + guard::FLAGS_AT) {
                    *flags |= guard::CLEAN_START;
                }
                match decode_v5(&shown)? {
                    v5::Packet::Connect(connect) => from_v5(*connect, guarded.clean_start),
                    _ => Err(DecodeError::Protocol("the first packet is not CONNECT")),
                }
            }
        }
    }

    /// Which version a packet that could not be read says it is of, if it is one served here.
    #[must_use]
    pub fn claimed_version(header: Header, packet: &[u8]) -> Option<Version> {
        guard::version(&mut super::frame::Cursor::new(&packet[header.header_len..])).ok()
    }
}

impl<'a> Packet<'a> {
    /// Reads a whole packet.
    ///
    /// # Errors
    /// When it is malformed, or none that a client may send now.
    pub fn decode(version: Version, header: Header, packet: &'a [u8]) -> Result<Self, DecodeError> {
        let body = &packet[header.header_len..];
        match (header.first, body) {
            (0x30..=0x3f, _) => {
                return Publish::decode(version, header.first, body).map(Self::Publish);
            }
            (0x40, _) => return ack(version, body).map(Self::PubAck),
            (0x50, _) => return ack(version, body).map(Self::PubRec),
            (0x62, _) => return ack(version, body).map(Self::PubRel),
            (0x70, _) => return ack(version, body).map(Self::PubComp),
            (0x82, _) => guard::subscribe(version, body)?,
            (0xa2, _) => guard::unsubscribe(version, body)?,
            (0xc0, _) => {
                guard::empty(body)?;
                return Ok(Self::PingReq);
            }
            (0xe0, _) if version == Version::V3 => guard::empty(body)?,
            (0xe0, _) => {}
            (0xf0, _) if version == Version::V5 => {}
            (0x10, _) => return Err(DecodeError::Protocol("a second CONNECT")),
            _ => return Err(DecodeError::Malformed("no packet that a client may send")),
        }
        match version {
            Version::V3 => Self::from_v3(decode_v3(packet)?),
            Version::V5 => Self::from_v5(decode_v5(packet)?),
        }
    }

    fn from_v3(packet: v3::Packet) -> Result<Self, DecodeError> {
        match packet {
            v3::Packet::Subscribe {
                packet_id,
                topic_filters,
            } => Ok(Self::Subscribe {
                packet_id: packet_id.get(),
                subscription_id: None,
                filters: topic_filters
                    .into_iter()
                    .map(|(filter, qos)| SubscribeFilter {
                        filter: filter.to_string(),
                        options: SubscriptionOptions {
                            qos: qos.value(),
                            ..SubscriptionOptions::default()
                        },
                    })
                    .collect(),
            }),
            v3::Packet::Unsubscribe {
                packet_id,
                topic_filters,
            } => Ok(Self::Unsubscribe {
                packet_id: packet_id.get(),
                filters: topic_filters
                    .into_iter()
                    .map(|filter| filter.to_string())
                    .collect(),
            }),
            v3::Packet::Disconnect => Ok(Self::Disconnect {
                reason: 0,
                session_expiry: None,
            }),
            _ => Err(DecodeError::Malformed("no packet that a client may send")),
        }
    }

    fn from_v5(packet: v5::Packet) -> Result<Self, DecodeError> {
        match packet {
            v5::Packet::Subscribe(subscribe) => {
                let filters: Vec<SubscribeFilter> = subscribe
                    .topic_filters
                    .into_iter()
                    .map(|(filter, options)| SubscribeFilter {
                        filter: filter.to_string(),
                        options: SubscriptionOptions {
                            qos: options.qos.value(),
                            no_local: options.no_local,
                            retain_as_published: options.retain_as_published,
                            retain_handling: options.retain_handling.into(),
                        },
                    })
                    .collect();
                let shared_without_local = filters
                    .iter()
                    .any(|filter| filter.options.no_local && filter.filter.starts_with("$share/"));
                if shared_without_local {
                    return Err(DecodeError::Protocol("no local on a shared subscription"));
                }
                Ok(Self::Subscribe {
                    packet_id: subscribe.packet_id.get(),
                    subscription_id: subscribe.id.map(std::num::NonZeroU32::get),
                    filters,
                })
            }
            v5::Packet::Unsubscribe(unsubscribe) => Ok(Self::Unsubscribe {
                packet_id: unsubscribe.packet_id.get(),
                filters: unsubscribe
                    .topic_filters
                    .into_iter()
                    .map(|filter| filter.to_string())
                    .collect(),
            }),
            v5::Packet::Disconnect(disconnect) => Ok(Self::Disconnect {
                reason: disconnect.reason_code.into(),
                session_expiry: disconnect.session_expiry_interval_secs,
            }),
            v5::Packet::Auth(_) => Ok(Self::Auth),
            _ => Err(DecodeError::Malformed("no packet that a client may send")),
        }
    }
}

/// Reads an acknowledgement: almost always a bare packet identifier.
fn ack(version: Version, body: &[u8]) -> Result<Ack, DecodeError> {
    let mut cursor = super::frame::Cursor::new(body);
    let packet_id = match cursor.u16()? {
        0 => return Err(DecodeError::Malformed("packet identifier 0")),
        id => id,
    };
    let mut reason = 0;
    if version == Version::V5 && !cursor.is_empty() {
        reason = cursor.u8()?;
        if !cursor.is_empty() {
            let len = cursor.varint()? as usize;
            let mut properties = super::frame::Cursor::new(cursor.take(len)?);
            while !properties.is_empty() {
                match properties.u8()? {
                    0x1f => {
                        properties.text()?;
                    }
                    0x26 => {
                        properties.text()?;
                        properties.text()?;
                    }
                    _ => {
                        return Err(DecodeError::Malformed(
                            "a property that does not exist here",
                        ));
                    }
                }
            }
        }
    }
    guard::empty(cursor.rest())?;
    Ok(Ack { packet_id, reason })
}

fn decode_v3(packet: &[u8]) -> Result<v3::Packet, DecodeError> {
    match v3::Codec::new(0).decode(&mut BytesMut::from(packet)) {
        Ok(Some((packet, _))) => Ok(packet),
        Ok(None) => Err(DecodeError::Malformed("the packet is cut off")),
        Err(error) => Err(from_codec(&error)),
    }
}

fn decode_v5(packet: &[u8]) -> Result<v5::Packet, DecodeError> {
    match v5::Codec::new(0, 0).decode(&mut BytesMut::from(packet)) {
        Ok(Some((packet, _))) => Ok(packet),
        Ok(None) => Err(DecodeError::Malformed("the packet is cut off")),
        Err(error) => Err(from_codec(&error)),
    }
}

fn from_codec(error: &CodecError) -> DecodeError {
    match error {
        CodecError::Utf8Error => DecodeError::NotUtf8,
        CodecError::InvalidClientId => DecodeError::ClientId,
        CodecError::InvalidTopicFilter => DecodeError::Protocol("no topic filter"),
        other => DecodeError::Codec(other.to_string()),
    }
}

fn from_v3(connect: v3::Connect) -> Connect {
    Connect {
        version: Version::V3,
        clean_start: connect.clean_session,
        keep_alive: connect.keep_alive,
        session_expiry: if connect.clean_session { 0 } else { u32::MAX },
        client_id: connect.client_id.to_string(),
        will: connect.last_will.map(|will| WillPacket {
            topic: will.topic.to_string(),
            payload: will.message,
            qos: will.qos.value(),
            retain: will.retain,
            delay: 0,
            expiry: None,
            properties: Vec::new(),
        }),
        receive_max: u16::MAX,
        max_packet_size: None,
        topic_alias_max: 0,
        auth_method: None,
    }
}

fn from_v5(connect: v5::Connect, clean_start: bool) -> Result<Connect, DecodeError> {
    if connect.auth_method.is_none() && connect.auth_data.is_some() {
        return Err(DecodeError::Protocol(
            "authentication data without a method",
        ));
    }
    Ok(Connect {
        version: Version::V5,
        clean_start,
        keep_alive: connect.keep_alive,
        session_expiry: connect.session_expiry_interval_secs,
        client_id: connect.client_id.to_string(),
        will: connect.last_will.map(will_from_v5).transpose()?,
        receive_max: connect
            .receive_max
            .map_or(u16::MAX, std::num::NonZeroU16::get),
        max_packet_size: connect.max_packet_size.map(std::num::NonZeroU32::get),
        topic_alias_max: connect.topic_alias_max,
        auth_method: connect.auth_method.map(|method| method.to_string()),
    })
}

fn will_from_v5(will: v5::LastWill) -> Result<WillPacket, DecodeError> {
    let mut properties = PropertyWriter::default();
    if let Some(is_utf8) = will.is_utf8_payload {
        properties.payload_format(is_utf8);
    }
    if let Some(text) = &will.content_type {
        properties.content_type(text);
    }
    if let Some(text) = &will.response_topic {
        if text.contains(['+', '#']) {
            return Err(DecodeError::Protocol("a response topic with a wildcard"));
        }
        properties.response_topic(text);
    }
    if let Some(data) = &will.correlation_data {
        properties.correlation_data(data);
    }
    for (name, value) in &will.user_properties {
        properties.user_property(name, value);
    }
    Ok(WillPacket {
        topic: will.topic.to_string(),
        payload: will.message,
        qos: will.qos.value(),
        retain: will.retain,
        delay: will.will_delay_interval_sec.unwrap_or(0),
        expiry: will.message_expiry_interval.map(std::num::NonZeroU32::get),
        properties: properties.finish(),
    })
}
