//! What one principal, one address, and everybody together may take.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use palisade_core::{EventKind, SessionEnd};
use palisade_gateway::{GatewayConfig, PrincipalLimits, SourceLimits};

use crate::{
    client::{Client, Connect, Got, PATIENCE, Properties, Publish, Will},
    house::{House, config, until},
};

const QUOTA_EXCEEDED: u8 = 0x97;

fn with_device(device: PrincipalLimits) -> GatewayConfig {
    GatewayConfig { device, ..config() }
}

async fn exceeded(house: &House, which: &str) {
    house
        .event(
            |event| matches!(&event.kind, EventKind::LimitExceeded { limit, .. } if limit == which),
        )
        .await;
}

/// How often a limit was exceeded, as far as that is told.
async fn total(house: &House, which: &str) -> u64 {
    let counts = house
        .events()
        .await
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::LimitExceeded { limit, count } if limit == which => Some(count),
            _ => None,
        });
    counts.sum()
}

#[tokio::test]
async fn a_flood_is_slowed_down_and_counted_and_nothing_of_it_is_lost() {
    let house = House::with(with_device(PrincipalLimits {
        messages_per_second: 100,
        burst_seconds: 1,
        ..PrincipalLimits::default()
    }))
    .await;
    let cam = house.enrol("cam-1").await;
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    client.subscribe(&[("devices/cam-1/#", 0)]).await;
    let began = Instant::now();
    for number in 0..200 {
        client
            .publish("devices/cam-1/a", &number.to_string(), 0)
            .await;
    }
    for number in 0..200 {
        assert_eq!(client.message().await.text(), number.to_string());
    }
    let took = began.elapsed();
    assert!(took > Duration::from_millis(800), "{took:?}");
    exceeded(&house, "publish_rate").await;
    assert!(house.parts().gateway.stats().throttled > 0);
    client.hears_nothing().await;
}

/// A device that has said so much that it is not heard for longer than any test takes, and whoever hears what it says.
async fn throttled(house: &House) -> (Client, Client) {
    let mut suite = house.plain(Connect::v5("suite")).await;
    suite.subscribe(&[("devices/cam-1/#", 0)]).await;
    let cam = house.enrol("cam-1").await;
    let will = Will {
        topic: "devices/cam-1/gone".into(),
        payload: String::new(),
        qos: 0,
        retain: false,
        properties: Properties::default(),
    };
    let connect = Connect::v5("cam-1").expiry(100).will(will);
    let mut client = house.session(&cam, connect).await;
    client
        .publish("devices/cam-1/a", &"x".repeat(100_000), 0)
        .await;
    assert_eq!(suite.message().await.payload.len(), 100_000);
    (client, suite)
}

fn a_little() -> GatewayConfig {
    with_device(PrincipalLimits {
        bytes_per_second: 1_000,
        burst_seconds: 1,
        ..PrincipalLimits::default()
    })
}

async fn end(house: &House) -> SessionEnd {
    let is_end = |event: &palisade_core::Event| {
        let is_of_device = event.principal == Some(crate::house::device("cam-1"));
        is_of_device && matches!(event.kind, EventKind::Disconnected { .. })
    };
    match house.event(is_end).await.kind {
        EventKind::Disconnected { end, .. } => end,
        _ => unreachable!("found as one"),
    }
}

#[tokio::test]
async fn a_client_that_is_throttled_is_seen_to_say_goodbye() {
    let house = House::with(a_little()).await;
    let (client, mut suite) = throttled(&house).await;
    client.disconnect().await;
    assert_eq!(end(&house).await, SessionEnd::Client);
    // It said goodbye: its Will is not published.
    suite.hears_nothing().await;
}

#[tokio::test]
async fn a_client_that_is_throttled_is_seen_to_break_off() {
    let house = House::with(a_little()).await;
    let (client, mut suite) = throttled(&house).await;
    drop(client);
    assert_eq!(end(&house).await, SessionEnd::ConnectionLost);
    assert_eq!(suite.message().await.topic, "devices/cam-1/gone");
}

