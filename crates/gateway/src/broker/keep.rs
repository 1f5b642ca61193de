//! What is kept of what devices say, and what waits until it is.

use std::{
    sync::{Arc, atomic::Ordering},
    task::{Poll, Waker},
};

use palisade_core::{
    Principal, Timestamp,
    port::{CannotKeep, Telemetry, TelemetrySink},
};
use palisade_policy::Keeping;

use super::Broker;
use crate::message::Message;

/// What has to be durable before something may be said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct After {
    /// The change of state of this number.
    pub change: u64,
    /// The kept message of this number.
    pub kept: u64,
}

impl From<u64> for After {
    /// After a change of state alone.
    fn from(change: u64) -> Self {
        Self { change, kept: 0 }
    }
}

impl After {
    /// After both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            change: self.change.max(other.change),
            kept: self.kept.max(other.kept),
        }
    }
}

impl Broker {
    /// Where messages are kept from now on. Once.
    pub fn keep_in(&self, sink: Arc<dyn TelemetrySink>) {
        // The first stays.
        let _ = self.sink.set(sink);
    }

    /// Keeps a message of a device. Gives the number after which it is durable.
    ///
    /// # Errors
    /// When it cannot be kept now: that is counted.
    pub fn keep(
        &self,
        principal: &Principal,
        keeping: &Keeping,
        message: &Message,
        at: Timestamp,
    ) -> Result<u64, CannotKeep> {
        let (Some(sink), Principal::Device(device)) = (self.sink.get(), principal) else {
            self.stats.not_kept.fetch_add(1, Ordering::Relaxed);
            return Err(CannotKeep);
        };
        let kept = sink.keep(&Telemetry {
            at,
            device,
            product: &keeping.product,
            segment: &keeping.segment,
            days: u32::from(keeping.days.get()),
            topic: message.topic.as_topic(),
            qos: message.qos,
            retain: message.retain,
            properties: message.properties(),
            payload: message.payload(),
        });
        let counter = match kept {
            Ok(_) => &self.stats.kept,
            Err(_) => &self.stats.not_kept,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        kept
    }

    /// Whether all of it is durable.
    pub fn is_durable(&self, after: After) -> bool {
        let is_kept = |sink: &Arc<dyn TelemetrySink>| sink.is_durable(after.kept);
        self.persister.is_durable(after.change)
            && (after.kept == 0 || self.sink.get().is_some_and(is_kept))
    }

    /// The same; if not, `waker` is woken when a part of it is, and again when all of it is.
    pub fn poll_durable(&self, after: After, waker: &Waker) -> Poll<()> {
        let change = self.persister.poll_durable(after.change, waker);
        let kept = match self.sink.get() {
            Some(sink) if after.kept > 0 => sink.poll_durable(after.kept, waker),
            _ => Poll::Ready(()),
        };
        if change.is_ready() && kept.is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
