//! Trust from denials. A device that is denied again and again is broken or hostile, and either way
//! loses trust until it stops.
//!
//! Each device has a count of its denials that halves every [`HALF_LIFE`]; a denial adds one. With a
//! count of `n`, denials cost
//!
//! ```text
//! points = 100 * n * n / (n * n + 15 * 15)        rounded down; n is at most 45
//! ```
//!
//! | count | 1 | 5 | 10 | 15 | 19 | 30 | 45 |
//! |---|---|---|---|---|---|---|---|
//! | points | 0 | 10 | 30 | 50 | 61 | 80 | 90 |
//!
//! So a stray denial costs nothing, fifteen halve the trust, the twentieth within a minute takes a device
//! below the shipped trust floor of 40, and after the worst flood a device that behaves is back at that
//! floor after 13 minutes and fully trusted after 50.
//!
//! What does not count: a denial of a device that may not connect. Such a device is contained already;
//! it has no session, and all it can do is knock. Would knocking count, then a device that tries to
//! reconnect, as every good client does, could never come back.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use dashmap::{DashMap, Entry};
use jiff::SignedDuration;
use palisade_core::{DeviceId, Timestamp, TrustReason};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The name of this evidence in [`TrustReason::evidence`].
pub(crate) const EVIDENCE: &str = "denials";
/// How long it takes for a count to halve.
pub(crate) const HALF_LIFE: Duration = Duration::from_secs(10 * 60);
/// The count that costs half the trust.
const HALF_TRUST: f64 = 15.0;
/// The highest count, which bounds how long a flood is remembered.
const MAX_COUNT: f64 = 45.0;
/// The lowest count that is remembered.
const MIN_COUNT: f64 = 0.25;
/// How long it is remembered that a device was forgiven: longer than any change takes that began before.
const FORGIVEN: SignedDuration = SignedDuration::from_mins(5);
/// The most devices with a count. Denials of more are not counted until others are forgotten; a
/// fleet in which so many misbehave within an hour has another problem.
const MAX_DEVICES: usize = 65_536;

/// The points that a count costs.
fn points(count: f64) -> u8 {
    let square = count * count;
    (100.0 * square / (square + HALF_TRUST * HALF_TRUST)) as u8
}

/// The least count that costs so many points.
fn count_of(points: u8) -> f64 {
    let points = f64::from(points.min(99));
    (HALF_TRUST * (points / (100.0 - points)).sqrt()).min(MAX_COUNT)
}

#[derive(Debug, Clone, Copy)]
struct Counter {
    count: f64,
    at: Timestamp,
    // Whether it waits in `fresh`.
    is_fresh: bool,
    // What the posture written last says.
    written: u8,
    // When it was forgiven last: what a posture says from before then no longer holds.
    forgiven: Option<Timestamp>,
}

impl Counter {
    fn new(at: Timestamp) -> Self {
        Self {
            count: 0.0,
            at,
            is_fresh: false,
            written: 0,
            forgiven: None,
        }
    }

    fn at(&self, now: Timestamp) -> f64 {
        // A clock that was set back must not make counts grow.
        let elapsed = now.duration_since(self.at).as_secs_f64().max(0.0);
        self.count * (-elapsed / HALF_LIFE.as_secs_f64()).exp2()
    }

    fn decay(&mut self, now: Timestamp) {
        self.count = self.at(now);
        self.at = now;
    }
}

/// Denials by device, bounded.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    counters: DashMap<DeviceId, Counter>,
    // Devices with denials that were not weighed yet, each once.
    fresh: Mutex<Vec<DeviceId>>,
    arrived: Notify,
    uncounted: AtomicU64,
}

impl Denials {
    pub(crate) fn add(&self, device: &DeviceId, denials: u64, now: Timestamp) {
        let is_full = self.counters.len() >= MAX_DEVICES;
        let becomes_fresh = match self.counters.entry(device.clone()) {
            Entry::Vacant(_) if is_full => {
                self.uncounted.fetch_add(denials, Ordering::Relaxed);
                return;
            }
            entry => {
                let mut counter = entry.or_insert_with(|| Counter::new(now));
                counter.decay(now);
                counter.count = (counter.count + denials as f64).min(MAX_COUNT);
                !std::mem::replace(&mut counter.is_fresh, true)
            }
        };
        if becomes_fresh {
            self.fresh.lock().push(device.clone());
            self.arrived.notify_one();
        }
    }

