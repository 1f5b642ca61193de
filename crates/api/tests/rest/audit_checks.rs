//! Each audit check: where all is as it should be, and where it is not.

use std::net::IpAddr;

use palisade_core::{
    Clock, Door, Event, EventKind, GrantScope, Lifecycle, Principal, ProductId, Serial, SessionEnd,
    Timestamp, TokenId, TrustScore, port::Journal,
};
use palisade_export::ExportState;
use palisade_identity::{ClientAuth, Issued, RevocationReason};
use palisade_policy::DEFAULT_POLICIES;
use palisade_store::{CertificateRecord, EnrolmentToken, TokenScope};
use rustls::pki_types::{CertificateDer, UnixTime};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::audits::{Audited, audited, device, until};

const DAY: i64 = 86_400_000;
/// A certificate with an RSA key of 1024 bits.
const WEAK: &[u8] = include_bytes!("rsa1024.der");

impl Audited {
    async fn active(&self, ids: &[&str]) {
        self.house.fleet(ids).await;
        for id in ids {
            let (id, to) = (device(id), Lifecycle::Active);
            let active = self.house.pdp.set_lifecycle(&id, to, "a test").await;
            active.expect("is active");
        }
    }

    async fn issue(&self, id: &str) -> Issued {
        let principal = Principal::from(device(id));
        let issued = self.house.identity.issue_with_key(&principal).await;
        issued.expect("issues").0
    }

    async fn add_certificate(&self, id: &str, der: &[u8]) -> Serial {
        let serial = Serial::from_bytes(
            TokenId::generate()
                .to_string()
                .as_bytes()
                .get(8..24)
                .expect("16"),
        );
        let now = self.house.clock.now();
        let record = CertificateRecord {
            serial: serial.expect("a serial"),
            principal: format!("device/{id}"),
            issuer: self.house.identity.issuer_id(),
            not_before: now,
            not_after: now + std::time::Duration::from_secs(86_400),
            der: der.to_vec(),
            issued_at: now,
            revocation: None,
        };
        let added = self.house.store.certificates().add(&record).await;
        added.expect("adds");
        record.serial
    }

    /// Tells detection what happened to a device, and waits until it was looked at.
    async fn happened(&self, id: &str, from: &str, kinds: Vec<EventKind>) {
        let house = &self.house;
        let before = house.detect.stats().events;
        let count = kinds.len() as u64;
        let source: IpAddr = from.parse().expect("an address");
        let events = kinds.into_iter().map(|kind| {
            house.clock.advance_millis(1_000);
            let event = Event::new(house.clock.now(), Door::Mqtt, kind);
            event.about(device(id)).from_source(source)
        });
        let recorded = house.journal.record(events.collect()).await;
        recorded.expect("records");
        until("detection has looked", async || {
            house.detect.stats().events >= before + count
        })
        .await;
    }

    /// The resources that a check finds now.
    async fn names(&self, check: &str) -> Vec<String> {
        let found = self.found(check).await;
        found.into_iter().map(|(resource, _)| resource).collect()
    }
}

fn opened(client_id: &str) -> EventKind {
    EventKind::Admitted {
        client_id: client_id.to_owned(),
        protocol: "mqtt 5".to_owned(),
        serial: None,
        key_exchange: None,
    }
}

fn taken_over(client_id: &str) -> EventKind {
    EventKind::Disconnected {
        client_id: client_id.to_owned(),
        end: SessionEnd::TakenOver,
        duration_ms: 1,
        messages_in: 0,
        messages_out: 0,
    }
}

#[tokio::test]
async fn certificate_expiring_finds_what_was_not_renewed_in_time() {
    let all = audited().await;
    all.active(&["cam-1", "cam-2"]).await;
    let old = all.issue("cam-1").await;
    all.issue("cam-2").await;
    all.house.clock.advance_millis(59 * DAY);
    assert!(all.names("certificate-expiring").await.is_empty());
    // And a minute, so that not the millisecond of the start decides how many whole days are left.
    all.house.clock.advance_millis(9 * DAY + 60_000);
    // One of the two is renewed, by two thirds of its life and a little.
    all.issue("cam-2").await;
    let found = all.found("certificate-expiring").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, format!("certificate/{}", old.serial));
    assert!(found[0].1.contains("in 21 days"), "{found:?}");
    all.issue("cam-1").await;
    assert!(all.names("certificate-expiring").await.is_empty());
}

