//! One task writes. Whoever records waits for the commit that holds its entries; all that wait at the
//! same time share one commit.

use std::sync::Arc;

use palisade_bus::SharedBus;
use palisade_core::{
    Event,
    port::{BoxFuture, Journal, JournalError},
};
use palisade_store::{LedgerRow, OutboxRow, Store, StoreError};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use crate::chain::{Hash, Tree, leaf, link};

/// Callers that may wait for the writer before the next has to wait for a place.
const QUEUE: usize = 4_096;
/// Events of one transaction, at most.
const BATCH: usize = 2_000;

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
    /// The commit that held the entries failed; others that shared it have the same message.
    #[error("the journal could not be written: {0}")]
    Commit(Arc<str>),
    /// The ledger is closed.
    #[error("the ledger is closed")]
    Closed,
}

struct Job {
    events: Vec<Event>,
    done: oneshot::Sender<Result<(), LedgerError>>,
}

/// The audit log, open for appending.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) store: Store,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    sender: mpsc::WeakSender<Job>,
    head: watch::Receiver<Head>,
    task: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

/// Where the ledger ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub(crate) seq: u64,
    pub(crate) chain: Hash,
    pub(crate) tree: Tree,
}

impl Ledger {
    /// Opens the ledger of a store and starts its writer. The tree is rebuilt from the stored leaves.
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
            published: head_sender,
        };
        let task = tokio::spawn(writer.run(receiver));
        Ok(Arc::new(Self {
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

async fn read_head(store: &Store) -> Result<Head, LedgerError> {
    const PAGE: u32 = 10_000;
    let mut head = Head::default();
    loop {
        let rows = store.journal().ledger_after(head.seq, PAGE).await?;
        for row in &rows {
            let damaged = |_| LedgerError::Damaged { seq: row.seq };
            head.tree
                .push(Hash::try_from(row.leaf.as_slice()).map_err(damaged)?);
            head.chain = Hash::try_from(row.chain.as_slice()).map_err(damaged)?;
            head.seq = row.seq;
        }
        if rows.len() < PAGE as usize {
            return Ok(head);
        }
    }
}

struct Writer {
    store: Store,
    bus: SharedBus,
    head: Head,
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
        let result = self.commit(&batch).await;
        match result {
            Ok(head) => {
                self.head = head;
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

    async fn commit(&self, batch: &[Job]) -> Result<Head, LedgerError> {
        let mut head = self.head.clone();
        let (mut entries, mut outbox) = (Vec::new(), Vec::new());
        for event in batch.iter().flat_map(|job| &job.events) {
            let body = serde_json::to_string(event)?;
            if event.kind.is_auditable() {
                let hash = leaf(body.as_bytes());
                head.seq += 1;
                head.chain = link(&head.chain, head.seq, &hash);
                head.tree.push(hash);
                entries.push(LedgerRow {
                    seq: head.seq,
                    body: body.clone(),
                    leaf: hash.to_vec(),
                    chain: head.chain.to_vec(),
                });
            }
            outbox.push(OutboxRow {
                kind: event.kind.name().to_owned(),
                principal: event.principal.as_ref().map(ToString::to_string),
                source: event.source.map(|source| source.to_string()),
                severity: crate::ocsf::severity(event),
                body,
            });
        }
        self.store.journal().append(&entries, &outbox).await?;
        Ok(head)
    }
}
