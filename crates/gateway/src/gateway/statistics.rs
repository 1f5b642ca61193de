//! Writes down what each session did, window by window.

use std::{net::IpAddr, sync::Arc, time::Duration};

use palisade_core::EventKind;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{broker::Broker, session::Session};

/// Sweeps one slot after the other until cancelled, and all of them then.
pub(super) async fn report(broker: Arc<Broker>, every: Duration, cancel: CancellationToken) {
    let notice = |session: &Session, source: IpAddr, kind: EventKind| {
        broker.notices.event(&session.principal, Some(source), kind);
    };
    let mut ticks = tokio::time::interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while cancel.run_until_cancelled(ticks.tick()).await.is_some() {
        broker.statistics.sweep(Instant::now(), notice);
    }
    broker.statistics.sweep_all(Instant::now(), notice);
    // Whoever writes notices may have ended at the same word.
    broker.notices.flush().await;
}
