//! What agents report.

use palisade_core::{EventKind, Lifecycle};

use crate::house::{House, device};

const PATH: &str = "/device/v1/report";
const REPORT: &[u8] = br#"{"version": "0.1.0", "facts": {"os": "Debian 12", "arch": "x86_64"}}"#;

#[tokio::test]
async fn a_device_reports_and_is_heard_of() {
    let house = House::open().await;
    let enrolled = house.enrol("cam-1").await;
    let answer = house.client_of(&enrolled).post(PATH, &[], REPORT).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    let events = house.events().await;
    let is_report = |kind: &EventKind| {
        matches!(kind, EventKind::AgentReport { version, facts }
            if version == "0.1.0" && facts["os"] == "Debian 12")
    };
    assert!(events.iter().any(|event| is_report(&event.kind)));
    let found = house.store.devices().find(&device("cam-1")).await;
    assert!(found.expect("reads").expect("there").last_seen_at.is_some());
    house.close().await;
}

#[tokio::test]
async fn who_is_not_in_service_reports_nothing() {
    let house = House::open().await;
    let enrolled = house.enrol("cam-1").await;
    assert_eq!(house.client().post(PATH, &[], REPORT).await.status, 403);
    let client = house.client_of(&enrolled);
    assert_eq!(client.post(PATH, &[], b"{}").await.status, 400);
    assert_eq!(
        client.post(PATH, &[], &vec![b' '; 20_000]).await.status,
        413
    );
    house.set_lifecycle("cam-1", Lifecycle::Quarantined).await;
    let answer = client.post(PATH, &[], REPORT).await;
    assert_eq!(answer.status, 403);
    assert_eq!(
        house.last_refusal().await,
        "connect: the device is quarantined"
    );
    house.close().await;
}
