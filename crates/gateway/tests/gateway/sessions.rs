//! Sessions that outlive their connections.

use std::net::{Ipv4Addr, SocketAddr};

use palisade_core::{Event, EventKind, SessionEnd};
use palisade_gateway::{Gateway, GatewayConfig, PrincipalLimits};

use crate::{
    client::{Client, Connect, Got, Value, Will, packet},
    house::{House, config, until},
};

const TAKEN_OVER: u8 = 0x8e;
/// Another address of this machine.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[tokio::test]
async fn the_newer_connection_has_the_session_and_of_the_same_client_nothing_is_taken() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let connect = Connect::v5("cam-1").expiry(100).resume();
    let mut old = house.session(&cam, connect.clone()).await;
    old.subscribe(&[("devices/cam-1/x", 1)]).await;
    let mut new = house.knock(&cam).await;
    assert!(new.connect(connect).await.present);
    assert_eq!(old.ended().await, TAKEN_OVER);
    new.publish_acked("devices/cam-1/x", "hello").await;
    assert_eq!(new.message().await.text(), "hello");
    assert_eq!(end_of_first(&house).await, SessionEnd::Replaced);
}

/// How the session that ended first ended.
async fn end_of_first(house: &House) -> SessionEnd {
    let is_end = |event: &Event| matches!(event.kind, EventKind::Disconnected { .. });
    match house.event(is_end).await.kind {
        EventKind::Disconnected { end, .. } => end,
        _ => unreachable!("found as one"),
    }
}

#[tokio::test]
async fn another_address_or_another_certificate_takes_a_session_over() {
    for (from, clean) in [(ELSEWHERE, false), (ELSEWHERE, true)] {
        let house = House::open().await;
        let cam = house.enrol("cam-1").await;
        let connect = match clean {
            true => Connect::v5("cam-1"),
            false => Connect::v5("cam-1").expiry(100).resume(),
        };
        let mut old = house.session(&cam, connect.clone()).await;
        let mut new = house.knock_from(from, &cam).await;
        assert_eq!(new.connect(connect).await.reason, 0);
        assert_eq!(old.ended().await, TAKEN_OVER);
        assert_eq!(end_of_first(&house).await, SessionEnd::TakenOver);
    }
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let copy = house.issue(&crate::house::device("cam-1")).await;
    let mut old = house.session(&cam, Connect::v5("cam-1")).await;
    let _new = house.session(&copy, Connect::v5("cam-1")).await;
    assert_eq!(old.ended().await, TAKEN_OVER);
    assert_eq!(end_of_first(&house).await, SessionEnd::TakenOver);
}

#[tokio::test]
async fn a_client_that_comes_back_with_a_clean_start_takes_nothing_either() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let mut old = house.session(&cam, Connect::v5("cam-1")).await;
    let _new = house.session(&cam, Connect::v5("cam-1")).await;
    assert_eq!(old.ended().await, TAKEN_OVER);
    assert_eq!(end_of_first(&house).await, SessionEnd::Replaced);
}

#[tokio::test]
async fn the_same_client_id_of_another_principal_is_another_session() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let mut device = house.session(&cam, Connect::v5("cam-1")).await;
    let mut service = house.plain(Connect::v5("cam-1")).await;
    service.hears_nothing().await;
    device.hears_nothing().await;
}