#[tokio::test]
async fn what_a_throttled_client_sent_before_its_goodbye_waits_for_its_turn() {
    let house = House::with(a_little()).await;
    let (mut client, mut suite) = throttled(&house).await;
    for _ in 0..50 {
        client.publish("devices/cam-1/a", "more", 0).await;
    }
    client.send(&[0xe0, 0]).await;
    drop(client);
    // A message of another device takes the same way, and is there: what waits was not handled meanwhile.
    for _ in 0..3 {
        suite.publish_acked("t", "x").await;
        suite.hears_nothing().await;
    }
    // Whoever takes its place, from wherever, takes it from nobody.
    let cam = house.issue(&crate::house::device("cam-1")).await;
    let elsewhere = Ipv4Addr::new(127, 0, 0, 2);
    let mut new = house.knock_from(elsewhere, &cam).await;
    let connect = Connect::v5("cam-1").expiry(100).resume();
    assert!(new.connect(connect).await.present);
    assert_eq!(end(&house).await, SessionEnd::Client);
    suite.hears_nothing().await;
}

#[tokio::test]
async fn a_client_is_not_to_blame_for_what_waits_for_the_disk() {
    let house = House::with(GatewayConfig {
        receive_maximum: 5,
        ..config()
    })
    .await;
    let away = Connect::v5("away").expiry(100);
    let mut session = house.plain(away.clone()).await;
    session.subscribe(&[("t", 2)]).await;
    session.disconnect().await;
    // More at once than the receive maximum, before any of it can be acknowledged.
    let mut client = house.plain(Connect::v5("suite").expiry(100)).await;
    let burst = |client: &Client, qos, count| -> Vec<u8> {
        let publish = |id| Publish {
            topic: "t".into(),
            qos,
            id,
            ..Publish::default()
        };
        (1..=count)
            .flat_map(|id| client.publish_bytes(&publish(id)))
            .collect()
    };
    let bytes = burst(&client, 1, 100);
    client.send(&bytes).await;
    for id in 1..=100 {
        assert_eq!(client.recv().await, Got::Ack(0x40, id, 0));
    }
    // What it never released on another connection is not held against it either.
    let bytes = burst(&client, 2, 5);
    client.send(&bytes).await;
    for id in 1..=5 {
        assert_eq!(client.recv().await, Got::Ack(0x50, id, 0));
    }
    drop(client);
    let mut client = house.plain(Connect::v5("suite").expiry(100).resume()).await;
    assert_eq!(client.publish_acked("t", "x").await, 0);
    // But what it does not release on this one is.
    let bytes = burst(&client, 2, 6);
    client.send(&bytes).await;
    assert_eq!(client.ended().await, 0x93);
}

#[tokio::test]
async fn who_connects_too_often_stays_away_for_a_while() {
    let house = House::with(with_device(PrincipalLimits {
        connects_per_minute: 3,
        max_backoff_s: 1,
        ..PrincipalLimits::default()
    }))
    .await;
    let cam = house.enrol("cam-1").await;
    let other = house.enrol("cam-2").await;
    for _ in 0..3 {
        house.session(&cam, Connect::v5("cam-1")).await;
    }
    let connack = house.knock(&cam).await.connect(Connect::v5("cam-1")).await;
    assert_eq!(connack.reason, 0x9f);
    house.session(&other, Connect::v5("cam-2")).await;
    exceeded(&house, "connect_rate").await;
}

#[tokio::test]
async fn a_source_address_has_a_rate_of_its_own() {
    let house = House::with(GatewayConfig {
        source: SourceLimits {
            connections_per_second: 1,
            connection_burst: 3,
            max_connections: 0,
        },
        ..config()
    })
    .await;
    let mut kept = Vec::new();
    for number in 0..3 {
        kept.push(house.plain(Connect::v5(&number.to_string())).await);
    }
    let mut refused = Client::plain(house.insecure()).await;
    refused.send(&Connect::v5("4").bytes()).await;
    assert_eq!(refused.recv().await, Got::Closed);
    house
        .event(|event| {
            matches!(&event.kind, EventKind::Refused { reason, .. } if reason.contains("too fast"))
        })
        .await;
    kept[0].hears_nothing().await;
}

#[tokio::test]
async fn sessions_and_subscriptions_of_a_device_are_counted() {
    let house = House::with(with_device(PrincipalLimits {
        max_sessions: 2,
        max_subscriptions: 3,
        ..PrincipalLimits::default()
    }))
    .await;
    let cam = house.enrol("cam-1").await;
    let mut first = house.session(&cam, Connect::v5("cam-1").expiry(100)).await;
    house
        .session(&cam, Connect::v5("cam-1:b").expiry(100))
        .await;
    let connack = house
        .knock(&cam)
        .await
        .connect(Connect::v5("cam-1:c"))
        .await;
    assert_eq!(connack.reason, QUOTA_EXCEEDED);
    // The session that is there already needs no room.
    assert_eq!(
        house
            .knock(&cam)
            .await
            .connect(Connect::v5("cam-1:b"))
            .await
            .reason,
        0
    );
    exceeded(&house, "sessions").await;
    let filters = ["a", "b", "c", "d"].map(|level| format!("devices/cam-1/{level}"));
    let wanted: Vec<(&str, u8)> = filters.iter().map(|filter| (filter.as_str(), 1)).collect();
    assert_eq!(first.subscribe(&wanted).await, [1, 1, 1, QUOTA_EXCEEDED]);
    // One that is held may be changed.
    assert_eq!(first.subscribe(&[("devices/cam-1/a", 2)]).await, [2]);
    exceeded(&house, "subscriptions").await;
}

