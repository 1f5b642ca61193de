//! A copy of the database while others write to it.

use std::path::Path;

use sqlx::Row;

use crate::{ObjectState, Store, StoreError};

impl Store {
    /// Writes a copy of the SQLite database to `path`, where there is nothing yet or an empty file: the state of one
    /// moment, whoever writes meanwhile. It works on a store that was opened to inspect.
    ///
    /// # Errors
    /// When the database cannot be read or the copy not be written.
    pub async fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let Some(target) = path.to_str() else {
            return Err(StoreError::Io {
                path: path.to_owned(),
                source: std::io::Error::other("its name is not UTF-8"),
            });
        };
        // Of a connection that must not write, SQLite lets no other file be written either.
        let mut connection = self.readers().acquire().await?;
        sqlx::query("PRAGMA query_only = OFF")
            .execute(&mut *connection)
            .await?;
        let copied = sqlx::query("VACUUM INTO $1")
            .bind(target)
            .execute(&mut *connection)
            .await;
        sqlx::query("PRAGMA query_only = ON")
            .execute(&mut *connection)
            .await?;
        copied?;
        Ok(())
    }

    /// The paths of the sealed files that count.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn live_objects(&self) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("SELECT path FROM vault_objects WHERE state = $1 ORDER BY path")
            .bind(ObjectState::Live.as_str())
            .fetch_all(self.readers())
            .await?;
        let paths: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get(0)).collect();
        Ok(paths?)
    }
}
