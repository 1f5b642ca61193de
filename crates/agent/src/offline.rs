//! The queue of an agent that is not running.

use std::path::PathBuf;

use bytes::Bytes;

use crate::{
    agent::PublishError,
    message::{Outgoing, Qos},
    queue::{Queue, QueueError, QueueOptions, QueueStats},
};

/// The queue on disk of an agent that is not running; as long as this lives, none can start with it.
pub struct OfflineQueue {
    dir: PathBuf,
    queue: Queue,
}

impl std::fmt::Debug for OfflineQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OfflineQueue({})", self.dir.display())
    }
}

impl OfflineQueue {
    /// Opens it.
    ///
    /// # Errors
    /// [`QueueError::Busy`] when the agent is running; others when the disk fails.
    pub fn open(dir: PathBuf, options: QueueOptions) -> Result<Self, QueueError> {
        let queue = Queue::open(Some(dir.clone()), options)?;
        Ok(Self { dir, queue })
    }

    /// Queues a message for when the agent runs, as safely as the options say. Blocks.
    ///
    /// # Errors
    /// When it is no message, or the queue does not take it.
    pub fn publish(
        &mut self,
        topic: &str,
        payload: impl Into<Bytes>,
        qos: Qos,
        retain: bool,
    ) -> Result<(), PublishError> {
        let message = Outgoing::new(topic, payload.into(), qos, retain)?;
        let pushed = self.queue.push(&message)?;
        let synced = pushed.sync.map_or(Ok(()), |file| file.sync_data());
        synced.map_err(|source| {
            PublishError::Queue(QueueError::Io {
                path: self.dir.clone(),
                what: "synced",
                source,
            })
        })
    }

    /// How much waits.
    #[must_use]
    pub fn stats(&self) -> QueueStats {
        self.queue.stats()
    }
}
