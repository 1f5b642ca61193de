//! That what was deleted is gone from the files of the database too, as far as the engine lets us.

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use crate::{Engine, Store, StoreError};

/// A database, or the tables of one, up to this size is written anew as a whole.
const MOST_COMPACTED: i64 = 128 * 1024 * 1024;

impl Store {
    /// From here on a deletion on this connection overwrites what it deletes, or no longer does. PostgreSQL has no such thing: there
    /// [`Store::compact`] takes its place.
    pub(crate) async fn overwrite_deleted(
        &self,
        connection: &mut AnyConnection,
        overwrite: bool,
    ) -> Result<(), StoreError> {
        if self.engine() == Engine::Sqlite {
            let pragma = match overwrite {
                true => "PRAGMA secure_delete = ON",
                false => "PRAGMA secure_delete = FAST",
            };
            sqlx::raw_sql(pragma).execute(connection).await?;
        }
        Ok(())
    }

    /// Empties the log of pages that SQLite writes ahead; `false` where somebody reads, so that it is not empty. PostgreSQL's log is its own
    /// matter: what an administrator archives of it, and for how long, is theirs to say.
    pub(crate) async fn empty_log(&self) -> Result<bool, StoreError> {
        if self.engine() == Engine::Postgres {
            return Ok(true);
        }
        let done = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(self.writer())
            .await?;
        Ok(done.try_get::<i64, _>(0)? == 0)
    }

    /// Writes the database anew without what was deleted in these tables (PostgreSQL: the tables alone) where it is small. `false` where it
    /// is not: free room in it may still hold copies.
    pub(crate) async fn compact(&self, tables: &[&str]) -> Result<bool, StoreError> {
        match self.engine() {
            Engine::Sqlite => self.compact_file().await,
            Engine::Postgres => self.compact_tables(tables).await,
        }
    }

    /// The same for the keys of the vault, which SQLite overwrites in their place.
    pub(crate) async fn compact_keys(&self) -> Result<(), StoreError> {
        if self.engine() == Engine::Postgres {
            self.compact_tables(&["vault_objects", "vault_keys"])
                .await?;
        }
        Ok(())
    }

    async fn compact_file(&self) -> Result<bool, StoreError> {
        let pages: i64 = sqlx::query("PRAGMA page_count")
            .fetch_one(self.writer())
            .await?
            .try_get(0)?;
        let size: i64 = sqlx::query("PRAGMA page_size")
            .fetch_one(self.writer())
            .await?
            .try_get(0)?;
        let is_small = pages.saturating_mul(size) <= MOST_COMPACTED;
        if is_small {
            sqlx::raw_sql("VACUUM").execute(self.writer()).await?;
        }
        Ok(is_small)
    }

    async fn compact_tables(&self, tables: &[&str]) -> Result<bool, StoreError> {
        let mut are_small = true;
        for table in tables {
            let size: i64 = sqlx::query("SELECT pg_total_relation_size($1::regclass)")
                .bind(*table)
                .fetch_one(self.writer())
                .await?
                .try_get(0)?;
            let is_small = size <= MOST_COMPACTED;
            let how = if is_small {
                "VACUUM (FULL) "
            } else {
                "VACUUM "
            };
            sqlx::raw_sql(AssertSqlSafe(format!("{how}{table}")))
                .execute(self.writer())
                .await?;
            are_small &= is_small;
        }
        Ok(are_small)
    }
}
