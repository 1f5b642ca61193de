use bytes::BytesMut;
use proptest::prelude::*;
use rmqtt_codec::v5::Packet;

use super::*;
use crate::{fuzzing::server_packets, mqtt::session::Session};

const MAX_IN: u32 = 4096;

#[test]
fn a_packet_larger_than_allowed_is_refused_by_its_header_alone() {
    let mut wire = Wire::new(MAX_IN);
    let mut input = BytesMut::from(&[0x30, 0xff, 0xff, 0xff, 0x7f][..]);
    assert!(wire.decode(&mut input).is_err());
    assert!(input.capacity() < 1024 * 1024);
}

#[test]
fn a_packet_that_the_server_would_not_take_leaves_no_trace() {
    let mut wire = Wire::new(MAX_IN);
    wire.limit_out(50);
    let mut output = BytesMut::new();
    wire.encode(Packet::PingRequest, &mut output)
        .expect("small");
    let before = output.clone();
    let message =
        crate::message::Outgoing::new("t", vec![0; 100].into(), crate::Qos::AtMostOnce, false);
    let packet = Session::publish_once(message.expect("valid"));
    assert!(wire.encode(packet, &mut output).is_err());
    assert_eq!(output, before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_break_the_client(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        server_packets(&bytes);
    }

    #[test]
    fn no_packet_of_any_type_breaks_the_client(first in any::<u8>(), body in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..50], 0..120)) {
        let mut bytes = vec![first, body.len() as u8];
        bytes.extend_from_slice(&body);
        server_packets(&bytes);
    }
}
