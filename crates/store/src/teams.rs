//! Teams of people.

use palisade_core::Timestamp;
use sqlx::any::AnyRow;

use crate::{RoleAssignment, Store, StoreError, row, transaction::Lane};

/// The most teams; the list of them is held in memory.
const MAX_TEAMS: i64 = 500;

/// A team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Its name.
    pub name: String,
    /// The accounts in it.
    pub members: Vec<String>,
    /// What its members are.
    pub assignments: Vec<RoleAssignment>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The repository of teams.
#[derive(Debug)]
pub struct Teams<'a> {
    store: &'a Store,
}

impl Store {
    /// Teams of people.
    #[must_use]
    pub fn teams(&self) -> Teams<'_> {
        Teams { store: self }
    }
}

impl Teams<'_> {
    /// All of them, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self) -> Result<Vec<Team>, StoreError> {
        let rows = sqlx::query("SELECT * FROM teams ORDER BY name LIMIT 1000")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read).collect()
    }

    /// Makes a team; `false` where there is one of that name, or there are too many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add(&self, team: &Team) -> Result<bool, StoreError> {
        let statement = sqlx::query(
            "INSERT INTO teams SELECT $1, $2, $3, $4 WHERE (SELECT COUNT(*) FROM teams) < $5 \
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(team.name.as_str())
        .bind(row::to_json(&team.members, "members")?)
        .bind(row::to_json(&team.assignments, "assignments")?)
        .bind(row::nanos(team.created_at))
        .bind(MAX_TEAMS);
        let done = self.store.execute_in(Lane::People, statement).await?;
        Ok(done == 1)
    }

    /// Replaces a team's members and assignments where they are still what was looked at; `false` where
    /// somebody was faster.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replace(&self, looked_at: &Team, team: &Team) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE teams SET members = $2, assignments = $3 WHERE name = $1 AND members = $4 \
             AND assignments = $5",
        )
        .bind(team.name.as_str())
        .bind(row::to_json(&team.members, "members")?)
        .bind(row::to_json(&team.assignments, "assignments")?)
        .bind(row::to_json(&looked_at.members, "members")?)
        .bind(row::to_json(&looked_at.assignments, "assignments")?)
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Removes a team; `false` where there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove(&self, name: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM teams WHERE name = $1")
            .bind(name)
            .execute(self.store.writer())
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

fn read(found: &AnyRow) -> Result<Team, StoreError> {
    Ok(Team {
        name: row::text(found, "name")?,
        members: row::json(found, "members")?,
        assignments: row::json(found, "assignments")?,
        created_at: row::time(found, "created_at")?,
    })
}
