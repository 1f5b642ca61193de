//! The certification authority.

use axum::http::Method;
use palisade_core::{DeviceId, Principal, port::RevocationView};
use serde_json::json;

use crate::house::house;

#[tokio::test]
async fn the_authority_says_what_it_is_and_renews_its_issuer() {
    let house = house().await;
    let ca = house.get("/api/v1/ca").expect(200).await;
    assert_eq!(ca["trust_domain"], "fleet.test");
    assert_eq!(ca["root"]["pem"], house.identity.root_pem());
    let call = house.call(Method::POST, "/api/v1/ca/renew-issuer");
    let renewed = call.expect(200).await;
    assert_ne!(renewed["issuer_id"], ca["issuer_id"]);
    assert_eq!(renewed["root"], ca["root"]);
    house
        .call(Method::POST, "/api/v1/ca/refresh-crl")
        .expect(204)
        .await;
}

#[tokio::test]
async fn one_certificate_is_revoked() {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    let device = Principal::from(DeviceId::parse("cam-1").expect("valid"));
    let (issued, _) = house
        .identity
        .issue_with_key(&device)
        .await
        .expect("issues");
    let path = format!("/api/v1/ca/certificates/{}/revoke", issued.serial);
    house
        .post(&path, json!({ "reason": "because" }))
        .problem(422)
        .await;
    for _ in 0..2 {
        let body = json!({ "reason": "keyCompromise" });
        let revoked = house.post(&path, body).expect(200).await;
        assert_eq!(revoked["revocation"]["reason"], "keyCompromise");
    }
    assert!(house.identity.is_revoked(&issued.serial));
    let none = "/api/v1/ca/certificates/0a0b/revoke";
    house
        .post(none, json!({ "reason": "superseded" }))
        .problem(404)
        .await;
    let bad = "/api/v1/ca/certificates/xyz/revoke";
    house
        .post(bad, json!({ "reason": "superseded" }))
        .problem(400)
        .await;
}

#[tokio::test]
async fn a_makers_ca_is_trusted_and_trusted_no_longer() {
    let house = house().await;
    house.fleet(&[]).await;
    let path = "/api/v1/ca/makers/acme";
    house
        .put(path, json!({ "certificate": "nonsense" }))
        .problem(422)
        .await;
    let ours = json!({ "certificate": house.identity.root_pem() });
    house.put(path, ours).problem(422).await;
    // Another installation's root stands for a maker's CA.
    let elsewhere = crate::house::house().await;
    let certificate = elsewhere.identity.root_pem();
    let unknown = json!({ "certificate": certificate, "product": "toaster" });
    house.put(path, unknown).problem(409).await;
    let body = json!({ "certificate": certificate, "product": "camera" });
    let trusted = house.put(path, body).expect(200).await;
    assert_eq!(trusted["product"], "camera");
    let listed = house.get("/api/v1/ca/makers").expect(200).await;
    assert_eq!(listed["items"], json!([trusted]));
    house.call(Method::DELETE, path).expect(204).await;
    house.call(Method::DELETE, path).problem(404).await;
}

#[tokio::test]
async fn the_root_key_leaves_and_comes_back() {
    let house = house().await;
    let passphrase = "correct horse battery staple";
    let path = "/api/v1/ca/root/export";
    house
        .post(path, json!({ "passphrase": "short" }))
        .problem(422)
        .await;
    let exported = house.post(path, json!({ "passphrase": passphrase }));
    let exported = exported.expect(200).await["exported"].clone();
    let with = |passphrase: &str| json!({ "exported": exported, "passphrase": passphrase });
    let detach = "/api/v1/ca/root/detach";
    house
        .post(detach, with("another long passphrase"))
        .problem(422)
        .await;
    let detached = house.post(detach, with(passphrase)).expect(200).await;
    assert_eq!(detached["root_key_is_here"], false);
    let why = house
        .call(Method::POST, "/api/v1/ca/renew-issuer")
        .problem(409)
        .await;
    assert!(why.contains("offline"), "{why}");
    let import = "/api/v1/ca/root/import";
    let imported = house.post(import, with(passphrase)).expect(200).await;
    assert_eq!(imported["root_key_is_here"], true);
    let recorded: String = house
        .entries()
        .await
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(recorded.contains("ca.detach_root"));
    assert!(!recorded.contains(passphrase));
}
