//! What makes the ledger a transparency log: hashes of its tree, and the checkpoints that were signed.

use palisade_core::Timestamp;
use sqlx::{AnyConnection, any::AnyRow};

use crate::{
    Store, StoreError, journal::ROWS_A_STATEMENT, query_builder::QueryBuilder, row,
    transaction::Lane,
};

/// The hash of a part of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// It is over `256^level` entries.
    pub level: u8,
    /// Which it is of its level, counted from 0.
    pub index: u64,
    /// The hash.
    pub hash: Vec<u8>,
}

/// A checkpoint that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRow {
    /// Over how many entries.
    pub size: u64,
    /// The root over them.
    pub root: Vec<u8>,
    /// The note, with its signatures.
    pub note: String,
    /// When it was signed.
    pub signed_at: Timestamp,
    /// When it was first shown to others, if it was.
    pub published_at: Option<Timestamp>,
}

/// The repository of the ledger's tree.
#[derive(Debug)]
pub struct LedgerTree<'a> {
    store: &'a Store,
}

impl Store {
    /// The ledger's tree, and its checkpoints.
    #[must_use]
    pub fn ledger_tree(&self) -> LedgerTree<'_> {
        LedgerTree { store: self }
    }
}

impl LedgerTree<'_> {
    /// The hashes of entries from the leaf `first` on, counted from 0, each with which it is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn leaves(&self, first: u64, limit: u32) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq - 1 AS idx, leaf AS hash FROM ledger WHERE seq > $1 AND seq <= $2 ORDER BY seq",
        )
        .bind(signed(first))
        .bind(signed(first.saturating_add(u64::from(limit))))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read_node).collect()
    }

    /// The hashes of a level from `first` on, each with which it is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn nodes(
        &self,
        level: u8,
        first: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let rows = sqlx::query(
            "SELECT idx, hash FROM ledger_nodes WHERE level = $1 AND idx >= $2 AND idx < $3 ORDER BY idx",
        )
        .bind(i64::from(level))
        .bind(signed(first))
        .bind(signed(first.saturating_add(u64::from(limit))))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read_node).collect()
    }

    /// How far the hashes of a level go: one more than the last one's index.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_of(&self, level: u8) -> Result<u64, StoreError> {
        let last = sqlx::query(
            "SELECT COALESCE(MAX(idx), -1) + 1 AS idx FROM ledger_nodes WHERE level = $1",
        )
        .bind(i64::from(level))
        .fetch_one(self.store.readers())
        .await?;
        row::unsigned(&last, "idx")
    }

    /// Writes hashes that the entries have already.
    ///
    /// # Errors
    /// When the database fails; none is written then.
    pub async fn put_nodes(&self, nodes: &[NodeRow]) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Journal).await?;
        insert_nodes(&mut transaction, nodes).await?;
        Ok(transaction.commit().await?)
    }

    /// Removes the hashes of a level from `first` on: what they were of is gone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cut_nodes(&self, level: u8, first: u64) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM ledger_nodes WHERE level = $1 AND idx >= $2")
            .bind(i64::from(level))
            .bind(signed(first))
            .execute(self.store.writer())
            .await?;
        Ok(done.rows_affected())
    }

    /// The checkpoint that was signed over the most entries.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn newest_checkpoint(&self) -> Result<Option<CheckpointRow>, StoreError> {
        self.checkpoint("SELECT * FROM ledger_checkpoints ORDER BY size DESC LIMIT 1")
            .await
    }

    /// The checkpoint that was published over the most entries.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn published_checkpoint(&self) -> Result<Option<CheckpointRow>, StoreError> {
        self.checkpoint(
            "SELECT * FROM ledger_checkpoints WHERE published_at IS NOT NULL \
             ORDER BY size DESC LIMIT 1",
        )
        .await
    }

    async fn checkpoint(&self, query: &'static str) -> Result<Option<CheckpointRow>, StoreError> {
        let found = sqlx::query(query)
            .fetch_optional(self.store.writer())
            .await?;
        found.map(|found| read_checkpoint(&found)).transpose()
    }

    /// Writes a checkpoint down, in place of what there was over as many entries. What was published over fewer than
    /// a published one is removed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_checkpoint(&self, checkpoint: &CheckpointRow) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Journal).await?;
        sqlx::query(
            "INSERT INTO ledger_checkpoints (size, root, note, signed_at, published_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (size) DO UPDATE SET root = excluded.root, \
             note = excluded.note, signed_at = excluded.signed_at, published_at = excluded.published_at",
        )
        .bind(signed(checkpoint.size))
        .bind(checkpoint.root.as_slice())
        .bind(checkpoint.note.as_str())
        .bind(row::nanos(checkpoint.signed_at))
        .bind(checkpoint.published_at.map(row::nanos))
        .execute(&mut *transaction)
        .await?;
        if checkpoint.published_at.is_some() {
            sqlx::query("DELETE FROM ledger_checkpoints WHERE size < $1")
                .bind(signed(checkpoint.size))
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }
}

pub(crate) async fn insert_nodes(
    connection: &mut AnyConnection,
    nodes: &[NodeRow],
) -> Result<(), StoreError> {
    for chunk in nodes.chunks(ROWS_A_STATEMENT) {
        let mut query = QueryBuilder::new("INSERT INTO ledger_nodes (level, idx, hash) ");
        query.push_values(chunk, |mut values, node| {
            values
                .push_bind(i64::from(node.level))
                .push_bind(signed(node.index))
                .push_bind(node.hash.as_slice());
        });
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn read_node(found: &AnyRow) -> Result<(u64, Vec<u8>), StoreError> {
    Ok((row::unsigned(found, "idx")?, row::bytes(found, "hash")?))
}

fn read_checkpoint(found: &AnyRow) -> Result<CheckpointRow, StoreError> {
    Ok(CheckpointRow {
        size: row::unsigned(found, "size")?,
        root: row::bytes(found, "root")?,
        note: row::text(found, "note")?,
        signed_at: row::time(found, "signed_at")?,
        published_at: row::optional_time(found, "published_at")?,
    })
}
