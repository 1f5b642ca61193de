//! Where the ledger ends, found again at the start. Hashes over many entries that are not there yet, in a
//! ledger of before there were any, are made; a crash in the middle leaves those that are made, and the next
//! start goes on.

use palisade_store::{NodeRow, Store};
use palisade_tlog::{Hash, TILE, Tree, fold};

use crate::LedgerError;

/// Tiles whose hashes are made in one transaction.
const AT_ONCE: u64 = 64;

/// Where the ledger ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub(crate) seq: u64,
    pub(crate) chain: Hash,
    pub(crate) tree: Tree,
}

/// Reads the end of the ledger, and makes the tree whole first.
pub(crate) async fn read_head(store: &Store) -> Result<Head, LedgerError> {
    let Some(last) = store.journal().ledger_head().await? else {
        cut(store, 0).await?;
        return Ok(Head::default());
    };
    let damaged = |_| LedgerError::Damaged { seq: last.seq };
    let chain = Hash::try_from(last.chain.as_slice()).map_err(damaged)?;
    cut(store, last.seq).await?;
    make_nodes(store, last.seq).await?;
    let tree = read_tree(store, last.seq).await?;
    let seq = last.seq;
    Ok(Head { seq, chain, tree })
}

/// Reads the end of a ledger that was read before: its tree is whole, and others may be writing to it.
pub(crate) async fn read_end(store: &Store) -> Result<Head, LedgerError> {
    let Some(last) = store.journal().ledger_head().await? else {
        return Ok(Head::default());
    };
    let damaged = |_| LedgerError::Damaged { seq: last.seq };
    Ok(Head {
        seq: last.seq,
        chain: Hash::try_from(last.chain.as_slice()).map_err(damaged)?,
        tree: read_tree(store, last.seq).await?,
    })
}

/// Removes hashes over entries that are not there: the end of the ledger was cut off behind our back. That it
/// was, the last checkpoint shows.
async fn cut(store: &Store, size: u64) -> Result<(), LedgerError> {
    for level in levels() {
        let filled = size >> (8 * level);
        if store.ledger_tree().end_of(level).await? > filled {
            let gone = store.ledger_tree().cut_nodes(level, filled).await?;
            tracing::error!(
                level,
                gone,
                entries = size,
                "the ledger is shorter than it was: run `palisade ledger verify`"
            );
        }
    }
    Ok(())
}

fn levels() -> std::ops::Range<u8> {
    1..8
}

/// Makes the hashes that are missing, level by level.
async fn make_nodes(store: &Store, size: u64) -> Result<(), LedgerError> {
    for level in levels() {
        let (first, end) = (
            store.ledger_tree().end_of(level).await?,
            size >> (8 * level),
        );
        if end.saturating_sub(first) > AT_ONCE {
            tracing::info!(
                level,
                hashes = end - first,
                "hashing the tree of the ledger"
            );
        }
        let mut next = first;
        while next < end {
            let until = end.min(next + AT_ONCE);
            let mut nodes = Vec::new();
            for index in next..until {
                let hash = fold_tile(&read_below(store, level, index * TILE, TILE).await?);
                nodes.push(NodeRow {
                    level,
                    index,
                    hash: hash.to_vec(),
                });
            }
            store.ledger_tree().put_nodes(&nodes).await?;
            next = until;
        }
    }
    Ok(())
}

/// The roots of the full subtrees of a tree, from the incomplete tiles at its right edge.
async fn read_tree(store: &Store, size: u64) -> Result<Tree, LedgerError> {
    let mut roots = Vec::new();
    for level in (0..8u8).rev() {
        let filled = size >> (8 * level);
        let width = filled % TILE;
        let hashes = read_below(store, level + 1, filled - width, width).await?;
        let mut rest = hashes.as_slice();
        for bit in (0..8).rev().filter(|bit| width & (1 << bit) != 0) {
            let (subtree, after) = rest.split_at(1 << bit);
            roots.push(fold_tile(subtree));
            rest = after;
        }
    }
    Tree::of_subtrees(size, roots).ok_or(LedgerError::Damaged { seq: size })
}

/// The root over a power of two of hashes.
fn fold_tile(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => Hash::default(),
        [one] => *one,
        more => {
            let (left, right) = more.split_at(more.len() / 2);
            fold(&[fold_tile(left), fold_tile(right)])
        }
    }
}

/// Hashes of the level below one. What is missing is zeros: the ledger still opens, and verification says what it
/// misses.
async fn read_below(
    store: &Store,
    level: u8,
    first: u64,
    count: u64,
) -> Result<Vec<Hash>, LedgerError> {
    let mut hashes = vec![Hash::default(); count as usize];
    if count == 0 {
        return Ok(hashes);
    }
    let (tree, limit) = (store.ledger_tree(), count as u32);
    let rows = match level {
        1 => tree.leaves(first, limit).await?,
        level => tree.nodes(level - 1, first, limit).await?,
    };
    if rows.len() as u64 != count {
        tracing::error!(
            level,
            first,
            "entries of the ledger are missing: run `palisade ledger verify`"
        );
    }
    for (index, hash) in rows {
        let place = hashes.get_mut((index - first) as usize);
        let damaged = || LedgerError::Damaged { seq: index + 1 };
        if let Some(place) = place {
            *place = Hash::try_from(hash.as_slice()).map_err(|_| damaged())?;
        }
    }
    Ok(hashes)
}
