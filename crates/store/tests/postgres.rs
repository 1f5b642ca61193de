//! What holds of PostgreSQL alone: more than one connection writes, and several programs may reach for one database.

#![expect(clippy::expect_used, reason = "a test ends where its set-up fails")]

#[path = "postgres/migration.rs"]
mod migration;

use std::{collections::BTreeSet, future::Future, path::Path, task::Poll, time::Duration};

use palisade_core::{Severity, Timestamp};
use palisade_store::{Account, DatabaseUrl, EventFilter, OutboxRow, Store, StoreError};
use sqlx::{AnyConnection, Connection, Row};
use tempfile::TempDir;

/// Ends the connection that has the claim.
const END_IT: &str = "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' \
     AND pid <> pg_backend_pid() AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

async fn open() -> (TempDir, Store) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = palisade_test_store::open(directory.path())
        .await
        .expect("opens");
    (directory, store)
}

async fn raw(directory: &Path) -> AnyConnection {
    AnyConnection::connect(&palisade_test_store::address(directory))
        .await
        .expect("connects")
}

async fn run(directory: &Path, statement: &'static str) {
    let done = sqlx::raw_sql(statement)
        .execute(&mut raw(directory).await)
        .await;
    done.expect("runs");
}

fn url(directory: &Path) -> DatabaseUrl {
    let address = palisade_test_store::address(directory);
    address.parse().expect("an address")
}

fn owner(name: &str) -> Account {
    Account {
        name: name.to_owned(),
        roles: vec!["owner".to_owned()],
        password: String::new(),
        must_change: false,
        disabled: false,
        generation: 0,
        created_at: Timestamp::UNIX_EPOCH,
        password_changed_at: Timestamp::UNIX_EPOCH,
        last_login_at: None,
    }
}

