//! How messages reach those who subscribed.

use crate::{
    client::{Client, Connect, Got, Properties, Publish, Value},
    house::House,
};

const NO_LOCAL: u8 = 0b100;
const RETAIN_AS_PUBLISHED: u8 = 0b1000;
const ONLY_IF_NEW: u8 = 0b1_0000;
const NEVER: u8 = 0b10_0000;

async fn pair(house: &House) -> (Client, Client) {
    (
        house.plain(Connect::v5("one")).await,
        house.plain(Connect::v5("two")).await,
    )
}

#[tokio::test]
async fn every_quality_of_service_arrives_once_and_no_better_than_asked_for() {
    let house = House::open().await;
    let (mut one, mut two) = pair(&house).await;
    for wanted in 0..=2 {
        assert_eq!(two.subscribe(&[("t/#", wanted)]).await, [wanted]);
        for qos in 0..=2 {
            let id = one.publish("t/a", "hello", qos).await;
            let got = two.message().await;
            assert_eq!((got.text(), got.qos), ("hello", qos.min(wanted)));
            match qos {
                0 => {}
                1 => assert_eq!(one.recv().await, Got::Ack(0x40, id, 0)),
                _ => {
                    assert_eq!(one.recv().await, Got::Ack(0x50, id, 0));
                    one.ack(0x62, id).await;
                    assert_eq!(one.recv().await, Got::Ack(0x70, id, 0));
                }
            }
        }
    }
    two.hears_nothing().await;
}

#[tokio::test]
async fn a_duplicate_of_quality_of_service_2_is_delivered_once() {
    let house = House::open().await;
    let (mut one, mut two) = pair(&house).await;
    two.subscribe(&[("t", 2)]).await;
    let publish = |dup| Publish {
        topic: "t".into(),
        payload: b"once".to_vec(),
        qos: 2,
        id: 7,
        dup,
        ..Publish::default()
    };
    one.publish_as(publish(false)).await;
    assert_eq!(one.recv().await, Got::Ack(0x50, 7, 0));
    one.publish_as(publish(true)).await;
    assert_eq!(one.recv().await, Got::Ack(0x50, 7, 0));
    one.ack(0x62, 7).await;
    assert_eq!(one.recv().await, Got::Ack(0x70, 7, 0));
    one.ack(0x62, 7).await;
    assert_eq!(one.recv().await, Got::Ack(0x70, 7, 0x92));
    assert_eq!(two.message().await.text(), "once");
    two.hears_nothing().await;
}

