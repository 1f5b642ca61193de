//! What the decision point did since it was opened.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Counts since the decision point was opened. Decisions that a cache remembered are reported by the
/// cache in batches, so these may lag by a few.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PdpStats {
    /// Decisions given, remembered ones included.
    pub decisions: u64,
    /// Decisions that a session's cache remembered.
    pub cache_hits: u64,
    /// Decisions that a session's cache had to ask for.
    pub cache_misses: u64,
    /// Decisions that allowed.
    pub allowed: u64,
    /// Decisions that denied.
    pub denied: u64,
    /// Principals that have a session now.
    pub live_principals: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    allowed: AtomicU64,
    denied: AtomicU64,
}

/// Hits that a cache has not reported yet.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unreported {
    pub(crate) allowed: u32,
    pub(crate) denied: u32,
}

impl Counters {
    pub(crate) fn decided(&self, is_allow: bool) {
        let counter = if is_allow {
            &self.allowed
        } else {
            &self.denied
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn missed(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn hit(&self, unreported: Unreported) {
        let (allowed, denied) = (u64::from(unreported.allowed), u64::from(unreported.denied));
        self.hits.fetch_add(allowed + denied, Ordering::Relaxed);
        self.allowed.fetch_add(allowed, Ordering::Relaxed);
        self.denied.fetch_add(denied, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, live_principals: u64) -> PdpStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (allowed, denied) = (read(&self.allowed), read(&self.denied));
        PdpStats {
            decisions: allowed.saturating_add(denied),
            cache_hits: read(&self.hits),
            cache_misses: read(&self.misses),
            allowed,
            denied,
            live_principals,
        }
    }
}
