//! From datapoints to alarms: so many strange ones in a row raise, so many usual ones in a row clear.

use palisade_core::{Confidence, Severity};

use super::{
    cell::{Moment, Reading},
    known::{CohortKnown, Element, Known},
    metric::Metric,
    settings::Terms,
    state::State,
};

/// The strength at which a datapoint counts as an alarm, unless said otherwise.
pub(super) const ALARMING: f32 = 13.0;
/// By how much a datapoint is learned that counts as an alarm: whoever drifts away slowly enough not to
/// alarm is learned, whoever jumps is not learned for long.
pub(super) const LEARNED_WHEN_ALARMING: f32 = 1.0 / 8.0;
/// By what a step that verdicts raised a threshold multiplies it.
const STEP: f32 = 1.2;
/// What a new element of a set counts that the product's devices never used either.
const NEW_TO_ALL: f32 = 14.0;
/// What it counts where the device is one that comes around.
const NEW_TO_ROVER: f32 = 10.0;
/// What it counts where other devices of the product use it.
const NEW_TO_DEVICE: f32 = 2.0;
/// What each further new element counts.
const ONE_MORE: f32 = 4.0;
/// The most that new elements count.
const MOST_NEW: f32 = 40.0;

/// A datapoint to be judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) metric: Metric,
    /// The value in the metric's scale.
    pub(super) value: f32,
    pub(super) moment: Moment,
    pub(super) terms: Terms,
    /// By what the product's verdicts multiply the threshold.
    pub(super) factor: f32,
    /// Datapoints before a device is judged.
    pub(super) known_after: u16,
    /// Whether all is learned and nothing alarms.
    pub(super) learns_only: bool,
    /// Whether it covers a part of an interval.
    pub(super) is_partial: bool,
    /// The elements of a set metric.
    pub(super) elements: &'a [Element],
}

/// What became of the alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// None is in force.
    Calm,
    /// It is in force, since now or for longer, and this datapoint shows it.
    Alarm,
    /// It is in force, though this datapoint does not show it.
    Waits,
    /// It ended.
    Cleared,
}

/// What was made of a datapoint.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judged {
    pub(super) turn: Turn,
    pub(super) strength: f32,
    pub(super) threshold: f32,
    pub(super) is_above: bool,
    /// Whether it may be learned for the product.
    pub(super) is_usual: bool,
    /// Elements that the device never used.
    pub(super) fresh: Vec<Element>,
}

/// Judges a datapoint and learns it.
pub(super) fn judge(state: &mut State, cohort: &CohortSet<'_>, question: &Question<'_>) -> Judged {
    let metric = question.metric;
    let scale = metric.scale();
    let cell = state.cell(metric);
    let known_after = question.known_after;
    let reading = cell.judge(question.value, question.moment.hour, scale, known_after);
    let is_mature = reading.is_known;
    let fresh = match metric.set() {
        Some(set) if is_mature => fresh(&state.sets[set].known, question.elements),
        _ => Vec::new(),
    };
    let novelty = match metric.set() {
        Some(set) => cohort.novelty(metric, &state.sets[set].known, &fresh),
        None => 0.0,
    };
    let strength = reading.strength.max(novelty);
    let threshold = threshold(cell.raised(), question);
    let counts = reading.is_above
        || novelty > reading.strength
        || (metric.is_two_sided() && !question.is_partial);
    let is_strange = is_mature && !question.learns_only && counts && strength >= threshold;
    learn(state, question, &reading, is_strange, is_mature);
    let turn = turn(state, question, is_strange);
    Judged {
        turn,
        strength,
        threshold,
        is_above: reading.is_above || novelty > reading.strength,
        is_usual: !is_strange,
        fresh,
    }
}

/// The strength from which a datapoint of this metric counts as an alarm.
fn threshold(raised: u8, question: &Question<'_>) -> f32 {
    question.terms.confidence.threshold() * factor(raised) * question.factor
}

/// By what steps that verdicts raised multiply a threshold.
pub(super) fn factor(raised: u8) -> f32 {
    STEP.powi(i32::from(raised))
}

