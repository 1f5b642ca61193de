use palisade_core::Topic;

use super::*;

fn device(name: &str) -> DeviceId {
    DeviceId::parse(name).expect("valid")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn pass(taps: &Taps, name: &str, second: i64) {
    let topic = Topic::parse("devices/cam-1/x").expect("valid").to_owned();
    taps.pass(&Principal::Device(device(name)), || Passing {
        at: at(second),
        way: Way::Published,
        topic: &topic,
        qos: 1,
        retain: false,
        payload: b"a secret",
    });
}

#[test]
fn a_message_that_nobody_watches_is_not_even_described() {
    let taps = Arc::new(Taps::default());
    let describe = || -> Passing<'_> { panic!("nobody watches") };
    taps.pass(&Principal::Device(device("cam-1")), describe);
    let _other = taps.watch(&device("cam-2"), None).expect("room");
    taps.pass(&Principal::Device(device("cam-1")), describe);
}

#[tokio::test]
async fn a_watcher_sees_its_device_alone_and_the_payload_only_where_it_may() {
    let taps = Arc::new(Taps::default());
    let mut blind = taps.watch(&device("cam-1"), None).expect("room");
    let mut seeing = taps.watch(&device("cam-1"), Some(3)).expect("room");
    pass(&taps, "cam-2", 1);
    pass(&taps, "cam-1", 1);
    let seen = blind.next(10).await;
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].size, &seen[0].payload), (8, &None));
    assert_eq!(
        seeing.next(10).await[0].payload.as_deref(),
        Some(&b"a s"[..])
    );
}

#[tokio::test]
async fn what_is_too_much_in_a_second_is_left_out_and_counted() {
    let taps = Arc::new(Taps::default());
    let mut watching = taps.watch(&device("cam-1"), None).expect("room");
    for _ in 0..WATCHED_PER_SECOND + 7 {
        pass(&taps, "cam-1", 1);
    }
    assert_eq!(
        watching.next(1_000).await.len(),
        WATCHED_PER_SECOND as usize
    );
    assert_eq!((watching.skipped(), watching.skipped()), (7, 0));
    pass(&taps, "cam-1", 2);
    assert_eq!(watching.next(1_000).await.len(), 1);
    assert_eq!(taps.stats().skipped, 7);
}

#[tokio::test]
async fn a_watcher_that_takes_nothing_is_let_go_and_counted() {
    let taps = Arc::new(Taps::default());
    let mut watching = taps.watch(&device("cam-1"), None).expect("room");
    for n in 0..=QUEUE as i64 {
        pass(&taps, "cam-1", n);
    }
    let let_go = WatchStats {
        open: 0,
        skipped: 0,
        dropped: 1,
    };
    assert_eq!(taps.stats(), let_go);
    assert!(watching.is_dropped());
    assert_eq!(watching.next(1_000).await.len(), QUEUE);
    assert_eq!(watching.next(1_000).await, []);
    drop(watching);
    assert_eq!(taps.stats(), let_go);
}

#[test]
fn watchers_are_bounded_in_number_and_a_place_is_free_again() {
    let taps = Arc::new(Taps::default());
    let watch = || taps.watch(&device("cam-1"), None);
    let mut all: Vec<_> = (0..MAX_WATCHERS).map(|_| watch().expect("room")).collect();
    assert_eq!(watch().err(), Some(TooManyWatchers));
    all.pop();
    let _again = watch().expect("room");
    drop(all);
    assert_eq!(taps.stats().open, 1);
}