#[tokio::test]
async fn dead_certificate_used_finds_who_shows_a_certificate_that_is_revoked_or_has_ended() {
    let all = audited().await;
    all.active(&["cam-1", "cam-2", "cam-3"]).await;
    let house = &all.house;
    let (revoked, ended, good) = (
        all.issue("cam-1").await,
        all.issue("cam-2").await,
        all.issue("cam-3").await,
    );
    let verifier = house.identity.client_verifier(ClientAuth::Required);
    let show = |issued: &Issued| {
        let der = CertificateDer::from(issued.der.clone());
        verifier
            .verify_client_cert(&der, &[], UnixTime::now())
            .is_ok()
    };
    assert!(show(&revoked) && show(&ended) && show(&good));
    assert!(all.names("dead-certificate-used").await.is_empty());
    let reason = RevocationReason::KeyCompromise;
    let done = house.identity.revoke(&revoked.serial, reason).await;
    assert!(done.expect("revokes"));
    assert!(!show(&revoked) && !show(&revoked));
    let found = all.found("dead-certificate-used").await;
    assert_eq!(found[0].0, format!("certificate/{}", revoked.serial));
    assert!(
        found[0].1.contains("2 times because it is revoked"),
        "{found:?}"
    );
    house.clock.advance_millis(91 * DAY);
    assert!(!show(&ended));
    let found = all.found("dead-certificate-used").await;
    assert_eq!(found.len(), 1, "what is days ago is forgotten: {found:?}");
    assert!(
        found[0].1.contains("1 times because it has ended"),
        "{found:?}"
    );
    // A stranger's certificate with the same trouble is nobody's.
    let stranger = CertificateDer::from(WEAK.to_vec());
    let refused = verifier.verify_client_cert(&stranger, &[], UnixTime::now());
    assert!(refused.is_err());
    assert_eq!(all.found("dead-certificate-used").await.len(), 1);

    let mended = all.mitigate("dead-certificate-used", json!({})).await;
    assert_eq!(mended["done"], 1, "{mended}");
    assert_eq!(house.lifecycle("cam-2").await, Lifecycle::Quarantined);
}

#[tokio::test]
async fn shared_key_finds_all_who_have_the_key() {
    let all = audited().await;
    all.active(&["cam-1", "cam-2", "cam-3"]).await;
    let first = all.issue("cam-1").await;
    // A renewal with the same key is no sharing.
    all.add_certificate("cam-1", &first.der).await;
    all.issue("cam-3").await;
    assert!(all.names("shared-key").await.is_empty());
    let copy = all.add_certificate("cam-2", &first.der).await;
    let found = all.names("shared-key").await;
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.contains(&format!("certificate/{copy}")));
    assert!(found.contains(&format!("certificate/{}", first.serial)));
    let mended = all.mitigate("shared-key", json!({})).await;
    assert_eq!(mended["done"], 3, "{mended}");
    assert!(all.names("shared-key").await.is_empty());
}

#[tokio::test]
async fn weak_key_finds_keys_that_are_not_issued_today() {
    let all = audited().await;
    all.active(&["cam-1", "cam-2"]).await;
    all.issue("cam-1").await;
    assert!(all.names("weak-key").await.is_empty());
    let weak = all.add_certificate("cam-2", WEAK).await;
    let found = all.found("weak-key").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, format!("certificate/{weak}"));
    assert!(found[0].1.contains("RSA of 1024 bits"), "{found:?}");
}

