//! When devices were last heard of here, for the system of record: noted when a session opens and when it
//! ends, and written a few seconds later, many at once.

use std::{sync::Arc, time::Duration};

use palisade_store::Store;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;

/// How long devices are gathered.
const EVERY: Duration = Duration::from_secs(5);
/// Devices of one transaction, so that others get at the disk in between.
const BATCH: usize = 500;

/// Writes every so often until cancelled, and then what is left.
pub(super) async fn write(broker: Arc<Broker>, store: Store, cancel: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !cancel.is_cancelled() {
        tokio::select! {
            _ = ticks.tick() => {}
            () = cancel.cancelled() => {}
        }
        let seen: Vec<_> = broker.seen.take().into_iter().collect();
        for batch in seen.chunks(BATCH) {
            // A moment that is not written is no loss that anybody could act upon.
            if let Err(error) = store.devices().touch(batch).await {
                tracing::warn!(%error, "when devices were last seen could not be written");
            }
        }
    }
}
