//! Bytes to packets and back, by `rmqtt-codec`; bounded in both directions.

use bytes::BytesMut;
use rmqtt_codec::{
    error::{DecodeError, EncodeError},
    v5::{Codec, Packet},
};
use tokio_util::codec::{Decoder, Encoder};

pub(crate) struct Wire(Codec);

impl Wire {
    /// Packets from the server have at most `max_in` bytes.
    pub(crate) fn new(max_in: u32) -> Self {
        Self(Codec::new(max_in, 0))
    }

    /// Packets to the server have at most `max` bytes.
    pub(crate) fn limit_out(&mut self, max: u32) {
        self.0.set_max_outbound_size(max);
    }

    /// Takes the next whole packet.
    pub(crate) fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Packet>, DecodeError> {
        Ok(self.0.decode(bytes)?.map(|(packet, _)| packet))
    }

    /// Appends a packet. A failure leaves `out` as it was.
    pub(crate) fn encode(
        &mut self,
        packet: impl Into<Packet>,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        let before = out.len();
        let encoded = self.0.encode(packet.into(), out);
        if encoded.is_err() {
            out.truncate(before);
        }
        encoded
    }
}

#[cfg(test)]
mod tests;
