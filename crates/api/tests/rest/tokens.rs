//! Enrolment tokens, API tokens, services.

use axum::http::Method;
use palisade_core::{Principal, ServiceId};
use palisade_identity::Peer;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::json;

use crate::house::{house, sha256};

#[tokio::test]
async fn an_enrolment_token_is_shown_once_and_only_its_hash_is_kept() {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    let path = "/api/v1/enrolment-tokens";
    let body = json!({ "product": "camera", "uses": 5, "ttl_s": 3600, "note": "spring" });
    let made = house.post(path, body).expect(201).await;
    let secret = made["secret"].as_str().expect("a secret");
    assert!(secret.starts_with("pet_") && secret.len() == 47, "{secret}");
    let kept = house.store.tokens().find_enrolment(&sha256(secret)).await;
    assert_eq!(kept.expect("reads").expect("is there").uses_left, 5);
    let listed = house.get(path).expect(200).await;
    assert_eq!(
        listed["items"][0]["scope"],
        json!({ "type": "product", "id": "camera" })
    );
    assert!(!listed.to_string().contains(secret));
    let one = format!("{path}/{}", made["id"].as_str().expect("an id"));
    house.call(Method::DELETE, &one).expect(204).await;
    let listed = house.get(path).expect(200).await;
    assert_eq!(listed["items"][0]["revoked"], true);
    let none = format!("{path}/01JZX3R5W8Q2M4N6P7T9V0A1BC");
    house.call(Method::DELETE, &none).problem(404).await;
    let device = json!({ "device": "cam-1" });
    let made = house.post(path, device).expect(201).await;
    assert_eq!(made["uses_left"], 1);
}

#[tokio::test]
async fn an_enrolment_token_is_for_one_thing_that_exists() {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    let path = "/api/v1/enrolment-tokens";
    for (body, status) in [
        (json!({}), 422),
        (json!({ "device": "cam-1", "product": "camera" }), 422),
        (json!({ "device": null, "product": "camera" }), 422),
        (json!({ "product": "camera", "uses": 0 }), 422),
        (json!({ "product": "camera", "ttl_s": 1 }), 422),
        (json!({ "product": "toaster" }), 409),
        (json!({ "device": "cam-9" }), 409),
    ] {
        house.post(path, body).problem(status).await;
    }
}

#[tokio::test]
async fn an_api_token_does_what_it_may_until_it_is_revoked() {
    let house = house().await;
    let path = "/api/v1/api-tokens";
    let body = json!({ "name": "dashboard", "scopes": ["devices:read"], "ttl_s": 3600 });
    let made = house.post(path, body.clone()).expect(201).await;
    let secret = made["secret"].as_str().expect("a secret");
    let ask = |path: &'static str| house.anonymous(Method::GET, path).bearer(secret);
    let who = ask("/api/v1/whoami").expect(200).await;
    assert_eq!(who["name"], "dashboard");
    assert_eq!(who["scopes"], json!(["devices:read"]));
    ask("/api/v1/devices").expect(200).await;
    ask("/api/v1/ledger").problem(403).await;
    let why = house.post(path, body).problem(409).await;
    assert!(why.contains("in use"), "{why}");
    let one = format!("{path}/{}", made["id"].as_str().expect("an id"));
    house.call(Method::DELETE, &one).expect(204).await;
    ask("/api/v1/devices").problem(401).await;
}

#[tokio::test]
async fn a_token_makes_none_that_may_do_more_than_itself() {
    let house = house().await;
    let secret = house.token("minter", &["admin", "devices:read"]).await;
    let make = |scopes: &[&str]| {
        let call = house.anonymous(Method::POST, "/api/v1/api-tokens");
        let body = json!({ "name": scopes.join(" "), "scopes": scopes });
        call.bearer(&secret).json(body)
    };
    make(&["devices:read"]).expect(201).await;
    make(&["*"]).problem(403).await;
    make(&["devices:read", "ca:root"]).problem(403).await;
    make(&["nothing:read"]).problem(422).await;
    make(&[]).problem(422).await;
}

#[tokio::test]
async fn a_service_gets_a_certificate_for_a_key_that_is_shown_once() {
    let house = house().await;
    let path = "/api/v1/services/billing/certificate";
    house.post(path, json!({})).problem(404).await;
    let service = house.put(
        "/api/v1/services/billing",
        json!({ "description": "Bills" }),
    );
    service.expect(200).await;
    let made = house.post(path, json!({})).expect(201).await;
    let text = |name: &str| made[name].as_str().expect("text").to_owned();
    let certificate = CertificateDer::from_pem_slice(text("certificate").as_bytes());
    let certificate = certificate.expect("a certificate");
    PrivateKeyDer::from_pem_slice(text("private_key").as_bytes()).expect("a key");
    assert_eq!(text("chain").matches("BEGIN CERTIFICATE").count(), 2);
    let peer = house.identity.peer(&certificate).expect("ours");
    let billing = Principal::from(ServiceId::parse("billing").expect("valid"));
    assert!(
        matches!(&peer, Peer::Principal { principal, .. } if *principal == billing),
        "{peer:?}"
    );
    let entries = house.entries().await;
    let recorded = entries.iter().map(ToString::to_string).collect::<String>();
    assert!(!recorded.contains("PRIVATE KEY"));
    for csr in [
        "",
        "nonsense",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n",
    ] {
        house.post(path, json!({ "csr": csr })).problem(422).await;
    }
}
