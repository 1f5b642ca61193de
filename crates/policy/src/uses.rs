//! Which grants are used: so that those that nobody uses can be taken away. Noted where a decision is made anew, not where
//! one is remembered; so what is remembered is forgotten now and then.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use palisade_core::GrantId;
use parking_lot::Mutex;

/// How often uses are written down.
pub(crate) const WRITE_EVERY: Duration = Duration::from_secs(5 * 60);
/// How long a remembered decision hides that its grant is used.
pub(crate) const PERIOD: Duration = Duration::from_secs(6 * 60 * 60);

/// Whether one grant was used since that was last written down.
#[derive(Debug, Clone, Default)]
pub(crate) struct Used(Arc<AtomicBool>);

impl Used {
    pub(crate) fn mark(&self) {
        // Read first: all sessions share it, and hardly ever is it news.
        if !self.0.load(Ordering::Relaxed) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// The uses of all grants.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    marks: Mutex<HashMap<GrantId, Used>>,
    period: AtomicU32,
}

impl Uses {
    /// Where the uses of a grant are marked, whatever else is in force besides it.
    pub(crate) fn of(&self, grant: GrantId) -> Used {
        self.marks.lock().entry(grant).or_default().clone()
    }

    /// Forgets what is not in force any longer.
    pub(crate) fn keep_only(&self, is_in_force: impl Fn(GrantId) -> bool) {
        self.marks.lock().retain(|grant, _| is_in_force(*grant));
    }

    /// The grants that were used since they were last taken.
    pub(crate) fn take(&self) -> Vec<GrantId> {
        let marks = self.marks.lock();
        let used = marks
            .iter()
            .filter(|(_, used)| used.0.swap(false, Ordering::Relaxed));
        used.map(|(grant, _)| *grant).collect()
    }

    /// Marks again what could not be written down.
    pub(crate) fn give_back(&self, grants: &[GrantId]) {
        let marks = self.marks.lock();
        for grant in grants {
            marks.get(grant).into_iter().for_each(Used::mark);
        }
    }

    /// What is remembered under another period is forgotten.
    pub(crate) fn period(&self) -> u32 {
        self.period.load(Ordering::Relaxed)
    }

    pub(crate) fn next_period(&self) {
        self.period.fetch_add(1, Ordering::Relaxed);
    }
}
