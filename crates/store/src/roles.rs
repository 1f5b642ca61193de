//! Roles that people wrote, and what accounts are within bounds or for a time.

use palisade_core::{Device, ProductId, SegmentId, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use crate::{Store, StoreError, row, transaction::Lane};

/// The most roles that people may write; the list of them is held in memory.
const MAX_ROLES: i64 = 200;

/// A role that people wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRecord {
    /// Its name.
    pub name: String,
    /// What people read.
    pub description: String,
    /// Its policies.
    pub cedar: String,
    /// How often it was written.
    pub version: u64,
    /// When it was last written.
    pub changed_at: Timestamp,
    /// By whom.
    pub changed_by: String,
}

/// To which devices an assignment is bound: to those of which all of this is true.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// In this segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<SegmentId>,
    /// Of this product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductId>,
    /// With this label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<LabelBound>,
}

/// A label and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelBound {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl Bounds {
    /// Whether a device is within them.
    #[must_use]
    pub fn hold(&self, device: &Device) -> bool {
        self.segment
            .as_ref()
            .is_none_or(|segment| *segment == device.posture.segment)
            && self
                .product
                .as_ref()
                .is_none_or(|product| *product == device.product)
            && self.label.as_ref().is_none_or(|label| {
                device
                    .labels
                    .iter()
                    .any(|(key, value)| key == label.key && value == label.value)
            })
    }
}

/// What somebody is, where, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleAssignment {
    /// The role.
    pub role: String,
    /// Where; everywhere if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Bounds>,
    /// Until when; for good if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// The repository of roles.
#[derive(Debug)]
pub struct Roles<'a> {
    store: &'a Store,
}

impl Store {
    /// Roles that people wrote.
    #[must_use]
    pub fn roles(&self) -> Roles<'_> {
        Roles { store: self }
    }
}

impl Roles<'_> {
    /// All of them, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self) -> Result<Vec<RoleRecord>, StoreError> {
        let rows = sqlx::query("SELECT * FROM roles ORDER BY name LIMIT 1000")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read).collect()
    }

    /// Writes a role down: a new one, where `replaced` is none and there is no such role and room for it, or
    /// a new version of the one that was looked at. The version of the record is not looked at. `false`
    /// where it is not so.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put(&self, role: &RoleRecord, replaced: Option<u64>) -> Result<bool, StoreError> {
        let mut transaction = self.store.begin(Lane::People).await?;
        // Versions go on where a role of that name was removed: history is not written over.
        let before =
            sqlx::query("SELECT COALESCE(MAX(version), 0) AS n FROM role_versions WHERE name = $1")
                .bind(role.name.as_str())
                .fetch_one(&mut *transaction)
                .await?;
        let version = row::integer(&before, "n")? + 1;
        let done = match replaced {
            None => sqlx::query(
                "INSERT INTO roles SELECT $1, $2, $3, $4, $5, $6 \
                     WHERE (SELECT COUNT(*) FROM roles) < $7 ON CONFLICT (name) DO NOTHING",
            ),
            Some(_) => sqlx::query(
                "UPDATE roles SET description = $2, cedar = $3, version = $4, changed_at = $5, \
                 changed_by = $6 WHERE name = $1 AND version = $7",
            ),
        }
        .bind(role.name.as_str())
        .bind(role.description.as_str())
        .bind(role.cedar.as_str())
        .bind(version)
        .bind(row::nanos(role.changed_at))
        .bind(role.changed_by.as_str())
        .bind(replaced.map_or(MAX_ROLES, |version| version as i64))
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        sqlx::query("INSERT INTO role_versions VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(role.name.as_str())
            .bind(version)
            .bind(role.description.as_str())
            .bind(role.cedar.as_str())
            .bind(row::nanos(role.changed_at))
            .bind(role.changed_by.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Removes a role; its versions stay. `false` where there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove(&self, name: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM roles WHERE name = $1")
            .bind(name)
            .execute(self.store.writer())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// What accounts are besides their plain roles, by account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn assignments(&self) -> Result<Vec<(String, Vec<RoleAssignment>)>, StoreError> {
        let rows = sqlx::query("SELECT * FROM account_assignments")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter()
            .map(|found| {
                Ok((
                    row::text(found, "account")?,
                    row::json(found, "assignments")?,
                ))
            })
            .collect()
    }
}

fn read(found: &AnyRow) -> Result<RoleRecord, StoreError> {
    Ok(RoleRecord {
        name: row::text(found, "name")?,
        description: row::text(found, "description")?,
        cedar: row::text(found, "cedar")?,
        version: row::unsigned(found, "version")?,
        changed_at: row::time(found, "changed_at")?,
        changed_by: row::text(found, "changed_by")?,
    })
}
