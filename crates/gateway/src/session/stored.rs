//! The bytes under which sessions and what waits for them are kept in the store.

use std::net::IpAddr;

use palisade_core::{Principal, Timestamp};
use serde::{Deserialize, Serialize};

use super::mailbox::Delivery;
use crate::{
    codec::{DecodeError, frame::Cursor},
    message::Message,
    routing::SubscriptionIds,
};

/// A session as the store has it, without what waits for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredSession {
    /// The client identifier.
    pub client_id: String,
    /// Whose it is.
    pub principal: Principal,
    /// Seconds that it outlives its connection.
    pub expiry: u32,
    /// Since when it has no connection; absent while it has one, or had one when the server died.
    pub away_since: Option<Timestamp>,
    /// Subscriptions: filter, options as the wire has them, identifier.
    pub subscriptions: Vec<(String, u8, u32)>,
    /// The Will, if it has one that was not published.
    pub will: Option<StoredWill>,
}

/// A Will as the store has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredWill {
    /// The message, by [`Message::to_bytes`].
    pub message: Vec<u8>,
    /// Seconds after which the message is of no use.
    pub expiry: Option<u32>,
    /// Seconds to wait before it is published.
    pub delay: u32,
    /// From where the client came.
    pub source: IpAddr,
}

impl StoredSession {
    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`StoredSession::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

/// A message in a session's queue in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredDelivery {
    /// Waits.
    Waiting(Delivery),
    /// Was sent under a packet identifier, quality of service 2.
    Published(u16, Delivery),
    /// Was released under a packet identifier; the message is gone.
    Released(u16),
}

const FORMAT: u8 = 1;

impl StoredDelivery {
    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (phase, packet_id, delivery) = match self {
            Self::Waiting(delivery) => (0, 0, Some(delivery)),
            Self::Published(packet_id, delivery) => (1, *packet_id, Some(delivery)),
            Self::Released(packet_id) => (2, *packet_id, None),
        };
        let mut out = vec![FORMAT, phase];
        out.extend_from_slice(&packet_id.to_be_bytes());
        if let Some(delivery) = delivery {
            out.push(delivery.qos | u8::from(delivery.retain) << 2);
            let ids = delivery.ids.as_slice();
            out.extend_from_slice(&(ids.len() as u16).to_be_bytes());
            for id in ids.iter().take(usize::from(u16::MAX)) {
                out.extend_from_slice(&id.to_be_bytes());
            }
            out.extend_from_slice(&delivery.message.to_bytes());
        }
        out
    }

    /// Reads what [`StoredDelivery::to_bytes`] wrote; `seq` is the place that it was kept under.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn from_bytes(seq: u64, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(bytes);
        if cursor.u8()? != FORMAT {
            return Err(DecodeError::Malformed(
                "a stored delivery of another format",
            ));
        }
        let phase = cursor.u8()?;
        let packet_id = cursor.u16()?;
        if phase == 2 {
            return Ok(Self::Released(packet_id));
        }
        let flags = cursor.u8()?;
        let count = cursor.u16()?;
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(cursor.u32()?);
        }
        let delivery = Delivery {
            message: Message::from_bytes(cursor.rest())?,
            qos: (flags & 0b11).min(2),
            retain: flags & 0b100 != 0,
            ids: SubscriptionIds::new(&ids),
            seq,
        };
        Ok(match phase {
            0 => Self::Waiting(delivery),
            _ => Self::Published(packet_id, delivery),
        })
    }
}

#[cfg(test)]
mod tests {
    use palisade_core::{DeviceId, Topic};

    use super::*;
    use crate::message::Manner;

    #[test]
    fn what_waits_reads_back_in_every_phase() {
        let topic = Topic::parse("a/b").expect("valid").to_owned();
        let delivery = Delivery {
            message: Message::new(topic, Manner::default(), b"\x01\x01", b"hello"),
            qos: 2,
            retain: true,
            ids: SubscriptionIds::new(&[3, 70_000]),
            seq: 12,
        };
        for stored in [
            StoredDelivery::Waiting(delivery.clone()),
            StoredDelivery::Published(9, delivery),
            StoredDelivery::Released(9),
        ] {
            let bytes = stored.to_bytes();
            assert_eq!(StoredDelivery::from_bytes(12, &bytes), Ok(stored));
            for cut in 0..bytes.len() {
                let _ = StoredDelivery::from_bytes(12, &bytes[..cut]);
            }
        }
    }

    #[test]
    fn a_session_reads_back() {
        let session = StoredSession {
            client_id: "cam-1:a".into(),
            principal: DeviceId::parse("cam-1").expect("valid").into(),
            expiry: u32::MAX,
            away_since: Some(Timestamp::UNIX_EPOCH),
            subscriptions: vec![("$share/g/a/#".into(), 0x2d, 7)],
            will: Some(StoredWill {
                message: vec![1, 2, 3],
                expiry: None,
                delay: 5,
                source: IpAddr::from([127, 0, 0, 1]),
            }),
        };
        let bytes = session.to_bytes();
        assert_eq!(
            StoredSession::from_bytes(&bytes).expect("reads back"),
            session
        );
    }
}
