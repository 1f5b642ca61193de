//! The tree as it is stored: hashes of entries, and one hash over each 256, 65 536, ... of them. Whatever a
//! proof needs is a few rows away, however long the ledger is.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use palisade_store::Store;
use palisade_tlog::{
    Hash, Span, Subtree, TILE, Tile, TileKind, consistency, fold, inclusion, node, subtrees,
};

use crate::LedgerError;

/// Full tiles that are kept in memory, at most: 8 KiB each.
const MAX_KEPT: usize = 1_024;

/// Full tiles by level and index.
type Kept = HashMap<(u8, u64), Arc<[Hash]>>;

/// Reads the tree.
#[derive(Debug)]
pub(crate) struct Tiles {
    store: Store,
    // Full ones alone, which never change.
    kept: Mutex<Kept>,
}

impl Tiles {
    pub(crate) fn new(store: Store) -> Self {
        let kept = Mutex::default();
        Self { store, kept }
    }

    /// The first `width` hashes of a tile.
    pub(crate) async fn read(
        &self,
        (level, index): (u8, u64),
        width: u16,
    ) -> Result<Arc<[Hash]>, LedgerError> {
        if let Some(tile) = self.kept().get(&(level, index)) {
            let all: &[Hash] = tile;
            return Ok(match u64::from(width) {
                TILE => tile.clone(),
                _ => all.get(..usize::from(width)).unwrap_or_default().into(),
            });
        }
        let (tree, limit) = (self.store.ledger_tree(), u32::from(width));
        let rows = match level {
            0 => tree.leaves(index * TILE, limit).await?,
            level => tree.nodes(level, index * TILE, limit).await?,
        };
        let hashes = rows
            .iter()
            .map(|(_, hash)| Hash::try_from(hash.as_slice()).ok())
            .collect::<Option<Arc<[Hash]>>>()
            .filter(|hashes| hashes.len() == usize::from(width))
            .ok_or(LedgerError::Tile { level, index })?;
        if u64::from(width) == TILE {
            let mut kept = self.kept();
            if kept.len() >= MAX_KEPT {
                kept.clear();
            }
            kept.insert((level, index), hashes.clone());
        }
        Ok(hashes)
    }

    /// The root of the tree as it was at a size.
    pub(crate) async fn root(&self, size: u64) -> Result<Hash, LedgerError> {
        self.span(
            Span {
                first: 0,
                end: size,
            },
            size,
        )
        .await
    }

    /// What proves that the leaf `index` is in the tree of `size` leaves; `None` where it is not.
    pub(crate) async fn inclusion(
        &self,
        index: u64,
        size: u64,
    ) -> Result<Option<Vec<Hash>>, LedgerError> {
        self.proof(inclusion(index, size), size).await
    }

    /// What proves that the tree of `old` leaves is the beginning of that of `size`; `None` where it is larger.
    pub(crate) async fn consistency(
        &self,
        old: u64,
        size: u64,
    ) -> Result<Option<Vec<Hash>>, LedgerError> {
        self.proof(consistency(old, size), size).await
    }

    async fn proof(
        &self,
        spans: Option<Vec<Span>>,
        size: u64,
    ) -> Result<Option<Vec<Hash>>, LedgerError> {
        let Some(spans) = spans else { return Ok(None) };
        let mut hashes = Vec::with_capacity(spans.len());
        for span in spans {
            hashes.push(self.span(span, size).await?);
        }
        Ok(Some(hashes))
    }

    /// The hash over some leaves of a tree of `size`.
    async fn span(&self, span: Span, size: u64) -> Result<Hash, LedgerError> {
        Ok(fold(&self.parts(span, size).await?))
    }

    /// The hashes over the subtrees that some leaves are made of.
    pub(crate) async fn parts(&self, span: Span, size: u64) -> Result<Vec<Hash>, LedgerError> {
        let mut hashes = Vec::new();
        for subtree in subtrees(span) {
            hashes.push(self.subtree(subtree, size).await?);
        }
        Ok(hashes)
    }

    async fn subtree(&self, subtree: Subtree, size: u64) -> Result<Hash, LedgerError> {
        let (tile, range) = Tile::over(subtree);
        let TileKind::Hashes(level) = tile.kind else {
            return Ok(Hash::default());
        };
        let hashes = self.read((level, tile.index), tile.filled(size)).await?;
        let damaged = LedgerError::Tile {
            level,
            index: tile.index,
        };
        let mut hashes = hashes.get(range).ok_or(damaged)?.to_vec();
        while hashes.len() > 1 {
            let pairs = hashes.chunks_exact(2);
            hashes = pairs.map(|pair| node(&pair[0], &pair[1])).collect();
        }
        Ok(hashes.first().copied().unwrap_or_default())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
