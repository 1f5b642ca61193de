//! How the ledger shows itself to others.

use palisade_tlog::NoteKey;
use serde::{Deserialize, Serialize};

/// The ledger as a log that others can check: checkpoints, and who may read them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LedgerConfig {
    /// The name of the log, which stands in each checkpoint: an address without `https://`, such as
    /// `fleet.example/ledger`. It is chosen once: a log does not change its name. Where there is none: the first
    /// server name, `/ledger/` and a part of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// After how many seconds at the latest new entries are under a signed checkpoint (1 to 86400).
    pub checkpoint_every_s: u64,
    /// Whether anybody may read checkpoints and tiles of hashes at `/ledger/`, without a token. Entries need one
    /// whatever stands here.
    pub publish_hashes: bool,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self {
            origin: None,
            checkpoint_every_s: 10,
            publish_hashes: false,
        }
    }
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerConfigError {
    /// The name cannot be a log's.
    #[error("ledger.origin: {0:?} cannot name a log: it is not empty, and has no space and no '+'")]
    Origin(String),
    /// The time is too short or too long.
    #[error("ledger.checkpoint_every_s: use 1 to 86400")]
    Every,
}

impl LedgerConfig {
    /// Refuses what cannot work.
    ///
    /// # Errors
    /// Says which key is wrong, and why.
    pub fn check(&self) -> Result<(), LedgerConfigError> {
        match &self.origin {
            Some(origin) if !NoteKey::can_name(origin) || origin.len() > 200 => {
                return Err(LedgerConfigError::Origin(origin.clone()));
            }
            _ => {}
        }
        match self.checkpoint_every_s {
            1..=86_400 => Ok(()),
            _ => Err(LedgerConfigError::Every),
        }
    }
}
