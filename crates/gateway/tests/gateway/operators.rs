//! What operators and other doors do with the gateway.

use palisade_core::{DenyReason, DeviceId, Principal, ServiceId};
use palisade_gateway::{GatewayConfig, Submission, SubmitError};

use crate::{
    client::{Connect, Got, Value},
    house::{House, LOOPBACK, SUITE, config, device},
};

fn suite() -> Principal {
    ServiceId::parse(SUITE).expect("valid").into()
}

async fn submit(
    house: &House,
    principal: Principal,
    message: Submission,
) -> Result<usize, SubmitError> {
    let gateway = house.parts().gateway;
    let publish = async move { gateway.publish(&principal, LOOPBACK, message).await };
    house
        .run(publish)
        .await
        .map(|submitted| submitted.receivers)
}

fn to(topic: &str) -> Submission {
    Submission {
        topic: topic.into(),
        payload: "hello".into(),
        qos: 1,
        ..Submission::default()
    }
}

#[tokio::test]
async fn a_submitted_message_is_delivered_with_all_that_travels_with_it() {
    let house = House::open().await;
    let mut client = house.plain(Connect::v5("a")).await;
    client.subscribe(&[("t", 2)]).await;
    let message = Submission {
        content_type: Some("text/plain".into()),
        expiry_s: Some(60),
        user_properties: vec![("a".into(), "b".into())],
        response_topic: Some("answers".into()),
        correlation_data: Some("7".into()),
        ..to("t")
    };
    assert_eq!(submit(&house, suite(), message).await, Ok(1));
    let got = client.message().await;
    assert_eq!((got.text(), got.qos), ("hello", 1));
    assert_eq!(got.properties.text(0x03), Some("text/plain"));
    assert_eq!(got.properties.text(0x08), Some("answers"));
    assert_eq!(got.properties.all(0x09), [&Value::Binary(b"7".to_vec())]);
    assert_eq!(
        got.properties.all(0x26),
        [&Value::Pair("a".into(), "b".into())]
    );
    assert!(
        got.properties
            .number(0x02)
            .is_some_and(|left| (55..=60).contains(&left))
    );
    assert_eq!(submit(&house, suite(), to("nobody")).await, Ok(0));
    let retained = Submission {
        retain: true,
        ..to("kept")
    };
    assert_eq!(submit(&house, suite(), retained).await, Ok(0));
    client.subscribe(&[("kept", 0)]).await;
    assert!(client.message().await.retain);
}

