//! Grants, and the epoch that policies and grants share.

use std::{collections::HashMap, num::NonZeroU16};

use palisade_core::{
    DeviceId, Epoch, Grant, GrantActions, GrantId, GrantScope, ProductId, SegmentId, ServiceId,
    Timestamp, TopicPattern,
};
use sqlx::{Row, any::AnyRow};

use crate::{Store, StoreError, row, transaction::Lane};

/// The repository of grants.
#[derive(Debug)]
pub struct Grants<'a> {
    store: &'a Store,
}

impl Store {
    /// Grants.
    #[must_use]
    pub fn grants(&self) -> Grants<'_> {
        Grants { store: self }
    }

    /// Moves the policy epoch forward and returns the new one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_policy_epoch(&self) -> Result<Epoch, StoreError> {
        let moved = sqlx::query(
            "INSERT INTO counters (name, value) VALUES ('policy_epoch', 2) \
             ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value",
        )
        .fetch_one(self.writer())
        .await?;
        Ok(Epoch(moved.try_get::<i64, _>(0)? as u64))
    }

    /// The policy epoch.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn policy_epoch(&self) -> Result<Epoch, StoreError> {
        let found = sqlx::query("SELECT value FROM counters WHERE name = 'policy_epoch'")
            .fetch_optional(self.readers())
            .await?;
        found.map_or(Ok(Epoch(1)), |found| {
            Ok(Epoch(row::unsigned(&found, "value")?))
        })
    }
}

impl Grants<'_> {
    /// Adds a grant.
    ///
    /// # Errors
    /// When its id is taken, or the database fails.
    pub async fn add(&self, grant: &Grant) -> Result<(), StoreError> {
        let actions = grant.actions;
        sqlx::query("INSERT INTO grants VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
            .bind(grant.id.to_string())
            .bind(grant.scope.kind())
            .bind(grant.scope.id())
            .bind(grant.pattern.as_str())
            .bind(i64::from(actions.publish))
            .bind(i64::from(actions.subscribe))
            .bind(i64::from(actions.receive))
            .bind(i64::from(actions.retain))
            .bind(row::nanos(grant.created_at))
            .bind(actions.keep_days.map_or(0, |days| i64::from(days.get())))
            .bind(i64::from(actions.sealed))
            .execute(self.store.writer())
            .await
            .map_err(|error| StoreError::on_insert(error, || format!("grant {}", grant.id)))?;
        Ok(())
    }

    /// Notes that grants were used, and from when on that is noted at all.
    ///
    /// # Errors
    /// When the database fails; nothing is noted then.
    pub async fn touch(&self, used: &[GrantId], at: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Policy).await?;
        sqlx::query("INSERT INTO grant_uses VALUES ('', $1) ON CONFLICT DO NOTHING")
            .bind(row::nanos(at))
            .execute(&mut *transaction)
            .await?;
        for grant in used {
            sqlx::query(
                "INSERT INTO grant_uses VALUES ($1, $2) ON CONFLICT (grant_id) DO UPDATE \
                 SET last_at = excluded.last_at",
            )
            .bind(grant.to_string())
            .bind(row::nanos(at))
            .execute(&mut *transaction)
            .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// When grants were last used, by name; under the empty one, since when that is noted.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn uses(&self) -> Result<HashMap<String, Timestamp>, StoreError> {
        let rows = sqlx::query("SELECT * FROM grant_uses")
            .fetch_all(self.store.readers())
            .await?;
        let read = |found| Ok((row::text(found, "grant_id")?, row::time(found, "last_at")?));
        rows.iter().map(read).collect()
    }

    /// Removes a grant; `false` where there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove(&self, id: GrantId) -> Result<bool, StoreError> {
        let mut transaction = self.store.begin(Lane::Policy).await?;
        let done = sqlx::query("DELETE FROM grants WHERE id = $1")
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM grant_uses WHERE grant_id = $1")
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// All grants, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn all(&self) -> Result<Vec<Grant>, StoreError> {
        let rows = sqlx::query("SELECT * FROM grants ORDER BY id")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read).collect()
    }
}

fn read(found: &AnyRow) -> Result<Grant, StoreError> {
    Ok(Grant {
        id: row::parse(found, "id", GrantId::parse)?,
        scope: scope(found)?,
        pattern: row::parse(found, "pattern", TopicPattern::parse)?,
        actions: GrantActions {
            publish: row::flag(found, "publish")?,
            subscribe: row::flag(found, "subscribe")?,
            receive: row::flag(found, "receive")?,
            retain: row::flag(found, "retain")?,
            keep_days: keep_days(found)?,
            sealed: row::flag(found, "sealed")?,
        },
        created_at: row::time(found, "created_at")?,
    })
}

/// None where the column says 0.
fn keep_days(found: &AnyRow) -> Result<Option<NonZeroU16>, StoreError> {
    const COLUMN: &str = "keep_days";
    let days = u16::try_from(row::unsigned(found, COLUMN)?);
    days.map(NonZeroU16::new)
        .map_err(|error| StoreError::corrupt(COLUMN, error))
}

fn scope(found: &AnyRow) -> Result<GrantScope, StoreError> {
    const COLUMN: &str = "scope_id";
    match row::text(found, "scope_kind")?.as_str() {
        "fleet" => Ok(GrantScope::Fleet),
        "product" => row::parse(found, COLUMN, ProductId::parse).map(GrantScope::Product),
        "segment" => row::parse(found, COLUMN, SegmentId::parse).map(GrantScope::Segment),
        "device" => row::parse(found, COLUMN, DeviceId::parse).map(GrantScope::Device),
        "service" => row::parse(found, COLUMN, ServiceId::parse).map(GrantScope::Service),
        other => Err(StoreError::corrupt(
            "scope_kind",
            format!("no scope is called {other:?}"),
        )),
    }
}
