//! What people and programs did, tried and read at the REST door.

use palisade_core::{EventId, Network, Timestamp};
use sqlx::{AnyConnection, any::AnyRow};

use crate::{Store, StoreError, query_builder::QueryBuilder, row, transaction::Lane};

/// What kind of subject came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessKind {
    /// Somebody who logged in.
    Account,
    /// The bearer of an API token.
    Token,
    /// Nobody who was recognised.
    Nobody,
}

impl AccessKind {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Token => "token",
            Self::Nobody => "nobody",
        }
    }

    /// Reads the name.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        [Self::Account, Self::Token, Self::Nobody]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or("no kind of subject")
    }
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessOutcome {
    /// It was let through.
    Allowed,
    /// It was refused.
    Denied,
    /// The server failed at it.
    Failed,
}

impl AccessOutcome {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }

    /// Reads the name.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        [Self::Allowed, Self::Denied, Self::Failed]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or("no outcome")
    }
}

/// Requests that are alike within an hour, or one act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessEntry {
    /// Its name.
    pub id: EventId,
    /// What kind of subject came.
    pub kind: AccessKind,
    /// The account's name, or the token's id; empty for nobody.
    pub subject: String,
    /// The name that acts are recorded under.
    pub name: String,
    /// The log-in session, of the last request.
    pub session: Option<String>,
    /// What was asked for.
    pub action: String,
    /// What came of it.
    pub outcome: AccessOutcome,
    /// The entry of the ledger, of an act that is one.
    pub event: Option<EventId>,
    /// How many requests.
    pub times: u64,
    /// When the first came.
    pub first_at: Timestamp,
    /// When the last came.
    pub last_at: Timestamp,
    /// On what, of the last.
    pub resource: String,
    /// From where, of the last.
    pub source: Option<String>,
    /// The status of the last answer; none where the client left before it.
    pub status: Option<u16>,
    /// Why the last was refused.
    pub reason: Option<String>,
}

impl AccessEntry {
    /// The hour that it belongs to, counted from 1970.
    #[must_use]
    pub fn hour(&self) -> i64 {
        self.first_at.as_second().div_euclid(3_600)
    }
}

/// Which entries are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessFilter {
    /// Of an account or token of this name, or of the token of this id.
    pub subject: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// Of this outcome.
    pub outcome: Option<AccessOutcome>,
    /// With a request at this moment or later.
    pub since: Option<Timestamp>,
    /// With a request before this moment.
    pub until: Option<Timestamp>,
}

/// When somebody last did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessUse {
    /// What kind of subject.
    pub kind: AccessKind,
    /// The account's name, or the token's id.
    pub subject: String,
    /// What.
    pub action: String,
    /// What came of it.
    pub outcome: AccessOutcome,
    /// How often, since the first time that is kept.
    pub times: u64,
    /// When first.
    pub first_at: Timestamp,
    /// When last.
    pub last_at: Timestamp,
}

/// A network that somebody came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessPlace {
    /// The network of the address: /24 or /48.
    pub network: String,
    /// When first.
    pub first_at: Timestamp,
    /// When last.
    pub last_at: Timestamp,
}

/// The repository of what people and programs did.
#[derive(Debug)]
pub struct AccessLog<'a> {
    store: &'a Store,
}

impl Store {
    /// What people and programs did, tried and read.
    #[must_use]
    pub fn access(&self) -> AccessLog<'_> {
        AccessLog { store: self }
    }
}

impl AccessLog<'_> {
    /// Writes entries down; what is alike within an hour joins what is there.
    ///
    /// # Errors
    /// When the database fails; nothing is written then.
    pub async fn add(&self, entries: &[AccessEntry]) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::People).await?;
        for entry in entries {
            put(&mut transaction, entry).await?;
            note_use(&mut transaction, entry).await?;
            note_place(&mut transaction, entry).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Entries before `before`, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(
        &self,
        filter: &AccessFilter,
        before: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<AccessEntry>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM access_log WHERE 1 = 1");
        if let Some(before) = before {
            query.push(" AND id < ").push_bind(before.to_string());
        }
        if let Some(subject) = &filter.subject {
            query.push(" AND (name = ").push_bind(subject.clone());
            query.push(" OR subject = ").push_bind(subject.clone());
            query.push(")");
        }
        if let Some(action) = &filter.action {
            query.push(" AND action = ").push_bind(action.clone());
        }
        if let Some(outcome) = filter.outcome {
            query.push(" AND outcome = ").push_bind(outcome.as_str());
        }
        if let Some(since) = filter.since {
            query.push(" AND last_at >= ").push_bind(row::nanos(since));
        }
        if let Some(until) = filter.until {
            query.push(" AND first_at < ").push_bind(row::nanos(until));
        }
        query
            .push(" ORDER BY id DESC LIMIT ")
            .push_bind(i64::from(limit));
        let rows = query.build().fetch_all(self.store.readers()).await?;
        rows.iter().map(read).collect()
    }

    /// From which networks somebody came.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn places(
        &self,
        kind: AccessKind,
        subject: &str,
    ) -> Result<Vec<AccessPlace>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM access_places WHERE kind = $1 AND subject = $2 ORDER BY network",
        )
        .bind(kind.as_str())
        .bind(subject)
        .fetch_all(self.store.readers())
        .await?;
        let read = |found| {
            Ok(AccessPlace {
                network: row::text(found, "network")?,
                first_at: row::time(found, "first_at")?,
                last_at: row::time(found, "last_at")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// When each of them last did what.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn uses(&self) -> Result<Vec<AccessUse>, StoreError> {
        let rows = sqlx::query("SELECT * FROM access_uses ORDER BY kind, subject, action, outcome")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read_use).collect()
    }
}

