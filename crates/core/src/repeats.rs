//! What happens again and again, counted: the first of a kind is told at once, those that follow within a
//! window as one, when it ends. A flood of acts is then not a flood of records, and yet nobody waits to
//! hear of the first. Time comes in as an argument; nothing here waits.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::{Duration, Instant},
};

/// Counts what happens, by kind. `N` is what is remembered of the first of those that are told as one.
#[derive(Debug)]
pub struct Repeats<K, N> {
    window: Duration,
    max_kinds: usize,
    kinds: HashMap<K, Kind<N>>,
    /// Kinds that nobody was told of.
    fresh: Vec<K>,
    /// Kinds that somebody was told of, each once, and when.
    told: VecDeque<(Instant, K)>,
    beyond: u64,
    beyond_since: Option<Instant>,
}

#[derive(Debug)]
struct Kind<N> {
    first: Option<N>,
    count: u64,
}

/// What came of counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// The first of its kind: the next [`Repeats::take`] tells of it.
    First,
    /// One more of a kind that is known.
    Again,
    /// There was no room for another kind; it is counted together with all that found none.
    Beyond,
}

/// Equal things, told as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated<K, N> {
    /// Of which kind.
    pub kind: K,
    /// What was remembered of the first of them.
    pub first: N,
    /// How many.
    pub count: u64,
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken<K, N> {
    /// Kind by kind.
    pub repeated: Vec<Repeated<K, N>>,
    /// How many found no room for their kind; told once a window.
    pub beyond: u64,
}

impl<K: Clone + Eq + Hash, N> Repeats<K, N> {
    /// Nothing happened yet. At most `max_kinds` kinds are told apart at a time.
    #[must_use]
    pub fn new(window: Duration, max_kinds: usize) -> Self {
        Self {
            window,
            max_kinds,
            kinds: HashMap::new(),
            fresh: Vec::new(),
            told: VecDeque::new(),
            beyond: 0,
            beyond_since: None,
        }
    }

    /// Counts one.
    pub fn count(&mut self, kind: K, now: Instant, first: impl FnOnce() -> N) -> Counted {
        if let Some(known) = self.kinds.get_mut(&kind) {
            known.count = known.count.saturating_add(1);
            known.first.get_or_insert_with(first);
            return Counted::Again;
        }
        if !self.has_room(now) {
            return Counted::Beyond;
        }
        let one = Kind {
            first: Some(first()),
            count: 1,
        };
        self.kinds.insert(kind.clone(), one);
        self.fresh.push(kind);
        Counted::First
    }

    /// Counts one, unless it is the first of its kind: that one the caller tells of itself, and now.
    pub fn is_first(&mut self, kind: &K, now: Instant, first: impl FnOnce() -> N) -> bool {
        if let Some(known) = self.kinds.get_mut(kind) {
            known.count = known.count.saturating_add(1);
            known.first.get_or_insert_with(first);
            return false;
        }
        if !self.has_room(now) {
            return false;
        }
        let none = Kind {
            first: None,
            count: 0,
        };
        self.kinds.insert(kind.clone(), none);
        self.note_told(now, kind.clone());
        true
    }

    fn has_room(&mut self, now: Instant) -> bool {
        let has_room = self.kinds.len() < self.max_kinds;
        if !has_room {
            self.beyond = self.beyond.saturating_add(1);
            self.beyond_since.get_or_insert(now);
        }
        has_room
    }

    // INVARIANT: the moments in `told` never fall, whatever moments callers bring.
    fn note_told(&mut self, now: Instant, kind: K) {
        let last = self.told.back().map_or(now, |(at, _)| *at);
        self.told.push_back((now.max(last), kind));
    }

