//! How often somebody may do something.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How many keys are held in each of two generations.
const KEYS: usize = 50_000;

/// Lets each key act a number of times in a period, at first all at once, then as the period goes by.
///
/// Memory is bounded: where more keys come than are held, those that were not heard of for longest are
/// forgotten, and may act anew.
#[derive(Debug)]
pub(crate) struct Limiter<K> {
    interval: Duration,
    burst: u32,
    held: Mutex<Generations<K>>,
}

// For each key, the moment from which it owes nothing.
#[derive(Debug)]
struct Generations<K> {
    young: HashMap<K, Instant>,
    old: HashMap<K, Instant>,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    pub(crate) fn new(times: u32, period: Duration) -> Self {
        let times = times.max(1);
        Self {
            interval: period / times,
            burst: times,
            held: Mutex::new(Generations {
                young: HashMap::new(),
                old: HashMap::new(),
            }),
        }
    }

    /// Whether the key may act.
    ///
    /// # Errors
    /// Says how long it has to wait.
    pub(crate) fn check(&self, key: &K, now: Instant) -> Result<(), Duration> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        self.verdict(held.free_at(key), now)
    }

    /// Notes that the key acted.
    pub(crate) fn count(&self, key: &K, now: Instant) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        self.note(&mut held, key, now);
    }

    /// Notes that the key acts, if it may.
    ///
    /// # Errors
    /// Says how long it has to wait.
    pub(crate) fn take(&self, key: &K, now: Instant) -> Result<(), Duration> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        self.verdict(held.free_at(key), now)?;
        self.note(&mut held, key, now);
        Ok(())
    }

    fn verdict(&self, free_at: Option<Instant>, now: Instant) -> Result<(), Duration> {
        let owed = free_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let most = self.interval * (self.burst - 1);
        match owed.checked_sub(most) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(wait) => Err(wait),
        }
    }

    fn note(&self, held: &mut Generations<K>, key: &K, now: Instant) {
        let free_at = held.free_at(key).map_or(now, |at| at.max(now)) + self.interval;
        if held.young.len() >= KEYS && !held.young.contains_key(key) {
            held.old = std::mem::take(&mut held.young);
        }
        held.young.insert(key.clone(), free_at);
    }
}

impl<K: Hash + Eq> Generations<K> {
    fn free_at(&self, key: &K) -> Option<Instant> {
        self.young.get(key).or_else(|| self.old.get(key)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_acts_as_often_as_it_may_and_again_when_time_has_passed() {
        let limiter = Limiter::new(3, Duration::from_secs(60));
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(limiter.take(&"a", start), Ok(()));
        }
        assert_eq!(limiter.take(&"a", start), Err(Duration::from_secs(20)));
        assert_eq!(limiter.take(&"b", start), Ok(()), "others are not held up");
        let later = start + Duration::from_secs(20);
        assert_eq!(limiter.take(&"a", later), Ok(()));
        assert!(limiter.take(&"a", later).is_err());
        assert!(
            limiter
                .check(&"a", start + Duration::from_secs(3_600))
                .is_ok()
        );
    }

    #[test]
    fn memory_is_bounded_and_the_last_heard_of_are_remembered() {
        let limiter = Limiter::new(1, Duration::from_secs(60));
        let now = Instant::now();
        for key in 0..(KEYS as u32 * 3) {
            limiter.count(&key, now);
        }
        let held = limiter.held.lock().expect("whole");
        assert!(held.young.len() + held.old.len() <= 2 * KEYS);
        drop(held);
        assert!(limiter.check(&(KEYS as u32 * 3 - 1), now).is_err());
    }
}
