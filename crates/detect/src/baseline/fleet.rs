//! All devices and products that are held, and the passing of their intervals.

use std::collections::{BTreeMap, HashMap};

use palisade_core::{DeviceId, Event, EventKind, ProductId, SessionEnd, Timestamp};

use super::{
    cohort::Cohort,
    history::History,
    metric::Metric,
    settings::{BaselineConfig, ProductSettings, Terms},
    state::State,
    tally::{Tally, counts_as_disconnect},
};
use crate::{Seen, Signal};

/// An event may be so much older than the interval it falls before and still count in it.
const SLACK_MS: i64 = 2_000;
/// Behind the clock by more than this, the stream is being caught up with.
const BEHIND_MS: i64 = 30_000;
/// After so many ticks without an event nothing more is to be caught up with.
const QUIET_TICKS: u32 = 3;
/// The most intervals that are closed in one tick.
const MAX_CLOSED: usize = 50_000;
/// A device that does nothing for so long is taken for gone, whatever was said of its session.
const MAX_IDLE_MS: i64 = 24 * 3_600 * 1_000;
/// The most products whose devices are learned together.
const MAX_PRODUCTS: usize = 10_000;

/// A device that is held.
pub(super) struct Slot {
    pub(super) id: DeviceId,
    pub(super) product: usize,
    pub(super) state: State,
    /// When its interval began, or its last one ended; milliseconds.
    pub(super) opened: i64,
    /// When its interval ends; 0 where none is open.
    pub(super) due: i64,
    /// Since when it is away, where that is known and it is.
    pub(super) away_since: Option<i64>,
    pub(super) presence: Presence,
    /// Intervals in a row without any event.
    pub(super) idle: u32,
    pub(super) is_dirty: bool,
    pub(super) tally: Option<Box<Tally>>,
    pub(super) history: Option<Box<History>>,
    /// Datapoints that each alarm in force was shown by.
    pub(super) lasting: Vec<(Metric, u32)>,
    /// Thresholds of its product that are crossed.
    pub(super) crossings: Vec<Crossing>,
}

/// Whether a session of the device is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Nothing was said of it since the start.
    Unknown,
    /// One is.
    Here,
    /// None is.
    Gone,
}

impl Slot {
    pub(super) fn is_here(&self) -> bool {
        self.presence == Presence::Here
    }
}

/// A threshold that is crossed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Crossing {
    pub(super) metric: Metric,
    /// Its place among the product's; none where it is gone.
    pub(super) place: Option<usize>,
    pub(super) since: i64,
    /// Whether it was crossed for long enough.
    pub(super) is_on: bool,
}

/// A product, and what its devices do.
pub(super) struct Product {
    pub(super) id: ProductId,
    pub(super) cohort: Cohort,
    pub(super) settings: ProductSettings,
    pub(super) terms: [Terms; Metric::COUNT],
    pub(super) is_dirty: bool,
    /// Devices that are held.
    pub(super) held: usize,
    /// Devices whose alarm is in force.
    pub(super) alarming: [u32; Metric::COUNT],
}

/// What was done, in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) datapoints: u64,
    pub(super) alarms: u64,
    pub(super) late: u64,
    pub(super) evicted: u64,
    pub(super) dropped: u64,
    pub(super) histories: usize,
    pub(super) tallies: usize,
}

/// All that is held.
pub(super) struct Fleet {
    pub(super) config: BaselineConfig,
    // Boxed, so that a growing list moves handles and not a kilobyte each.
    #[expect(
        clippy::vec_box,
        reason = "a million large ones are moved at each growth otherwise"
    )]
    pub(super) slots: Vec<Box<Slot>>,
    pub(super) index: HashMap<DeviceId, usize>,
    pub(super) products: Vec<Product>,
    pub(super) product_index: HashMap<ProductId, usize>,
    /// Until then nothing alarms.
    pub(super) learn_until: Option<Timestamp>,
    /// Which intervals end when.
    wheel: BTreeMap<i64, Vec<DeviceId>>,
    /// The time up to which intervals were closed.
    horizon: i64,
    /// The newest event since the last tick.
    newest: Option<i64>,
    /// Ticks in a row without an event.
    quiet: u32,
    pub(super) counts: Counts,
    pub(super) keeping: super::keep::Keeping,
}

