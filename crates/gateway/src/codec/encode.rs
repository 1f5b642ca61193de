//! The packets that the server sends, apart from PUBLISH.

use bytes::BytesMut;
use rmqtt_codec::v5;
use tokio_util::codec::Encoder as _;

use super::{
    Version,
    reason::{self, to_v3_return_code},
};

/// Writes packets for one client as it wants them.
#[derive(Debug, Clone, Copy)]
pub struct Encoder {
    /// The client's version.
    pub version: Version,
    /// The largest packet that the client takes.
    pub max_packet_size: u32,
}

/// What CONNACK tells a client.
#[derive(Debug, Clone, Default)]
pub struct ConnAck {
    /// 0, or why not.
    pub reason: u8,
    /// Why, for people.
    pub reason_string: Option<String>,
    /// Which other server to use.
    pub server_reference: Option<String>,
    /// Whether an earlier session goes on.
    pub session_present: bool,
    /// How many unacknowledged messages the server takes at once.
    pub receive_max: u16,
    /// The largest packet that the server takes.
    pub max_packet_size: u32,
    /// How many topic aliases the server remembers.
    pub topic_alias_max: u16,
    /// The client identifier that the server chose.
    pub assigned_client_id: Option<String>,
    /// The keep-alive that the server chose.
    pub server_keep_alive: Option<u16>,
    /// The session expiry that the server chose.
    pub session_expiry: Option<u32>,
}

/// Which acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckKind {
    /// PUBACK.
    Ack,
    /// PUBREC.
    Rec,
    /// PUBREL.
    Rel,
    /// PUBCOMP.
    Comp,
}

impl AckKind {
    fn first_byte(self) -> u8 {
        match self {
            Self::Ack => 0x40,
            Self::Rec => 0x50,
            Self::Rel => 0x62,
            Self::Comp => 0x70,
        }
    }
}

impl Encoder {
    /// CONNACK.
    pub fn connack(&self, out: &mut Vec<u8>, connack: &ConnAck) {
        if self.version == Version::V3 {
            let present = u8::from(connack.session_present && connack.reason == 0);
            out.extend_from_slice(&[0x20, 2, present, to_v3_return_code(connack.reason)]);
            return;
        }
        let mut packet = v5::ConnectAck {
            session_present: connack.session_present && connack.reason == 0,
            reason_code: v5::ConnectAckReason::try_from(connack.reason)
                .unwrap_or(v5::ConnectAckReason::UnspecifiedError),
            reason_string: connack.reason_string.as_deref().map(Into::into),
            server_reference: connack.server_reference.as_deref().map(Into::into),
            ..v5::ConnectAck::default()
        };
        if connack.reason == reason::SUCCESS {
            packet.receive_max =
                std::num::NonZeroU16::new(connack.receive_max).unwrap_or(std::num::NonZeroU16::MAX);
            packet.max_packet_size = Some(connack.max_packet_size);
            packet.topic_alias_max = connack.topic_alias_max;
            packet.assigned_client_id = connack.assigned_client_id.as_deref().map(Into::into);
            packet.server_keepalive_sec = connack.server_keep_alive;
            packet.session_expiry_interval_secs = connack.session_expiry;
        }
        if !self.try_put(out, v5::Packet::from(packet.clone())) {
            packet.reason_string = None;
            self.try_put(out, v5::Packet::from(packet));
        }
    }

    /// PUBACK, PUBREC, PUBREL, PUBCOMP; version 3.1.1 has no reasons.
    pub fn ack(&self, out: &mut Vec<u8>, kind: AckKind, packet_id: u16, reason: u8) {
        let [high, low] = packet_id.to_be_bytes();
        if self.version == Version::V3 || reason == 0 {
            out.extend_from_slice(&[kind.first_byte(), 2, high, low]);
        } else {
            out.extend_from_slice(&[kind.first_byte(), 3, high, low, reason]);
        }
    }

    /// SUBACK, one reason for each filter.
    pub fn suback(&self, out: &mut Vec<u8>, packet_id: u16, reasons: &[u8]) {
        let reasons = reasons.iter().map(|reason| match self.version {
            Version::V3 if *reason >= 0x80 => 0x80,
            _ => *reason,
        });
        self.list(out, 0x90, packet_id, reasons);
    }

    /// UNSUBACK; version 3.1.1 has no reasons.
    pub fn unsuback(&self, out: &mut Vec<u8>, packet_id: u16, reasons: &[u8]) {
        let reasons = match self.version {
            Version::V3 => &[],
            Version::V5 => reasons,
        };
        self.list(out, 0xb0, packet_id, reasons.iter().copied());
    }

    fn list(
        &self,
        out: &mut Vec<u8>,
        first: u8,
        packet_id: u16,
        reasons: impl ExactSizeIterator<Item = u8>,
    ) {
        let properties: &[u8] = match self.version {
            Version::V3 => &[],
            Version::V5 => &[0],
        };
        out.push(first);
        super::frame::put_varint(out, 2 + properties.len() + reasons.len());
        out.extend_from_slice(&packet_id.to_be_bytes());
        out.extend_from_slice(properties);
        out.extend(reasons);
    }

    /// PINGRESP.
    pub fn pingresp(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0xd0, 0]);
    }

    /// DISCONNECT from the server, and which other server to use, if any; version 3.1.1 has none, there the
    /// connection just closes.
    pub fn disconnect(
        &self,
        out: &mut Vec<u8>,
        reason: u8,
        reason_string: &str,
        server_reference: Option<&str>,
    ) {
        if self.version == Version::V3 {
            return;
        }
        let code = v5::DisconnectReasonCode::try_from(reason)
            .unwrap_or(v5::DisconnectReasonCode::UnspecifiedError);
        let mut packet = v5::Disconnect::new(code);
        packet.server_reference = server_reference.map(Into::into);
        if !reason_string.is_empty() {
            packet.reason_string = Some(reason_string.into());
        }
        if !self.try_put(out, v5::Packet::from(packet)) {
            self.try_put(out, v5::Packet::from(v5::Disconnect::new(code)));
        }
    }

    /// Writes through the codec; says whether the packet fits the client.
    fn try_put(&self, out: &mut Vec<u8>, packet: v5::Packet) -> bool {
        let mut bytes = BytesMut::new();
        // The codec subtracts from its own outbound limit without checks, so the limit is kept here.
        if v5::Codec::new(0, 0).encode(packet, &mut bytes).is_err()
            || bytes.len() > self.max_packet_size as usize
        {
            return false;
        }
        out.extend_from_slice(&bytes);
        true
    }
}
