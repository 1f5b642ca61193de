//! Why detection could not go on.

use palisade_bus::BusError;
use palisade_core::port::JournalError;
use palisade_store::StoreError;

use crate::rules::RuleError;

/// Why detection could not start, or not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The system of record failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stream of events failed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A rule that is part of Palisade is wrong.
    #[error("a shipped rule is wrong: {0}")]
    Rule(#[from] RuleError),
    /// A finding could not be written down.
    #[error(transparent)]
    Journal(#[from] JournalError),
}
