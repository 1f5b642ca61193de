//! What the certification authority signs, and whom the handshake lets in.

#![expect(clippy::expect_used, reason = "a test ends where its set-up fails")]

use std::sync::Arc;

use palisade_bus::LocalBus;
use palisade_core::{
    Clock, DeviceId, Event, ManualClock, Principal, Timestamp, TrustDomain,
    port::{BoxFuture, Journal, JournalError, RevocationView},
};
use palisade_identity::{
    CheckedCsr, ClientAuth, CsrError, Identity, IdentityConfig, Issued, Peer, PeerError,
    RevocationReason, est,
};
use palisade_keys::{KeySource, Keystore};
use palisade_store::Store;
use proptest::prelude::*;
use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, RootCertStore, ServerConfig,
    ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};

/// What is written down is not what these tests are about.
struct NoJournal;

impl Journal for NoJournal {
    fn record(&self, _: Vec<Event>) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

struct House {
    directory: tempfile::TempDir,
    clock: ManualClock,
    identity: Arc<Identity>,
}

async fn house() -> House {
    let directory = tempfile::tempdir().expect("a directory");
    let clock = ManualClock::new(Timestamp::now());
    let identity = open(directory.path(), &clock).await;
    House {
        directory,
        clock,
        identity,
    }
}

async fn open(directory: &std::path::Path, clock: &ManualClock) -> Arc<Identity> {
    let key_file = directory.join("kek");
    KeySource::generate_file(&key_file).expect("writes");
    let source = KeySource::File(key_file);
    let store = Store::open(directory).await.expect("opens");
    let bus = Arc::new(LocalBus::new(store.clone()));
    let keys = Keystore::open(&directory.join("keys.json"), &source).expect("opens");
    let config = IdentityConfig::new(TrustDomain::parse("fleet.test").expect("valid"));
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    Identity::open(
        store,
        Arc::new(keys),
        bus,
        Arc::new(NoJournal),
        clock,
        config,
    )
    .await
    .expect("opens")
}

fn device(id: &str) -> Principal {
    DeviceId::parse(id).expect("valid").into()
}

fn request(common_name: &str, key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let _ = key;
    params
}

fn csr(params: &CertificateParams, key: &KeyPair) -> Vec<u8> {
    params
        .serialize_request(key)
        .expect("a request")
        .der()
        .to_vec()
}

async fn enrolled(identity: &Identity, id: &str) -> (Issued, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let checked = CheckedCsr::parse(&csr(&request(id, &key), &key)).expect("a good request");
    (
        identity.issue(&device(id), &checked).await.expect("issues"),
        key,
    )
}

/// A TLS 1.3 handshake in memory; the error is the server's.
fn handshake(
    identity: &Identity,
    auth: ClientAuth,
    client: Option<(Vec<u8>, &KeyPair)>,
) -> Result<(), rustls::Error> {
    let server = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_client_cert_verifier(identity.client_verifier(auth))
        .with_cert_resolver(identity.door_certificate());
    let mut roots = RootCertStore::empty();
    roots.add(identity.root_der().clone()).expect("a root");
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let config = match client {
        Some((der, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from(der)],
                PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
            )
            .expect("a client"),
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut server = ServerConnection::new(Arc::new(server)).expect("a server");
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).expect("writes");
        server.read_tls(&mut bytes.as_slice()).expect("reads");
        server.process_new_packets()?;
        bytes.clear();
        server.write_tls(&mut bytes).expect("writes");
        client.read_tls(&mut bytes.as_slice()).expect("reads");
        client
            .process_new_packets()
            .expect("the client accepts the door's certificate");
    }
    Ok(())
}

#[tokio::test]
async fn an_enrolled_device_is_let_in_and_named() {
    let House { identity, .. } = house().await;
    let (issued, key) = enrolled(&identity, "cam-1").await;
    handshake(
        &identity,
        ClientAuth::Required,
        Some((issued.der.clone(), &key)),
    )
    .expect("let in");
    let peer = identity.peer(&issued.der).expect("named");
    assert!(
        matches!(&peer, Peer::Principal { principal, serial, .. }
            if *principal == device("cam-1") && *serial == issued.serial),
        "{peer:?}"
    );
    assert_eq!(issued.serial.as_bytes().len(), 20);
}

