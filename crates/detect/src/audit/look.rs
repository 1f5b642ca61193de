//! What a check has at hand, and where it notes what it finds.

use std::time::Duration;

use palisade_core::Timestamp;
use palisade_store::{AuditResource, Store, StoreError};
use tokio_util::sync::CancellationToken;

use super::{AuditConfig, AuditSource, SourceError};
use crate::Subject;

/// What is read at a time.
pub(super) const PAGE: u32 = 500;
/// What of one check is listed; the rest is counted.
pub(super) const LISTED: usize = 10_000;
/// The longest sentence about one thing, in characters.
const MAX_DETAIL: usize = 500;

/// What a check has at hand.
pub(super) struct Look<'a> {
    pub(super) store: &'a Store,
    pub(super) source: &'a dyn AuditSource,
    pub(super) config: &'a AuditConfig,
    pub(super) now: Timestamp,
    pub(super) cancel: &'a CancellationToken,
}

/// Why a check could not look.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Source(#[source] SourceError),
    #[error("the server is shutting down")]
    Cancelled,
}

impl Look<'_> {
    /// So many days ago.
    pub(super) fn days_ago(&self, days: u32) -> Timestamp {
        let span = Duration::from_secs(u64::from(days) * 86_400);
        self.now.checked_sub(span).unwrap_or(Timestamp::MIN)
    }

    /// In so many days.
    pub(super) fn in_days(&self, days: u32) -> Timestamp {
        let span = Duration::from_secs(u64::from(days) * 86_400);
        self.now.checked_add(span).unwrap_or(Timestamp::MAX)
    }

    /// Between two pages: gives others a turn, and ends where the server does.
    pub(super) async fn turn(&self) -> Result<(), LookError> {
        tokio::task::yield_now().await;
        match self.cancel.is_cancelled() {
            true => Err(LookError::Cancelled),
            false => Ok(()),
        }
    }
}

/// What a check found.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// How many things were looked at.
    pub(super) looked_at: u64,
    /// How many are not as they should be.
    pub(super) count: u64,
    /// The first of those.
    pub(super) listed: Vec<AuditResource>,
}

impl Noted {
    /// Notes something that is not as it should be.
    pub(super) fn note(&mut self, resource: String, subject: &Subject, detail: &str) {
        self.count += 1;
        if self.listed.len() < LISTED {
            self.listed.push(AuditResource {
                resource,
                subject: subject.to_string(),
                detail: detail.chars().take(MAX_DETAIL).collect(),
                mitigated_at: None,
                mitigated_by: None,
            });
        }
    }

    /// Whether all that was found is listed.
    pub(super) fn is_complete(&self) -> bool {
        self.count == self.listed.len() as u64
    }
}

/// How long ago, in days, for people.
pub(super) fn days_between(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_secs() / 86_400
}
