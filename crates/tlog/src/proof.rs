//! Proofs that an entry is in a tree, and that a tree is the beginning of another (RFC 6962, sections
//! 2.1.1 and 2.1.2). What a proof is made of is said here as spans of leaves; whoever keeps the hashes
//! looks them up.

use crate::{
    hash::{Hash, node, sha256},
    tree::Subtree,
};

/// Leaves from `first` up to, not including, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first leaf.
    pub first: u64,
    /// The first leaf after it.
    pub end: u64,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It is about leaves or trees that cannot be.
    #[error("entry {index} (counted from 0) is not in a tree of {size} entries")]
    Outside {
        /// The leaf, or the size of the smaller tree.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// It has more or fewer hashes than such a proof has.
    #[error("the proof does not have the number of hashes that it must have")]
    Length,
    /// It leads to another root.
    #[error("the proof leads to another root hash")]
    Root,
}

/// The largest power of two that is smaller than `n`, which is at least 2.
fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// The spans whose hashes prove that the leaf `index` is in the tree of `size` leaves, in the order of the
/// proof; `None` where it is not.
#[must_use]
pub fn inclusion(index: u64, size: u64) -> Option<Vec<Span>> {
    if index >= size {
        return None;
    }
    let (mut spans, mut first, mut end) = (Vec::new(), 0, size);
    while end - first > 1 {
        let middle = first + split(end - first);
        if index < middle {
            spans.push(Span { first: middle, end });
            end = middle;
        } else {
            spans.push(Span { first, end: middle });
            first = middle;
        }
    }
    spans.reverse();
    Some(spans)
}

/// The spans whose hashes prove that the tree of `old` leaves is the beginning of that of `size`, in the
/// order of the proof; `None` where it is larger. Nothing proves it of an empty tree, or needs to.
#[must_use]
pub fn consistency(old: u64, size: u64) -> Option<Vec<Span>> {
    if old > size {
        return None;
    }
    if old == 0 {
        return Some(Vec::new());
    }
    let (mut spans, mut first, mut end) = (Vec::new(), 0, size);
    while end != old {
        let middle = first + split(end - first);
        if old <= middle {
            spans.push(Span { first: middle, end });
            end = middle;
        } else {
            spans.push(Span { first, end: middle });
            first = middle;
        }
    }
    // Who checks it knows the root of the old tree, if that is a subtree of the new one as a whole.
    if first > 0 {
        spans.push(Span { first, end });
    }
    spans.reverse();
    Some(spans)
}

/// The full subtrees that a span is made of, from left to right. Their hash is [`fold`].
#[must_use]
pub fn subtrees(span: Span) -> Vec<Subtree> {
    let (mut all, mut first) = (Vec::new(), span.first);
    while first < span.end {
        let fits = 63 - (span.end - first).leading_zeros();
        let height = first.trailing_zeros().min(fits) as u8;
        let index = first >> height;
        all.push(Subtree { height, index });
        first += 1 << height;
    }
    all
}

/// The hash of the tree over full subtrees that become smaller from left to right.
#[must_use]
pub fn fold(subtrees: &[Hash]) -> Hash {
    match subtrees.split_last() {
        None => sha256(&[]),
        Some((last, rest)) => rest
            .iter()
            .rev()
            .fold(*last, |right, left| node(left, &right)),
    }
}

/// Checks that an entry is in a tree.
///
/// # Errors
/// When it is not, or the proof does not show it.
pub fn check_inclusion(
    (index, leaf): (u64, &Hash),
    (size, root): (u64, &Hash),
    proof: &[Hash],
) -> Result<(), ProofError> {
    let spans = inclusion(index, size).ok_or(ProofError::Outside { index, size })?;
    if spans.len() != proof.len() {
        return Err(ProofError::Length);
    }
    let found =
        spans
            .iter()
            .zip(proof)
            .fold(*leaf, |hash, (span, other)| match span.first > index {
                true => node(&hash, other),
                false => node(other, &hash),
            });
    (found == *root).then_some(()).ok_or(ProofError::Root)
}

