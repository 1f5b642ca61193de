//! What connections may take.

use std::time::{Duration, Instant};

use rustls::{ProtocolVersion, version::TLS12};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    client::Client,
    house::{House, PATIENCE, config},
};

async fn is_closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> bool {
    let mut bytes = [0; 4_096];
    let read = async { while let Ok(1..) = stream.read(&mut bytes).await {} };
    tokio::time::timeout(PATIENCE, read).await.is_ok()
}

#[tokio::test]
async fn devices_speak_tls_1_2_and_1_3_and_people_1_3_alone() {
    let house = House::open().await;
    let mut client = house.client();
    let stream = client.connect().await.expect("connects");
    assert_eq!(
        stream.get_ref().1.protocol_version(),
        Some(ProtocolVersion::TLSv1_3)
    );
    let group = stream.get_ref().1.negotiated_key_exchange_group();
    let group = group.expect("known").name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(house.identity.root_der()).expect("a root");
    client.config = rustls::ClientConfig::builder_with_protocol_versions(&[&TLS12])
        .with_root_certificates(roots)
        .with_no_client_auth();
    assert_eq!(client.get("/ca/root.pem").await.status, 200);
    client.address = house.api.people_addrs()[0];
    client
        .connect()
        .await
        .expect_err("TLS 1.2 is not spoken here");
    house.close().await;
}

#[tokio::test]
async fn who_does_not_finish_a_handshake_or_a_head_in_time_is_let_go() {
    let mut config = config();
    config.devices.limits.handshake_timeout_s = 1;
    config.devices.limits.head_timeout_s = 1;
    let house = House::with(config).await;
    let mut silent = TcpStream::connect(house.devices_address())
        .await
        .expect("connects");
    let mut slow = TcpStream::connect(house.devices_address())
        .await
        .expect("connects");
    slow.write_all(&[0x16, 0x03, 0x01]).await.expect("writes");
    let mut half = house.client().connect().await.expect("connects");
    half.write_all(b"GET / HTTP/1.1\r\nHost: loc")
        .await
        .expect("writes");
    let mut idle = house.client().connect().await.expect("connects");
    let mut client = house.client();
    client.config.alpn_protocols = vec![b"h2".to_vec()];
    let mut idle_http2 = client.connect().await.expect("connects");
    assert!(is_closed(&mut silent).await);
    assert!(is_closed(&mut slow).await);
    assert!(is_closed(&mut half).await);
    assert!(is_closed(&mut idle).await);
    assert!(is_closed(&mut idle_http2).await);
    house.close().await;
}

#[tokio::test]
async fn a_body_that_trickles_in_ends_with_its_time() {
    let mut config = config();
    config.devices.limits.request_timeout_s = 1;
    let house = House::with(config).await;
    let mut stream = house.client().connect().await.expect("connects");
    let head =
        b"POST /device/v1/report HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n";
    stream.write_all(head).await.expect("writes");
    let mut answer = Vec::new();
    let started = Instant::now();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let _ = ended.expect("ends in time");
    assert!(started.elapsed() >= Duration::from_millis(900));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    house.close().await;
}

#[tokio::test]
async fn a_head_has_a_bound_in_both_versions() {
    let house = House::open().await;
    let long = "x".repeat(64 * 1024);
    let headers = [("x-long", long.as_str())];
    for alpn in ["http/1.1", "h2"] {
        let mut client = house.client();
        client.config.alpn_protocols = vec![alpn.into()];
        let sent = client
            .send(hyper::Method::GET, "/ca/root.pem", &headers, b"")
            .await;
        match sent {
            Ok(answer) => assert_eq!(answer.status, 431, "{alpn}"),
            // The connection was closed before all of it was sent.
            Err(_) => assert_eq!(alpn, "h2"),
        }
        assert_eq!(client.get("/ca/root.pem").await.status, 200);
    }
    house.close().await;
}

#[tokio::test]
async fn a_source_has_so_many_connections_and_one_that_ends_makes_room() {
    let mut config = config();
    config.devices.limits.max_connections_per_source = 2;
    let house = House::with(config).await;
    let client = house.client();
    let first = client.connect().await.expect("connects");
    let _second = client.connect().await.expect("connects");
    client.connect().await.expect_err("one too many");
    drop(first);
    let deadline = Instant::now() + PATIENCE;
    while client.connect().await.is_err() {
        assert!(Instant::now() < deadline, "no room was made");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    house.close().await;
}

#[tokio::test]
async fn when_all_places_are_taken_the_next_waits_for_one() {
    let mut config = config();
    config.devices.limits.max_connections = 1;
    let house = House::with(config).await;
    let client = house.client();
    let first = client.connect().await.expect("connects");
    let waiting = {
        let client = client.clone();
        tokio::spawn(async move { client.get("/ca/root.pem").await.status })
    };
    let early = tokio::time::timeout(Duration::from_millis(200), async { waiting.is_finished() });
    assert!(!early.await.expect("answers"));
    drop(first);
    let status = tokio::time::timeout(PATIENCE, waiting).await;
    assert_eq!(status.expect("is served").expect("does not panic"), 200);
    house.close().await;
}

#[tokio::test]
async fn no_session_of_a_device_is_resumed() {
    let house = House::open().await;
    let enrolled = house.enrol("cam-1").await;
    let client = house.client_of(&enrolled);
    for _ in 0..3 {
        let mut stream = client.connect().await.expect("connects");
        let kind = stream.get_ref().1.handshake_kind();
        assert_eq!(kind, Some(rustls::HandshakeKind::Full));
        let request = b"GET /ca/root.pem HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("writes");
        assert!(is_closed(&mut stream).await);
    }
    house.close().await;
}

#[tokio::test]
async fn a_door_that_closes_lets_its_request_end_and_idle_connections_go() {
    let mut config = config();
    config.devices.limits.drain_timeout_s = 20;
    let house = House::with(config).await;
    let mut idle = house.client().connect().await.expect("connects");
    let mut busy = house.client().connect().await.expect("connects");
    let head = b"POST /device/v1/report HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{";
    busy.write_all(head).await.expect("writes");
    busy.flush().await.expect("writes");
    // It is served once another request on a later connection was.
    assert_eq!(house.client().get("/ca/root.pem").await.status, 200);
    let address = house.devices_address();
    let root = house.identity.root_der();
    let closing = tokio::spawn(house.close());
    assert!(is_closed(&mut idle).await);
    busy.write_all(b"}").await.expect("writes");
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.expect("reads");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    closing.await.expect("closes");
    let late = Client::new(address, root, None);
    late.connect().await.expect_err("nobody listens");
}
