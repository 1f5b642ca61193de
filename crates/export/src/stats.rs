//! How exports are doing.

use std::sync::atomic::{AtomicU64, Ordering};

use palisade_core::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;

/// What an export is at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportState {
    /// It has not tried yet.
    #[default]
    Starting,
    /// It hands over what comes.
    Running,
    /// Its place does not take anything; it tries again.
    Retrying,
}

/// How one export is doing. Numbers count from when the server started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportStatus {
    /// Its name.
    pub name: String,
    /// `file`, `syslog` or `http`.
    pub kind: &'static str,
    /// Where it goes.
    pub target: String,
    /// `ocsf` or `native`.
    pub format: &'static str,
    /// What it is at.
    pub state: ExportState,
    /// Up to which position of the stream everything was taken.
    pub position: u64,
    /// Events on the stream that were not taken yet.
    pub lag: u64,
    /// Events handed over.
    pub sent: u64,
    /// Events that the place refused for good, and that were left out.
    pub dead_letters: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Events that left the stream before they were taken.
    pub lost: u64,
    /// When something was last handed over.
    pub last_sent_at: Option<Timestamp>,
    /// Why the last attempt that failed did.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Timestamp>,
}

/// What became of old events. Numbers count from when the server started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RetentionStats {
    /// Events removed from the stream.
    pub pruned: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) position: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) dead_letters: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) lost: AtomicU64,
    moment: Mutex<Moment>,
}

#[derive(Debug, Default, Clone)]
struct Moment {
    state: ExportState,
    last_sent_at: Option<Timestamp>,
    last_error: Option<(Timestamp, String)>,
}

impl Stats {
    pub(crate) fn is_running(&self) {
        self.moment.lock().state = ExportState::Running;
    }

    pub(crate) fn has_sent(&self, count: u64, now: Timestamp) {
        self.sent.fetch_add(count, Ordering::Relaxed);
        let mut moment = self.moment.lock();
        moment.state = ExportState::Running;
        moment.last_sent_at = Some(now);
    }

    pub(crate) fn has_failed(&self, why: String, now: Timestamp) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut moment = self.moment.lock();
        moment.state = ExportState::Retrying;
        moment.last_error = Some((now, why));
    }

    /// The status; `about` has what does not change, `newest` is the end of the stream.
    pub(crate) fn status(&self, about: &ExportStatus, newest: u64) -> ExportStatus {
        let moment = self.moment.lock().clone();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let position = read(&self.position);
        let (last_error_at, last_error) = moment.last_error.unzip();
        ExportStatus {
            state: moment.state,
            position,
            lag: newest.saturating_sub(position),
            sent: read(&self.sent),
            dead_letters: read(&self.dead_letters),
            failures: read(&self.failures),
            lost: read(&self.lost),
            last_sent_at: moment.last_sent_at,
            last_error,
            last_error_at,
            ..about.clone()
        }
    }
}
