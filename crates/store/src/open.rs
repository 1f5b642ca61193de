//! Opening the database: pools, pragmas, migrations, permissions.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{AnyPool, AssertSqlSafe, Connection, Row, any::AnyPoolOptions};

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
    include_str!("../migrations/sqlite/0011_passkeys.sql"),
    include_str!("../migrations/sqlite/0012_rotations.sql"),
    include_str!("../migrations/sqlite/0015_pruning.sql"),
    include_str!("../migrations/sqlite/0016_roles.sql"),
    include_str!("../migrations/sqlite/0017_access.sql"),
    include_str!("../migrations/sqlite/0018_identities.sql"),
    include_str!("../migrations/sqlite/0019_session_browser.sql"),
    include_str!("../migrations/sqlite/0021_ledger_tiles.sql"),
    include_str!("../migrations/sqlite/0020_notices.sql"),
    include_str!("../migrations/sqlite/0022_vault.sql"),
    include_str!("../migrations/sqlite/0023_ledger_personal.sql"),
    include_str!("../migrations/sqlite/0026_sealed_topics.sql"),
    include_str!("../migrations/sqlite/0028_review_plan.sql"),
    include_str!("../migrations/sqlite/0029_grant_uses.sql"),
    include_str!("../migrations/sqlite/0024_vault_clock.sql"),
    include_str!("../migrations/sqlite/0030_review_facts.sql"),
];
const READERS: u32 = 4;
/// The setting that is written to see whether writing works.
const SIGN_OF_LIFE: &str = "sign_of_life";
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

    /// Asks the database for a sign of life: whether what is written reaches the disk.
    ///
    /// # Errors
    /// When it does not answer, or cannot write.
    pub async fn ping(&self) -> Result<(), StoreError> {
        // A value that changes, so that there is something to write.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_nanos()).to_be_bytes();
        self.settings().put(SIGN_OF_LIFE, &now).await
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
        // Where the disk is full SQLite takes a transaction back by itself, and the driver goes on believing that
        // there is one: what came next would be a part of it, acknowledged and never written. Such a
        // connection is closed.
        .before_acquire(|connection, _| {
            Box::pin(async move { Ok(!connection.is_in_transaction()) })
        })
        .after_connect(|connection, _| {
            Box::pin(async move {
                // FULL: a commit is on the disk before it is acknowledged.
                sqlx::raw_sql(
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                     PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON; \
                     PRAGMA temp_store = MEMORY; PRAGMA cache_size = -32768; PRAGMA secure_delete = FAST;",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LedgerRow;

    fn entries(from: u64, count: u64) -> Vec<LedgerRow> {
        let entry = |seq| LedgerRow {
            seq,
            body: "{}".to_owned(),
            leaf: vec![0; 32],
            chain: vec![0; 32],
        };
        (from..from + count).map(entry).collect()
    }

    #[tokio::test]
    async fn what_is_acknowledged_after_a_transaction_took_itself_back_is_on_the_disk() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path()).await.expect("opens");
        let append = async |entries: &[LedgerRow]| store.journal().append(entries, &[]).await;
        // What SQLite does where a disk is full, and a driver does not hear of.
        let full = "CREATE TRIGGER full BEFORE INSERT ON ledger WHEN new.seq = 7 \
                    BEGIN SELECT RAISE(ROLLBACK, 'full'); END";
        let made = sqlx::raw_sql(full).execute(store.writer()).await;
        made.expect("makes a trigger");
        append(&entries(1, 1)).await.expect("writes");
        append(&entries(6, 2)).await.expect_err("it is full");
        append(&entries(2, 1)).await.expect("writes");
        // An act that is refused half way must not hold what comes after.
        append(&entries(1, 1))
            .await
            .expect_err("the number is taken");
        append(&entries(3, 1)).await.expect("writes");
        // Another connection sees what is committed, and nothing else.
        let seen: Vec<i64> = sqlx::query_scalar("SELECT seq FROM ledger ORDER BY seq")
            .fetch_all(store.readers())
            .await
            .expect("reads");
        assert_eq!(seen, [1, 2, 3]);
        store.ping().await.expect("writes");
    }
}
