//! What must survive, on its way to the store: one task writes everything that came meanwhile as one
//! transaction. Whoever must not answer before his change is durable keeps the number that
//! [`Persister::submit`] gave him and waits until that many changes are committed. Changes are written
//! in the order they were submitted. What came and went within one batch never reaches the disk.

mod batch;
mod load;
mod seal;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

use palisade_core::TopicBuf;
use palisade_store::Store;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use load::{LoadError, LoadedSession, load};
pub use seal::Seal;

use crate::{message::Message, session::StoredDelivery};

/// One change.
#[derive(Debug)]
pub enum Op {
    /// Writes a session.
    PutSession(Arc<str>, Vec<u8>),
    /// Removes a session and all that waits for it.
    DeleteSession(Arc<str>),
    /// Puts a message in a session's queue.
    Enqueue(Arc<str>, u64, StoredDelivery),
    /// Writes a message in a session's queue anew.
    Update(Arc<str>, u64, StoredDelivery),
    /// Removes a message from a session's queue.
    Dequeue(Arc<str>, u64),
    /// Notes a packet identifier of quality of service 2 that the client has not released.
    PutReceived(Arc<str>, u16),
    /// Forgets it.
    DeleteReceived(Arc<str>, u16),
    /// Writes a retained message.
    PutRetained(Arc<Message>),
    /// Removes a retained message.
    DeleteRetained(TopicBuf),
}

/// Takes changes and says when they are durable.
#[derive(Debug)]
pub struct Persister {
    queue: Mutex<Queue>,
    /// Held while changes that belong together are submitted, so that they are in one transaction.
    groups: RwLock<()>,
    arrived: Notify,
    committed: AtomicU64,
    is_failing: AtomicBool,
    waiters: Mutex<Vec<(u64, Waker)>>,
}

#[derive(Debug, Default)]
struct Queue {
    ops: Vec<Op>,
    submitted: u64,
}

/// The longest queue before publishers are refused, in changes.
const MAX_QUEUE: usize = 500_000;
/// How long to wait before a failed transaction is tried again.
const RETRY: Duration = Duration::from_millis(100);

impl Persister {
    /// A persister; [`Persister::run`] does its work.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(Queue::default()),
            groups: RwLock::new(()),
            arrived: Notify::new(),
            committed: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
            waiters: Mutex::new(Vec::new()),
        })
    }

    /// Takes a change. The number says when it is durable.
    pub fn submit(&self, op: Op) -> u64 {
        let (number, was_empty) = {
            let mut queue = self.queue.lock();
            let was_empty = queue.ops.is_empty();
            queue.ops.push(op);
            queue.submitted += 1;
            (queue.submitted, was_empty)
        };
        if was_empty {
            self.arrived.notify_one();
        }
        number
    }

    /// While the guard is held, what is submitted is made durable as one: all or none.
    pub fn together(&self) -> RwLockReadGuard<'_, ()> {
        self.groups.read()
    }

    /// Whether changes cannot be made durable now: what depends on them had better be refused.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Whether the change of this number is durable.
    #[must_use]
    pub fn is_durable(&self, number: u64) -> bool {
        self.committed.load(Ordering::Acquire) >= number
    }

    /// Whether the change of this number is durable; if not, `waker` is woken when it is.
    pub fn poll_durable(&self, number: u64, waker: &Waker) -> Poll<()> {
        if self.is_durable(number) {
            return Poll::Ready(());
        }
        let mut waiters = self.waiters.lock();
        if self.is_durable(number) {
            return Poll::Ready(());
        }
        waiters.push((number, waker.clone()));
        Poll::Pending
    }

    /// Waits until the change of this number is durable.
    pub async fn durable(&self, number: u64) {
        std::future::poll_fn(|cx| self.poll_durable(number, cx.waker())).await;
    }

    /// Writes until `cancel`, and then what is left.
    pub async fn run(self: Arc<Self>, store: Store, seal: Arc<Seal>, cancel: CancellationToken) {
        loop {
            tokio::select! {
                () = self.arrived.notified() => {}
                () = cancel.cancelled() => break,
            }
            self.write_batch(&store, &seal, &cancel).await;
        }
        self.write_batch(&store, &seal, &cancel).await;
    }

    async fn write_batch(&self, store: &Store, seal: &Seal, cancel: &CancellationToken) {
        let (ops, submitted) = {
            let _no_group = self.groups.write();
            let mut queue = self.queue.lock();
            (std::mem::take(&mut queue.ops), queue.submitted)
        };
        if ops.is_empty() {
            return;
        }
        let batch = batch::compact(ops);
        while let Err(error) = apply(store, seal, &batch).await {
            // Nobody is answered meanwhile, and what would come on top is refused.
            self.is_failing.store(true, Ordering::Relaxed);
            tracing::error!(%error, changes = batch.len(), "mqtt state could not be written; trying again");
            if cancel.is_cancelled() {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
        let is_overloaded = self.queue.lock().ops.len() > MAX_QUEUE;
        self.is_failing.store(is_overloaded, Ordering::Relaxed);
        self.committed.store(submitted, Ordering::Release);
        let ready: Vec<(u64, Waker)> = {
            let mut waiters = self.waiters.lock();
            waiters
                .extract_if(.., |(number, _)| *number <= submitted)
                .collect()
        };
        for (_, waker) in ready {
            waker.wake();
        }
    }
}

async fn apply(store: &Store, seal: &Seal, batch: &[Op]) -> Result<(), WriteError> {
    if batch.is_empty() {
        return Ok(());
    }
    let sealed: Result<Vec<_>, _> = batch.iter().map(|op| batch::to_store(op, seal)).collect();
    Ok(store.mqtt().apply(&sealed?).await?)
}

/// Why a batch could not be written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Store(#[from] palisade_store::StoreError),
    #[error("mqtt state could not be sealed: {0}")]
    Seal(#[from] palisade_keys::StateSealError),
}

#[cfg(test)]
mod tests;
