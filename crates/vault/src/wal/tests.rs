//! The log under attack, and under a disk that loses power.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    sync::{Arc, atomic::AtomicBool, atomic::AtomicUsize, atomic::Ordering},
    task::Waker,
    time::{Duration, Instant},
};

use palisade_core::{DeviceId, ProductId, SegmentId, Timestamp, Topic, port::Telemetry};
use palisade_keys::{Secret, WrapError, WrappingKey};
use parking_lot::Mutex;

use super::{
    disk::{Append, Disk},
    *,
};

/// A disk in memory that fails after so many writes, and forgets what was not made durable.
#[derive(Debug, Default, Clone)]
struct Memory {
    files: Arc<Mutex<BTreeMap<String, File>>>,
    /// How many writes are left before everything fails; `usize::MAX` counts as for ever.
    left: Arc<AtomicUsize>,
    /// A file that cannot be read from this byte on.
    bad: Arc<Mutex<Option<(String, usize)>>>,
}

/// The bytes of a file up to where the disk does not read it.
struct Until(io::Cursor<Vec<u8>>);

impl Read for Until {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("the disk does not read it")),
            read => Ok(read),
        }
    }
}

#[derive(Debug, Default, Clone)]
struct File {
    bytes: Vec<u8>,
    durable: usize,
    is_listed: bool,
}

#[derive(Debug)]
struct Handle(Memory, String);

impl Memory {
    fn lasting(writes: usize) -> Self {
        let memory = Self::default();
        memory.left.store(writes, Ordering::SeqCst);
        memory
    }

    fn spend(&self) -> io::Result<()> {
        let spent = self
            .left
            .try_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
                usize::MAX => Some(left),
                left => left.checked_sub(1),
            });
        spent.map_or(Err(io::ErrorKind::StorageFull.into()), |_| Ok(()))
    }

    /// What is there when the power is back: of what was not durable, `kept` bytes, and `noise` behind those.
    fn after_power_cut(&self, kept: usize, noise: usize) -> Self {
        let mut files = self.files.lock().clone();
        files.retain(|_, file| file.is_listed || kept % 2 == 1);
        for file in files.values_mut() {
            let len = file.bytes.len();
            file.bytes.truncate((file.durable + kept).min(len));
            file.bytes.extend((0..noise).map(|at| (at * 7) as u8));
            file.durable = file.bytes.len();
            file.is_listed = true;
        }
        let left = AtomicUsize::new(usize::MAX);
        Self {
            files: Arc::new(Mutex::new(files)),
            left: Arc::new(left),
            bad: Arc::default(),
        }
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Vec<u8>)) {
        let mut files = self.files.lock();
        change(&mut files.get_mut(&name_of(number)).expect("a file").bytes);
    }
}

impl Disk for Memory {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        let files = self.files.lock();
        let mut bytes = files
            .get(name)
            .ok_or(io::ErrorKind::NotFound)?
            .bytes
            .clone();
        match &*self.bad.lock() {
            Some((bad, from)) if bad == name => {
                bytes.truncate(*from);
                Ok(Box::new(Until(io::Cursor::new(bytes))))
            }
            _ => Ok(Box::new(io::Cursor::new(bytes))),
        }
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        let files = self.files.lock();
        let file = files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(file.bytes.len() as u64)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Append>> {
        self.spend()?;
        let before = self.files.lock().insert(name.to_owned(), File::default());
        assert!(before.is_none(), "{name} was there");
        Ok(Box::new(Handle(self.clone(), name.to_owned())))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.spend()?;
        let removed = self.files.lock().remove(name);
        removed.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn link(&self, name: &str, second: &str) -> io::Result<()> {
        self.spend()?;
        let mut files = self.files.lock();
        let file = files.get(name).ok_or(io::ErrorKind::NotFound)?.clone();
        files.insert(second.to_owned(), file);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.spend()?;
        self.files
            .lock()
            .values_mut()
            .for_each(|file| file.is_listed = true);
        Ok(())
    }
}

impl Append for Handle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let spent = self.0.spend();
        let mut files = self.0.files.lock();
        let file = files.get_mut(&self.1).expect("a file");
        // A write that fails has written some of it.
        let written = if spent.is_ok() {
            bytes.len()
        } else {
            bytes.len() / 2
        };
        file.bytes.extend_from_slice(&bytes[..written]);
        spent
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.spend()?;
        let mut files = self.0.files.lock();
        let file = files.get_mut(&self.1).expect("a file");
        file.durable = file.bytes.len();
        Ok(())
    }
}

