//! PUBLISH, read and written by hand: every message passes here twice, so it is read in place and
//! written with plain copies. A test holds the reader to `rmqtt-codec`'s.

use std::borrow::Cow;

use super::{
    DecodeError, Version,
    frame::{Cursor, put_varint, varint_len},
};

const PAYLOAD_FORMAT: u8 = 0x01;
const MESSAGE_EXPIRY: u8 = 0x02;
const CONTENT_TYPE: u8 = 0x03;
const RESPONSE_TOPIC: u8 = 0x08;
const CORRELATION_DATA: u8 = 0x09;
const SUBSCRIPTION_ID: u8 = 0x0B;
const TOPIC_ALIAS: u8 = 0x23;
const USER_PROPERTY: u8 = 0x26;

/// A PUBLISH packet, borrowed from the bytes it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Whether the client sent it before.
    pub dup: bool,
    /// Quality of service, 0 to 2.
    pub qos: u8,
    /// Whether it is to be retained.
    pub retain: bool,
    /// The topic; empty where an alias stands for it.
    pub topic: &'a str,
    /// The packet identifier; 0 where there is none.
    pub packet_id: u16,
    /// The alias, if one is set or used.
    pub alias: Option<u16>,
    /// Seconds after which it is of no use.
    pub expiry: Option<u32>,
    /// The properties that travel on with the message, as they stand on the wire.
    pub properties: Cow<'a, [u8]>,
    /// What it says.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Reads the packet whose fixed header begins with `first` and whose remaining bytes are `body`.
    ///
    /// # Errors
    /// When it is malformed or carries what only a server may send.
    pub fn decode(version: Version, first: u8, body: &'a [u8]) -> Result<Self, DecodeError> {
        let qos = (first >> 1) & 0b11;
        let dup = first & 0b1000 != 0;
        if qos == 3 {
            return Err(DecodeError::Malformed("quality of service 3"));
        }
        if dup && qos == 0 {
            return Err(DecodeError::Malformed(
                "a duplicate of quality of service 0",
            ));
        }
        let mut cursor = Cursor::new(body);
        let topic = cursor.text()?;
        let packet_id = match qos {
            0 => 0,
            _ => match cursor.u16()? {
                0 => return Err(DecodeError::Malformed("packet identifier 0")),
                id => id,
            },
        };
        let mut publish = Self {
            dup,
            qos,
            retain: first & 1 != 0,
            topic,
            packet_id,
            alias: None,
            expiry: None,
            properties: Cow::Borrowed(&[]),
            payload: &[],
        };
        if version == Version::V5 {
            let len = cursor.varint()? as usize;
            let raw = cursor.take(len)?;
            if !raw.is_empty() {
                publish.read_properties(raw)?;
            }
        }
        if publish.topic.is_empty() && publish.alias.is_none() {
            return Err(DecodeError::Protocol("neither a topic nor a topic alias"));
        }
        publish.payload = cursor.rest();
        Ok(publish)
    }

    fn read_properties(&mut self, raw: &'a [u8]) -> Result<(), DecodeError> {
        let mut cursor = Cursor::new(raw);
        let mut seen = 0u64;
        let mut kept: Option<Vec<u8>> = None;
        while !cursor.is_empty() {
            let before = cursor.rest();
            let id = cursor.u8()?;
            if id != USER_PROPERTY {
                let bit = 1u64 << (id & 0x3f);
                if seen & bit != 0 {
                    return Err(DecodeError::Protocol("a property stands twice"));
                }
                seen |= bit;
            }
            let travels_on = match id {
                PAYLOAD_FORMAT => {
                    if cursor.u8()? > 1 {
                        return Err(DecodeError::Malformed(
                            "a payload format that does not exist",
                        ));
                    }
                    true
                }
                MESSAGE_EXPIRY => {
                    self.expiry = Some(cursor.u32()?);
                    false
                }
                CONTENT_TYPE => {
                    cursor.text()?;
                    true
                }
                RESPONSE_TOPIC => {
                    if cursor.text()?.contains(['+', '#']) {
                        return Err(DecodeError::Protocol("a response topic with a wildcard"));
                    }
                    true
                }
                CORRELATION_DATA => {
                    cursor.binary()?;
                    true
                }
                USER_PROPERTY => {
                    cursor.text()?;
                    cursor.text()?;
                    true
                }
                TOPIC_ALIAS => {
                    self.alias = Some(cursor.u16()?);
                    false
                }
                SUBSCRIPTION_ID => {
                    return Err(DecodeError::Protocol(
                        "a subscription identifier from a client",
                    ));
                }
                _ => {
                    return Err(DecodeError::Malformed(
                        "a property that does not exist here",
                    ));
                }
            };
            let this = &before[..before.len() - cursor.rest().len()];
            match (&mut kept, travels_on) {
                (Some(kept), true) => kept.extend_from_slice(this),
                (None, false) => kept = Some(raw[..raw.len() - before.len()].to_vec()),
                _ => {}
            }
        }
        self.properties = match kept {
            Some(kept) => Cow::Owned(kept),
            None => Cow::Borrowed(raw),
        };
        Ok(())
    }
}

