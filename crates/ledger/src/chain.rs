//! Hashes: the leaf, the chain, and the tree (RFC 6962, section 2.1).

use aws_lc_rs::digest::{Context, SHA256};

/// A SHA-256 value.
pub type Hash = [u8; 32];

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The hash of an entry: `SHA-256(0x00 || entry)`.
pub(crate) fn leaf(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry])
}

/// The chain after an entry: `SHA-256(0x02 || chain before || sequence number || leaf)`. The number is
/// part of it, so that moving an entry is seen even where two are alike.
pub(crate) fn link(before: &Hash, seq: u64, leaf: &Hash) -> Hash {
    sha256(&[&[2], before, &seq.to_be_bytes(), leaf])
}

/// The tree, kept as the roots of its full subtrees: what is needed to append and to know the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    // From the largest subtree to the smallest, one for each bit set in `size`.
    roots: Vec<Hash>,
}

impl Tree {
    /// How many leaves it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        let mut level = self.size;
        while level & 1 == 1 {
            if let Some(left) = self.roots.pop() {
                node = sha256(&[&[1], &left, &node]);
            }
            level >>= 1;
        }
        self.roots.push(node);
        self.size += 1;
    }

    /// The root (RFC 6962, section 2.1).
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut smallest_first = self.roots.iter().rev();
        let Some(first) = smallest_first.next() else {
            return sha256(&[]);
        };
        smallest_first.fold(*first, |right, left| sha256(&[&[1], left, &right]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of RFC 6962, by recursion.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(&[]),
            [only] => *only,
            more => {
                let mut split = 1;
                while split * 2 < more.len() {
                    split *= 2;
                }
                let (left, right) = more.split_at(split);
                sha256(&[&[1], &root_by_definition(left), &root_by_definition(right)])
            }
        }
    }

    #[test]
    fn the_root_is_that_of_the_standard_at_every_size() {
        let mut tree = Tree::default();
        let mut leaves = Vec::new();
        for n in 0..70u8 {
            assert_eq!(tree.root(), root_by_definition(&leaves), "at size {n}");
            leaves.push(leaf(&[n]));
            tree.push(leaf(&[n]));
        }
    }
}