fn key() -> Arc<dyn KeyWrap> {
    Arc::new(WrappingKey::new(Secret::new(vec![7; 32])).expect("a key"))
}

const NEVER: RollAt = RollAt {
    bytes: u64::MAX,
    age: Duration::from_secs(86_400),
};

fn open(disk: &Memory, roll_at: RollAt, known: Mark) -> Opened {
    Log::open_on(Arc::new(disk.clone()), key(), roll_at, known).expect("opens")
}

fn keep(log: &Log, payload: &[u8]) -> Result<u64, CannotKeep> {
    log.keep(&Telemetry {
        at: Timestamp::from_second(1_700_000_000).expect("a time"),
        device: &DeviceId::parse("cam-1").expect("an id"),
        product: &ProductId::parse("cam").expect("an id"),
        segment: &SegmentId::parse("hall").expect("an id"),
        days: 30,
        topic: Topic::parse("t/cam-1/x").expect("a topic"),
        qos: 1,
        retain: false,
        properties: b"",
        payload,
    })
}

/// Waits until the message of this number is durable; `false` where the log fails.
fn durable(log: &Log, number: u64) -> bool {
    while !log.is_durable(number) {
        if log.is_failing() {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// All messages that can be read, and whether that went well.
fn all(log: &Log) -> (Vec<(u64, Vec<u8>)>, Vec<LogFault>) {
    let (mut seen, mut faults) = (Vec::new(), Vec::new());
    for file in log.files() {
        let read = log.read(&file, |number, record| {
            assert_eq!((record.device, record.topic), ("cam-1", "t/cam-1/x"));
            seen.push((number, record.payload.to_vec()));
        });
        faults.extend(read.err());
    }
    (seen, faults)
}

#[test]
fn what_was_durable_is_read_back_in_order() {
    let disk = Memory::lasting(usize::MAX);
    let Opened { log, damage } = open(&disk, NEVER, Mark::default());
    assert!(damage.is_empty());
    let long = vec![9; 200_000];
    for payload in [&b"one"[..], b"", &long, b"four"] {
        let number = keep(&log, payload).expect("kept");
        assert!(durable(&log, number));
    }
    let wanted = [
        (1, b"one".to_vec()),
        (2, vec![]),
        (3, long),
        (4, b"four".to_vec()),
    ];
    assert_eq!(all(&log).0, wanted);
    let mark = log.mark(0);
    drop(log);
    let Opened { log, damage } = open(&disk, NEVER, mark);
    assert!(damage.is_empty());
    assert_eq!(all(&log).0, wanted);
    assert_eq!(keep(&log, b"five"), Ok(5));
}

#[test]
fn how_much_of_the_log_waits_is_known_after_a_start_too() {
    let (disk, mark) = three_files();
    let long: u64 = disk
        .files
        .lock()
        .values()
        .map(|file| file.bytes.len() as u64)
        .sum();
    let Opened { log, .. } = open(&disk, NEVER, mark);
    assert_eq!((log.closed().len(), log.closed_bytes()), (3, long));
    log.remove(1).expect("is removed");
    let left = log.closed_bytes();
    assert!(left < long && left > 0);
    assert!(durable(&log, keep(&log, &[1; 5000]).expect("kept")));
    assert_eq!(log.closed_bytes(), left, "what is written to does not wait");
}

#[test]
fn nothing_that_was_written_can_be_read_on_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wal");
    let Opened { log, .. } = Log::open(&path, key(), NEVER, Mark::default()).expect("opens");
    assert!(durable(
        &log,
        keep(&log, b"a secret measurement").expect("kept")
    ));
    assert!(matches!(
        Log::open(&path, key(), NEVER, Mark::default()),
        Err(LogError::Io { .. })
    ));
    drop(log);
    for entry in std::fs::read_dir(&path).expect("a folder") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("reads");
        for word in [&b"secret"[..], b"cam-1", b"t/cam", b"hall"] {
            assert!(!bytes.windows(word.len()).any(|found| found == word));
        }
    }
    let Opened { log, .. } = Log::open(&path, key(), NEVER, Mark::default()).expect("opens");
    assert_eq!(all(&log).0.len(), 1);
}

#[test]
fn a_power_cut_at_any_write_loses_nothing_that_was_durable_and_doubles_nothing() {
    let roll_at = RollAt {
        bytes: 600,
        age: NEVER.age,
    };
    for writes in 0..60 {
        let disk = Memory::lasting(writes);
        let Opened { log, .. } = open(&disk, roll_at, Mark::default());
        let (mut sent, mut promised, mut mark) = (0, 0, Mark::default());
        for number in 1..=20_u64 {
            if keep(&log, format!("message {number}").as_bytes()) != Ok(number) {
                break;
            }
            sent = number;
            if !durable(&log, number) {
                break;
            }
            promised = number;
            mark = log.mark(0);
        }
        for (kept, noise) in [
            (0, 0),
            (1, 0),
            (3, 0),
            (40, 0),
            (1_000, 0),
            (0, 30),
            (5, 400),
        ] {
            for known in [mark, Mark::default()] {
                let back = disk.after_power_cut(kept, noise);
                let Opened { log, damage } = open(&back, roll_at, known);
                assert!(damage.is_empty(), "{writes} {kept} {noise} {damage:?}");
                let (seen, faults) = all(&log);
                assert!(faults.is_empty(), "{writes} {kept} {noise} {faults:?}");
                let found = seen.len() as u64;
                assert!(
                    (promised..=sent).contains(&found),
                    "{writes}: {promised} {found} {sent}"
                );
                for (at, (number, payload)) in seen.iter().enumerate() {
                    assert_eq!(*number, at as u64 + 1);
                    assert_eq!(*payload, format!("message {number}").into_bytes());
                }
                assert_eq!(
                    keep(&log, b"and on"),
                    Ok(found.max(known.next_message.max(1) - 1) + 1)
                );
            }
        }
        // The writer of a disk that has failed for good ends with the log.
        drop(log);
    }
}

#[test]
fn a_full_disk_refuses_and_goes_on_once_there_is_room() {
    let disk = Memory::lasting(usize::MAX);
    let Opened { log, .. } = open(&disk, NEVER, Mark::default());
    assert!(durable(&log, keep(&log, b"one").expect("kept")));
    disk.left.store(0, Ordering::SeqCst);
    let number = keep(&log, b"two").expect("taken, and not promised");
    while !log.is_failing() {
        std::thread::yield_now();
    }
    assert_eq!(keep(&log, b"three"), Err(CannotKeep));
    assert!(!log.is_durable(number));
    assert!(log.poll_durable(number, Waker::noop()).is_pending());
    disk.left.store(usize::MAX, Ordering::SeqCst);
    while !log.is_durable(number) {
        std::thread::yield_now();
    }
    let (seen, faults) = all(&log);
    assert!(faults.is_empty());
    assert_eq!(seen, [(1, b"one".to_vec()), (2, b"two".to_vec())]);
}

/// A log of three files with three messages each, and what is known of it.
fn three_files() -> (Memory, Mark) {
    let disk = Memory::lasting(usize::MAX);
    let Opened { log, .. } = open(&disk, NEVER, Mark::default());
    for number in 1..=9_u64 {
        assert!(durable(
            &log,
            keep(&log, format!("message {number}").as_bytes()).expect("kept")
        ));
        if number % 3 == 0 && number < 9 {
            let files = log.closed().len();
            log.roll();
            while log.closed().len() == files {
                std::thread::yield_now();
            }
        }
    }
    let mark = log.mark(0);
    drop(log);
    (disk, mark)
}

/// Whether somebody would be told.
fn is_found(disk: &Memory, known: Mark) -> bool {
    let Opened { log, damage } = open(&disk.after_power_cut(0, 0), NEVER, known);
    let (seen, faults) = all(&log);
    assert!(seen.len() <= 9);
    !damage.is_empty() || !faults.is_empty()
}

#[test]
fn a_log_that_nobody_touched_is_whole() {
    let (disk, mark) = three_files();
    assert!(!is_found(&disk, mark));
}

#[test]
fn a_disk_that_does_not_read_is_no_damage() {
    let (disk, mark) = three_files();
    let last = disk.len(&name_of(3)).expect("a file") as usize;
    // In a head, and in the messages of the last file, which is read whole.
    for (number, from) in [(1, 0), (2, 40), (3, last - 30)] {
        *disk.bad.lock() = Some((name_of(number), from));
        let refused = Log::open_on(Arc::new(disk.clone()), key(), NEVER, mark);
        let why = refused.expect_err("is refused").to_string();
        assert!(why.contains(&name_of(number)), "{why}");
    }
    *disk.bad.lock() = None;
    let Opened { log, damage } = open(&disk, NEVER, mark);
    assert!(damage.is_empty());
    assert_eq!(all(&log).0.len(), 9);
}

#[test]
fn a_byte_that_was_changed_anywhere_is_found() {
    let (disk, mark) = three_files();
    for number in 1..=3 {
        let len = disk.files.lock()[&name_of(number)].bytes.len();
        // The end that says that the file was closed in good order holds no message.
        for at in 0..len - frame::FRAME - frame::TAG {
            disk.change(number, |bytes| bytes[at] ^= 1);
            assert!(is_found(&disk, mark), "file {number} byte {at}");
            disk.change(number, |bytes| bytes[at] ^= 1);
        }
    }
}

#[test]
fn a_file_that_was_cut_anywhere_is_found() {
    let (disk, mark) = three_files();
    for number in 1..=3 {
        let whole = disk.files.lock()[&name_of(number)].bytes.clone();
        for len in 0..whole.len() - frame::FRAME - frame::TAG {
            disk.change(number, |bytes| bytes.truncate(len));
            assert!(is_found(&disk, mark), "file {number} cut at {len}");
            disk.change(number, |bytes| bytes.clone_from(&whole));
        }
    }
}

#[test]
fn chunks_that_change_places_are_found() {
    let (disk, mark) = three_files();
    let files: Vec<Vec<u8>> = (1..=3)
        .map(|n| disk.files.lock()[&name_of(n)].bytes.clone())
        .collect();
    let head = 4 + u32::from_be_bytes(*files[0].first_chunk().expect("a head")) as usize;
    let chunk = (files[0].len() - head - frame::FRAME - frame::TAG) / 3;
    // Reordered within a file.
    disk.change(1, |bytes| {
        let (first, second) = bytes[head..head + 2 * chunk].split_at_mut(chunk);
        first.swap_with_slice(second);
    });
    assert!(is_found(&disk, mark));
    disk.change(1, |bytes| bytes.clone_from(&files[0]));
    // Doubled, and one left out.
    disk.change(1, |bytes| {
        bytes.copy_within(head..head + chunk, head + chunk)
    });
    assert!(is_found(&disk, mark));
    disk.change(1, |bytes| drop(bytes.drain(head..head + chunk)));
    assert!(is_found(&disk, mark));
    disk.change(1, |bytes| bytes.clone_from(&files[0]));
    // From another file, at its own place there.
    disk.change(1, |bytes| {
        bytes[head..head + chunk].copy_from_slice(&files[1][head..head + chunk])
    });
    assert!(is_found(&disk, mark));
    disk.change(1, |bytes| bytes.clone_from(&files[0]));
    // One file in the place of another, and one taken away.
    disk.change(2, |bytes| bytes.clone_from(&files[0]));
    assert!(is_found(&disk, mark));
    for number in 1..=3 {
        let (disk, mark) = three_files();
        disk.remove(&name_of(number)).expect("removed");
        assert!(is_found(&disk, mark), "file {number} is gone");
    }
}

#[test]
fn a_file_of_yesterday_under_its_own_name_is_found() {
    let (yesterday, _) = three_files();
    let (disk, mark) = three_files();
    for number in 1..=3 {
        let today = disk.files.lock()[&name_of(number)].bytes.clone();
        let old = yesterday.files.lock()[&name_of(number)].bytes.clone();
        disk.change(number, |bytes| bytes.clone_from(&old));
        // The last file is named by none yet: the key alone could tell, and that is the same in this test.
        assert!(number == 3 || is_found(&disk, mark), "file {number}");
        disk.change(number, |bytes| bytes.clone_from(&today));
    }
}

#[test]
fn another_key_opens_nothing() {
    let (disk, mark) = three_files();
    let other: Arc<dyn KeyWrap> =
        Arc::new(WrappingKey::new(Secret::new(vec![8; 32])).expect("a key"));
    let Opened { log, damage } = Log::open_on(Arc::new(disk), other, NEVER, mark).expect("opens");
    assert_eq!(damage.len(), 3, "{damage:?}");
    assert!(log.files().is_empty());
    assert_eq!(keep(&log, b"and on"), Ok(10));
}

#[test]
fn files_whose_messages_are_elsewhere_are_taken_away() {
    let (disk, mark) = three_files();
    let Opened { log, damage } = open(&disk, NEVER, Mark { rolled: 2, ..mark });
    assert!(damage.is_empty());
    assert_eq!(all(&log).0.first().map(|(number, _)| *number), Some(7));
    assert_eq!(disk.list().expect("lists").len(), 1);
    let last = log.closed()[0].number;
    log.remove(last).expect("removed");
    assert!(log.files().is_empty());
}

/// A root key far away, which answers when it is let.
#[derive(Debug)]
struct Far {
    near: Arc<dyn KeyWrap>,
    is_silent: AtomicBool,
    checks: AtomicUsize,
}

impl KeyWrap for Far {
    fn wrap(&self, key: &Secret, context: &[u8]) -> Result<Vec<u8>, WrapError> {
        self.near.wrap(key, context)
    }

    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Secret, WrapError> {
        self.near.unwrap(wrapped, context)
    }

    fn check(&self) -> Result<(), WrapError> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        while self.is_silent.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        Ok(())
    }
}

