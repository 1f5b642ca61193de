//! Bytes that nobody means well with.

use std::time::{Duration, Instant};

use palisade_core::EventKind;
use palisade_gateway::GatewayConfig;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    client::{Client, Connect, Got, Publish, binary, packet},
    house::{House, config},
};

#[tokio::test]
async fn whoever_is_slow_at_the_handshake_or_at_connect_is_cut_off() {
    let house = House::with(GatewayConfig {
        handshake_timeout_s: 1,
        connect_timeout_s: 1,
        ..config()
    })
    .await;
    let cam = house.enrol("cam-1").await;
    let began = Instant::now();
    // Says nothing; drips a handshake; ends the handshake and says nothing; drips CONNECT.
    let mut silent = TcpStream::connect(house.address()).await.expect("connects");
    let mut drip = TcpStream::connect(house.address()).await.expect("connects");
    let mut shaken = house.knock(&cam).await;
    let mut slow = Client::plain(house.insecure()).await;
    let connect = Connect::v5("cam-1").bytes();
    let dripping = async {
        // The beginning of a ClientHello that never ends.
        for byte in [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3] {
            let _ = drip.write_all(&[byte]).await;
            slow.send(&connect[..1]).await;
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        let mut rest = Vec::new();
        let _ = drip.read_to_end(&mut rest).await;
    };
    let mut rest = Vec::new();
    let (_, _, closed) = tokio::join!(silent.read_to_end(&mut rest), dripping, shaken.recv());
    assert_eq!(closed, Got::Closed);
    assert_eq!(slow.recv().await, Got::Closed);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    house
        .event(|event| {
            matches!(&event.kind, EventKind::Refused { reason, .. } if reason.contains("too long"))
        })
        .await;
}

#[tokio::test]
async fn packets_that_break_the_protocol_end_the_session_with_its_reason() {
    let house = House::with(GatewayConfig {
        max_packet_size: 2000,
        receive_maximum: 2,
        ..config()
    })
    .await;
    let publish = |topic: &str| {
        let mut body = binary(topic.as_bytes());
        body.push(0);
        packet(0x30, &body)
    };
    let subscribe = |filter: &[u8]| {
        let mut body = vec![0, 1, 0];
        body.extend(binary(filter));
        body.push(0);
        packet(0x82, &body)
    };
    let deep = vec!["a"; 200].join("/");
    let cases: Vec<(&str, Vec<u8>, u8)> = vec![
        ("too large", vec![0x30, 0xd1, 0x0f], 0x95),
        (
            "a length of five bytes",
            vec![0x30, 0xff, 0xff, 0xff, 0xff],
            0x81,
        ),
        ("a second CONNECT", Connect::v5("a").bytes(), 0x82),
        ("a deep topic", publish(&deep), 0x90),
        ("a wildcard in a topic", publish("a/+/b"), 0x90),
        ("a hash in a topic", publish("a/#"), 0x90),
        ("no topic", publish(""), 0x82),
        ("a control character in a topic", publish("a\u{1}b"), 0x90),
        ("invalid utf-8", packet(0x30, b"\0\x02\xc3\x28\0"), 0x81),
        ("a nul", packet(0x30, b"\0\x02a\0\0"), 0x81),
        (
            "quality of service 3",
            packet(0x36, b"\0\x01a\0\x01\0"),
            0x81,
        ),
        ("packet identifier 0", packet(0x32, b"\0\x01a\0\0\0"), 0x81),
        ("invalid utf-8 in a filter", subscribe(b"\xc3\x28"), 0x81),
        ("no filters", packet(0x82, &[0, 1, 0]), 0x81),
        ("PINGRESP", packet(0xd0, &[]), 0x81),
        ("AUTH", packet(0xf0, &[]), 0x82),
        ("an acknowledgement of nothing", packet(0x40, &[0]), 0x81),
        ("a reserved type", packet(0x00, &[]), 0x81),
    ];
    for (what, bytes, reason) in cases {
        let mut client = house.plain(Connect::v5("a")).await;
        client.send(&bytes).await;
        let got = client.ended().await;
        assert!(got == reason || (got | 3 == reason | 3), "{what}: {got:#x}");
    }
    // More in flight than was agreed upon.
    let mut client = house.plain(Connect::v5("a")).await;
    for _ in 0..3 {
        client.publish("a", "x", 2).await;
    }
    assert_eq!(client.ended().await, 0x93);
}

#[tokio::test]
async fn filters_that_cannot_be_are_refused_and_the_session_goes_on() {
    let house = House::open().await;
    let mut client = house.plain(Connect::v5("a")).await;
    let deep = vec!["+"; 200].join("/");
    let filters = [
        ("a/#/b", 0),
        ("a#", 0),
        ("a+/b", 0),
        ("", 0),
        (deep.as_str(), 0),
        ("$share/g", 0),
        ("$share//a", 0),
        ("$share/+/a", 0),
        ("$share/g/", 0),
        ("a/b", 1),
    ];
    let mut reasons = client.subscribe(&filters).await;
    assert_eq!(reasons.pop(), Some(1));
    assert!(reasons.iter().all(|reason| *reason == 0x8f), "{reasons:x?}");
    client.hears_nothing().await;
}

#[tokio::test]
async fn a_certificate_that_is_garbage_is_turned_away_and_the_door_stays_open() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0],
        &[0xff; 64],
        &Connect::v5("cam-1").bytes(),
    ] {
        let mut stream = TcpStream::connect(house.address()).await.expect("connects");
        stream.write_all(bytes).await.expect("writes");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
    house.session(&cam, Connect::v5("cam-1")).await;
}

