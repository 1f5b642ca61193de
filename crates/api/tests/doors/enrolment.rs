//! A first certificate, with a token.

use palisade_core::{EventKind, Lifecycle};
use palisade_identity::Peer;
use palisade_store::TokenScope;
use rcgen::KeyPair;

use crate::{
    client::basic,
    house::{ENROLL, House, csr, csr_body, device},
};

#[tokio::test]
async fn an_unknown_device_of_a_product_enrols_and_is_in_service() {
    let house = House::open().await;
    let (id, secret) = house
        .token_for(TokenScope::Product("cam".parse().expect("valid")), 2)
        .await;
    let key = KeyPair::generate().expect("a key");
    let answer = house.ask(&secret, "cam-1", &key).await;
    assert_eq!(
        answer.header("content-type"),
        "application/pkcs7-mime; smime-type=certs-only"
    );
    assert!(!answer.text().contains('\n'), "one line, for strongSwan");
    let peer = house.identity.peer(&answer.certificate()).expect("named");
    let Peer::Principal {
        principal, serial, ..
    } = peer
    else {
        panic!("{peer:?}");
    };
    assert_eq!(principal.id(), "cam-1");
    assert_eq!(house.lifecycle("cam-1").await, Some(Lifecycle::Active));
    assert_eq!(house.uses_left(&secret).await, 1);
    let events = house.events().await;
    let enrolled = EventKind::Enrolled {
        serial,
        token: Some(id),
    };
    let enrolled = events.iter().find(|event| event.kind == enrolled);
    let enrolled = enrolled.expect("on record");
    assert_eq!(enrolled.principal, Some(principal));
    assert_eq!(enrolled.source, Some([127, 0, 0, 1].into()));
    let is_registration = |kind: &EventKind| matches!(kind, EventKind::Registered { count: 1 });
    assert!(events.iter().any(|event| is_registration(&event.kind)));
    house.close().await;
}

#[tokio::test]
async fn who_shows_nothing_is_challenged_in_the_spelling_that_libest_knows() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let house = House::open().await;
    let key = KeyPair::generate().expect("a key");
    let body = csr_body("cam-1", &key);
    let answer = house.client().post(ENROLL, &[], body.as_bytes()).await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("www-authenticate"),
        "Basic realm=\"palisade\""
    );
    let mut stream = house.client().connect().await.expect("connects");
    let request = format!(
        "POST {ENROLL} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("writes");
    let mut raw = String::new();
    // It is closed as asked, or this would wait.
    stream.read_to_string(&mut raw).await.expect("reads");
    assert!(raw.starts_with("HTTP/1.1 401 "), "{raw}");
    assert!(raw.contains("\r\nWWW-Authenticate: Basic realm="), "{raw}");
    assert!(raw.contains("\r\nContent-Length: "), "{raw}");
    assert!(
        house.refusals().await.is_empty(),
        "a challenge is no refusal"
    );
    house.close().await;
}

