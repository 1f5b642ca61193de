//! How the authority keeps itself: the root's key goes and comes, the doors' certificate is renewed,
//! makers are trusted with care, old certificates are seen.

use palisade_core::{Clock, port::EvidenceSource};
use palisade_identity::{ClientAuth, IdentityError, RevocationReason};
use palisade_keys::Secret;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use rustls::{ServerConfig, ServerConnection};

use crate::house::{House, device, enrolled, handshake, house, open, request};

const DAY_MS: i64 = 86_400_000;

fn secret(text: &str) -> Secret {
    Secret::from(text)
}

#[tokio::test]
async fn the_root_leaves_only_when_its_copy_opens_and_comes_back_to_sign() {
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
    let passphrase = secret("correct horse battery");
    let exported = identity.export_root(&passphrase).expect("exports");
    assert!(!exported.contains("BEGIN PRIVATE KEY"));
    let other = secret("wrong horse battery");
    identity
        .detach_root(&exported, &other)
        .expect_err("the copy does not open");
    assert!(identity.root_key_is_here());
    identity
        .detach_root(&exported, &passphrase)
        .expect("leaves");
    assert!(!identity.root_key_is_here());
    assert!(matches!(
        identity.renew_issuer().await,
        Err(IdentityError::RootOffline)
    ));
    // Devices are served on without it.
    enrolled(&identity, "cam-1").await;
    let House {
        identity: foreign,
        directory: _directory,
        ..
    } = house().await;
    let foreign = foreign.export_root(&passphrase).expect("exports");
    assert!(matches!(
        identity.import_root(&foreign, &passphrase),
        Err(IdentityError::NotTheRoot)
    ));
    identity
        .import_root(&exported, &passphrase)
        .expect("comes back");
    identity.renew_issuer().await.expect("signs again");
}

#[tokio::test]
async fn the_authority_is_the_same_after_a_restart() {
    let House {
        directory,
        clock,
        identity,
    } = house().await;
    let (root, issuer) = (identity.root_pem(), identity.issuer_id());
    let (issued, key) = enrolled(&identity, "cam-1").await;
    drop(identity);
    let identity = open(directory.path(), &clock).await;
    assert_eq!((identity.root_pem(), identity.issuer_id()), (root, issuer));
    let client = Some((issued.der, &key));
    handshake(&identity, ClientAuth::Required, client).expect("let in");
}

#[tokio::test]
async fn the_doors_certificate_is_renewed_in_time_and_a_running_server_shows_the_new_one() {
    let House {
        clock,
        identity,
        directory: _directory,
        ..
    } = house().await;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_cert_resolver(identity.door_certificate());
    let config = std::sync::Arc::new(config);
    let shown = || {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(identity.root_der()).expect("a root");
        let client = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "localhost".try_into().expect("a name");
        let mut client =
            rustls::ClientConnection::new(std::sync::Arc::new(client), name).expect("a client");
        let mut server = ServerConnection::new(config.clone()).expect("a server");
        while client.is_handshaking() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).expect("writes");
            server.read_tls(&mut bytes.as_slice()).expect("reads");
            server.process_new_packets().expect("goes on");
            bytes.clear();
            server.write_tls(&mut bytes).expect("writes");
            client.read_tls(&mut bytes.as_slice()).expect("reads");
            client.process_new_packets().expect("goes on");
        }
        client.peer_certificates().expect("shown")[0].clone()
    };
    // The client reads the time from its own clock: all of this happened in the last weeks.
    clock.advance_millis(-25 * DAY_MS);
    identity.renew_door_certificate().await.expect("renews");
    let first = shown();
    clock.advance_millis(10 * DAY_MS);
    identity.keep_fresh().await.expect("keeps");
    assert_eq!(shown(), first, "a third of its life is gone");
    clock.advance_millis(11 * DAY_MS);
    identity.keep_fresh().await.expect("keeps");
    assert_ne!(shown(), first, "two thirds of its life are gone");
}

#[tokio::test]
async fn the_issuer_is_renewed_before_what_it_signs_would_be_cut_short() {
    let House {
        clock,
        identity,
        directory: _directory,
        ..
    } = house().await;
    let (first, end) = (identity.issuer_id(), identity.issuer_not_after());
    let left = end.duration_since(clock.now()).as_millis();
    clock.advance_millis(i64::try_from(left).expect("fits") - 80 * DAY_MS);
    identity.keep_fresh().await.expect("keeps");
    assert_ne!(identity.issuer_id(), first);
    let (issued, _) = enrolled(&identity, "cam-1").await;
    let life = issued.not_after.duration_since(issued.not_before).as_secs();
    assert!(life >= 90 * 86_400, "{life} s");
}

#[tokio::test]
async fn what_is_no_ca_or_is_our_own_is_trusted_as_no_maker() {
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
    let key = KeyPair::generate().expect("a key");
    let leaf = request("maker", &key).self_signed(&key).expect("signs");
    let mut ended = CertificateParams::default();
    ended
        .distinguished_name
        .push(DnType::CommonName, "old maker");
    ended.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ended.not_after = rcgen::date_time_ymd(2001, 1, 1);
    ended.not_before = rcgen::date_time_ymd(2000, 1, 1);
    let ended = ended.self_signed(&key).expect("signs");
    let (root, issuer) = (identity.root_der(), identity.issuer_der());
    let bad: [&[u8]; 6] = [leaf.der(), ended.der(), &root, &issuer, b"garbage", b""];
    for der in bad {
        let error = identity.add_maker_ca("acme", der, None).await;
        assert!(
            matches!(error, Err(IdentityError::MakerCa { .. })),
            "{error:?}"
        );
    }
    assert!(identity.maker_cas().await.expect("reads").is_empty());
}

#[tokio::test]
async fn a_device_that_goes_on_with_an_old_certificate_loses_a_little_trust_until_it_renews() {
    let House {
        clock,
        identity,
        directory: _directory,
        ..
    } = house().await;
    let age = identity.certificate_age();
    let id = device("cam-1").device().expect("a device").clone();
    let (issued, _) = enrolled(&identity, "cam-1").await;
    clock.advance_millis(60 * DAY_MS);
    identity.peer(&issued.der).expect("named");
    assert!(age.evidence(&id, clock.now()).is_empty());
    clock.advance_millis(25 * DAY_MS);
    identity.peer(&issued.der).expect("named");
    let reasons = age.evidence(&id, clock.now());
    assert_eq!(reasons.len(), 1);
    assert_eq!(reasons[0].evidence, "certificate_age");
    enrolled(&identity, "cam-1").await;
    assert!(age.evidence(&id, clock.now()).is_empty());
}

#[tokio::test]
async fn a_service_gets_a_key_and_a_certificate_of_its_own() {
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
    let service = palisade_core::ServiceId::parse("billing")
        .expect("valid")
        .into();
    let (issued, key) = identity.issue_with_key(&service).await.expect("issues");
    let pem = String::from_utf8(key.expose().to_vec()).expect("text");
    let key = KeyPair::from_pem(&pem).expect("a key");
    let client = || Some((issued.der.clone(), &key));
    handshake(&identity, ClientAuth::Required, client()).expect("let in");
    let reason = RevocationReason::KeyCompromise;
    identity
        .revoke(&issued.serial, reason)
        .await
        .expect("revokes");
    handshake(&identity, ClientAuth::Required, client()).expect_err("revoked");
}
