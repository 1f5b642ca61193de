use super::*;
use crate::{certificate, testing::TestCa};

fn identity(ca: &TestCa, key: DeviceKey, name: &str) -> Result<DeviceIdentity, IdentityError> {
    let leaf = ca.issue(name, key.pair());
    DeviceIdentity::new(key, vec![leaf, ca.issuer()], vec![ca.root()])
}

#[test]
fn an_identity_survives_its_way_through_pem() {
    let ca = TestCa::new();
    let key = DeviceKey::generate().expect("a key");
    let before = identity(&ca, key, "cam-1").expect("an identity");
    let after = DeviceIdentity::from_pem(&before.to_secret_pem(), &before.roots_pem());
    let after = after.expect("reads back");
    assert_eq!(after.device().as_str(), "cam-1");
    assert_eq!(after.chain(), before.chain());
    assert_eq!(after.roots(), before.roots());
    assert_eq!(after.to_secret_pem(), before.to_secret_pem());
}

#[test]
fn renewal_is_due_at_two_thirds_of_the_life() {
    let ca = TestCa::new();
    let identity = identity(&ca, DeviceKey::generate().expect("a key"), "cam-1");
    let identity = identity.expect("an identity");
    assert_eq!(identity.life(), Duration::from_secs(3900));
    let due = identity.renewal_due().duration_since(identity.not_before());
    assert_eq!(due.as_secs(), 2600);
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused() {
    let ca = TestCa::new();
    let (key, other) = (
        DeviceKey::generate().expect("a key"),
        DeviceKey::generate().expect("a key"),
    );
    let leaf = ca.issue("cam-1", key.pair());
    let mixed = DeviceIdentity::new(other, vec![leaf], vec![ca.root()]);
    assert!(matches!(mixed, Err(IdentityError::KeyMismatch)));
}

#[test]
fn a_certificate_that_names_no_device_is_refused() {
    let ca = TestCa::new();
    let named = identity(&ca, DeviceKey::generate().expect("a key"), "a/b");
    assert!(matches!(
        named,
        Err(IdentityError::Certificate(CertificateError::Name(_)))
    ));
}

#[test]
fn nothing_of_the_key_shows_in_debug_output() {
    let ca = TestCa::new();
    let identity = identity(&ca, DeviceKey::generate().expect("a key"), "cam-1");
    let shown = format!("{:?}", identity.expect("an identity"));
    assert!(shown.starts_with("DeviceIdentity(cam-1, until "), "{shown}");
    assert!(shown.len() < 80, "{shown}");
}

#[test]
fn the_chain_leads_from_the_leaf_and_leaves_the_root_out() {
    let ca = TestCa::new();
    let key = DeviceKey::generate().expect("a key");
    let leaf = ca.issue("cam-1", key.pair());
    let stranger = TestCa::new();
    let pool = [ca.root(), leaf.clone(), stranger.root(), ca.issuer()];
    let chain = certificate::chain(leaf.clone(), &pool).expect("a chain");
    assert_eq!(chain, [leaf, ca.issuer()]);
}

#[test]
fn a_certificate_of_another_authority_is_not_taken() {
    let (ca, stranger) = (TestCa::new(), TestCa::new());
    let key = DeviceKey::generate().expect("a key");
    let chain = [ca.issue("cam-1", key.pair()), ca.issuer()];
    assert!(tls::check_issued(&chain, &[ca.root()]).is_ok());
    let refused = tls::check_issued(&chain, &[stranger.root()]);
    assert!(
        matches!(refused, Err(TlsError::Untrusted(_))),
        "{refused:?}"
    );
}

#[test]
fn the_request_is_one_that_the_server_signs() {
    let key = DeviceKey::generate().expect("a key");
    let device = DeviceId::parse("cam-1").expect("an id");
    let request = key.request(&device).expect("a request");
    let checked = palisade_identity::CheckedCsr::parse(&request).expect("accepted");
    assert_eq!(checked.common_name(), Some("cam-1"));
    let principal = palisade_core::Principal::Device(device);
    let domain = palisade_core::TrustDomain::parse("example").expect("a domain");
    checked
        .check_for(&principal, &domain)
        .expect("for this device alone");
}