#[tokio::test]
async fn a_bad_token_is_told_nothing_and_the_event_says_which() {
    let house = House::open().await;
    let key = KeyPair::generate().expect("a key");
    let product = || TokenScope::Product("cam".parse().expect("valid"));
    let (revoked, revoked_secret) = house.token_for(product(), 1).await;
    assert!(
        house
            .store
            .tokens()
            .revoke_enrolment(revoked)
            .await
            .expect("writes")
    );
    let used_up = house.token("cam", 0).await;
    let expired = house.token("cam", 1).await;
    let mut texts = Vec::new();
    for (secret, reason) in [
        ("pet_nobody", "an enrolment token that is not known"),
        (&revoked_secret, "is revoked"),
        (&used_up, "is used up"),
        (&expired, "has expired"),
    ] {
        if reason == "has expired" {
            house.clock.advance_millis(3_600_001);
        }
        let answer = house.ask(secret, "cam-1", &key).await;
        assert_eq!(answer.status, 401);
        texts.push(answer.text());
        let refusal = house.last_refusal().await;
        assert!(refusal.contains(reason), "{refusal}");
        assert!(!refusal.contains("pet_"), "{refusal}");
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_eq!(house.lifecycle("cam-1").await, None);
    house.close().await;
}

#[tokio::test]
async fn a_used_token_is_not_good_again_and_the_last_use_goes_to_one() {
    let house = House::open().await;
    let secret = house.token("cam", 1).await;
    let keys: Vec<KeyPair> = (0..8)
        .map(|_| KeyPair::generate().expect("a key"))
        .collect();
    let asks = keys.iter().enumerate().map(|(index, key)| {
        let (house, secret) = (&house, &secret);
        async move { house.ask(secret, &format!("cam-{index}"), key).await.status }
    });
    let statuses = futures_util::future::join_all(asks).await;
    let admitted = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(admitted, 1, "{statuses:?}");
    assert!(
        statuses
            .iter()
            .all(|status| [200, 401].contains(&status.as_u16()))
    );
    assert_eq!(house.uses_left(&secret).await, 0);
    let known = house
        .store
        .devices()
        .count_by_lifecycle()
        .await
        .expect("reads");
    assert_eq!(
        known,
        [(Lifecycle::Active, 1)],
        "the others are not even known"
    );
    let replay = house.ask(&secret, "cam-0", &keys[0]).await;
    assert_eq!(replay.status, 401);
    house.close().await;
}

#[tokio::test]
async fn a_use_that_came_to_nothing_is_given_back() {
    let house = House::open().await;
    house.register("cam-1", "cam").await;
    house.set_lifecycle("cam-1", Lifecycle::Quarantined).await;
    let secret = house.token("cam", 1).await;
    let key = KeyPair::generate().expect("a key");
    let answer = house.ask(&secret, "cam-1", &key).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (403, "the device is quarantined\n")
    );
    assert_eq!(house.uses_left(&secret).await, 1);
    assert_eq!(
        house.last_refusal().await,
        "enroll: the device is quarantined"
    );
    // Nor is a use taken for what cannot be read.
    let authorization = basic(&secret);
    let headers = [("authorization", authorization.as_str())];
    let answer = house.client().post(ENROLL, &headers, b"garbage").await;
    assert_eq!(answer.status, 400);
    assert_eq!(house.uses_left(&secret).await, 1);
    house.close().await;
}

#[tokio::test]
async fn a_contained_device_does_not_enrol_itself_back() {
    let house = House::open().await;
    house.enrol("cam-1").await;
    let key = KeyPair::generate().expect("a key");
    for lifecycle in [
        Lifecycle::Quarantined,
        Lifecycle::Revoked,
        Lifecycle::Retired,
    ] {
        house.set_lifecycle("cam-1", lifecycle).await;
        let secret = house.token("cam", 1).await;
        let answer = house.ask(&secret, "cam-1", &key).await;
        assert_eq!(answer.status, 403, "{lifecycle}");
        assert_eq!(house.lifecycle("cam-1").await, Some(lifecycle));
    }
    house.close().await;
}

#[tokio::test]
async fn only_known_devices_of_a_product_with_an_inventory_enrol() {
    let house = House::open().await;
    house.product("lock", true).await;
    house.register("lock-1", "lock").await;
    let secret = house.token("lock", 2).await;
    let key = KeyPair::generate().expect("a key");
    let answer = house.ask(&secret, "lock-9", &key).await;
    assert_eq!(answer.status, 403);
    assert!(
        answer.text().contains("register it first"),
        "{}",
        answer.text()
    );
    assert_eq!(house.lifecycle("lock-9").await, None);
    house.ask(&secret, "lock-1", &key).await.certificate();
    assert_eq!(house.uses_left(&secret).await, 1);
    house.close().await;
}

#[tokio::test]
async fn a_token_is_good_for_its_device_or_product_alone() {
    let house = House::open().await;
    house.product("lock", false).await;
    house.register("cam-1", "cam").await;
    house.register("lock-1", "lock").await;
    let key = KeyPair::generate().expect("a key");
    let (_, secret) = house
        .token_for(TokenScope::Device(device("cam-1")), 2)
        .await;
    assert_eq!(house.ask(&secret, "cam-2", &key).await.status, 403);
    // A request that names nobody is for the device of the token.
    let nameless = rcgen::CertificateParams::default();
    let mut nameless = nameless;
    nameless.distinguished_name = rcgen::DistinguishedName::new();
    let nameless = nameless.serialize_request(&key).expect("a request");
    let authorization = basic(&secret);
    let headers = [("authorization", authorization.as_str())];
    let client = house.client();
    let answer = client.post(ENROLL, &headers, nameless.der()).await;
    let peer = house.identity.peer(&answer.certificate()).expect("named");
    assert!(matches!(peer, Peer::Principal { principal, .. } if principal.id() == "cam-1"));
    let of_locks = house.token("lock", 1).await;
    let answer = house.ask(&of_locks, "cam-1", &key).await;
    assert_eq!(answer.status, 403);
    assert_eq!(house.uses_left(&of_locks).await, 1);
    let (_, unknown) = house
        .token_for(TokenScope::Device(device("cam-7")), 1)
        .await;
    let answer = house.ask(&unknown, "cam-7", &key).await;
    assert!(
        answer.text().contains("not known: register it first"),
        "{}",
        answer.text()
    );
    house.close().await;
}

