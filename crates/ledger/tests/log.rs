//! The ledger as a log that others can check: what is signed, what is refused to be signed, what is proved.

#![expect(clippy::expect_used, reason = "a test ends where its set-up fails")]

use std::{path::Path, sync::Arc};

use palisade_bus::LocalBus;
use palisade_core::{Door, Event, EventKind, SystemClock, Timestamp, port::Journal};
use palisade_keys::{KeySource, Keystore, Secret};
use palisade_ledger::{Contradiction, Fault, Ledger, LedgerConfig, Log, LogError, LogParts};
use palisade_store::Store;
use palisade_tlog::{Hash, Note, Tile, Trust, check_consistency, check_inclusion, fold, node};
use sqlx::{AnyPool, AssertSqlSafe, Row};

struct House {
    store: Store,
    ledger: Arc<Ledger>,
    log: Arc<Log>,
}

async fn open(directory: &Path) -> House {
    let opened = try_open(directory, LedgerConfig::default()).await;
    opened.expect("opens")
}

async fn try_open(directory: &Path, config: LedgerConfig) -> Result<House, LogError> {
    let store = palisade_test_store::open(directory).await?;
    let bus = Arc::new(LocalBus::new(store.clone()));
    let ledger = Ledger::open(store.clone(), bus).await?;
    let source = KeySource::Passphrase(Secret::from("a long enough passphrase"));
    let parts = LogParts {
        ledger: ledger.clone(),
        store: store.clone(),
        keys: Arc::new(Keystore::open(&directory.join("keys"), &source)?),
        clock: Arc::new(SystemClock),
        config,
        roots: Vec::new(),
        host: "log.example".to_owned(),
    };
    let log = match Log::open(parts).await {
        Ok(log) => log,
        Err(error) => {
            ledger.close().await;
            store.close().await;
            return Err(error);
        }
    };
    Ok(House { store, ledger, log })
}

impl House {
    async fn write(&self, entries: std::ops::Range<u64>) {
        let events = entries.map(|count| {
            let kind = EventKind::Registered { count };
            Event::new(Timestamp::UNIX_EPOCH, Door::Rest, kind)
        });
        self.ledger.record(events.collect()).await.expect("records");
    }

    async fn close(self) {
        self.ledger.close().await;
        self.store.close().await;
    }

    fn trust(&self) -> Trust {
        let keys = self.log.keys().cloned().collect();
        Trust {
            keys,
            ..Trust::default()
        }
    }
}

async fn change(directory: &Path, sql: &str) {
    sqlx::any::install_default_drivers();
    let pool = AnyPool::connect(&palisade_test_store::address(directory)).await;
    let pool = pool.expect("connects");
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&pool)
        .await;
    done.expect("runs");
    pool.close().await;
}

/// Rewrites an entry, and every hash that follows from it: what somebody can do who has the whole database.
async fn rewrite(directory: &Path, seq: u64) {
    use palisade_tlog::leaf;
    change(
        directory,
        &format!("UPDATE ledger SET body = '{{}}' WHERE seq = {seq}"),
    )
    .await;
    let pool = AnyPool::connect(&palisade_test_store::address(directory)).await;
    let pool = pool.expect("connects");
    let rows = sqlx::query("SELECT body FROM ledger ORDER BY seq")
        .fetch_all(&pool)
        .await;
    let (mut chain, mut leaves) = (Hash::default(), Vec::new());
    for (at, row) in rows.expect("reads").iter().enumerate() {
        let body: String = row.get(0);
        let hash = leaf(body.as_bytes());
        let seq = (at + 1) as u64;
        chain = link(&chain, seq, &hash);
        leaves.push(hash);
        let done = sqlx::query("UPDATE ledger SET leaf = $1, chain = $2 WHERE seq = $3")
            .bind(hash.to_vec())
            .bind(chain.to_vec())
            .bind(seq as i64)
            .execute(&pool)
            .await;
        done.expect("writes");
    }
    for (index, tile) in leaves.chunks_exact(256).enumerate() {
        let done = sqlx::query("UPDATE ledger_nodes SET hash = $1 WHERE level = 1 AND idx = $2")
            .bind(root_of(tile).to_vec())
            .bind(index as i64)
            .execute(&pool)
            .await;
        done.expect("writes");
    }
    pool.close().await;
}

