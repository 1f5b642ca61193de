//! Hashes: of leaves and of nodes (RFC 6962, section 2.1).

use aws_lc_rs::digest::{Context, SHA256};
use base64::{Engine, engine::general_purpose::STANDARD};

/// The length of a hash, in bytes.
pub const HASH: usize = 32;

/// A SHA-256 value.
pub type Hash = [u8; HASH];

pub(crate) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; HASH];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The hash of an entry: `SHA-256(0x00 || entry)`.
#[must_use]
pub fn leaf(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry])
}

/// The hash over two others: `SHA-256(0x01 || left || right)`.
#[must_use]
pub fn node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
}

/// A hash as notes and proofs write it: base 64 (RFC 4648, section 4).
#[must_use]
pub fn base64(hash: &Hash) -> String {
    STANDARD.encode(hash)
}

/// Reads a hash in base 64; `None` where it is none.
#[must_use]
pub fn parse_base64(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}