#[tokio::test]
async fn a_token_for_a_product_does_not_make_another_of_a_device_that_is_enrolled() {
    let house = House::open().await;
    let first = house.enrol("cam-1").await;
    let thief = KeyPair::generate().expect("a key");
    let batch = house.token("cam", 5).await;
    let refused = house.ask(&batch, "cam-1", &thief).await;
    assert_eq!(refused.status, 403);
    assert!(
        refused.text().contains("enrolled already"),
        "{}",
        refused.text()
    );
    assert_eq!(house.uses_left(&batch).await, 5);
    house.refusal("enrolled already").await;
    // Its answer may have been lost: it is known again by its key.
    house.ask(&batch, "cam-1", &first.key).await.certificate();
    // Nor is one that is contained a way in.
    house.set_lifecycle("cam-1", Lifecycle::Quarantined).await;
    assert_eq!(house.ask(&batch, "cam-1", &first.key).await.status, 403);
    house.close().await;
}

#[tokio::test]
async fn an_enrolled_device_enrols_anew_with_a_token_for_it_alone_and_its_first_certificate_stays_valid()
 {
    let house = House::open().await;
    let first = house.enrol("cam-1").await;
    let scope = TokenScope::Device(device("cam-1"));
    let (_, own) = house.token_for(scope, 1).await;
    let after_reset = KeyPair::generate().expect("a key");
    let second = house.ask(&own, "cam-1", &after_reset).await.certificate();
    for der in [first.der, second] {
        house.identity.peer(&der).expect("named");
    }
    house.close().await;
}

#[tokio::test]
async fn requests_travel_as_der_as_pem_wrapped_and_over_http2_and_with_a_label() {
    let house = House::open().await;
    let secret = house.token("cam", 10).await;
    let authorization = basic(&secret);
    let headers = [("authorization", authorization.as_str())];
    let key = KeyPair::generate().expect("a key");
    let der = csr("cam-1", &key);
    let flat = csr_body("cam-1", &key);
    let wrapped = palisade_identity::est::encode_body_wrapped(&der);
    let pem = format!(
        "-----BEGIN CERTIFICATE REQUEST-----\n{wrapped}-----END CERTIFICATE REQUEST-----\n"
    );
    let client = house.client();
    for body in [
        der.as_slice(),
        flat.as_bytes(),
        wrapped.as_bytes(),
        pem.as_bytes(),
    ] {
        client.post(ENROLL, &headers, body).await.certificate();
    }
    let path = "/.well-known/est/factory-7/simpleenroll";
    client.post(path, &headers, &der).await.certificate();
    let path = "/.well-known/est/not%2Fa%20label/simpleenroll";
    assert_eq!(client.post(path, &headers, &der).await.status, 404);
    let mut client = client;
    client.config.alpn_protocols = vec![b"h2".to_vec()];
    client.post(ENROLL, &headers, &der).await.certificate();
    let agent = [headers[0], ("user-agent", "libest 3.2.0")];
    let answer = client.post(ENROLL, &agent, &der).await;
    assert!(answer.text().contains('\n'), "libest reads lines");
    answer.certificate();
    house.close().await;
}

#[tokio::test]
async fn a_source_that_fails_too_often_waits_and_a_known_device_does_not() {
    let mut config = crate::house::config();
    config.devices.failures_per_minute = 5;
    let house = House::with(config).await;
    let enrolled = house.enrol("cam-1").await;
    let key = KeyPair::generate().expect("a key");
    for _ in 0..5 {
        assert_eq!(house.ask("pet_guess", "cam-2", &key).await.status, 401);
    }
    let secret = house.token("cam", 1).await;
    let answer = house.ask(&secret, "cam-2", &key).await;
    assert_eq!(answer.status, 429);
    let wait: u64 = answer.header("retry-after").parse().expect("a number");
    assert!((1..=12).contains(&wait), "{wait}");
    assert_eq!(house.uses_left(&secret).await, 1);
    assert_eq!(house.last_refusal().await, "enrolment_failures");
    let body = csr_body("cam-1", &enrolled.key);
    let client = house.client_of(&enrolled);
    client
        .post(crate::house::REENROLL, &[], body.as_bytes())
        .await
        .certificate();
    house.close().await;
}
