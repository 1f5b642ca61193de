//! Baselines, as the engine and the doors know them.

use std::{fmt, sync::Arc};

use palisade_core::{Clock, Detector, DeviceId, ProductId, Timestamp, port::BoxFuture};
use palisade_store::{Store, Verdict};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::task::JoinHandle;

use super::{
    fleet::Fleet,
    keep::FLEET_SCOPE,
    metric::Metric,
    settings::{BaselineConfig, ProductSettings, SettingsError},
    state::State,
    view::{DeviceBaseline, FleetBaseline, ProductBaseline},
};
use crate::{DetectError, Feedback, Seen, Signal, Subject, Watcher};

/// Devices that are written down at a time.
const BATCH: usize = 500;
/// Steps that a false alarm raises its device's threshold; a right one lowers it by one.
const RAISED_BY: u8 = 2;
/// What was not heard of for so long is forgotten.
const FORGOTTEN_AFTER: jiff::SignedDuration = jiff::SignedDuration::from_hours(24 * 90);

/// Baselines of the fleet. The engine feeds them through a [`BaselineWatcher`]; the doors read them here.
pub struct Baselines {
    store: Store,
    clock: Arc<dyn Clock>,
    is_enabled: bool,
    // Held for the time of one event, one interval or one device's view; never while something waits.
    fleet: Mutex<Fleet>,
}

/// Why settings were not taken.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// They cannot work.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The system of record failed.
    #[error(transparent)]
    Detect(#[from] DetectError),
}

impl Baselines {
    /// Takes up what was learned before.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(
        store: Store,
        clock: Arc<dyn Clock>,
        config: BaselineConfig,
    ) -> Result<Arc<Self>, DetectError> {
        if let Ok(before) = clock.now().checked_sub(FORGOTTEN_AFTER) {
            store.baselines().prune(before).await?;
        }
        let mut fleet = Fleet::new(config);
        fleet.load(&store).await?;
        Ok(Arc::new(Self {
            store,
            clock,
            is_enabled: fleet.config.enabled,
            fleet: Mutex::new(fleet),
        }))
    }

    /// What feeds them, for the engine.
    #[must_use]
    pub fn watcher(self: &Arc<Self>) -> BaselineWatcher {
        BaselineWatcher {
            baselines: self.clone(),
            saving: None,
        }
    }

    /// How they are doing.
    #[must_use]
    pub fn fleet(&self) -> FleetBaseline {
        self.fleet.lock().view(self.clock.now())
    }

    /// What is known of each product's devices, by product.
    #[must_use]
    pub fn products(&self) -> Vec<ProductBaseline> {
        let now = self.clock.now();
        let fleet = self.fleet.lock();
        let mut views: Vec<ProductBaseline> = fleet
            .products
            .iter()
            .map(|product| fleet.view_product(product, now))
            .collect();
        drop(fleet);
        views.sort_by(|a, b| a.product.cmp(&b.product));
        views
    }

    /// What is known of a product's devices; `None` where nothing is.
    #[must_use]
    pub fn product(&self, id: &ProductId) -> Option<ProductBaseline> {
        let fleet = self.fleet.lock();
        let place = *fleet.product_index.get(id)?;
        Some(fleet.view_product(&fleet.products[place], self.clock.now()))
    }

    /// What is known of a device; `None` where nothing is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn device(&self, id: &DeviceId) -> Result<Option<DeviceBaseline>, DetectError> {
        if let Some(view) = self.held(id) {
            return Ok(Some(view));
        }
        let found = self
            .store
            .baselines()
            .find(std::slice::from_ref(id))
            .await?;
        let Some(row) = found.first() else {
            return Ok(None);
        };
        let Ok(state) = State::from_blob(&row.state) else {
            return Ok(None);
        };
        let mut fleet = self.fleet.lock();
        let Some(place) = fleet.product(&row.product) else {
            return Ok(None);
        };
        let product = &fleet.products[place];
        Ok(Some(fleet.view_state(
            id,
            product,
            &state,
            self.clock.now(),
        )))
    }

    fn held(&self, id: &DeviceId) -> Option<DeviceBaseline> {
        let fleet = self.fleet.lock();
        let place = *fleet.index.get(id)?;
        Some(fleet.view_device(&fleet.slots[place], self.clock.now()))
    }

    /// Puts settings of a product in force.
    ///
    /// # Errors
    /// When they cannot work, or the store fails; those before stay in force then.
    pub async fn set_product(
        &self,
        id: &ProductId,
        settings: ProductSettings,
        by: &str,
    ) -> Result<(), BaselineError> {
        settings.check()?;
        self.keep_settings(&format!("product/{id}"), &settings, by)
            .await?;
        self.fleet.lock().set_product(id, settings);
        Ok(())
    }

    /// Lets the whole fleet be learned without alarms until `until`, or no longer.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn set_learning(
        &self,
        until: Option<Timestamp>,
        by: &str,
    ) -> Result<(), DetectError> {
        self.keep_settings(FLEET_SCOPE, &until, by).await?;
        self.fleet.lock().learn_until = until;
        Ok(())
    }

    async fn keep_settings(
        &self,
        scope: &str,
        body: &impl Serialize,
        by: &str,
    ) -> Result<(), DetectError> {
        let now = self.clock.now();
        let baselines = self.store.baselines();
        Ok(baselines.put_settings(scope, body, by, now).await?)
    }

    fn hear(&self, feedback: &Feedback) {
        let Detector::Baseline(name) = &feedback.detector else {
            return;
        };
        let Some(metric) = Metric::parse(name) else {
            return;
        };
        let subject = Subject::parse(&feedback.subject);
        let Some(device) = subject.as_ref().and_then(Subject::device) else {
            return;
        };
        self.fleet.lock().hear(device, metric, feedback.verdict);
    }

    async fn save(&self) -> Result<(), DetectError> {
        let baselines = self.store.baselines();
        // First, so that who came back is not written over with what little it showed since.
        let wanted = self.fleet.lock().take_wanted();
        for part in wanted.chunks(BATCH) {
            let found = baselines.find(part).await?;
            let mut fleet = self.fleet.lock();
            found.iter().for_each(|row| fleet.adopt(row));
        }
        loop {
            let rows = self.fleet.lock().take_dirty(BATCH);
            if rows.is_empty() {
                break;
            }
            if let Err(error) = baselines.put(&rows).await {
                self.fleet.lock().put_back(&rows);
                return Err(error.into());
            }
        }
        let cohorts = self.fleet.lock().take_cohorts(self.clock.now());
        Ok(baselines.put_cohorts(&cohorts).await?)
    }
}

