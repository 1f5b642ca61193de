//! How a command fails: what is said, and with which exit code.

use std::process::ExitCode;

use palisade_agent::{AgentError, EnrolError, PublishError, QueueError, StateError};

const OTHER: u8 = 1;
const USAGE: u8 = 2;
const REFUSED: u8 = 3;
const UNREACHABLE: u8 = 4;
const STATE: u8 = 5;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    pub(crate) fn other(message: impl ToString) -> Self {
        Self::new(OTHER, message)
    }

    pub(crate) fn usage(message: impl ToString) -> Self {
        Self::new(USAGE, message)
    }

    pub(crate) fn refused(message: impl ToString) -> Self {
        Self::new(REFUSED, message)
    }

    pub(crate) fn unreachable(message: impl ToString) -> Self {
        Self::new(UNREACHABLE, message)
    }

    pub(crate) fn state(message: impl ToString) -> Self {
        Self::new(STATE, message)
    }

    fn new(code: u8, message: impl ToString) -> Self {
        Self {
            code,
            message: message.to_string(),
        }
    }

    /// Says it on standard error.
    pub(crate) fn report(self, json: bool) -> ExitCode {
        match json {
            true => {
                let object = serde_json::json!({ "error": self.message, "code": self.code });
                eprintln!("{object}");
            }
            false => eprintln!("palisade-agent: {}", self.message),
        }
        ExitCode::from(self.code)
    }
}

impl From<EnrolError> for Failure {
    fn from(error: EnrolError) -> Self {
        let code = match &error {
            EnrolError::Refused { .. } => REFUSED,
            EnrolError::Later { .. } | EnrolError::Http(_) => UNREACHABLE,
            EnrolError::Endpoint(_)
            | EnrolError::Root
            | EnrolError::Fingerprint
            | EnrolError::Token => USAGE,
            _ => OTHER,
        };
        Self::new(code, error)
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self::state(error)
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Busy(_) => Self::state(format!("{error} (is the agent running already?)")),
            error => Self::other(error),
        }
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Seal(_) => Self::usage(error),
            PublishError::Message(error) => Self::usage(error),
            PublishError::Queue(error) => error.into(),
            PublishError::Ended => Self::other(error),
        }
    }
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Self {
        match error {
            AgentError::Queue(error) => error.into(),
            error => Self::other(error),
        }
    }
}