impl Fleet {
    pub(super) fn new(config: BaselineConfig) -> Self {
        Self {
            config,
            slots: Vec::new(),
            index: HashMap::new(),
            products: Vec::new(),
            product_index: HashMap::new(),
            learn_until: None,
            wheel: BTreeMap::new(),
            horizon: i64::MIN,
            newest: None,
            quiet: 0,
            counts: Counts::default(),
            keeping: super::keep::Keeping::default(),
        }
    }

    /// An event.
    pub(super) fn observe(&mut self, seen: &Seen<'_>, out: &mut Vec<Signal>) {
        let event = seen.event;
        let time = event.time.as_millisecond();
        self.newest = Some(self.newest.map_or(time, |newest| newest.max(time)));
        let Some(known) = seen.device.filter(|_| matters(event)) else {
            return;
        };
        let Some(product) = self.product(&known.product) else {
            return;
        };
        let place = self.slot(&known.id, product);
        if !self.reach(place, time, out) {
            self.counts.late += 1;
            return;
        }
        let slot = &mut self.slots[place];
        let counts = &mut self.counts;
        let tally = slot.tally.get_or_insert_with(|| {
            counts.tallies += 1;
            Box::default()
        });
        follow_session(event, time, &mut slot.presence, &mut slot.away_since, tally);
        tally.count(event);
        slot.idle = 0;
    }

    /// Time passes.
    pub(super) fn tick(&mut self, now: Timestamp, out: &mut Vec<Signal>) {
        let now = now.as_millisecond();
        let interval = self.config.interval_ms();
        let newest = self.newest.take();
        if self.horizon != i64::MIN && now < self.horizon.saturating_sub(2 * interval) {
            self.restart(now);
        }
        self.quiet = match newest {
            Some(_) => 0,
            None => self.quiet.saturating_add(1),
        };
        // While older events are still read, time is theirs: what is to come belongs to open intervals.
        let reached = match newest {
            Some(newest) if newest < now - BEHIND_MS => newest,
            None if self.quiet < QUIET_TICKS => self.horizon,
            _ => now,
        };
        self.horizon = self.horizon.max(reached);
        let grace = (interval / 10).min(5_000);
        self.drop_far(now + 2 * interval);
        let mut closed = 0;
        while let Some(entry) = self.wheel.first_entry() {
            if *entry.key() > self.horizon.saturating_sub(grace) || closed >= MAX_CLOSED {
                break;
            }
            let (due, devices) = entry.remove_entry();
            closed += devices.len();
            for device in devices {
                if let Some(&place) = self.index.get(&device)
                    && self.slots[place].due == due
                {
                    // Intervals that nobody looked at while the clock jumped or the server slept tell
                    // nothing.
                    let is_behind = self.horizon - due > 2 * interval;
                    let next = if is_behind { self.horizon } else { due };
                    self.close(place, next, out);
                }
            }
        }
    }

    /// Lets the device's open interval be the one that `time` falls into; `false` where that has ended.
    fn reach(&mut self, place: usize, time: i64, out: &mut Vec<Signal>) -> bool {
        let slot = &self.slots[place];
        if time < slot.opened.saturating_sub(SLACK_MS) {
            return false;
        }
        if slot.due != 0 && time >= slot.due {
            self.close(place, slot.due, out);
        }
        let slot = &self.slots[place];
        if slot.due == 0 || time >= slot.due {
            let is_continued = slot.due != 0 && time < slot.due + self.config.interval_ms();
            self.open(place, time);
            if !is_continued {
                let slot = &mut self.slots[place];
                self.counts.tallies += usize::from(slot.tally.is_none());
                slot.tally.get_or_insert_default().is_partial = true;
            }
        }
        true
    }

