//! For the fuzz target in `fuzz/`: what an object store answers, through our types, and nothing else.

use crate::objects::Versions;

/// Reads a list of versions, and says how many there are of this object, or that it is no list.
#[must_use]
pub fn versions(bytes: &[u8], key: &str) -> Option<usize> {
    Some(Versions::parse(bytes)?.of(key).count())
}
