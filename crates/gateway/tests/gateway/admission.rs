//! Who is let in, under which name, on what terms.

use std::sync::Arc;

use palisade_core::{Event, EventKind, Lifecycle, Principal, ServiceId};
use palisade_gateway::{Gateway, GatewayConfig, GatewayError, GatewayParts};
use palisade_identity::RevocationReason;
use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::{
    ClientConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
};

use crate::{
    client::{Client, Connect, Got, PATIENCE, Value, packet},
    house::{House, SUITE, config, device},
};

const CLIENT_ID_NOT_VALID: u8 = 0x85;
const NOT_AUTHORIZED: u8 = 0x87;

#[tokio::test]
async fn a_device_is_admitted_and_the_ledger_says_so_before_it_hears_of_it() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let client = house.session(&cam, Connect::v5("cam-1")).await;
    let events = house.events().await;
    let admitted = events.iter().find_map(|event| match &event.kind {
        EventKind::Admitted {
            client_id,
            protocol,
            serial,
            key_exchange,
        } if event.principal == Some(device("cam-1")) => Some((
            client_id.clone(),
            protocol.clone(),
            *serial,
            key_exchange.clone(),
        )),
        _ => None,
    });
    let expected = (
        "cam-1".to_owned(),
        "mqtt 5".to_owned(),
        Some(cam.issued.serial),
        Some("X25519MLKEM768".to_owned()),
    );
    assert_eq!(admitted, Some(expected));
    client.disconnect().await;
}

#[tokio::test]
async fn a_client_without_post_quantum_key_exchange_is_served_and_one_of_tls_1_2_is_not() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let mut classic = aws_lc_rs::default_provider();
    classic.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    let connect = |versions: &[&'static rustls::SupportedProtocolVersion]| {
        let builder = ClientConfig::builder_with_provider(Arc::new(classic.clone()))
            .with_protocol_versions(versions)
            .expect("versions");
        let key = PrivateKeyDer::try_from(cam.key.serialize_der()).expect("a key");
        let chain = vec![CertificateDer::from(cam.issued.der.clone())];
        let config = builder
            .with_root_certificates(house.roots())
            .with_client_auth_cert(chain, key)
            .expect("a client");
        Client::tls(house.address(), Arc::new(config))
    };
    let mut client = connect(&[&rustls::version::TLS13]).await.expect("served");
    assert_eq!(client.connect(Connect::v5("cam-1")).await.reason, 0);
    assert!(connect(&[&rustls::version::TLS12]).await.is_err());
}

#[tokio::test]
async fn a_stolen_client_id_is_refused_and_an_own_suffix_is_not() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    house.enrol("cam-2").await;
    let mut own = house.session(&cam, Connect::v5("cam-1:video")).await;
    for stolen in ["cam-2", "cam-1:", "cam-10", "cam-1:+", "cam-1/#"] {
        let connack = house.knock(&cam).await.connect(Connect::v5(stolen)).await;
        assert_eq!(connack.reason, CLIENT_ID_NOT_VALID, "{stolen}");
        let connack = house.knock(&cam).await.connect(Connect::v3(stolen)).await;
        assert_eq!(connack.reason, 2, "{stolen}");
    }
    own.hears_nothing().await;
    house
        .event(|event| {
            matches!(&event.kind, EventKind::Refused { .. })
                && event.principal == Some(device("cam-1"))
        })
        .await;
}

#[tokio::test]
async fn an_empty_client_id_becomes_the_devices_id() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let connack = house.knock(&cam).await.connect(Connect::v5("")).await;
    assert_eq!(connack.properties.text(0x12), Some("cam-1"));
    let connack = house
        .knock(&cam)
        .await
        .connect(Connect::v5("").resume())
        .await;
    assert_eq!(
        (connack.reason, connack.properties.text(0x12)),
        (0, Some("cam-1"))
    );
    let connack = house.knock(&cam).await.connect(Connect::v3("")).await;
    assert_eq!(connack.reason, 0);
    let connack = house
        .knock(&cam)
        .await
        .connect(Connect::v3("").resume())
        .await;
    assert_eq!(connack.reason, 2);
}

