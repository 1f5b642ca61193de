use super::*;

const DAY: i64 = 86_400_000_000_000;

fn record<'a>(at: i64, device: &'a str, topic: &'a str, payload: &'a [u8]) -> Record<'a> {
    Record {
        at,
        device,
        product: "cam",
        segment: "hall",
        topic,
        days: 30,
        qos: 1,
        retain: false,
        properties: b"\x26p",
        payload,
    }
}

#[test]
fn messages_stand_in_the_order_that_their_rows_would_have() {
    let devices = ["b", "a", "a-1", "a.1", "B", "aa", "a"];
    let payloads: Vec<String> = (0..500).map(|at| format!("message {at}")).collect();
    let (mut gathering, mut rows) = (Gathering::default(), Vec::new());
    for (at, payload) in payloads.iter().enumerate() {
        let device = devices[at * 7 % devices.len()];
        let topic = ["t/x", "t/y"][at % 2];
        // Times go back now and then, and some are the same.
        let record = record((at as i64 * 13) % 97, device, topic, payload.as_bytes());
        gathering.put(at as u64, &record).expect("is taken");
        rows.push(Row::of(at as u64, &record));
    }
    rows.sort_by_key(|row| (row.device.clone(), row.at, row.number));
    let leaves = gathering.sorted();
    let [(shelf, leaf)] = &leaves[..] else {
        panic!("{} leaves", leaves.len());
    };
    assert_eq!(
        (shelf.days, shelf.day, shelf.segment.as_str()),
        (30, 0, "hall")
    );
    let (found, wanted): (Vec<_>, Vec<_>) = (leaf.views().collect(), rows.views().collect());
    assert_eq!(found.len(), 500);
    assert_eq!(found, wanted);
}

#[test]
fn messages_of_other_days_segments_and_terms_stand_on_other_shelves() {
    let mut gathering = Gathering::default();
    let one = record(5, "a", "t", b"one");
    let other = |change: fn(&mut Record<'static>)| {
        let mut other = record(5, "a", "t", b"other");
        change(&mut other);
        other
    };
    for record in [
        one,
        other(|record| record.at += DAY),
        other(|record| record.segment = "yard"),
        other(|record| record.days = 31),
        other(|record| record.topic = "u"),
    ] {
        gathering.put(1, &record).expect("is taken");
    }
    assert_eq!(
        gathering.put(1, &other(|record| record.segment = "a/b")),
        None
    );
    let found: Vec<_> = gathering
        .sorted()
        .iter()
        .map(|(shelf, leaf)| (shelf.segment.to_string(), shelf.days, shelf.day, leaf.len()))
        .collect();
    let shelf = |segment: &str, days, day, len| (segment.to_owned(), days, day, len);
    assert_eq!(
        found,
        [
            shelf("hall", 30, 0, 2),
            shelf("hall", 30, 1, 1),
            shelf("yard", 30, 0, 1),
            shelf("hall", 31, 0, 1),
        ]
    );
}

#[test]
fn what_is_longer_than_a_block_has_one_of_its_own() {
    let (long, short) = (vec![1; BLOCK + 5], vec![2; 10]);
    let mut gathering = Gathering::default();
    for (number, payload) in [&short, &long, &short].into_iter().enumerate() {
        let record = record(number as i64, "a", "t", payload);
        gathering.put(number as u64, &record).expect("is taken");
    }
    assert!(gathering.weight() > BLOCK + 600);
    let leaves = gathering.sorted();
    let payloads: Vec<_> = leaves[0]
        .1
        .views()
        .map(|view| view.payload.to_vec())
        .collect();
    assert_eq!(payloads, [short.clone(), long, short]);
}
