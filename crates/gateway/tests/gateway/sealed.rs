//! Topics on which devices seal what they say for its readers: what has not that form goes nowhere.

use palisade_core::{DenyReason, EventKind, GrantActions, GrantScope};
use palisade_gateway::{Submission, SubmitError};

use crate::{
    client::{Connect, Will},
    house::{ALL, House, LOOPBACK, device},
};

/// What has the form of a sealed message for one reader.
fn sealed() -> String {
    format!("PSE1\u{1}{}", "x".repeat(8 + 32 + 48 + 16))
}

async fn house() -> House {
    let house = House::open().await;
    let seals = GrantActions {
        publish: true,
        retain: true,
        sealed: true,
        ..GrantActions::default()
    };
    house.grant(GrantScope::Fleet, "private/#", seals).await;
    // What another grant lets it publish there as well is to be sealed all the same.
    house.grant(GrantScope::Fleet, "private/both", ALL).await;
    house
}

#[tokio::test]
async fn what_is_not_sealed_is_refused_and_what_is_goes_on() {
    let house = house().await;
    let cam = house.enrol("cam-1").await;
    let mut listener = house.plain(Connect::v5("listener")).await;
    listener.subscribe(&[("private/#", 1)]).await;
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    for topic in ["private/a", "private/both"] {
        assert_eq!(client.publish_acked(topic, "21.5").await, 0x99);
        assert_eq!(client.publish_acked(topic, "PSE1").await, 0x99);
    }
    // Version 3.1.1 hears that it was taken, as of whatever is denied.
    let mut old = house.session(&cam, Connect::v3("cam-1")).await;
    old.publish_acked("private/a", "21.5").await;
    assert!(old.publish_acked("private/a", &sealed()).await < 0x80);
    assert_eq!(listener.message().await.text(), sealed());
    let denied = house
        .event(|event| {
            matches!(
                &event.kind,
                EventKind::Denied {
                    reason: DenyReason::NotSealed,
                    ..
                }
            )
        })
        .await;
    assert_eq!(denied.principal, Some(device("cam-1")));
    assert_eq!(house.parts().gateway.stats().denied, 5);
}

#[tokio::test]
async fn a_retained_message_is_cleared_without_a_seal() {
    let house = house().await;
    let cam = house.enrol("cam-1").await;
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    assert!(client.retain("private/a", &sealed()).await < 0x80);
    assert!(client.retain("private/a", "").await < 0x80);
    assert_eq!(client.publish_acked("private/a", "").await, 0x99);
}

#[tokio::test]
async fn a_will_that_is_not_sealed_goes_nowhere() {
    let house = house().await;
    let cam = house.enrol("cam-1").await;
    let mut listener = house.plain(Connect::v5("listener")).await;
    listener.subscribe(&[("private/#", 1)]).await;
    for payload in ["in the open".to_owned(), sealed()] {
        let will = Will {
            topic: "private/will".into(),
            payload,
            ..Will::default()
        };
        drop(house.session(&cam, Connect::v5("cam-1").will(will)).await);
    }
    assert_eq!(listener.message().await.text(), sealed());
}

#[tokio::test]
async fn a_door_that_speaks_no_mqtt_holds_to_it_too() {
    let house = house().await;
    house.enrol("cam-1").await;
    let submit = async |payload: String| {
        let message = Submission {
            topic: "private/a".into(),
            payload: payload.into(),
            ..Submission::default()
        };
        let gateway = house.parts().gateway;
        let publish = async move { gateway.publish(&device("cam-1"), LOOPBACK, message).await };
        house.run(publish).await
    };
    let refused = submit("21.5".into()).await;
    assert_eq!(refused, Err(SubmitError::Denied(DenyReason::NotSealed)));
    submit(sealed()).await.expect("is taken");
}
