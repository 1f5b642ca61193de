//! How the ledger shows itself to others.

use std::path::PathBuf;

use palisade_tlog::{Algorithm, NoteKey, NoteKeyError};
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
    /// How many of the witnesses must have signed a checkpoint before anybody sees it; 0 shows it with the signatures
    /// that came.
    pub witnesses_required: usize,
    /// Who sees each checkpoint and signs that the log only grew (C2SP tlog-witness), at most 16, each a table
    /// `[[ledger.witnesses]]`: `url`, `key`, `ca` (docs/trust-and-audit.md).
    pub witnesses: Vec<WitnessConfig>,
}

/// A witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessConfig {
    /// Where it is: `https://witness.example`, or `http://` on this machine.
    pub url: String,
    /// Its key: `<name>+<id>+<base 64>`, of the kind for cosignatures.
    pub key: String,
    /// The root certificates that its own must lead to, a file in PEM; those of the system where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

impl WitnessConfig {
    /// Whether it is reached by TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.url.starts_with("https://")
    }

    pub(crate) fn read_key(&self) -> Result<NoteKey, NoteKeyError> {
        self.key.parse()
    }
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self {
            origin: None,
            checkpoint_every_s: 10,
            publish_hashes: false,
            witnesses_required: 0,
            witnesses: Vec::new(),
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
    /// There are too many witnesses, or more are required than there are.
    #[error(
        "ledger.witnesses_required is {required}, and there are {found} witnesses of different names; 16 are the most"
    )]
    Required {
        /// How many are required.
        required: usize,
        /// How many there are.
        found: usize,
    },
    /// A witness is not where one can be.
    #[error(
        "ledger.witnesses: {0:?} is no address of a witness: use https://, or http:// on 127.0.0.1, [::1] or localhost"
    )]
    Url(String),
    /// A witness's key is none.
    #[error("ledger.witnesses: the key of {url}: {why}")]
    Key {
        /// Whose.
        url: String,
        /// What is wrong.
        why: String,
    },
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
        if !(1..=86_400).contains(&self.checkpoint_every_s) {
            return Err(LedgerConfigError::Every);
        }
        let mut names = Vec::new();
        for witness in &self.witnesses {
            if !is_address(&witness.url) {
                return Err(LedgerConfigError::Url(witness.url.clone()));
            }
            let refused = |why: &dyn ToString| LedgerConfigError::Key {
                url: witness.url.clone(),
                why: why.to_string(),
            };
            let key = witness.read_key().map_err(|why| refused(&why))?;
            if key.algorithm() != Algorithm::Cosignature {
                return Err(refused(&"it is that of a log, not of a witness (kind 4)"));
            }
            if !names.iter().any(|name| name == key.name()) {
                names.push(key.name().to_owned());
            }
        }
        let (required, found) = (self.witnesses_required, names.len());
        match required > found || self.witnesses.len() > MAX_WITNESSES {
            true => Err(LedgerConfigError::Required { required, found }),
            false => Ok(()),
        }
    }
}

const MAX_WITNESSES: usize = 16;

/// Without TLS nobody is asked who is not on this machine.
fn is_address(url: &str) -> bool {
    if let Some(rest) = url.strip_prefix("https://") {
        return !rest.is_empty();
    }
    let rest = url.strip_prefix("http://").unwrap_or_default();
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    ["127.0.0.1", "[::1]", "localhost"].contains(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_is_asked_by_tls_or_on_this_machine() {
        for url in [
            "https://w.example",
            "http://127.0.0.1:1",
            "http://localhost/x",
            "http://[::1]:80/a",
        ] {
            assert!(is_address(url), "{url}");
        }
        for url in [
            "",
            "https://",
            "http://w.example",
            "http://127.0.0.1.evil.example",
            "ftp://x",
            "http://127.0.0.1@evil.example",
        ] {
            assert!(!is_address(url), "{url}");
        }
    }
}
