//! The thread that writes: everything that came meanwhile goes to the disk as one.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use palisade_keys::{KeyWrap, random_key};
use zeroize::Zeroize;

use super::{
    Awaited, LogFile, Shared,
    batch::{Batch, CHUNK, Gathered},
    disk::{Append, Disk},
    frame::{FRAME, Head, Kind, Sealer, TAG, Tail},
    read::Chunk,
};

/// So much is sealed, in bytes, before it goes to the disk: a batch may be far larger.
const PIECE: usize = 1024 * 1024;
/// How long to wait before what could not be written is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// How long to wait before a root key that is away is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// When a file is closed and the next one begun.
#[derive(Debug, Clone, Copy)]
pub struct RollAt {
    /// At this many bytes.
    pub bytes: u64,
    /// At this age.
    pub age: Duration,
}

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) wrap: Arc<dyn KeyWrap>,
    pub(super) roll_at: RollAt,
    pub(super) next_file: u64,
    pub(super) before: Option<Tail>,
    pub(super) open: Option<Open>,
    /// Since when the open file cannot be closed, as no other could be begun.
    pub(super) held: Option<Instant>,
    /// Who asks the root key now: it may be far away, and nobody who waits for a message to be durable waits for it.
    pub(super) asks: Option<JoinHandle<()>>,
}

/// The file that is written to.
pub(super) struct Open {
    file: Box<dyn Append>,
    name: String,
    number: u64,
    sealer: Sealer,
    first: u64,
    /// How much of it is durable, in bytes.
    len: u64,
    since: Instant,
    /// What is sealed and not written yet.
    out: Vec<u8>,
}

impl Writer {
    /// Writes until the log is closed, and then what is left.
    pub(super) fn run(mut self) {
        loop {
            let Awaited {
                batch,
                rolls,
                wants_roll,
                answer,
                is_last,
            } = self.shared.wait(self.time_left());
            let next = batch.next();
            if !batch.is_empty() {
                self.write(&batch);
                self.shared.give_back(batch);
            }
            if is_last {
                self.close(next);
                self.shared.has_rolled(rolls);
                self.end_asking();
                return;
            }
            if let Some(answer) = answer {
                self.end_asking();
                self.roll(next, answer);
                self.shared.has_rolled(rolls);
            } else if self.open.is_none() {
                self.shared.hold(None);
                self.shared.has_rolled(rolls);
            } else if wants_roll || self.is_due() {
                self.ask(wants_roll);
            }
        }
    }

    /// How long the open file has before it is closed for its age.
    fn time_left(&self) -> Option<Duration> {
        let open = self.open.as_ref().filter(|_| self.asks.is_none())?;
        let left = self.roll_at.age.saturating_sub(open.since.elapsed());
        let again = self
            .held
            .map(|held| ASK_AGAIN.saturating_sub(held.elapsed()));
        Some(again.unwrap_or(left))
    }

    fn is_due(&self) -> bool {
        let due = |open: &Open| {
            open.len >= self.roll_at.bytes || open.since.elapsed() >= self.roll_at.age
        };
        self.open.as_ref().is_some_and(due)
    }

    /// Writes a batch, however often it takes; gives up only where the log is being closed.
    fn write(&mut self, batch: &Batch) {
        while let Err(error) = self.try_write(batch) {
            tracing::error!(%error, messages = batch.len(), "telemetry could not be written; trying again");
            self.shared.is_failing.store(true, Ordering::Relaxed);
            self.abandon(batch.first);
            if self.shared.is_closing() {
                return;
            }
            std::thread::sleep(RETRY);
        }
        self.shared.is_failing.store(false, Ordering::Relaxed);
        if let Some(open) = &self.open {
            self.shared.is_durable_to(LogFile {
                number: open.number,
                first: open.first,
                next: batch.next(),
                is_damaged: false,
                tail: open.sealer.tail(),
            });
        }
        self.shared.commit(batch.next() - 1);
    }

