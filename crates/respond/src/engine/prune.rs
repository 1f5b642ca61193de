//! Closed cases do not stay for ever.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Respond;
use crate::action::earlier;

/// How often it is looked for old cases.
const EVERY: Duration = Duration::from_secs(600);
/// Cases that are removed at once.
const PART: u32 = 50;
/// The disk rests so many times as long as a part took.
const REST: u32 = 4;
const DAY_S: u64 = 86_400;

impl Respond {
    /// Removes closed cases that are older than the configuration keeps them, until `cancel`.
    pub(super) async fn prune_until(&self, cancel: &CancellationToken) {
        if self.config.keep_closed_days == 0 {
            return;
        }
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while cancel.run_until_cancelled(tick.tick()).await.is_some() {
            if let Some(Err(error)) = cancel.run_until_cancelled(self.prune()).await {
                tracing::warn!(%error, "old cases could not be removed; it is tried again");
            }
        }
    }

    async fn prune(&self) -> Result<(), palisade_store::StoreError> {
        let age = u64::from(self.config.keep_closed_days) * DAY_S;
        loop {
            let begun = tokio::time::Instant::now();
            let before = earlier(self.clock.now(), age);
            let removed = self.store.pruning().closed_cases(before, PART).await?;
            if removed > 0 {
                tracing::info!(removed, "closed cases that are too old were removed");
            }
            if removed < u64::from(PART) {
                return Ok(());
            }
            tokio::time::sleep(begun.elapsed() * REST).await;
        }
    }
}