    /// When [`Repeats::take`] will next have something to say, apart from what is told at once.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let told = self.told.front().map(|(at, _)| *at);
        let first = [told, self.beyond_since].into_iter().flatten().min();
        first.map(|at| at + self.window)
    }

    /// What is to be told now: the first of each kind, and those that followed where a window is over.
    pub fn take(&mut self, now: Instant) -> Taken<K, N> {
        let mut repeated = Vec::new();
        for kind in std::mem::take(&mut self.fresh) {
            self.tell(kind, now, &mut repeated);
        }
        while self
            .told
            .front()
            .is_some_and(|(at, _)| *at + self.window <= now)
        {
            if let Some((_, kind)) = self.told.pop_front() {
                self.tell(kind, now, &mut repeated);
            }
        }
        let is_over = |since: Instant| since + self.window <= now;
        let mut beyond = 0;
        if self.beyond_since.is_some_and(is_over) {
            beyond = std::mem::take(&mut self.beyond);
            self.beyond_since = None;
        }
        Taken { repeated, beyond }
    }

    /// Moves what is known of a kind to where it is told, and begins its next window; a kind of which there
    /// was nothing more is forgotten.
    fn tell(&mut self, kind: K, now: Instant, repeated: &mut Vec<Repeated<K, N>>) {
        let Some(known) = self.kinds.get_mut(&kind) else {
            return;
        };
        let count = std::mem::take(&mut known.count);
        let Some(first) = known.first.take() else {
            self.kinds.remove(&kind);
            return;
        };
        self.note_told(now, kind.clone());
        repeated.push(Repeated { kind, first, count });
    }

    /// All that was counted and not told, whether its window is over or not.
    pub fn take_all(&mut self) -> Taken<K, N> {
        self.fresh.clear();
        self.told.clear();
        self.beyond_since = None;
        let counted = self.kinds.drain().filter_map(|(kind, known)| {
            let (first, count) = (known.first?, known.count);
            Some(Repeated { kind, first, count })
        });
        Taken {
            repeated: counted.collect(),
            beyond: std::mem::take(&mut self.beyond),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    fn counts(taken: Taken<&'static str, u32>) -> Vec<(&'static str, u32, u64)> {
        let told = taken.repeated.into_iter();
        told.map(|one| (one.kind, one.first, one.count)).collect()
    }

    #[test]
    fn the_first_is_told_at_once_and_those_that_follow_when_the_window_is_over() {
        let start = Instant::now();
        let mut repeats = Repeats::new(SECOND, 10);
        assert_eq!(repeats.count("a", start, || 1), Counted::First);
        assert_eq!(repeats.count("a", start, || 2), Counted::Again);
        assert_eq!(counts(repeats.take(start)), [("a", 1, 2)]);
        for number in 3..10 {
            repeats.count("a", start + MS, || number);
        }
        assert_eq!(counts(repeats.take(start + 999 * MS)), []);
        assert_eq!(repeats.next_due(), Some(start + SECOND));
        assert_eq!(counts(repeats.take(start + SECOND)), [("a", 3, 7)]);
        // A window without any ends it: the next one is a first again.
        assert_eq!(counts(repeats.take(start + 2 * SECOND)), []);
        assert_eq!(repeats.next_due(), None);
        assert_eq!(
            repeats.count("a", start + 2 * SECOND, || 10),
            Counted::First
        );
    }

    #[test]
    fn a_flood_is_told_once_at_first_and_then_once_a_window() {
        let start = Instant::now();
        let mut repeats = Repeats::new(SECOND, 10);
        let mut told = Vec::new();
        for ms in 0..3_000 {
            let now = start + ms * MS;
            repeats.count("a", now, || 0);
            told.extend(counts(repeats.take(now)));
        }
        told.extend(counts(repeats.take_all()));
        assert_eq!(told.len(), 4, "{told:?}");
        assert_eq!(told.iter().map(|(_, _, count)| count).sum::<u64>(), 3_000);
    }

    #[test]
    fn the_first_that_a_caller_tells_itself_is_not_counted() {
        let start = Instant::now();
        let mut repeats = Repeats::new(SECOND, 10);
        assert!(repeats.is_first(&"a", start, || 1));
        assert!(!repeats.is_first(&"a", start, || 2));
        assert_eq!(counts(repeats.take(start)), []);
        assert_eq!(counts(repeats.take(start + SECOND)), [("a", 2, 1)]);
    }

    #[test]
    fn kinds_beyond_the_limit_are_counted_together_and_told_once_a_window() {
        let start = Instant::now();
        let mut repeats = Repeats::new(SECOND, 2);
        let kinds = ["a", "b", "c", "d"];
        for kind in kinds {
            repeats.count(kind, start, || 0);
        }
        let taken = repeats.take(start);
        assert_eq!((taken.repeated.len(), taken.beyond), (2, 0));
        assert_eq!(repeats.take(start + SECOND).beyond, 2);
        assert_eq!(repeats.take_all().beyond, 0);
    }
}
