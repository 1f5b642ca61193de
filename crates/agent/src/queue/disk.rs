//! The queue on disk: a few files of records, the oldest removed once all in it is acknowledged.
//!
//! What was acknowledged is written down now and then, not each time: after a crash a few messages are sent
//! twice, which quality of service 1 allows, and flash memory lives longer.

use std::{
    collections::{BTreeSet, VecDeque},
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
};

use crc::{CRC_32_ISCSI, Crc};

use super::{
    Pushed, QueueError, QueueOptions, QueueStats, Seq, SyncPolicy, WhenFull, record,
    segment::Segment,
};
use crate::message::Outgoing;

const HEAD: &str = "head";
const CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
const SMALLEST_SEGMENT: u64 = 4096;

pub(crate) struct DiskQueue {
    dir: PathBuf,
    options: QueueOptions,
    // Held for as long as the queue is open.
    _lock: File,
    segments: VecDeque<Segment>,
    segment_len: u64,
    next_seq: Seq,
    // The next record to hand out: in which file, and where.
    cursor: (Seq, u64),
    // The one after the last that was handed out.
    unread: Seq,
    // Handed out, not acknowledged.
    outstanding: BTreeSet<Seq>,
    // Acknowledged before an older one.
    early: BTreeSet<Seq>,
    written_head: Seq,
    dropped: u64,
    corrupted: u64,
}

impl DiskQueue {
    pub(super) fn open(dir: PathBuf, options: QueueOptions) -> Result<Self, QueueError> {
        let failed = |what| {
            let path = dir.clone();
            move |source| QueueError::Io { path, what, source }
        };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&dir).map_err(failed("made"))?;
        let mut lock = OpenOptions::new();
        lock.write(true).create(true).truncate(false).mode(0o600);
        let lock = lock.open(dir.join("lock")).map_err(failed("locked"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(QueueError::Busy(dir)),
            Err(TryLockError::Error(error)) => return Err(failed("locked")(error)),
        }
        let head = read_head(&dir.join(HEAD));
        let mut queue = Self {
            segment_len: (options.max_bytes / 16).max(SMALLEST_SEGMENT),
            options,
            _lock: lock,
            segments: VecDeque::new(),
            next_seq: head.max(1),
            cursor: (0, 0),
            unread: head,
            outstanding: BTreeSet::new(),
            early: BTreeSet::new(),
            written_head: head,
            dropped: 0,
            corrupted: 0,
            dir: dir.clone(),
        };
        for first in Segment::list(&dir).map_err(failed("listed"))? {
            let (segment, scan) = Segment::open(&dir, first, head).map_err(failed("read"))?;
            queue.corrupted += scan.corrupted;
            let after = scan.last.map_or(first, |last| last.saturating_add(1));
            queue.next_seq = queue.next_seq.max(after);
            queue.segments.push_back(segment);
        }
        queue.rewind();
        queue.tidy();
        Ok(queue)
    }

    fn io(&self, what: &'static str, source: io::Error) -> QueueError {
        QueueError::Io {
            path: self.dir.clone(),
            what,
            source,
        }
    }

    pub(super) fn push(&mut self, message: &Outgoing) -> Result<Pushed, QueueError> {
        let len = record::len(message) as u64;
        if len > self.options.max_bytes || self.options.max_messages == 0 {
            return Err(QueueError::TooLarge);
        }
        self.make_room(len)?;
        while let Err(error) = self.append(len, message) {
            // A full disk: what is oldest makes room here as well, if it may.
            let may_drop = self.options.when_full == WhenFull::DropOldest;
            if !may_drop || self.segments.len() < 2 || !self.drop_oldest() {
                return Err(self.io("written", error));
            }
        }
        let seq = self.next_seq;
        self.next_seq = seq.saturating_add(1);
        let sync = match (self.options.sync, self.segments.back()) {
            (SyncPolicy::Always, Some(segment)) => segment.handle().map(Some),
            _ => Ok(None),
        };
        Ok(Pushed {
            seq,
            sync: sync.map_err(|error| self.io("synced", error))?,
            oldest: self.segments.front().map_or(seq, |segment| segment.first),
        })
    }

    fn make_room(&mut self, len: u64) -> Result<(), QueueError> {
        loop {
            let QueueStats {
                messages, bytes, ..
            } = self.stats();
            if bytes + len <= self.options.max_bytes && messages < self.options.max_messages {
                return Ok(());
            }
            let is_spent = self.segments.front().is_some_and(|oldest| oldest.live == 0);
            let may_drop = self.options.when_full == WhenFull::DropOldest;
            if !(is_spent || may_drop) || !self.drop_oldest() {
                return Err(QueueError::Full { messages, bytes });
            }
        }
    }

    fn append(&mut self, len: u64, message: &Outgoing) -> io::Result<()> {
        let fits = |segment: &Segment| segment.len == 0 || segment.len + len <= self.segment_len;
        if !self.segments.back().is_some_and(fits) {
            let segment = Segment::create(&self.dir, self.next_seq)?;
            if self.options.sync == SyncPolicy::Always {
                File::open(&self.dir)?.sync_all()?;
            }
            self.segments.push_back(segment);
        }
        match self.segments.back_mut() {
            Some(segment) => segment.append(self.next_seq, message),
            None => Ok(()),
        }
    }

