//! A message on its way: made once when it is published, shared by everybody who gets it.

use std::sync::Arc;

use palisade_core::{Timestamp, Topic, TopicBuf};

use crate::codec::{DecodeError, frame::Cursor};

/// A message. Properties and payload stand in one piece of memory, as the wire has them.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it was published to.
    pub topic: TopicBuf,
    /// The quality of service it was published with, 0 to 2.
    pub qos: u8,
    /// Whether the publisher asked to retain it.
    pub retain: bool,
    /// After when it is of no use.
    pub expires: Option<Timestamp>,
    property_len: u32,
    body: Box<[u8]>,
}

/// How a message is published.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// Quality of service, 0 to 2.
    pub qos: u8,
    /// Whether it is to be retained.
    pub retain: bool,
    /// After when it is of no use.
    pub expires: Option<Timestamp>,
}

impl Message {
    /// A message from its parts; `properties` as the wire has them.
    #[must_use]
    pub fn new(topic: TopicBuf, manner: Manner, properties: &[u8], payload: &[u8]) -> Arc<Self> {
        let mut body = Vec::with_capacity(properties.len() + payload.len());
        body.extend_from_slice(properties);
        body.extend_from_slice(payload);
        Arc::new(Self {
            topic,
            qos: manner.qos,
            retain: manner.retain,
            expires: manner.expires,
            property_len: properties.len() as u32,
            body: body.into_boxed_slice(),
        })
    }

    /// The properties that travel with it, as the wire has them.
    #[must_use]
    pub fn properties(&self) -> &[u8] {
        &self.body[..self.property_len as usize]
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.body[self.property_len as usize..]
    }

    /// What it weighs in a queue, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.topic.as_str().len() + self.body.len()
    }

    /// Whether it is of no use any more.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// The whole seconds that are left of its life, at least one.
    #[must_use]
    pub fn expiry_left(&self, now: Timestamp) -> Option<u32> {
        let left = self.expires?.as_millisecond() - now.as_millisecond();
        Some(u32::try_from((left + 999) / 1000).unwrap_or(1).max(1))
    }

    /// The bytes under which it is kept in the store.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let topic = self.topic.as_str().as_bytes();
        let mut out = Vec::with_capacity(24 + topic.len() + self.body.len());
        out.push(FORMAT);
        out.push(self.qos | u8::from(self.retain) << 2);
        out.extend_from_slice(&expires_to_bytes(self.expires));
        out.extend_from_slice(&(topic.len() as u16).to_be_bytes());
        out.extend_from_slice(topic);
        out.extend_from_slice(&self.property_len.to_be_bytes());
        out.extend_from_slice(&self.body);
        out
    }

    /// Reads what [`Message::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Arc<Self>, DecodeError> {
        let mut cursor = Cursor::new(bytes);
        if cursor.u8()? != FORMAT {
            return Err(DecodeError::Malformed("a stored message of another format"));
        }
        let flags = cursor.u8()?;
        let expires = expires_from_bytes(cursor.u64()?);
        let topic = Topic::parse(cursor.text()?)
            .map_err(|_| DecodeError::Malformed("a stored message without a topic"))?
            .to_owned();
        let property_len = cursor.u32()? as usize;
        let properties = cursor.take(property_len)?;
        let manner = Manner {
            qos: (flags & 0b11).min(2),
            retain: flags & 0b100 != 0,
            expires,
        };
        Ok(Self::new(topic, manner, properties, cursor.rest()))
    }
}

const FORMAT: u8 = 1;

fn expires_to_bytes(expires: Option<Timestamp>) -> [u8; 8] {
    let millis = expires.map_or(0, |expires| expires.as_millisecond().max(1));
    (millis as u64).to_be_bytes()
}

fn expires_from_bytes(millis: u64) -> Option<Timestamp> {
    match millis {
        0 => None,
        millis => Timestamp::from_millisecond(millis as i64).ok(),
    }
}

/// The moment that lies `seconds` after `now`.
#[must_use]
pub fn after(now: Timestamp, seconds: u32) -> Timestamp {
    Timestamp::from_millisecond(now.as_millisecond() + i64::from(seconds) * 1000)
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &str) -> TopicBuf {
        Topic::parse(text).expect("a topic").to_owned()
    }

    #[test]
    fn a_message_reads_back_from_its_bytes() {
        let expires = Some(Timestamp::from_millisecond(1_700_000_000_123).expect("a time"));
        let manner = Manner {
            qos: 2,
            retain: true,
            expires,
        };
        let message = Message::new(topic("a/b"), manner, b"\x01\x01", b"hello");
        let bytes = message.to_bytes();
        assert_eq!(Message::from_bytes(&bytes).expect("reads back"), message);
        for cut in 0..bytes.len() - 5 {
            let _ = Message::from_bytes(&bytes[..cut]);
        }
    }

    #[test]
    fn the_seconds_left_are_rounded_up() {
        let now = Timestamp::from_millisecond(1_000_000).expect("a time");
        let manner = Manner {
            expires: Some(after(now, 5)),
            ..Manner::default()
        };
        let message = Message::new(topic("a"), manner, b"", b"");
        let later = Timestamp::from_millisecond(1_003_500).expect("a time");
        assert_eq!(message.expiry_left(later), Some(2));
        assert!(!message.is_expired(later));
        assert!(message.is_expired(after(now, 5)));
    }
}
