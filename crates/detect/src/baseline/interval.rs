//! The end of an interval: its datapoints are judged, learned and told.

use palisade_core::{Confidence, Detector, Severity, Timestamp};

use super::{
    fleet::{Crossing, Fleet, Product, Slot},
    judge::{self, CohortSet, Judged, Question, Turn},
    metric::Metric,
    settings::{Operator, Threshold},
    tally::Tally,
    telling,
};
use crate::{Alarm, Signal, Subject};

/// What the metrics of one interval are judged with.
struct Closing<'a> {
    slot: &'a mut Slot,
    product: &'a mut Product,
    tally: &'a Tally,
    moment: super::cell::Moment,
    end: i64,
    interval_ms: i64,
    known_after: u16,
    learns_only: bool,
    /// Whether the device was there, or anything was told of it.
    is_active: bool,
}

impl Fleet {
    /// Ends the device's open interval, and begins the one at `next` where that is to be judged too.
    pub(super) fn close(&mut self, place: usize, next: i64, out: &mut Vec<Signal>) {
        let interval_ms = self.config.interval_ms();
        let slot = &mut self.slots[place];
        let (start, end) = (slot.opened, slot.due);
        let tally = slot.tally.take();
        self.counts.tallies -= usize::from(tally.is_some());
        let is_active = tally.is_some() || slot.is_here();
        if tally.is_none() {
            slot.idle = slot.idle.saturating_add(1);
        }
        let mut tally = tally.map(|tally| *tally).unwrap_or_default();
        tally.was_connected |= slot.is_here();
        let at = Timestamp::from_millisecond(start).unwrap_or(Timestamp::UNIX_EPOCH);
        let (moment, ended) = slot.state.scalars.day.advance(at);
        if let Some(hour) = ended {
            slot.state.end_hour(hour);
        }
        let values = values(&tally, is_active);
        self.remember(place, end, &values);
        let slot = &mut self.slots[place];
        let product = &mut self.products[slot.product];
        let learns_until = [self.learn_until, product.settings.learn_until];
        let is_learning = |until: Timestamp| end < until.as_millisecond();
        let mut closing = Closing {
            learns_only: learns_until.into_iter().flatten().any(is_learning),
            slot,
            product,
            tally: &tally,
            moment,
            end,
            interval_ms,
            known_after: self.config.known_after(),
            is_active,
        };
        let before = out.len();
        for (metric, value) in Metric::ALL.into_iter().zip(values) {
            self.counts.datapoints += u64::from(value.is_some());
            closing.metric(metric, value, out);
        }
        self.counts.alarms += (out.len() - before) as u64;
        self.keeping.touch(&mut self.slots[place]);
        self.go_on(place, end, next);
    }

    fn go_on(&mut self, place: usize, end: i64, next: i64) {
        let goes_on = self.goes_on(&self.slots[place]);
        let slot = &mut self.slots[place];
        slot.opened = end;
        slot.due = 0;
        if goes_on {
            self.open(place, next);
        }
    }

    fn remember(&mut self, place: usize, end: i64, values: &[Option<f64>; Metric::COUNT]) {
        let slot = &mut self.slots[place];
        if slot.history.is_none() && self.counts.histories < self.config.history_devices {
            slot.history = Some(Box::default());
            self.counts.histories += 1;
        }
        if let Some(history) = &mut slot.history {
            history.push(end, values);
        }
    }
}

/// The datapoints of an interval.
fn values(tally: &Tally, is_active: bool) -> [Option<f64>; Metric::COUNT] {
    Metric::ALL.map(|metric| {
        let is_counted = match metric {
            Metric::AuthorizationFailures | Metric::ConnectionAttempts | Metric::Disconnects => {
                is_active
            }
            _ => metric.is_of_session() && tally.was_connected,
        };
        tally.value(metric).or(is_counted.then_some(0.0))
    })
}

