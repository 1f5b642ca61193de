//! The tree, kept as the roots of its full subtrees.

use crate::hash::{Hash, node, sha256};

/// A full subtree: the hash over `2^height` leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subtree {
    /// How many levels it has above its leaves.
    pub height: u8,
    /// Which it is of its height, counted from 0.
    pub index: u64,
}

impl Subtree {
    /// The first of its leaves.
    #[must_use]
    pub fn first(self) -> u64 {
        self.index << self.height
    }

    /// How many leaves it has.
    #[must_use]
    pub fn leaves(self) -> u64 {
        1 << self.height
    }
}

/// What is needed to append and to know the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    // From the largest subtree to the smallest, one for each bit set in `size`.
    roots: Vec<Hash>,
}

impl Tree {
    /// The tree over some full subtrees, from left to right; each has as many leaves as those before it allow.
    #[must_use]
    pub fn of_subtrees(size: u64, roots: Vec<Hash>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots })
    }

    /// How many leaves it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.push_telling(leaf, |_, _| {});
    }

    /// Adds a leaf, and tells each subtree that it completes.
    pub fn push_telling(&mut self, leaf: Hash, mut tell: impl FnMut(Subtree, Hash)) {
        let (mut hash, mut height) = (leaf, 0);
        while (self.size >> height) & 1 == 1 {
            if let Some(left) = self.roots.pop() {
                hash = node(&left, &hash);
            }
            height += 1;
            let index = self.size >> height;
            tell(Subtree { height, index }, hash);
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// The root (RFC 6962, section 2.1).
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut smallest_first = self.roots.iter().rev();
        let Some(first) = smallest_first.next() else {
            return sha256(&[]);
        };
        smallest_first.fold(*first, |right, left| node(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf;

    /// The definition of RFC 6962, by recursion.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(&[]),
            [only] => *only,
            more => {
                let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
                node(&root_by_definition(left), &root_by_definition(right))
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
            tree.push_telling(leaf(&[n]), |subtree, hash| {
                let first = subtree.first() as usize;
                let range = first..first + subtree.leaves() as usize;
                assert_eq!(hash, root_by_definition(&leaves[range]), "{subtree:?}");
            });
        }
    }
}
