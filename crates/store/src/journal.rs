//! The journal: ledger entries and the outbox of events, written in one transaction.

use palisade_core::EventId;
use sqlx::{Any, QueryBuilder, Row, any::AnyRow};

use crate::{Store, StoreError, row};

const ROWS_A_STATEMENT: usize = 500;

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

/// An event on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// The event's kind.
    pub kind: String,
    /// Whom it is about, as `device/<id>`.
    pub principal: Option<String>,
    /// The event's JSON.
    pub body: String,
}

/// An event as a consumer reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its position on the stream; later events have higher ones.
    pub position: u64,
    /// The event's JSON.
    pub body: String,
}

/// Which events to read.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Of this kind.
    pub kind: Option<String>,
    /// About this principal (`device/<id>`).
    pub principal: Option<String>,
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
        let mut transaction = self.store.writer().begin().await?;
        for chunk in entries.chunks(ROWS_A_STATEMENT) {
            let mut query: QueryBuilder<Any> =
                QueryBuilder::new("INSERT INTO ledger (seq, body, leaf, chain) ");
            query.push_values(chunk, |mut values, entry| {
                values
                    .push_bind(entry.seq as i64)
                    .push_bind(entry.body.as_str())
                    .push_bind(entry.leaf.as_slice())
                    .push_bind(entry.chain.as_slice());
            });
            query.build().execute(&mut *transaction).await?;
        }
        for chunk in events.chunks(ROWS_A_STATEMENT) {
            let mut query: QueryBuilder<Any> =
                QueryBuilder::new("INSERT INTO outbox (kind, principal, body) ");
            query.push_values(chunk, |mut values, event| {
                values
                    .push_bind(event.kind.as_str())
                    .push_bind(event.principal.as_deref())
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

    /// Events after a position, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events_after(
        &self,
        position: u64,
        limit: u32,
        filter: &EventFilter,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let mut query: QueryBuilder<Any> =
            QueryBuilder::new("SELECT pos, body FROM outbox WHERE pos > ");
        query.push_bind(position as i64);
        if let Some(kind) = &filter.kind {
            query.push(" AND kind = ").push_bind(kind.clone());
        }
        if let Some(principal) = &filter.principal {
            query.push(" AND principal = ").push_bind(principal.clone());
        }
        query
            .push(" ORDER BY pos LIMIT ")
            .push_bind(i64::from(limit));
        let rows = query.build().fetch_all(self.store.readers()).await?;
        rows.iter().map(read_event).collect()
    }

    /// Those of these events that are still on the stream, in its order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events_named(&self, ids: &[EventId]) -> Result<Vec<StoredEvent>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        // An event's JSON begins with its id, and an index is on that part of it.
        let mut query: QueryBuilder<Any> =
            QueryBuilder::new("SELECT pos, body FROM outbox WHERE SUBSTR(body, 8, 26) IN (");
        let mut names = query.separated(", ");
        for id in ids {
            names.push_bind(id.to_string());
        }
        query.push(") ORDER BY pos");
        let rows = query.build().fetch_all(self.store.readers()).await?;
        rows.iter().map(read_event).collect()
    }

    /// The position of the newest event; 0 where there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn newest_event(&self) -> Result<u64, StoreError> {
        let found = sqlx::query("SELECT COALESCE(MAX(pos), 0) FROM outbox")
            .fetch_one(self.store.readers())
            .await?;
        Ok(found.try_get::<i64, _>(0)? as u64)
    }

    /// How far a consumer has come.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cursor(&self, consumer: &str) -> Result<u64, StoreError> {
        let found = sqlx::query("SELECT pos FROM cursors WHERE consumer = $1")
            .bind(consumer)
            .fetch_optional(self.store.readers())
            .await?;
        found.map_or(Ok(0), |found| row::unsigned(&found, "pos"))
    }

    /// Notes how far a consumer has come.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_cursor(&self, consumer: &str, position: u64) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO cursors (consumer, pos) VALUES ($1, $2) \
             ON CONFLICT (consumer) DO UPDATE SET pos = excluded.pos",
        )
        .bind(consumer)
        .bind(position as i64)
        .execute(self.store.writer())
        .await?;
        Ok(())
    }

    /// Removes events up to a position from the stream (the ledger keeps its entries).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune_events(&self, up_to: u64) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM outbox WHERE pos <= $1")
            .bind(up_to as i64)
            .execute(self.store.writer())
            .await?;
        Ok(done.rows_affected())
    }
}

fn read_event(found: &AnyRow) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent {
        position: row::unsigned(found, "pos")?,
        body: row::text(found, "body")?,
    })
}

fn read_ledger(found: &AnyRow) -> Result<LedgerRow, StoreError> {
    Ok(LedgerRow {
        seq: row::unsigned(found, "seq")?,
        body: row::text(found, "body")?,
        leaf: row::bytes(found, "leaf")?,
        chain: row::bytes(found, "chain")?,
    })
}
