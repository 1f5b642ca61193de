//! The queue in memory.

use std::collections::VecDeque;

use super::{Pushed, QueueError, QueueOptions, QueueStats, Seq, WhenFull};
use crate::message::Outgoing;

// About what a message takes besides its bytes.
const OVERHEAD: u64 = 64;

#[derive(Debug)]
pub(crate) struct MemoryQueue {
    options: QueueOptions,
    // A hole is a message that was acknowledged before an older one.
    waiting: VecDeque<Option<Outgoing>>,
    // Of the first of `waiting`.
    oldest: Seq,
    // The next one to hand out.
    cursor: Seq,
    messages: u64,
    bytes: u64,
    dropped: u64,
}

fn size(message: &Outgoing) -> u64 {
    OVERHEAD + (message.topic.len() + message.payload.len()) as u64
}

impl MemoryQueue {
    pub(super) fn new(options: QueueOptions) -> Self {
        Self {
            options,
            waiting: VecDeque::new(),
            oldest: 1,
            cursor: 1,
            messages: 0,
            bytes: 0,
            dropped: 0,
        }
    }

    pub(super) fn push(&mut self, message: &Outgoing) -> Result<Pushed, QueueError> {
        let size = size(message);
        if size > self.options.max_bytes || self.options.max_messages == 0 {
            return Err(QueueError::TooLarge);
        }
        while self.bytes + size > self.options.max_bytes
            || self.messages >= self.options.max_messages
        {
            if self.options.when_full != WhenFull::DropOldest {
                return Err(QueueError::Full {
                    messages: self.messages,
                    bytes: self.bytes,
                });
            }
            self.dropped += 1;
            self.acknowledge(self.oldest);
        }
        let seq = self.oldest + self.waiting.len() as u64;
        self.waiting.push_back(Some(message.clone()));
        self.messages += 1;
        self.bytes += size;
        Ok(Pushed {
            seq,
            sync: None,
            oldest: self.oldest,
        })
    }

    pub(super) fn next(&mut self) -> Option<(Seq, Outgoing)> {
        self.cursor = self.cursor.max(self.oldest);
        loop {
            let slot = self.waiting.get((self.cursor - self.oldest) as usize)?;
            let seq = self.cursor;
            self.cursor += 1;
            if let Some(message) = slot {
                return Some((seq, message.clone()));
            }
        }
    }

    pub(super) fn rewind(&mut self) {
        self.cursor = self.oldest;
    }

    pub(super) fn acknowledge(&mut self, seq: Seq) {
        let slot = seq
            .checked_sub(self.oldest)
            .and_then(|at| self.waiting.get_mut(at as usize));
        if let Some(message) = slot.and_then(Option::take) {
            self.messages -= 1;
            self.bytes -= size(&message);
        }
        while let Some(None) = self.waiting.front() {
            self.waiting.pop_front();
            self.oldest += 1;
        }
    }

    pub(super) fn stats(&self) -> QueueStats {
        QueueStats {
            messages: self.messages,
            bytes: self.bytes,
            dropped: self.dropped,
            corrupted: 0,
        }
    }
}