    /// Waits for denials that were not weighed.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Devices with denials that were not weighed.
    pub(crate) fn take_fresh(&self) -> Vec<DeviceId> {
        let fresh = std::mem::take(&mut *self.fresh.lock());
        for device in &fresh {
            if let Some(mut counter) = self.counters.get_mut(device) {
                counter.is_fresh = false;
            }
        }
        fresh
    }

    /// Remembers what a stored posture says, where more is said than is remembered: counts are not
    /// stored, so they come back from the reasons after a restart, and from other processes.
    pub(crate) fn adopt(&self, device: &DeviceId, reasons: &[TrustReason], now: Timestamp) {
        let Some(stored) = reasons.iter().find(|reason| reason.evidence == EVIDENCE) else {
            return;
        };
        let mut told = Counter::new(stored.since);
        told.count = count_of(stored.points);
        told.decay(now);
        told.written = stored.points;
        let is_full = self.counters.len() >= MAX_DEVICES;
        match self.counters.entry(device.clone()) {
            Entry::Vacant(_) if is_full => {}
            Entry::Vacant(entry) => {
                entry.insert(told);
            }
            Entry::Occupied(mut entry) => {
                let counter = entry.get_mut();
                counter.decay(now);
                counter.written = stored.points;
                if counter
                    .forgiven
                    .is_none_or(|forgiven| stored.since > forgiven)
                {
                    counter.count = counter.count.max(told.count);
                }
            }
        }
    }

    /// What denials say about a device now.
    pub(crate) fn reason(&self, device: &DeviceId, now: Timestamp) -> Option<TrustReason> {
        let count = self.counters.get(device)?.at(now);
        let points = points(count);
        (points > 0).then(|| TrustReason {
            evidence: EVIDENCE.to_owned(),
            points,
            detail: format!(
                "denied about {count:.0} times lately, counted with a half-life of 10 minutes"
            ),
            // Not the last denial: from points and time the count can be found again.
            since: now,
        })
    }

    /// Whether enough decayed for trust to be given back, by what was written last.
    pub(crate) fn has_decayed(&self, device: &DeviceId, step: u8, now: Timestamp) -> bool {
        self.counters.get(device).is_some_and(|counter| {
            let points = points(counter.at(now));
            let returned = counter.written.saturating_sub(points);
            returned >= step || (returned > 0 && points == 0)
        })
    }

    /// Notes what the posture says that was written last.
    pub(crate) fn written(&self, device: &DeviceId, reasons: &[TrustReason]) {
        if let Some(mut counter) = self.counters.get_mut(device) {
            let stored = reasons.iter().find(|reason| reason.evidence == EVIDENCE);
            counter.written = stored.map_or(0, |reason| reason.points);
        }
    }

    /// Forgets the denials of a device up to now.
    pub(crate) fn forgive(&self, device: &DeviceId, now: Timestamp) {
        let mut forgiven = Counter::new(now);
        forgiven.forgiven = Some(now);
        if let Some(mut counter) = self.counters.get_mut(device) {
            forgiven.is_fresh = counter.is_fresh;
            *counter = forgiven;
        } else if self.counters.len() < MAX_DEVICES {
            self.counters.insert(device.clone(), forgiven);
        }
    }

    /// Heeds what another process wrote: more denials than are known here, or that the device was
    /// forgiven.
    pub(crate) fn heed(&self, device: &DeviceId, reasons: &[TrustReason], now: Timestamp) {
        let was_held = self
            .counters
            .get(device)
            .is_some_and(|counter| counter.written > 0);
        if was_held && !reasons.iter().any(|reason| reason.evidence == EVIDENCE) {
            self.forgive(device, now);
        }
        self.adopt(device, reasons, now);
    }

    /// Forgets a device that is no longer there.
    pub(crate) fn forget(&self, device: &DeviceId) {
        self.counters.remove(device);
    }

