//! The wire: bytes to packets and back. Frames are cut out and bounded here, PUBLISH and the bare
//! acknowledgements are read in place, and all other packets go through `rmqtt-codec` behind guards
//! for what it lets pass (see [`guard`]). Nothing here keeps state.

pub mod encode;
pub mod frame;
mod guard;
pub mod packet;
pub mod publish;
pub mod reason;

pub use encode::{ConnAck, Encoder};
pub use frame::Header;
pub use packet::{Ack, Connect, Packet, SubscribeFilter, SubscriptionOptions, WillPacket};
pub use publish::{Outgoing, PropertyWriter, Publish};

/// The version of the protocol that a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.1.
    V3,
    /// MQTT 5.
    V5,
}

impl Version {
    /// As events name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V3 => "mqtt 3.1.1",
            Self::V5 => "mqtt 5",
        }
    }
}

/// Why bytes are not a packet that may stand here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not a packet.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// A packet that the protocol does not allow.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// A text is not UTF-8 or has a NUL.
    #[error("malformed packet: a text is not utf-8 or has a nul")]
    NotUtf8,
    /// The packet is larger than allowed.
    #[error("a packet of {size} bytes, at most {max} are allowed")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// A protocol, or a version of it, that is not served.
    #[error("the protocol version is not served; use mqtt 3.1.1 or 5")]
    UnsupportedVersion,
    /// A client identifier that cannot be.
    #[error("an empty client identifier needs a clean session")]
    ClientId,
    /// The codec's own findings.
    #[error("malformed packet: {0}")]
    Codec(String),
}

impl DecodeError {
    /// The reason code that tells the client.
    #[must_use]
    pub fn reason(&self) -> u8 {
        match self {
            Self::Malformed(_) | Self::NotUtf8 | Self::Codec(_) => reason::MALFORMED,
            Self::Protocol(_) => reason::PROTOCOL_ERROR,
            Self::TooLarge { .. } => reason::PACKET_TOO_LARGE,
            Self::UnsupportedVersion => reason::UNSUPPORTED_VERSION,
            Self::ClientId => reason::CLIENT_ID_NOT_VALID,
        }
    }
}

#[cfg(test)]
mod tests;
