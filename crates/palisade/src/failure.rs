//! How a command ends when it does not end well: a sentence, what to do next, and an exit code that
//! scripts can tell apart.

use std::{error::Error, fmt::Display, process::ExitCode};

/// Why a command failed, for the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did not work.
    Failure = 1,
    /// It was called wrongly; also what clap says.
    Usage = 2,
    /// It was not allowed.
    Denied = 3,
    /// What it was about does not exist.
    NotFound = 4,
    /// The server cannot be reached.
    Unreachable = 5,
    /// What was asked is known, and it is not as it should be.
    NotCompliant = 6,
}

/// A command's failure. It is not an [`Error`] itself, so that `?` takes any error into it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    next: Option<String>,
}

impl Failure {
    pub(crate) fn new(message: impl Display) -> Self {
        Self {
            exit: Exit::Failure,
            message: message.to_string(),
            next: None,
        }
    }

    pub(crate) fn usage(message: impl Display) -> Self {
        Self::new(message).exit(Exit::Usage)
    }

    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The same failure, with what to do about it.
    pub(crate) fn next(mut self, next: impl Display) -> Self {
        self.next = Some(next.to_string());
        self
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    #[cfg(test)]
    pub(crate) fn what_next(&self) -> Option<&str> {
        self.next.as_deref()
    }

    pub(crate) fn code(&self) -> Exit {
        self.exit
    }

    /// Tells people on stderr, the shell by the exit code.
    pub(crate) fn report(self) -> ExitCode {
        if !self.message.is_empty() {
            eprintln!("palisade: {}", self.message);
        }
        if let Some(next) = &self.next {
            for line in next.lines() {
                eprintln!("  {line}");
            }
        }
        ExitCode::from(self.exit as u8)
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

/// Gives an error a beginning that says what was attempted.
pub(crate) trait Context<T> {
    /// Prefixes the message.
    fn context(self, what: impl Display) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> Context<T> for Result<T, E> {
    fn context(self, what: impl Display) -> Result<T, Failure> {
        self.map_err(|error| {
            let failure: Failure = error.into();
            Failure {
                message: format!("{what}: {}", failure.message),
                ..failure
            }
        })
    }
}