#[tokio::test]
async fn conflicting_client_finds_a_device_that_is_in_two_places_again_and_again() {
    let all = audited().await;
    all.active(&["cam-1", "cam-2", "cam-3"]).await;
    let (home, away) = ("192.0.2.1", "198.51.100.9");
    for _ in 0..3 {
        // The takeover may stand on the stream before or after the session that took over.
        all.happened("cam-1", away, vec![opened("cam-1")]).await;
        all.happened("cam-1", home, vec![taken_over("cam-1")]).await;
        all.happened("cam-1", away, vec![taken_over("cam-1")]).await;
        all.happened("cam-1", home, vec![opened("cam-1")]).await;
        // This one comes back from where it was.
        all.happened("cam-2", home, vec![taken_over("cam-2"), opened("cam-2")])
            .await;
    }
    // And this one moved, once.
    all.happened("cam-3", home, vec![opened("cam-3"), taken_over("cam-3")])
        .await;
    all.happened("cam-3", away, vec![opened("cam-3")]).await;
    let found = all.found("conflicting-client").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "device/cam-1");
    assert!(found[0].1.contains(away), "{found:?}");
    let mended = all.mitigate("conflicting-client", json!({})).await;
    assert_eq!(mended["done"], 1, "{mended}");
    assert_eq!(all.house.lifecycle("cam-1").await, Lifecycle::Quarantined);
}

#[tokio::test]
async fn permissive_grant_finds_what_reaches_the_topics_of_others() {
    let all = audited().await;
    all.active(&["cam-1", "cam-2"]).await;
    let product = || GrantScope::Product(ProductId::parse("camera").expect("valid"));
    for (scope, pattern) in [
        (GrantScope::Fleet, "devices/{device}/telemetry/#"),
        (product(), "news/#"),
        (product(), "segments/{segment}/+/status"),
        (GrantScope::Device(device("cam-1")), "devices/cam-1/extra/#"),
    ] {
        all.grant(scope, pattern).await;
    }
    assert!(all.names("permissive-grant").await.is_empty());
    let mut expected = Vec::new();
    for (scope, pattern) in [
        (GrantScope::Fleet, "#"),
        (product(), "+/status"),
        (product(), "devices/+/telemetry/#"),
        (GrantScope::Device(device("cam-1")), "devices/#"),
        (GrantScope::Device(device("cam-1")), "devices/cam-2/extra/#"),
    ] {
        let grant = all.grant(scope, pattern).await;
        expected.push(format!("grant/{grant}"));
    }
    expected.sort_unstable();
    assert_eq!(all.names("permissive-grant").await, expected);
}

#[tokio::test]
async fn permissive_policy_finds_policies_that_ignore_trust_or_enrolment() {
    let all = audited().await;
    all.house.fleet(&["cam-1"]).await;
    assert!(all.names("permissive-policy").await.is_empty());
    let anything = "\n@id(\"anything\")\npermit (principal is Device, action, resource);\n";
    let apply = async |text: String| {
        let body = json!({ "text": text, "tests": "", "reason": "a test" });
        all.house
            .post("/api/v1/policy/apply", body)
            .expect(200)
            .await
    };
    apply(format!("{DEFAULT_POLICIES}{anything}")).await;
    let found = all.found("permissive-policy").await;
    // The trust floor holds, but a device that never enrolled may speak.
    assert!(
        found
            .iter()
            .all(|(name, _)| name.starts_with("policy/not-enrolled/")),
        "{found:?}"
    );
    assert!(found.iter().any(|(name, _)| name.ends_with("/camera")));
    apply(anything.to_owned()).await;
    let found = all.found("permissive-policy").await;
    let trust = found
        .iter()
        .find(|(name, _)| name == "policy/no-trust/camera");
    let (_, detail) = trust.expect("is found");
    assert!(
        detail.contains("with trust 0 may connect, publish"),
        "{detail}"
    );
    assert_eq!(TrustScore::MIN.value(), 0);
}

