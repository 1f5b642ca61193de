//! Correlations: what several events say together. They count in event time, in windows that end with the
//! newest event of their group, and in bounded memory.
//!
//! The windows are ours although the rules' language is not: an event that comes late must not be counted
//! with those that came a window after it, a clock that was set back must not stop detection, an event
//! may stand for many, and a finding names the events that show it.

mod window;

use std::collections::HashMap;

use palisade_core::Timestamp;

use super::{Correlated, EngineStats, FlatEvent};

pub(crate) use window::{MAX_ENTRIES as MAX_WINDOW_ENTRIES, Window};

/// The most groups of all correlations of a set.
const MAX_GROUPS: usize = 200_000;
/// The most groups of one correlation.
const MAX_GROUPS_OF_ONE: usize = 20_000;
/// What a correlation has of groups, however many correlations there are.
const MIN_GROUPS_OF_ONE: usize = 50;
/// The most entries of the windows of all correlations.
const MAX_ENTRIES: usize = 1_000_000;
/// The most bytes of a value that groups are told apart by.
const MAX_KEY_VALUE: usize = 512;
/// How far events may be ahead of our clock. What is further ahead counts as now.
const AHEAD_MS: i64 = 60_000;

/// What a correlation counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Counts {
    /// Events.
    Events,
    /// Different values of these fields.
    Values(Vec<String>),
    /// Rules that matched, in any order.
    Rules,
    /// Rules that matched one after the other.
    RulesInOrder,
}

/// How a number compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    Unequal,
}

/// Which rules must have matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    /// The rule at this place of the correlation's list.
    Rule(usize),
    All(Vec<Which>),
    Any(Vec<Which>),
    Not(Box<Which>),
}

/// A field that groups are told apart by: its name, and what it is called in the events of each rule of
/// the correlation's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupBy {
    pub(crate) name: String,
    pub(crate) of_rule: Vec<String>,
}

/// A correlation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Correlation {
    pub(crate) counts: Counts,
    /// How many rules it is about.
    pub(crate) rules: usize,
    pub(crate) group_by: Vec<GroupBy>,
    pub(crate) window_ms: i64,
    /// All of these hold of what is counted.
    pub(crate) conditions: Vec<(Comparison, u64)>,
    pub(crate) which: Option<Which>,
}

impl Correlation {
    /// Whether `value` is what the rule asks for.
    fn asks_for(&self, value: u64) -> bool {
        self.conditions
            .iter()
            .all(|(comparison, wanted)| match comparison {
                Comparison::Less => value < *wanted,
                Comparison::AtMost => value <= *wanted,
                Comparison::More => value > *wanted,
                Comparison::AtLeast => value >= *wanted,
                Comparison::Equal => value == *wanted,
                Comparison::Unequal => value != *wanted,
            })
    }

    /// The values that tell the event's group from others; `None` where it lacks one of the fields, and
    /// so belongs to no group.
    fn group(&self, rule: usize, event: &FlatEvent<'_>) -> Option<Vec<String>> {
        let value = |by: &GroupBy| {
            let field = by.of_rule.get(rule).unwrap_or(&by.name);
            let text = event.get(field)?.to_text()?;
            let end = text.floor_char_boundary(MAX_KEY_VALUE);
            Some(text[..end].to_owned())
        };
        self.group_by.iter().map(value).collect()
    }
}

/// The windows of a correlation.
#[derive(Debug)]
struct Held {
    /// What it is called across reloads, and which text it was read from.
    identity: (String, u64),
    correlation: Correlation,
    groups: HashMap<Vec<String>, Window>,
}

/// All windows.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    held: Vec<Held>,
    /// Entries in all windows, about: it is counted anew when it seems too much.
    entries: usize,
    /// The newest event's time.
    newest_ms: i64,
    stats: EngineStats,
}

impl Windows {
    /// Windows for correlations, each with its name and the fingerprint of its text.
    pub(crate) fn new(correlations: Vec<(String, u64, Correlation)>) -> Self {
        let held = correlations
            .into_iter()
            .map(|(name, fingerprint, correlation)| Held {
                identity: (name, fingerprint),
                correlation,
                groups: HashMap::new(),
            })
            .collect();
        Self {
            held,
            ..Self::default()
        }
    }

