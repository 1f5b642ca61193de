//! The backbone within one process: the outbox table and broadcast channels.

use async_trait::async_trait;
use palisade_core::Event;
use palisade_store::{EventFilter, Store, StoredEvent};
use tokio::sync::{broadcast, watch};

use crate::{Bus, BusError, Change, ChangeReceiver};

/// Changes that a door may fall behind before it has to reload.
const CHANGES: usize = 4_096;

/// The backbone of one process.
#[derive(Debug)]
pub struct LocalBus {
    store: Store,
    changes: broadcast::Sender<Change>,
    written: watch::Sender<u64>,
}

impl LocalBus {
    /// A backbone over the outbox of a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            changes: broadcast::channel(CHANGES).0,
            written: watch::channel(0).0,
        }
    }
}

#[async_trait]
impl Bus for LocalBus {
    fn announce(&self, change: Change) {
        // Nobody listening is no error: whoever comes later reads the store.
        let _ = self.changes.send(change);
    }

    fn changes(&self) -> ChangeReceiver {
        ChangeReceiver(self.changes.subscribe())
    }

    fn events_written(&self) {
        self.written.send_modify(|count| *count += 1);
    }

    async fn consumer(&self, name: &str) -> Result<Consumer, BusError> {
        let position = self.store.journal().cursor(name).await?;
        Ok(Consumer {
            name: name.to_owned(),
            tail: self.reader(position),
        })
    }

    async fn tail(&self, position: Option<u64>) -> Result<Tail, BusError> {
        let position = match position {
            Some(position) => position,
            None => self.store.journal().newest_event().await?,
        };
        Ok(self.reader(position))
    }
}

impl LocalBus {
    fn reader(&self, position: u64) -> Tail {
        Tail {
            store: self.store.clone(),
            written: self.written.subscribe(),
            position,
        }
    }
}

/// Reads events in order from a position on.
#[derive(Debug)]
pub struct Tail {
    store: Store,
    written: watch::Receiver<u64>,
    position: u64,
}

impl Tail {
    /// Waits for events after the last ones read: at least one, at most `max`.
    ///
    /// # Errors
    /// When the outbox cannot be read, an event cannot be read back, or the backbone closes. What comes
    /// after an event that cannot be read back is read next.
    pub async fn next(&mut self, max: u32) -> Result<Vec<(u64, Event)>, BusError> {
        loop {
            self.written.borrow_and_update();
            let journal = self.store.journal();
            let stored = journal
                .events_after(self.position, max, &EventFilter::default())
                .await?;
            if stored.is_empty() {
                self.written.changed().await.map_err(|_| BusError::Closed)?;
                continue;
            }
            return self.read_back(&stored);
        }
    }

    /// Parses events up to the first that cannot be; it is an error once it is the first of all.
    fn read_back(&mut self, stored: &[StoredEvent]) -> Result<Vec<(u64, Event)>, BusError> {
        let mut events = Vec::with_capacity(stored.len());
        for event in stored {
            let position = event.position;
            match serde_json::from_str(&event.body) {
                Ok(parsed) => events.push((position, parsed)),
                Err(_) if !events.is_empty() => break,
                Err(source) => {
                    self.position = position;
                    return Err(BusError::Corrupt { position, source });
                }
            }
            self.position = position;
        }
        Ok(events)
    }
}

/// Reads events in order and remembers how far it came.
#[derive(Debug)]
pub struct Consumer {
    name: String,
    tail: Tail,
}

impl Consumer {
    /// Waits for events that were not acknowledged: at least one, at most `max`.
    ///
    /// # Errors
    /// When the outbox cannot be read, or the backbone closes.
    pub async fn next(&mut self, max: u32) -> Result<Vec<(u64, Event)>, BusError> {
        self.tail.next(max).await
    }

    /// The position of the last event that was read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.tail.position
    }

    /// Skips to a position: what lies before it is not read. Going back is not possible.
    pub fn skip_to(&mut self, position: u64) {
        self.tail.position = self.tail.position.max(position);
    }

    /// Notes that everything up to a position was dealt with.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub async fn acknowledge(&self, position: u64) -> Result<(), BusError> {
        Ok(self
            .tail
            .store
            .journal()
            .put_cursor(&self.name, position)
            .await?)
    }
}