    /// Opens the interval that `time` falls into.
    pub(super) fn open(&mut self, place: usize, time: i64) {
        let interval = self.config.interval_ms();
        let slot = &mut self.slots[place];
        // Devices' intervals end one after the other, so that not all are judged at once.
        let grain = if interval >= 10_000 { 1_000 } else { 100 };
        let phase = super::known::Element::new(slot.id.as_str()).phase(interval / grain) * grain;
        let start = time - (time - phase).rem_euclid(interval);
        // The last interval may have ended within this one, where the clock was set.
        slot.opened = start.max(slot.opened.min(time));
        slot.due = start + interval;
        let due = slot.due;
        let id = slot.id.clone();
        self.wheel.entry(due).or_default().push(id);
    }

    /// The clock was set back: begins anew from there.
    fn restart(&mut self, now: i64) {
        tracing::warn!("the clock was set back: open intervals of baselines are discarded");
        self.horizon = now;
        self.wheel.clear();
        for place in 0..self.slots.len() {
            self.forget_interval(place, now);
        }
    }

    /// Discards intervals that end in a future that cannot be: the clock was ahead for a moment.
    fn drop_far(&mut self, limit: i64) {
        let far = self.wheel.split_off(&(limit + 1));
        for device in far.into_values().flatten() {
            if let Some(&place) = self.index.get(&device)
                && self.slots[place].due > limit
            {
                self.forget_interval(place, limit - 2 * self.config.interval_ms());
            }
        }
    }

    fn forget_interval(&mut self, place: usize, now: i64) {
        let slot = &mut self.slots[place];
        self.counts.tallies -= usize::from(slot.tally.take().is_some());
        slot.due = 0;
        slot.opened = slot.opened.min(now);
        slot.away_since = slot.away_since.filter(|since| *since <= now);
        if slot.is_here() || slot.state.scalars.alarming != 0 {
            self.open(place, now);
        }
    }

    /// The place of a product, made where there is none.
    pub(super) fn product(&mut self, id: &ProductId) -> Option<usize> {
        if let Some(place) = self.product_index.get(id) {
            return Some(*place);
        }
        if self.products.len() >= MAX_PRODUCTS {
            return None;
        }
        let settings = ProductSettings::default();
        self.products.push(Product {
            id: id.clone(),
            cohort: Cohort::default(),
            terms: self.config.terms(&settings),
            settings,
            is_dirty: false,
            held: 0,
            alarming: [0; Metric::COUNT],
        });
        let place = self.products.len() - 1;
        self.product_index.insert(id.clone(), place);
        Some(place)
    }

    /// The place of a device, made where there is none.
    fn slot(&mut self, id: &DeviceId, product: usize) -> usize {
        if let Some(&place) = self.index.get(id) {
            self.move_to(place, product);
            return place;
        }
        if let Some(state) = self.keeping.take_back(id) {
            let place = self.hold(id.clone(), product, state);
            self.keeping.touch(&mut self.slots[place]);
            return place;
        }
        let state = State::new(&self.products[product].cohort, &self.config);
        self.products[product].cohort.devices += 1;
        self.keeping.want(id);
        self.hold(id.clone(), product, state)
    }

    /// A device may change its product.
    fn move_to(&mut self, place: usize, product: usize) {
        let slot = &mut self.slots[place];
        if slot.product == product {
            return;
        }
        let before = slot.product;
        slot.product = product;
        slot.crossings.clear();
        let alarming = slot.state.scalars.alarming;
        self.products[before].held -= 1;
        self.products[product].held += 1;
        for metric in Metric::ALL {
            if alarming & (1 << metric.index()) != 0 {
                let count = &mut self.products[before].alarming[metric.index()];
                *count = count.saturating_sub(1);
                self.products[product].alarming[metric.index()] += 1;
            }
        }
    }

    /// Holds a device; where there are too many, one that was not heard of for long goes.
    pub(super) fn hold(&mut self, id: DeviceId, product: usize, state: State) -> usize {
        if self.slots.len() >= self.config.max_devices.max(1) {
            self.evict();
        }
        for metric in Metric::ALL {
            let count = &mut self.products[product].alarming[metric.index()];
            *count += u32::from(state.is_alarming(metric));
        }
        self.products[product].held += 1;
        let place = self.slots.len();
        self.index.insert(id.clone(), place);
        self.slots.push(Box::new(Slot {
            id,
            product,
            state,
            opened: i64::MIN,
            due: 0,
            away_since: None,
            presence: Presence::Unknown,
            idle: 0,
            is_dirty: false,
            tally: None,
            history: None,
            lasting: Vec::new(),
            crossings: Vec::new(),
        }));
        place
    }