fn link(chain: &Hash, seq: u64, leaf: &Hash) -> Hash {
    use aws_lc_rs::digest::{SHA256, digest};
    let all = [&[2][..], chain, &seq.to_be_bytes(), leaf].concat();
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, &all).as_ref());
    hash
}

fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [one] => *one,
        more => {
            let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
            node(&root_of(left), &root_of(right))
        }
    }
}

#[tokio::test]
async fn a_checkpoint_is_signed_and_every_entry_is_proved_under_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let house = open(directory.path()).await;
    house.write(0..700).await;
    let published = house.log.checkpoint(700).await.expect("is signed");
    let note: Note = published.note.parse().expect("is a note");
    let believed = house.trust().open(&note).expect("is believed");
    let (size, root) = (believed.checkpoint.size, believed.checkpoint.root);
    assert_eq!((size, root), house.ledger.head());
    assert!(
        believed
            .checkpoint
            .origin
            .starts_with("log.example/ledger/")
    );
    let leaves = house
        .store
        .ledger_tree()
        .leaves(0, 700)
        .await
        .expect("reads");
    for (index, leaf) in leaves {
        let leaf = leaf.try_into().expect("a hash");
        let proof = house
            .ledger
            .inclusion(index + 1, size)
            .await
            .expect("reads");
        let proof = proof.expect("is proved");
        check_inclusion((index, &leaf), (size, &root), &proof).expect("is in the tree");
    }
    assert_eq!(house.ledger.inclusion(0, size).await.expect("reads"), None);
    assert_eq!(
        house.ledger.inclusion(701, size).await.expect("reads"),
        None
    );
    assert_eq!(house.ledger.inclusion(1, 701).await.expect("reads"), None);
}

#[tokio::test]
async fn every_checkpoint_is_the_beginning_of_the_next() {
    let directory = tempfile::tempdir().expect("a directory");
    let house = open(directory.path()).await;
    let mut before: Option<(u64, Hash)> = None;
    for size in [1, 2, 255, 256, 257, 511, 512, 700] {
        house.write(house.ledger.head().0..size).await;
        let now = house.log.checkpoint(size).await.expect("is signed");
        if let Some((old, old_root)) = before {
            let proof = house.ledger.consistency(old, size).await.expect("reads");
            let (old, new) = ((old, &old_root), (size, &now.root));
            check_consistency(old, new, &proof.expect("is proved")).expect("is consistent");
        }
        before = Some((size, now.root));
    }
    assert_eq!(
        house.ledger.consistency(701, 700).await.expect("reads"),
        None
    );
}

#[tokio::test]
async fn tiles_are_the_hashes_of_the_tree() {
    let directory = tempfile::tempdir().expect("a directory");
    let house = open(directory.path()).await;
    house.write(0..700).await;
    let read = async |path: &str| {
        let tile: Tile = path.parse().expect("a tile");
        house.ledger.tile(tile).await.expect("reads")
    };
    let (first, second) = (read("0/000").await, read("0/001").await);
    let rest = read("0/002.p/188").await.expect("is there");
    let above = read("1/000.p/2").await.expect("is there");
    assert_eq!(above[0], root_of(&first.expect("is there")));
    assert_eq!(above[1], root_of(&second.expect("is there")));
    assert_eq!(
        fold(&[root_of(&above), root_of(&rest)]),
        house.ledger.head().1
    );
    for absent in [
        "0/002",
        "0/002.p/189",
        "0/003.p/1",
        "1/000.p/3",
        "2/000.p/1",
        "entries/000",
    ] {
        assert_eq!(read(absent).await, None, "{absent}");
    }
}

#[tokio::test]
async fn a_ledger_of_before_there_was_a_tree_gets_one_and_one_that_broke_off_goes_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let house = open(directory.path()).await;
    house.write(0..66_000).await;
    let head = house.ledger.head();
    house.close().await;
    for left in ["", "WHERE level > 1 OR idx > 70"] {
        change(
            directory.path(),
            &format!("DELETE FROM ledger_nodes {left}"),
        )
        .await;
        let house = open(directory.path()).await;
        assert_eq!(house.ledger.head(), head);
        assert_eq!(
            house.ledger.root_at(head.0).await.expect("reads"),
            Some(head.1)
        );
        assert_eq!(
            house.ledger.verify(|_| ()).await.expect("reads").fault,
            None
        );
        house.close().await;
    }
    let house = open(directory.path()).await;
    house.write(66_000..66_001).await;
    assert_eq!(
        house.ledger.verify(|_| ()).await.expect("reads").fault,
        None
    );
}

