//! One window: what one group of one correlation counted.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

use palisade_core::{EventId, Finding};

use super::{Correlation, Counts, FlatEvent, Which};

/// The most entries of a window. Events that came close together share one.
pub(crate) const MAX_ENTRIES: usize = 1_024;
/// A group that goes on speaks again at most this often.
const SPEAK_AGAIN_MS: i64 = 10_000;
/// Keyed by chance, so that nobody can choose values that count as one.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

#[derive(Debug, Clone, Copy)]
struct Entry {
    at_ms: i64,
    event: EventId,
    /// How many events, which value, or which rule.
    what: u64,
}

/// What one group counted, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Window {
    entries: VecDeque<Entry>,
    newest_ms: i64,
    spoke_ms: Option<i64>,
}

impl Window {
    pub(super) fn newest_ms(&self) -> i64 {
        self.newest_ms
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Starts anew where what was counted lies ahead of the clock: it was set back, and what follows
    /// would all be late.
    pub(super) fn heed_clock(&mut self, ahead_ms: i64) {
        if self.newest_ms > ahead_ms {
            *self = Self::default();
        }
    }

    /// Takes an event; `false` where it is too late for the window.
    pub(super) fn take(
        &mut self,
        correlation: &Correlation,
        rule: usize,
        event: &FlatEvent<'_>,
        at_ms: i64,
    ) -> bool {
        let is_first = self.entries.is_empty();
        if !is_first && at_ms < self.newest_ms - correlation.window_ms {
            return false;
        }
        self.newest_ms = match is_first {
            true => at_ms,
            false => self.newest_ms.max(at_ms),
        };
        let since = self.newest_ms - correlation.window_ms;
        while self
            .entries
            .front()
            .is_some_and(|entry| entry.at_ms < since)
        {
            self.entries.pop_front();
        }
        let entry = |what| Entry {
            at_ms,
            event: event.id,
            what,
        };
        match &correlation.counts {
            Counts::Events => self.count(entry(event.weight), correlation.window_ms),
            Counts::Values(fields) => match values(fields, event) {
                Some(value) => self.note(entry(value)),
                None => return true,
            },
            Counts::Rules => self.note(entry(rule as u64)),
            Counts::RulesInOrder => self.append(entry(rule as u64)),
        }
        if self.entries.len() > MAX_ENTRIES {
            self.entries.pop_front();
        }
        true
    }

    /// Adds to the entry that is about as old, so that a window of any length has so many entries at most.
    fn count(&mut self, entry: Entry, window_ms: i64) {
        let close_ms = (window_ms / MAX_ENTRIES as i64).max(1_000);
        let place = self.place(entry.at_ms);
        if let Some(before) = place.checked_sub(1).and_then(|at| self.entries.get_mut(at))
            && entry.at_ms - before.at_ms < close_ms
        {
            before.what = before.what.saturating_add(entry.what);
            before.event = entry.event;
            return;
        }
        self.entries.insert(place, entry);
    }

    /// Notes that a value, or a rule, was seen; each is held once, with when it was last seen.
    fn note(&mut self, entry: Entry) {
        let known = self.entries.iter().position(|one| one.what == entry.what);
        if let Some(known) = known {
            if self.entries[known].at_ms > entry.at_ms {
                return;
            }
            self.entries.remove(known);
        }
        self.entries.insert(self.place(entry.at_ms), entry);
    }

    /// Appends to the order in which rules matched. Of equal ones in a row the first and the last count.
    fn append(&mut self, entry: Entry) {
        let place = self.place(entry.at_ms);
        let same = |at: Option<usize>| {
            let found = at.and_then(|at| self.entries.get(at));
            found.is_some_and(|one| one.what == entry.what)
        };
        if same(place.checked_sub(1)) && same(place.checked_sub(2)) {
            self.entries[place - 1] = entry;
            return;
        }
        self.entries.insert(place, entry);
    }

    /// Behind all that is not newer.
    fn place(&self, at_ms: i64) -> usize {
        self.entries.partition_point(|entry| entry.at_ms <= at_ms)
    }

    /// What the condition is about; `None` where the rules that must have matched did not.
    pub(super) fn value(&self, correlation: &Correlation) -> Option<u64> {
        if let Some(which) = &correlation.which
            && !self.holds(which)
        {
            return None;
        }
        Some(match &correlation.counts {
            Counts::Events => {
                let weights = self.entries.iter().map(|entry| entry.what);
                weights.fold(0, u64::saturating_add)
            }
            Counts::Values(_) | Counts::Rules => self.entries.len() as u64,
            Counts::RulesInOrder => match self.is_in_order(correlation.rules) {
                true => correlation.rules as u64,
                false => 0,
            },
        })
    }

    fn holds(&self, which: &Which) -> bool {
        match which {
            Which::Rule(rule) => self.entries.iter().any(|one| one.what == *rule as u64),
            Which::All(all) => all.iter().all(|one| self.holds(one)),
            Which::Any(any) => any.iter().any(|one| self.holds(one)),
            Which::Not(one) => !self.holds(one),
        }
    }

    /// Whether all rules matched, each after the one before it in the list.
    fn is_in_order(&self, rules: usize) -> bool {
        let mut next = 0;
        for entry in &self.entries {
            next += usize::from(entry.what == next as u64);
        }
        next == rules
    }

    /// Whether it is time to speak (again).
    pub(super) fn may_speak(&mut self, at_ms: i64) -> bool {
        let spoke = self.spoke_ms;
        let may = spoke.is_none_or(|spoke| (at_ms - spoke).abs() >= SPEAK_AGAIN_MS);
        if may {
            self.spoke_ms = Some(at_ms);
        }
        may
    }

    /// The events that show it, newest last.
    pub(super) fn evidence(&self) -> Vec<EventId> {
        let mut named = HashSet::new();
        let newest = self.entries.iter().rev().map(|entry| entry.event);
        let mut evidence: Vec<EventId> = newest
            .filter(|event| named.insert(*event))
            .take(Finding::MAX_EVIDENCE)
            .collect();
        evidence.reverse();
        evidence
    }
}

/// The values of some fields as one number; `None` where the event lacks one of them. Two that differ
/// count as one with a chance of one in 2^64 each.
fn values(fields: &[String], event: &FlatEvent<'_>) -> Option<u64> {
    let texts: Option<Vec<_>> = fields
        .iter()
        .map(|field| event.get(field)?.to_text())
        .collect();
    Some(HASHER.hash_one(texts?))
}