#[tokio::test]
async fn connack_says_what_the_server_grants() {
    let house = House::with(GatewayConfig {
        max_keep_alive_s: 60,
        max_session_expiry_s: 1000,
        receive_maximum: 7,
        topic_alias_maximum: 3,
        max_packet_size: 5000,
        ..config()
    })
    .await;
    let mut client = Client::plain(house.insecure()).await;
    let connack = client
        .connect(Connect::v5("a").keep_alive(120).expiry(u32::MAX))
        .await;
    let said = |id| connack.properties.number(id);
    assert_eq!(said(0x13), Some(60), "server keep-alive");
    assert_eq!(said(0x11), Some(1000), "session expiry");
    assert_eq!(said(0x21), Some(7), "receive maximum");
    assert_eq!(said(0x22), Some(3), "topic alias maximum");
    assert_eq!(said(0x27), Some(5000), "maximum packet size");
    assert_eq!(connack.properties.text(0x12), None, "assigned client id");
    for available in [0x25, 0x28, 0x29, 0x2A] {
        assert_ne!(said(available), Some(0), "{available:#x}");
    }
    let mut client = Client::plain(house.insecure()).await;
    let connack = client
        .connect(Connect::v5("b").keep_alive(20).expiry(9))
        .await;
    assert_eq!(connack.properties.number(0x13), None);
    assert_eq!(connack.properties.number(0x11), None);
}

#[tokio::test]
async fn a_quarantined_and_an_unknown_device_get_no_session() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    house.set_lifecycle("cam-1", Lifecycle::Quarantined).await;
    let connack = house.knock(&cam).await.connect(Connect::v5("cam-1")).await;
    assert_eq!(connack.reason, NOT_AUTHORIZED);
    assert!(connack.properties.text(0x1f).is_some(), "a reason in words");
    let connack = house.knock(&cam).await.connect(Connect::v3("cam-1")).await;
    assert_eq!(connack.reason, 5);
    let ghost = house.issue(&device("ghost")).await;
    let connack = house
        .knock(&ghost)
        .await
        .connect(Connect::v5("ghost"))
        .await;
    assert_eq!(connack.reason, NOT_AUTHORIZED);
    // The first at once, the second with whatever came within a second of it.
    let denied = |event: &Event| match &event.kind {
        EventKind::Denied { count, .. } if event.principal == Some(device("cam-1")) => *count,
        _ => 0,
    };
    let deadline = std::time::Instant::now() + PATIENCE;
    while house.events().await.iter().map(denied).sum::<u64>() != 2 {
        assert!(std::time::Instant::now() < deadline, "two denials");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    house.set_lifecycle("cam-1", Lifecycle::Active).await;
    house.session(&cam, Connect::v5("cam-1")).await;
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_at_the_handshake() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    house.session(&cam, Connect::v5("cam-1")).await;
    let (parts, serial) = (house.parts(), cam.issued.serial);
    house
        .run(async move {
            let revoked = parts
                .identity
                .revoke(&serial, RevocationReason::KeyCompromise)
                .await;
            revoked.expect("revokes");
        })
        .await;
    assert_refused(&house, house.client_config(&cam)).await;
    house
        .event(|event| matches!(&event.kind, EventKind::Refused { reason, .. } if reason.contains("Revoked")))
        .await;
}

#[tokio::test]
async fn a_certificate_of_another_time_is_refused_at_the_handshake() {
    const DAY: i64 = 86_400_000;
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    for (days, why) in [(-30, "not valid yet"), (200, "expired")] {
        house.authority_clock.advance_millis(days * DAY);
        assert_refused(&house, house.client_config(&cam)).await;
        house
            .event(|event| {
                matches!(&event.kind, EventKind::Refused { reason, .. } if reason.contains(why))
            })
            .await;
        house.authority_clock.advance_millis(-days * DAY);
        house.session(&cam, Connect::v5("cam-1")).await;
    }
}

#[tokio::test]
async fn a_session_does_not_outlive_its_certificate() {
    const LIFE: i64 = 90 * 86_400_000;
    let house = House::open().await;
    house.enrol("cam-1").await;
    // Issued so long ago that it ends in a moment.
    house.authority_clock.advance_millis(2000 - LIFE);
    let cam = house.issue(&device("cam-1")).await;
    house.authority_clock.advance_millis(LIFE - 2000);
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    client.hears_nothing().await;
    assert_eq!(client.ended().await, NOT_AUTHORIZED);
    house.authority_clock.advance_millis(3000);
    assert_refused(&house, house.client_config(&cam)).await;
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused_at_the_handshake_and_so_is_none() {
    let house = House::open().await;
    house.enrol("cam-1").await;
    let issuer = house.parts().identity.issuer_der();
    let (_, issuer) = x509_parser::parse_x509_certificate(&issuer).expect("reads");
    let name = issuer.subject().iter_common_name().next().expect("a name");
    let mut namesake = CertificateParams::default();
    let name = name.as_str().expect("text");
    namesake.distinguished_name.push(DnType::CommonName, name);
    namesake.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().expect("a key");
    let namesake = CertifiedIssuer::self_signed(namesake, ca_key).expect("a namesake");
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "cam-1");
    let uri = "spiffe://fleet.test/device/cam-1"
        .try_into()
        .expect("ascii");
    params.subject_alt_names = vec![SanType::URI(uri)];
    let forged = params.signed_by(&key, &namesake).expect("signs");
    let chain = vec![CertificateDer::from(forged.der().to_vec())];
    let builder = || ClientConfig::builder().with_root_certificates(house.roots());
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let forged = builder()
        .with_client_auth_cert(chain, key)
        .expect("a client");
    assert_refused(&house, Arc::new(forged)).await;
    assert_refused(&house, Arc::new(builder().with_no_client_auth())).await;
}

