//! What a changed posture or policy does to sessions that are open.

use std::time::{Duration, Instant};

use palisade_core::{
    Action, DeviceId, EventKind, GrantScope, Lifecycle, SegmentId, ServiceId, SessionEnd, Target,
    port::Objection,
};
use palisade_identity::RevocationReason;

use crate::{
    client::{Connect, Got, Publish},
    house::{ALL, House, SUITE, device, until},
};

const NOT_AUTHORIZED: u8 = 0x87;

#[tokio::test]
async fn a_quarantined_device_is_told_and_cut_off_within_milliseconds_though_it_says_nothing() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let other = house.enrol("cam-2").await;
    let mut client = house.session(&cam, Connect::v5("cam-1").expiry(100)).await;
    let mut second = house.session(&cam, Connect::v5("cam-1:b")).await;
    let mut third = house.session(&cam, Connect::v3("cam-1:c")).await;
    let mut bystander = house.session(&other, Connect::v5("cam-2")).await;
    client.subscribe(&[("devices/cam-1/#", 1)]).await;
    let began = Instant::now();
    house.set_lifecycle("cam-1", Lifecycle::Quarantined).await;
    assert_eq!(client.ended().await, NOT_AUTHORIZED);
    let took = began.elapsed();
    assert_eq!(second.ended().await, NOT_AUTHORIZED);
    assert_eq!(third.recv().await, Got::Closed);
    assert!(took < Duration::from_millis(500), "{took:?}");
    bystander.hears_nothing().await;
    house
        .event(|event| {
            let is_end = matches!(
                &event.kind,
                EventKind::Disconnected {
                    end: SessionEnd::NotAuthorized,
                    ..
                }
            );
            is_end && event.principal == Some(device("cam-1"))
        })
        .await;
    assert_eq!(house.parts().gateway.stats().connected, 1);
}

#[tokio::test]
async fn a_subscription_that_is_no_longer_granted_ends_and_others_go_on() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let extra = house.grant(GrantScope::Fleet, "extra/#", ALL).await;
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    let reasons = client
        .subscribe(&[("extra/#", 1), ("devices/cam-1/#", 1)])
        .await;
    assert_eq!(reasons, [1, 1]);
    let mut suite = house.plain(Connect::v5("suite")).await;
    suite.publish_acked("extra/a", "granted").await;
    assert_eq!(client.message().await.text(), "granted");
    let parts = house.parts();
    let of_session = || parts.gateway.sessions_of(&device("cam-1"))[0].subscriptions;
    assert_eq!(of_session(), 2);
    let pdp = parts.pdp.clone();
    house
        .run(async move { pdp.remove_grant(extra).await.expect("removes") })
        .await;
    until("the subscription ends", || of_session() == 1).await;
    assert_eq!(suite.publish_acked("extra/a", "revoked").await, 0x10);
    suite.publish_acked("devices/cam-1/a", "own").await;
    assert_eq!(client.message().await.text(), "own");
    // It does not come back by itself, and is refused when it is asked for.
    assert_eq!(client.subscribe(&[("extra/#", 1)]).await, [NOT_AUTHORIZED]);
}

#[tokio::test]
async fn a_device_in_another_segment_has_other_topics_at_once() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    assert_eq!(client.subscribe(&[("default/news", 0)]).await, [0]);
    assert_eq!(client.publish_acked("default/news", "x").await, 0);
    assert_eq!(client.message().await.text(), "x");
    let pdp = house.parts().pdp;
    house
        .run(async move {
            let id = DeviceId::parse("cam-1").expect("valid");
            let to = SegmentId::parse("other").expect("valid");
            pdp.set_segment(&id, to, "moved").await.expect("moves");
        })
        .await;
    assert_eq!(
        client.publish_acked("default/news", "x").await,
        NOT_AUTHORIZED
    );
    assert_eq!(client.subscribe(&[("other/news", 0)]).await, [0]);
    assert_eq!(client.publish_acked("other/news", "y").await, 0);
    assert_eq!(client.message().await.text(), "y");
}

