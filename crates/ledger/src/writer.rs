//! One task writes. Whoever records waits for the commit that holds its entries; all that wait at the
//! same time share one commit.

use std::{sync::Arc, time::Duration};

use palisade_bus::SharedBus;
use palisade_core::{
    Event,
    port::{BoxFuture, Journal, JournalError},
};
use palisade_store::{JournalBatch, LedgerRow, NodeRow, OutboxRow, Store, StoreError};
use palisade_tlog::{Hash, Span, Tile, TileKind, leaf};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use crate::{
    chain::link,
    head::{Head, read_end, read_head},
    personal::commit,
    tiles::Tiles,
};

/// Callers that may wait for the writer before the next has to wait for a place.
const QUEUE: usize = 4_096;
/// Events of one transaction, at most.
const BATCH: usize = 2_000;
/// How often a batch is tried again because another writer was faster, and how long at most between two tries: longer than another one
/// takes for a commit, and never as long twice, or two would keep step with each other.
const TRIES: u32 = 100;
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// Why the ledger could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event has no JSON form.
    #[error("an event cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// An entry that was read back is damaged.
    #[error("ledger entry {seq} is damaged: run `palisade ledger verify`")]
    Damaged {
        /// Which entry.
        seq: u64,
    },
    /// Hashes of the tree are missing or damaged.
    #[error("tile {level}/{index} of the ledger is damaged: run `palisade ledger verify`")]
    Tile {
        /// Of which level.
        level: u8,
        /// Which of that level.
        index: u64,
    },
    /// The commit that held the entries failed; others that shared it have the same message.
    #[error("the journal could not be written: {0}")]
    Commit(Arc<str>),
    /// Others append all the time.
    #[error("other writers were faster again and again; try again")]
    Contended,
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness")]
    Random,
    /// The ledger is closed.
    #[error("the ledger is closed")]
    Closed,
}

/// Some time, random up to a bound that grows with the tries.
fn pause(tries: u32) -> Result<Duration, LedgerError> {
    let mut random = [0; 2];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| LedgerError::Random)?;
    let longest = Duration::from_millis(1 << tries.min(6)).min(LONGEST_PAUSE);
    Ok(longest.mul_f64(f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX)))
}

struct Job {
    events: Vec<Event>,
    done: oneshot::Sender<Result<(), LedgerError>>,
}

/// The audit log, open for appending.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) store: Store,
    pub(crate) tiles: Tiles,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    sender: mpsc::WeakSender<Job>,
    head: watch::Receiver<Head>,
    task: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Ledger {
    /// Opens the ledger of a store and starts its writer. Hashes of the tree that a ledger of an earlier version does
    /// not have are made first.
    ///
    /// # Errors
    /// When the database fails, or a leaf cannot be read back.
    pub async fn open(store: Store, bus: SharedBus) -> Result<Arc<Self>, LedgerError> {
        let head = read_head(&store).await?;
        let (head_sender, head_receiver) = watch::channel(head.clone());
        let (sender, receiver) = mpsc::channel(QUEUE);
        let writer = Writer {
            store: store.clone(),
            bus,
            head,
            is_uncertain: false,
            published: head_sender,
        };
        let task = tokio::spawn(writer.run(receiver));
        Ok(Arc::new(Self {
            tiles: Tiles::new(store.clone()),
            store,
            sender: sender.downgrade(),
            jobs: Mutex::new(Some(sender)),
            head: head_receiver,
            task: Mutex::new(Some(task)),
        }))
    }

    /// How many entries there are, and the root of the tree over them.
    #[must_use]
    pub fn head(&self) -> (u64, Hash) {
        let head = self.head.borrow();
        (head.seq, head.tree.root())
    }

    /// What proves that an entry, counted from 1, is in the tree over the first `size`; `None` where it is not.
    ///
    /// # Errors
    /// When the database fails, or the tree is damaged.
    pub async fn inclusion(&self, seq: u64, size: u64) -> Result<Option<Vec<Hash>>, LedgerError> {
        match seq.checked_sub(1) {
            Some(index) if size <= self.head().0 => self.tiles.inclusion(index, size).await,
            _ => Ok(None),
        }
    }

    /// What proves that the tree over the first `old` entries is the beginning of that over `size`; `None`
    /// where it is not.
    ///
    /// # Errors
    /// When the database fails, or the tree is damaged.
    pub async fn consistency(&self, old: u64, size: u64) -> Result<Option<Vec<Hash>>, LedgerError> {
        match size <= self.head().0 {
            true => self.tiles.consistency(old, size).await,
            false => Ok(None),
        }
    }

    /// The root of the tree over the first `size` entries; `None` where there are fewer.
    ///
    /// # Errors
    /// When the database fails, or the tree is damaged.
    pub async fn root_at(&self, size: u64) -> Result<Option<Hash>, LedgerError> {
        match size <= self.head().0 {
            true => Ok(Some(self.tiles.root(size).await?)),
            false => Ok(None),
        }
    }

    /// The hashes over the subtrees that some entries are made of, in the tree over the first `size`; `None` where
    /// there are not so many.
    ///
    /// # Errors
    /// When the database fails, or the tree is damaged.
    pub async fn subtrees(&self, span: Span, size: u64) -> Result<Option<Vec<Hash>>, LedgerError> {
        match size <= self.head().0 && span.end <= size {
            true => Ok(Some(self.tiles.parts(span, size).await?)),
            false => Ok(None),
        }
    }

    /// The hashes of a tile; `None` where there are not so many, or it is one of entries.
    ///
    /// # Errors
    /// When the database fails, or the tree is damaged.
    pub async fn tile(&self, tile: Tile) -> Result<Option<Arc<[Hash]>>, LedgerError> {
        match tile.kind {
            TileKind::Hashes(level) if tile.width <= tile.filled(self.head().0) => {
                let read = self.tiles.read((level, tile.index), tile.width);
                Ok(Some(read.await?))
            }
            _ => Ok(None),
        }
    }

    /// Writes what is queued and stops; later records are refused.
    pub async fn close(&self) {
        self.jobs.lock().await.take();
        if let Some(task) = self.task.lock().await.take() {
            let _ = task.await;
        }
    }

    async fn append(&self, events: Vec<Event>) -> Result<(), LedgerError> {
        let sender = self.sender.upgrade().ok_or(LedgerError::Closed)?;
        let (done, answer) = oneshot::channel();
        sender
            .send(Job { events, done })
            .await
            .map_err(|_| LedgerError::Closed)?;
        drop(sender);
        answer.await.map_err(|_| LedgerError::Closed)?
    }
}

