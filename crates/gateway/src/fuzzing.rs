//! For the fuzz targets in `fuzz/`: the way of a client's bytes through the codec, and nothing else.

use palisade_core::{Subscription, Topic};

use crate::codec::{Connect, Header, Packet, Version};

const MAX_PACKET: usize = 64 * 1024;

/// Reads bytes as a connection does: CONNECT, then packets of its version, until they end or are refused.
/// Returns how many packets were read.
#[must_use]
pub fn read_stream(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut version = None;
    let mut packets = 0;
    while let Some((header, packet)) = cut(&mut rest) {
        let is_read = match version {
            None => match Connect::decode(header, packet) {
                Ok(connect) => {
                    version = Some(connect.version);
                    true
                }
                Err(_) => false,
            },
            Some(version) => read_packet(version, header, packet),
        };
        if !is_read {
            break;
        }
        packets += 1;
    }
    packets
}

fn cut<'a>(rest: &mut &'a [u8]) -> Option<(Header, &'a [u8])> {
    let header = Header::peek(rest, MAX_PACKET).ok()??;
    let (packet, after) = rest.split_at_checked(header.total_len)?;
    *rest = after;
    Some((header, packet))
}

fn read_packet(version: Version, header: Header, packet: &[u8]) -> bool {
    match Packet::decode(version, header, packet) {
        Ok(Packet::Publish(publish)) => {
            publish.topic.is_empty() || Topic::parse(publish.topic).is_ok()
        }
        Ok(Packet::Subscribe { filters, .. }) => filters
            .iter()
            .all(|one| Subscription::parse(&one.filter).is_ok()),
        Ok(_) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::read_stream;

    const CONNECT: &[u8] = b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03abc";

    proptest! {
        #[test]
        fn no_stream_after_a_good_connect_makes_the_reader_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            let stream = [CONNECT, &bytes].concat();
            prop_assert!(read_stream(&stream) >= 1);
        }
    }
}
