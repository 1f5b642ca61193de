//! A first certificate, with the one that the maker gave.

use palisade_core::{Lifecycle, ProductId};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::house::{ENROLL, Enrolled, House, REENROLL, csr_body};

struct Maker(CertifiedIssuer<'static, KeyPair>);

impl Maker {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("signs"))
    }

    fn birth(&self, id: &str) -> Enrolled {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, id);
        let signed = params.signed_by(&key, &self.0).expect("signs");
        let der = signed.der().to_vec();
        Enrolled { der, key }
    }
}

async fn trusted(house: &House, product: Option<&str>) -> Maker {
    let maker = Maker::new("Acme");
    let product = product.map(|id| ProductId::parse(id).expect("valid"));
    let added = house.identity.add_maker_ca("acme", maker.0.der(), product);
    added.await.expect("trusts");
    maker
}

#[tokio::test]
async fn a_device_enrols_with_its_birth_certificate_and_renews_with_ours() {
    let house = House::open().await;
    let maker = trusted(&house, Some("cam")).await;
    let birth = maker.birth("cam-1");
    let body = csr_body("cam-1", &birth.key);
    let client = house.client_of(&birth);
    let answer = client.post(ENROLL, &[], body.as_bytes()).await;
    let ours = Enrolled {
        der: answer.certificate(),
        key: KeyPair::from_pem(&birth.key.serialize_pem()).expect("a key"),
    };
    assert_eq!(house.lifecycle("cam-1").await, Some(Lifecycle::Active));
    let answer = client.post(REENROLL, &[], body.as_bytes()).await;
    assert_eq!(answer.status, 403, "with the birth certificate");
    let answer = house
        .client_of(&ours)
        .post(REENROLL, &[], body.as_bytes())
        .await;
    assert_eq!(answer.status, 200);
    house.close().await;
}

#[tokio::test]
async fn a_maker_speaks_for_its_devices_and_product_alone() {
    let house = House::open().await;
    house.product("lock", false).await;
    house.register("lock-1", "lock").await;
    let maker = trusted(&house, Some("cam")).await;
    let birth = maker.birth("cam-1");
    let key = KeyPair::generate().expect("a key");
    let other = csr_body("cam-2", &key);
    let answer = house
        .client_of(&birth)
        .post(ENROLL, &[], other.as_bytes())
        .await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    let birth = maker.birth("lock-1");
    let body = csr_body("lock-1", &key);
    let answer = house
        .client_of(&birth)
        .post(ENROLL, &[], body.as_bytes())
        .await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_eq!(house.lifecycle("lock-1").await, Some(Lifecycle::Registered));
    house.close().await;
}

#[tokio::test]
async fn a_maker_without_a_product_enrols_known_devices_alone() {
    let house = House::open().await;
    let maker = trusted(&house, None).await;
    let birth = maker.birth("cam-1");
    let body = csr_body("cam-1", &birth.key);
    let client = house.client_of(&birth);
    let answer = client.post(ENROLL, &[], body.as_bytes()).await;
    assert!(
        answer.text().contains("register it first"),
        "{}",
        answer.text()
    );
    house.register("cam-1", "cam").await;
    let answer = client.post(ENROLL, &[], body.as_bytes()).await;
    assert_eq!(answer.status, 200);
    house.close().await;
}

#[tokio::test]
async fn a_namesake_of_the_maker_is_refused_in_the_handshake_and_that_is_on_record() {
    let house = House::open().await;
    trusted(&house, Some("cam")).await;
    let forged = Maker::new("Acme").birth("cam-1");
    let body = csr_body("cam-1", &forged.key);
    let client = house.client_of(&forged);
    let sent = client.send(hyper::Method::POST, ENROLL, &[], body.as_bytes());
    sent.await.expect_err("the handshake ends it");
    house.refusal("tls handshake").await;
    assert_eq!(house.lifecycle("cam-1").await, None);
    house.close().await;
}