    fn try_write(&mut self, batch: &Batch) -> io::Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                // A number is used once: what a failed attempt leaves behind is in nobody's way.
                let number = self.next_file;
                self.next_file += 1;
                let place = (number, batch.first);
                none.insert(Open::create(&*self.disk, &*self.wrap, place, self.before)?)
            }
        };
        open.write(batch)
    }

    /// Has somebody ask whether another file could be begun, unless somebody does.
    fn ask(&mut self, is_urgent: bool) {
        let is_too_soon = self.held.is_some_and(|held| held.elapsed() < ASK_AGAIN);
        if self.asks.is_some() || (is_too_soon && !is_urgent) {
            return;
        }
        let (wrap, shared) = (self.wrap.clone(), self.shared.clone());
        self.shared.is_asked();
        let ask = move || {
            let asked = catch_unwind(AssertUnwindSafe(|| wrap.check()));
            let answer = match asked {
                Ok(answer) => answer.map_err(|error| error.to_string()),
                Err(_) => Err("the root key could not be asked".to_owned()),
            };
            shared.has_answered(answer);
        };
        let begun = std::thread::Builder::new()
            .name("vault-root".to_owned())
            .spawn(ask);
        match begun {
            Ok(asks) => self.asks = Some(asks),
            Err(error) => self.shared.has_answered(Err(error.to_string())),
        }
    }

    /// Whoever asked has answered, or will soon: a module of a token must not run while the process ends.
    fn end_asking(&mut self) {
        if let Some(asks) = self.asks.take() {
            let _ = asks.join();
        }
    }

    /// Closes the open file in good order; the next message begins another. It stays open while there could be no other:
    /// messages are taken although the root key is away.
    fn roll(&mut self, next: u64, answer: Result<(), String>) {
        if let (Err(error), Some(open)) = (&answer, &self.open) {
            tracing::warn!(%error, file = open.name, "a file of the telemetry log stays open, as no other could be begun");
            self.shared.hold(Some(error.clone()));
            self.held = Some(Instant::now());
            return;
        }
        self.held = None;
        self.shared.hold(None);
        self.close(next);
    }

    fn close(&mut self, next: u64) {
        let Some(open) = &mut self.open else {
            return;
        };
        if let Err(error) = open.end() {
            tracing::warn!(%error, file = open.name, "a file of the telemetry log could not be closed in good order");
        }
        self.abandon(next);
    }

    /// Leaves the open file as it is: what it holds durably counts, what came after does not. Nothing is sealed
    /// with its key again, as a nonce that was used is known to nobody then.
    fn abandon(&mut self, next: u64) {
        let Some(open) = self.open.take() else {
            return;
        };
        // What a failed write left is not read, wherever that file ends: the next one says how many chunks count.
        let file = self.shared.close(open.number, (open.first, next));
        self.before = Some(file.tail);
    }
}

impl Open {
    fn create(
        disk: &dyn Disk,
        wrap: &dyn KeyWrap,
        (number, first): (u64, u64),
        before: Option<Tail>,
    ) -> io::Result<Self> {
        let key = random_key(32).map_err(io::Error::other)?;
        let mut head = Head::new(number, first, before);
        head.key = wrap.wrap(&key, &head.context()).map_err(io::Error::other)?;
        let bytes = head.to_bytes().map_err(io::Error::other)?;
        let sealer = Sealer::new(&key, number).ok_or_else(|| io::Error::other("no key"))?;
        let name = super::name_of(number);
        let mut file = disk.create(&name)?;
        let begun = file
            .append(&bytes)
            .and_then(|()| file.sync())
            .and_then(|()| disk.sync());
        if let Err(error) = begun {
            // One more try leaves one more file; what stays all the same holds no message, and is known by that.
            let _ = disk.remove(&name);
            return Err(error);
        }
        Ok(Self {
            file,
            name,
            number,
            sealer,
            first,
            len: bytes.len() as u64,
            since: Instant::now(),
            out: Vec::with_capacity(2 * CHUNK),
        })
    }

    /// Seals and writes a batch, and makes it durable.
    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        let mut len = 0;
        for chunk in &batch.chunks {
            self.seal(chunk)?;
            if self.out.len() >= PIECE {
                len += self.flush()?;
            }
        }
        len += self.flush()?;
        self.file.sync()?;
        self.len += len;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<u64> {
        self.file.append(&self.out)?;
        let len = self.out.len() as u64;
        // What stands there is sealed: there is nothing to wipe.
        self.out.clear();
        Ok(len)
    }

    /// Puts a chunk, sealed, behind those that are to be written.
    fn seal(&mut self, chunk: &Gathered) -> io::Result<()> {
        let from = self.out.len();
        self.out.extend_from_slice(&[0; FRAME]);
        let head = Chunk {
            first: chunk.first,
            count: chunk.count,
        };
        let mut out =
            postcard::to_extend(&head, std::mem::take(&mut self.out)).map_err(io::Error::other)?;
        out.extend_from_slice(&chunk.bytes);
        if self.sealer.seal(&mut out, from, Kind::Messages).is_err() {
            out.zeroize();
            return Err(io::Error::other("a chunk cannot be sealed"));
        }
        self.out = out;
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let mut out = vec![0; FRAME];
        let sealed = self.sealer.seal(&mut out, 0, Kind::End);
        sealed.map_err(|_| io::Error::other("a chunk cannot be sealed"))?;
        debug_assert_eq!(out.len(), FRAME + TAG);
        self.file.append(&out)?;
        self.file.sync()
    }
}
