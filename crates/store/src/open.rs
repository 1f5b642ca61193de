//! Opening the database: pools, pragmas, migrations, permissions.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{AnyPool, AssertSqlSafe, Row, any::AnyPoolOptions};

use crate::{StoreError, lock::DirectoryLock};

/// The schema, one step a file, in order.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/sqlite/0001_spine.sql"),
    include_str!("../migrations/sqlite/0002_device_imports.sql"),
    include_str!("../migrations/sqlite/0003_findings.sql"),
    include_str!("../migrations/sqlite/0004_baselines.sql"),
    include_str!("../migrations/sqlite/0005_responses.sql"),
    include_str!("../migrations/sqlite/0006_exports.sql"),
    include_str!("../migrations/sqlite/0007_audits.sql"),
    include_str!("../migrations/sqlite/0008_drills.sql"),
    include_str!("../migrations/sqlite/0009_people.sql"),
    include_str!("../migrations/sqlite/0010_device_search.sql"),
];
const READERS: u32 = 4;
/// The newest version of the schema.
pub(crate) const SCHEMA: u64 = MIGRATIONS.len() as u64;

/// The open system of record; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    // SQLite has one writer; waiting for it in a queue of our own is fairer than its busy handler.
    writer: AnyPool,
    readers: AnyPool,
    // Nobody holds it who only reads.
    _lock: Option<DirectoryLock>,
}

impl Store {
    /// Opens (and creates or migrates) the SQLite database in a directory, for this process alone.
    ///
    /// # Errors
    /// When the directory cannot be used, is in use by another process, or holds a database written by
    /// a newer version.
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let lock = DirectoryLock::take(directory)?;
        let path = directory.join("palisade.db");
        create_private(&path)?;
        let url = format!("sqlite://{}", path.display());
        let writer = pool(1).connect(&url).await?;
        migrate(&writer).await?;
        let readers = pool(READERS).connect(&url).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                writer,
                readers,
                _lock: Some(lock),
            }),
        })
    }

    pub(crate) fn writer(&self) -> &AnyPool {
        &self.inner.writer
    }

    pub(crate) fn readers(&self) -> &AnyPool {
        &self.inner.readers
    }

    /// Asks the database for a sign of life, through the writer.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(self.writer()).await?;
        Ok(())
    }

    /// Closes all connections; what was written is in the database file proper.
    pub async fn close(&self) {
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }
}

/// Opens the database for reading alone, without a lock.
pub(crate) async fn for_reading(directory: &Path) -> Result<Store, StoreError> {
    sqlx::any::install_default_drivers();
    let path = directory.join("palisade.db");
    let pool = AnyPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(30))
        .after_connect(|connection, _| {
            Box::pin(async move {
                sqlx::raw_sql("PRAGMA busy_timeout = 10000; PRAGMA query_only = ON;")
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .connect(&format!("sqlite://{}?mode=rw", path.display()))
        .await?;
    Ok(Store {
        inner: Arc::new(Inner {
            writer: pool.clone(),
            readers: pool,
            _lock: None,
        }),
    })
}

fn create_private(path: &Path) -> Result<(), StoreError> {
    let io = |source| StoreError::Io {
        path: PathBuf::from(path),
        source,
    };
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(io)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(io)
}

fn pool(size: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(size)
        .min_connections(size)
        .acquire_timeout(Duration::from_secs(30))
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                // FULL: a commit is on the disk before it is acknowledged.
                sqlx::raw_sql(
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                     PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON; \
                     PRAGMA temp_store = MEMORY; PRAGMA cache_size = -32768;",
                )
                .execute(connection)
                .await?;
                Ok(())
            })
        })
}

async fn migrate(writer: &AnyPool) -> Result<(), StoreError> {
    let found: i64 = sqlx::query("PRAGMA user_version")
        .fetch_one(writer)
        .await?
        .try_get(0)?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for (index, step) in MIGRATIONS.iter().enumerate().skip(found as usize) {
        let mut transaction = writer.begin().await?;
        sqlx::raw_sql(*step).execute(&mut *transaction).await?;
        let version = format!("PRAGMA user_version = {}", index + 1);
        sqlx::raw_sql(AssertSqlSafe(version))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
    Ok(())
}