impl Closing<'_> {
    fn metric(&mut self, metric: Metric, value: Option<f64>, out: &mut Vec<Signal>) {
        let was_alarming = self.is_told(metric);
        let terms = self.product.terms[metric.index()];
        let mut alarm = None;
        if !terms.enabled {
            self.slot.crossings.retain(|one| one.metric != metric);
            self.set_alarming(metric, false);
        } else if let Some(value) = value {
            alarm = self.datapoint(metric, value);
        } else if !self.is_active
            && self.slot.state.is_alarming(metric)
            && judge::rest(&mut self.slot.state, metric, terms.to_clear)
        {
            self.count_alarming(metric, false);
        }
        let crossed = self.thresholds(metric, value);
        let worst = [alarm, crossed].into_iter().flatten();
        let worst = worst.max_by_key(|alarm| (alarm.severity, alarm.confidence));
        if self.learns_only {
            self.slot.crossings.retain(|one| one.metric != metric);
            self.set_alarming(metric, false);
        } else if let Some(alarm) = worst {
            out.push(Signal::Raise(alarm));
            return;
        }
        if was_alarming && !self.is_told(metric) {
            self.slot.lasting.retain(|(one, _)| *one != metric);
            out.push(Signal::Clear {
                detector: detector(metric),
                subject: Subject::Principal(self.slot.id.clone().into()),
                at: self.at(),
            });
        }
    }

    /// Whether an alarm about the metric is in force, learned or set.
    fn is_told(&self, metric: Metric) -> bool {
        let is_crossed = |one: &Crossing| one.metric == metric && one.is_on;
        self.slot.state.is_alarming(metric) || self.slot.crossings.iter().any(is_crossed)
    }

    fn set_alarming(&mut self, metric: Metric, is_alarming: bool) {
        if self.slot.state.is_alarming(metric) != is_alarming {
            self.slot.state.set_alarming(metric, is_alarming);
            self.slot.state.cell_mut(metric).set_streak(0);
            self.count_alarming(metric, is_alarming);
        }
    }

    fn count_alarming(&mut self, metric: Metric, is_more: bool) {
        let count = &mut self.product.alarming[metric.index()];
        *count = match is_more {
            true => count.saturating_add(1),
            false => count.saturating_sub(1),
        };
    }

    /// Judges a datapoint by the baseline.
    fn datapoint(&mut self, metric: Metric, value: f64) -> Option<Alarm> {
        let entered = metric.scale().enter(value)?;
        let expected = telling::usual(self.slot.state.cell(metric), self.moment.hour, metric);
        let was_alarming = self.slot.state.is_alarming(metric);
        let cohort = &self.product.cohort;
        let norm = &cohort.norms[metric.index()];
        let speaks = norm.speaks(cohort.devices, self.known_after, self.interval_ms);
        let elements = metric.set().map_or(&[][..], |set| self.tally.set(set));
        let question = Question {
            metric,
            value: entered,
            moment: self.moment,
            terms: self.product.terms[metric.index()],
            factor: norm.factor(),
            known_after: self.known_after,
            learns_only: self.learns_only,
            is_partial: self.tally.is_partial,
            elements,
        };
        let set = metric.set().filter(|_| speaks).map(|set| &cohort.sets[set]);
        let judged = judge::judge(&mut self.slot.state, &CohortSet(set), &question);
        let is_alarming = self.slot.state.is_alarming(metric);
        if is_alarming != was_alarming {
            self.count_alarming(metric, is_alarming);
        }
        if judged.is_usual {
            self.teach(metric, entered, &judged);
        }
        (judged.turn == Turn::Alarm).then(|| self.alarm(metric, value, expected, &judged))
    }

    /// The cohort learns what is usual for one of its devices.
    fn teach(&mut self, metric: Metric, value: f32, judged: &Judged) {
        let cohort = &mut self.product.cohort;
        cohort.norms[metric.index()].learn(value, self.moment.hour, metric.scale());
        if let Some(set) = metric.set() {
            let known = self.tally.set(set).iter();
            for element in known.filter(|one| !judged.fresh.contains(one)) {
                cohort.sets[set].learn(*element);
            }
        }
        self.product.is_dirty = true;
    }

    fn alarm(
        &mut self,
        metric: Metric,
        value: f64,
        expected: (f64, f64),
        judged: &Judged,
    ) -> Alarm {
        let lasts = self.lasts(metric);
        let names: Vec<&str> = judged
            .fresh
            .iter()
            .filter_map(|one| self.tally.name(metric.set()?, *one))
            .collect();
        let detail = telling::sentence(metric, value, expected, &names, self.interval_ms);
        Alarm {
            severity: judge::severity(judged, lasts),
            confidence: judge::confidence(judged, &self.product.terms[metric.index()]),
            ..self.new_alarm(metric, detail)
        }
    }

    /// Counts how many datapoints showed the alarm before this one.
    fn lasts(&mut self, metric: Metric) -> u32 {
        let lasting = &mut self.slot.lasting;
        if let Some((_, count)) = lasting.iter_mut().find(|(one, _)| *one == metric) {
            *count = count.saturating_add(1);
            return *count;
        }
        lasting.push((metric, 0));
        0
    }

    fn new_alarm(&self, metric: Metric, detail: String) -> Alarm {
        Alarm {
            detector: detector(metric),
            title: metric.title().to_owned(),
            severity: Severity::Medium,
            confidence: Confidence::new(90),
            detail,
            techniques: metric
                .techniques()
                .iter()
                .map(|&one| one.to_owned())
                .collect(),
            subject: Subject::Principal(self.slot.id.clone().into()),
            source: None,
            evidence: self.tally.evidence.clone(),
            at: self.at(),
        }
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millisecond(self.end).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Holds a datapoint against what the operator set.
    fn thresholds(&mut self, metric: Metric, value: Option<f64>) -> Option<Alarm> {
        if self.product.settings.thresholds.is_empty() && self.slot.crossings.is_empty() {
            return None;
        }
        let terms = self.product.terms[metric.index()];
        let is_orphan = |one: &Crossing| one.metric == metric && one.place.is_none();
        self.slot.crossings.retain(|one| !is_orphan(one));
        if !terms.enabled {
            return None;
        }
        // How long a device is away is known before it is back.
        let away = self
            .slot
            .away_since
            .map(|since| (self.end - since).max(0) as f64 / 1e3);
        let value = value.or(away.filter(|_| metric == Metric::DisconnectDuration));
        let Some(value) = value else {
            if !self.is_active || metric == Metric::DisconnectDuration {
                self.slot.crossings.retain(|one| one.metric != metric);
            }
            return None;
        };
        let mut worst: Option<(Severity, String)> = None;
        let all = self.product.settings.thresholds.iter().enumerate();
        for (place, threshold) in all.filter(|(_, one)| one.metric == metric) {
            let is_crossed = crosses(threshold, value);
            let is_on = cross(
                self.slot,
                place,
                threshold,
                is_crossed,
                self.end,
                self.interval_ms,
            );
            if is_on
                && worst
                    .as_ref()
                    .is_none_or(|(worst, _)| *worst < threshold.severity)
            {
                let detail = telling::crossed(threshold, value, self.interval_ms);
                worst = Some((threshold.severity, detail));
            }
        }
        let (severity, detail) = worst?;
        let alarm = self.new_alarm(metric, detail);
        Some(Alarm { severity, ..alarm })
    }
}

fn crosses(threshold: &Threshold, value: f64) -> bool {
    match threshold.operator {
        Operator::Above => value > threshold.value,
        Operator::Below => value < threshold.value,
    }
}

/// Notes whether a threshold is crossed; `true` where it is for long enough.
fn cross(
    slot: &mut Slot,
    place: usize,
    threshold: &Threshold,
    is_crossed: bool,
    end: i64,
    interval_ms: i64,
) -> bool {
    let found = slot
        .crossings
        .iter()
        .position(|one| one.place == Some(place));
    if !is_crossed {
        if let Some(found) = found {
            slot.crossings.swap_remove(found);
        }
        return false;
    }
    let found = found.unwrap_or_else(|| {
        slot.crossings.push(Crossing {
            metric: threshold.metric,
            place: Some(place),
            since: end - interval_ms,
            is_on: false,
        });
        slot.crossings.len() - 1
    });
    let crossing = &mut slot.crossings[found];
    let asked = i64::try_from(threshold.duration_s).unwrap_or(i64::MAX);
    crossing.is_on = end - crossing.since >= asked.saturating_mul(1_000);
    crossing.is_on
}

pub(super) fn detector(metric: Metric) -> Detector {
    Detector::Baseline(metric.as_str().to_owned())
}