fn learn(
    state: &mut State,
    question: &Question<'_>,
    reading: &Reading,
    is_strange: bool,
    is_mature: bool,
) {
    let weight = match is_strange {
        true => LEARNED_WHEN_ALARMING,
        false => 1.0,
    };
    let metric = question.metric;
    let cell = state.cell_mut(metric);
    cell.learn(
        question.value,
        reading,
        question.moment,
        metric.scale(),
        weight,
    );
    let Some(set) = metric.set() else {
        return;
    };
    let known = &mut state.sets[set].known;
    match is_mature && !question.learns_only {
        true => known.wait(question.elements),
        false => question.elements.iter().for_each(|one| known.learn(*one)),
    }
}

/// Counts datapoints in a row.
fn turn(state: &mut State, question: &Question<'_>, is_strange: bool) -> Turn {
    let metric = question.metric;
    let is_alarming = state.is_alarming(metric);
    let needed = match is_alarming {
        true => question.terms.to_clear,
        false => question.terms.to_alarm,
    };
    let cell = state.cell_mut(metric);
    let streak = match is_strange != is_alarming {
        true => cell.streak() + 1,
        false => 0,
    };
    let is_over = streak >= needed;
    cell.set_streak(if is_over { 0 } else { streak });
    if is_over {
        state.set_alarming(metric, !is_alarming);
    }
    match (is_alarming, is_strange, is_over) {
        (true, false, true) => Turn::Cleared,
        (true, false, false) => Turn::Waits,
        (true, true, _) | (false, true, true) => Turn::Alarm,
        (false, _, _) => Turn::Calm,
    }
}

/// An interval in which a device with an alarm in force did nothing at all: it counts as a usual one.
/// `true` where the alarm ended.
pub(super) fn rest(state: &mut State, metric: Metric, to_clear: u8) -> bool {
    let cell = state.cell_mut(metric);
    let streak = cell.streak() + 1;
    let is_over = streak >= to_clear;
    cell.set_streak(if is_over { 0 } else { streak });
    if is_over {
        state.set_alarming(metric, false);
    }
    is_over
}

fn fresh(known: &Known, elements: &[Element]) -> Vec<Element> {
    let is_new = |element: &&Element| !known.is_crowded() && !known.has(**element);
    elements.iter().filter(is_new).copied().collect()
}

/// What the product's devices are known to use.
#[derive(Debug, Clone, Copy)]
pub(super) struct CohortSet<'a>(pub(super) Option<&'a CohortKnown>);

impl CohortSet<'_> {
    fn novelty(self, metric: Metric, known: &Known, fresh: &[Element]) -> f32 {
        let one = match known.estimate() > metric.rover_knows() {
            true => NEW_TO_ROVER,
            false => NEW_TO_ALL,
        };
        let of = |element: &Element| match self.0.is_some_and(|cohort| cohort.has(*element)) {
            true => NEW_TO_DEVICE,
            false => one,
        };
        let dearest = fresh.iter().map(of).fold(0.0, f32::max);
        let more = fresh.len().saturating_sub(1) as f32 * ONE_MORE;
        match fresh.is_empty() {
            true => 0.0,
            false => (dearest + more).min(MOST_NEW),
        }
    }
}

/// How bad it is: by how far out, and for how many datapoints already.
pub(super) fn severity(judged: &Judged, lasts: u32) -> Severity {
    let ratio = judged.strength / judged.threshold.max(1.0);
    let by_distance = match ratio {
        ratio if ratio >= 2.0 => 3,
        ratio if ratio >= 1.3 => 2,
        _ => 1,
    };
    let by_time = match lasts {
        0..6 => 0,
        6..24 => 1,
        _ => 2,
    };
    // That a device falls silent is no attack by itself.
    let worst = if judged.is_above { 3 } else { 2 };
    let distance = if judged.is_above { by_distance } else { 1 };
    match (distance + by_time).min(worst) {
        1 => Severity::Low,
        2 => Severity::Medium,
        _ => Severity::High,
    }
}

/// How sure it is.
pub(super) fn confidence(judged: &Judged, terms: &Terms) -> Confidence {
    let far = if judged.strength >= 2.0 * judged.threshold {
        15
    } else {
        0
    };
    Confidence::new(terms.confidence.percent() + far)
}