#[tokio::test]
async fn a_revoked_device_is_refused_at_the_next_handshake_and_is_on_the_crl() {
    let House {
        directory,
        clock,
        identity,
    } = house().await;
    let (issued, key) = enrolled(&identity, "cam-1").await;
    let before = identity.crl().expect("a CRL");
    let revoked = identity
        .revoke_all_of(&device("cam-1"), RevocationReason::KeyCompromise)
        .await
        .expect("revokes");
    assert_eq!(revoked, vec![issued.serial]);
    assert!(identity.is_revoked(&issued.serial));
    let client = || Some((issued.der.clone(), &key));
    let error = handshake(&identity, ClientAuth::Required, client()).expect_err("refused");
    assert_eq!(
        error,
        rustls::Error::InvalidCertificate(CertificateError::Revoked)
    );
    let after = identity.crl().expect("a CRL");
    assert_ne!(before, after);
    let listed = issued.serial.as_bytes();
    assert!(after.windows(listed.len()).any(|window| window == listed));
    // It stays revoked when the server starts anew.
    drop(identity);
    let identity = open(directory.path(), &clock).await;
    handshake(&identity, ClientAuth::Required, client()).expect_err("refused");
}

#[tokio::test]
async fn no_certificate_a_foreign_one_and_one_of_a_namesake_ca_are_refused() {
    let House { identity, .. } = house().await;
    handshake(&identity, ClientAuth::Required, None).expect_err("no certificate");
    let issuer_der = identity.issuer_der();
    let (_, issuer) = x509_parser::parse_x509_certificate(&issuer_der).expect("reads");
    let name = issuer
        .subject()
        .iter_common_name()
        .next()
        .expect("a name")
        .as_str()
        .expect("text");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let namesake = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"))
        .expect("a namesake");
    let key = KeyPair::generate().expect("a key");
    let mut params = request("cam-1", &key);
    let uri = "spiffe://fleet.test/device/cam-1"
        .try_into()
        .expect("ascii");
    params.subject_alt_names = vec![SanType::URI(uri)];
    let forged = params
        .signed_by(&key, &namesake)
        .expect("signs")
        .der()
        .to_vec();
    for auth in [ClientAuth::Required, ClientAuth::Optional] {
        handshake(&identity, auth, Some((forged.clone(), &key))).expect_err("a namesake's");
    }
    assert!(!matches!(
        identity.peer(&forged),
        Ok(Peer::Principal { .. })
    ));
}

#[tokio::test]
async fn a_makers_certificate_is_let_in_where_asked_for_and_is_no_principal() {
    let House { identity, .. } = house().await;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let maker =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a maker");
    let key = KeyPair::generate().expect("a key");
    let birth = request("cam-9", &key)
        .signed_by(&key, &maker)
        .expect("signs")
        .der()
        .to_vec();
    let client = || Some((birth.clone(), &key));
    handshake(&identity, ClientAuth::Optional, client()).expect_err("not trusted yet");
    identity
        .add_maker_ca("acme", maker.der(), None)
        .await
        .expect("trusts");
    handshake(&identity, ClientAuth::Optional, client()).expect("let in");
    handshake(&identity, ClientAuth::Required, client()).expect_err("the gateway wants ours");
    let named = Peer::MakerDevice {
        device: DeviceId::parse("cam-9").expect("valid"),
        maker: "acme".to_owned(),
        product: None,
    };
    assert_eq!(identity.peer(&birth), Ok(named));
    assert!(identity.remove_maker_ca("acme").await.expect("removes"));
    handshake(&identity, ClientAuth::Optional, client()).expect_err("not trusted any more");
}