#[tokio::test]
async fn a_subscription_is_decided_anew_when_its_session_is_resumed() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let extra = house.grant(GrantScope::Fleet, "extra/#", ALL).await;
    let connect = Connect::v5("cam-1").expiry(100).resume();
    let mut client = house.session(&cam, connect.clone()).await;
    assert_eq!(client.subscribe(&[("extra/#", 1)]).await, [1]);
    client.disconnect().await;
    let mut suite = house.plain(Connect::v5("suite")).await;
    suite
        .publish_acked("extra/a", "queued while it was granted")
        .await;
    let pdp = house.parts().pdp;
    house
        .run(async move { pdp.remove_grant(extra).await.expect("removes") })
        .await;
    let mut client = house.session(&cam, connect).await;
    client.hears_nothing().await;
    let sessions = house.parts().gateway.sessions_of(&device("cam-1"));
    assert_eq!((sessions[0].subscriptions, sessions[0].queued), (0, 0));
}

#[tokio::test]
async fn a_session_ends_when_its_certificate_is_revoked_alone() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let renewed = house.issue(&device("cam-1")).await;
    let mut old = house.session(&cam, Connect::v5("cam-1")).await;
    let mut new = house.session(&renewed, Connect::v5("cam-1:new")).await;
    let (parts, serial) = (house.parts(), cam.issued.serial);
    house
        .run(async move {
            let reason = RevocationReason::Superseded;
            parts
                .identity
                .revoke(&serial, reason)
                .await
                .expect("revokes");
        })
        .await;
    assert_eq!(old.ended().await, NOT_AUTHORIZED);
    new.hears_nothing().await;
}

#[tokio::test]
async fn a_device_that_misbehaves_contains_itself() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let mut bad = house.session(&cam, Connect::v5("cam-1")).await;
    let refused = Publish {
        topic: "devices/cam-2/telemetry".into(),
        ..Publish::default()
    };
    for _ in 0..200 {
        let bytes = bad.publish_bytes(&refused);
        bad.send(&bytes).await;
    }
    assert_eq!(bad.ended().await, NOT_AUTHORIZED);
    let connack = house.knock(&cam).await.connect(Connect::v5("cam-1")).await;
    assert_eq!(connack.reason, NOT_AUTHORIZED);
    house
        .event(|event| {
            matches!(
                &event.kind,
                EventKind::Denied { action: Action::Publish, resource, .. }
                    if resource == "devices/cam-2/telemetry"
            )
        })
        .await;
}

#[tokio::test]
async fn a_service_that_is_removed_from_its_grants_hears_nothing_more() {
    let house = House::open().await;
    let mut suite = house.plain(Connect::v5("a")).await;
    suite.subscribe(&[("t", 0)]).await;
    suite.publish("t", "heard", 0).await;
    assert_eq!(suite.message().await.text(), "heard");
    let pdp = house.parts().pdp;
    let scope = GrantScope::Service(ServiceId::parse(SUITE).expect("valid"));
    house
        .run(async move {
            for grant in pdp.grants() {
                if grant.scope == scope {
                    pdp.remove_grant(grant.id).await.expect("removes");
                }
            }
        })
        .await;
    suite.publish("t", "not heard", 0).await;
    suite.hears_nothing().await;
    assert_eq!(suite.publish_acked("t", "x").await, NOT_AUTHORIZED);
}

#[tokio::test]
async fn an_address_that_is_never_blocked_is_refused_before_anybody_is_asked() {
    let house = House::open().await;
    let gateway = house.parts().gateway;
    let all = palisade_gateway::effectors(&std::sync::Arc::downgrade(&gateway));
    let block = all.iter().find(|one| one.name() == "block-address");
    let block = block.expect("there is one");
    let parameters = serde_json::Map::new();
    let own = Target::Address([127, 0, 0, 7].into());
    let refused = block.objection(&own, &parameters).await;
    assert_eq!(
        refused,
        Some(Objection::Impossible(
            "gateway.never_block has 127.0.0.0/8".to_owned()
        ))
    );
    let other = Target::Address([192, 0, 2, 7].into());
    assert_eq!(block.objection(&other, &parameters).await, None);
}
