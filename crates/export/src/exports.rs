//! All exports together, as others hold them.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use palisade_bus::SharedBus;
use palisade_core::{Actor, AdministrativeAct, Clock, Door, Event, EventKind, Outcome, Timestamp};
use palisade_store::{Store, StoreError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{EventsConfig, ExportsConfig},
    exporter::Exporter,
    plan::{Plan, PlanError, plans},
    record::Record,
    retention::Retention,
    sink::{Sink, SinkError},
    stats::{ExportState, ExportStatus, RetentionStats, Stats},
};

/// What exports are made of.
pub struct ExportParts {
    /// How long events are kept.
    pub events: EventsConfig,
    /// The exports.
    pub exports: ExportsConfig,
    /// Where relative paths begin.
    pub data: PathBuf,
    /// Who else reads the stream, by the names of their cursors: what they have not read is kept.
    pub readers: Vec<String>,
    /// Where cursors are.
    pub store: Store,
    /// Where events come from.
    pub bus: SharedBus,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Why a test event was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// The configuration is wrong.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// There is no such export.
    #[error("there is no export {0:?} in the configuration")]
    Unknown(String),
    /// The place did not take it.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The place refused it for good.
    #[error("the collector refuses the event")]
    Refused,
}

/// All exports, and the keeper of the stream.
pub struct Exports {
    parts: ExportParts,
    exports: Vec<(Plan, ExportStatus, Arc<Stats>)>,
    retention: Retention,
}

impl Exports {
    /// Nothing is sent and nothing is opened before [`Exports::run`].
    ///
    /// # Errors
    /// When the configuration is wrong.
    pub fn open(parts: ExportParts) -> Result<Arc<Self>, PlanError> {
        let plans = plans(&parts.exports, &parts.data)?;
        Ok(Self::with(parts, plans))
    }

    fn with(parts: ExportParts, plans: Vec<Plan>) -> Arc<Self> {
        let exports: Vec<_> = plans
            .into_iter()
            .map(|plan| {
                let about = about(&plan);
                (plan, about, Arc::<Stats>::default())
            })
            .collect();
        let by_cursor: BTreeMap<String, Arc<Stats>> = exports
            .iter()
            .map(|(plan, _, stats)| (plan.cursor(), stats.clone()))
            .collect();
        let retention = Retention {
            store: parts.store.clone(),
            clock: parts.clock.clone(),
            config: parts.events.clone(),
            readers: parts.readers.clone(),
            exports: by_cursor,
            pruned: AtomicU64::new(0),
        };
        Arc::new(Self {
            parts,
            exports,
            retention,
        })
    }

    /// No exports, and a stream that is kept as long as by default.
    #[must_use]
    pub fn none(store: Store, bus: SharedBus, clock: Arc<dyn Clock>) -> Arc<Self> {
        let parts = ExportParts {
            events: EventsConfig::default(),
            exports: ExportsConfig::new(),
            data: PathBuf::new(),
            readers: Vec::new(),
            store,
            bus,
            clock,
        };
        Self::with(parts, Vec::new())
    }

    /// Works until cancelled; what is under way is ended first.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let mut tasks = JoinSet::new();
        for (plan, _, stats) in &self.exports {
            let exporter = Exporter {
                plan: plan.clone(),
                bus: self.parts.bus.clone(),
                store: self.parts.store.clone(),
                clock: self.parts.clock.clone(),
                stats: stats.clone(),
            };
            tasks.spawn(exporter.run(cancel.clone()));
        }
        self.retention.run(cancel).await;
        while tasks.join_next().await.is_some() {}
    }

    /// How each export is doing.
    ///
    /// # Errors
    /// When the end of the stream cannot be read.
    pub async fn status(&self) -> Result<Vec<ExportStatus>, StoreError> {
        if self.exports.is_empty() {
            return Ok(Vec::new());
        }
        let newest = self.parts.store.journal().newest_event().await?;
        let status =
            |(_, about, stats): &(Plan, ExportStatus, Arc<Stats>)| stats.status(about, newest);
        Ok(self.exports.iter().map(status).collect())
    }

    /// What became of old events.
    #[must_use]
    pub fn retention(&self) -> RetentionStats {
        RetentionStats {
            pruned: self.retention.pruned.load(Ordering::Relaxed),
        }
    }

    /// Sends one event that says that it is a test, without a stream and a cursor. Says where it went.
    ///
    /// # Errors
    /// When there is no such export, or its place does not take the event.
    pub async fn test(
        exports: &ExportsConfig,
        data: &std::path::Path,
        name: &str,
        now: Timestamp,
    ) -> Result<String, TestError> {
        let all = plans(exports, data)?;
        let found = all.into_iter().find(|plan| plan.name == name);
        let mut plan = found.ok_or_else(|| TestError::Unknown(name.to_owned()))?;
        // Whatever it filters, it is to be seen that it works.
        plan.kinds.clear();
        plan.min_severity = None;
        let mut sink = Sink::new(&plan);
        let record = Record::of(&test_event(name, now), 0, &plan);
        let records: Vec<Record> = record.into_iter().collect();
        let taken = sink.send(&records).await?;
        sink.close().await;
        match taken.refused.is_empty() {
            true => Ok(plan.describe()),
            false => Err(TestError::Refused),
        }
    }
}

fn about(plan: &Plan) -> ExportStatus {
    ExportStatus {
        name: plan.name.clone(),
        kind: plan.kind.as_str(),
        target: plan.describe(),
        format: plan.format.as_str(),
        state: ExportState::Starting,
        position: 0,
        lag: 0,
        sent: 0,
        dead_letters: 0,
        failures: 0,
        lost: 0,
        last_sent_at: None,
        last_error: None,
        last_error_at: None,
    }
}

fn test_event(name: &str, now: Timestamp) -> Event {
    let act = AdministrativeAct {
        actor: Actor::Console,
        act: "export.test".to_owned(),
        target: name.to_owned(),
        reason: Some("somebody checks that events arrive".to_owned()),
        outcome: Outcome::Done,
    };
    Event::new(now, Door::Internal, EventKind::Administrative(act))
}

impl std::fmt::Debug for Exports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exports")
            .field("exports", &self.parts.exports.keys())
            .finish_non_exhaustive()
    }
}
