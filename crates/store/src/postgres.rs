//! The system of record on PostgreSQL: connections, migrations, and the claim that one program has on it.

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{
    AnyConnection, AnyPool, AssertSqlSafe, Connection, Row,
    any::{AnyPoolOptions, AnyRow},
};
use tokio::sync::Mutex;

use crate::{
    DatabaseUrl, Engine, Store, StoreError, lock::DirectoryLock, open::Inner, schema,
    transaction::LOCKS,
};

/// Connections that write, and that read.
const WRITERS: u32 = 6;
const READERS: u32 = 6;
/// How long somebody waits for a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// The oldest server that does, as `server_version_num` has it.
const OLDEST_SERVER: i64 = 140_000;

/// Each connection: what is committed is on the disk before it is said to be, a lock is not waited for without end, and a
/// transaction whose program is stuck does not hold the others up.
const SETTINGS: &str = "SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'; \
     SET client_min_messages = warning; SET default_transaction_isolation = 'read committed'; \
     SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// The connection that holds the claim: the server notices within seconds that a machine went away without a word, and lets the next one in.
const CLAIM_SETTINGS: &str = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; \
     SET tcp_keepalives_count = 3; SET idle_session_timeout = 0";
/// How long the server may take to say that the claim holds.
const CLAIM_PATIENCE: Duration = Duration::from_secs(5);

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
                    sqlx::raw_sql("SET default_transaction_read_only = on")
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
    let writer = pool(WRITERS).connect(url.with_password()).await?;
    migrate(&writer).await?;
    let readers = pool(READERS).connect(url.with_password()).await?;
    Ok(Store {
        inner: Arc::new(Inner {
            engine: Engine::Postgres,
            writer,
            readers,
            claim: Some(claim),
            _lock: lock,
        }),
    })
}

fn pool(size: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(size)
        .min_connections(1)
        .acquire_timeout(PATIENCE)
        .after_connect(|connection, _| {
            Box::pin(async move {
                sqlx::raw_sql(SETTINGS).execute(connection).await?;
                Ok(())
            })
        })
}

/// A lock that lasts as long as its connection.
#[derive(Debug)]
pub(crate) struct Claim {
    url: DatabaseUrl,
    connection: Mutex<Option<AnyConnection>>,
}

impl Claim {
    async fn take(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let connection = claim(url).await?;
        Ok(Self {
            url: url.clone(),
            connection: Mutex::new(Some(connection)),
        })
    }

    async fn hold(&self) -> Result<(), StoreError> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = held.as_mut() {
            let answered = tokio::time::timeout(CLAIM_PATIENCE, connection.ping()).await;
            if matches!(answered, Ok(Ok(()))) {
                return Ok(());
            }
            *held = None;
        }
        let claimed = tokio::time::timeout(CLAIM_PATIENCE, claim(&self.url)).await;
        *held = Some(claimed.map_err(|_| sqlx::Error::PoolTimedOut)??);
        Ok(())
    }

    pub(crate) async fn release(&self) {
        if let Some(connection) = self.connection.lock().await.take() {
            // A connection that cannot be closed in order is closed by its end.
            let _ = connection.close().await;
        }
    }
}

async fn claim(url: &DatabaseUrl) -> Result<AnyConnection, StoreError> {
    let mut connection = AnyConnection::connect(url.with_password()).await?;
    let version: i64 = one(
        &mut connection,
        "SELECT CAST(current_setting('server_version_num') AS BIGINT)",
    )
    .await?
    .try_get(0)?;
    if version < OLDEST_SERVER {
        return Err(StoreError::OldServer { found: version });
    }
    let taken: bool = sqlx::query(
        "SELECT pg_try_advisory_lock($1, -1 - abs(hashtext(current_schema()) % 1000000))",
    )
    .bind(LOCKS)
    .fetch_one(&mut connection)
    .await?
    .try_get(0)?;
    if taken {
        sqlx::raw_sql(CLAIM_SETTINGS)
            .execute(&mut connection)
            .await?;
        Ok(connection)
    } else {
        Err(StoreError::Claimed(url.to_string()))
    }
}

async fn one(connection: &mut AnyConnection, query: &'static str) -> Result<AnyRow, StoreError> {
    Ok(sqlx::query(query).fetch_one(connection).await?)
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
