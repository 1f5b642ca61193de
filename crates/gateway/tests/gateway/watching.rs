//! Who watches the messages of a device as they pass.

use palisade_core::DeviceId;
use palisade_gateway::{Passed, Watching, Way};

use crate::{
    client::{Connect, Will},
    house::{House, until},
};

fn watch(house: &House, payload: Option<usize>) -> Watching {
    let device = DeviceId::parse("cam-1").expect("valid");
    let watching = house.parts().gateway.watch(&device, payload);
    watching.expect("there is room")
}

async fn seen(watching: &mut Watching, count: usize) -> Vec<Passed> {
    let mut all = Vec::new();
    while all.len() < count {
        let found = tokio::time::timeout(std::time::Duration::from_secs(10), watching.next(100));
        all.extend(found.await.expect("something passes in time"));
    }
    all
}

fn short(passed: &[Passed]) -> Vec<(Way, &str, u8, usize)> {
    let each = passed.iter();
    each.map(|one| (one.way, one.topic.as_str(), one.qos, one.size))
        .collect()
}

#[tokio::test]
async fn what_a_device_says_and_hears_is_seen_and_what_policy_denies_is_not() {
    let house = House::open().await;
    let (cam, other) = (house.enrol("cam-1").await, house.enrol("cam-2").await);
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    let mut second = house.session(&other, Connect::v5("cam-2")).await;
    client.subscribe(&[("devices/cam-1/in", 1)]).await;
    client.publish_acked("devices/cam-1/out", "before").await;
    let mut watching = watch(&house, None);
    client.publish_acked("devices/cam-2/out", "denied").await;
    second
        .publish_acked("devices/cam-2/out", "not watched")
        .await;
    client.publish_acked("devices/cam-1/out", "hello").await;
    let mut suite = house.plain(Connect::v5("suite")).await;
    suite.publish("devices/cam-1/in", "go on", 2).await;
    client.message().await;
    let found = seen(&mut watching, 2).await;
    let expected = [
        (Way::Published, "devices/cam-1/out", 1, 5),
        (Way::Delivered, "devices/cam-1/in", 1, 5),
    ];
    assert_eq!(short(&found), expected);
    assert!(found.iter().all(|one| one.payload.is_none()), "{found:?}");
}

#[tokio::test]
async fn the_beginning_of_a_payload_is_read_by_whoever_asked_for_it() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    let mut watching = watch(&house, Some(4));
    client.publish_acked("devices/cam-1/out", "hello").await;
    let found = seen(&mut watching, 1).await;
    assert_eq!(
        (found[0].size, found[0].payload.as_deref()),
        (5, Some(&b"hell"[..]))
    );
}

#[tokio::test]
async fn the_will_of_a_device_is_its_own_word() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let will = Will {
        topic: "devices/cam-1/gone".into(),
        payload: "bye".into(),
        ..Will::default()
    };
    let client = house.session(&cam, Connect::v5("cam-1").will(will)).await;
    let mut watching = watch(&house, Some(100));
    drop(client);
    let found = seen(&mut watching, 1).await;
    assert_eq!(found[0].topic.as_str(), "devices/cam-1/gone");
    assert_eq!(found[0].payload.as_deref(), Some(&b"bye"[..]));
}

#[tokio::test]
async fn a_watcher_that_takes_nothing_makes_no_device_wait() {
    let house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    let watching = watch(&house, None);
    for _ in 0..300 {
        client.publish_acked("devices/cam-1/out", "x").await;
    }
    let gateway = house.parts().gateway;
    let left_out = || gateway.watch_stats().skipped + gateway.watch_stats().dropped;
    until("the rest is left out", || left_out() > 0).await;
    drop(watching);
    assert_eq!(gateway.watch_stats().open, 0);
}
