//! A backup of an installation: one file in the form of tar, whose last entry is a manifest that says what is in it. It
//! is written in one pass and read in one, so that neither needs room for a second copy. What is read is hostile until
//! the manifest was compared with it: only plain files, no name that leads elsewhere, nothing twice, nothing missing.
//! It may be sealed for a recipient of `age`. Begin with [`Writer`] and [`read`].
//!
//! The checksums find damage. Against somebody who changes a backup on purpose there is the seal against reading, and
//! the ledger's checkpoint that was kept elsewhere.

mod archive;
mod manifest;
mod name;
mod sealed;
mod summed;

pub use archive::{ReadError, WriteError, Writer, read};
pub use manifest::{About, Entry, FORMAT, Manifest};
pub use name::{Name, NameError};
pub use sealed::{Identities, OpenError, is_sealed, open, seal};
pub use summed::{Summed, sum};
