//! What the server says of itself: the checks of the doctor, and its keys.

use axum::http::Method;
use palisade_core::Clock;
use serde_json::Value;
use sqlx::AnyPool;

use crate::{
    house::{House, house},
    people::{account, session},
};

async fn levels(house: &House) -> Vec<(String, String)> {
    let seen = house.get("/api/v1/doctor").expect(200).await;
    let findings = seen["findings"].as_array().expect("findings").iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    findings
        .map(|one| (text(&one["check"]), text(&one["level"])))
        .collect()
}

fn level<'a>(levels: &'a [(String, String)], check: &str) -> &'a str {
    let found = levels.iter().find(|(name, _)| name == check);
    &found
        .unwrap_or_else(|| panic!("{check} was not looked at: {levels:?}"))
        .1
}

#[tokio::test]
async fn a_house_that_was_just_made_is_well() {
    let house = house().await;
    house.identity.keep_fresh().await.expect("makes a CRL");
    let seen = house.get("/api/v1/doctor").expect(200).await;
    assert_eq!(seen["worst"], "ok", "{seen}");
    let levels = levels(&house).await;
    for check in [
        "database",
        "disk",
        "ledger",
        "clock",
        "certification authority",
        "certificate of the doors",
        "revocation list",
        "detection",
        "rules",
        "automatic response",
        "log of access",
    ] {
        assert_eq!(level(&levels, check), "ok");
    }
    assert!(
        !seen
            .to_string()
            .contains(house.directory.path().to_str().expect("text"))
    );
}

#[tokio::test]
async fn what_ends_is_seen_before_and_after_its_end_with_what_to_do() {
    let house = house().await;
    house.identity.keep_fresh().await.expect("makes a CRL");
    house.clock.advance_millis(60 * 24 * 60 * 60 * 1_000);
    let seen = house.get("/api/v1/doctor").expect(200).await;
    assert_eq!(seen["worst"], "fail");
    let findings = seen["findings"].as_array().expect("findings");
    let crl = findings
        .iter()
        .find(|one| one["check"] == "revocation list");
    let crl = crl.expect("was looked at");
    assert_eq!(crl["level"], "fail");
    let mend = crl["mend"].as_str().expect("says what to do");
    assert!(mend.contains("palisade ca refresh-crl"), "{mend}");
}

#[tokio::test]
async fn a_switch_that_is_off_is_a_warning() {
    let house = house().await;
    let body = serde_json::json!({ "stopped": true, "reason": "an exercise" });
    house
        .put("/api/v1/response/kill-switch", body)
        .expect(200)
        .await;
    assert_eq!(level(&levels(&house).await, "automatic response"), "warn");
}

#[tokio::test]
async fn entries_that_were_removed_from_the_ledger_are_missed() {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    let quarantine = serde_json::json!({ "reason": "odd" });
    let _ = house
        .post("/api/v1/devices/cam-1/quarantine", quarantine)
        .send()
        .await;
    assert_eq!(level(&levels(&house).await, "ledger"), "ok");
    let database = palisade_test_store::address(house.directory.path());
    let pool = AnyPool::connect(&database);
    let newest = "DELETE FROM ledger WHERE seq = (SELECT MAX(seq) FROM ledger)";
    let pool = pool.await.expect("connects");
    sqlx::raw_sql(newest).execute(&pool).await.expect("removes");
    assert_eq!(level(&levels(&house).await, "ledger"), "fail");
}

#[tokio::test]
async fn keys_are_listed_without_what_is_in_them() {
    let house = house().await;
    let keys = house.get("/api/v1/keys").expect(200).await;
    let items = keys["items"].as_array().expect("items");
    let purposes: Vec<_> = items.iter().map(|key| key["purpose"].as_str()).collect();
    let all = ["root", "issuer", "doors", "key_encryption"].map(Some);
    assert_eq!(purposes, all);
    assert!(
        items[..3]
            .iter()
            .all(|key| key["until"].is_string() && key["place"] == "keystore")
    );
    assert_eq!(items[3]["since"], Value::Null, "it was never rotated");
    let at = house.clock.now();
    house
        .store
        .settings()
        .note_keys_rotated(at)
        .await
        .expect("notes");
    let keys = house.get("/api/v1/keys").expect(200).await;
    assert_eq!(keys["items"][3]["since"], at.to_string());
    assert!(!keys.to_string().contains("BEGIN"));
}

#[tokio::test]
async fn who_only_works_in_the_field_does_not_look_into_the_server() {
    let house = house().await;
    for (role, status) in [
        ("technician", 403),
        ("release-manager", 403),
        ("operator", 200),
        ("auditor", 200),
    ] {
        account(&house, role, role).await;
        let secret = session(&house, role).await;
        for path in ["/api/v1/doctor", "/api/v1/keys"] {
            let answer = house
                .anonymous(Method::GET, path)
                .cookie(&secret)
                .send()
                .await;
            assert_eq!(answer.0.as_u16(), status, "{role} {path}: {}", answer.1);
        }
    }
}