impl Journal for Ledger {
    fn record(&self, events: Vec<Event>) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(async move {
            if events.is_empty() {
                return Ok(());
            }
            self.append(events)
                .await
                .map_err(|error| JournalError(Box::new(error)))
        })
    }
}

struct Writer {
    store: Store,
    bus: SharedBus,
    head: Head,
    /// Whether the ledger may end elsewhere by now.
    is_uncertain: bool,
    published: watch::Sender<Head>,
}

impl Writer {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut waiting = Vec::new();
        while jobs.recv_many(&mut waiting, 256).await > 0 {
            while !waiting.is_empty() {
                let mut size = 0;
                let fits = waiting
                    .iter()
                    .take_while(|job| {
                        size += job.events.len();
                        size <= BATCH
                    })
                    .count();
                let batch: Vec<Job> = waiting.drain(..fits.max(1)).collect();
                self.write(batch).await;
            }
        }
    }

    async fn write(&mut self, batch: Vec<Job>) {
        match self.commit(&batch).await {
            Ok(()) => {
                let _ = self.published.send(self.head.clone());
                self.bus.events_written();
                for job in batch {
                    let _ = job.done.send(Ok(()));
                }
            }
            Err(error) => {
                tracing::error!(%error, "the journal could not be written");
                let message: Arc<str> = error.to_string().into();
                for job in batch {
                    let _ = job.done.send(Err(LedgerError::Commit(message.clone())));
                }
            }
        }
    }

    /// Commits a batch behind the end of the ledger. A database that failed may have committed all the same, and another writer may have
    /// been faster: where the ledger ends is read again then, and decides.
    async fn commit(&mut self, batch: &[Job]) -> Result<(), LedgerError> {
        if self.is_uncertain {
            self.head = read_end(&self.store).await?;
            self.is_uncertain = false;
        }
        for number in 0..TRIES {
            let (head, written) = self.behind_the_end(batch)?;
            let Err(error) = self.store.journal().write(&written).await else {
                self.head = head;
                return Ok(());
            };
            self.is_uncertain = true;
            let Ok(found) = read_end(&self.store).await else {
                return Err(error.into());
            };
            let is_written = found.seq >= head.seq && head.seq > self.head.seq;
            let is_written = is_written && self.is_at(&head).await?;
            self.is_uncertain = false;
            if is_written {
                self.head = found;
                return Ok(());
            }
            let is_moved = found.seq != self.head.seq;
            self.head = found;
            if !is_moved {
                return Err(error.into());
            }
            tokio::time::sleep(pause(number)?).await;
        }
        Err(LedgerError::Contended)
    }

    /// Whether the ledger has what we wrote where it would be.
    async fn is_at(&self, head: &Head) -> Result<bool, LedgerError> {
        let found = self.store.journal().ledger_after(head.seq - 1, 1).await?;
        Ok(found
            .first()
            .is_some_and(|entry| entry.seq == head.seq && entry.chain == head.chain))
    }

    /// The entries and events of a batch, and where the ledger ends with them.
    fn behind_the_end(&self, batch: &[Job]) -> Result<(Head, JournalBatch), LedgerError> {
        let mut head = self.head.clone();
        let mut written = JournalBatch::default();
        for event in batch.iter().flat_map(|job| &job.events) {
            let body = serde_json::to_string(event)?;
            if event.kind.is_auditable() {
                let entry = match commit(event, head.seq + 1)? {
                    Some(committed) => {
                        written.personal.extend(committed.personal);
                        committed.body
                    }
                    None => body.clone(),
                };
                let hash = leaf(entry.as_bytes());
                head.seq += 1;
                head.chain = link(&head.chain, head.seq, &hash);
                head.tree.push_telling(hash, |subtree, hash| {
                    if subtree.height % 8 == 0 {
                        written.nodes.push(NodeRow {
                            level: subtree.height / 8,
                            index: subtree.index,
                            hash: hash.to_vec(),
                        });
                    }
                });
                written.entries.push(LedgerRow {
                    seq: head.seq,
                    body: entry,
                    leaf: hash.to_vec(),
                    chain: head.chain.to_vec(),
                });
            }
            written.events.push(OutboxRow {
                kind: event.kind.name().to_owned(),
                principal: event.principal.as_ref().map(ToString::to_string),
                source: event.source.map(|source| source.to_string()),
                severity: crate::ocsf::severity(event),
                body,
            });
        }
        Ok((head, written))
    }
}
