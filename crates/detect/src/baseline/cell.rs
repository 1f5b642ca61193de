//! What is known of one metric of one device, in forty bytes, and the judgement that comes from it.
//!
//! A datapoint is compared with three expectations: the level of the last days, that level at this hour of
//! the day, and, smoothed, the level at this hour again (which shows a shift that lasts, however small).
//! Each comparison is in units of the deviation that is usual for it: an exponentially weighted mean of
//! absolute deviations, which one outlier moves little. The mean of the three, each capped, is the first
//! part of the strength; the second is added where the value lies beyond everything seen so far, and grows
//! with the distance. What is far out is learned as if it were near: see [`Cell::learn`].

use super::packed::{Hours, from_half, from_log, to_half, to_log};

/// How fast the level and the usual deviations follow, a datapoint.
const SLOW: f32 = 1.0 / 512.0;
/// How fast the smoothed value follows, a datapoint.
const FAST: f32 = 1.0 / 8.0;
/// The share of what an hour showed that its place in the profile takes over, a day.
const FOLD: f32 = 0.5;
/// The most places that an hour moves in the profile, a day.
const MAX_FOLD: f32 = 3.0;
/// A place in the profile, in usual deviations (rounded to a power of two).
const PLACE: f32 = 0.5;
/// The most that each of the three comparisons counts.
const CAP: f32 = 6.0;
/// What a value beyond everything seen counts, besides its distance.
const NOVEL: f32 = 8.0;
/// The most that distance counts, in spans of everything seen.
const MAX_DISTANCE: f32 = 3.0;
/// How far beyond everything seen a value must lie to count as novel, as a part of the span.
const TOLERANCE: f32 = 0.01;
/// In usual deviations, how far out a value is learned; beyond, it is learned as this.
const CLIP: f32 = 3.0;
/// Once a device is known, how much of the way to a value beyond everything seen the span grows: whoever
/// grows steadily stays beyond it.
const REACH: f32 = 1.0 / 8.0;
/// Datapoints after which clipping begins: what is usual must be known first.
const CLIP_SINCE: u16 = 20;
const WARM_SINCE: u16 = 5;
/// A mean absolute deviation times this is the standard deviation, where the distribution is normal.
const TO_SIGMA: f32 = 1.2533;
/// How much of the habituation is left after a datapoint.
const HABIT_LEFT: f32 = 0.99;
/// How much of what was said lately is taken off what is said now.
const HABIT_TAKEN: f32 = 1.25;
/// Parts of a place in the profile that the sum of an hour counts.
const PARTS: f32 = 64.0;
/// The most steps that verdicts raise a threshold.
pub(super) const MAX_RAISED: u8 = 12;

/// In which form values are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// As they are.
    Linear,
    /// By their logarithm: a doubling counts the same at every size. The least usual deviation is given.
    Logarithmic(f32),
}

impl Scale {
    /// A value in this form; `None` where it is no number.
    pub(super) fn enter(self, value: f64) -> Option<f32> {
        let entered = match self {
            Self::Linear => value.clamp(-1e30, 1e30),
            Self::Logarithmic(_) => value.max(0.0).ln_1p(),
        };
        entered.is_finite().then_some(entered as f32)
    }

    /// The value that has this form.
    pub(super) fn leave(self, entered: f32) -> f64 {
        match self {
            Self::Linear => f64::from(entered),
            Self::Logarithmic(_) => f64::from(entered).clamp(0.0, 60.0).exp_m1(),
        }
    }

    /// The least usual deviation: below it, all series are equally steady.
    pub(super) fn floor(self, level: f32) -> f32 {
        match self {
            Self::Linear => (0.02 * level.abs()).max(1e-12),
            Self::Logarithmic(floor) => floor,
        }
    }
}

/// One metric of one device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
    /// The level of the last days.
    pub(super) level: f32,
    /// The least and the most that was seen, outliers taken as near.
    pub(super) low: f32,
    pub(super) high: f32,
    /// The smoothed value less the level.
    pub(super) recent: u16,
    /// The usual deviations of the three comparisons.
    pub(super) spread: [u16; 3],
    /// What was said lately.
    pub(super) habit: u16,
    /// Datapoints learned.
    pub(super) seen: u16,
    /// The mean of this hour so far, in parts of a place of the profile.
    pub(super) hour_mean: i16,
    /// The exponent of a place in the profile.
    pub(super) place: i8,
    /// Low four bits: datapoints in a row against the present state. High four: steps that verdicts raised
    /// the threshold.
    pub(super) marks: u8,
    /// The profile of the day.
    pub(super) hours: Hours,
}