    /// Lets go of the device of a few that was not heard of for longest.
    fn evict(&mut self) {
        let count = self.slots.len();
        let step = (self.counts.evicted as usize).wrapping_mul(0x9e37_79b9);
        let candidates = (0..8).map(|n| step.wrapping_add(n * 7_919) % count);
        let is_older = |place: &usize| (self.slots[*place].due != 0, self.slots[*place].opened);
        let Some(place) = candidates.min_by_key(is_older) else {
            return;
        };
        let slot = self.slots.swap_remove(place);
        self.index.remove(&slot.id);
        if let Some(moved) = self.slots.get(place) {
            self.index.insert(moved.id.clone(), place);
        }
        let product = &mut self.products[slot.product];
        product.held -= 1;
        for metric in Metric::ALL {
            let count = &mut product.alarming[metric.index()];
            *count = count.saturating_sub(u32::from(slot.state.is_alarming(metric)));
        }
        self.counts.evicted += 1;
        self.counts.tallies -= usize::from(slot.tally.is_some());
        self.counts.histories -= usize::from(slot.history.is_some());
        let id = product.id.clone();
        self.counts.dropped += u64::from(!self.keeping.let_go(&slot, id));
    }

    /// Whether a device is to be closed once more after an interval that began at `opened`.
    pub(super) fn goes_on(&self, slot: &Slot) -> bool {
        let interval = self.config.interval_ms();
        let is_watched_away = slot.away_since.is_some()
            && self.products[slot.product]
                .settings
                .thresholds
                .iter()
                .any(|one| one.metric == Metric::DisconnectDuration);
        let is_gone = i64::from(slot.idle) * interval > MAX_IDLE_MS;
        (slot.is_here() && !is_gone)
            || slot.state.scalars.alarming != 0
            || !slot.crossings.is_empty()
            || (is_watched_away && i64::from(slot.idle) * interval <= 8 * MAX_IDLE_MS)
    }

    /// Memory that is held, in bytes: what grows with the number of devices.
    pub(super) fn bytes(&self) -> usize {
        // An entry of the index: the key's handle, its text, the place and the map's own.
        const ENTRY: usize = 96;
        self.slots.len() * (size_of::<Slot>() + size_of::<Box<Slot>>() + ENTRY)
            + self.counts.tallies * size_of::<Tally>()
            + self.counts.histories * size_of::<History>()
            + self.products.len() * size_of::<Product>()
    }
}

/// Whether an event says something about behaviour.
fn matters(event: &Event) -> bool {
    matches!(
        event.kind,
        EventKind::PublishStatistics { .. }
            | EventKind::Admitted { .. }
            | EventKind::Refused { .. }
            | EventKind::Denied { .. }
            | EventKind::Disconnected { .. }
            | EventKind::AgentReport { .. }
    )
}

/// What an event says about whether the device is there.
fn follow_session(
    event: &Event,
    time: i64,
    presence: &mut Presence,
    away_since: &mut Option<i64>,
    tally: &mut Tally,
) {
    match &event.kind {
        EventKind::Admitted { .. } => {
            if let Some(since) = away_since.take() {
                tally.was_away((time - since).max(0) as f64 / 1_000.0);
            }
            *presence = Presence::Here;
        }
        EventKind::Disconnected { end, .. }
            if !matches!(end, SessionEnd::TakenOver | SessionEnd::Replaced) =>
        {
            *presence = Presence::Gone;
            *away_since = counts_as_disconnect(*end).then_some(time);
        }
        // Of a session that ended, statistics may come later.
        EventKind::PublishStatistics { .. } if *presence == Presence::Unknown => {
            *presence = Presence::Here;
        }
        _ => {}
    }
}
