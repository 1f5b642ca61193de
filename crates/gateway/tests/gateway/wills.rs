//! The message for when a connection breaks.

use std::time::{Duration, Instant};

use palisade_core::{Action, EventKind, Lifecycle};

use crate::{
    client::{Client, Connect, Got, Properties, Value, Will, packet},
    house::{House, device},
};

fn will(topic: &str) -> Will {
    Will {
        topic: topic.into(),
        payload: "gone".into(),
        qos: 1,
        ..Will::default()
    }
}

async fn listener(house: &House) -> Client {
    let mut listener = house.plain(Connect::v5("listener")).await;
    listener.subscribe(&[("devices/#", 1), ("t/#", 1)]).await;
    listener
}

#[tokio::test]
async fn a_will_is_published_when_the_connection_breaks_and_not_after_a_goodbye() {
    let house = House::open().await;
    let mut listener = listener(&house).await;
    let sent = Properties::default()
        .with(0x26, Value::Pair("a".into(), "2".into()))
        .with(0x02, Value::Int(100));
    let connect = Connect::v5("a").will(Will {
        properties: sent,
        ..will("t/will")
    });
    house.plain(connect.clone()).await.disconnect().await;
    let three = Connect::v3("b").will(will("t/three"));
    house.plain(three.clone()).await.disconnect().await;
    listener.hears_nothing().await;
    drop(house.plain(connect.clone()).await);
    let got = listener.message().await;
    assert_eq!((got.topic.as_str(), got.text()), ("t/will", "gone"));
    assert_eq!(
        got.properties.all(0x26),
        [&Value::Pair("a".into(), "2".into())]
    );
    assert!(got.properties.number(0x02).is_some());
    drop(house.plain(three).await);
    assert_eq!(listener.message().await.topic, "t/three");
    // DISCONNECT with 0x04 asks for it.
    let mut asks = house.plain(connect).await;
    asks.send(&packet(0xe0, &[4])).await;
    assert_eq!(listener.message().await.topic, "t/will");
}

#[tokio::test]
async fn a_delayed_will_waits_and_is_called_off_by_a_return() {
    let house = House::open().await;
    let mut listener = listener(&house).await;
    let connect = |expiry, delay| {
        Connect::v5("a").expiry(expiry).resume().will(Will {
            properties: Properties::default().with(0x18, Value::Int(delay)),
            ..will("t/will")
        })
    };
    drop(house.plain(connect(100, 1)).await);
    let back = house.plain(connect(100, 1)).await;
    let began = Instant::now();
    drop(back);
    let got = listener.message().await;
    assert_eq!(got.topic, "t/will");
    assert!(
        began.elapsed() >= Duration::from_millis(900),
        "{:?}",
        began.elapsed()
    );
    // The end of the session does not wait for the delay.
    drop(house.plain(connect(1, 100)).await);
    let began = Instant::now();
    assert_eq!(listener.message().await.topic, "t/will");
    assert!(began.elapsed() < Duration::from_secs(4));
    listener.hears_nothing().await;
}

#[tokio::test]
async fn a_will_is_decided_at_connect() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    for (topic, reason) in [
        ("devices/cam-2/x", 0x87),
        ("$palisade/status/connected", 0x87),
        ("devices/cam-1/#", 0x90),
        ("", 0x90),
    ] {
        let connect = Connect::v5("cam-1").will(will(topic));
        let connack = house.knock(&cam).await.connect(connect).await;
        assert_eq!(connack.reason, reason, "{topic:?}");
    }
    let connect = Connect::v5("cam-1").will(will("devices/cam-1/x"));
    assert_eq!(house.knock(&cam).await.connect(connect).await.reason, 0);
    assert_eq!(house.count_admitted().await, 1);
}

#[tokio::test]
async fn a_will_is_decided_again_when_it_fires() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let mut listener = listener(&house).await;
    let connect = Connect::v5("cam-1").will(will("devices/cam-1/will"));
    let mut client = house.session(&cam, connect.clone()).await;
    house.set_lifecycle("cam-1", Lifecycle::Quarantined).await;
    assert_eq!(client.ended().await, 0x87);
    house
        .event(|event| {
            event.principal == Some(device("cam-1"))
                && matches!(
                    &event.kind,
                    EventKind::Denied {
                        action: Action::Publish,
                        ..
                    }
                )
        })
        .await;
    listener.hears_nothing().await;
    house.set_lifecycle("cam-1", Lifecycle::Active).await;
    drop(house.session(&cam, connect).await);
    assert_eq!(listener.message().await.topic, "devices/cam-1/will");
}

#[tokio::test]
async fn the_will_of_a_connection_that_is_taken_over_is_published() {
    let house = House::open().await;
    let mut listener = listener(&house).await;
    let connect = Connect::v5("a").expiry(100).resume().will(will("t/will"));
    let mut first = house.plain(connect.clone()).await;
    let _second = house.plain(connect).await;
    assert_eq!(first.ended().await, 0x8e);
    assert_eq!(listener.message().await.topic, "t/will");
    assert_eq!(first.recv().await, Got::Closed);
}

#[tokio::test]
async fn a_retained_will_stays() {
    let house = House::open().await;
    let connect = Connect::v5("a").will(Will {
        retain: true,
        ..will("t/will")
    });
    let mut listener = listener(&house).await;
    drop(house.plain(connect).await);
    listener.message().await;
    listener.subscribe(&[("t/will", 0)]).await;
    let got = listener.message().await;
    assert!(got.retain);
    assert_eq!(got.text(), "gone");
}
