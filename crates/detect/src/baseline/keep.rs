//! What survives a restart: written down in parts once a minute, taken up when it is opened.

use std::collections::HashMap;

use palisade_core::{DeviceId, ProductId, Timestamp};
use palisade_store::{BaselineCohort, BaselineRow, Store};

use super::{
    cohort::Cohort,
    fleet::{Fleet, Slot},
    metric::Metric,
    settings::ProductSettings,
    state::State,
};
use crate::DetectError;

/// The most devices that were let go of and are not written down yet.
const MAX_LET_GO: usize = 50_000;
/// The most devices that are looked for in the store at a time.
const MAX_WANTED: usize = 10_000;
/// The scope of what is said of the whole fleet.
pub(super) const FLEET_SCOPE: &str = "fleet";

/// What is to be written down, and to be taken up.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    dirty: Vec<DeviceId>,
    let_go: HashMap<DeviceId, (ProductId, State, i64)>,
    wanted: Vec<DeviceId>,
    /// Whether the store holds devices that memory does not.
    is_more_stored: bool,
}

impl Keeping {
    /// A device learned something.
    pub(super) fn touch(&mut self, slot: &mut Slot) {
        if !slot.is_dirty {
            slot.is_dirty = true;
            self.dirty.push(slot.id.clone());
        }
    }

    /// A device came that is not held: the store may know it.
    pub(super) fn want(&mut self, id: &DeviceId) {
        if self.is_more_stored && self.wanted.len() < MAX_WANTED {
            self.wanted.push(id.clone());
        }
    }

    /// A device comes back that was let go of and is not written down yet.
    pub(super) fn take_back(&mut self, id: &DeviceId) -> Option<State> {
        self.let_go.remove(id).map(|(_, state, _)| state)
    }

    /// A device goes; `false` where what it learned since it was last written down is lost.
    pub(super) fn let_go(&mut self, slot: &Slot, product: ProductId) -> bool {
        self.is_more_stored = true;
        if !slot.is_dirty {
            return true;
        }
        if self.let_go.len() >= MAX_LET_GO {
            return false;
        }
        self.let_go
            .insert(slot.id.clone(), (product, slot.state, slot.opened));
        true
    }
}

impl Fleet {
    /// Takes up what was learned before.
    pub(super) async fn load(&mut self, store: &Store) -> Result<(), DetectError> {
        let baselines = store.baselines();
        for (scope, body) in baselines.settings().await? {
            self.load_settings(&scope, &body);
        }
        for found in baselines.cohorts().await? {
            match Cohort::from_blob(&found.state) {
                Ok(cohort) => {
                    if let Some(place) = self.product(&found.product) {
                        self.products[place].cohort = cohort;
                    }
                }
                Err(error) => {
                    tracing::warn!(product = %found.product, %error, "what was learned of a product cannot be read back: it is learned anew");
                }
            }
        }
        let most = self.config.max_devices;
        let mut after = None;
        while self.slots.len() < most {
            let part = baselines.newest(after, 1_000).await?;
            let Some(last) = part.last() else {
                return Ok(());
            };
            after = Some((last.updated_at, last.device.clone()));
            for row in part.into_iter().take(most - self.slots.len()) {
                self.take_up(row);
            }
        }
        self.keeping.is_more_stored = true;
        Ok(())
    }

    fn load_settings(&mut self, scope: &str, body: &str) {
        let read = |error: &dyn std::fmt::Display| {
            tracing::warn!(scope, %error, "settings of baselines cannot be read back: they are passed over");
        };
        if scope == FLEET_SCOPE {
            match serde_json::from_str::<Option<Timestamp>>(body) {
                Ok(until) => self.learn_until = until,
                Err(error) => read(&error),
            }
            return;
        }
        let Some(id) = scope.strip_prefix("product/") else {
            return;
        };
        match (ProductId::parse(id), serde_json::from_str(body)) {
            (Ok(id), Ok(settings)) => self.set_product(&id, settings),
            (Err(error), _) => read(&error),
            (_, Err(error)) => read(&error),
        }
    }

