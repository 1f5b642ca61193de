//! What can go wrong around decisions. A decision itself never fails: it denies.

use palisade_core::{LifecycleError, port::JournalError};
use palisade_store::StoreError;

use crate::{PolicyProblem, TestOutcome, TestTableError};

/// Why there is no subject; whoever wanted to be admitted is not.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// The system of record has no such principal.
    #[error("the principal is not known")]
    Unknown,
    /// The system of record failed; admission fails closed.
    #[error("the principal could not be looked up: {0}")]
    Store(#[from] StoreError),
    /// A changed trust could not be written down; admission fails closed.
    #[error("the principal's trust could not be settled: {0}")]
    Trust(#[source] Box<PostureError>),
}

/// Why policies or grants could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The system of record failed.
    #[error("policies and grants could not be read or written: {0}")]
    Store(#[from] StoreError),
    /// A stored version is not valid for this program.
    #[error(
        "policy version {version} cannot be put in force: {}; use the program that applied it",
        summary(problems)
    )]
    Broken {
        /// Which version.
        version: u64,
        /// What is wrong with it.
        problems: Vec<PolicyProblem>,
    },
}

/// Why a posture was not read or changed.
#[derive(Debug, thiserror::Error)]
pub enum PostureError {
    /// There is no such device.
    #[error("the device is not known")]
    Unknown,
    /// The life of a device has no such step.
    #[error(transparent)]
    Step(#[from] LifecycleError),
    /// The system of record failed; nothing changed.
    #[error("the posture could not be read or written: {0}")]
    Store(#[from] StoreError),
    /// The change is made and in force, and is not in the audit log.
    #[error("the posture changed, but it could not be recorded: {0}")]
    Journal(#[from] JournalError),
    /// Others changed the posture again and again in the same moment; nothing changed.
    #[error("the posture is being changed by others: try again")]
    Conflict,
}

/// Why policies were not applied. The ones before are still in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The text is not valid.
    #[error("the policies are not valid: {}", summary(.0))]
    Problems(Vec<PolicyProblem>),
    /// The table of tests cannot be run.
    #[error(transparent)]
    Table(#[from] TestTableError),
    /// Tests fail; those that do.
    #[error(
        "{} of the policy tests fail, {:?} the first",
        .0.len(),
        .0.first().map_or("", |outcome| outcome.name.as_str())
    )]
    Failing(Vec<TestOutcome>),
    /// The author or the reason is missing or too long.
    #[error("say {0}, in at most {max} characters", max = crate::admin::MAX_NOTE)]
    Note(&'static str),
    /// Somebody else applied this version first.
    #[error("version {0} was applied by somebody else meanwhile: look at it, then try again")]
    Conflict(u64),
    /// There is no such version to go back to.
    #[error("there is no policy version {0}")]
    NoVersion(u64),
    /// The system of record failed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl From<StoreError> for ApplyError {
    fn from(error: StoreError) -> Self {
        Self::Policy(PolicyError::Store(error))
    }
}

fn summary(problems: &[PolicyProblem]) -> String {
    let Some(first) = problems.first() else {
        return "no reason was given".to_owned();
    };
    match problems.len() {
        1 => first.to_string(),
        count => format!("{first} (and {} more problems)", count - 1),
    }
}
