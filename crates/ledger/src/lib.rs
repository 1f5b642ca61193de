//! The audit log. Every admission, denial, administrative act and containment is an entry that is on
//! disk before the act is acknowledged. Entries are leaves of an RFC 6962 Merkle tree and links of a
//! hash chain: [`Ledger::verify`] reads all of them again and names the first that was changed, removed
//! or moved. The same transaction puts the event on the event stream. A [`Log`] signs checkpoints of the
//! tree, so that who kept one can tell later whether the ledger was rewritten as a whole. This crate never
//! rewrites an entry. Begin with [`Ledger::open`]; capabilities know it only as
//! `palisade_core::port::Journal`.

mod chain;
mod config;
mod erase;
mod head;
mod log;
mod ocsf;
mod personal;
mod tiles;
mod verify;
mod witness;
mod writer;

pub use config::{LedgerConfig, LedgerConfigError, WitnessConfig};
pub use erase::Erased;
pub use log::{Contradiction, Log, LogError, LogParts, LogStatus, Published, WitnessStatus};
pub use ocsf::{ocsf, severity};
pub use palisade_tlog::{Hash, Tree};
pub use verify::{Fault, Verification};
pub use witness::WitnessError;
pub use writer::{Ledger, LedgerError};
