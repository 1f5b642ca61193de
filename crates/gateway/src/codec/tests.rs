use bytes::BytesMut;
use proptest::prelude::*;
use rmqtt_codec::v5;
use tokio_util::codec::{Decoder, Encoder as _};

use super::*;
use crate::codec::encode::AckKind;

fn header(bytes: &[u8]) -> Header {
    Header::peek(bytes, 1 << 20)
        .expect("a header")
        .expect("whole")
}

fn decode(version: Version, bytes: &[u8]) -> Result<Packet<'_>, DecodeError> {
    Packet::decode(version, header(bytes), bytes)
}

#[test]
fn a_header_is_read_when_it_is_whole_and_refused_when_the_packet_is_too_large() {
    assert_eq!(Header::peek(&[], 100), Ok(None));
    assert_eq!(Header::peek(&[0x30], 100), Ok(None));
    assert_eq!(Header::peek(&[0x30, 0x80], 100), Ok(None));
    assert!(Header::peek(&[0x30, 0xff, 0xff, 0xff, 0xff], usize::MAX).is_err());
    assert_eq!(
        Header::peek(&[0x30, 99], 100),
        Err(DecodeError::TooLarge {
            size: 101,
            max: 100
        })
    );
}

#[test]
fn what_a_server_may_send_is_refused_from_a_client() {
    for bytes in [
        &[0x20u8, 2, 0, 0][..],
        &[0x90, 3, 0, 1, 0],
        &[0xd0, 0],
        &[0x00, 0],
        &[0xf0, 0],
    ] {
        assert!(
            decode(Version::V3, bytes).is_err(),
            "{bytes:?} was accepted"
        );
    }
    // Flags that must be zero or two.
    for bytes in [
        &[0x80u8, 5, 0, 1, 0, 0, 0][..],
        &[0xc1, 0],
        &[0x60, 2, 0, 1],
    ] {
        assert!(
            decode(Version::V3, bytes).is_err(),
            "{bytes:?} was accepted"
        );
        assert!(
            decode(Version::V5, bytes).is_err(),
            "{bytes:?} was accepted"
        );
    }
}

