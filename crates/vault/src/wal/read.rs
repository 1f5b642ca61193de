//! Reading a log file, chunk by chunk, believing nothing.

use std::io::{self, Read};

use palisade_keys::{KeyWrap, WrapError};
use serde::{Deserialize, Serialize};

use super::{
    disk::Disk,
    frame::{FRAME, Frame, Head, Kind, MAX_HEAD, Sealer, TAG, Tail},
};
use crate::{Record, Wiped};

/// What is wrong with a log file.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It does not begin as a log file does.
    #[error("it does not begin as a log file of this vault does")]
    Head,
    /// It says another number than its name.
    #[error("it is the file number {0}, under the name of another")]
    Misnamed(u64),
    /// Its key is none of ours.
    #[error("its key: {0}")]
    Key(#[source] WrapError),
    /// Its key cannot be had now: nothing is known of the file.
    #[error("its key: {0}")]
    Away(#[source] WrapError),
    /// A chunk does not open.
    #[error("chunk {chunk} at byte {offset} was changed, moved or taken from elsewhere")]
    Chunk {
        /// Which, from 0.
        chunk: u64,
        /// Where it begins.
        offset: u64,
    },
    /// It ends before it should.
    #[error("it ends after {found} chunks of {expected}")]
    Short {
        /// How many there are.
        found: u64,
        /// How many there should be.
        expected: u64,
    },
    /// Its last chunk is not the one that was written there.
    #[error("its last chunk is not the one that the next file names")]
    Tail,
    /// It is not there.
    #[error("it is not there")]
    Missing,
}

impl From<WrapError> for LogFault {
    fn from(error: WrapError) -> Self {
        match error {
            error @ WrapError::Away { .. } => Self::Away(error),
            error => Self::Key(error),
        }
    }
}

impl LogFault {
    /// Whether it may be gone the next time: nothing says that the file is damaged.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Away(_))
    }
}

/// What a chunk holds: messages from this number on.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Chunk {
    pub(super) first: u64,
    pub(super) count: u32,
}

/// Reads one file.
pub(super) struct Reader {
    input: Box<dyn Read + Send>,
    pub(super) head: Head,
    sealer: Sealer,
    /// Where the last good chunk ended.
    pub(super) good: u64,
    has_ended: bool,
    buffer: Wiped,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({})", self.head.number)
    }
}

impl Reader {
    /// Opens the file of this number and name.
    pub(super) fn open(
        disk: &dyn Disk,
        (number, name): (u64, &str),
        wrap: &dyn KeyWrap,
    ) -> Result<Self, LogFault> {
        let mut input: Box<dyn Read + Send> = Box::new(io::BufReader::new(disk.open(name)?));
        let mut len = [0; 4];
        input.read_exact(&mut len).map_err(no_head)?;
        let len = u32::from_be_bytes(len) as usize;
        if len > MAX_HEAD {
            return Err(LogFault::Head);
        }
        let mut body = vec![0; len];
        input.read_exact(&mut body).map_err(no_head)?;
        let head = Head::from_bytes(&body).ok_or(LogFault::Head)?;
        if head.number != number {
            return Err(LogFault::Misnamed(head.number));
        }
        let key = wrap.unwrap(&head.key, &head.context())?;
        let sealer = Sealer::new(&key, number).ok_or(LogFault::Head)?;
        Ok(Self {
            input,
            head,
            sealer,
            good: (4 + len) as u64,
            has_ended: false,
            buffer: Wiped::default(),
        })
    }

    /// How the file ends, as far as it was read.
    pub(super) fn tail(&self) -> Tail {
        self.sealer.tail()
    }

    /// The next chunk of messages; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, LogFault> {
        if self.has_ended {
            return Ok(None);
        }
        let broken = LogFault::Chunk {
            chunk: self.sealer.tail().chunks,
            offset: self.good,
        };
        let mut frame = [0; FRAME];
        match read_whole(&mut self.input, &mut frame)? {
            0 => return Ok(None),
            FRAME => {}
            _ => return Err(broken),
        }
        let Some(frame) = Frame::from_bytes(frame) else {
            return Err(broken);
        };
        let follows = frame.follows();
        let room = self.buffer.room(follows);
        if read_whole(&mut self.input, room)? < follows {
            return Err(broken);
        }
        let Ok(opened) = self.sealer.open(frame, room) else {
            return Err(broken);
        };
        self.good += (FRAME + follows) as u64;
        let len = opened.len();
        if frame.kind == Kind::End {
            self.has_ended = true;
            return Ok(None);
        }
        Ok(self.buffer.get(..len.min(follows - TAG)))
    }
}

/// The messages of a chunk, each with its number.
pub(super) fn messages<'a>(
    chunk: &'a [u8],
    mut give: impl FnMut(u64, Record<'a>),
) -> Result<u64, postcard::Error> {
    let (Chunk { first, count }, mut rest) = postcard::take_from_bytes(chunk)?;
    for number in (first..).take(count as usize) {
        let (record, behind) = Record::take(rest)?;
        give(number, record);
        rest = behind;
    }
    Ok(first + u64::from(count))
}

fn no_head(error: io::Error) -> LogFault {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => LogFault::Head,
        _ => LogFault::Io(error),
    }
}

/// Fills the buffer as far as there is something.
fn read_whole(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match input.read(room) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
