//! Why response could not go on, or not do what it was asked.

use palisade_bus::BusError;
use palisade_core::{ActionId, CaseId, port::JournalError};
use palisade_store::StoreError;

use crate::{
    action::ActionStepError, case::CaseStepError, effect::DestinationError, playbook::BookError,
};

/// Why response could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RespondError {
    /// The system of record failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stream of events failed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// What was done could not be written down.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A playbook is not valid.
    #[error(transparent)]
    Book(#[from] BookError),
    /// A destination of notifications cannot be used.
    #[error(transparent)]
    Destination(#[from] DestinationError),
}

/// Why what a person asked was not done.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// There is no such case.
    #[error("case {0}")]
    NoCase(CaseId),
    /// There is no such action.
    #[error("action {0}")]
    NoAction(ActionId),
    /// There is no such playbook.
    #[error("playbook {0}")]
    NoPlaybook(String),
    /// The life of a case has no such step.
    #[error(transparent)]
    Case(#[from] CaseStepError),
    /// The life of an action has no such step.
    #[error(transparent)]
    Action(#[from] ActionStepError),
    /// It cannot be done as things stand.
    #[error("{0}")]
    Refused(String),
    /// What was asked is not valid.
    #[error("{0}")]
    Invalid(String),
    /// The system of record failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was done and could not be written into the journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}
