//! The system of record on PostgreSQL: connections, migrations, and the claim that one program has on it.

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Row, any::AnyPoolOptions};

use crate::{
    DatabaseUrl, Engine, Store, StoreError,
    claim::{Claim, Turn},
    lock::DirectoryLock,
    open::Inner,
    schema,
    transaction::LOCKS,
};

/// Connections that write, and that read.
const WRITERS: u32 = 10;
const READERS: u32 = 6;
/// How long somebody waits for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Each connection: what is committed is on the disk before it is said to be, a lock is not waited for without end, a transaction whose
/// program is stuck does not hold the others up, and neither does a machine that went away without a word.
const SETTINGS: &str = "SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'; \
     SET client_min_messages = error; SET default_transaction_isolation = 'read committed'; \
     SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 11000; \
     SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

impl Store {
    /// Connects to a PostgreSQL database, makes or migrates its schema, and claims both the database and the data directory for
    /// this process alone.
    ///
    /// # Errors
    /// When the database cannot be reached or used, either is in use by another process, or the schema is of a version that this
    /// program cannot run on.
    pub async fn connect(url: &DatabaseUrl, directory: &Path) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let lock = DirectoryLock::take(directory)?;
        let store = claimed(url, Some(lock)).await?;
        if store.is_being_filled().await? {
            store.close().await;
            let why = "the database is in the middle of a migration: run `palisade migrate` again to end it";
            return Err(StoreError::Migration(why.to_owned()));
        }
        Ok(store)
    }

    /// Connects to a PostgreSQL database that an installation is to be moved to, makes its schema, and claims it.
    ///
    /// # Errors
    /// When the database cannot be reached or used, or is in use.
    pub async fn connect_to_fill(url: &DatabaseUrl) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        claimed(url, None).await
    }

    /// Connects to a PostgreSQL database for reading alone. It claims nothing and migrates nothing: repositories can be read where
    /// the schema is the one that this program knows.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn connect_to_inspect(url: &DatabaseUrl) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::raw_sql("SET default_transaction_read_only = on; SET application_name = 'palisade looks'")
                        .execute(connection)
                        .await?;
                    Ok(())
                })
            })
            .connect(url.with_password())
            .await?;
        Ok(Self {
            inner: Arc::new(Inner {
                engine: Engine::Postgres,
                writer: pool.clone(),
                readers: pool,
                claim: None,
                keys_destroyed: false.into(),
                _lock: None,
            }),
        })
    }

    /// Whether the database is still this program's alone. A connection that was lost, for instance because PostgreSQL was started
    /// again, is made anew.
    ///
    /// # Errors
    /// [`StoreError::Claimed`] when another program has claimed the database since: this one must end. Others when the database cannot be
    /// reached.
    pub async fn hold(&self) -> Result<(), StoreError> {
        match &self.inner.claim {
            Some(claim) => claim.hold().await,
            None => Ok(()),
        }
    }
}

async fn claimed(url: &DatabaseUrl, lock: Option<DirectoryLock>) -> Result<Store, StoreError> {
    let claim = Claim::take(url).await?;
    let writer = pool(WRITERS, claim.turn())
        .connect(url.with_password())
        .await?;
    migrate(&writer).await?;
    let readers = pool(READERS, claim.turn())
        .connect(url.with_password())
        .await?;
    Ok(Store {
        inner: Arc::new(Inner {
            engine: Engine::Postgres,
            writer,
            readers,
            claim: Some(claim),
            keys_destroyed: true.into(),
            _lock: lock,
        }),
    })
}

fn pool(size: u32, turn: Turn) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(size)
        .min_connections(1)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        // It shows that the connection lives. And whoever was dropped while a transaction began has left one that the driver knows nothing
        // of: what came next would be a part of it, acknowledged and never committed.
        .before_acquire(|connection, _| {
            Box::pin(async move { Ok(sqlx::raw_sql("ROLLBACK").execute(connection).await.is_ok()) })
        })
        .after_connect(move |connection, _| {
            Box::pin(async move {
                sqlx::raw_sql(SETTINGS).execute(&mut *connection).await?;
                turn.enter(connection).await
            })
        })
}

/// Brings the schema to the newest version; one program at a time.
async fn migrate(writer: &AnyPool) -> Result<(), StoreError> {
    let mut transaction = writer.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1, -1)")
        .bind(LOCKS)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "CREATE TABLE IF NOT EXISTS palisade_schema \
         (one BIGINT PRIMARY KEY CHECK (one = 1), version BIGINT NOT NULL, oldest_beside BIGINT NOT NULL)",
    )
    .execute(&mut *transaction)
    .await?;
    let (found, oldest_beside) = version(&mut transaction).await?.unwrap_or_default();
    if found > schema::NEWEST {
        // A newer program that runs beside this one has brought it further.
        return match oldest_beside <= schema::NEWEST {
            true => Ok(()),
            false => Err(StoreError::TooNew {
                found,
                known: schema::NEWEST,
            }),
        };
    }
    for (_, step) in schema::after_for_postgres(found) {
        sqlx::raw_sql(AssertSqlSafe(step))
            .execute(&mut *transaction)
            .await?;
    }
    if found < schema::NEWEST {
        sqlx::query(
            "INSERT INTO palisade_schema VALUES (1, $1, $2) ON CONFLICT (one) \
             DO UPDATE SET version = excluded.version, oldest_beside = excluded.oldest_beside",
        )
        .bind(schema::NEWEST)
        .bind(schema::OLDEST_BESIDE)
        .execute(&mut *transaction)
        .await?;
    }
    Ok(transaction.commit().await?)
}

/// The version of the schema, and the oldest that a program must know to use it; nothing where there is no schema.
pub(crate) async fn version(
    connection: &mut AnyConnection,
) -> Result<Option<(i64, i64)>, StoreError> {
    let found = sqlx::query("SELECT version, oldest_beside FROM palisade_schema WHERE one = 1")
        .fetch_optional(connection)
        .await?;
    found
        .map(|found| Ok((found.try_get(0)?, found.try_get(1)?)))
        .transpose()
}
