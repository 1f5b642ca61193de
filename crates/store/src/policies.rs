//! Versions of the policies.

use palisade_core::Timestamp;
use sqlx::any::AnyRow;

use crate::{Store, StoreError, row};

/// One version of the policies: the text in force from its time on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersion {
    /// 1, 2, 3, ...
    pub version: u64,
    /// The Cedar text.
    pub text: String,
    /// The table of tests that it passed.
    pub tests: String,
    /// Who applied it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// When.
    pub applied_at: Timestamp,
}

/// The repository of policy versions.
#[derive(Debug)]
pub struct Policies<'a> {
    store: &'a Store,
}

impl Store {
    /// Policy versions.
    #[must_use]
    pub fn policies(&self) -> Policies<'_> {
        Policies { store: self }
    }
}

impl Policies<'_> {
    /// Writes a version down; its number must be the one after the newest.
    ///
    /// # Errors
    /// When the number is taken (somebody was faster), or the database fails.
    pub async fn add(&self, version: &PolicyVersion) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO policies VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(version.version as i64)
            .bind(version.text.as_str())
            .bind(version.tests.as_str())
            .bind(version.author.as_str())
            .bind(version.reason.as_str())
            .bind(row::nanos(version.applied_at))
            .execute(self.store.writer())
            .await
            .map_err(|error| {
                StoreError::on_insert(error, || format!("policy version {}", version.version))
            })?;
        Ok(())
    }

    /// The newest version.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn current(&self) -> Result<Option<PolicyVersion>, StoreError> {
        let mut newest = self.newest(1).await?;
        Ok(newest.pop())
    }

    /// One version.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, version: u64) -> Result<Option<PolicyVersion>, StoreError> {
        sqlx::query("SELECT * FROM policies WHERE version = $1")
            .bind(version as i64)
            .fetch_optional(self.store.readers())
            .await?
            .map(|found| read(&found))
            .transpose()
    }

    /// The newest versions, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn newest(&self, limit: u32) -> Result<Vec<PolicyVersion>, StoreError> {
        let rows = sqlx::query("SELECT * FROM policies ORDER BY version DESC LIMIT $1")
            .bind(i64::from(limit))
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read).collect()
    }
}

fn read(found: &AnyRow) -> Result<PolicyVersion, StoreError> {
    Ok(PolicyVersion {
        version: row::unsigned(found, "version")?,
        text: row::text(found, "text")?,
        tests: row::text(found, "tests")?,
        author: row::text(found, "author")?,
        reason: row::text(found, "reason")?,
        applied_at: row::time(found, "applied_at")?,
    })
}
