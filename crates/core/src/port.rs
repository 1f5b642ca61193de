//! Where capabilities meet that must not know each other: one names what it needs as a trait here, the
//! other implements it, and the `palisade` binary introduces them.

use std::{error::Error, future::Future, pin::Pin};

use crate::{DeviceId, Event, Serial, Timestamp, TrustReason};

/// A future that is sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a record could not be made durable. Whatever depended on it must not go on.
#[derive(Debug, thiserror::Error)]
#[error("the journal could not record it: {0}")]
pub struct JournalError(#[source] pub Box<dyn Error + Send + Sync>);

/// Where events are written down: on the event stream always, in the ledger where
/// [`EventKind::is_auditable`](crate::EventKind::is_auditable) says so.
pub trait Journal: Send + Sync + 'static {
    /// Writes events down; durable when it returns.
    fn record(&self, events: Vec<Event>) -> BoxFuture<'_, Result<(), JournalError>>;
}

/// What speaks about how far a device can be trusted. Each capability that knows something registers
/// one; the trust score is 100 minus the points of all reasons of all sources.
pub trait EvidenceSource: Send + Sync + 'static {
    /// The reasons that hold against the device at `now`.
    fn evidence(&self, device: &DeviceId, now: Timestamp) -> Vec<TrustReason>;
}

/// Whether a certificate is revoked, answered from memory.
pub trait RevocationView: Send + Sync + 'static {
    /// Whether the certificate with this serial number, issued by us, is revoked.
    fn is_revoked(&self, serial: &Serial) -> bool;
}
