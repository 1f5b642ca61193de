//! The write-ahead log: what was taken is on the disk, sealed, before anybody is told so.

mod batch;
mod disk;
mod frame;
mod read;
mod recover;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Poll, Waker},
    thread::JoinHandle,
    time::Duration,
};

use palisade_core::port::{CannotKeep, Telemetry, TelemetrySink};
use palisade_keys::KeyWrap;
use parking_lot::{Condvar, Mutex};

use batch::{Batch, Spare};
use disk::{Directory, Disk};
use frame::Tail;
use read::Reader;
use writer::Writer;

pub use read::LogFault;
pub use recover::{Damage, Mark};
pub use writer::RollAt;

use crate::{Record, Wiped};

/// What waits to be written at most, in bytes, before messages are refused.
const MAX_WAITING: usize = 64 * 1024 * 1024;
/// The longest message, in bytes, with all that stands beside it: it fits a chunk.
const MAX_RECORD: usize = frame::MAX_CHUNK - 64;

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Its directory cannot be used.
    #[error("the telemetry log in {path} cannot be used: {source}")]
    Io {
        /// Where.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A file of the log, as far as it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogFile {
    /// Which.
    pub number: u64,
    /// The number of its first message.
    pub first: u64,
    /// The number behind its last message, where it is known.
    pub next: u64,
    /// Whether something behind these messages is broken, or missing.
    pub is_damaged: bool,
    tail: Tail,
}

/// The log of one vault. Dropping it writes what is left.
pub struct Log {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    wrap: Arc<dyn KeyWrap>,
    writer: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

/// A log that was opened, and what was found wrong with what was there.
#[derive(Debug)]
pub struct Opened {
    /// The log.
    pub log: Log,
    /// What is damaged; it stays where it is.
    pub damage: Vec<Damage>,
}

/// What the log and its writer share.
#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    committed: AtomicU64,
    is_failing: AtomicBool,
    waiters: Mutex<Vec<(u64, Waker)>>,
    files: Mutex<Files>,
    /// Why the open file cannot be closed.
    held: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Queue {
    batch: Batch,
    spare: Spare,
    is_closing: bool,
    /// How often somebody wanted the open file closed, and for how many of them it was.
    rolls_wanted: u64,
    rolls_done: u64,
    /// Whether the root key is asked if another file could be begun, and what came of it.
    is_asked: bool,
    answer: Option<Result<(), String>>,
}

#[derive(Debug, Default)]
struct Files {
    /// The oldest first.
    closed: Vec<LogFile>,
    /// The one that is written to, as far as it is durable.
    open: Option<LogFile>,
}

impl Log {
    /// Opens the log in a directory, for this process alone. `mark` is what was known of it last, `rolled` the
    /// number of the last file whose messages are elsewhere.
    ///
    /// # Errors
    /// When the directory cannot be used. Damage in it is no error: it is told, and what is whole is read.
    pub fn open(
        path: &Path,
        wrap: Arc<dyn KeyWrap>,
        roll_at: RollAt,
        known: Mark,
    ) -> Result<Opened, LogError> {
        let failed = |source| LogError::Io {
            path: path.display().to_string(),
            source,
        };
        let disk = Directory::open(path).map_err(failed)?;
        Self::open_on(Arc::new(disk), wrap, roll_at, known).map_err(failed)
    }

