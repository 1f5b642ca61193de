//! For tests alone: opens the system of record on the engine that the tests run on, so that the same tests hold for both. It is
//! SQLite, or, where the variable `PALISADE_TEST_POSTGRES` names a PostgreSQL server (`postgres://user@host/postgres`, whose user
//! may make databases), a database of the test's own there. [`open`] is called in the place of `Store::open`.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use palisade_store::{DatabaseUrl, Store, StoreError};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

/// Names the server.
pub const VARIABLE: &str = "PALISADE_TEST_POSTGRES";
/// The file in a test's directory that names its database.
const NAME: &str = "test-database";
/// Any number that only these tests use as a lock.
const LOCK: i64 = 7_213_554;
/// A program that was let go of a moment ago may still have its connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the tests run on SQLite.
#[must_use]
pub fn is_on_sqlite() -> bool {
    std::env::var_os(VARIABLE).is_none()
}

/// Opens the store of a directory; the second time, the one that it had the first time.
///
/// # Errors
/// Those of `Store::open`, and of `Store::connect`.
///
/// # Panics
/// Where the server that is named does not do.
pub async fn open(directory: &Path) -> Result<Store, StoreError> {
    let Ok(server) = std::env::var(VARIABLE) else {
        return Store::open(directory).await;
    };
    let url = match database(&server, directory).await {
        Ok(url) => url,
        Err(error) => panic!("{VARIABLE}: {error:#}"),
    };
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        match Store::connect(&url, directory).await {
            Err(StoreError::Claimed(_)) if tokio::time::Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => return other,
        }
    }
}

/// The address of the database of a directory that was opened, for those who reach into it behind the store's back.
///
/// # Panics
/// Where the directory was not opened.
#[must_use]
pub fn address(directory: &Path) -> String {
    sqlx::any::install_default_drivers();
    let Ok(server) = std::env::var(VARIABLE) else {
        return format!("sqlite://{}", directory.join("palisade.db").display());
    };
    let found = std::fs::read_to_string(directory.join(NAME))
        .map_err(anyhow::Error::from)
        .and_then(|name| in_place(&server, &name));
    match found {
        Ok(address) => address,
        Err(error) => panic!("{VARIABLE}: {error:#}"),
    }
}

/// The database of a directory, made where there is none. What is of directories that are gone is dropped.
async fn database(server: &str, directory: &Path) -> Result<DatabaseUrl> {
    let note = directory.join(NAME);
    if let Ok(name) = std::fs::read_to_string(&note) {
        return named(server, &name);
    }
    sqlx::any::install_default_drivers();
    let mut admin = AnyConnection::connect(server).await?;
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(LOCK)
        .execute(&mut admin)
        .await?;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS test_databases (name TEXT PRIMARY KEY, directory TEXT NOT NULL)")
        .execute(&mut admin)
        .await?;
    drop_those_of_none(&mut admin).await?;
    let template = template(server, &mut admin).await?;
    let name = format!("test_{}", ulid::Ulid::new().to_string().to_lowercase());
    run(
        &mut admin,
        format!("CREATE DATABASE {name} TEMPLATE {template}"),
    )
    .await?;
    sqlx::query("INSERT INTO test_databases VALUES ($1, $2)")
        .bind(name.as_str())
        .bind(directory.to_string_lossy().into_owned())
        .execute(&mut admin)
        .await?;
    admin.close().await?;
    std::fs::write(&note, &name).context("the test's directory")?;
    named(server, &name)
}

/// A database that has the schema already: copying it is faster than making it.
async fn template(server: &str, admin: &mut AnyConnection) -> Result<String> {
    // Another build may have another schema.
    let made = std::fs::metadata("/proc/self/exe")?.modified()?;
    let made = made.duration_since(std::time::UNIX_EPOCH)?.as_nanos();
    let name = format!("template_{made}");
    let there = sqlx::query("SELECT COUNT(*) FROM pg_database WHERE datname = $1")
        .bind(name.as_str())
        .fetch_one(&mut *admin)
        .await?;
    if there.try_get::<i64, _>(0)? == 0 {
        run(admin, format!("CREATE DATABASE {name}")).await?;
        let folder = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&folder)?;
        let store = Store::connect(&named(server, &name)?, &folder).await?;
        store.close().await;
        drop(store);
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(name)
}

async fn drop_those_of_none(admin: &mut AnyConnection) -> Result<()> {
    let known = sqlx::query("SELECT name, directory FROM test_databases")
        .fetch_all(&mut *admin)
        .await?;
    for row in known {
        let (name, directory): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        if Path::new(&directory).exists() {
            continue;
        }
        run(
            admin,
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        )
        .await?;
        sqlx::query("DELETE FROM test_databases WHERE name = $1")
            .bind(name)
            .execute(&mut *admin)
            .await?;
    }
    Ok(())
}

async fn run(admin: &mut AnyConnection, statement: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(admin)
        .await?;
    Ok(())
}

fn named(server: &str, name: &str) -> Result<DatabaseUrl> {
    Ok(in_place(server, name)?.parse()?)
}

fn in_place(server: &str, name: &str) -> Result<String> {
    let (before, behind) = server.split_once('?').unwrap_or((server, ""));
    let (host, _) = before.rsplit_once('/').context("no database in it")?;
    Ok(format!("{host}/{name}?{behind}"))
}
