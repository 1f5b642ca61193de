//! What policy says to PUBLISH, SUBSCRIBE and each delivery.

use palisade_core::{Action, DenyReason, EventKind, GrantActions, GrantScope};

use crate::{
    client::{Connect, Got, Publish},
    house::{ALL, House, device},
};

const NOT_AUTHORIZED: u8 = 0x87;

#[tokio::test]
async fn a_device_publishes_to_its_own_topics_and_to_no_others() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    assert_eq!(client.publish_acked("devices/cam-1/a", "x").await, 0x10);
    assert_eq!(
        client.publish_acked("devices/cam-2/a", "x").await,
        NOT_AUTHORIZED
    );
    let id = client.publish("devices/cam-2/a", "x", 2).await;
    assert_eq!(client.recv().await, Got::Ack(0x50, id, NOT_AUTHORIZED));
    client.publish("devices/cam-2/a", "x", 0).await;
    client.hears_nothing().await;
    let denied = house
        .event(|event| matches!(event.kind, EventKind::Denied { .. }))
        .await;
    assert_eq!(denied.principal, Some(device("cam-1")));
    let EventKind::Denied {
        action,
        resource,
        reason,
        count,
    } = denied.kind
    else {
        unreachable!("found as one");
    };
    assert_eq!(
        (action, reason, count),
        (Action::Publish, DenyReason::NoGrant, 3)
    );
    assert_eq!(resource, "devices/cam-2/a");
    assert_eq!(house.parts().gateway.stats().denied, 3);
}

#[tokio::test]
async fn a_client_of_version_3_is_not_told_but_its_message_goes_nowhere() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let mut client = house.session(&cam, Connect::v3("cam-1")).await;
    let mut suite = house.plain(Connect::v5("suite")).await;
    suite.subscribe(&[("devices/#", 0)]).await;
    for qos in 1..=2 {
        let id = client.publish("devices/cam-2/a", "denied", qos).await;
        let first = if qos == 1 { 0x40 } else { 0x50 };
        assert_eq!(client.recv().await, Got::Ack(first, id, 0));
    }
    client.publish("devices/cam-1/a", "allowed", 0).await;
    assert_eq!(suite.message().await.text(), "allowed");
}

#[tokio::test]
async fn a_subscription_is_a_subset_of_a_grant_or_nothing() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    let wanted = [
        ("devices/cam-1/#", 2),
        ("devices/cam-1/+/x", 1),
        ("devices/+/x", 1),
        ("+/cam-1/x", 1),
        ("devices/cam-2/#", 1),
        ("#", 1),
        ("$share/g/devices/cam-1/x", 1),
        ("$share/g/#", 1),
        ("$palisade/#", 0),
    ];
    let no = NOT_AUTHORIZED;
    assert_eq!(
        client.subscribe(&wanted).await,
        [2, 1, no, no, no, no, 1, no, no]
    );
    let mut client = house.session(&cam, Connect::v3("cam-1")).await;
    assert_eq!(client.subscribe(&wanted[..3]).await, [2, 1, 0x80]);
}

#[tokio::test]
async fn each_delivery_is_decided_besides_the_subscription() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let subscribe = GrantActions {
        subscribe: true,
        ..GrantActions::default()
    };
    house.grant(GrantScope::Fleet, "shared/#", subscribe).await;
    let receive = GrantActions {
        receive: true,
        ..GrantActions::default()
    };
    house.grant(GrantScope::Fleet, "shared/open", receive).await;
    let mut client = house.session(&cam, Connect::v5("cam-1").expiry(100)).await;
    assert_eq!(client.subscribe(&[("shared/#", 2)]).await, [2]);
    let mut suite = house.plain(Connect::v5("suite")).await;
    for qos in 0..=2 {
        suite.publish("shared/closed", "not for you", qos).await;
        suite.publish("shared/open", "for you", qos).await;
        let got = client.message().await;
        assert_eq!((got.topic.as_str(), got.qos), ("shared/open", qos));
    }
    client.hears_nothing().await;
    let mut suite = house.plain(Connect::v5("suite")).await;
    suite.retain("shared/closed", "not for you").await;
    client.subscribe(&[("shared/#", 0)]).await;
    client.hears_nothing().await;
    house
        .event(|event| {
            matches!(
                &event.kind,
                EventKind::Denied {
                    action: Action::Receive,
                    ..
                }
            )
        })
        .await;
}

#[tokio::test]
async fn to_retain_needs_more_than_to_publish() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let publish = GrantActions {
        retain: false,
        ..ALL
    };
    house.grant(GrantScope::Fleet, "notes/#", publish).await;
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    assert_eq!(client.publish_acked("notes/a", "x").await, 0x10);
    assert_eq!(client.retain("notes/a", "x").await, NOT_AUTHORIZED);
    assert_eq!(client.retain("devices/cam-1/a", "x").await, 0x10);
}

#[tokio::test]
async fn nobody_publishes_to_the_servers_own_topics() {
    let house = House::open().await;
    let mut suite = house.plain(Connect::v5("suite")).await;
    for topic in ["$palisade/status/connected", "$palisade/x"] {
        assert_eq!(suite.publish_acked(topic, "x").await, NOT_AUTHORIZED);
    }
    let alias = Publish {
        topic: "$palisade/x".into(),
        ..Publish::default()
    };
    suite.publish_as(alias).await;
    suite.hears_nothing().await;
}
