//! The event backbone. Two things travel here. *Events* say what happened: they are durable, in order,
//! and each consumer has a cursor, so that it sees every one at least once. *Changes* say what is
//! different now (a posture, the policies, a revocation): they are announced to every door at once, and
//! a door that fell behind is told to reload rather than left with a gap. This crate does not know
//! what an event means. Begin with [`Bus`]; [`LocalBus`] is the one within a process.

mod change;
mod local;

use std::sync::Arc;

use async_trait::async_trait;
use palisade_store::StoreError;

pub use change::{Change, ChangeReceiver};
pub use local::{Consumer, LocalBus, Tail};

/// Why the backbone could not deliver.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The outbox could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event on the stream cannot be read back.
    #[error("the event at position {position} cannot be read back: {source}")]
    Corrupt {
        /// Where it is.
        position: u64,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The backbone is shutting down.
    #[error("the event backbone is closed")]
    Closed,
}

/// The backbone, as capabilities and doors see it.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Tells every door what is different now.
    fn announce(&self, change: Change);

    /// Listens to changes from now on.
    fn changes(&self) -> ChangeReceiver;

    /// Says that events were committed to the outbox; wakes those who wait for them.
    fn events_written(&self);

    /// Reads the stream under a name; what was acknowledged under it is not read again.
    async fn consumer(&self, name: &str) -> Result<Consumer, BusError>;

    /// Reads the stream from its end on, or after `position`, keeping no cursor.
    async fn tail(&self, position: Option<u64>) -> Result<Tail, BusError>;
}

/// The backbone, shared.
pub type SharedBus = Arc<dyn Bus>;