#[tokio::test]
async fn a_packet_in_many_pieces_is_one_packet() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    client.subscribe(&[("devices/cam-1/#", 0)]).await;
    let large = "x".repeat(100_000);
    let publish = Publish {
        topic: "devices/cam-1/a".into(),
        payload: large.clone().into(),
        ..Publish::default()
    };
    let bytes = client.publish_bytes(&publish);
    for piece in bytes.chunks(7_001) {
        client.send(piece).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.message().await.text(), large);
    for byte in client.publish_bytes(&Publish {
        payload: b"small".to_vec(),
        ..publish
    }) {
        client.send(&[byte]).await;
    }
    assert_eq!(client.message().await.text(), "small");
}

#[tokio::test]
async fn no_mutation_of_a_conversation_takes_the_server_down() {
    let house = House::with(GatewayConfig {
        connect_timeout_s: 1,
        service: palisade_gateway::PrincipalLimits {
            connects_per_minute: 1_000_000,
            max_sessions: 100_000,
            ..config().service
        },
        ..config()
    })
    .await;
    let mut conversation = Connect::v5("mutant").expiry(5).bytes();
    let client = Client::plain(house.insecure()).await;
    for qos in 0..=2 {
        conversation.extend(client.publish_bytes(&Publish {
            topic: "t/a".into(),
            payload: b"hello".to_vec(),
            id: 5,
            qos,
            ..Publish::default()
        }));
    }
    conversation.extend(packet(0x82, b"\0\x07\0\0\x03t/+\x02"));
    conversation.extend(packet(0xa2, b"\0\x08\0\0\x03t/+"));
    conversation.extend(packet(0x62, &[0, 5]));
    conversation.extend(packet(0xe0, &[]));
    let mutations = (
        any::<prop::sample::Index>(),
        any::<u8>(),
        any::<prop::sample::Index>(),
    );
    let mut runner = TestRunner::default();
    for _ in 0..300 {
        let tree = mutations.new_tree(&mut runner).expect("a mutation");
        let (at, byte, cut) = tree.current();
        let mut mutant = conversation.clone();
        let at = at.index(mutant.len());
        mutant[at] = byte;
        mutant.truncate(1 + cut.index(mutant.len()).max(at));
        let mut stream = TcpStream::connect(house.insecure())
            .await
            .expect("connects");
        let _ = stream.write_all(&mutant).await;
        let _ = stream.shutdown().await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
    house.plain(Connect::v5("sane")).await.hears_nothing().await;
}