fn event(number: u32) -> OutboxRow {
    OutboxRow {
        kind: "test".to_owned(),
        principal: None,
        source: None,
        severity: Severity::Low,
        body: format!("{{\"id\":\"{number:026}\"}}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "`./test` runs it, with a PostgreSQL server of its own"]
async fn of_two_owners_who_disable_each_other_at_once_one_is_left() {
    let (_directory, store) = open().await;
    for name in ["ann", "bob"] {
        store.accounts().add(&owner(name)).await.expect("adds");
    }
    for _ in 0..40 {
        let disable = |name: &'static str| {
            let store = store.clone();
            tokio::spawn(async move { store.accounts().set_disabled(name, true).await })
        };
        let (ann, bob) = (disable("ann"), disable("bob"));
        let ann = ann.await.expect("ends").expect("is decided");
        let bob = bob.await.expect("ends").expect("is decided");
        assert!(ann != bob, "one of them was disabled, and one only");
        for name in ["ann", "bob"] {
            let enabled = store.accounts().set_disabled(name, false).await;
            assert!(enabled.expect("enables"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "`./test` runs it, with a PostgreSQL server of its own"]
async fn who_follows_the_stream_misses_nothing_of_many_who_write() {
    const WRITERS: u32 = 5;
    const EACH: u32 = 60;
    let (_directory, store) = open().await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..EACH {
                    let events: Vec<_> = (0..3)
                        .map(|part| event((writer * EACH + number) * 3 + part))
                        .collect();
                    store.journal().append(&[], &events).await.expect("writes");
                }
            })
        })
        .collect();
    let mut seen = BTreeSet::new();
    let mut at = 0;
    let expected = (WRITERS * EACH * 3) as usize;
    let mut idle = 0;
    while seen.len() < expected && idle < 500 {
        let every = EventFilter::default();
        let found = store.journal().events_after(at, 50, &every).await;
        let found = found.expect("reads");
        idle = if found.is_empty() { idle + 1 } else { 0 };
        for event in found {
            at = event.position;
            seen.insert(event.body);
        }
        if idle > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    for writer in writers {
        writer.await.expect("ends");
    }
    assert_eq!(seen.len(), expected);
}

#[tokio::test]
#[ignore = "`./test` runs it, with a PostgreSQL server of its own"]
async fn a_second_program_is_refused_while_the_first_one_has_the_database() {
    let (directory, first) = open().await;
    let other = tempfile::tempdir().expect("a directory");
    let refused = Store::connect(&url(directory.path()), other.path()).await;
    assert!(
        matches!(refused, Err(StoreError::Claimed(_))),
        "{refused:?}"
    );
    first.close().await;
    drop(first);
    let second = Store::connect(&url(directory.path()), other.path()).await;
    second.expect("opens");
}

#[tokio::test]
#[ignore = "`./test` runs it, with a PostgreSQL server of its own"]
async fn a_claim_that_was_lost_is_taken_again_unless_another_has_it() {
    let (directory, first) = open().await;
    run(directory.path(), END_IT).await;
    first.hold().await.expect("takes it again");
    let other = tempfile::tempdir().expect("a directory");
    let refused = Store::connect(&url(directory.path()), other.path()).await;
    assert!(
        matches!(refused, Err(StoreError::Claimed(_))),
        "{refused:?}"
    );

    run(directory.path(), END_IT).await;
    let second = Store::connect(&url(directory.path()), other.path()).await;
    let second = second.expect("claims it");
    let lost = first.hold().await;
    assert!(matches!(lost, Err(StoreError::Claimed(_))), "{lost:?}");
    second.hold().await.expect("has it");
}

#[tokio::test]
#[ignore = "`./test` runs it, with a PostgreSQL server of its own"]
async fn who_lost_the_claim_writes_nothing_more() {
    let (directory, first) = open().await;
    run(directory.path(), END_IT).await;
    let other = tempfile::tempdir().expect("a directory");
    let second = Store::connect(&url(directory.path()), other.path()).await;
    let second = second.expect("claims it");
    // It has not looked yet, and still believes that the database is its own.
    let written = tokio::time::timeout(
        Duration::from_secs(20),
        first.settings().put("late", b"word"),
    )
    .await;
    assert!(!matches!(written, Ok(Ok(()))), "two write at once");
    second.ping().await.expect("it is the second one's");
    let late = second.settings().get("late").await.expect("reads");
    assert_eq!(late, None);
}

#[tokio::test]
#[ignore = "`./test` runs it, with a PostgreSQL server of its own"]
async fn who_is_dropped_while_a_transaction_begins_leaves_nothing_that_swallows_the_next_act() {
    let (directory, store) = open().await;
    let mut outside = raw(directory.path()).await;
    for number in 0..60_u8 {
        let devices = store.devices();
        let mut begun = Box::pin(devices.touch(&[]));
        // As often as it takes to be somewhere between asking and having been answered.
        for _ in 0..=number % 6 {
            let polled = std::future::poll_fn(|context| {
                Poll::Ready(begun.as_mut().poll(context).is_ready())
            });
            if polled.await {
                break;
            }
            tokio::time::sleep(Duration::from_micros(u64::from(number) * 20)).await;
        }
        drop(begun);
        let name = format!("act-{number}");
        store.settings().put(&name, b"done").await.expect("writes");
        // Another connection sees what is committed, and nothing else.
        let seen = sqlx::query("SELECT name FROM settings WHERE name = $1")
            .bind(name)
            .fetch_optional(&mut outside)
            .await
            .expect("reads");
        assert!(
            seen.is_some(),
            "act {number} was said to be done, and is not committed"
        );
    }
}

#[tokio::test]
#[ignore = "`./test` runs it, with a PostgreSQL server of its own"]
async fn connections_that_the_server_ended_are_made_anew() {
    let (directory, store) = open().await;
    store.ping().await.expect("writes");
    run(
        directory.path(),
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    store.ping().await.expect("writes again");
    store.hold().await.expect("holds");
}

#[tokio::test]
#[ignore = "`./test` runs it, with a PostgreSQL server of its own"]
async fn a_newer_schema_is_used_where_its_program_says_so_and_else_refused() {
    let (directory, store) = open().await;
    store.close().await;
    drop(store);
    run(
        directory.path(),
        "UPDATE palisade_schema SET version = version + 1",
    )
    .await;
    let beside = Store::connect(&url(directory.path()), directory.path()).await;
    let beside = beside.expect("runs beside the newer one");
    beside.ping().await.expect("writes");
    beside.close().await;
    drop(beside);
    run(
        directory.path(),
        "UPDATE palisade_schema SET oldest_beside = version",
    )
    .await;
    let refused = Store::connect(&url(directory.path()), directory.path()).await;
    assert!(
        matches!(refused, Err(StoreError::TooNew { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
#[ignore = "`./test` runs it, with a PostgreSQL server of its own"]
async fn both_engines_have_the_same_tables_with_the_same_columns() {
    let (directory, _store) = open().await;
    let rows = sqlx::query(
        "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT), CAST(is_nullable AS TEXT) \
         FROM information_schema.columns WHERE table_schema = current_schema() AND table_name NOT LIKE 'palisade%' \
         ORDER BY table_name COLLATE \"C\", ordinal_position",
    )
    .fetch_all(&mut raw(directory.path()).await)
    .await
    .expect("reads");
    let read =
        |row: &sqlx::any::AnyRow, column: usize| row.try_get::<String, _>(column).expect("a text");
    let there: Vec<_> = rows
        .iter()
        .map(|row| (read(row, 0), read(row, 1)))
        .collect();

    let here = tempfile::tempdir().expect("a directory");
    let sqlite = Store::open(here.path()).await.expect("opens");
    sqlite.close().await;
    let path = format!("sqlite://{}", here.path().join("palisade.db").display());
    let mut file = AnyConnection::connect(&path).await.expect("connects");
    let rows = sqlx::query(
        "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table' \
         AND t.name NOT LIKE 'sqlite_%' AND t.name NOT LIKE 'device_search%' ORDER BY t.name, c.cid",
    )
    .fetch_all(&mut file)
    .await
    .expect("reads");
    let here: Vec<_> = rows
        .iter()
        .map(|row| (read(row, 0), read(row, 1)))
        .collect();
    assert_eq!(there, here);
}
