//! How long events stay on the stream. Old ones go in small parts, so that whoever writes does not wait.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use palisade_core::{Clock, Timestamp};
use palisade_store::{Store, StoreError};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::{config::EventsConfig, stats::Stats};

/// How often it is looked for old events.
const EVERY: Duration = Duration::from_secs(600);
/// Positions of one part.
const PART: u64 = 1_000;
/// The disk rests so many times as long as the last part took.
const REST: u32 = 4;

/// Keeps the stream from growing without bound.
pub(crate) struct Retention {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: EventsConfig,
    /// Cursors that old events are kept for, where they are there.
    pub(crate) readers: Vec<String>,
    /// Cursors of the exports: one that is not there yet begins with the oldest event.
    pub(crate) exports: BTreeMap<String, Arc<Stats>>,
    pub(crate) pruned: AtomicU64,
}

impl Retention {
    /// Looks every so often until cancelled.
    pub(crate) async fn run(&self, cancel: CancellationToken) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while cancel.run_until_cancelled(ticks.tick()).await.is_some() {
            let swept = cancel.run_until_cancelled(self.sweep()).await;
            if let Some(Err(error)) = swept {
                tracing::warn!(%error, "old events could not be removed from the stream");
            }
        }
    }

    /// Removes what is too old or too much, and says how many events that were.
    pub(crate) async fn sweep(&self) -> Result<u64, StoreError> {
        let journal = self.store.journal();
        let Some(oldest) = journal.oldest_event().await? else {
            return Ok(0);
        };
        let aged = journal.events_older_than(self.oldest_kept()).await?;
        let cursors: BTreeMap<String, u64> = journal.cursors().await?.into_iter().collect();
        let read = |name: &String| cursors.get(name).copied().unwrap_or(0);
        let readers = self.readers.iter().filter_map(|name| cursors.get(name));
        let exports = self.exports.keys().map(read);
        let read_by_all = readers.copied().chain(exports).min().unwrap_or(u64::MAX);
        let beyond = journal
            .newest_event()
            .await?
            .saturating_sub(self.config.max_events);
        let up_to = aged.min(read_by_all).max(beyond);
        let before = oldest.position.saturating_sub(1);
        if up_to <= before {
            return Ok(0);
        }
        for (name, stats) in &self.exports {
            let lost = up_to.saturating_sub(read(name).max(before));
            if lost > 0 {
                stats.lost.fetch_add(lost, Ordering::Relaxed);
                tracing::warn!(
                    cursor = %name, lost,
                    "events leave the stream before an export has taken them; its place is away for too long"
                );
            }
        }
        self.prune(before, up_to).await
    }

    async fn prune(&self, mut from: u64, up_to: u64) -> Result<u64, StoreError> {
        let mut pruned = 0;
        while from < up_to {
            from = (from + PART).min(up_to);
            let begun = Instant::now();
            let removed = self.store.journal().prune_events(from).await?;
            pruned += removed;
            self.pruned.fetch_add(removed, Ordering::Relaxed);
            sleep(begun.elapsed() * REST).await;
        }
        tracing::info!(events = pruned, "old events were removed from the stream");
        Ok(pruned)
    }

    fn oldest_kept(&self) -> Timestamp {
        let days = u64::from(self.config.keep_days);
        let kept = Duration::from_secs(days * 24 * 3600);
        self.clock.now().checked_sub(kept).unwrap_or(Timestamp::MIN)
    }
}

#[cfg(test)]
mod tests {
    use palisade_core::{Door, Event, EventId, EventKind, ManualClock, Severity};
    use palisade_store::OutboxRow;

    use super::*;

    const DAY_S: i64 = 24 * 3600;

    /// A stream with an event a day, and the clock at the last of them.
    async fn with_days(days: i64, config: EventsConfig) -> (tempfile::TempDir, Retention) {
        let directory = tempfile::tempdir().expect("a directory");
        let store = palisade_test_store::open(directory.path())
            .await
            .expect("opens");
        let at = |day: i64| Timestamp::from_second(day * DAY_S).expect("a moment");
        let rows: Vec<OutboxRow> = (1..=days)
            .map(|day| {
                let mut event = Event::new(at(day), Door::Mqtt, EventKind::Registered { count: 1 });
                event.id = EventId::least_of(at(day));
                OutboxRow {
                    kind: "registered".to_owned(),
                    principal: None,
                    source: None,
                    severity: Severity::Low,
                    body: serde_json::to_string(&event).expect("json"),
                }
            })
            .collect();
        store.journal().append(&[], &rows).await.expect("writes");
        let retention = Retention {
            store,
            clock: Arc::new(ManualClock::new(at(days))),
            config,
            readers: vec!["detect".to_owned()],
            exports: BTreeMap::from([("export/siem".to_owned(), Arc::default())]),
            pruned: AtomicU64::new(0),
        };
        (directory, retention)
    }

    async fn oldest(retention: &Retention) -> u64 {
        let found = retention.store.journal().oldest_event().await;
        found.expect("reads").expect("one").position
    }

    fn config(keep_days: u32, max_events: u64) -> EventsConfig {
        EventsConfig {
            keep_days,
            max_events,
        }
    }

    #[tokio::test]
    async fn what_is_old_and_was_taken_goes_and_what_was_not_taken_stays() {
        let (_directory, retention) = with_days(100, config(30, 1_000)).await;
        let journal = retention.store.journal();
        assert_eq!(
            retention.sweep().await.expect("sweeps"),
            0,
            "nothing was taken"
        );
        journal.put_cursor("export/siem", 50).await.expect("writes");
        journal.put_cursor("detect", 20).await.expect("writes");
        assert_eq!(retention.sweep().await.expect("sweeps"), 20);
        journal.put_cursor("detect", 100).await.expect("writes");
        assert_eq!(retention.sweep().await.expect("sweeps"), 30);
        journal
            .put_cursor("export/siem", 100)
            .await
            .expect("writes");
        assert_eq!(retention.sweep().await.expect("sweeps"), 19);
        assert_eq!(oldest(&retention).await, 70, "of thirty days ago");
        assert_eq!(
            retention.exports["export/siem"]
                .lost
                .load(Ordering::Relaxed),
            0
        );
        assert_eq!(retention.pruned.load(Ordering::Relaxed), 69);
    }

    #[tokio::test]
    async fn beyond_the_bound_it_goes_whoever_has_not_taken_it_and_is_counted() {
        let (_directory, retention) = with_days(100, config(1_000, 40)).await;
        let journal = retention.store.journal();
        journal.put_cursor("export/siem", 10).await.expect("writes");
        assert_eq!(retention.sweep().await.expect("sweeps"), 60);
        assert_eq!(oldest(&retention).await, 61);
        let lost = &retention.exports["export/siem"].lost;
        assert_eq!(lost.load(Ordering::Relaxed), 50);
        assert_eq!(retention.sweep().await.expect("sweeps"), 0);
        assert_eq!(lost.load(Ordering::Relaxed), 50, "counted once");
    }
}
