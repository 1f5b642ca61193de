//! Whom the handshake lets in.

use palisade_core::{DeviceId, port::RevocationView};
use palisade_identity::{ClientAuth, Peer, PeerError, RevocationReason};
use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::CertificateError;

use crate::house::{House, device, enrolled, handshake, house, open, request};

#[tokio::test]
async fn an_enrolled_device_is_let_in_and_named() {
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
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
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
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
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
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
async fn a_certificate_ends_with_its_validity() {
    let House {
        clock,
        identity,
        directory: _directory,
        ..
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