#[tokio::test]
async fn a_submission_is_refused_for_the_reasons_that_a_publish_is() {
    let house = House::open().await;
    house.enrol("cam-1").await;
    let no_grant = Err(SubmitError::Denied(DenyReason::NoGrant));
    assert_eq!(
        submit(&house, device("cam-1"), to("devices/cam-2/x")).await,
        no_grant
    );
    assert_eq!(submit(&house, suite(), to("$palisade/x")).await, no_grant);
    assert_eq!(
        submit(&house, device("ghost"), to("a")).await,
        Err(SubmitError::Unknown)
    );
    for topic in ["", "a/+", "#", "a\0"] {
        let refused = submit(&house, suite(), to(topic)).await;
        assert!(matches!(refused, Err(SubmitError::Topic(_))), "{topic:?}");
    }
    for message in [
        Submission { qos: 3, ..to("a") },
        Submission {
            payload: vec![0; 2_000_000].into(),
            ..to("a")
        },
        Submission {
            response_topic: Some("a/#".into()),
            ..to("a")
        },
        Submission {
            user_properties: vec![("x".repeat(70_000), String::new())],
            ..to("a")
        },
    ] {
        let refused = submit(&house, suite(), message).await;
        assert!(
            matches!(refused, Err(SubmitError::Invalid(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn sessions_are_listed_page_by_page_and_say_how_they_fare() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let mut client = house.session(&cam, Connect::v5("cam-1").expiry(100)).await;
    client.subscribe(&[("devices/cam-1/#", 1)]).await;
    client.publish_acked("devices/cam-1/a", "x").await;
    client.message().await;
    client.hears_nothing().await;
    let gateway = house.parts().gateway;
    let session = gateway.sessions_of(&device("cam-1")).remove(0);
    assert_eq!(session.client_id, "cam-1");
    assert_eq!(session.name, "device/cam-1/cam-1");
    assert_eq!((session.online, session.source), (true, Some(LOOPBACK)));
    assert_eq!(session.protocol, Some("mqtt 5"));
    assert_eq!((session.messages_in, session.messages_out), (1, 1));
    assert_eq!((session.subscriptions, session.queued), (1, 0));
    client.disconnect().await;
    let session = gateway.sessions_of(&device("cam-1")).remove(0);
    assert_eq!((session.online, session.protocol), (false, None));
    let mut others = Vec::new();
    for name in ["a", "b", "c"] {
        others.push(house.plain(Connect::v5(name)).await);
    }
    let first = gateway.sessions(None, 2);
    let rest = gateway.sessions(Some(&first[1].name), 10);
    let names: Vec<String> = first.into_iter().chain(rest).map(|one| one.name).collect();
    let expected = [
        "device/cam-1/cam-1",
        "service/suite/a",
        "service/suite/b",
        "service/suite/c",
    ];
    assert_eq!(names, expected);
    assert_eq!(gateway.sessions(Some("zzz"), 10), []);
}

#[tokio::test]
async fn an_operator_closes_the_sessions_of_a_device() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let mut five = house.session(&cam, Connect::v5("cam-1").expiry(100)).await;
    let mut three = house.session(&cam, Connect::v3("cam-1:b")).await;
    house
        .session(&cam, Connect::v5("cam-1:away").expiry(100))
        .await
        .disconnect()
        .await;
    let gateway = house.parts().gateway;
    assert_eq!(gateway.close_sessions(&device("cam-1")), 2);
    assert_eq!(five.ended().await, 0x98);
    assert_eq!(three.recv().await, Got::Closed);
    // It may come back, and finds its session.
    let connack = house
        .knock(&cam)
        .await
        .connect(Connect::v5("cam-1").resume())
        .await;
    assert!(connack.present);
}

#[tokio::test]
async fn the_system_of_record_hears_when_a_device_was_last_seen() {
    let mut house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let client = house.session(&cam, Connect::v5("cam-1")).await;
    client.disconnect().await;
    house.restart().await;
    let store = house.parts().store;
    let read = async move {
        let id = DeviceId::parse("cam-1").expect("valid");
        store.devices().find(&id).await
    };
    let device = house.run(read).await.expect("reads").expect("there");
    assert!(device.last_seen_at.is_some());
}

#[tokio::test]
async fn a_connected_device_is_as_fresh_as_its_last_packet() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let gateway = house.parts().gateway;
    let id = DeviceId::parse("cam-1").expect("valid");
    assert_eq!(gateway.presence(&id).heard_at, None);
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    let connected = gateway.presence(&id).heard_at.expect("connected");
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    client.hears_nothing().await;
    let pinged = gateway.presence(&id).heard_at.expect("connected");
    let later = pinged.duration_since(connected);
    assert!(
        later
            >= std::time::Duration::from_millis(40)
                .try_into()
                .expect("fits"),
        "{later}"
    );
    client.disconnect().await;
    while gateway.presence(&id).heard_at.is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_retained_messages_on_a_devices_own_topics_are_cleared_for_good() {
    let mut house = House::open().await;
    house.enrol("cam-1").await;
    let mut suite_client = house.plain(Connect::v5("suite")).await;
    // The last has the name in it and belongs to all.
    for topic in ["devices/cam-1/state", "devices/cam-10/state", "hall/cam-1"] {
        suite_client.retain(topic, topic).await;
    }
    let store = house.parts().store;
    let find = async move {
        let id = DeviceId::parse("cam-1").expect("valid");
        store.devices().find(&id).await
    };
    let device = house.run(find).await.expect("reads").expect("there");
    let gateway = house.parts().gateway;
    let clear = async move { gateway.clear_retained_of(&device).await };
    assert_eq!(house.run(clear).await, 1);
    house.restart().await;
    let mut suite_client = house.plain(Connect::v5("suite")).await;
    suite_client.subscribe(&[("#", 0)]).await;
    let found = [suite_client.message().await, suite_client.message().await];
    let mut left: Vec<&str> = found.iter().map(|message| message.text()).collect();
    left.sort();
    assert_eq!(left, ["devices/cam-10/state", "hall/cam-1"]);
    suite_client.hears_nothing().await;
}

#[tokio::test]
async fn counters_stand_under_the_servers_own_topics() {
    let house = House::with(GatewayConfig {
        status_interval_s: 1,
        ..config()
    })
    .await;
    let cam = house.enrol("cam-1").await;
    let mut suite = house.plain(Connect::v5("a")).await;
    suite.subscribe(&[("$palisade/status/connected", 0)]).await;
    let first = suite.message().await;
    assert!(first.text().parse::<u64>().is_ok(), "{first:?}");
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    loop {
        if suite.message().await.text() == "2" {
            break;
        }
    }
    client.hears_nothing().await;
}