#[tokio::test]
async fn nothing_is_signed_that_contradicts_what_was_signed() {
    let directory = tempfile::tempdir().expect("a directory");
    let house = open(directory.path()).await;
    house.write(0..600).await;
    house.log.checkpoint(600).await.expect("is signed");
    house.close().await;
    rewrite(directory.path(), 5).await;
    let house = open(directory.path()).await;
    // The chain of hashes alone does not see it.
    assert_eq!(
        house.ledger.verify(|_| ()).await.expect("reads").fault,
        None
    );
    let found = house.log.verify(None, |_| ()).await.expect("reads").fault;
    assert_eq!(found, Some(Fault::Signed(600)));
    let rewritten = Some(Contradiction::Rewritten(600));
    assert_eq!(house.log.status().withheld, rewritten);
    house.write(600..601).await;
    let refused = house.log.checkpoint(601).await.expect_err("is not signed");
    assert!(
        matches!(refused, LogError::Withheld(Contradiction::Rewritten(600))),
        "{refused}"
    );
}

#[tokio::test]
async fn a_cut_end_is_seen_at_the_next_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let house = open(directory.path()).await;
    house.write(0..600).await;
    house.log.checkpoint(600).await.expect("is signed");
    house.close().await;
    change(directory.path(), "DELETE FROM ledger WHERE seq > 400").await;
    let house = open(directory.path()).await;
    let (found, signed) = (400, 600);
    assert_eq!(
        house.log.status().withheld,
        Some(Contradiction::Shorter { found, signed })
    );
    let fault = house.log.verify(None, |_| ()).await.expect("reads").fault;
    assert_eq!(fault, Some(Fault::Shorter { found, signed }));
    // Others go on working, and writing.
    house.write(400..700).await;
    assert_eq!(house.ledger.head().0, 700);
    let refused = house.log.checkpoint(700).await.expect_err("is not signed");
    assert!(
        matches!(refused, LogError::Withheld(Contradiction::Rewritten(600))),
        "{refused}"
    );
}

#[tokio::test]
async fn a_checkpoint_that_was_put_into_the_database_is_not_taken_for_ours() {
    let directory = tempfile::tempdir().expect("a directory");
    let house = open(directory.path()).await;
    house.write(0..5).await;
    house.log.checkpoint(5).await.expect("is signed");
    house.close().await;
    change(
        directory.path(),
        "UPDATE ledger_checkpoints SET note = replace(note, '5', '4')",
    )
    .await;
    let house = open(directory.path()).await;
    assert_eq!(house.log.status().withheld, Some(Contradiction::Forged));
}

#[tokio::test]
async fn a_hash_of_the_tree_that_was_changed_is_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let house = open(directory.path()).await;
    house.write(0..600).await;
    let sql = "UPDATE ledger_nodes SET hash = (SELECT leaf FROM ledger WHERE seq = 1) \
               WHERE level = 1 AND idx = 1";
    change(directory.path(), sql).await;
    let fault = house.ledger.verify(|_| ()).await.expect("reads").fault;
    assert_eq!(
        fault,
        Some(Fault::Tree {
            first: 257,
            last: 512
        })
    );
}

#[tokio::test]
async fn a_log_keeps_its_name_and_its_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = |origin: Option<&str>| LedgerConfig {
        origin: origin.map(str::to_owned),
        ..LedgerConfig::default()
    };
    let house = try_open(directory.path(), config(Some("first.example/log"))).await;
    let house = house.expect("opens");
    let keys: Vec<_> = house.log.keys().map(ToString::to_string).collect();
    house.close().await;
    let other = try_open(directory.path(), config(Some("other.example/log"))).await;
    assert!(matches!(other, Err(LogError::Renamed { .. })));
    drop(other);
    let house = try_open(directory.path(), config(None))
        .await
        .expect("opens");
    assert_eq!(house.log.origin(), "first.example/log");
    assert_eq!(
        house
            .log
            .keys()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        keys
    );
}