/// With TLS 1.3 a client believes that it is through before the server has looked at its certificate.
async fn assert_refused(house: &House, config: Arc<ClientConfig>) {
    let Ok(mut client) = Client::tls(house.address(), config).await else {
        return;
    };
    client.send(&Connect::v5("cam-1").bytes()).await;
    assert_eq!(client.recv().await, Got::Closed);
}

#[tokio::test]
async fn versions_and_first_packets_that_are_not_served_get_their_answer() {
    let house = House::open().await;
    let answer = |bytes: Vec<u8>| {
        let address = house.insecure();
        async move {
            let mut client = Client::plain(address).await;
            client.send(&bytes).await;
            client.recv().await
        }
    };
    let of_version = |level: u8| {
        let mut bytes = Connect::v3("a").bytes();
        bytes[8] = level;
        bytes
    };
    let reason = |got: Got| match got {
        Got::ConnAck(connack) => connack.reason,
        other => panic!("{other:?} came instead of CONNACK"),
    };
    assert_eq!(reason(answer(of_version(3)).await), 1);
    assert_eq!(reason(answer(of_version(6)).await), 1);
    let mut malformed = Connect::v5("a").bytes();
    malformed[9] |= 1;
    assert_eq!(reason(answer(malformed).await), 0x81);
    for silent in [
        packet(0xc0, &[]),
        packet(0x30, b"\0\x01ax"),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0x10, 0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        assert_eq!(answer(silent.clone()).await, Got::Closed, "{silent:?}");
    }
}

#[tokio::test]
async fn extended_authentication_is_declined() {
    let house = House::open().await;
    let mut client = Client::plain(house.insecure()).await;
    let connect = Connect::v5("a").with(0x15, Value::Text("SCRAM-SHA-1".into()));
    assert_eq!(client.connect(connect).await.reason, 0x8c);
}

#[tokio::test]
async fn what_a_client_says_right_after_connect_is_heard() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let mut client = house.knock(&cam).await;
    let mut bytes = Connect::v3("cam-1").bytes();
    bytes.extend(packet(0xc0, &[]));
    client.send(&bytes).await;
    assert!(matches!(client.recv().await, Got::ConnAck(_)));
    assert_eq!(client.recv().await, Got::Pong);
}

#[tokio::test]
async fn a_service_with_a_certificate_is_a_principal_too() {
    let house = House::open().await;
    let service: Principal = ServiceId::parse(SUITE).expect("valid").into();
    let enrolled = house.issue(&service).await;
    let mut client = house.session(&enrolled, Connect::v5("suite:one")).await;
    assert_eq!(client.subscribe(&[("devices/#", 1)]).await, [1]);
    let connack = house
        .knock(&enrolled)
        .await
        .connect(Connect::v5("cam-1"))
        .await;
    assert_eq!(connack.reason, CLIENT_ID_NOT_VALID);
    let connack = house.knock(&enrolled).await.connect(Connect::v5("")).await;
    let assigned = connack.properties.text(0x12).expect("assigned").to_owned();
    assert!(assigned.starts_with("suite:"), "{assigned}");
}

#[tokio::test]
async fn the_listener_without_tls_is_refused_beyond_loopback() {
    let house = House::open().await;
    let parts = house.parts();
    let open = |insecure: &str| {
        let config = GatewayConfig {
            insecure_loopback: insecure.parse().ok(),
            ..config()
        };
        let parts = parts.clone();
        house.run(async move {
            Gateway::open(GatewayParts {
                config,
                pdp: parts.pdp,
                identity: parts.identity,
                keys: parts.keys,
                store: parts.store,
                journal: parts.ledger,
                bus: parts.bus,
                clock: Arc::new(palisade_core::SystemClock),
            })
            .await
        })
    };
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let refused = open(address).await;
        assert!(matches!(refused, Err(GatewayError::Config(_))), "{address}");
    }
    assert!(open("127.0.0.1:0").await.is_ok());
}
