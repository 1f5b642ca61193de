use std::{collections::BTreeMap, fs, path::Path};

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::message::Qos;

fn message(number: usize) -> Outgoing {
    let payload = Bytes::from(format!("payload {number}"));
    Outgoing::new(
        "devices/a/telemetry",
        payload,
        Qos::AtLeastOnce,
        number.is_multiple_of(2),
    )
    .expect("valid")
}

fn options(max_bytes: u64, when_full: WhenFull) -> QueueOptions {
    QueueOptions {
        max_bytes,
        when_full,
        sync: SyncPolicy::Never,
        ..QueueOptions::default()
    }
}

fn roomy() -> QueueOptions {
    options(1 << 20, WhenFull::Refuse)
}

fn open(dir: &TempDir, options: QueueOptions) -> Queue {
    Queue::open(Some(dir.path().to_owned()), options).expect("opens")
}

fn fill(queue: &mut Queue, count: usize) {
    for number in 0..count {
        queue.push(&message(number)).expect("room");
    }
}

fn rest(queue: &mut Queue) -> Vec<Outgoing> {
    std::iter::from_fn(|| queue.next().map(|(_, message)| message)).collect()
}

fn both() -> [(Queue, Option<TempDir>); 2] {
    let dir = TempDir::new().expect("a directory");
    let memory = Queue::open(None, roomy()).expect("opens");
    [(memory, None), (open(&dir, roomy()), Some(dir))]
}

#[test]
fn messages_come_in_order_and_stay_until_they_are_acknowledged() {
    for (mut queue, _dir) in both() {
        fill(&mut queue, 5);
        let sent: Vec<Seq> = std::iter::from_fn(|| queue.next())
            .map(|(seq, _)| seq)
            .collect();
        assert_eq!(sent.len(), 5);
        assert!(sent.is_sorted());
        queue.acknowledge(sent[0]);
        queue.acknowledge(sent[2]);
        queue.rewind();
        assert_eq!(rest(&mut queue), [message(1), message(3), message(4)]);
        assert_eq!(queue.stats().messages, 3);
    }
}

#[test]
fn a_full_queue_refuses_or_lets_the_oldest_go_and_counts_them() {
    for dir in [None, Some(TempDir::new().expect("a directory"))] {
        let path = |_: ()| dir.as_ref().map(|dir| dir.path().to_owned());
        let mut queue = Queue::open(path(()), options(20_000, WhenFull::Refuse)).expect("opens");
        let full = (0..).find_map(|number| queue.push(&message(number)).err());
        assert!(matches!(full, Some(QueueError::Full { .. })), "{full:?}");
        let before = queue.stats();
        drop(queue);

        let mut queue =
            Queue::open(path(()), options(20_000, WhenFull::DropOldest)).expect("opens");
        for number in 0..2000 {
            queue.push(&message(number)).expect("room is made");
            assert!(queue.stats().bytes <= 20_000, "{:?}", queue.stats());
        }
        let kept = rest(&mut queue);
        assert_eq!(kept.last(), Some(&message(1999)));
        let carried = if dir.is_some() { before.messages } else { 0 };
        assert_eq!(queue.stats().dropped + kept.len() as u64, 2000 + carried);
    }
}

#[test]
fn a_message_larger_than_the_queue_is_refused_whatever_the_policy() {
    for when_full in [WhenFull::Refuse, WhenFull::DropOldest, WhenFull::Wait] {
        let mut queue = Queue::open(None, options(50, when_full)).expect("opens");
        assert!(matches!(queue.push(&message(0)), Err(QueueError::TooLarge)));
    }
}

#[test]
fn what_was_queued_survives_the_process() {
    let dir = TempDir::new().expect("a directory");
    let mut queue = open(&dir, roomy());
    fill(&mut queue, 100);
    // As a kill would: nothing is written at the end.
    std::mem::forget(queue);
    fs::remove_file(dir.path().join("lock")).expect("the lock of the dead");
    let mut queue = open(&dir, roomy());
    assert_eq!(queue.stats().messages, 100);
    assert_eq!(rest(&mut queue), (0..100).map(message).collect::<Vec<_>>());
}

