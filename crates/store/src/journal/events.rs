//! The stream of events, as consumers and people read it.

use std::time::Duration;

use palisade_core::{EventId, Severity, Timestamp};
use sqlx::{Row, any::AnyRow};

use super::{Journal, level};
use crate::{StoreError, query_builder::QueryBuilder, row};

/// An event as a consumer reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its position on the stream; later events have higher ones.
    pub position: u64,
    /// The event's JSON.
    pub body: String,
}

/// The oldest event that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldestEvent {
    /// Its position.
    pub position: u64,
    /// Which it is.
    pub id: EventId,
}

/// Which events to read.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Of this kind.
    pub kind: Option<String>,
    /// About this principal (`device/<id>`).
    pub principal: Option<String>,
    /// From this address.
    pub source: Option<String>,
    /// At least this severe.
    pub min_severity: Option<Severity>,
    /// Not before this moment, to the millisecond.
    pub since: Option<Timestamp>,
    /// Before this moment, to the millisecond.
    pub until: Option<Timestamp>,
}

/// Events are not written in the exact order of their making; by so much they may be out of it.
const OUT_OF_ORDER: Duration = Duration::from_secs(60);

// An event's JSON begins with its id, which begins with the moment of its making. An index is on it.
const ID: &str = "SUBSTR(body, 8, 26)";

impl Journal<'_> {
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
        let mut query = self.select(filter).await?;
        query.push(" AND pos > ").push_bind(signed(position));
        query.push(" ORDER BY pos LIMIT ");
        self.read(query, limit).await
    }

    /// Events before a position, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events_before(
        &self,
        position: u64,
        limit: u32,
        filter: &EventFilter,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let mut query = self.select(filter).await?;
        query.push(" AND pos < ").push_bind(signed(position));
        query.push(" ORDER BY pos DESC LIMIT ");
        self.read(query, limit).await
    }

    async fn read(
        &self,
        mut query: QueryBuilder,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        query.push_bind(i64::from(limit));
        let rows = query.build().fetch_all(self.store.readers()).await?;
        rows.iter().map(read_event).collect()
    }

    async fn select(&self, filter: &EventFilter) -> Result<QueryBuilder, StoreError> {
        let mut query = QueryBuilder::new("SELECT pos, body FROM outbox WHERE 1 = 1");
        if let Some(kind) = &filter.kind {
            query.push(" AND kind = ").push_bind(kind.clone());
        }
        if let Some(principal) = &filter.principal {
            query.push(" AND principal = ").push_bind(principal.clone());
        }
        if let Some(source) = &filter.source {
            query.push(" AND source = ").push_bind(source.clone());
        }
        if let Some(severity) = filter.min_severity {
            query.push(" AND severity >= ").push_bind(level(severity));
        }
        // Positions bound what is looked at, the ids what is found: the stream is long.
        if let Some(since) = filter.since {
            let from = self.position_at(earlier(since)).await?;
            query.push(" AND pos >= ").push_bind(signed(from));
            let least = EventId::least_of(since).to_string();
            query.push(format!(" AND {ID} >= ")).push_bind(least);
        }
        if let Some(until) = filter.until {
            let to = self.position_at(later(until)).await?;
            query.push(" AND pos <= ").push_bind(signed(to));
            let least = EventId::least_of(until).to_string();
            query.push(format!(" AND {ID} < ")).push_bind(least);
        }
        Ok(query)
    }

    /// The position of the first event that was made at a moment or after it; beyond the newest where there
    /// is none.
    async fn position_at(&self, moment: Timestamp) -> Result<u64, StoreError> {
        let mut query = QueryBuilder::new("SELECT pos FROM outbox WHERE ");
        query.push(format!("{ID} >= "));
        query.push_bind(EventId::least_of(moment).to_string());
        query.push(format!(" ORDER BY {ID} LIMIT 1"));
        let found = query.build().fetch_optional(self.store.readers()).await?;
        match found {
            Some(found) => row::unsigned(&found, "pos"),
            None => Ok(self.newest_event().await?.saturating_add(1)),
        }
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
        let mut query =
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

    /// The oldest event that is kept; `None` where there is none.
    ///
    /// # Errors
    /// When the database fails, or the event has no name.
    pub async fn oldest_event(&self) -> Result<Option<OldestEvent>, StoreError> {
        let query = format!("SELECT pos, {ID} AS id FROM outbox ORDER BY pos LIMIT 1");
        let found = sqlx::query(sqlx::AssertSqlSafe(query))
            .fetch_optional(self.store.readers())
            .await?;
        let Some(found) = found else {
            return Ok(None);
        };
        Ok(Some(OldestEvent {
            position: row::unsigned(&found, "pos")?,
            id: row::parse(&found, "id", EventId::parse)?,
        }))
    }

    /// The position before the first event that was made at `moment` or later: up to it all are older.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events_older_than(&self, moment: Timestamp) -> Result<u64, StoreError> {
        Ok(self.position_at(moment).await?.saturating_sub(1))
    }

    /// The consumers that keep a cursor, and how far each has come.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cursors(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = sqlx::query("SELECT consumer, pos FROM cursors ORDER BY consumer")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter()
            .map(|found| Ok((row::text(found, "consumer")?, row::unsigned(found, "pos")?)))
            .collect()
    }

    /// Removes events up to a position from the stream (the ledger keeps its entries). Says how many they
    /// were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune_events(&self, up_to: u64) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM outbox WHERE pos <= $1")
            .bind(signed(up_to))
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

fn earlier(moment: Timestamp) -> Timestamp {
    moment.checked_sub(OUT_OF_ORDER).unwrap_or(Timestamp::MIN)
}

fn later(moment: Timestamp) -> Timestamp {
    moment.checked_add(OUT_OF_ORDER).unwrap_or(Timestamp::MAX)
}

fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
