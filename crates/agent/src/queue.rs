//! What waits for the server. In memory, or on disk, where it survives the death of the process; bounded in
//! both. A message leaves it only when the server has acknowledged it.

use std::{fs::File, io, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::message::Outgoing;

mod disk;
mod memory;
mod record;
mod segment;

use disk::DiskQueue;
use memory::MemoryQueue;

/// A message's number in its queue; later ones are greater.
pub(crate) type Seq = u64;

/// How much may wait, and what happens beyond it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueOptions {
    /// The most bytes that wait; on disk, the most bytes that its files take. 16 MiB unless said otherwise.
    pub max_bytes: u64,
    /// The most messages that wait. 100,000 unless said otherwise.
    pub max_messages: u64,
    /// What happens when it is full. `refuse` unless said otherwise.
    pub when_full: WhenFull,
    /// When a message is on disk. `always` unless said otherwise.
    pub sync: SyncPolicy,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            max_bytes: 16 * 1024 * 1024,
            max_messages: 100_000,
            when_full: WhenFull::Refuse,
            sync: SyncPolicy::Always,
        }
    }
}

/// What happens to a message when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// It is refused, and the application knows.
    Refuse,
    /// The oldest messages make room, and are counted. On disk a whole file of them goes at once.
    DropOldest,
    /// Publishing waits until there is room.
    Wait,
}

/// When a message that was taken is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncPolicy {
    /// Before publishing returns: it survives a power cut.
    Always,
    /// When the operating system gets to it: it survives the death of the process alone. Wears flash
    /// memory less.
    Never,
}

/// Why a message cannot be queued.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// There is no room.
    #[error("the queue is full ({messages} messages, {bytes} bytes wait for the server)")]
    Full {
        /// How many wait.
        messages: u64,
        /// How large they are.
        bytes: u64,
    },
    /// The message alone is larger than the queue may be.
    #[error("the message is larger than the whole queue may be")]
    TooLarge,
    /// Another process has it.
    #[error("the queue in {0} is in use by another process")]
    Busy(PathBuf),
    /// The disk failed or is full.
    #[error("the queue in {path} cannot be {what}: {source}")]
    Io {
        /// Where it is.
        path: PathBuf,
        /// What was attempted.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// How much waits, and what was lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStats {
    /// Messages that wait for the server.
    pub messages: u64,
    /// Their size; on disk, that of the files.
    pub bytes: u64,
    /// Messages that made room for newer ones since the start.
    pub dropped: u64,
    /// Places on disk that could not be read back since the start: at least one message was there.
    pub corrupted: u64,
}

/// Reads through the bytes of a file; how many messages it holds.
pub(crate) fn scan(bytes: &[u8]) -> usize {
    let (mut at, mut found) = (0, 0);
    while let Some(start) = record::find(bytes, at) {
        found += 1;
        at = start + record::decode(&bytes[start..]).map_or(1, |record| record.len);
    }
    found
}

/// A message that was taken.
pub(crate) struct Pushed {
    pub(crate) seq: Seq,
    /// To be synced before the message counts as safe.
    pub(crate) sync: Option<File>,
    /// Messages up to and without this one are no longer there.
    pub(crate) oldest: Seq,
}

pub(crate) enum Queue {
    Memory(MemoryQueue),
    Disk(Box<DiskQueue>),
}

impl Queue {
    /// Opens the queue in `dir`, or one in memory.
    pub(crate) fn open(dir: Option<PathBuf>, options: QueueOptions) -> Result<Self, QueueError> {
        match dir {
            Some(dir) => Ok(Self::Disk(Box::new(DiskQueue::open(dir, options)?))),
            None => Ok(Self::Memory(MemoryQueue::new(options))),
        }
    }

    /// Adds a message.
    pub(crate) fn push(&mut self, message: &Outgoing) -> Result<Pushed, QueueError> {
        match self {
            Self::Memory(queue) => queue.push(message),
            Self::Disk(queue) => queue.push(message),
        }
    }

    /// The next message that was not handed out since the last [`Queue::rewind`].
    pub(crate) fn next(&mut self) -> Option<(Seq, Outgoing)> {
        match self {
            Self::Memory(queue) => queue.next(),
            Self::Disk(queue) => queue.next(),
        }
    }

    /// Hands out again what was not acknowledged.
    pub(crate) fn rewind(&mut self) {
        match self {
            Self::Memory(queue) => queue.rewind(),
            Self::Disk(queue) => queue.rewind(),
        }
    }

    /// Lets go of a message.
    pub(crate) fn acknowledge(&mut self, seq: Seq) {
        match self {
            Self::Memory(queue) => queue.acknowledge(seq),
            Self::Disk(queue) => queue.acknowledge(seq),
        }
    }

    /// Writes down what was acknowledged; without it more is sent twice after a crash.
    pub(crate) fn checkpoint(&mut self) {
        if let Self::Disk(queue) = self {
            queue.checkpoint();
        }
    }

    pub(crate) fn stats(&self) -> QueueStats {
        match self {
            Self::Memory(queue) => queue.stats(),
            Self::Disk(queue) => queue.stats(),
        }
    }
}

#[cfg(test)]
mod tests;
