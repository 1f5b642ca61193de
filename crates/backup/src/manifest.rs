//! What a backup says of itself.

use serde::{Deserialize, Serialize};

use crate::Name;

/// The form of the backups that this crate writes and reads.
pub const FORMAT: &str = "palisade-backup/1";

/// What is backed up, apart from the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// When the copy of the database was made, in RFC 3339.
    pub made_at: String,
    /// The version of the program that made it.
    pub version: String,
    /// The version of the database's schema.
    pub schema: u64,
    /// How many entries the ledger has.
    pub ledger_entries: u64,
    /// What is in the data directory, or belongs to it, and not in the backup, and why.
    pub left_out: Vec<String>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Where it was, below the data directory.
    pub name: Name,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 over it, in hexadecimal.
    pub sha256: String,
}

/// What a backup says of itself: its last entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// What is backed up.
    pub about: About,
    /// Every file, in the order in which they stand.
    pub files: Vec<Entry>,
}

impl Manifest {
    /// How many bytes the files have together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|entry| entry.bytes).sum()
    }
}
