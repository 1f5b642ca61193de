//! Telemetry, sealed at rest. A message that is to be kept is in a log on the disk, sealed with AES-256-GCM, before
//! its device is told that it was taken; later it is rolled into sealed files, which any engine that has the key can
//! read and nobody else. What was changed, cut, moved or played back is found. This crate never decides who may read,
//! and never writes a message or a key in the open. Begin with [`Vault::open`]; the door knows it only as
//! `palisade_core::port::TelemetrySink`.

mod clock;
mod export;
mod file_key;
#[doc(hidden)]
pub mod fuzzing;
mod hands;
mod keys;
mod meter;
mod objects;
mod read;
mod record;
mod roll;
mod rotate;
mod row;
mod sealed;
mod sheet;
mod vault;
mod wal;
mod wiped;
mod works;

pub use export::{ExportError, Exporter, Form, MAX_RECIPIENTS, Recipient, RecipientError};
pub use file_key::FileKey;
pub use keys::KeyError;
pub use meter::Reading;
pub use objects::{Objects, ObjectsConfig, ObjectsError, Probed, Versioning};
pub use read::{Found, MAX_LIMIT, Query};
pub use record::Record;
pub use roll::Rolled;
pub use rotate::Rotated;
pub use row::Row;
pub use sealed::SealedError;
pub use vault::{Vault, VaultConfig, VaultError, VaultParts};
pub use wal::{Damage, Log, LogError, LogFault, LogFile, Mark, Opened, RollAt};
pub use wiped::Wiped;
pub use works::Worked;