/// Where in the day a datapoint lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// The hour of the day, in UTC.
    pub(super) hour: u8,
    /// Datapoints of this hour so far, this one included.
    pub(super) nth: u8,
}

/// What a cell makes of a datapoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reading {
    /// How strange it is; 0 is usual, 6 is far out but within what was seen, 8 and more is beyond.
    pub(super) strength: f32,
    /// Whether it is more than expected, and not less.
    pub(super) is_above: bool,
    errors: [f32; 3],
    smoothed: f32,
    /// Whether enough was seen to call anything strange.
    pub(super) is_known: bool,
}

impl Cell {
    /// Nothing is known.
    pub(super) const NEW: Self = Self {
        level: 0.0,
        low: 0.0,
        high: 0.0,
        recent: 0,
        spread: [0; 3],
        habit: 0,
        seen: 0,
        hour_mean: 0,
        place: -32,
        marks: 0,
        hours: Hours::FLAT,
    };

    /// What others of its kind do, taken for what it does, as if `seen` datapoints had shown it.
    pub(super) fn primed(level: f32, span: (f32, f32), spread: f32, seen: u16) -> Self {
        Self {
            level,
            low: span.0.min(level),
            high: span.1.max(level),
            spread: [to_log(spread), to_log(spread), to_log(spread * 0.5)],
            seen,
            ..Self::NEW
        }
    }

    /// Takes over a profile of the day, given in the form of the values.
    pub(super) fn set_profile(&mut self, offset: impl Fn(u8) -> f32) {
        self.place = wanted_place(from_log(self.spread[1])).unwrap_or(self.place);
        let place = self.place_size();
        for hour in 0..24 {
            self.hours.set(hour, (offset(hour) / place).round() as i32);
        }
    }

    /// What is expected at this hour.
    pub(super) fn expected(&self, hour: u8) -> f32 {
        self.level + self.offset(hour)
    }

    /// The deviation from what is expected at this hour, as it was seen.
    pub(super) fn usual(&self) -> f32 {
        TO_SIGMA * from_log(self.spread[1])
    }

    /// Judges a datapoint; learns nothing. After `known_after` datapoints, what lies beyond everything seen
    /// is news.
    pub(super) fn judge(&self, value: f32, hour: u8, scale: Scale, known_after: u16) -> Reading {
        if self.seen == 0 {
            return Reading {
                strength: 0.0,
                is_above: true,
                errors: [0.0; 3],
                smoothed: value,
                is_known: false,
            };
        }
        let before = self.level + from_half(self.recent);
        let smoothed = before + FAST.max(self.share()) * (value - before);
        let expected = self.expected(hour);
        let errors = [value - self.level, value - expected, smoothed - expected];
        let mut strength = 0.0;
        if self.seen >= WARM_SINCE {
            for (which, error) in errors.iter().enumerate() {
                strength += (error.abs() / self.deviation(which, scale)).min(CAP) / 3.0;
            }
        }
        let distance = self.distance(value, scale);
        let is_known = self.seen >= known_after.max(CLIP_SINCE);
        if is_known && distance > TOLERANCE {
            strength += NOVEL * (1.0 + distance.min(MAX_DISTANCE));
        }
        Reading {
            strength,
            is_above: value >= expected,
            errors,
            smoothed,
            is_known,
        }
    }

    /// Learns a datapoint. It counts by `weight` (0 to 1), and what is far out counts as if it lay
    /// [`CLIP`] usual deviations out: so a single datapoint, however wild, moves little.
    pub(super) fn learn(
        &mut self,
        value: f32,
        reading: &Reading,
        moment: Moment,
        scale: Scale,
        weight: f32,
    ) {
        if self.seen == 0 {
            (self.level, self.low, self.high) = (value, value, value);
            self.seen = 1;
            return;
        }
        let bounds = [0, 1, 2].map(|which| match self.seen > CLIP_SINCE {
            true => CLIP * self.deviation(which, scale),
            false => f32::MAX,
        });
        let clipped = |which: usize| reading.errors[which].clamp(-bounds[which], bounds[which]);
        let rate = weight * SLOW.max(self.share());
        self.learn_hour(weight * (clipped(1) / self.place_size()), moment);
        self.level += rate * clipped(0);
        self.recent = to_half(reading.smoothed - self.level);
        for which in 0..3 {
            let usual = from_log(self.spread[which]);
            self.spread[which] = to_log(usual + rate * (clipped(which).abs() - usual));
        }
        let reach = if reading.is_known { REACH } else { 1.0 };
        self.high += weight * reach * (value - self.high).clamp(0.0, bounds[0]);
        self.low -= weight * reach * (self.low - value).clamp(0.0, bounds[0]);
        self.seen = self.seen.saturating_add(1);
    }