    /// Forgets counts that decayed, and names the devices whose written points no longer hold.
    pub(crate) fn settle(&self, now: Timestamp) -> Vec<DeviceId> {
        let mut differing = Vec::new();
        self.counters.retain(|device, counter| {
            let count = counter.at(now);
            if points(count) != counter.written {
                differing.push(device.clone());
            }
            let is_forgiven = counter
                .forgiven
                .is_some_and(|at| now.duration_since(at) < FORGIVEN);
            count >= MIN_COUNT || counter.written > 0 || counter.is_fresh || is_forgiven
        });
        let uncounted = self.uncounted.swap(0, Ordering::Relaxed);
        if uncounted > 0 {
            tracing::warn!(
                uncounted,
                "too many devices are denied at once: not all are counted"
            );
        }
        differing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(id: &str) -> DeviceId {
        DeviceId::parse(id).expect("valid")
    }

    fn minutes(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    fn points_of(denials: &Denials, id: &DeviceId, now: Timestamp) -> u8 {
        denials.reason(id, now).map_or(0, |reason| reason.points)
    }

    #[test]
    fn the_table_in_the_documentation_is_true() {
        let counts = [1.0, 5.0, 10.0, 15.0, 19.0, 30.0, 45.0];
        assert_eq!(counts.map(points), [0, 10, 30, 50, 61, 80, 90]);
    }

    #[test]
    fn more_denials_never_cost_less_and_points_lead_back_to_a_count() {
        for count in 0..45 {
            assert!(points(f64::from(count)) <= points(f64::from(count + 1)));
        }
        for cost in 0..=90 {
            let again = points(count_of(cost) + 1e-9);
            assert_eq!(again, cost);
        }
        assert!(count_of(255) <= MAX_COUNT);
    }

    #[test]
    fn a_flood_is_remembered_no_longer_than_its_cap_and_decays_by_half() {
        let (denials, id) = (Denials::default(), device("bad"));
        denials.add(&id, u64::MAX, minutes(0));
        assert_eq!(points_of(&denials, &id, minutes(0)), 90);
        assert_eq!(points_of(&denials, &id, minutes(10)), points(22.5));
        assert!(
            points_of(&denials, &id, minutes(13)) <= 60,
            "back at the shipped floor"
        );
        assert_eq!(points_of(&denials, &id, minutes(50)), 0);
        // A clock that is set back does not add to it.
        assert_eq!(points_of(&denials, &id, minutes(-600)), 90);
    }

    #[test]
    fn a_device_waits_to_be_weighed_once_however_often_it_is_denied() {
        let (denials, id) = (Denials::default(), device("bad"));
        for _ in 0..100 {
            denials.add(&id, 1, minutes(0));
        }
        assert_eq!(denials.take_fresh(), std::slice::from_ref(&id));
        assert!(denials.take_fresh().is_empty());
        denials.add(&id, 1, minutes(0));
        assert_eq!(denials.take_fresh(), [id]);
    }

    #[test]
    fn what_decayed_is_not_held_and_a_full_table_takes_no_more() {
        let denials = Denials::default();
        for n in 0..MAX_DEVICES + 10 {
            denials.add(&device(&format!("d{n}")), 1, minutes(0));
        }
        assert_eq!(denials.counters.len(), MAX_DEVICES);
        assert_eq!(denials.take_fresh().len(), MAX_DEVICES);
        denials.settle(minutes(21));
        assert_eq!(denials.counters.len(), 0);
    }

    #[test]
    fn what_is_forgiven_does_not_come_back_from_what_was_written_before() {
        let (denials, id) = (Denials::default(), device("bad"));
        denials.add(&id, 40, minutes(0));
        let written = vec![denials.reason(&id, minutes(0)).expect("a reason")];
        denials.written(&id, &written);
        denials.forgive(&id, minutes(1));
        denials.adopt(&id, &written, minutes(1));
        assert_eq!(points_of(&denials, &id, minutes(1)), 0);
        // Another process has no such memory: it takes what is written.
        let other = Denials::default();
        other.adopt(&id, &written, minutes(0));
        assert!(points_of(&other, &id, minutes(0)).abs_diff(written[0].points) <= 1);
        other.heed(&id, &[], minutes(1));
        assert_eq!(points_of(&other, &id, minutes(1)), 0);
    }
}
