//! That what was deleted is gone from the files of the database too, as far as the engine lets us.

use std::sync::atomic::Ordering;

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

    /// The same for the keys of the vault, where some were destroyed since; SQLite overwrites them in their place. `false` where somebody
    /// reads the tables, so that they cannot be written anew now.
    pub(crate) async fn compact_keys(&self) -> Result<bool, StoreError> {
        let destroyed = &self.inner.keys_destroyed;
        if self.engine() == Engine::Sqlite || !destroyed.swap(false, Ordering::SeqCst) {
            return Ok(true);
        }
        let compacted = self.compact_tables(&["vault_objects", "vault_keys"]).await;
        if !matches!(compacted, Ok(true)) {
            destroyed.store(true, Ordering::SeqCst);
        }
        match compacted {
            // Somebody holds a table: `lock_not_available`.
            Err(StoreError::Database(sqlx::Error::Database(error)))
                if error.code().as_deref() == Some("55P03") =>
            {
                Ok(false)
            }
            other => other,
        }
    }

    /// Notes that a key of the vault was destroyed.
    pub(crate) fn key_was_destroyed(&self) {
        self.inner.keys_destroyed.store(true, Ordering::SeqCst);
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
        let mut connection = self.writer().acquire().await?;
        // Whoever waits for a table holds up those who come after.
        sqlx::raw_sql("SET lock_timeout = '3s'")
            .execute(&mut *connection)
            .await?;
        let done = async {
            for table in tables {
                are_small &= compact_table(&mut connection, table).await?;
            }
            Ok(are_small)
        }
        .await;
        sqlx::raw_sql("SET lock_timeout = '30s'")
            .execute(&mut *connection)
            .await?;
        done
    }
}

/// Writes a table of PostgreSQL anew; `false` where it is large, and room in it was only freed.
async fn compact_table(connection: &mut AnyConnection, table: &str) -> Result<bool, StoreError> {
    let size: i64 = sqlx::query("SELECT pg_total_relation_size($1::regclass)")
        .bind(table)
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    let is_small = size <= MOST_COMPACTED;
    let how = if is_small {
        "VACUUM (FULL) "
    } else {
        "VACUUM "
    };
    sqlx::raw_sql(AssertSqlSafe(format!("{how}{table}")))
        .execute(connection)
        .await?;
    Ok(is_small)
}