    /// Takes the hour that ended into the profile of the day.
    pub(super) fn end_hour(&mut self, hour: u8) {
        let shown = f32::from(self.hour_mean) / PARTS;
        let moved = (shown * FOLD).round().clamp(-MAX_FOLD, MAX_FOLD) as i32;
        self.hours.set(hour, self.hours.get(hour) + moved);
        self.hour_mean = 0;
        self.fit_place();
    }

    /// How strange it is and news besides: what was said lately is taken off.
    pub(super) fn onset(&mut self, strength: f32) -> f32 {
        let habit = from_half(self.habit);
        self.habit = to_half((habit * HABIT_LEFT).max(strength));
        (strength - HABIT_TAKEN * habit).max(0.0)
    }

    /// Takes the present for the level from now on: a person said that it is meant to be.
    pub(super) fn accept_present(&mut self) {
        let present = self.level + from_half(self.recent);
        (self.level, self.recent) = (present, 0);
        self.low = self.low.min(present);
        self.high = self.high.max(present);
        self.set_streak(0);
    }

    /// Datapoints in a row that speak against the present state.
    pub(super) fn streak(&self) -> u8 {
        self.marks & 0x0f
    }

    pub(super) fn set_streak(&mut self, streak: u8) {
        self.marks = (self.marks & 0xf0) | streak.min(0x0f);
    }

    /// Steps that verdicts raised the threshold.
    pub(super) fn raised(&self) -> u8 {
        (self.marks >> 4).min(MAX_RAISED)
    }

    pub(super) fn set_raised(&mut self, raised: u8) {
        self.marks = (self.marks & 0x0f) | (raised.min(MAX_RAISED) << 4);
    }

    /// Whether all numbers in it are numbers, and in order.
    pub(super) fn is_sound(&self) -> bool {
        let floats = [self.level, self.low, self.high];
        floats.iter().all(|float| float.is_finite())
            && from_half(self.recent).is_finite()
            && from_half(self.habit).is_finite()
            && from_half(self.habit) >= 0.0
            && self.low <= self.high
    }

    /// How far beyond everything seen a value lies, in spans of it.
    fn distance(&self, value: f32, scale: Scale) -> f32 {
        let span = (self.high - self.low).max(2.5 * scale.floor(self.level));
        ((value - self.high) / span).max((self.low - value) / span)
    }

    fn deviation(&self, which: usize, scale: Scale) -> f32 {
        (TO_SIGMA * from_log(self.spread[which])).max(scale.floor(self.level))
    }

    /// The share of one more datapoint in the mean of all.
    fn share(&self) -> f32 {
        1.0 / (f32::from(self.seen) + 1.0)
    }

    fn place_size(&self) -> f32 {
        f32::from(self.place).exp2()
    }

    fn offset(&self, hour: u8) -> f32 {
        self.hours.get(hour) as f32 * self.place_size()
    }

    fn learn_hour(&mut self, places: f32, moment: Moment) {
        let mean = f32::from(self.hour_mean) / PARTS;
        let next = mean + (places.clamp(-16.0, 16.0) - mean) / f32::from(moment.nth.max(1));
        self.hour_mean = (next * PARTS).round().clamp(-1024.0, 1024.0) as i16;
    }

    /// Lets a place of the profile follow the usual deviation, by powers of two.
    fn fit_place(&mut self) {
        let Some(wanted) = wanted_place(from_log(self.spread[1])) else {
            return;
        };
        let shift = i32::from(self.place) - i32::from(wanted);
        if shift == 0 {
            return;
        }
        let factor = (shift as f32).exp2();
        for hour in 0..24 {
            let moved = (self.hours.get(hour) as f32 * factor).round();
            self.hours.set(hour, moved.clamp(-8.0, 7.0) as i32);
        }
        self.place = wanted;
    }
}

fn wanted_place(usual: f32) -> Option<i8> {
    let size = (usual * PLACE).max(1e-9);
    let exponent = size.log2().round();
    exponent
        .is_finite()
        .then(|| exponent.clamp(-60.0, 60.0) as i8)
}