impl Fleet {
    /// A person judged an alarm about a device.
    pub(super) fn hear(&mut self, device: &DeviceId, metric: Metric, verdict: Verdict) {
        let Some(&place) = self.index.get(device) else {
            return;
        };
        let slot = &mut self.slots[place];
        let product = &mut self.products[slot.product];
        product.is_dirty = true;
        let was_right = verdict == Verdict::TruePositive;
        product.cohort.norms[metric.index()].hear(was_right);
        let cell = slot.state.cell_mut(metric);
        let raised = cell.raised();
        cell.set_raised(match was_right {
            true => raised.saturating_sub(1),
            false => raised + RAISED_BY,
        });
        if !was_right {
            cell.set_streak(0);
            if slot.state.is_alarming(metric) {
                slot.state.set_alarming(metric, false);
                let count = &mut product.alarming[metric.index()];
                *count = count.saturating_sub(1);
            }
            slot.lasting.retain(|(one, _)| *one != metric);
        }
        if verdict == Verdict::BenignExpected {
            slot.state.cell_mut(metric).accept_present();
            if let Some(set) = metric.set() {
                slot.state.sets[set].known.accept_waiting();
            }
        }
        self.keeping.touch(&mut self.slots[place]);
    }
}

impl fmt::Debug for Baselines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Baselines")
            .field("fleet", &self.fleet())
            .finish_non_exhaustive()
    }
}

/// Feeds baselines with events.
#[derive(Debug)]
pub struct BaselineWatcher {
    baselines: Arc<Baselines>,
    /// What is being written down.
    saving: Option<JoinHandle<()>>,
}

impl Watcher for BaselineWatcher {
    fn name(&self) -> &'static str {
        "baselines"
    }

    fn observe(&mut self, seen: &Seen<'_>, out: &mut Vec<Signal>) {
        if self.baselines.is_enabled {
            self.baselines.fleet.lock().observe(seen, out);
        }
    }

    fn tick(&mut self, now: Timestamp, out: &mut Vec<Signal>) {
        if self.baselines.is_enabled {
            self.baselines.fleet.lock().tick(now, out);
        }
    }

    fn feedback(&mut self, feedback: &Feedback) {
        self.baselines.hear(feedback);
    }

    /// Hundreds of thousands of devices take seconds to write down: that is done beside, and one after the
    /// other.
    fn save(&mut self) -> BoxFuture<'_, Result<(), DetectError>> {
        if self.saving.as_ref().is_none_or(JoinHandle::is_finished) {
            let baselines = self.baselines.clone();
            self.saving = Some(tokio::spawn(async move {
                if let Err(error) = baselines.save().await {
                    tracing::warn!(%error, "what was learned could not be written down; it is tried again");
                }
            }));
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), DetectError>> {
        let saving = self.saving.take();
        Box::pin(async move {
            if let Some(saving) = saving
                && let Err(error) = saving.await
            {
                tracing::warn!(%error, "what was learned could not be written down; it is tried again");
            }
            self.baselines.save().await
        })
    }
}
