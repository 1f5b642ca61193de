//! What the doctor says of an installation. There is one way to judge each thing, whoever looks at it: `palisade doctor`
//! at a data directory, or the server at itself (`GET /api/v1/doctor`).

mod judge;

use std::path::PathBuf;

use serde::Serialize;
use utoipa::ToSchema;

pub use judge::{
    access_log, authority, checkpoints, clock, crl, dangers, detection, door_certificate, export,
    has_swap, ledger, memory, retention, room, rules, sealed_files, switch, vault,
};

/// The check of the door for operators.
pub(crate) const OPERATORS: &str = "door for operators";

/// Where the server is kept.
#[derive(Debug, Clone)]
pub struct Premises {
    /// Its data directory.
    pub data: PathBuf,
    /// What seals its keys: a file, a passphrase or a credential.
    pub sealed_by: KeyPlace,
    /// What its memory may become.
    pub memory: Memory,
}

/// What the memory of the server may become.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// Whether the process may leave a core dump.
    pub core_dumps: bool,
    /// Why its pages may go to swap; nothing where they are locked.
    pub unlocked: Option<String>,
}

/// Where a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyPlace {
    /// Sealed in the keystore of this server.
    Keystore,
    /// Not on this server.
    Elsewhere,
    /// In a file beside the keystore, or where the configuration says.
    File,
    /// Made of a passphrase.
    Passphrase,
    /// Given by systemd.
    Credential,
}

/// How a finding is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CheckLevel)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but not for long or not well.
    Warn,
    /// It does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Check)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub detail: String,
    /// What to do about it, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    /// It is as it should be.
    #[must_use]
    pub fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Ok,
            detail: detail.into(),
            mend: None,
        }
    }

    /// It works, but not for long or not well.
    #[must_use]
    pub fn warn(check: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Warn,
            detail: detail.into(),
            mend: Some(mend.into()),
        }
    }

    /// It does not work.
    #[must_use]
    pub fn fail(check: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            level: Level::Fail,
            ..Self::warn(check, detail, mend)
        }
    }
}