#[tokio::test]
async fn what_came_while_a_session_was_away_is_delivered_in_order() {
    let house = House::open().await;
    for connect in [
        Connect::v5("away").expiry(100),
        Connect::v3("away3").resume(),
    ] {
        let mut away = house.plain(connect.clone()).await;
        away.subscribe(&[("t/#", 2)]).await;
        away.disconnect().await;
        let mut publisher = house.plain(Connect::v3("publisher")).await;
        for qos in [1, 2, 1, 2] {
            publisher.publish("t/a", &format!("qos {qos}"), qos).await;
            publisher.recv().await;
        }
        publisher.disconnect().await;
        let mut back = crate::client::Client::plain(house.insecure()).await;
        assert!(back.connect(connect.resume()).await.present);
        for qos in [1, 2, 1, 2] {
            let got = back.message().await;
            assert_eq!((got.text(), got.qos), (format!("qos {qos}").as_str(), qos));
        }
        back.hears_nothing().await;
    }
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again_with_its_identifier() {
    let house = House::open().await;
    let connect = Connect::v5("slow").expiry(100);
    let mut slow = house.plain(connect.clone()).await;
    slow.subscribe(&[("t", 2)]).await;
    let mut publisher = house.plain(Connect::v5("publisher")).await;
    for qos in [1, 2, 2] {
        publisher.publish("t", &format!("{qos}"), qos).await;
    }
    let mut first = Vec::new();
    for _ in 0..3 {
        match slow.recv().await {
            Got::Publish(publish) => first.push(publish),
            other => panic!("{other:?}"),
        }
    }
    slow.ack(0x50, first[2].id).await;
    assert_eq!(slow.recv().await, Got::Ack(0x60, first[2].id, 0));
    drop(slow);
    // A smaller window than the last time: the third has to wait for one of the others.
    let mut back = house
        .plain(connect.resume().with(0x21, Value::Short(2)))
        .await;
    for before in &first[..2] {
        match back.recv().await {
            Got::Publish(again) => {
                assert!(
                    again.dup && again.id == before.id,
                    "{again:?} after {before:?}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    back.hears_nothing().await;
    back.ack(0x40, first[0].id).await;
    assert_eq!(back.recv().await, Got::Ack(0x60, first[2].id, 0));
    back.ack(0x70, first[2].id).await;
    back.ack(0x50, first[1].id).await;
    assert_eq!(back.recv().await, Got::Ack(0x60, first[1].id, 0));
    back.ack(0x70, first[1].id).await;
    back.hears_nothing().await;
}

#[tokio::test]
async fn a_clean_start_forgets_and_an_expiry_of_nothing_ends_with_the_connection() {
    let house = House::open().await;
    let mut first = house.plain(Connect::v5("a").expiry(100)).await;
    first.subscribe(&[("t", 1)]).await;
    first.disconnect().await;
    let mut publisher = house.plain(Connect::v5("publisher")).await;
    publisher.publish_acked("t", "forgotten").await;
    let mut clean = crate::client::Client::plain(house.insecure()).await;
    assert!(!clean.connect(Connect::v5("a")).await.present);
    clean.hears_nothing().await;
    clean.disconnect().await;
    let mut after = crate::client::Client::plain(house.insecure()).await;
    assert!(!after.connect(Connect::v5("a").resume()).await.present);
}

#[tokio::test]
async fn a_session_ends_when_its_time_is_up() {
    let house = House::open().await;
    house
        .plain(Connect::v5("a").expiry(1))
        .await
        .disconnect()
        .await;
    let gateway = house.parts().gateway;
    assert_eq!(gateway.sessions(None, 10).len(), 1);
    until("the session ends", || gateway.sessions(None, 10).is_empty()).await;
    let mut back = crate::client::Client::plain(house.insecure()).await;
    assert!(!back.connect(Connect::v5("a").resume()).await.present);
}

#[tokio::test]
async fn disconnect_changes_the_expiry_but_not_from_nothing() {
    let house = House::open().await;
    let disconnect = |seconds: u32| {
        let mut body = vec![0, 5, 0x11];
        body.extend(seconds.to_be_bytes());
        packet(0xe0, &body)
    };
    let mut first = house.plain(Connect::v5("a").expiry(1)).await;
    first.send(&disconnect(100)).await;
    assert_eq!(first.recv().await, Got::Closed);
    let mut second = crate::client::Client::plain(house.insecure()).await;
    assert!(
        second
            .connect(Connect::v5("a").resume().expiry(50))
            .await
            .present
    );
    second.send(&disconnect(0)).await;
    assert_eq!(second.recv().await, Got::Closed);
    let mut third = crate::client::Client::plain(house.insecure()).await;
    assert!(!third.connect(Connect::v5("a").resume()).await.present);
    third.send(&disconnect(5)).await;
    assert_eq!(third.ended().await, 0x82);
}

#[tokio::test]
async fn a_silent_client_is_given_up_after_one_and_a_half_keep_alives() {
    let house = House::open().await;
    let began = std::time::Instant::now();
    let mut silent = house.plain(Connect::v5("a").keep_alive(1)).await;
    let mut pinging = house.plain(Connect::v5("b").keep_alive(1)).await;
    for _ in 0..8 {
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        pinging.hears_nothing().await;
    }
    assert_eq!(silent.ended().await, 0x8d);
    assert!(began.elapsed() > std::time::Duration::from_millis(1400));
    pinging.hears_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_takeovers_leaves_sessions_whole() {
    const CLIENTS: u64 = 12;
    let mut house = House::with(GatewayConfig {
        service: PrincipalLimits {
            connects_per_minute: 0,
            ..config().service
        },
        ..config()
    })
    .await;
    let address = house.insecure();
    let storm = (0..CLIENTS).map(|number| tokio::spawn(rage(address, number)));
    for client in storm.collect::<Vec<_>>() {
        client.await.expect("does not panic");
    }
    let gateway = house.parts().gateway;
    until("all have gone", || gateway.stats().connected == 0).await;
    let count = |gateway: &Gateway| {
        let sessions = gateway.sessions(None, 100);
        assert!(
            sessions.iter().all(|session| !session.online),
            "{sessions:?}"
        );
        let held: usize = sessions.iter().map(|session| session.subscriptions).sum();
        assert_eq!(gateway.stats().subscriptions, held as u64);
        (sessions.len(), held)
    };
    let before = count(&gateway);
    drop(gateway);
    // What the disk says is what memory said.
    house.restart().await;
    assert_eq!(count(&house.parts().gateway), before);
    // And each of them can be had.
    for name in NAMES {
        let mut client = house.plain(Connect::v5(name).resume()).await;
        client.subscribe(&[("done", 0)]).await;
        client.disconnect().await;
    }
    until("they end with their connections", || {
        house.parts().gateway.sessions(None, 100).is_empty()
    })
    .await;
    assert_eq!(house.parts().gateway.stats().subscriptions, 0);
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Connects again and again under names that others use too, and leaves in every way there is.
async fn rage(address: SocketAddr, seed: u64) {
    use rand::{Rng, SeedableRng, rngs::StdRng};
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..30 {
        let name = NAMES[random.random_range(0..NAMES.len())];
        let mut connect = Connect::v5(name).expiry([0, 100, 100][random.random_range(0..3)]);
        connect.clean = random.random_bool(0.3);
        if random.random_bool(0.5) {
            connect = connect.will(Will {
                topic: format!("t/{name}"),
                payload: "gone".into(),
                qos: random.random_range(0..=2),
                ..Will::default()
            });
        }
        let mut client = Client::plain(address).await;
        client.connect(connect).await;
        let filter = format!("t/{}", random.random_range(0..5));
        let mut bytes = vec![0, 1, 0];
        bytes.extend(crate::client::binary(filter.as_bytes()));
        bytes.push(random.random_range(0..=2));
        client.send(&packet(0x82, &bytes)).await;
        for _ in 0..random.random_range(0..5) {
            client.publish("t/1", "x", random.random_range(0..=2)).await;
        }
        if random.random_bool(0.5) {
            client.send(&packet(0xe0, &[])).await;
        }
        if random.random_bool(0.5) {
            let _ = client.recv().await;
        }
    }
}