#[tokio::test]
async fn a_full_queue_loses_what_comes_last_and_says_how_much() {
    let house = House::with(GatewayConfig {
        service: PrincipalLimits {
            max_queued_messages: 5,
            ..config().service
        },
        ..config()
    })
    .await;
    let away = Connect::v5("away").expiry(100);
    let mut session = house.plain(away.clone()).await;
    session.subscribe(&[("t", 1)]).await;
    session.disconnect().await;
    let mut suite = house.plain(Connect::v5("suite")).await;
    for number in 0..8 {
        suite.publish_acked("t", &number.to_string()).await;
    }
    assert_eq!(house.parts().gateway.stats().dropped, 3);
    // The first is told at once, and those that follow within a second as one.
    let all = async {
        while total(&house, "queue").await < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("in time");
    assert_eq!(total(&house, "queue").await, 3);
    let mut session = house.plain(away.resume()).await;
    for number in 0..5 {
        assert_eq!(session.message().await.text(), number.to_string());
    }
    session.hears_nothing().await;
    // There is room again.
    suite.publish_acked("t", "room").await;
    assert_eq!(session.message().await.text(), "room");
}

#[tokio::test]
async fn retained_topics_end_at_their_limit() {
    let house = House::with(GatewayConfig {
        max_retained: 100,
        ..config()
    })
    .await;
    let mut suite = house.plain(Connect::v5("suite")).await;
    let gateway = house.parts().gateway;
    let of_server = gateway.stats().retained;
    let mut bytes = Vec::new();
    for number in 0..10_000 {
        bytes.extend(suite.publish_bytes(&Publish {
            topic: format!("t/{number}"),
            payload: b"x".to_vec(),
            retain: true,
            ..Publish::default()
        }));
    }
    suite.send(&bytes).await;
    assert_eq!(suite.retain("t/last", "x").await, QUOTA_EXCEEDED);
    assert_eq!(gateway.stats().retained, 100);
    assert!(of_server < 100);
    // A topic that is there may change, and one that is cleared makes room.
    assert_eq!(suite.retain("t/0", "y").await, 0x10);
    assert_eq!(suite.retain("t/0", "").await, 0x10);
    assert_eq!(suite.retain("t/last", "x").await, 0x10);
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_holds_nobody_up_for_long() {
    let house = House::with(GatewayConfig {
        service: PrincipalLimits {
            max_queued_messages: 50,
            ..config().service
        },
        ..config()
    })
    .await;
    let mut deaf = house.plain(Connect::v5("deaf")).await;
    deaf.subscribe(&[("t", 0)]).await;
    let mut suite = house.plain(Connect::v5("suite")).await;
    let payload = "x".repeat(100_000);
    let began = Instant::now();
    for _ in 0..200 {
        suite.publish("t", &payload, 0).await;
    }
    suite.hears_nothing().await;
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    let gateway = house.parts().gateway;
    until("what finds no room is counted", || {
        gateway.stats().dropped > 0
    })
    .await;
}

#[tokio::test]
async fn a_backlog_that_is_acknowledged_is_paced_and_is_no_flood() {
    let house = House::with(with_device(PrincipalLimits {
        messages_per_second: 100,
        burst_seconds: 1,
        ..PrincipalLimits::default()
    }))
    .await;
    let cam = house.enrol("cam-1").await;
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    for number in 0..200 {
        client
            .publish_acked("devices/cam-1/a", &number.to_string())
            .await;
    }
    exceeded(&house, "publish_rate_paced").await;
    assert!(house.parts().gateway.stats().throttled > 0);
    assert_eq!(total(&house, "publish_rate").await, 0);
    // The same at quality of service 0 is one, though it is read no faster than it may come.
    for number in 0..300 {
        client
            .publish("devices/cam-1/a", &number.to_string(), 0)
            .await;
    }
    client.hears_nothing().await;
    exceeded(&house, "publish_rate").await;
}