#[test]
fn messages_are_durable_while_a_root_key_far_away_does_not_answer() {
    let disk = Memory::lasting(usize::MAX);
    let far = Arc::new(Far {
        near: key(),
        is_silent: AtomicBool::new(true),
        checks: AtomicUsize::new(0),
    });
    let opened = Log::open_on(Arc::new(disk), far.clone(), NEVER, Mark::default());
    let log = opened.expect("opens").log;
    let first = keep(&log, b"before").expect("kept");
    assert!(durable(&log, first));
    let wanted = log.roll();
    while far.checks.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    for payload in ["while", "it is", "silent"] {
        let number = keep(&log, payload.as_bytes()).expect("kept");
        let patience = Instant::now() + Duration::from_secs(20);
        while !log.is_durable(number) && Instant::now() < patience {
            std::thread::yield_now();
        }
        let is_durable = log.is_durable(number);
        // The log could not be closed otherwise.
        far.is_silent.fetch_and(is_durable, Ordering::SeqCst);
        assert!(is_durable, "it waits for the root key");
    }
    assert!(!log.has_rolled(wanted) && log.closed().is_empty());
    far.is_silent.store(false, Ordering::SeqCst);
    while !log.has_rolled(wanted) {
        std::thread::yield_now();
    }
    assert_eq!(log.closed().len(), 1);
    let (seen, faults) = all(&log);
    assert!(seen.len() == 4 && faults.is_empty(), "{seen:?} {faults:?}");
    assert_eq!(far.checks.load(Ordering::SeqCst), 1, "it is asked once");
}
