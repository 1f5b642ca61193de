//! The claim that one program has on a PostgreSQL database: an advisory lock that lasts as long as its connection, and a number that
//! says whose turn it is. Who takes the claim ends the connections of who had it before, and these cannot be made anew.

use std::time::Duration;

use sqlx::{AnyConnection, Connection, Row};
use tokio::sync::Mutex;

use crate::{DatabaseUrl, StoreError, transaction::LOCKS};

/// The oldest server that does, as `server_version_num` has it.
const OLDEST_SERVER: i64 = 140_000;
/// The connection that holds the claim: the server notices within seconds that a machine went away without a word, and lets the next one in.
const SETTINGS: &str = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; \
     SET tcp_user_timeout = 11000; SET idle_session_timeout = 0; SET client_min_messages = error";
/// How long the server may take to say that the claim holds, and to give it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often, and after how long, a lock is tried that our own lost connection still has.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(200);
/// Marks connections as ours, for who comes after us.
const NAME: &str =
    "SELECT set_config('application_name', left('palisade ' || current_schema(), 60), false)";

/// Whose turn a database is: what a connection must see to be one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn(i64);

impl Turn {
    /// Makes a new connection one of ours, or refuses it because the database is another's by now.
    pub(crate) async fn enter(self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        sqlx::query(NAME).execute(&mut *connection).await?;
        match turn(connection).await? {
            Some(found) if found == self => Ok(()),
            _ => Err(sqlx::Error::Configuration(
                "another palisade has claimed the database".into(),
            )),
        }
    }
}

async fn turn(connection: &mut AnyConnection) -> Result<Option<Turn>, sqlx::Error> {
    let found = sqlx::query("SELECT turn FROM palisade_claim WHERE one = 1")
        .fetch_optional(connection)
        .await?;
    found.map(|row| Ok(Turn(row.try_get(0)?))).transpose()
}

/// The claim.
#[derive(Debug)]
pub(crate) struct Claim {
    url: DatabaseUrl,
    turn: Turn,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    connection: Option<AnyConnection>,
    /// Processes of the server that were ours and may not have ended yet.
    backends: Vec<i64>,
}

impl Claim {
    /// Takes the claim, and ends what is left of who had it before.
    pub(crate) async fn take(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let mut held = Held::default();
        let mut connection = lock(url, &mut held).await?;
        sqlx::raw_sql("CREATE TABLE IF NOT EXISTS palisade_claim (one BIGINT PRIMARY KEY CHECK (one = 1), turn BIGINT NOT NULL)")
            .execute(&mut connection)
            .await?;
        let next = sqlx::query(
            "INSERT INTO palisade_claim VALUES (1, 1) ON CONFLICT (one) \
             DO UPDATE SET turn = palisade_claim.turn + 1 RETURNING turn",
        )
        .fetch_one(&mut connection)
        .await?;
        let turn = Turn(next.try_get(0)?);
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
             AND usename = current_user AND application_name = left('palisade ' || current_schema(), 60) \
             AND pid <> pg_backend_pid()",
        )
        .execute(&mut connection)
        .await?;
        held.connection = Some(connection);
        Ok(Self {
            url: url.clone(),
            turn,
            held: Mutex::new(held),
        })
    }

    /// Whose turn it is as long as the claim is ours.
    pub(crate) fn turn(&self) -> Turn {
        self.turn
    }

    /// Sees that the claim is still ours; takes it again where its connection was lost.
    pub(crate) async fn hold(&self) -> Result<(), StoreError> {
        let mut held = self.held.lock().await;
        if let Some(connection) = held.connection.as_mut() {
            let answered = tokio::time::timeout(PATIENCE, connection.ping()).await;
            if matches!(answered, Ok(Ok(()))) {
                return Ok(());
            }
            held.connection = None;
        }
        let mut connection = lock(&self.url, &mut held).await?;
        if turn(&mut connection).await? != Some(self.turn) {
            return Err(StoreError::Claimed(self.url.to_string()));
        }
        held.connection = Some(connection);
        let before = held.backends.len().saturating_sub(1);
        held.backends.drain(..before);
        Ok(())
    }

    pub(crate) async fn release(&self) {
        if let Some(connection) = self.held.lock().await.connection.take() {
            // A connection that cannot be closed in order is closed by its end.
            let _ = connection.close().await;
        }
    }
}

/// Connects, and takes the lock; one that a lost connection of our own still has is taken from it.
async fn lock(url: &DatabaseUrl, held: &mut Held) -> Result<AnyConnection, StoreError> {
    let connected =
        tokio::time::timeout(PATIENCE, AnyConnection::connect(url.with_password())).await;
    let mut connection = connected.map_err(|_| sqlx::Error::PoolTimedOut)??;
    let about = sqlx::query(
        "SELECT CAST(current_setting('server_version_num') AS BIGINT), CAST(pg_backend_pid() AS BIGINT), \
         current_schema() IS NULL",
    )
    .fetch_one(&mut connection)
    .await?;
    let version: i64 = about.try_get(0)?;
    if version < OLDEST_SERVER {
        return Err(StoreError::OldServer { found: version });
    }
    if about.try_get(2)? {
        let why = "the search_path names no schema that is there".into();
        return Err(sqlx::Error::Configuration(why).into());
    }
    // Before the lock: whoever is dropped while it is taken must know it for their own.
    held.backends.push(about.try_get(1)?);
    sqlx::raw_sql(SETTINGS).execute(&mut connection).await?;
    for _ in 0..TRIES {
        let taken = sqlx::query(
            "SELECT pg_try_advisory_lock($1, -2 - abs(hashtext(current_schema()) % 1000000))",
        )
        .bind(LOCKS)
        .fetch_one(&mut connection)
        .await?;
        if taken.try_get(0)? {
            return Ok(connection);
        }
        match holder(&mut connection).await? {
            Some(other) if !held.backends.contains(&other) => break,
            Some(own) => {
                sqlx::query("SELECT pg_terminate_backend(CAST($1 AS INTEGER))")
                    .bind(own)
                    .execute(&mut connection)
                    .await?;
            }
            None => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(StoreError::Claimed(url.to_string()))
}

/// The process of the server that has the lock.
async fn holder(connection: &mut AnyConnection) -> Result<Option<i64>, StoreError> {
    let found = sqlx::query(
        "SELECT CAST(pid AS BIGINT) FROM pg_locks WHERE locktype = 'advisory' AND granted \
         AND CAST(classid AS BIGINT) = $1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
         AND CAST(CAST(objid AS BIGINT) AS BIT(32)) = CAST(CAST(-2 - abs(hashtext(current_schema()) % 1000000) AS BIGINT) AS BIT(32))",
    )
    .bind(i64::from(LOCKS))
    .fetch_optional(connection)
    .await?;
    Ok(found.map(|row| row.try_get(0)).transpose()?)
}
