//! What anybody may fetch.

use palisade_identity::RevocationReason;
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

use crate::house::House;

#[tokio::test]
async fn the_ca_certificates_are_root_and_issuer_and_libest_gets_lines() {
    let house = House::open().await;
    let client = house.client();
    let answer = client.get("/.well-known/est/cacerts").await;
    assert_eq!(answer.header("content-type"), "application/pkcs7-mime");
    assert!(!answer.text().contains('\n'));
    let mut found = answer.certificates();
    found.sort();
    let mut ours = vec![
        house.identity.root_der().to_vec(),
        house.identity.issuer_der().to_vec(),
    ];
    ours.sort();
    assert_eq!(found, ours);
    let root = client.get("/ca/root.pem").await;
    assert_eq!(root.text(), house.identity.root_pem());
    let attributes = client.get("/.well-known/est/csrattrs").await;
    assert_eq!(attributes.header("content-type"), "application/csrattrs");
    assert_eq!(attributes.status, 200);
    house.close().await;
}

#[tokio::test]
async fn a_revocation_is_on_the_crl_that_is_fetched_next() {
    let house = House::open().await;
    let enrolled = house.enrol("cam-1").await;
    let (_, certificate) = x509_parser::parse_x509_certificate(&enrolled.der).expect("reads");
    let serial = palisade_core::Serial::from_bytes(certificate.raw_serial()).expect("valid");
    let path = format!("/crl/{}.crl", house.identity.issuer_id());
    let client = house.client();
    for revoked in [false, true] {
        if revoked {
            let reason = RevocationReason::KeyCompromise;
            house
                .identity
                .revoke(&serial, reason)
                .await
                .expect("revokes");
        }
        let answer = client.get(&path).await;
        assert_eq!(answer.header("content-type"), "application/pkix-crl");
        let (_, list) = CertificateRevocationList::from_der(&answer.body).expect("reads");
        let mut entries = list.iter_revoked_certificates();
        let is_listed = entries.any(|entry| entry.raw_serial() == serial.as_bytes());
        assert_eq!(is_listed, revoked);
    }
    for path in [
        "/crl/nobody.crl",
        "/crl/x",
        "/crl/..%2f..%2fetc%2fpasswd.crl",
        "/nothing",
    ] {
        assert_eq!(client.get(path).await.status, 404, "{path}");
    }
    house.close().await;
}
