//! What the parts of the server say went wrong, as clients may see it.

use palisade_core::port::JournalError;
use palisade_detect::DetectError;
use palisade_identity::IdentityError;
use palisade_ledger::{LedgerError, LogError};
use palisade_policy::{
    ApplyError, PolicyError, PolicyProblem, PostureError, SubjectError, TestOutcome, TestTableError,
};
use palisade_store::StoreError;

use crate::problem::{Problem, ProblemItem};

/// The most errors that are listed in one answer.
const MAX_ITEMS: usize = 1_000;

pub(crate) fn store_problem(error: StoreError) -> Problem {
    match error {
        StoreError::Conflict(_) => Problem::conflict(error),
        StoreError::NotFound(what) => Problem::not_found(what),
        StoreError::Corrupt { .. } | StoreError::TooNew { .. } => Problem::internal(&error),
        StoreError::Database(_)
        | StoreError::Busy
        | StoreError::InUse(_)
        | StoreError::Claimed(_)
        | StoreError::OldServer { .. }
        | StoreError::Migration(_)
        | StoreError::Io { .. } => {
            Problem::unavailable("the database does not answer; try again", &error)
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        store_problem(error)
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        Self::unavailable("the journal cannot be written; try again", &error)
    }
}

impl From<DetectError> for Problem {
    fn from(error: DetectError) -> Self {
        match error {
            DetectError::Store(error) => store_problem(error),
            DetectError::Journal(error) => error.into(),
            DetectError::Rule(error) => Self::internal(&error),
            DetectError::Bus(error) => {
                Self::unavailable("the stream of events cannot be read; try again", &error)
            }
        }
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Store(error) => store_problem(error),
            LogError::Ledger(error) => error.into(),
            LogError::Trust(_) => Self::invalid(error),
            LogError::Withheld(_) | LogError::NotYet { .. } => Self::conflict(error),
            LogError::Keys(_)
            | LogError::Witness(..)
            | LogError::Name(..)
            | LogError::Renamed { .. } => Self::internal(&error),
        }
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Store(error) => store_problem(error),
            LedgerError::Damaged { .. } | LedgerError::Tile { .. } => Self::conflict(error),
            LedgerError::Json(_) | LedgerError::Random => Self::internal(&error),
            LedgerError::Commit(_) | LedgerError::Contended | LedgerError::Closed => {
                Self::unavailable("the ledger cannot be written; try again", &error)
            }
        }
    }
}

impl From<IdentityError> for Problem {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Store(error) => store_problem(error),
            IdentityError::Journal(error) => error.into(),
            IdentityError::Csr(_)
            | IdentityError::MakerCa { .. }
            | IdentityError::NotTheRoot
            | IdentityError::SigningKey(_)
            | IdentityError::Principal(_)
            | IdentityError::Serial(_) => Self::invalid(error),
            IdentityError::RootOffline => Self::conflict(error),
            IdentityError::Stopped => {
                Self::unavailable("the server is shutting down; try again", &error)
            }
            IdentityError::Keys(_) => {
                Self::unavailable("the keystore does not answer; try again", &error)
            }
            IdentityError::Make(_)
            | IdentityError::Read { .. }
            | IdentityError::IssuerKeyMissing(_)
            | IdentityError::ServerName(_)
            | IdentityError::Tls(_)
            | IdentityError::Random
            | IdentityError::Busy => Self::internal(&error),
        }
    }
}

impl From<PostureError> for Problem {
    fn from(error: PostureError) -> Self {
        match error {
            PostureError::Unknown => Self::not_found("the device"),
            PostureError::Step(_) | PostureError::Conflict => Self::conflict(error),
            PostureError::Store(error) => store_problem(error),
            PostureError::Journal(_) => Self::unavailable(
                "the device's posture changed and is in force, and could not be written down: see to \
                 the journal before you go on",
                &error,
            ),
        }
    }
}

impl From<SubjectError> for Problem {
    fn from(error: SubjectError) -> Self {
        match error {
            SubjectError::Unknown => Self::not_found("the principal"),
            SubjectError::Store(error) => store_problem(error),
            SubjectError::Trust(error) => (*error).into(),
        }
    }
}

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::Store(error) => store_problem(error),
            PolicyError::Broken { .. } => Self::internal(&error),
        }
    }
}

impl From<TestTableError> for Problem {
    fn from(error: TestTableError) -> Self {
        let detail = error.to_string();
        match error {
            TestTableError::Policies(problems) => refused_text(detail, &problems),
            TestTableError::TooLarge | TestTableError::Toml(_) | TestTableError::Test { .. } => {
                Self::invalid(detail)
            }
        }
    }
}

impl From<ApplyError> for Problem {
    fn from(error: ApplyError) -> Self {
        let detail = error.to_string();
        match error {
            ApplyError::Problems(problems) => refused_text(detail, &problems),
            ApplyError::Table(error) => error.into(),
            ApplyError::Failing(outcomes) => {
                let items = outcomes.iter().map(failing).collect();
                Self::invalid(detail).with_errors(items)
            }
            ApplyError::Note(_) => Self::invalid(detail),
            ApplyError::Conflict(_) => Self::conflict(detail),
            ApplyError::NoVersion(version) => {
                Self::not_found(format_args!("policy version {version}"))
            }
            ApplyError::Policy(error) => error.into(),
        }
    }
}

fn refused_text(detail: String, problems: &[PolicyProblem]) -> Problem {
    let items = problems.iter().take(MAX_ITEMS).map(|problem| ProblemItem {
        line: problem.line.map(|line| line as u64),
        field: problem.policy.clone(),
        detail: problem.message.clone(),
    });
    Problem::invalid(detail).with_errors(items.collect())
}

fn failing(outcome: &TestOutcome) -> ProblemItem {
    let TestOutcome {
        name,
        expected,
        found,
        ..
    } = outcome;
    ProblemItem {
        line: None,
        field: Some(name.clone()),
        detail: format!("expected {expected}, found {found}"),
    }
}