#[tokio::test]
async fn authority_expiring_finds_an_issuer_and_services_that_end_soon() {
    let all = audited().await;
    let house = &all.house;
    assert!(all.names("authority-expiring").await.is_empty());
    let end = house.identity.issuer_not_after();
    let left = end.duration_since(house.clock.now()).as_secs() * 1_000;
    house.clock.advance_millis(left - 20 * DAY);
    let found = all.found("authority-expiring").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0.starts_with("ca/issuer/"), "{found:?}");
    let mended = all.mitigate("authority-expiring", json!({})).await;
    assert_eq!(mended["done"], 1, "{mended}");
    assert!(all.names("authority-expiring").await.is_empty());

    let service = palisade_core::ServiceId::parse("billing").expect("valid");
    let principal = Principal::from(service);
    let issued = house.identity.issue_with_key(&principal).await;
    let issued = issued.expect("issues").0;
    house.clock.advance_millis(80 * DAY);
    let found = all.names("authority-expiring").await;
    assert!(
        found.contains(&format!("certificate/{}", issued.serial)),
        "{found:?}"
    );
}

#[tokio::test]
async fn crl_stale_finds_a_list_that_was_not_made_anew() {
    let all = audited().await;
    assert!(all.names("crl-stale").await.is_empty());
    all.house.clock.advance_millis(8 * DAY);
    assert_eq!(all.names("crl-stale").await, ["ca/crl"]);
    let mended = all.mitigate("crl-stale", json!({})).await;
    assert_eq!(mended["done"], 1, "{mended}");
    assert!(all.names("crl-stale").await.is_empty());
}

#[tokio::test]
async fn contained_device_active_finds_a_device_that_was_let_in_after_it_was_contained() {
    let all = audited().await;
    all.active(&["cam-1", "cam-2"]).await;
    let contained = || EventKind::PostureChanged {
        lifecycle_before: Lifecycle::Active,
        lifecycle: Lifecycle::Quarantined,
        trust_before: TrustScore::MAX,
        trust: TrustScore::MAX,
        reason: "a test".to_owned(),
    };
    let home = "192.0.2.1";
    all.happened("cam-1", home, vec![opened("cam-1"), contained()])
        .await;
    assert!(all.names("contained-device-active").await.is_empty());
    all.happened("cam-2", home, vec![contained(), opened("cam-2")])
        .await;
    assert_eq!(all.names("contained-device-active").await, ["device/cam-2"]);
}

#[tokio::test]
async fn logging_off_finds_a_ledger_that_nobody_verifies() {
    let all = audited().await;
    all.active(&["cam-1"]).await;
    assert!(all.names("logging-off").await.is_empty());
    all.house.clock.advance_millis(31 * DAY);
    assert_eq!(all.names("logging-off").await, ["ledger"]);
    let mended = all.mitigate("logging-off", json!({})).await;
    assert_eq!(mended["done"], 1, "{mended}");
    assert!(all.names("logging-off").await.is_empty());
}

#[tokio::test]
async fn stale_firmware_finds_what_is_older_than_what_others_have_run_for_long() {
    let all = audited().await;
    all.active(&["cam-1", "cam-2", "cam-3"]).await;
    let runs = async |id: &str, firmware: &str| {
        let facts = json!({ "firmware": firmware });
        let report = EventKind::AgentReport {
            version: "0.1.0".to_owned(),
            facts: facts.as_object().expect("an object").clone(),
        };
        all.happened(id, "192.0.2.1", vec![report]).await;
    };
    runs("cam-1", "1.9").await;
    runs("cam-2", "1.10").await;
    assert!(all.names("stale-firmware").await.is_empty());
    all.house.clock.advance_millis(15 * DAY);
    runs("cam-3", "2.0").await;
    let found = all.found("stale-firmware").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "device/cam-1");
    assert!(found[0].1.contains("firmware 1.10"), "{found:?}");
    runs("cam-1", "1.10").await;
    assert!(all.names("stale-firmware").await.is_empty());
}

