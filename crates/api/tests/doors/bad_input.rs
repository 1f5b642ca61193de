//! What hostile clients send.

use palisade_core::{Event, EventKind};
use rcgen::{CertificateParams, DnType, KeyPair, SanType};

use crate::{
    client::basic,
    house::{ENROLL, House, PATIENCE, REENROLL, csr},
};

#[tokio::test]
async fn what_is_no_good_request_is_refused_with_a_reason_and_costs_no_use() {
    let house = House::open().await;
    let secret = house.token("cam", 1).await;
    let authorization = basic(&secret);
    let headers = [("authorization", authorization.as_str())];
    let client = house.client();
    let key = KeyPair::generate().expect("a key");
    let good = csr("cam-1", &key);
    let mut forged = good.clone();
    *forged.last_mut().expect("bytes") ^= 1;
    let mut smuggling = CertificateParams::default();
    smuggling
        .distinguished_name
        .push(DnType::CommonName, "cam-1");
    let name = "admin.example".try_into().expect("ascii");
    smuggling.subject_alt_names = vec![SanType::DnsName(name)];
    let smuggling = smuggling.serialize_request(&key).expect("a request");
    let p521 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).expect("a key");
    let bad: [(&str, Vec<u8>); 10] = [
        ("nothing", Vec::new()),
        ("garbage text", b"!!!! not base64 !!!!".to_vec()),
        (
            "garbage DER",
            [&[0x30, 0x82, 0x01, 0x00][..], &[0xff; 256]].concat(),
        ),
        ("cut off", good[..good.len() / 2].to_vec()),
        ("bytes behind it", [&good[..], &[0; 4]].concat()),
        ("not its own key", forged),
        ("a smuggled name", smuggling.der().to_vec()),
        ("a wrong kind of key", csr("cam-1", &p521)),
        ("no device's id", csr("cam/1 #", &key)),
        ("a deep nest", [0x30, 0x80].repeat(5_000)),
    ];
    for (what, body) in bad {
        let answer = client.post(ENROLL, &headers, &body).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
        assert!(
            answer.text().len() > 10 && answer.text().len() < 600,
            "{what}"
        );
    }
    for size in [30_000, 200_000] {
        let answer = client.post(ENROLL, &headers, &vec![b'A'; size]).await;
        assert_eq!(answer.status, 413, "{size}");
    }
    assert_eq!(house.uses_left(&secret).await, 1);
    assert_eq!(house.lifecycle("cam-1").await, None);
    // After all that, a good one is served.
    client.post(ENROLL, &headers, &good).await.certificate();
    house.close().await;
}

#[tokio::test]
async fn who_has_no_right_does_not_get_to_the_parser() {
    let house = House::open().await;
    let authorization = basic("pet_guess");
    let headers = [("authorization", authorization.as_str())];
    let answer = house.client().post(ENROLL, &headers, b"garbage").await;
    assert_eq!(answer.status, 401);
    house.close().await;
}

#[tokio::test]
async fn an_ended_certificate_and_one_of_the_future_are_refused_in_the_handshake() {
    let house = House::open().await;
    let enrolled = house.enrol("cam-1").await;
    let client = house.client_of(&enrolled);
    for (millis, reason) in [(-86_400_000, "NotValidYet"), (92 * 86_400_000, "Expired")] {
        house.clock.advance_millis(millis);
        let sent = client.send(hyper::Method::POST, REENROLL, &[], b"").await;
        sent.expect_err("the handshake ends it");
        house.refusal(reason_in_words(reason)).await;
    }
    house.close().await;
}

fn reason_in_words(reason: &str) -> &str {
    match reason {
        "NotValidYet" => "not valid yet",
        _ => "expired",
    }
}

#[tokio::test]
async fn a_flood_of_equal_refusals_is_few_entries() {
    let house = House::open().await;
    let key = KeyPair::generate().expect("a key");
    let asks = (0..60).map(|_| house.ask("pet_guess", "cam-1", &key));
    for answer in futures_util::future::join_all(asks).await {
        assert_eq!(answer.status, 401);
    }
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let events = house.events().await;
        let count = |event: &Event| match event.kind {
            EventKind::Refused { count, .. } => Some(count),
            _ => None,
        };
        let refusals: Vec<u64> = events.iter().filter_map(count).collect();
        let counted: u64 = refusals.iter().sum();
        if counted == 60 {
            assert!(refusals.len() < 30, "{refusals:?}");
            break;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{counted}: {refusals:?}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    house.close().await;
}

#[tokio::test]
async fn nothing_is_admitted_that_cannot_be_written_down() {
    let house = House::open().await;
    let secret = house.token("cam", 1).await;
    let key = KeyPair::generate().expect("a key");
    house.store.close().await;
    let answer = house.ask(&secret, "cam-1", &key).await;
    assert_eq!(answer.status, 503);
    assert!(!answer.text().contains("database"), "{}", answer.text());
    assert_eq!(answer.header("retry-after"), "30");
    house.close().await;
}

#[tokio::test]
async fn no_event_holds_a_secret() {
    let house = House::open().await;
    let secret = house.token("cam", 1).await;
    let key = KeyPair::generate().expect("a key");
    house.ask(&secret, "cam-1", &key).await.certificate();
    house.ask(&secret, "cam-1", &key).await;
    let events = house.events().await;
    assert!(
        events
            .iter()
            .any(|event| matches!(event.kind, EventKind::Refused { .. }))
    );
    let text = serde_json::to_string(&events).expect("json");
    assert!(!text.contains(&secret));
    house.close().await;
}
