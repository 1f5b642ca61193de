//! What is published and what arrives.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use palisade_core::TopicError;
use serde::{Deserialize, Serialize};

/// How surely a message is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Qos {
    /// At most once: it may be lost with the connection.
    AtMostOnce,
    /// At least once: it is kept until the server has acknowledged it, and may come twice.
    AtLeastOnce,
}

impl From<Qos> for u8 {
    fn from(qos: Qos) -> u8 {
        match qos {
            Qos::AtMostOnce => 0,
            Qos::AtLeastOnce => 1,
        }
    }
}

impl TryFrom<u8> for Qos {
    type Error = QosError;
    fn try_from(number: u8) -> Result<Self, QosError> {
        match number {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            other => Err(QosError(other)),
        }
    }
}

/// A quality of service that the agent does not speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("quality of service is 0 or 1, not {0}")]
pub struct QosError(u8);

/// A message to publish.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) topic: ByteString,
    pub(crate) payload: Bytes,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
}

/// The largest payload that is taken for publishing, in bytes. A server may take less.
pub const MAX_PAYLOAD: usize = 1024 * 1024;

/// Why a message cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The topic is none.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The payload is too large.
    #[error("the payload has {0} bytes, at most {MAX_PAYLOAD} are taken")]
    TooLarge(usize),
}

impl Outgoing {
    pub(crate) fn new(
        topic: &str,
        payload: Bytes,
        qos: Qos,
        retain: bool,
    ) -> Result<Self, MessageError> {
        palisade_core::Topic::parse(topic)?;
        match payload.len() > MAX_PAYLOAD {
            true => Err(MessageError::TooLarge(payload.len())),
            false => Ok(Self {
                topic: topic.into(),
                payload,
                qos,
                retain,
            }),
        }
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.payload.len();
        write!(f, "Outgoing({}, {len} bytes, {:?})", self.topic, self.qos)
    }
}

/// A message that arrived.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it was published.
    pub topic: String,
    /// What it says.
    pub payload: Bytes,
    /// How surely it came.
    pub qos: Qos,
    /// Whether it was kept for us from before.
    pub retain: bool,
    /// Whether it may have come before.
    pub dup: bool,
    /// Where an answer is expected.
    pub response_topic: Option<String>,
    /// What the answer is to carry.
    pub correlation_data: Option<Bytes>,
    /// What the payload is, as the publisher says.
    pub content_type: Option<String>,
    /// The publisher's own names and values.
    pub user_properties: Vec<(String, String)>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.payload.len();
        write!(f, "Message({}, {len} bytes, {:?})", self.topic, self.qos)
    }
}
