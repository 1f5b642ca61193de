//! What is done to the ledger behind its back is found and named.

#![expect(clippy::expect_used, reason = "a test ends where its set-up fails")]

use std::sync::Arc;

use palisade_bus::{Bus, LocalBus};
use palisade_core::{Door, Event, EventKind, Timestamp, port::Journal};
use palisade_ledger::{Fault, Ledger, ocsf};
use palisade_store::Store;
use sqlx::{AnyPool, AssertSqlSafe};

struct House {
    directory: tempfile::TempDir,
    store: Store,
    ledger: Arc<Ledger>,
    bus: Arc<LocalBus>,
}

async fn house(entries: u64) -> House {
    let directory = tempfile::tempdir().expect("a directory");
    let store = palisade_test_store::open(directory.path())
        .await
        .expect("opens");
    let bus = Arc::new(LocalBus::new(store.clone()));
    let ledger = Ledger::open(store.clone(), bus.clone())
        .await
        .expect("opens");
    for n in 0..entries {
        ledger.record(vec![event(n)]).await.expect("records");
    }
    House {
        directory,
        store,
        ledger,
        bus,
    }
}

fn event(n: u64) -> Event {
    Event::new(
        Timestamp::UNIX_EPOCH,
        Door::Rest,
        EventKind::Registered { count: n },
    )
}

async fn fault_after(sql: &str) -> Option<Fault> {
    let house = house(10).await;
    let pool = AnyPool::connect(&palisade_test_store::address(house.directory.path()))
        .await
        .expect("connects");
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&pool)
        .await
        .expect("runs");
    house.ledger.verify(|_| ()).await.expect("reads").fault
}

#[tokio::test]
async fn an_untouched_ledger_is_good_and_its_root_is_the_one_announced() {
    let house = house(10).await;
    let verified = house.ledger.verify(|_| ()).await.expect("reads");
    assert_eq!(verified.fault, None);
    assert_eq!((verified.entries, verified.root), house.ledger.head());
}

#[tokio::test]
async fn a_changed_text_is_found() {
    let sql = "UPDATE ledger SET body = replace(body, '\"count\":4', '\"count\":5') WHERE seq = 5";
    assert_eq!(fault_after(sql).await, Some(Fault::Changed(5)));
}

#[tokio::test]
async fn an_entry_rewritten_with_its_hash_is_found() {
    let sql = "UPDATE ledger SET body = (SELECT body FROM ledger WHERE seq = 2), \
               leaf = (SELECT leaf FROM ledger WHERE seq = 2) WHERE seq = 5";
    assert_eq!(fault_after(sql).await, Some(Fault::Broken(5)));
}

#[tokio::test]
async fn a_removed_entry_is_found() {
    assert_eq!(
        fault_after("DELETE FROM ledger WHERE seq = 3").await,
        Some(Fault::Missing(3))
    );
}

#[tokio::test]
async fn swapped_entries_are_found() {
    let sql = "UPDATE ledger SET seq = 100 WHERE seq = 3; UPDATE ledger SET seq = 3 WHERE seq = 4; \
               UPDATE ledger SET seq = 4 WHERE seq = 100;";
    assert_eq!(fault_after(sql).await, Some(Fault::Broken(3)));
}

#[tokio::test]
async fn a_cut_end_is_found_while_the_server_runs() {
    let cut = Fault::Cut {
        found: 7,
        expected: 10,
    };
    assert_eq!(
        fault_after("DELETE FROM ledger WHERE seq > 7").await,
        Some(cut)
    );
}

#[tokio::test]
async fn a_reopened_ledger_goes_on_where_it_ended() {
    let House {
        directory,
        store,
        ledger,
        bus,
    } = house(10).await;
    let before = ledger.head();
    ledger.close().await;
    assert!(
        ledger.record(vec![event(0)]).await.is_err(),
        "a closed ledger took a record"
    );
    drop((ledger, bus, store));
    let store = palisade_test_store::open(directory.path())
        .await
        .expect("reopens");
    let bus = Arc::new(LocalBus::new(store.clone()));
    let ledger = Ledger::open(store, bus).await.expect("reopens");
    assert_eq!(ledger.head(), before);
    ledger.record(vec![event(10)]).await.expect("records");
    let verified = ledger.verify(|_| ()).await.expect("reads");
    assert_eq!((verified.entries, verified.fault), (11, None));
}

#[tokio::test]
async fn many_at_once_are_all_written_and_each_is_an_event_too() {
    let house = house(0).await;
    let mut consumer = house.bus.consumer("test").await.expect("opens");
    let mut callers = tokio::task::JoinSet::new();
    for n in 0..500 {
        let ledger = house.ledger.clone();
        callers.spawn(async move { ledger.record(vec![event(n)]).await });
    }
    while let Some(result) = callers.join_next().await {
        result.expect("runs").expect("records");
    }
    let verified = house.ledger.verify(|_| ()).await.expect("reads");
    assert_eq!((verified.entries, verified.fault), (500, None));
    let events = consumer.next(1_000).await.expect("reads");
    assert_eq!(events.len(), 500);
    consumer
        .acknowledge(events[299].0)
        .await
        .expect("acknowledges");
    let mut again = house.bus.consumer("test").await.expect("opens");
    assert_eq!(again.next(1_000).await.expect("reads").len(), 200);
}

#[test]
fn an_event_has_an_ocsf_form() {
    let record = ocsf(&event(1));
    assert_eq!(record["class_uid"], 3004);
    assert_eq!(record["category_uid"], 3);
    assert_eq!(record["type_uid"], 300401);
    assert_eq!(record["metadata"]["product"]["name"], "Palisade");
}

/// Two writers of one ledger, as two programs would be: each is behind the other all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_writers_append_at_once_is_all_there_in_one_chain() {
    let house = house(1).await;
    let store = Store::clone(&house.store);
    let other = Ledger::open(store, house.bus.clone()).await.expect("opens");
    let append = |ledger: Arc<Ledger>| {
        tokio::spawn(async move {
            for n in 0..60 {
                ledger.record(vec![event(n)]).await.expect("records");
            }
        })
    };
    let (first, second) = (append(house.ledger.clone()), append(other.clone()));
    first.await.expect("ends");
    second.await.expect("ends");
    house.ledger.record(vec![event(99)]).await.expect("records");
    assert_eq!(house.ledger.head().0, 122);
    let verified = house.ledger.verify(|_| ()).await.expect("reads");
    assert_eq!((verified.fault, verified.entries), (None, 122));
}

/// What a database does that fails after it has committed.
#[tokio::test]
async fn a_writer_that_was_told_of_a_failure_looks_where_the_ledger_ends() {
    let house = house(3).await;
    // Another one has written where we would, and only the next of ours hears of it.
    let other = Ledger::open(house.store.clone(), house.bus.clone()).await;
    let other = other.expect("opens");
    other.record(vec![event(7)]).await.expect("records");
    house.ledger.record(vec![event(8)]).await.expect("records");
    assert_eq!(house.ledger.head().0, 5);
    let verified = house.ledger.verify(|_| ()).await.expect("reads");
    assert_eq!(verified.fault, None);
}