    /// Puts settings of a product in force.
    pub(super) fn set_product(&mut self, id: &ProductId, settings: ProductSettings) {
        let terms = self.config.terms(&settings);
        let Some(place) = self.product(id) else {
            return;
        };
        let product = &mut self.products[place];
        let before = std::mem::replace(&mut product.settings, settings);
        product.terms = terms;
        let now = &product.settings.thresholds;
        for slot in self.slots.iter_mut().filter(|slot| slot.product == place) {
            for crossing in &mut slot.crossings {
                let threshold = crossing
                    .place
                    .and_then(|place| before.thresholds.get(place));
                crossing.place = now.iter().position(|one| Some(one) == threshold);
            }
        }
    }

    fn take_up(&mut self, row: BaselineRow) {
        let state = match State::from_blob(&row.state) {
            Ok(state) => state,
            Err(error) => {
                tracing::warn!(device = %row.device, %error, "what was learned of a device cannot be read back: it is learned anew");
                return;
            }
        };
        if self.index.contains_key(&row.device) {
            return;
        }
        if let Some(product) = self.product(&row.product) {
            let place = self.hold(row.device, product, state);
            self.slots[place].opened = row.updated_at.as_millisecond();
            // Its alarm is to end even if it never comes back.
            if state.scalars.alarming != 0 {
                self.open(place, row.updated_at.as_millisecond());
            }
        }
    }

    /// What is to be written down next, at most so much; it counts as written then.
    pub(super) fn take_dirty(&mut self, most: usize) -> Vec<BaselineRow> {
        let mut rows = Vec::new();
        let row = |device, product, state: &State, opened: i64| BaselineRow {
            device,
            product,
            state: state.to_blob(),
            updated_at: Timestamp::from_millisecond(opened).unwrap_or(Timestamp::UNIX_EPOCH),
        };
        let gone: Vec<DeviceId> = self.keeping.let_go.keys().take(most).cloned().collect();
        for id in gone {
            if let Some((product, state, opened)) = self.keeping.let_go.remove(&id) {
                rows.push(row(id, product, &state, opened));
            }
        }
        while rows.len() < most
            && let Some(id) = self.keeping.dirty.pop()
        {
            if let Some(&place) = self.index.get(&id) {
                let slot = &mut self.slots[place];
                slot.is_dirty = false;
                let product = self.products[slot.product].id.clone();
                rows.push(row(id, product, &slot.state, slot.opened));
            }
        }
        rows
    }

    /// What could not be written down is to be tried again.
    pub(super) fn put_back(&mut self, rows: &[BaselineRow]) {
        for row in rows {
            if let Some(&place) = self.index.get(&row.device) {
                self.keeping.touch(&mut self.slots[place]);
            }
        }
    }

    /// The products that learned something; they count as written then.
    pub(super) fn take_cohorts(&mut self, now: Timestamp) -> Vec<BaselineCohort> {
        let dirty = self.products.iter_mut().filter(|one| one.is_dirty);
        dirty
            .map(|product| {
                product.is_dirty = false;
                BaselineCohort {
                    product: product.id.clone(),
                    state: product.cohort.to_blob(),
                    updated_at: now,
                }
            })
            .collect()
    }

    /// Which devices to look for in the store.
    pub(super) fn take_wanted(&mut self) -> Vec<DeviceId> {
        std::mem::take(&mut self.keeping.wanted)
    }

    /// A device that came back while it was only in the store goes on from what it had learned.
    pub(super) fn adopt(&mut self, row: &BaselineRow) {
        let Some(&place) = self.index.get(&row.device) else {
            return;
        };
        match State::from_blob(&row.state) {
            Ok(state) => {
                let slot = &mut self.slots[place];
                let before = slot.state.scalars.alarming;
                slot.state = state;
                let product = &mut self.products[slot.product];
                for metric in Metric::ALL {
                    let had = u32::from(before & (1 << metric.index()) != 0);
                    let has = u32::from(state.is_alarming(metric));
                    let count = &mut product.alarming[metric.index()];
                    *count = (*count + has).saturating_sub(had);
                }
            }
            Err(error) => {
                tracing::warn!(device = %row.device, %error, "what was learned of a device cannot be read back: it is learned anew");
            }
        }
    }
}