#[tokio::test]
async fn a_request_for_more_than_its_own_is_refused() {
    let House { identity, .. } = house().await;
    let key = KeyPair::generate().expect("a key");
    let refusal = |params: CertificateParams| {
        let checked = CheckedCsr::parse(&csr(&params, &key));
        checked.and_then(|checked| checked.check_for(&device("cam-1"), identity.trust_domain()))
    };
    assert_eq!(refusal(request("cam-1", &key)), Ok(()));
    let error = refusal(request("cam-2", &key)).expect_err("another's name");
    assert!(matches!(error, CsrError::CommonName { .. }), "{error}");
    for san in [
        SanType::DnsName("admin.example".try_into().expect("ascii")),
        SanType::URI(
            "spiffe://fleet.test/device/cam-2"
                .try_into()
                .expect("ascii"),
        ),
        SanType::IpAddress([127, 0, 0, 1].into()),
    ] {
        let mut params = request("cam-1", &key);
        params.subject_alt_names = vec![san];
        assert!(matches!(refusal(params), Err(CsrError::Smuggled(_))));
    }
    let mut params = request("cam-1", &key);
    params.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(
        &[1, 2, 3],
        vec![5, 0],
    )];
    assert!(matches!(refusal(params), Err(CsrError::Smuggled(_))));
}

#[test]
fn a_request_without_proof_of_possession_or_with_a_weak_key_is_refused() {
    let key = KeyPair::generate().expect("a key");
    let mut forged = csr(&request("cam-1", &key), &key);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert_eq!(
        CheckedCsr::parse(&forged).expect_err("forged"),
        CsrError::Possession
    );
    let p521 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).expect("a key");
    let error = CheckedCsr::parse(&csr(&request("cam-1", &p521), &p521)).expect_err("kind");
    assert!(matches!(error, CsrError::Key(_)), "{error}");
    assert_eq!(
        CheckedCsr::parse(&[0; 20_000]).expect_err("large"),
        CsrError::TooLarge(20_000)
    );
    assert!(matches!(
        CheckedCsr::parse(b"garbage"),
        Err(CsrError::Malformed(_))
    ));
}

#[tokio::test]
async fn a_certificate_ends_with_its_validity() {
    let House {
        clock, identity, ..
    } = house().await;
    let (issued, key) = enrolled(&identity, "cam-1").await;
    let show = || Some((issued.der.clone(), &key));
    handshake(&identity, ClientAuth::Required, show()).expect("valid now");
    clock.advance_millis(-30 * 86_400_000);
    let error = handshake(&identity, ClientAuth::Required, show()).expect_err("not valid yet");
    assert!(format!("{error:?}").contains("NotValidYet"), "{error:?}");
    assert!(matches!(
        identity.peer(&issued.der),
        Err(PeerError::NotYetValid(_))
    ));
    clock.advance_millis(200 * 86_400_000);
    let error = handshake(&identity, ClientAuth::Required, show()).expect_err("expired");
    assert!(format!("{error:?}").contains("Expired"), "{error:?}");
    assert!(matches!(
        identity.peer(&issued.der),
        Err(PeerError::Expired(_))
    ));
}

#[test]
fn est_bodies_are_read_wrapped_and_unwrapped() {
    let der: Vec<u8> = (0..200).collect();
    assert_eq!(
        est::decode_body(est::encode_body(&der).as_bytes()),
        Ok(der.clone())
    );
    assert_eq!(
        est::decode_body(est::encode_body_wrapped(&der).as_bytes()),
        Ok(der.clone())
    );
    let crlf = est::encode_body_wrapped(&der).replace('\n', "\r\n");
    assert_eq!(est::decode_body(crlf.as_bytes()), Ok(der));
    assert!(est::decode_body(&[b'A'; 30_000]).is_err());
    assert!(est::decode_body(b"!!!").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_mutation_of_a_request_makes_the_parser_panic(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()
    ) {
        let key = KeyPair::generate().expect("a key");
        let mut der = csr(&request("cam-1", &key), &key);
        let index = at.index(der.len());
        der[index] = byte;
        // Bytes outside the signed part (how an algorithm is encoded) may differ; nothing else.
        if let Ok(checked) = CheckedCsr::parse(&der) {
            prop_assert_eq!(checked.common_name(), Some("cam-1"));
        }
        der.truncate(cut.index(der.len()));
        prop_assert!(CheckedCsr::parse(&der).is_err());
    }

    #[test]
    fn no_bytes_make_the_body_decoder_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(der) = est::decode_body(&body) {
            let _ = CheckedCsr::parse(&der);
        }
    }
}