    /// Takes over what another one counted for correlations that did not change.
    pub(crate) fn inherit(&mut self, old: &mut Self) {
        for held in &mut self.held {
            let same = old
                .held
                .iter_mut()
                .find(|one| one.identity == held.identity && one.correlation == held.correlation);
            if let Some(same) = same {
                held.groups = std::mem::take(&mut same.groups);
            }
        }
        self.newest_ms = old.newest_ms;
        self.stats = old.stats;
        self.recount();
    }

    /// What is held and what was let go.
    pub(crate) fn stats(&self) -> EngineStats {
        let groups = self.held.iter().map(|held| held.groups.len() as u64).sum();
        EngineStats {
            groups,
            ..self.stats
        }
    }

    /// Counts an event that the rule at place `rule` of a correlation's list matched. Says what came
    /// together, where that is what the correlation asks for.
    pub(crate) fn feed(
        &mut self,
        correlation: usize,
        rule: usize,
        event: &FlatEvent<'_>,
        now: Timestamp,
    ) -> Option<Correlated> {
        let ahead = now.as_millisecond() + AHEAD_MS;
        // An event from further ahead would drag the window there, and leave behind all that follow.
        let at_ms = event.at.as_millisecond().min(ahead);
        self.newest_ms = match self.newest_ms > ahead {
            true => at_ms,
            false => self.newest_ms.max(at_ms),
        };
        let most =
            (MAX_GROUPS / self.held.len().max(1)).clamp(MIN_GROUPS_OF_ONE, MAX_GROUPS_OF_ONE);
        let held = self.held.get_mut(correlation)?;
        let key = held.correlation.group(rule, event)?;
        let is_full = held.groups.len() >= most || self.entries >= MAX_ENTRIES;
        if is_full && !held.groups.contains_key(&key) {
            self.make_room(correlation, most);
        }
        let held = self.held.get_mut(correlation)?;
        let Held {
            correlation,
            groups,
            ..
        } = held;
        let window = groups.entry(key).or_default();
        window.heed_clock(ahead);
        let before = window.len();
        let is_counted = window.take(correlation, rule, event, at_ms);
        self.entries = self.entries.saturating_sub(before) + window.len();
        if !is_counted {
            self.stats.late += 1;
            return None;
        }
        let value = window.value(correlation)?;
        if !correlation.asks_for(value) || !window.may_speak(at_ms) {
            return None;
        }
        let key = correlation.group(rule, event)?;
        let names = correlation.group_by.iter().map(|by| by.name.clone());
        Some(Correlated {
            value,
            window_s: u64::try_from(correlation.window_ms / 1_000).unwrap_or_default(),
            group: names.zip(key).collect(),
            evidence: window.evidence(),
        })
    }

    /// Forgets groups of a correlation: those that ended, and if that is not enough, the tenth of them
    /// that was silent for longest.
    fn make_room(&mut self, correlation: usize, most: usize) {
        let newest = self.newest_ms;
        for held in &mut self.held {
            let since = newest - held.correlation.window_ms;
            held.groups.retain(|_, window| window.newest_ms() >= since);
        }
        self.recount();
        let Some(held) = self.held.get_mut(correlation) else {
            return;
        };
        if held.groups.len() < most && self.entries < MAX_ENTRIES {
            return;
        }
        let mut newest: Vec<i64> = held.groups.values().map(Window::newest_ms).collect();
        newest.sort_unstable();
        let Some(until) = newest.get(newest.len() / 10).copied() else {
            return;
        };
        let mut surplus = newest.len() / 10 + 1;
        let before = held.groups.len();
        held.groups.retain(|_, window| {
            let goes = surplus > 0 && window.newest_ms() <= until;
            surplus -= usize::from(goes);
            !goes
        });
        self.stats.groups_lost += (before - held.groups.len()) as u64;
        self.recount();
    }

    fn recount(&mut self) {
        let groups = self.held.iter().flat_map(|held| held.groups.values());
        self.entries = groups.map(Window::len).sum();
    }
}

#[cfg(test)]
mod tests;