/// Checks that a tree is the beginning of another.
///
/// # Errors
/// When it is not, or the proof does not show it.
pub fn check_consistency(
    (old, old_root): (u64, &Hash),
    (size, root): (u64, &Hash),
    proof: &[Hash],
) -> Result<(), ProofError> {
    let outside = ProofError::Outside { index: old, size };
    let spans = consistency(old, size).ok_or(outside)?;
    if spans.len() != proof.len() {
        return Err(ProofError::Length);
    }
    if old == 0 {
        let is_empty = *old_root == sha256(&[]);
        return is_empty.then_some(()).ok_or(ProofError::Root);
    }
    let mut parts = spans.iter().zip(proof);
    // The largest subtree that both have: the whole of the old tree, or what the proof begins with.
    let begins_at_0 = spans.first().is_none_or(|span| span.first == old);
    let begin = match begins_at_0 {
        true => *old_root,
        false => parts
            .next()
            .map(|(_, hash)| *hash)
            .ok_or(ProofError::Length)?,
    };
    let (mut before, mut after) = (begin, begin);
    for (span, other) in parts {
        if span.first >= old {
            after = node(&after, other);
        } else {
            before = node(other, &before);
            after = node(other, &after);
        }
    }
    let proved = before == *old_root && after == *root;
    proved.then_some(()).ok_or(ProofError::Root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{hash::leaf, tree::Tree};

    fn leaves(n: u64) -> Vec<Hash> {
        (0..n).map(|n| leaf(&n.to_be_bytes())).collect()
    }

    fn root(leaves: &[Hash]) -> Hash {
        let mut tree = Tree::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        tree.root()
    }

    fn hash_of(span: Span, leaves: &[Hash]) -> Hash {
        let of = |subtree: Subtree| {
            let first = subtree.first() as usize;
            root(&leaves[first..first + subtree.leaves() as usize])
        };
        fold(&subtrees(span).into_iter().map(of).collect::<Vec<_>>())
    }

    fn look_up(spans: Option<Vec<Span>>, leaves: &[Hash]) -> Vec<Hash> {
        let spans = spans.expect("there is a proof");
        spans.iter().map(|span| hash_of(*span, leaves)).collect()
    }

    #[test]
    fn every_entry_is_proved_in_every_tree_and_nowhere_else() {
        for size in 1..40 {
            let leaves = leaves(size);
            let root = root(&leaves);
            for index in 0..size {
                let proof = look_up(inclusion(index, size), &leaves);
                let hash = &leaves[index as usize];
                assert_eq!(
                    check_inclusion((index, hash), (size, &root), &proof),
                    Ok(())
                );
                let other = leaf(b"another");
                let forged = check_inclusion((index, &other), (size, &root), &proof);
                assert_eq!(forged, Err(ProofError::Root));
                let elsewhere = check_inclusion(((index + 1) % size, hash), (size, &root), &proof);
                assert_eq!(elsewhere.is_err(), size > 1, "{index} of {size}");
            }
            assert_eq!(inclusion(size, size), None);
        }
    }

    #[test]
    fn every_tree_is_proved_to_be_the_beginning_of_every_larger_one_and_no_other() {
        for size in 1..40 {
            let new = leaves(size);
            for old in 0..=size {
                let proof = look_up(consistency(old, size), &new);
                let (old_root, root) = (root(&new[..old as usize]), root(&new));
                let check = |old_root: &Hash, root: &Hash| {
                    check_consistency((old, old_root), (size, root), &proof)
                };
                assert_eq!(check(&old_root, &root), Ok(()), "{old} of {size}");
                let other = leaf(b"another");
                assert_eq!(
                    check(&other, &root),
                    Err(ProofError::Root),
                    "{old} of {size}"
                );
                if old > 0 {
                    assert_eq!(check(&old_root, &other), Err(ProofError::Root));
                }
            }
        }
    }

    #[test]
    fn proofs_of_the_largest_trees_are_made_without_harm() {
        for (old, size) in [(1, u64::MAX), (u64::MAX - 1, u64::MAX), (1 << 63, u64::MAX)] {
            assert!(inclusion(old, size).is_some_and(|spans| spans.len() <= 64));
            assert!(consistency(old, size).is_some_and(|spans| spans.len() <= 65));
        }
    }
}
