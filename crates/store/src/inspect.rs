//! Looking at a database without changing it, while nobody or somebody else has it open.

use std::path::Path;

use sqlx::Row;

use crate::{Store, StoreError, open};

/// What a look at a database found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The version of its schema.
    pub schema: u64,
    /// The newest version that this program knows.
    pub known: u64,
    /// What SQLite says is wrong with the file; nothing where it is sound.
    pub faults: Vec<String>,
}

impl Store {
    /// Whether a process has the data directory open.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn is_in_use(directory: &Path) -> Result<bool, StoreError> {
        if !directory.join(crate::lock::NAME).exists() {
            return Ok(false);
        }
        match crate::lock::DirectoryLock::take(directory) {
            Ok(_) => Ok(false),
            Err(StoreError::InUse(_)) => Ok(true),
            Err(other) => Err(other),
        }
    }

    /// Opens the SQLite database in a directory for reading alone. It takes no lock and migrates nothing:
    /// repositories can be read where the schema is the one that this program knows.
    ///
    /// # Errors
    /// When there is no database, or it cannot be opened.
    pub async fn open_to_inspect(directory: &Path) -> Result<Self, StoreError> {
        open::for_reading(directory).await
    }

    /// Checks the database file and its version. It reads the whole file.
    ///
    /// # Errors
    /// When the database fails; a file that is damaged beyond reading is such a failure.
    pub async fn inspect(&self) -> Result<Inspection, StoreError> {
        let found = sqlx::query("PRAGMA user_version")
            .fetch_one(self.readers())
            .await?;
        let rows = sqlx::query("PRAGMA quick_check(20)")
            .fetch_all(self.readers())
            .await?;
        let mut faults = Vec::new();
        for row in rows {
            let text: String = row.try_get(0)?;
            if text != "ok" {
                faults.push(text);
            }
        }
        let schema: i64 = found.try_get(0)?;
        Ok(Inspection {
            schema: schema.unsigned_abs(),
            known: open::SCHEMA,
            faults,
        })
    }
}
