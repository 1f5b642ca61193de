//! Opening the SQLite database: pools, pragmas, migrations, permissions.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use sqlx::{AnyPool, AssertSqlSafe, Connection, Row, any::AnyPoolOptions};

use crate::{StoreError, claim::Claim, lock::DirectoryLock, schema};

const READERS: u32 = 4;
/// The setting that is written to see whether writing works.
const SIGN_OF_LIFE: &str = "sign_of_life";

/// What holds the system of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file in the data directory.
    Sqlite,
    /// A server.
    Postgres,
}

/// The open system of record; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) engine: Engine,
    // SQLite has one writer; waiting for it in a queue of our own is fairer than its busy handler.
    pub(crate) writer: AnyPool,
    pub(crate) readers: AnyPool,
    /// Of a database that others could claim too.
    pub(crate) claim: Option<Claim>,
    /// Whether keys were destroyed that PostgreSQL's tables may still have copies of.
    pub(crate) keys_destroyed: AtomicBool,
    // Nobody holds it who only reads.
    pub(crate) _lock: Option<DirectoryLock>,
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
                engine: Engine::Sqlite,
                writer,
                readers,
                claim: None,
                keys_destroyed: AtomicBool::new(false),
                _lock: Some(lock),
            }),
        })
    }

    /// What holds it.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.inner.engine
    }

    pub(crate) fn writer(&self) -> &AnyPool {
        &self.inner.writer
    }

    pub(crate) fn readers(&self) -> &AnyPool {
        &self.inner.readers
    }

    /// Asks the database for a sign of life: whether it is still ours, and whether what is written reaches the disk.
    ///
    /// # Errors
    /// When it does not answer, is another program's, or cannot write.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.hold().await?;
        // A value that changes, so that there is something to write.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_nanos()).to_be_bytes();
        self.settings().put(SIGN_OF_LIFE, &now).await
    }

    /// Whether no installation has written anything here yet.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_new(&self) -> Result<bool, StoreError> {
        let found = sqlx::query("SELECT COUNT(*) FROM settings WHERE name <> $1")
            .bind(SIGN_OF_LIFE)
            .fetch_one(self.writer())
            .await?;
        Ok(found.try_get::<i64, _>(0)? == 0)
    }

    /// Closes all connections; what was written is in the database file proper.
    pub async fn close(&self) {
        self.inner.readers.close().await;
        self.inner.writer.close().await;
        if let Some(claim) = &self.inner.claim {
            claim.release().await;
        }
    }
}

/// Opens the database for reading alone.
pub(crate) async fn for_reading(
    directory: &Path,
    lock: Option<DirectoryLock>,
) -> Result<Store, StoreError> {
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
            engine: Engine::Sqlite,
            claim: None,
            keys_destroyed: AtomicBool::new(false),
            writer: pool.clone(),
            readers: pool,
            _lock: lock,
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
    let known = schema::NEWEST;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for (version, step) in schema::after(found) {
        let mut transaction = writer.begin().await?;
        sqlx::raw_sql(step).execute(&mut *transaction).await?;
        let version = format!("PRAGMA user_version = {version}");
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
    async fn others_cannot_read_the_database() {
        let directory = tempfile::tempdir().expect("a directory");
        let _store = Store::open(directory.path()).await.expect("opens");
        let metadata = std::fs::metadata(directory.path().join("palisade.db")).expect("there");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
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
