//! The audit log. Every admission, denial, administrative act and containment is an entry that is on
//! disk before the act is acknowledged. Entries are leaves of an RFC 6962 Merkle tree and links of a
//! hash chain: [`Ledger::verify`] reads all of them again and names the first that was changed, removed
//! or moved. The same transaction puts the event on the event stream. This crate never rewrites an
//! entry. Begin with [`Ledger::open`]; capabilities know it only as `palisade_core::port::Journal`.

mod chain;
mod ocsf;
mod verify;
mod writer;

pub use chain::{Hash, Tree};
pub use ocsf::{ocsf, severity};
pub use verify::{Fault, Verification};
pub use writer::{Ledger, LedgerError};
