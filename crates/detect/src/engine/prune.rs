//! Findings that have ended do not stay for ever.

use std::time::Duration;

use palisade_core::Timestamp;
use palisade_store::StoreError;
use tokio_util::sync::CancellationToken;

use super::Detect;

/// How often it is looked for old findings.
const EVERY: Duration = Duration::from_secs(600);
/// Findings that are removed at once.
const PART: u32 = 200;
/// The disk rests so many times as long as a part took.
const REST: u32 = 4;
const DAY: Duration = Duration::from_secs(86_400);

impl Detect {
    /// Removes findings that have ended, or were judged, and are older than the configuration keeps them, until
    /// `cancel`.
    pub(super) async fn prune_until(&self, cancel: &CancellationToken) {
        if self.parts.config.keep_findings_days == 0 {
            return;
        }
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while cancel.run_until_cancelled(tick.tick()).await.is_some() {
            if let Some(Err(error)) = cancel.run_until_cancelled(self.prune()).await {
                tracing::warn!(%error, "old findings could not be removed; it is tried again");
            }
        }
    }

    async fn prune(&self) -> Result<(), StoreError> {
        let age = DAY * self.parts.config.keep_findings_days;
        loop {
            let begun = tokio::time::Instant::now();
            let now = self.parts.clock.now();
            let before = now.checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH);
            let removed = self.parts.store.pruning().findings(before, PART).await?;
            if removed > 0 {
                tracing::info!(removed, "findings that are too old were removed");
            }
            if removed < u64::from(PART) {
                return Ok(());
            }
            tokio::time::sleep(begun.elapsed() * REST).await;
        }
    }
}