#[test]
fn what_the_codec_lets_pass_is_caught() {
    // PINGREQ and DISCONNECT with bytes, SUBSCRIBE with reserved bits, in 3.1.1.
    assert!(decode(Version::V3, &[0xc0, 1, 0]).is_err());
    assert!(decode(Version::V3, &[0xe0, 1, 0]).is_err());
    assert!(decode(Version::V3, &[0x82, 6, 0, 1, 0, 1, b'a', 0x41]).is_err());
    assert!(decode(Version::V3, &[0x82, 6, 0, 1, 0, 1, b'a', 0x01]).is_ok());
    // A NUL in a filter.
    assert_eq!(
        decode(Version::V3, &[0x82, 6, 0, 1, 0, 1, 0, 0x01]).err(),
        Some(DecodeError::NotUtf8)
    );
    // CONNECT: will flags without a will, bytes after the end, a version of the future.
    let connect = |bytes: &[u8]| Connect::decode(header(bytes), bytes).err();
    assert!(connect(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a").is_none());
    assert!(connect(b"\x10\x0d\x00\x04MQTT\x04\x22\x00\x3c\x00\x01a").is_some());
    assert!(connect(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x01ab").is_some());
    assert!(connect(b"\x10\x0d\x00\x04MQTT\x04\x42\x00\x3c\x00\x01a").is_some());
    assert_eq!(
        connect(b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x01a"),
        Some(DecodeError::UnsupportedVersion)
    );
    assert_eq!(
        connect(b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00"),
        Some(DecodeError::ClientId)
    );
}

#[test]
fn properties_that_travel_on_are_kept_in_order_without_those_that_do_not() {
    let body =
        b"\x00\x01t\x13\x26\x00\x01a\x00\x01b\x23\x00\x05\x02\x00\x00\x00\x09\x03\x00\x01cxyz";
    let publish = Publish::decode(Version::V5, 0x30, body).expect("valid");
    assert_eq!(publish.alias, Some(5));
    assert_eq!(publish.expiry, Some(9));
    assert_eq!(
        publish.properties.as_ref(),
        b"\x26\x00\x01a\x00\x01b\x03\x00\x01c"
    );
    assert_eq!(publish.payload, b"xyz");
}

#[test]
fn a_client_may_not_send_a_subscription_identifier_or_a_property_twice() {
    for body in [
        &b"\x00\x01t\x02\x0b\x01"[..],
        b"\x00\x01t\x04\x01\x01\x01\x01",
        b"\x00\x00\x00",
        b"\x00\x01t\x05\x08\x00\x02a+",
    ] {
        assert!(
            Publish::decode(Version::V5, 0x30, body).is_err(),
            "{body:?}"
        );
    }
}

#[test]
fn a_reason_string_gives_way_to_the_maximum_packet_size() {
    let encoder = Encoder {
        version: Version::V5,
        max_packet_size: 20,
    };
    let mut out = Vec::new();
    encoder.disconnect(&mut out, reason::NOT_AUTHORIZED, &"long ".repeat(20), None);
    assert_eq!(out[0], 0xe0);
    assert!(out.len() <= 20);
    assert!(out.contains(&reason::NOT_AUTHORIZED));
}

#[test]
fn version_3_hears_no_reasons() {
    let encoder = Encoder {
        version: Version::V3,
        max_packet_size: u32::MAX,
    };
    let mut out = Vec::new();
    encoder.ack(&mut out, AckKind::Ack, 7, reason::NOT_AUTHORIZED);
    encoder.suback(&mut out, 8, &[1, reason::NOT_AUTHORIZED]);
    encoder.unsuback(&mut out, 9, &[0x11]);
    encoder.disconnect(&mut out, reason::NOT_AUTHORIZED, "no", None);
    assert_eq!(out, [0x40, 2, 0, 7, 0x90, 4, 0, 8, 1, 0x80, 0xb0, 2, 0, 9]);
}

fn any_publish() -> impl Strategy<Value = v5::Packet> {
    (
        "[a-z/]{1,20}",
        0u8..3,
        any::<bool>(),
        proptest::option::of(1u16..9),
        proptest::option::of(1u32..99),
        proptest::option::of("[a-z]{0,9}"),
        proptest::collection::vec(("[a-z]{0,5}", "[a-z]{0,5}"), 0..3),
        proptest::collection::vec(any::<u8>(), 0..200),
    )
        .prop_map(
            |(topic, qos, retain, alias, expiry, content, user, payload)| {
                v5::Packet::Publish(Box::new(rmqtt_codec::types::Publish {
                    dup: false,
                    retain,
                    qos: qos.try_into().expect("0 to 2"),
                    topic: topic.into(),
                    packet_id: (qos > 0).then_some(std::num::NonZeroU16::MIN),
                    payload: payload.into(),
                    properties: Some(v5::PublishProperties {
                        topic_alias: alias.and_then(std::num::NonZeroU16::new),
                        message_expiry_interval: expiry.and_then(std::num::NonZeroU32::new),
                        content_type: content.map(Into::into),
                        user_properties: user
                            .into_iter()
                            .map(|(name, value)| (name.into(), value.into()))
                            .collect(),
                        ..v5::PublishProperties::default()
                    }),
                }))
            },
        )
}

proptest! {
    #[test]
    fn our_publish_says_what_the_codec_says(packet in any_publish()) {
        let mut bytes = BytesMut::new();
        v5::Codec::new(0, 0).encode(packet.clone(), &mut bytes).expect("encodes");
        let header = header(&bytes);
        let ours = Publish::decode(Version::V5, header.first, &bytes[header.header_len..])
            .expect("valid");
        let mut out = Vec::new();
        let outgoing = Outgoing {
            version: Version::V5,
            dup: ours.dup,
            qos: ours.qos,
            retain: ours.retain,
            topic: ours.topic,
            packet_id: ours.packet_id,
            alias: ours.alias,
            expiry: ours.expiry,
            subscription_ids: &[],
            properties: &ours.properties,
            payload: ours.payload,
        };
        outgoing.encode(&mut out);
        prop_assert_eq!(out.len(), outgoing.len());
        let (again, _) = v5::Codec::new(0, 0)
            .decode(&mut BytesMut::from(&out[..]))
            .expect("valid")
            .expect("whole");
        prop_assert_eq!(again, packet);
    }

    #[test]
    fn no_bytes_make_the_decoders_panic(
        first in any::<u8>(), body in proptest::collection::vec(any::<u8>(), 0..80)
    ) {
        let mut bytes = vec![first, body.len() as u8];
        bytes.extend_from_slice(&body);
        for version in [Version::V3, Version::V5] {
            let _ = decode(version, &bytes);
        }
        let _ = Connect::decode(header(&bytes), &bytes);
    }

    #[test]
    fn no_mutation_of_a_good_packet_makes_the_decoders_panic(
        which in 0usize..6, at in 0usize..60, with in any::<u8>(), cut in 0usize..60
    ) {
        let good: [&[u8]; 6] = [
            b"\x10\x29\x00\x04MQTT\x05\x06\x00\x3c\x05\x11\x00\x00\x00\x09\x00\x03abc\x05\x18\x00\x00\x00\x01\x00\x01t\x00\x02hi\x00",
            b"\x10\x13\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01a\x00\x01u\x00\x01p",
            b"\x82\x0b\x00\x01\x02\x0b\x05\x00\x03a/#\x2d",
            b"\xa2\x08\x00\x01\x00\x00\x03a/#",
            b"\x32\x0d\x00\x01t\x00\x01\x05\x02\x00\x00\x00\x09xy",
            b"\xe0\x07\x04\x05\x11\x00\x00\x00\x05",
        ];
        let mut bytes = good[which].to_vec();
        let at = at % bytes.len();
        bytes[at] = with;
        bytes.truncate(cut.max(2));
        if let Ok(Some(header)) = Header::peek(&bytes, 1 << 16)
            && header.total_len <= bytes.len()
        {
            let packet = &bytes[..header.total_len];
            let _ = Connect::decode(header, packet);
            let _ = Packet::decode(Version::V3, header, packet);
            let _ = Packet::decode(Version::V5, header, packet);
        }
    }
}
