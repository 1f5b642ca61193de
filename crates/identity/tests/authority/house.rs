//! An authority of its own for each test, and clients for it.

use std::sync::Arc;

use palisade_bus::LocalBus;
use palisade_core::{
    Clock, DeviceId, Event, ManualClock, Principal, Timestamp, TrustDomain,
    port::{BoxFuture, Journal, JournalError},
};
use palisade_identity::{CheckedCsr, ClientAuth, Identity, IdentityConfig, Issued};
use palisade_keys::{KeySource, Keystore};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};

/// What is written down is not what these tests are about.
struct NoJournal;

impl Journal for NoJournal {
    fn record(&self, _: Vec<Event>) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

pub struct House {
    pub directory: tempfile::TempDir,
    pub clock: ManualClock,
    pub identity: Arc<Identity>,
}

pub async fn house() -> House {
    let directory = tempfile::tempdir().expect("a directory");
    let clock = ManualClock::new(Timestamp::now());
    let identity = open(directory.path(), &clock).await;
    House {
        directory,
        clock,
        identity,
    }
}

pub async fn open(directory: &std::path::Path, clock: &ManualClock) -> Arc<Identity> {
    let key_file = directory.join("kek");
    KeySource::generate_file(&key_file).expect("writes");
    let source = KeySource::File(key_file);
    let store = palisade_test_store::open(directory).await.expect("opens");
    let bus = Arc::new(LocalBus::new(store.clone()));
    let keys = Keystore::open(&directory.join("keys.json"), &source).expect("opens");
    let mut config = IdentityConfig::new(TrustDomain::parse("fleet.test").expect("valid"));
    config.crl_url = Some("http://ca.test:8444".into());
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

pub fn device(id: &str) -> Principal {
    DeviceId::parse(id).expect("valid").into()
}

pub fn request(common_name: &str, key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let _ = key;
    params
}

pub fn csr(params: &CertificateParams, key: &KeyPair) -> Vec<u8> {
    params
        .serialize_request(key)
        .expect("a request")
        .der()
        .to_vec()
}

pub async fn enrolled(identity: &Identity, id: &str) -> (Issued, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let checked = CheckedCsr::parse(&csr(&request(id, &key), &key)).expect("a good request");
    (
        identity.issue(&device(id), &checked).await.expect("issues"),
        key,
    )
}

/// A TLS 1.3 handshake in memory; the error is the server's.
pub fn handshake(
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
