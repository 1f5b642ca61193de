//! Where events go. A sink takes a batch whole, or says why not; then the batch is handed to it again.

mod file;
mod http;
mod link;
mod syslog;

use std::time::Duration;

use palisade_core::EventId;

use crate::{
    plan::{Plan, Target},
    record::Record,
    tls::TlsFilesError,
};
use file::FileSink;
use http::HttpSink;
use syslog::SyslogSink;

/// Why a batch was not taken. All of these may be otherwise at the next attempt.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A file.
    #[error("{what}: {source}")]
    File {
        /// What was done, on which file.
        what: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The place is not reached.
    #[error("cannot connect to {to}: {source}")]
    Connect {
        /// Where.
        to: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Certificates or keys.
    #[error(transparent)]
    Tls(#[from] TlsFilesError),
    /// It took too long.
    #[error("{0} did not take it in time")]
    Timeout(String),
    /// The connection broke.
    #[error("the connection to {to} broke: {why}")]
    Broken {
        /// Where to.
        to: String,
        /// Why.
        why: String,
    },
    /// The collector says no, and may say yes later.
    #[error("{to} answered {status}")]
    Status {
        /// Who.
        to: String,
        /// What.
        status: u16,
        /// For how long to leave it alone, if it says.
        retry_after: Option<Duration>,
    },
}

/// What became of a batch that was taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Events that were refused for good.
    pub(crate) refused: Vec<EventId>,
}

/// A place that takes events.
#[derive(Debug)]
pub(crate) enum Sink {
    File(FileSink),
    Syslog(Box<SyslogSink>),
    Http(Box<HttpSink>),
}

impl Sink {
    /// Nothing is opened before the first batch.
    pub(crate) fn new(plan: &Plan) -> Self {
        match &plan.target {
            Target::File(target) => Self::File(FileSink::new(target.clone())),
            Target::Syslog(target) => Self::Syslog(Box::new(SyslogSink::new(target.clone()))),
            Target::Http(target) => Self::Http(Box::new(HttpSink::new(target.clone()))),
        }
    }

    /// Hands a batch over.
    pub(crate) async fn send(&mut self, records: &[Record]) -> Result<Taken, SinkError> {
        match self {
            Self::File(sink) => sink.send(records).await,
            Self::Syslog(sink) => sink.send(records).await,
            Self::Http(sink) => sink.send(records).await,
        }
    }

    /// How long after it was taken a batch may still turn out to be lost: syslog has no answers, so that
    /// only the connection's staying whole says that it arrived.
    pub(crate) fn settles_after(&self) -> Duration {
        match self {
            Self::Syslog(_) => syslog::SETTLES_AFTER,
            Self::File(_) | Self::Http(_) => Duration::ZERO,
        }
    }

    /// Waits until the connection breaks; for ever where there is none to watch.
    pub(crate) async fn broken(&mut self) -> SinkError {
        match self {
            Self::Syslog(sink) => sink.broken().await,
            Self::File(_) | Self::Http(_) => std::future::pending().await,
        }
    }

    /// Says goodbye. Says whether all that was taken has arrived.
    pub(crate) async fn close(&mut self) -> bool {
        match self {
            Self::Syslog(sink) => sink.close().await,
            Self::File(_) | Self::Http(_) => true,
        }
    }

    /// Forgets whatever is open, after a failure.
    pub(crate) fn reset(&mut self) {
        match self {
            Self::File(sink) => sink.reset(),
            Self::Syslog(sink) => sink.reset(),
            Self::Http(sink) => sink.reset(),
        }
    }
}
