//! One export at work: reads the stream under its cursor, hands batches to its sink, and moves the cursor
//! once they have arrived. It reads no faster than its sink takes.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use palisade_bus::{BusError, Consumer, SharedBus};
use palisade_core::{Clock, Event};
use palisade_store::Store;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Start,
    plan::Plan,
    record::Record,
    sink::{Sink, SinkError},
    stats::Stats,
};

/// Events that are read at a time.
const BATCH: u32 = 500;
/// Bytes that are handed over at a time; a single event may have more.
const BATCH_BYTES: usize = 1024 * 1024;
/// Batches that were handed over and have not settled.
const MAX_UNSETTLED: usize = 1_000;
/// How often the cursor is moved, at most: each time is a write.
const SETTLE_EVERY: Duration = Duration::from_millis(500);
/// The first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a batch that is under way may take when the server stops.
const LAST_BATCH: Duration = Duration::from_secs(3);

/// One export at work.
pub(crate) struct Exporter {
    pub(crate) plan: Plan,
    pub(crate) bus: SharedBus,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stats: Arc<Stats>,
}

/// Why it stopped before the end; it is tried again.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("the stream of events cannot be read: {0}")]
    Bus(#[from] BusError),
}

/// What it holds while it is connected.
struct Work {
    consumer: Consumer,
    sink: Sink,
    /// Positions that were handed over, and when.
    unsettled: VecDeque<(Instant, u64)>,
    /// Up to where everything has arrived, and what of it the cursor says.
    arrived: u64,
    noted: u64,
    has_sent: bool,
}

impl Exporter {
    /// Works until cancelled.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        while !cancel.is_cancelled() {
            let mut has_sent = false;
            let Err(stopped) = self.work(&cancel, &mut has_sent).await else {
                return;
            };
            if has_sent {
                pause = FIRST_PAUSE;
            }
            let name = &self.plan.name;
            tracing::warn!(export = %name, error = %stopped, "an export failed; it is tried again");
            self.stats.has_failed(stopped.to_string(), self.clock.now());
            let asked = match &stopped {
                Stopped::Sink(SinkError::Status { retry_after, .. }) => *retry_after,
                _ => None,
            };
            // Exports of many servers do not come back in one instant.
            let spread = pause.mul_f64(rand::random_range(0.8..1.2));
            let wait = sleep(spread.max(asked.unwrap_or_default()));
            if cancel.run_until_cancelled(wait).await.is_none() {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Hands over what comes, from the durable cursor on, until cancelled.
    async fn work(&self, cancel: &CancellationToken, has_sent: &mut bool) -> Result<(), Stopped> {
        let cursor = self.plan.cursor();
        self.begin(&cursor).await?;
        let consumer = self.bus.consumer(&cursor).await?;
        let from = consumer.position();
        self.stats.position.store(from, Ordering::Relaxed);
        let mut work = Work {
            consumer,
            sink: Sink::new(&self.plan),
            unsettled: VecDeque::new(),
            arrived: from,
            noted: from,
            has_sent: false,
        };
        let result = self.hand_over(&mut work, cancel).await;
        *has_sent = work.has_sent;
        if result.is_ok() {
            self.end(&mut work).await;
        } else {
            work.sink.reset();
        }
        result
    }

    /// Gives a new export that wants nothing old its place.
    async fn begin(&self, cursor: &str) -> Result<(), Stopped> {
        let journal = self.store.journal();
        let cursors = journal.cursors().await.map_err(BusError::from)?;
        if cursors.iter().any(|(name, _)| name == cursor) {
            return Ok(());
        }
        let position = match self.plan.start {
            Start::Oldest => 0,
            Start::Newest => journal.newest_event().await.map_err(BusError::from)?,
        };
        let put = journal.put_cursor(cursor, position).await;
        put.map_err(BusError::from)?;
        Ok(())
    }

    async fn hand_over(&self, work: &mut Work, cancel: &CancellationToken) -> Result<(), Stopped> {
        let mut ticks = interval(SETTLE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let has_room = work.unsettled.len() < MAX_UNSETTLED;
            let Work { consumer, sink, .. } = work;
            let events = tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(()),
                error = sink.broken() => return Err(error.into()),
                _ = ticks.tick() => None,
                events = consumer.next(BATCH), if has_room => Some(events),
            };
            match events {
                None => self.settle(work).await?,
                Some(Ok(events)) => {
                    if !self.take(work, events, cancel).await? {
                        return Ok(());
                    }
                }
                // It cannot be read and so not be handed over; what follows can.
                Some(Err(BusError::Corrupt { position, source })) => {
                    tracing::error!(position, error = %source, "an event cannot be read back");
                    self.stats.dead_letters.fetch_add(1, Ordering::Relaxed);
                    work.unsettled.push_back((Instant::now(), position));
                }
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }

    /// Hands events over. Says whether they were, and not broken off by the end of the server.
    async fn take(
        &self,
        work: &mut Work,
        events: Vec<(u64, Event)>,
        cancel: &CancellationToken,
    ) -> Result<bool, Stopped> {
        let Some((last, _)) = events.last() else {
            return Ok(true);
        };
        let last = *last;
        let wanted = events
            .iter()
            .filter_map(|(position, event)| Record::of(event, *position, &self.plan));
        let records: Vec<Record> = wanted.collect();
        let mut rest = records.as_slice();
        while !rest.is_empty() {
            let (batch, others) = rest.split_at(fitting(rest));
            let send = work.sink.send(batch);
            let stop = async {
                cancel.cancelled().await;
                sleep(LAST_BATCH).await;
            };
            let taken = tokio::select! {
                taken = send => taken?,
                () = stop => return Ok(false),
            };
            let refused = taken.refused.len() as u64;
            self.stats
                .dead_letters
                .fetch_add(refused, Ordering::Relaxed);
            let sent = (batch.len() as u64).saturating_sub(refused);
            self.stats.has_sent(sent, self.clock.now());
            work.has_sent = true;
            rest = others;
        }
        if records.is_empty() {
            self.stats.is_running();
        }
        work.unsettled.push_back((Instant::now(), last));
        Ok(true)
    }

    /// Moves the cursor to what has arrived.
    async fn settle(&self, work: &mut Work) -> Result<(), Stopped> {
        let after = work.sink.settles_after();
        let now = Instant::now();
        while let Some((at, position)) = work.unsettled.front() {
            if *at + after > now {
                break;
            }
            work.arrived = *position;
            work.unsettled.pop_front();
        }
        if work.arrived > work.noted {
            work.consumer.acknowledge(work.arrived).await?;
            work.noted = work.arrived;
            self.stats.position.store(work.noted, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The server stops: what is known to have arrived is not sent again.
    async fn end(&self, work: &mut Work) {
        if work.sink.close().await
            && let Some((_, last)) = work.unsettled.back()
        {
            work.arrived = *last;
            work.unsettled.clear();
        }
        if let Err(error) = self.settle(work).await {
            tracing::warn!(export = %self.plan.name, %error, "its last events are sent again at the next start");
        }
    }
}

/// How many of them go in one batch.
fn fitting(records: &[Record]) -> usize {
    let mut bytes = 0;
    let fits = records.iter().take_while(|record| {
        bytes += record.json.len() + 1;
        bytes <= BATCH_BYTES
    });
    fits.count().max(1)
}