#[test]
fn what_was_acknowledged_is_not_sent_again_after_a_restart() {
    let dir = TempDir::new().expect("a directory");
    let mut queue = open(&dir, roomy());
    fill(&mut queue, 10);
    for _ in 0..7 {
        let (seq, _) = queue.next().expect("a message");
        queue.acknowledge(seq);
    }
    drop(queue);
    let mut queue = open(&dir, roomy());
    assert_eq!(rest(&mut queue), (7..10).map(message).collect::<Vec<_>>());
}

#[test]
fn numbers_go_on_after_everything_was_acknowledged() {
    let dir = TempDir::new().expect("a directory");
    let mut last = 0;
    for _ in 0..3 {
        let mut queue = open(&dir, roomy());
        let pushed = queue.push(&message(0)).expect("room");
        assert!(pushed.seq > last);
        last = pushed.seq;
        let (seq, _) = queue.next().expect("a message");
        queue.acknowledge(seq);
        assert!(queue.next().is_none());
    }
}

#[test]
fn one_process_has_a_queue_at_a_time() {
    let dir = TempDir::new().expect("a directory");
    let _queue = open(&dir, roomy());
    let second = Queue::open(Some(dir.path().to_owned()), roomy());
    assert!(matches!(second, Err(QueueError::Busy(_))));
}

#[test]
fn files_go_once_all_in_them_is_acknowledged() {
    let dir = TempDir::new().expect("a directory");
    let mut queue = open(&dir, options(100_000, WhenFull::Refuse));
    for round in 0..50 {
        fill(&mut queue, 100);
        while let Some((seq, _)) = queue.next() {
            queue.acknowledge(seq);
        }
        assert_eq!(queue.stats().messages, 0);
        assert!(
            queue.stats().bytes <= 10_000,
            "round {round}: {:?}",
            queue.stats()
        );
    }
}

fn segment_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some()).collect();
    files.retain(|path| path.extension().is_some_and(|suffix| suffix == "queue"));
    files.sort();
    files
}

#[test]
fn a_file_cut_off_at_any_byte_keeps_every_whole_record() {
    let dir = TempDir::new().expect("a directory");
    let mut queue = open(&dir, roomy());
    fill(&mut queue, 4);
    drop(queue);
    let file = segment_files(dir.path()).remove(0);
    let whole = fs::read(&file).expect("readable");
    let record_len = record::len(&message(0));
    for len in 0..whole.len() {
        fs::write(&file, &whole[..len]).expect("written");
        let mut queue = open(&dir, roomy());
        let kept = rest(&mut queue);
        assert_eq!(
            kept,
            (0..len / record_len).map(message).collect::<Vec<_>>(),
            "at {len}"
        );
        queue.push(&message(9)).expect("room");
        queue.rewind();
        assert_eq!(rest(&mut queue).last(), Some(&message(9)), "at {len}");
        assert_eq!(queue.stats().messages, kept.len() as u64 + 1);
    }
}

#[test]
fn a_flipped_bit_costs_one_message_and_is_counted() {
    let dir = TempDir::new().expect("a directory");
    let mut queue = open(&dir, roomy());
    fill(&mut queue, 4);
    drop(queue);
    let file = segment_files(dir.path()).remove(0);
    let whole = fs::read(&file).expect("readable");
    let record_len = record::len(&message(0));
    for at in 0..whole.len() {
        for bit in [0, 3, 7] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            fs::write(&file, &damaged).expect("written");
            let _ = fs::remove_file(dir.path().join("head"));
            let mut queue = open(&dir, roomy());
            let expected: Vec<_> = (0..4)
                .filter(|number| *number != at / record_len)
                .map(message)
                .collect();
            assert_eq!(rest(&mut queue), expected, "bit {bit} of byte {at}");
            assert_eq!(queue.stats().corrupted, 1, "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn damage_that_comes_while_the_queue_is_open_is_passed_over() {
    let dir = TempDir::new().expect("a directory");
    let mut queue = open(&dir, options(64 * 1024, WhenFull::Refuse));
    fill(&mut queue, 500);
    let files = segment_files(dir.path());
    assert!(files.len() > 2, "several files: {files:?}");
    let mut bytes = fs::read(&files[0]).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    use std::os::unix::fs::FileExt;
    let opened = fs::OpenOptions::new()
        .write(true)
        .open(&files[0])
        .expect("opens");
    opened.write_all_at(&bytes, 0).expect("written");
    let mut seen = 0;
    while let Some((seq, _)) = queue.next() {
        seen += 1;
        queue.acknowledge(seq);
    }
    assert_eq!(seen, 499);
    assert_eq!(queue.stats().corrupted, 1);
    assert!(!files[0].exists(), "the damaged file is gone");
}

#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    Next,
    Acknowledge(usize),
    Rewind,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..400).prop_map(Step::Push),
        4 => Just(Step::Next),
        3 => (0usize..8).prop_map(Step::Acknowledge),
        1 => Just(Step::Rewind),
        1 => Just(Step::Reopen),
    ]
}