    fn open_on(
        disk: Arc<dyn Disk>,
        wrap: Arc<dyn KeyWrap>,
        roll_at: RollAt,
        known: Mark,
    ) -> io::Result<Opened> {
        let found = recover::recover(&*disk, &*wrap, known)?;
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                batch: Batch::from(found.next_message),
                ..Queue::default()
            }),
            arrived: Condvar::new(),
            committed: AtomicU64::new(found.next_message.saturating_sub(1)),
            is_failing: AtomicBool::new(false),
            waiters: Mutex::default(),
            files: Mutex::new(Files {
                closed: found.files,
                open: None,
            }),
            held: Mutex::default(),
        });
        let writer = Writer {
            shared: shared.clone(),
            disk: disk.clone(),
            wrap: wrap.clone(),
            roll_at,
            next_file: found.next_file,
            before: found.before,
            open: None,
            held: None,
            asks: None,
        };
        let writer = std::thread::Builder::new()
            .name("vault-log".to_owned())
            .spawn(move || writer.run())?;
        Ok(Opened {
            log: Self {
                shared,
                disk,
                wrap,
                writer: Some(writer),
            },
            damage: found.damage,
        })
    }

    /// How far the log is durable, to be kept elsewhere: whoever cuts it behind that is found out.
    #[must_use]
    pub fn mark(&self, rolled: u64) -> Mark {
        let files = self.shared.files.lock();
        let newest = files.open.or(files.closed.last().copied());
        Mark {
            rolled,
            file: newest.map_or(0, |file| file.number),
            chunks: newest.map_or(0, |file| file.tail.chunks),
            next_message: self.shared.committed.load(Ordering::Acquire) + 1,
        }
    }

    /// Whether messages cannot be made durable now.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.shared.is_failing.load(Ordering::Relaxed)
    }

    /// The number of the last message that is durable.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.shared.committed.load(Ordering::Acquire)
    }

    /// The files that nothing is written to any more, the oldest first.
    #[must_use]
    pub fn closed(&self) -> Vec<LogFile> {
        self.shared.files.lock().closed.clone()
    }

    /// How long those files are together, in bytes.
    #[must_use]
    pub fn closed_bytes(&self) -> u64 {
        let len = |file: &LogFile| self.disk.len(&name_of(file.number)).unwrap_or_default();
        self.closed().iter().map(len).sum()
    }

    /// All files, as far as they are durable, the oldest first.
    #[must_use]
    pub fn files(&self) -> Vec<LogFile> {
        let files = self.shared.files.lock();
        files.closed.iter().copied().chain(files.open).collect()
    }

    /// Has the file that is written to closed soon, with all that was taken before. The number says when.
    pub fn roll(&self) -> u64 {
        let number = {
            let mut queue = self.shared.queue.lock();
            queue.rolls_wanted += 1;
            queue.rolls_wanted
        };
        self.shared.arrived.notify_one();
        number
    }

    /// Whether the file of the time of that [`Log::roll`] is closed.
    #[must_use]
    pub fn has_rolled(&self, number: u64) -> bool {
        self.shared.queue.lock().rolls_done >= number
    }

    /// Why the file that is written to cannot be closed: no other could be begun.
    #[must_use]
    pub fn held(&self) -> Option<String> {
        self.shared.held.lock().clone()
    }

    /// Gives the messages of a file in order, each with its number, a chunk at a time: `give` says whether to go
    /// on. Where the file is broken, those before the break were given.
    ///
    /// # Errors
    /// When the file is damaged or cannot be read.
    pub fn read(
        &self,
        file: &LogFile,
        mut give: impl FnMut(u64, Record<'_>),
    ) -> Result<(), LogFault> {
        let name = name_of(file.number);
        let mut reader = Reader::open(&*self.disk, (file.number, &name), &*self.wrap)?;
        while reader.tail().chunks < file.tail.chunks {
            let at = (reader.tail().chunks, reader.good);
            let Some(chunk) = reader.next()? else {
                return Err(LogFault::Short {
                    found: at.0,
                    expected: file.tail.chunks,
                });
            };
            let malformed = |_| LogFault::Chunk {
                chunk: at.0,
                offset: at.1,
            };
            read::messages(chunk, &mut give).map_err(malformed)?;
        }
        if reader.tail() != file.tail && file.tail.chunks > 0 {
            return Err(LogFault::Tail);
        }
        Ok(())
    }

    /// Gives a damaged file a second name, under which it stays for whoever wants to know what happened.
    ///
    /// # Errors
    /// When it cannot be linked.
    pub fn keep_aside(&self, number: u64) -> io::Result<()> {
        let name = name_of(number);
        match self.disk.link(&name, &format!("{name}.damaged")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            linked => linked,
        }
    }

    /// Takes a file away whose messages are elsewhere.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, number: u64) -> io::Result<()> {
        match self.disk.remove(&name_of(number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut files = self.shared.files.lock();
        files.closed.retain(|file| file.number != number);
        Ok(())
    }
}

impl TelemetrySink for Log {
    fn keep(&self, message: &Telemetry<'_>) -> Result<u64, CannotKeep> {
        let record = Record::of(message);
        if record.most() > MAX_RECORD || self.is_failing() {
            return Err(CannotKeep);
        }
        self.shared.submit(&record)
    }

    fn is_durable(&self, number: u64) -> bool {
        self.committed() >= number
    }

    fn poll_durable(&self, number: u64, waker: &Waker) -> Poll<()> {
        if self.is_durable(number) {
            return Poll::Ready(());
        }
        let mut waiters = self.shared.waiters.lock();
        if self.is_durable(number) {
            return Poll::Ready(());
        }
        waiters.push((number, waker.clone()));
        Poll::Pending
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.queue.lock().is_closing = true;
        self.shared.arrived.notify_one();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Shared {
    fn submit(&self, record: &Record<'_>) -> Result<u64, CannotKeep> {
        let (number, was_empty) = {
            let mut queue = self.queue.lock();
            let Queue {
                batch,
                spare,
                is_closing,
                ..
            } = &mut *queue;
            if *is_closing || batch.bytes() + record.most() > MAX_WAITING {
                return Err(CannotKeep);
            }
            let was_empty = batch.is_empty();
            (batch.put(record, spare)?, was_empty)
        };
        if was_empty {
            self.arrived.notify_one();
        }
        Ok(number)
    }

    /// Waits for messages, for the end, or this long. Says whether it is the last time.
    fn wait(&self, longest: Option<Duration>) -> Awaited {
        let mut queue = self.queue.lock();
        let is_idle = |queue: &mut Queue| {
            queue.batch.is_empty()
                && !queue.is_closing
                && queue.answer.is_none()
                && (queue.is_asked || queue.rolls_wanted == queue.rolls_done)
        };
        match longest {
            Some(longest) => drop(self.arrived.wait_while_for(&mut queue, is_idle, longest)),
            None => self.arrived.wait_while(&mut queue, is_idle),
        }
        let fresh = Batch::from(queue.batch.next());
        Awaited {
            batch: std::mem::replace(&mut queue.batch, fresh),
            rolls: queue.rolls_wanted,
            wants_roll: queue.rolls_wanted > queue.rolls_done,
            answer: queue.answer.take(),
            is_last: queue.is_closing,
        }
    }

    /// A batch is written: its room is used again.
    fn give_back(&self, batch: Batch) {
        let mut rooms: Vec<_> = batch.chunks.into_iter().map(|chunk| chunk.bytes).collect();
        rooms.iter_mut().for_each(Wiped::wipe);
        self.queue.lock().spare.give_back(rooms);
    }

    /// The open file is durable to here.
    fn is_durable_to(&self, file: LogFile) {
        self.files.lock().open = Some(file);
    }

    /// The open file is closed: it counts as far as it was durable.
    fn close(&self, number: u64, (first, next): (u64, u64)) -> LogFile {
        let mut files = self.files.lock();
        let durable = files.open.take().filter(|file| file.number == number);
        let file = durable.unwrap_or(LogFile {
            number,
            first,
            next,
            is_damaged: false,
            tail: Tail {
                number,
                ..Tail::default()
            },
        });
        files.closed.push(file);
        file
    }

    /// The root key is asked from now on, until there is an answer.
    fn is_asked(&self) {
        self.queue.lock().is_asked = true;
    }

    fn has_answered(&self, answer: Result<(), String>) {
        {
            let mut queue = self.queue.lock();
            (queue.is_asked, queue.answer) = (false, Some(answer));
        }
        self.arrived.notify_one();
    }

    fn hold(&self, why: Option<String>) {
        *self.held.lock() = why;
    }

    /// The calls for a roll up to this one are answered.
    fn has_rolled(&self, number: u64) {
        self.queue.lock().rolls_done = number;
    }

    fn is_closing(&self) -> bool {
        self.queue.lock().is_closing
    }

    /// Everything up to this message is durable.
    fn commit(&self, last: u64) {
        self.committed.store(last, Ordering::Release);
        let ready: Vec<(u64, Waker)> = {
            let mut waiters = self.waiters.lock();
            waiters
                .extract_if(.., |(number, _)| *number <= last)
                .collect()
        };
        for (_, waker) in ready {
            waker.wake();
        }
    }
}

/// What the writer was woken for.
struct Awaited {
    batch: Batch,
    /// Which calls for a roll are answered by one that is done now.
    rolls: u64,
    wants_roll: bool,
    /// What the root key said, where it was asked.
    answer: Option<Result<(), String>>,
    is_last: bool,
}

const SUFFIX: &str = ".wal";

fn name_of(number: u64) -> String {
    format!("{number:020}{SUFFIX}")
}

fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(SUFFIX)?.parse().ok()?;
    (name_of(number) == name).then_some(number)
}
