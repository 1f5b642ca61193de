//! Transparency logs as C2SP has them: what can be checked without the server that wrote it. Hashes and
//! trees of RFC 6962, proofs of inclusion and of consistency, notes with signatures and cosignatures,
//! checkpoints, tiles. It reads bytes that anybody may have written, does no input or output, and holds
//! no private key. Begin with [`Trust`], which says whether a checkpoint is to be believed.

mod bundle;
mod checkpoint;
mod commitment;
mod hash;
mod key;
mod note;
mod proof;
mod receipt;
mod tile;
mod tree;
mod trust;

#[cfg(test)]
mod tests;

pub use bundle::{BundleEntry, BundleError, BundleHead, Proved, around, check_bundle};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use commitment::{Opening, commitment, is_commitment};
pub use hash::{HASH, Hash, base64, leaf, node, parse_base64};
pub use key::{Algorithm, NoteKey, NoteKeyError};
pub use note::{MAX_NOTE, Note, NoteError, Signature};
pub use proof::{
    ProofError, Span, check_consistency, check_inclusion, consistency, fold, inclusion, subtrees,
};
pub use receipt::{Receipt, ReceiptError};
pub use tile::{MAX_ENTRY, TILE, Tile, TileError, TileKind};
pub use tree::{Subtree, Tree};
pub use trust::{Believed, Trust, TrustError};