/// The queue as it should be.
#[derive(Default)]
struct Model {
    waiting: BTreeMap<Seq, Outgoing>,
    // Handed out.
    out: Vec<Seq>,
    // Acknowledged.
    gone: BTreeMap<Seq, Outgoing>,
}

fn check(steps: Vec<Step>, in_memory: bool) {
    let dir = TempDir::new().expect("a directory");
    let path = (!in_memory).then(|| dir.path().to_owned());
    let reopen = || Queue::open(path.clone(), options(1 << 16, WhenFull::Refuse)).expect("opens");
    let mut queue = reopen();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Push(size) => {
                let payload = Bytes::from(vec![size as u8; size]);
                let message = Outgoing::new("t", payload, Qos::AtLeastOnce, false).expect("valid");
                if let Ok(pushed) = queue.push(&message) {
                    model.waiting.insert(pushed.seq, message);
                }
            }
            Step::Next => {
                let expected = model
                    .waiting
                    .iter()
                    .find(|(seq, _)| !model.out.contains(seq));
                let expected = expected.map(|(seq, message)| (*seq, message.clone()));
                assert_eq!(queue.next(), expected);
                model.out.extend(expected.map(|(seq, _)| seq));
            }
            Step::Acknowledge(which) => {
                if which < model.out.len() {
                    let seq = model.out.remove(which);
                    queue.acknowledge(seq);
                    model.gone.extend(model.waiting.remove_entry(&seq));
                }
            }
            Step::Rewind => {
                queue.rewind();
                model.out.clear();
            }
            Step::Reopen if in_memory => {}
            Step::Reopen => {
                drop(queue);
                queue = reopen();
                // What was acknowledged before an older one comes again.
                if let Some((&oldest, _)) = model.waiting.first_key_value() {
                    model.waiting.extend(model.gone.split_off(&oldest));
                }
                model.out.clear();
            }
        }
        assert_eq!(queue.stats().messages, model.waiting.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_queue_on_disk_is_what_a_simple_one_would_be(steps in prop::collection::vec(step(), 1..120)) {
        check(steps, false);
    }

    #[test]
    fn the_queue_in_memory_is_what_a_simple_one_would_be(steps in prop::collection::vec(step(), 1..120)) {
        check(steps, true);
    }

    #[test]
    fn no_bytes_on_disk_break_the_queue(bytes in prop::collection::vec(any::<u8>(), 0..2000), cut in 0usize..400) {
        let dir = TempDir::new().expect("a directory");
        let mut queue = open(&dir, roomy());
        fill(&mut queue, 5);
        drop(queue);
        let file = segment_files(dir.path()).remove(0);
        let mut damaged = fs::read(&file).expect("readable");
        damaged.splice(cut.min(damaged.len()).., bytes);
        fs::write(&file, &damaged).expect("written");
        fs::write(dir.path().join("head"), &damaged[..damaged.len().min(12)]).expect("written");
        let mut queue = open(&dir, roomy());
        queue.push(&message(9)).expect("room");
        while let Some((seq, _)) = queue.next() {
            queue.acknowledge(seq);
        }
    }
}
