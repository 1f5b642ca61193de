//! Servers that do what ours does not: they send us elsewhere, fall silent, or break the protocol.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use bytes::BytesMut;
use palisade_agent::{
    Agent, AgentOptions, BackoffOptions, Cause, DeviceIdentity, Endpoint, Event, Qos,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rmqtt_codec::{
    types::{Publish, QoS},
    v5::{Codec, Connect, ConnectAck, ConnectAckReason, Disconnect, DisconnectReasonCode, Packet},
};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::codec::{Decoder, Encoder};

use crate::{
    connection::{connected, message, wait_for},
    house::PATIENCE,
};

struct OddServer {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

struct Connection {
    stream: TlsStream<TcpStream>,
    codec: Codec,
    input: BytesMut,
}

/// Two servers under one root, and a device that trusts it.
async fn servers() -> ([OddServer; 2], DeviceIdentity) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a ca");
    let issue = |name: &str, usage| {
        let key = KeyPair::generate().expect("a key");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        (params.signed_by(&key, &ca).expect("a certificate"), key)
    };
    let (certificate, key) = issue("server", ExtendedKeyUsagePurpose::ServerAuth);
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("tls 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a server");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = async || OddServer {
        listener: TcpListener::bind("127.0.0.1:0").await.expect("a port"),
        acceptor: acceptor.clone(),
    };
    let servers = [server().await, server().await];
    let (certificate, key) = issue("cam-1", ExtendedKeyUsagePurpose::ClientAuth);
    let identity =
        pem("PRIVATE KEY", &key.serialize_der()) + &pem("CERTIFICATE", certificate.der());
    let identity = DeviceIdentity::from_pem(&identity, &pem("CERTIFICATE", ca.der()));
    (servers, identity.expect("an identity"))
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let body = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

impl OddServer {
    fn endpoint(&self) -> Endpoint {
        let address = self.listener.local_addr().expect("bound");
        address.to_string().parse().expect("an endpoint")
    }

    fn options(&self) -> AgentOptions {
        let mut options = AgentOptions::new(self.endpoint());
        options.backoff = BackoffOptions {
            first_ms: 20,
            max_ms: 100,
            refused_first_ms: 20,
            refused_max_ms: 100,
            ..BackoffOptions::default()
        };
        options
    }

    async fn accept(&self) -> (Connection, Box<Connect>) {
        let accepting = async {
            let (stream, _) = self.listener.accept().await.expect("accepts");
            let stream = self.acceptor.accept(stream).await.expect("tls");
            let mut connection = Connection {
                stream,
                codec: Codec::new(0, 0),
                input: BytesMut::new(),
            };
            match connection.next().await {
                Some(Packet::Connect(connect)) => (connection, connect),
                other => panic!("no CONNECT: {other:?}"),
            }
        };
        timeout(PATIENCE, accepting)
            .await
            .expect("it connects in time")
    }

    async fn take(&self, ack: ConnectAck) -> Connection {
        let (mut connection, _) = self.accept().await;
        connection.send(Packet::ConnectAck(Box::new(ack))).await;
        connection
    }
}

impl Connection {
    async fn next(&mut self) -> Option<Packet> {
        loop {
            if let Some((packet, _)) = self.codec.decode(&mut self.input).expect("a packet") {
                return Some(packet);
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await;
            if read.expect("in time").unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    async fn send(&mut self, packet: Packet) {
        let mut output = BytesMut::new();
        self.codec.encode(packet, &mut output).expect("encodes");
        self.send_raw(&output).await;
    }

    async fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("writes");
        self.stream.flush().await.expect("flushes");
    }
}

fn publish(number: u16, qos: QoS) -> Packet {
    Packet::Publish(Box::new(Publish {
        dup: false,
        retain: false,
        qos,
        topic: "t".into(),
        packet_id: NonZeroU16::new(number).filter(|_| qos != QoS::AtMostOnce),
        payload: number.to_string().into(),
        properties: None,
    }))
}

async fn cause(events: &mut palisade_agent::Events) -> Cause {
    wait_for(events, |event| match event {
        Event::Disconnected { cause, .. } => Some(cause.clone()),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn an_agent_goes_where_the_server_sends_it_and_comes_back_from_there() {
    let ([first, second], identity) = servers().await;
    let (_agent, _events) = Agent::connect(identity, first.options()).expect("starts");
    let ack = ConnectAck {
        reason_code: ConnectAckReason::UseAnotherServer,
        server_reference: Some(second.endpoint().to_string().into()),
        ..ConnectAck::default()
    };
    drop(first.take(ack).await);
    let mut there = second.take(ConnectAck::default()).await;
    // The DISCONNECT sends it on to a place where nobody is.
    let mut disconnect = Disconnect::new(DisconnectReasonCode::ServerMoved);
    disconnect.server_reference = Some("127.0.0.1:1".into());
    there.send(Packet::Disconnect(disconnect)).await;
    first.take(ConnectAck::default()).await;
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    let ([server, _], identity) = servers().await;
    let (agent, mut events) = Agent::connect(identity, server.options()).expect("starts");
    let ack = ConnectAck {
        server_keepalive_sec: Some(1),
        ..ConnectAck::default()
    };
    let mut connection = server.take(ack).await;
    connected(&agent).await;
    assert_eq!(connection.next().await, Some(Packet::PingRequest));
    connection.send(Packet::PingResponse).await;
    assert_eq!(connection.next().await, Some(Packet::PingRequest));
    assert_eq!(cause(&mut events).await, Cause::Silent);
    drop(connection);
    server.take(ConnectAck::default()).await;
}

#[tokio::test]
async fn what_the_server_had_not_acknowledged_is_sent_again_as_a_duplicate() {
    let ([server, _], identity) = servers().await;
    let (agent, _events) = Agent::connect(identity, server.options()).expect("starts");
    let mut connection = server.take(ConnectAck::default()).await;
    connected(&agent).await;
    let delivery = agent
        .publish("t", "x", Qos::AtLeastOnce)
        .await
        .expect("taken");
    let Some(Packet::Publish(sent)) = connection.next().await else {
        panic!("no message");
    };
    drop(connection);
    let ack = ConnectAck {
        session_present: true,
        ..ConnectAck::default()
    };
    let mut connection = server.take(ack).await;
    let Some(Packet::Publish(again)) = connection.next().await else {
        panic!("no message");
    };
    assert!(!sent.dup && again.dup);
    assert_eq!(again.packet_id, sent.packet_id);
    // PUBACK with "no matching subscribers".
    let id = again.packet_id.expect("an identifier").get().to_be_bytes();
    connection.send_raw(&[0x40, 3, id[0], id[1], 0x10]).await;
    assert_eq!(delivery.reason().await, Ok(0x10));
}

#[tokio::test]
async fn the_server_says_how_large_a_message_may_be_and_how_many() {
    let ([server, _], identity) = servers().await;
    let (agent, mut events) = Agent::connect(identity, server.options()).expect("starts");
    let ack = ConnectAck {
        max_packet_size: Some(100),
        receive_max: NonZeroU16::MIN,
        ..ConnectAck::default()
    };
    let mut connection = server.take(ack).await;
    connected(&agent).await;
    let large = agent
        .publish("large", vec![0; 200], Qos::AtLeastOnce)
        .await
        .expect("taken");
    assert_eq!(large.reason().await, Ok(0x95));
    wait_for(&mut events, |event| match event {
        Event::Refused {
            topic,
            reason: 0x95,
        } => (topic == "large").then_some(()),
        _ => None,
    })
    .await;
    for _ in 0..2 {
        agent
            .publish("t", "x", Qos::AtLeastOnce)
            .await
            .expect("taken");
    }
    agent
        .publish("once", "x", Qos::AtMostOnce)
        .await
        .expect("taken");
    let mut topics = Vec::new();
    for _ in 0..2 {
        if let Some(Packet::Publish(publish)) = connection.next().await {
            topics.push(publish.topic.to_string());
        }
    }
    topics.sort();
    assert_eq!(
        topics,
        ["once", "t"],
        "the second waits for the first's acknowledgement"
    );
}

#[tokio::test]
async fn messages_that_nobody_reads_are_bounded() {
    let ([server, _], identity) = servers().await;
    let mut options = server.options();
    (options.events, options.window) = (1, 8);
    let (agent, mut events) = Agent::connect(identity, options).expect("starts");
    let mut connection = server.take(ConnectAck::default()).await;
    connected(&agent).await;
    // One event waits, "connected", and so eight of these; the others are let go.
    for number in 0..100 {
        connection.send(publish(number, QoS::AtMostOnce)).await;
    }
    let deadline = std::time::Instant::now() + PATIENCE;
    while agent.status().missed < 92 {
        assert!(std::time::Instant::now() < deadline, "{:?}", agent.status());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for number in 0..8 {
        assert_eq!(message(&mut events).await.payload, number.to_string());
    }
    // With acknowledgement the server must keep to the window.
    for number in 1..=20 {
        connection.send(publish(number, QoS::AtLeastOnce)).await;
    }
    while agent.is_connected() {
        assert!(std::time::Instant::now() < deadline, "{:?}", agent.status());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let cause = agent.status().last_cause.expect("a cause");
    assert!(cause.contains("window"), "{cause}");
}

#[tokio::test]
async fn a_server_that_breaks_the_protocol_is_left() {
    let ([server, _], identity) = servers().await;
    let (_agent, mut events) = Agent::connect(identity, server.options()).expect("starts");
    let (mut connection, _) = server.accept().await;
    connection.send(Packet::PingResponse).await;
    assert!(matches!(cause(&mut events).await, Cause::Protocol(_)));
    for bytes in [
        // QoS 2, a second CONNACK, garbage, a packet of a size beyond all bounds.
        &[0x34, 6, 0, 1, b't', 0, 1, 0][..],
        &[0x20, 3, 0, 0, 0],
        &[0xff, 0],
        &[0x30, 0xff, 0xff, 0xff, 0x7f],
    ] {
        let mut connection = server.take(ConnectAck::default()).await;
        connection.send_raw(bytes).await;
        let cause = cause(&mut events).await;
        assert!(matches!(cause, Cause::Protocol(_)), "{bytes:?}: {cause}");
    }
}