    /// Removes the oldest file, whatever is in it.
    fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.segments.pop_front() else {
            return false;
        };
        self.dropped += oldest.live;
        let first = self
            .segments
            .front()
            .map_or(self.next_seq, |next| next.first);
        self.outstanding = self.outstanding.split_off(&first);
        self.early = self.early.split_off(&first);
        self.unread = self.unread.max(first);
        if self.cursor.0 < first {
            self.cursor = (first, 0);
        }
        if let Err(error) = oldest.remove() {
            tracing::warn!(%error, "a file of the queue cannot be removed");
        }
        true
    }

    pub(super) fn next(&mut self) -> Option<(Seq, Outgoing)> {
        loop {
            let (at, offset) = self.cursor;
            let place = self.segments.partition_point(|segment| segment.first < at);
            let segment = self.segments.get_mut(place)?;
            let offset = if segment.first == at { offset } else { 0 };
            let read = segment.read(offset, &mut self.corrupted);
            let read = read.unwrap_or_else(|error| {
                tracing::error!(%error, "the queue cannot be read");
                None
            });
            let (first, len) = (segment.first, segment.len);
            if let Some((record, end)) = read {
                self.cursor = (first, end);
                if record.seq >= self.unread && !self.early.contains(&record.seq) {
                    self.outstanding.insert(record.seq);
                    self.unread = record.seq.saturating_add(1);
                    return Some((record.seq, record.message));
                }
                continue;
            }
            let Some(next) = self.segments.get(place + 1) else {
                self.cursor = (first, len);
                return None;
            };
            self.cursor = (next.first, 0);
            self.unread = self.unread.max(next.first);
            self.tidy();
        }
    }

    /// The oldest message that is still wanted.
    fn head(&self) -> Seq {
        let oldest = self.outstanding.first().copied();
        oldest.map_or(self.unread, |oldest| oldest.min(self.unread))
    }

    pub(super) fn rewind(&mut self) {
        self.unread = self.head();
        self.outstanding.clear();
        self.cursor = (self.segments.front().map_or(0, |segment| segment.first), 0);
    }

    pub(super) fn acknowledge(&mut self, seq: Seq) {
        if !self.outstanding.remove(&seq) {
            return;
        }
        self.early.insert(seq);
        while self.outstanding.is_empty() && self.early.remove(&self.unread) {
            self.unread += 1;
        }
        self.early = self.early.split_off(&self.head());
        let place = self
            .segments
            .partition_point(|segment| segment.first <= seq);
        if let Some(segment) = place
            .checked_sub(1)
            .and_then(|at| self.segments.get_mut(at))
        {
            segment.live = segment.live.saturating_sub(1);
        }
        self.tidy();
    }

    /// Removes files that nothing is wanted from. The last one is kept for a while, so that a queue which is
    /// emptied after each message does not make a file for each.
    fn tidy(&mut self) {
        while let Some(oldest) = self.segments.front() {
            let is_done = match self.segments.get(1) {
                Some(next) => self.head() >= next.first && self.cursor.0 >= next.first,
                None => oldest.live == 0 && oldest.len > self.segment_len / 2,
            };
            if !is_done && (oldest.live > 0 || self.segments.len() == 1) {
                return;
            }
            // What is left in it could not be read, and was counted.
            let dropped = self.dropped;
            self.drop_oldest();
            self.dropped = dropped;
        }
    }

    pub(super) fn checkpoint(&mut self) {
        let head = self.head();
        if head == self.written_head {
            return;
        }
        match write_head(&self.dir, head) {
            Ok(()) => self.written_head = head,
            Err(error) => tracing::warn!(%error, "what was sent cannot be written down"),
        }
    }

    pub(super) fn stats(&self) -> QueueStats {
        QueueStats {
            messages: self.segments.iter().map(|segment| segment.live).sum(),
            bytes: self.segments.iter().map(|segment| segment.len).sum(),
            dropped: self.dropped,
            corrupted: self.corrupted,
        }
    }
}

impl Drop for DiskQueue {
    fn drop(&mut self) {
        self.checkpoint();
    }
}

/// Zero where there is none that can be read: then everything is sent again.
fn read_head(path: &std::path::Path) -> Seq {
    let read = || {
        let bytes: [u8; 12] = fs::read(path).ok()?.try_into().ok()?;
        let (seq, checksum) = bytes.split_at(8);
        let is_sound = CHECKSUM.checksum(seq).to_be_bytes() == *checksum;
        is_sound.then(|| Seq::from_be_bytes(seq.try_into().unwrap_or_default()))
    };
    read().unwrap_or(0)
}

fn write_head(dir: &std::path::Path, head: Seq) -> io::Result<()> {
    let seq = head.to_be_bytes();
    let checksum = CHECKSUM.checksum(&seq).to_be_bytes();
    let temporary = dir.join("head.new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    io::Write::write_all(
        &mut options.open(&temporary)?,
        &[&seq[..], &checksum].concat(),
    )?;
    fs::rename(temporary, dir.join(HEAD))
}
