//! The chain of hashes: what ties each entry to all before it, and to its place.

use aws_lc_rs::digest::{Context, SHA256};
use palisade_tlog::Hash;

/// The chain after an entry: `SHA-256(0x02 || chain before || sequence number || leaf)`. The number is
/// part of it, so that moving an entry is seen even where two are alike.
pub(crate) fn link(before: &Hash, seq: u64, leaf: &Hash) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in [&[2][..], before, &seq.to_be_bytes(), leaf] {
        context.update(part);
    }
    let mut hash = Hash::default();
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
