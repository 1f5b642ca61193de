//! How the door closes.

use std::time::Duration;

use rand::seq::SliceRandom;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use super::Gateway;
use crate::session::Close;

/// How often a shutdown looks for connections that came in at the last moment.
const LAST_CALL: Duration = Duration::from_millis(100);

impl Gateway {
    /// Lets nobody in, and tells one session after the other to close, in no order that a client could know. Whoever
    /// comes meanwhile is still answered: a client that is told to come later does so, one whose connection is refused
    /// tries again at once.
    pub(super) async fn close_over_time(&self, connections: &TaskTracker) {
        self.broker.begin_drain();
        let spread = Duration::from_secs(self.broker.config.drain_spread_s);
        if spread.is_zero() {
            return;
        }
        let mut sessions = self.broker.registry.all();
        sessions.retain(|session| session.is_online());
        sessions.shuffle(&mut rand::rng());
        tracing::info!(
            sessions = sessions.len(),
            seconds = spread.as_secs(),
            "sessions are closed one after the other"
        );
        let begun = Instant::now();
        let steps = sessions.len().max(1) as f64;
        let close = async {
            for (number, session) in sessions.iter().enumerate() {
                sleep_until(begun + spread.mul_f64(number as f64 / steps)).await;
                session.close(Close::Shutdown);
            }
        };
        connections.close();
        // Where all have left by themselves there is nothing to wait for.
        tokio::select! {
            () = close => {}
            () = connections.wait() => {}
        }
    }

    /// Closes all sessions that are left, and waits for connections to end, for as long as they may take.
    pub(super) async fn close_what_is_left(&self, connections: &TaskTracker) {
        let patience = Duration::from_secs(self.broker.config.drain_timeout_s);
        let end = Instant::now() + patience;
        connections.close();
        loop {
            for session in self.broker.registry.all() {
                session.close(Close::Shutdown);
            }
            if timeout(LAST_CALL, connections.wait()).await.is_ok() {
                return;
            }
            if Instant::now() >= end {
                let left = connections.len();
                tracing::warn!(left, "connections did not end in time");
                return;
            }
        }
    }
}
