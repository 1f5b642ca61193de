//! A further certificate.

use palisade_core::{EventKind, Lifecycle};
use palisade_identity::{Peer, RevocationReason};
use rcgen::KeyPair;

use crate::house::{Enrolled, House, REENROLL, csr_body};

fn serial(house: &House, der: &[u8]) -> palisade_core::Serial {
    match house.identity.peer(der) {
        Ok(Peer::Principal { serial, .. }) => serial,
        other => panic!("{other:?}"),
    }
}

async fn renew(house: &House, enrolled: &Enrolled, id: &str) -> crate::client::Answer {
    let key = KeyPair::generate().expect("a key");
    let body = csr_body(id, &key);
    let client = house.client_of(enrolled);
    client.post(REENROLL, &[], body.as_bytes()).await
}

#[tokio::test]
async fn a_device_renews_with_a_new_key_and_its_old_certificate_stays_valid() {
    let house = House::open().await;
    let first = house.enrol("cam-1").await;
    let key = KeyPair::generate().expect("a key");
    let body = csr_body("cam-1", &key);
    let client = house.client_of(&first);
    let der = client
        .post(REENROLL, &[], body.as_bytes())
        .await
        .certificate();
    let renewed = EventKind::Renewed {
        serial: serial(&house, &der),
        previous: serial(&house, &first.der),
    };
    assert!(
        house
            .events()
            .await
            .iter()
            .any(|event| event.kind == renewed)
    );
    let second = Enrolled { der, key };
    assert_eq!(renew(&house, &second, "cam-1").await.status, 200);
    assert_eq!(renew(&house, &first, "cam-1").await.status, 200);
    house.close().await;
}

#[tokio::test]
async fn a_device_renews_for_itself_alone() {
    let house = House::open().await;
    let enrolled = house.enrol("cam-1").await;
    house.enrol("cam-2").await;
    let answer = renew(&house, &enrolled, "cam-2").await;
    assert_eq!(answer.status, 400);
    assert!(house.last_refusal().await.contains("common name"));
    let key = KeyPair::generate().expect("a key");
    let mut nameless = rcgen::CertificateParams::default();
    nameless.distinguished_name = rcgen::DistinguishedName::new();
    let nameless = nameless.serialize_request(&key).expect("a request");
    let client = house.client_of(&enrolled);
    let answer = client.post(REENROLL, &[], nameless.der()).await;
    assert_eq!(answer.status, 400);
    house.close().await;
}

#[tokio::test]
async fn who_shows_no_certificate_does_not_renew_whatever_token_it_has() {
    let house = House::open().await;
    house.enrol("cam-1").await;
    let secret = house.token("cam", 1).await;
    let authorization = crate::client::basic(&secret);
    let headers = [("authorization", authorization.as_str())];
    let key = KeyPair::generate().expect("a key");
    let body = csr_body("cam-1", &key);
    let answer = house
        .client()
        .post(REENROLL, &headers, body.as_bytes())
        .await;
    assert_eq!(answer.status, 403);
    assert_eq!(house.uses_left(&secret).await, 1);
    house.close().await;
}

#[tokio::test]
async fn a_contained_device_does_not_renew_and_neither_does_a_revoked_certificate() {
    let house = House::open().await;
    let enrolled = house.enrol("cam-1").await;
    // An open connection is decided anew at each request.
    house.set_lifecycle("cam-1", Lifecycle::Quarantined).await;
    let answer = renew(&house, &enrolled, "cam-1").await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (403, "the device is quarantined\n")
    );
    assert_eq!(
        house.last_refusal().await,
        "renew: the device is quarantined"
    );
    house.set_lifecycle("cam-1", Lifecycle::Active).await;
    let principal = palisade_core::Principal::from(crate::house::device("cam-1"));
    let reason = RevocationReason::KeyCompromise;
    let revoked = house.identity.revoke_all_of(&principal, reason).await;
    assert_eq!(revoked.expect("revokes").len(), 1);
    let client = house.client_of(&enrolled);
    let sent = client.send(hyper::Method::POST, REENROLL, &[], b"").await;
    sent.expect_err("the handshake ends it");
    house
        .refusal("tls handshake: invalid peer certificate: Revoked")
        .await;
    house.close().await;
}

#[tokio::test]
async fn a_certificate_that_is_revoked_while_its_connection_is_open_counts_no_more() {
    use http_body_util::{BodyExt, Full};
    let house = House::open().await;
    let enrolled = house.enrol("cam-1").await;
    let stream = house
        .client_of(&enrolled)
        .connect()
        .await
        .expect("connects");
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
        .await
        .expect("speaks");
    tokio::spawn(connection);
    let mut statuses = Vec::new();
    for round in 0..2 {
        if round == 1 {
            let serial = serial(&house, &enrolled.der);
            let reason = RevocationReason::KeyCompromise;
            assert!(
                house
                    .identity
                    .revoke(&serial, reason)
                    .await
                    .expect("revokes")
            );
        }
        let body = csr_body("cam-1", &enrolled.key);
        let request = hyper::Request::post(REENROLL).header("host", "localhost");
        let request = request
            .body(Full::new(bytes::Bytes::from(body)))
            .expect("a request");
        let answer = sender.send_request(request).await.expect("answers");
        statuses.push(answer.status().as_u16());
        answer.into_body().collect().await.expect("reads");
    }
    assert_eq!(statuses, [200, 403]);
    house.close().await;
}

#[tokio::test]
async fn a_device_is_given_so_many_certificates_an_hour() {
    let mut config = crate::house::config();
    config.devices.certificates_per_hour = 3;
    let house = House::with(config).await;
    let enrolled = house.enrol("cam-1").await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(renew(&house, &enrolled, "cam-1").await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(house.last_refusal().await, "certificates_per_hour");
    house.close().await;
}