async fn put(connection: &mut AnyConnection, entry: &AccessEntry) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO access_log (id, hour, kind, subject, action, outcome, event, name, session, \
         times, first_at, last_at, resource, source, status, reason) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
         ON CONFLICT (hour, kind, subject, action, outcome, event) DO UPDATE SET \
         times = access_log.times + excluded.times, name = excluded.name, session = excluded.session, \
         last_at = excluded.last_at, resource = excluded.resource, source = excluded.source, \
         status = excluded.status, reason = excluded.reason",
    )
    .bind(entry.id.to_string())
    .bind(entry.hour())
    .bind(entry.kind.as_str())
    .bind(entry.subject.as_str())
    .bind(entry.action.as_str())
    .bind(entry.outcome.as_str())
    .bind(entry.event.map(|event| event.to_string()).unwrap_or_default())
    .bind(entry.name.as_str())
    .bind(entry.session.as_deref())
    .bind(entry.times as i64)
    .bind(row::nanos(entry.first_at))
    .bind(row::nanos(entry.last_at))
    .bind(entry.resource.as_str())
    .bind(entry.source.as_deref())
    .bind(entry.status.map(i64::from))
    .bind(entry.reason.as_deref())
    .execute(connection)
    .await?;
    Ok(())
}

async fn note_use(connection: &mut AnyConnection, entry: &AccessEntry) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO access_uses (kind, subject, action, outcome, times, first_at, last_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (kind, subject, action, outcome) DO UPDATE \
         SET times = access_uses.times + excluded.times, \
         first_at = CASE WHEN excluded.first_at < access_uses.first_at THEN excluded.first_at \
         ELSE access_uses.first_at END, \
         last_at = CASE WHEN excluded.last_at > access_uses.last_at THEN excluded.last_at \
         ELSE access_uses.last_at END",
    )
    .bind(entry.kind.as_str())
    .bind(entry.subject.as_str())
    .bind(entry.action.as_str())
    .bind(entry.outcome.as_str())
    .bind(entry.times as i64)
    .bind(row::nanos(entry.first_at))
    .bind(row::nanos(entry.last_at))
    .execute(connection)
    .await?;
    Ok(())
}

async fn note_place(connection: &mut AnyConnection, entry: &AccessEntry) -> Result<(), StoreError> {
    let is_allowed = entry.outcome == AccessOutcome::Allowed && entry.kind != AccessKind::Nobody;
    let address = entry.source.as_deref().and_then(|text| text.parse().ok());
    let Some(address) = address.filter(|_| is_allowed) else {
        return Ok(());
    };
    sqlx::query(
        "INSERT INTO access_places VALUES ($1, $2, $3, $4, $5) ON CONFLICT (kind, subject, network) \
         DO UPDATE SET last_at = CASE WHEN excluded.last_at > access_places.last_at \
         THEN excluded.last_at ELSE access_places.last_at END",
    )
    .bind(entry.kind.as_str())
    .bind(entry.subject.as_str())
    .bind(Network::neighbourhood(address).to_string())
    .bind(row::nanos(entry.first_at))
    .bind(row::nanos(entry.last_at))
    .execute(connection)
    .await?;
    Ok(())
}

fn read(found: &AnyRow) -> Result<AccessEntry, StoreError> {
    let event = row::text(found, "event")?;
    let status = found_status(found)?;
    Ok(AccessEntry {
        id: row::parse(found, "id", EventId::parse)?,
        kind: row::parse(found, "kind", AccessKind::parse)?,
        subject: row::text(found, "subject")?,
        name: row::text(found, "name")?,
        session: row::optional_text(found, "session")?,
        action: row::text(found, "action")?,
        outcome: row::parse(found, "outcome", AccessOutcome::parse)?,
        event: EventId::parse(&event).ok(),
        times: row::unsigned(found, "times")?,
        first_at: row::time(found, "first_at")?,
        last_at: row::time(found, "last_at")?,
        resource: row::text(found, "resource")?,
        source: row::optional_text(found, "source")?,
        status,
        reason: row::optional_text(found, "reason")?,
    })
}

fn found_status(found: &AnyRow) -> Result<Option<u16>, StoreError> {
    let status = row::optional_integer(found, "status")?;
    let status = status.map(u16::try_from).transpose();
    status.map_err(|error| StoreError::corrupt("status", error))
}

fn read_use(found: &AnyRow) -> Result<AccessUse, StoreError> {
    Ok(AccessUse {
        kind: row::parse(found, "kind", AccessKind::parse)?,
        subject: row::text(found, "subject")?,
        action: row::text(found, "action")?,
        outcome: row::parse(found, "outcome", AccessOutcome::parse)?,
        times: row::unsigned(found, "times")?,
        first_at: row::time(found, "first_at")?,
        last_at: row::time(found, "last_at")?,
    })
}
