//! What was acknowledged is there after the server died.

use std::collections::HashSet;

use crate::{
    client::{Client, Connect, Got, Properties, Publish, Value, Will},
    house::House,
};

#[tokio::test]
async fn sessions_queues_and_retained_messages_survive_a_crash() {
    let mut house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let connect = Connect::v5("cam-1").expiry(1000).resume();
    let mut client = house.session(&cam, connect.clone()).await;
    assert_eq!(client.subscribe(&[("devices/cam-1/#", 2)]).await, [2]);
    client.disconnect().await;
    let mut suite = house.plain(Connect::v5("suite")).await;
    for number in 0..50 {
        let topic = "devices/cam-1/a";
        assert_eq!(suite.publish_acked(topic, &number.to_string()).await, 0);
    }
    suite.retain("kept", "retained").await;
    house.crash().await;
    let mut client = house.knock(&cam).await;
    assert!(client.connect(connect.clone()).await.present);
    for number in 0..50 {
        assert_eq!(client.message().await.text(), number.to_string());
    }
    client.hears_nothing().await;
    let mut suite = house.plain(Connect::v5("suite")).await;
    suite.subscribe(&[("kept", 0)]).await;
    assert_eq!(suite.message().await.text(), "retained");
    // The subscription is there as well.
    suite.publish_acked("devices/cam-1/b", "after").await;
    assert_eq!(client.message().await.text(), "after");
    // What was acknowledged by the client is not sent again.
    client.disconnect().await;
    house.crash().await;
    let mut client = house.session(&cam, connect).await;
    client.hears_nothing().await;
}

#[tokio::test]
async fn an_acknowledged_message_is_never_lost_however_often_the_server_dies() {
    let mut house = House::open().await;
    let away = Connect::v5("away").expiry(1000).resume();
    let mut session = house.plain(away.clone()).await;
    session.subscribe(&[("t", 1)]).await;
    session.disconnect().await;
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let mut suite = house.plain(Connect::v5("suite")).await;
        // Many at once, so that the crash comes while some are on their way to the disk.
        let mut bytes = Vec::new();
        let mut sent = Vec::new();
        for number in 0..200u16 {
            let text = format!("{round}/{number}");
            let publish = Publish {
                topic: "t".into(),
                payload: text.clone().into(),
                qos: 1,
                id: number + 1,
                ..Publish::default()
            };
            bytes.extend(suite.publish_bytes(&publish));
            sent.push(text);
        }
        suite.send(&bytes).await;
        for _ in 0..100 {
            match suite.recv().await {
                Got::Ack(0x40, id, 0) => acknowledged.push(sent[usize::from(id) - 1].clone()),
                other => panic!("{other:?}"),
            }
        }
        house.crash().await;
    }
    let mut session = house.plain(away).await;
    // What was not acknowledged may have survived too, and comes in between.
    let mut missing: HashSet<String> = acknowledged.into_iter().collect();
    while !missing.is_empty() {
        missing.remove(session.message().await.text());
    }
}

#[tokio::test]
async fn quality_of_service_2_is_exact_across_a_crash_on_both_sides() {
    let mut house = House::open().await;
    let connect = |id: &str| Connect::v5(id).expiry(1000).resume();
    let mut receiver = house.plain(connect("receiver")).await;
    receiver.subscribe(&[("t", 2)]).await;
    let mut sender = house.plain(connect("sender")).await;
    let publish = |dup| Publish {
        topic: "t".into(),
        payload: b"once".to_vec(),
        qos: 2,
        id: 9,
        dup,
        ..Publish::default()
    };
    sender.publish_as(publish(false)).await;
    assert_eq!(sender.recv().await, Got::Ack(0x50, 9, 0));
    let first = match receiver.recv().await {
        Got::Publish(first) => first,
        other => panic!("{other:?}"),
    };
    house.crash().await;
    // The sender did not see PUBREC, the receiver's never came.
    let mut sender = house.plain(connect("sender")).await;
    sender.publish_as(publish(true)).await;
    assert_eq!(sender.recv().await, Got::Ack(0x50, 9, 0));
    let mut receiver = house.plain(connect("receiver")).await;
    match receiver.recv().await {
        Got::Publish(again) => assert_eq!((again.id, again.dup), (first.id, true)),
        other => panic!("{other:?}"),
    }
    receiver.ack(0x50, first.id).await;
    assert_eq!(receiver.recv().await, Got::Ack(0x60, first.id, 0));
    house.crash().await;
    let mut receiver = house.plain(connect("receiver")).await;
    assert_eq!(receiver.recv().await, Got::Ack(0x60, first.id, 0));
    receiver.ack(0x70, first.id).await;
    receiver.hears_nothing().await;
    let mut sender = house.plain(connect("sender")).await;
    sender.ack(0x62, 9).await;
    assert_eq!(sender.recv().await, Got::Ack(0x70, 9, 0));
    receiver.hears_nothing().await;
}

#[tokio::test]
async fn a_will_fires_though_the_server_died_with_the_connection() {
    let mut house = House::open().await;
    let mut listener = house.plain(Connect::v5("listener").expiry(1000)).await;
    listener.subscribe(&[("t/#", 1)]).await;
    listener.disconnect().await;
    let will = |topic: &str, delay| Will {
        topic: topic.into(),
        payload: "gone".into(),
        qos: 1,
        properties: Properties::default().with(0x18, Value::Int(delay)),
        ..Will::default()
    };
    let _now = house.plain(Connect::v5("a").will(will("t/now", 0))).await;
    let _later = house
        .plain(Connect::v5("b").expiry(1000).will(will("t/later", 1)))
        .await;
    house.crash().await;
    let mut listener = house
        .plain(Connect::v5("listener").expiry(1000).resume())
        .await;
    assert_eq!(listener.message().await.topic, "t/now");
    assert_eq!(listener.message().await.topic, "t/later");
}

#[tokio::test]
async fn a_graceful_stop_tells_everybody_and_keeps_everything() {
    let mut house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let connect = Connect::v5("cam-1").expiry(1000).resume();
    let mut client = house.session(&cam, connect.clone()).await;
    client.subscribe(&[("devices/cam-1/#", 1)]).await;
    let mut three = house.plain(Connect::v3("three")).await;
    let mut half = Client::plain(house.insecure()).await;
    half.send(&[0x10]).await;
    let stop = std::time::Instant::now();
    let (reason, closed, ()) = tokio::join!(client.ended(), three.recv(), house.restart());
    assert_eq!((reason, closed), (0x8b, Got::Closed));
    assert!(
        stop.elapsed() < std::time::Duration::from_secs(4),
        "{:?}",
        stop.elapsed()
    );
    let mut suite = house.plain(Connect::v5("suite")).await;
    suite.publish_acked("devices/cam-1/a", "kept").await;
    let mut client = house.session(&cam, connect).await;
    assert_eq!(client.message().await.text(), "kept");
}
