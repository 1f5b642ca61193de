//! What can go wrong with the system of record.

use std::path::PathBuf;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// A record with this name is there already.
    #[error("{0} exists already")]
    Conflict(String),
    /// There is no such record.
    #[error("{0} does not exist")]
    NotFound(String),
    /// A stored value cannot be read back; somebody else wrote it, or a disk lied.
    #[error("the stored {what} cannot be read back: {why}")]
    Corrupt {
        /// Which value.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The database was written by a newer version of Palisade.
    #[error(
        "the database has schema version {found}, this program knows {known}: use a newer palisade"
    )]
    TooNew {
        /// The version found.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// Another process has the data directory.
    #[error("{0} is in use by another palisade process: stop it first")]
    InUse(PathBuf),
    /// Another process has the database.
    #[error("{0} is in use by another palisade process: stop it first")]
    Claimed(String),
    /// The database server is older than what is known to do.
    #[error("the PostgreSQL server is of version {}.{}, version 14 or newer is needed", .found / 10_000, .found % 10_000)]
    OldServer {
        /// Its version, as `server_version_num` has it.
        found: i64,
    },
    /// A migration cannot go on, or the database is in the middle of one.
    #[error("{0}")]
    Migration(String),
    /// Others read the database all the time.
    #[error("the database is being read all the time; try again")]
    Busy,
    /// The files of the database cannot be reached.
    #[error("cannot use {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl StoreError {
    /// What was read is not what was written there.
    #[must_use]
    pub fn corrupt(what: &'static str, why: impl ToString) -> Self {
        Self::Corrupt {
            what,
            why: why.to_string(),
        }
    }

    pub(crate) fn on_insert(error: sqlx::Error, what: impl FnOnce() -> String) -> Self {
        match &error {
            sqlx::Error::Database(database) if database.is_unique_violation() => {
                Self::Conflict(what())
            }
            _ => Self::Database(error),
        }
    }
}