#[tokio::test]
async fn dormant_device_finds_what_was_not_heard_of() {
    let all = audited().await;
    all.active(&["cam-1", "cam-2"]).await;
    all.house.fleet(&["cam-3"]).await;
    assert!(all.names("dormant-device").await.is_empty());
    all.house.clock.advance_millis(31 * DAY);
    let seen = [(device("cam-1"), all.house.clock.now())];
    let touched = all.house.store.devices().touch(&seen).await;
    touched.expect("writes");
    assert_eq!(all.names("dormant-device").await, ["device/cam-2"]);
    let mended = all.mitigate("dormant-device", json!({})).await;
    assert_eq!(mended["done"], 1, "{mended}");
    assert_eq!(all.house.lifecycle("cam-2").await, Lifecycle::Retired);
}

#[tokio::test]
async fn broad_api_token_finds_tokens_without_end_with_every_scope_or_without_use() {
    let all = audited().await;
    let house = &all.house;
    let year = house.clock.now() + std::time::Duration::from_secs(365 * 86_400);
    let narrow = house.add_token("narrow", &["devices:read"], |token| {
        token.expires_at = Some(year);
    });
    narrow.await;
    house.token("endless", &["devices:read"]).await;
    let found = all.found("broad-api-token").await;
    let said = |found: &[(String, String)], what: &str| {
        found
            .iter()
            .filter(|(_, detail)| detail.contains(what))
            .count()
    };
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(said(&found, "\"endless\" has no end"), 1, "{found:?}");
    assert_eq!(said(&found, "may do everything"), 1, "{found:?}");
    house.clock.advance_millis(91 * DAY);
    let found = all.found("broad-api-token").await;
    assert_eq!(
        said(&found, "\"narrow\" was not used for 91 days"),
        1,
        "{found:?}"
    );

    let mended = all.mitigate("broad-api-token", json!({})).await;
    assert_eq!(
        (&mended["done"], &mended["skipped"]),
        (&json!(2), &json!(1))
    );
    let found = all.names("broad-api-token").await;
    assert_eq!(found.len(), 1, "the token that is in use here is left");
}

#[tokio::test]
async fn broad_enrolment_token_finds_what_can_be_used_very_often() {
    let all = audited().await;
    let token = |uses_left| EnrolmentToken {
        id: TokenId::generate(),
        hash: vec![uses_left as u8; 32],
        scope: TokenScope::Product(ProductId::parse("camera").expect("valid")),
        uses_left,
        expires_at: Timestamp::MAX,
        revoked: false,
        note: String::new(),
        created_at: all.house.clock.now(),
    };
    let tokens = all.house.store.tokens();
    tokens.add_enrolment(&token(10)).await.expect("adds");
    assert!(all.names("broad-enrolment-token").await.is_empty());
    let broad = token(5_000);
    tokens.add_enrolment(&broad).await.expect("adds");
    let name = format!("enrolment_token/{}", broad.id);
    assert_eq!(all.names("broad-enrolment-token").await, [name]);
    let mended = all.mitigate("broad-enrolment-token", json!({})).await;
    assert_eq!(mended["done"], 1, "{mended}");
    assert!(all.names("broad-enrolment-token").await.is_empty());
}

#[tokio::test]
async fn logging_off_finds_an_export_that_fails() {
    let all = audited().await;
    assert!(all.names("logging-off").await.is_empty());
    let in_the_way = all.house.directory.path().join("events.ndjson");
    std::fs::create_dir(in_the_way).expect("a directory where a file should be");
    let cancel = CancellationToken::new();
    let exports = all.house.exports.clone();
    let running = tokio::spawn(exports.clone().run(cancel.clone()));
    all.active(&["cam-1"]).await;
    until("the export fails", async || {
        let status = exports.status().await.expect("reads");
        status[0].state == ExportState::Retrying
    })
    .await;
    let found = all.found("logging-off").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "export/siem");
    let mended = all.mitigate("logging-off", json!({})).await;
    assert_eq!(mended["skipped"], 1, "a person has to: {mended}");
    cancel.cancel();
    running.await.expect("ends");
}