/// How a message is written to one client.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// The client's version.
    pub version: Version,
    /// Whether it was sent before.
    pub dup: bool,
    /// Quality of service, 0 to 2.
    pub qos: u8,
    /// The retain flag.
    pub retain: bool,
    /// The topic; empty where `alias` stands for it.
    pub topic: &'a str,
    /// The packet identifier; ignored for quality of service 0.
    pub packet_id: u16,
    /// The alias to set or use.
    pub alias: Option<u16>,
    /// Seconds that are left of its life.
    pub expiry: Option<u32>,
    /// The subscriptions that it matched.
    pub subscription_ids: &'a [u32],
    /// The properties that travelled with it.
    pub properties: &'a [u8],
    /// What it says.
    pub payload: &'a [u8],
}

impl Outgoing<'_> {
    fn property_len(&self) -> usize {
        let ids: usize = self
            .subscription_ids
            .iter()
            .map(|id| 1 + varint_len(*id as usize))
            .sum();
        self.properties.len() + ids + self.alias.map_or(0, |_| 3) + self.expiry.map_or(0, |_| 5)
    }

    fn remaining_len(&self, property_len: usize) -> usize {
        let packet_id = if self.qos > 0 { 2 } else { 0 };
        let properties = match self.version {
            Version::V3 => 0,
            Version::V5 => varint_len(property_len) + property_len,
        };
        2 + self.topic.len() + packet_id + properties + self.payload.len()
    }

    /// Bytes of the whole packet.
    #[must_use]
    pub fn len(&self) -> usize {
        let remaining = self.remaining_len(self.property_len());
        1 + varint_len(remaining) + remaining
    }

    /// Writes the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let property_len = self.property_len();
        let remaining = self.remaining_len(property_len);
        out.reserve(5 + remaining);
        out.push(0x30 | u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain));
        put_varint(out, remaining);
        out.extend_from_slice(&(self.topic.len() as u16).to_be_bytes());
        out.extend_from_slice(self.topic.as_bytes());
        if self.qos > 0 {
            out.extend_from_slice(&self.packet_id.to_be_bytes());
        }
        if self.version == Version::V5 {
            put_varint(out, property_len);
            if let Some(alias) = self.alias {
                out.push(TOPIC_ALIAS);
                out.extend_from_slice(&alias.to_be_bytes());
            }
            if let Some(expiry) = self.expiry {
                out.push(MESSAGE_EXPIRY);
                out.extend_from_slice(&expiry.to_be_bytes());
            }
            for id in self.subscription_ids {
                out.push(SUBSCRIPTION_ID);
                put_varint(out, *id as usize);
            }
            out.extend_from_slice(self.properties);
        }
        out.extend_from_slice(self.payload);
    }
}

/// Writes the properties of a message that come from elsewhere than a PUBLISH packet (a Will, the
/// REST door) as they stand on the wire.
#[derive(Debug, Default)]
pub struct PropertyWriter(Vec<u8>);

impl PropertyWriter {
    /// Whether the payload is UTF-8 text.
    pub fn payload_format(&mut self, is_utf8: bool) {
        self.0
            .extend_from_slice(&[PAYLOAD_FORMAT, u8::from(is_utf8)]);
    }

    /// What the payload is.
    pub fn content_type(&mut self, text: &str) {
        self.0.push(CONTENT_TYPE);
        self.binary(text.as_bytes());
    }

    /// Where an answer is expected.
    pub fn response_topic(&mut self, text: &str) {
        self.0.push(RESPONSE_TOPIC);
        self.binary(text.as_bytes());
    }

    /// What the answer is to carry.
    pub fn correlation_data(&mut self, data: &[u8]) {
        self.0.push(CORRELATION_DATA);
        self.binary(data);
    }

    /// A name and a value of the application's.
    pub fn user_property(&mut self, name: &str, value: &str) {
        self.0.push(USER_PROPERTY);
        self.binary(name.as_bytes());
        self.binary(value.as_bytes());
    }

    /// The bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    fn binary(&mut self, data: &[u8]) {
        let data = &data[..data.len().min(usize::from(u16::MAX))];
        self.0.extend_from_slice(&(data.len() as u16).to_be_bytes());
        self.0.extend_from_slice(data);
    }
}