#[tokio::test]
async fn overlapping_subscriptions_bring_a_message_once_with_all_identifiers() {
    let house = House::open().await;
    let (mut one, mut two) = pair(&house).await;
    for (filter, id) in [("t/#", 2), ("t/+", 300)] {
        let with = Properties::default().with(0x0B, Value::Var(id));
        two.subscribe_with(&[(filter, 2)], with).await;
    }
    one.publish("t/a", "x", 1).await;
    let got = two.message().await;
    let mut ids: Vec<u32> = got
        .properties
        .all(0x0B)
        .into_iter()
        .map(|value| match value {
            Value::Var(id) => *id,
            other => panic!("{other:?}"),
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [2, 300]);
    two.hears_nothing().await;
}

#[tokio::test]
async fn a_publisher_with_no_local_does_not_hear_itself() {
    let house = House::open().await;
    let (mut one, mut two) = pair(&house).await;
    one.subscribe(&[("t", NO_LOCAL)]).await;
    two.subscribe(&[("t", NO_LOCAL)]).await;
    one.publish("t", "x", 0).await;
    assert_eq!(two.message().await.text(), "x");
    one.hears_nothing().await;
}

#[tokio::test]
async fn retained_messages_come_with_a_subscription_as_it_wants_them() {
    let house = House::open().await;
    let (mut one, mut two) = pair(&house).await;
    for topic in ["t/a", "t/b"] {
        assert_eq!(one.retain(topic, topic).await, 0x10);
    }
    two.subscribe(&[("t/+", ONLY_IF_NEW)]).await;
    let mut got = [two.message().await, two.message().await];
    got.sort_by(|a, b| a.topic.cmp(&b.topic));
    assert!(got.iter().all(|publish| publish.retain), "{got:?}");
    assert_eq!([got[0].text(), got[1].text()], ["t/a", "t/b"]);
    two.subscribe(&[("t/+", ONLY_IF_NEW)]).await;
    two.hears_nothing().await;
    two.subscribe(&[("t/a", NEVER)]).await;
    two.hears_nothing().await;
    two.subscribe(&[("t/a", 0)]).await;
    assert_eq!(two.message().await.text(), "t/a");
    // An empty payload clears it.
    one.retain("t/a", "").await;
    assert_eq!(two.message().await.text(), "");
    two.subscribe(&[("t/a", 0)]).await;
    two.hears_nothing().await;
    // A shared subscription gets none.
    two.subscribe(&[("$share/g/t/b", 0)]).await;
    two.hears_nothing().await;
}

#[tokio::test]
async fn the_retain_flag_stays_where_it_is_asked_to() {
    let house = House::open().await;
    let (mut one, mut two) = pair(&house).await;
    two.subscribe(&[("t/a", 0), ("t/b", RETAIN_AS_PUBLISHED)])
        .await;
    for (topic, stays) in [("t/a", false), ("t/b", true)] {
        one.retain(topic, "x").await;
        assert_eq!(two.message().await.retain, stays, "{topic}");
        one.publish(topic, "x", 0).await;
        assert!(!two.message().await.retain);
    }
}

#[tokio::test]
async fn members_of_a_shared_subscription_take_turns() {
    let house = House::open().await;
    let (mut one, mut two) = pair(&house).await;
    let mut publisher = house.plain(Connect::v5("three")).await;
    for member in [&mut one, &mut two] {
        assert_eq!(member.subscribe(&[("$share/g/t/#", 1)]).await, [1]);
    }
    for number in 0..4 {
        publisher.publish_acked("t/a", &number.to_string()).await;
    }
    for member in [&mut one, &mut two] {
        member.message().await;
        member.message().await;
        member.hears_nothing().await;
    }
}

#[tokio::test]
async fn topic_aliases_work_both_ways_and_live_as_long_as_the_connection() {
    let house = House::open().await;
    let mut one = house
        .plain(Connect::v5("one").with(0x22, Value::Short(1)))
        .await;
    one.subscribe(&[("topic/#", 0)]).await;
    let with_alias = |topic: &str| Publish {
        topic: topic.into(),
        properties: Properties::default().with(0x23, Value::Short(4)),
        ..Publish::default()
    };
    one.publish_as(with_alias("topic/a")).await;
    let first = one.message().await;
    assert_eq!(
        (first.topic.as_str(), first.properties.number(0x23)),
        ("topic/a", Some(1))
    );
    one.publish_as(with_alias("")).await;
    let second = one.message().await;
    assert_eq!(
        (second.topic.as_str(), second.properties.number(0x23)),
        ("", Some(1))
    );
    // The client remembers one alias and no more.
    one.publish("topic/b", "", 0).await;
    let third = one.message().await;
    assert_eq!(
        (third.topic.as_str(), third.properties.number(0x23)),
        ("topic/b", None)
    );
    for (alias, reason) in [(0, 0x94), (17, 0x94), (5, 0x82)] {
        let mut other = house.plain(Connect::v5("other")).await;
        let publish = Publish {
            properties: Properties::default().with(0x23, Value::Short(alias)),
            ..Publish::default()
        };
        other.publish_as(publish).await;
        assert_eq!(other.ended().await, reason, "alias {alias}");
    }
}

#[tokio::test]
async fn what_travels_with_a_message_arrives() {
    let house = House::open().await;
    let (mut one, mut two) = pair(&house).await;
    two.subscribe(&[("t", 2)]).await;
    let sent = Properties::default()
        .with(0x01, Value::Byte(1))
        .with(0x03, Value::Text("text/plain".into()))
        .with(0x08, Value::Text("answers".into()))
        .with(0x09, Value::Binary(b"334".to_vec()))
        .with(0x26, Value::Pair("a".into(), "2".into()))
        .with(0x26, Value::Pair("a".into(), "3".into()));
    one.publish_as(Publish {
        topic: "t".into(),
        properties: sent.clone(),
        qos: 1,
        ..Publish::default()
    })
    .await;
    let got = two.message().await;
    assert_eq!(got.properties, sent);
    assert_eq!(got.properties.text(0x08), Some("answers"));
}

#[tokio::test]
async fn a_client_gets_no_more_at_once_than_it_takes() {
    let house = House::open().await;
    let mut one = house.plain(Connect::v5("one")).await;
    let mut two = house
        .plain(Connect::v5("two").with(0x21, Value::Short(2)))
        .await;
    two.subscribe(&[("t", 2)]).await;
    for number in 0..5 {
        one.publish_acked("t", &number.to_string()).await;
    }
    let next = |got: Got| match got {
        Got::Publish(publish) => publish,
        other => panic!("{other:?} came instead of a message"),
    };
    let first = next(two.recv().await);
    let second = next(two.recv().await);
    two.hears_nothing().await;
    two.ack(0x40, second.id).await;
    let third = next(two.recv().await);
    assert_eq!(third.text(), "2");
    two.hears_nothing().await;
    two.ack(0x40, first.id).await;
    two.ack(0x40, third.id).await;
    assert_eq!(next(two.recv().await).text(), "3");
    assert_eq!(next(two.recv().await).text(), "4");
}

#[tokio::test]
async fn a_packet_larger_than_a_client_takes_is_not_sent() {
    let house = House::open().await;
    let mut one = house.plain(Connect::v5("one")).await;
    let mut two = house
        .plain(Connect::v5("two").with(0x27, Value::Int(64)))
        .await;
    two.subscribe(&[("t", 2)]).await;
    for qos in 0..=1 {
        one.publish("t", &"x".repeat(64), qos).await;
        one.publish("t", "small", qos).await;
        let got = two.message().await;
        assert_eq!((got.text(), got.qos), ("small", qos));
    }
    two.hears_nothing().await;
}

#[tokio::test]
async fn an_expired_message_is_not_delivered_and_a_living_one_says_how_long_it_has() {
    let house = House::open().await;
    let mut one = house.plain(Connect::v5("one")).await;
    let two = Connect::v5("two").expiry(100);
    let mut away = house.plain(two.clone()).await;
    away.subscribe(&[("t", 1)]).await;
    away.disconnect().await;
    for (payload, seconds) in [("dies", 1), ("lives", 50)] {
        one.publish_as(Publish {
            topic: "t".into(),
            payload: payload.into(),
            qos: 1,
            properties: Properties::default().with(0x02, Value::Int(seconds)),
            ..Publish::default()
        })
        .await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let mut back = house.plain(two.resume()).await;
    let got = back.message().await;
    assert_eq!(got.text(), "lives");
    let left = got.properties.number(0x02).expect("says so");
    assert!((45..50).contains(&left), "{left}");
}

#[tokio::test]
async fn wildcards_at_the_root_do_not_match_topics_with_a_dollar() {
    let house = House::open().await;
    let (mut one, mut two) = pair(&house).await;
    assert_eq!(two.subscribe(&[("#", 0), ("+/a", 0)]).await, [0, 0]);
    one.publish("$x/a", "hidden", 0).await;
    one.publish("x/a", "seen", 0).await;
    assert_eq!(two.message().await.text(), "seen");
    two.hears_nothing().await;
}

#[tokio::test]
async fn an_ended_subscription_brings_nothing_more() {
    let house = House::open().await;
    let (mut one, mut two) = pair(&house).await;
    two.subscribe(&[("t/a", 0), ("t/b", 0)]).await;
    assert_eq!(
        two.unsubscribe(&["t/a", "t/c", "t/#/x"]).await,
        [0, 0x11, 0x8f]
    );
    one.publish("t/a", "gone", 0).await;
    one.publish("t/b", "there", 0).await;
    assert_eq!(two.message().await.text(), "there");
}

#[tokio::test]
async fn version_3_and_version_5_understand_each_other() {
    let house = House::open().await;
    let mut three = house.plain(Connect::v3("three")).await;
    let mut five = house.plain(Connect::v5("five")).await;
    three.subscribe(&[("t", 2)]).await;
    five.subscribe(&[("t", 2)]).await;
    five.publish_as(Publish {
        topic: "t".into(),
        payload: b"from five".to_vec(),
        properties: Properties::default().with(0x26, Value::Pair("a".into(), "b".into())),
        ..Publish::default()
    })
    .await;
    assert_eq!(three.message().await.text(), "from five");
    assert_eq!(five.message().await.text(), "from five");
    three.publish("t", "from three", 2).await;
    assert_eq!(five.message().await.text(), "from three");
}
