//! Looking at a database without changing it, while nobody or somebody else has it open.

use std::path::Path;

use sqlx::Row;

use crate::{Engine, Store, StoreError, lock::DirectoryLock, open, postgres, schema};

/// What a look at a database found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The version of its schema.
    pub schema: u64,
    /// The newest version that this program knows.
    pub known: u64,
    /// What SQLite says is wrong with the file, or how PostgreSQL is set up so that it may lose what it acknowledged; nothing where it
    /// is sound.
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
        match DirectoryLock::take(directory) {
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
        open::for_reading(directory, None).await
    }

    /// Opens the SQLite database in a directory to move it elsewhere, for reading alone. Says whether no server has it open: none is let in
    /// then as long as this is.
    ///
    /// # Errors
    /// When there is no database, or it cannot be opened.
    pub async fn open_to_leave(directory: &Path) -> Result<(Self, bool), StoreError> {
        let lock = match DirectoryLock::take(directory) {
            Ok(lock) => Some(lock),
            Err(StoreError::InUse(_)) => None,
            Err(other) => return Err(other),
        };
        let is_alone = lock.is_some();
        Ok((open::for_reading(directory, lock).await?, is_alone))
    }

    /// Checks the database and its version. Of SQLite it reads the whole file.
    ///
    /// # Errors
    /// When the database fails; a file that is damaged beyond reading is such a failure.
    pub async fn inspect(&self) -> Result<Inspection, StoreError> {
        if self.engine() == Engine::Postgres {
            return self.inspect_server().await;
        }
        let schema = self.schema().await?;
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
        Ok(Inspection {
            schema,
            known: schema::NEWEST.unsigned_abs(),
            faults,
        })
    }

    /// The version of a SQLite file's schema.
    pub(crate) async fn schema(&self) -> Result<u64, StoreError> {
        let found = sqlx::query("PRAGMA user_version")
            .fetch_one(self.readers())
            .await?;
        Ok(found.try_get::<i64, _>(0)?.unsigned_abs())
    }

    async fn inspect_server(&self) -> Result<Inspection, StoreError> {
        let mut connection = self.readers().acquire().await?;
        let there = sqlx::query("SELECT to_regclass('palisade_schema') IS NOT NULL")
            .fetch_one(&mut *connection)
            .await?;
        let version = match there.try_get(0)? {
            true => postgres::version(&mut connection).await?,
            false => None,
        };
        let mut faults = Vec::new();
        for (setting, why) in [
            ("fsync", "a power cut can damage the database"),
            ("full_page_writes", "a power cut can damage the database"),
        ] {
            let value: String = sqlx::query("SELECT current_setting($1)")
                .bind(setting)
                .fetch_one(&mut *connection)
                .await?
                .try_get(0)?;
            if value == "off" {
                faults.push(format!("the server runs with {setting} = off: {why}"));
            }
        }
        Ok(Inspection {
            schema: version.map_or(0, |(version, _)| version.unsigned_abs()),
            known: schema::NEWEST.unsigned_abs(),
            faults,
        })
    }
}
