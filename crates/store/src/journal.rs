//! The journal: ledger entries and the outbox of events, written in one transaction.

mod events;
mod personal;

use palisade_core::{Severity, Timestamp};
use sqlx::any::AnyRow;

use crate::{
    NodeRow, Store, StoreError, ledger::insert_nodes, query_builder::QueryBuilder, row,
    transaction::Lane,
};
use personal::insert_personal;

pub use events::{EventFilter, OldestEvent, StoredEvent};
pub use personal::PersonalRow;

pub(crate) const ROWS_A_STATEMENT: usize = 500;

/// An entry of the ledger as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// 1, 2, 3, ...
    pub seq: u64,
    /// The entry: an event's JSON, byte for byte as it was hashed.
    pub body: String,
    /// Hash of the entry.
    pub leaf: Vec<u8>,
    /// Hash of the chain up to and with the entry.
    pub chain: Vec<u8>,
}

impl LedgerRow {
    /// When what it records happened; nothing where it does not say.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        #[derive(serde::Deserialize)]
        struct Time {
            time: Timestamp,
        }
        let read = serde_json::from_str::<Time>(&self.body).ok()?;
        Some(read.time)
    }
}

/// An event on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// The event's kind.
    pub kind: String,
    /// Whom it is about, as `device/<id>`.
    pub principal: Option<String>,
    /// From which address.
    pub source: Option<String>,
    /// How severe it is.
    pub severity: Severity,
    /// The event's JSON.
    pub body: String,
}

/// What is written at once, all or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalBatch {
    /// Entries of the ledger.
    pub entries: Vec<LedgerRow>,
    /// Hashes of the parts of its tree that they complete.
    pub nodes: Vec<NodeRow>,
    /// What is about persons in the entries.
    pub personal: Vec<PersonalRow>,
    /// Events.
    pub events: Vec<OutboxRow>,
}

/// The repository of the journal.
#[derive(Debug)]
pub struct Journal<'a> {
    store: &'a Store,
}

impl Store {
    /// The journal.
    #[must_use]
    pub fn journal(&self) -> Journal<'_> {
        Journal { store: self }
    }
}

impl Journal<'_> {
    /// Writes entries and events, all or none.
    ///
    /// # Errors
    /// When a sequence number is taken, or the database fails.
    pub async fn append(
        &self,
        entries: &[LedgerRow],
        events: &[OutboxRow],
    ) -> Result<(), StoreError> {
        self.write(&JournalBatch {
            entries: entries.to_vec(),
            events: events.to_vec(),
            ..JournalBatch::default()
        })
        .await
    }

    /// Writes a batch, all or none.
    ///
    /// # Errors
    /// When a sequence number is taken, or the database fails.
    pub async fn write(&self, batch: &JournalBatch) -> Result<(), StoreError> {
        let JournalBatch {
            entries,
            nodes,
            personal,
            events,
        } = batch;
        let mut transaction = self.store.begin(Lane::Journal).await?;
        for chunk in entries.chunks(ROWS_A_STATEMENT) {
            let mut query = QueryBuilder::new("INSERT INTO ledger (seq, body, leaf, chain) ");
            query.push_values(chunk, |mut values, entry| {
                values
                    .push_bind(entry.seq as i64)
                    .push_bind(entry.body.as_str())
                    .push_bind(entry.leaf.as_slice())
                    .push_bind(entry.chain.as_slice());
            });
            query.build().execute(&mut *transaction).await?;
        }
        insert_nodes(&mut transaction, nodes).await?;
        insert_personal(&mut transaction, personal).await?;
        for chunk in events.chunks(ROWS_A_STATEMENT) {
            let mut query =
                QueryBuilder::new("INSERT INTO outbox (kind, principal, source, severity, body) ");
            query.push_values(chunk, |mut values, event| {
                values
                    .push_bind(event.kind.as_str())
                    .push_bind(event.principal.as_deref())
                    .push_bind(event.source.as_deref())
                    .push_bind(level(event.severity))
                    .push_bind(event.body.as_str());
            });
            query.build().execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// The newest ledger entry.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ledger_head(&self) -> Result<Option<LedgerRow>, StoreError> {
        sqlx::query("SELECT * FROM ledger ORDER BY seq DESC LIMIT 1")
            .fetch_optional(self.store.writer())
            .await?
            .map(|found| read_ledger(&found))
            .transpose()
    }

    /// Ledger entries after a sequence number, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ledger_after(&self, seq: u64, limit: u32) -> Result<Vec<LedgerRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM ledger WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(seq as i64)
            .bind(i64::from(limit))
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read_ledger).collect()
    }

    /// The newest ledger entries before a sequence number, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ledger_before(&self, seq: u64, limit: u32) -> Result<Vec<LedgerRow>, StoreError> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let rows = sqlx::query("SELECT * FROM ledger WHERE seq < $1 ORDER BY seq DESC LIMIT $2")
            .bind(seq)
            .bind(i64::from(limit))
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read_ledger).collect()
    }
}

fn read_ledger(found: &AnyRow) -> Result<LedgerRow, StoreError> {
    Ok(LedgerRow {
        seq: row::unsigned(found, "seq")?,
        body: row::text(found, "body")?,
        leaf: row::bytes(found, "leaf")?,
        chain: row::bytes(found, "chain")?,
    })
}

/// A severity as a number that orders.
fn level(severity: Severity) -> i64 {
    match severity {
        Severity::Informational => 0,
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    }
}
