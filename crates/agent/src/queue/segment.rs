//! One file of the queue: records, one after the other.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{
    Seq,
    record::{self, Record},
};
use crate::message::Outgoing;

const SUFFIX: &str = ".queue";
// Enough for the header and a usual message: one read.
const CHUNK: usize = 4096;

/// One file of the queue.
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    /// The first message that may be in it.
    pub(super) first: Seq,
    /// Bytes up to the end of the last record.
    pub(super) len: u64,
    /// Messages in it that were not acknowledged.
    pub(super) live: u64,
    // Where damage begins.
    damaged: BTreeSet<u64>,
}

/// What was found in a file.
pub(super) struct Scan {
    /// The last message in it.
    pub(super) last: Option<Seq>,
    /// Damaged places.
    pub(super) corrupted: u64,
}

impl Segment {
    /// Makes a new file.
    pub(super) fn create(dir: &Path, first: Seq) -> io::Result<Self> {
        let path = dir.join(format!("{first:020}{SUFFIX}"));
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600);
        let file = options.open(&path)?;
        Ok(Self {
            path,
            file,
            first,
            len: 0,
            live: 0,
            damaged: BTreeSet::new(),
        })
    }

    /// The files in a directory, oldest first, as the numbers of their first messages.
    pub(super) fn list(dir: &Path) -> io::Result<Vec<Seq>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            found.extend(number.and_then(|digits| digits.parse::<Seq>().ok()));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Opens a file and reads through it; messages before `head` were acknowledged. What stands after the
    /// last undamaged record, as a write that a crash cut off, is cut away.
    pub(super) fn open(dir: &Path, first: Seq, head: Seq) -> io::Result<(Self, Scan)> {
        let path = dir.join(format!("{first:020}{SUFFIX}"));
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let bytes = fs::read(&path)?;
        let (mut last, mut damaged) = (None, BTreeSet::new());
        let (mut at, mut end, mut live) = (0, 0, 0);
        while at < bytes.len() {
            match record::decode(&bytes[at..]) {
                Some(record) => {
                    at += record.len;
                    end = at;
                    live += u64::from(record.seq >= head);
                    last = last.max(Some(record.seq));
                }
                None => {
                    damaged.insert(at as u64);
                    at = record::find(&bytes, at + 1).unwrap_or(bytes.len());
                }
            }
        }
        if end < bytes.len() {
            file.set_len(end as u64)?;
        }
        let scan = Scan {
            last,
            corrupted: damaged.len() as u64,
        };
        let segment = Self {
            path,
            file,
            first,
            len: end as u64,
            live,
            damaged,
        };
        Ok((segment, scan))
    }

    /// Adds a record. A failure leaves the file as it was.
    pub(super) fn append(&mut self, seq: Seq, message: &Outgoing) -> io::Result<()> {
        let record = record::encode(seq, message);
        if let Err(error) = self.file.write_all_at(&record, self.len) {
            // The next record is written over what is there now, cut away or not.
            let _ = self.file.set_len(self.len);
            return Err(error);
        }
        self.len += record.len() as u64;
        self.live += 1;
        Ok(())
    }

    /// Another hold on the file, for syncing it elsewhere.
    pub(super) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Reads the first undamaged record at or after `offset`, and says where it ends; `None` at the end.
    /// `corrupted` counts damaged places that were not known before.
    pub(super) fn read(
        &mut self,
        offset: u64,
        corrupted: &mut u64,
    ) -> io::Result<Option<(Record, u64)>> {
        if offset >= self.len {
            return Ok(None);
        }
        let mut bytes = self.bytes(offset, CHUNK)?;
        if let Some(len) = record::len_of(&bytes).filter(|len| *len > bytes.len()) {
            bytes = self.bytes(offset, len)?;
        }
        if let Some(record) = record::decode(&bytes) {
            let end = offset + record.len as u64;
            return Ok(Some((record, end)));
        }
        *corrupted += u64::from(self.damaged.insert(offset));
        let rest = self.bytes(offset, usize::MAX)?;
        let found = record::find(&rest, 1);
        let found = found.and_then(|at| Some((at, record::decode(&rest[at..])?)));
        Ok(found.map(|(at, record)| {
            let end = offset + (at + record.len) as u64;
            (record, end)
        }))
    }

    fn bytes(&self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.len - offset).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(most)];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Removes the file.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_file(self.path)
    }
}
