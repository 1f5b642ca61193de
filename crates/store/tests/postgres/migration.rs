//! Moving an installation here.

use palisade_core::{Device, DeviceId, Labels, Posture, ProductId, SegmentId};
use palisade_store::{DeviceFilter, LedgerRow, PageRequest, SessionOp};

use super::*;

fn device(number: u32) -> Device {
    Device {
        id: DeviceId::parse(&format!("Dev-{number:05}")).expect("valid"),
        product: ProductId::parse("cam").expect("valid"),
        labels: Labels::default(),
        posture: Posture::registered(SegmentId::parse("edge").expect("valid")),
        registered_at: Timestamp::UNIX_EPOCH,
        last_seen_at: number.is_multiple_of(2).then_some(Timestamp::UNIX_EPOCH),
    }
}

fn entry(seq: u64) -> LedgerRow {
    LedgerRow {
        seq,
        body: format!("{{\"n\":{seq}}}"),
        leaf: vec![seq as u8; 32],
        chain: vec![0, 255, seq as u8],
    }
}

/// A SQLite installation with rows in tables of each kind of key, and more than one piece of them.
async fn source() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).await.expect("opens");
    let devices: Vec<_> = (0..2_500).map(device).collect();
    store.devices().register(&devices).await.expect("registers");
    let entries: Vec<_> = (1..=1_500).map(entry).collect();
    let events: Vec<_> = (0..30).map(event).collect();
    store
        .journal()
        .append(&entries, &events)
        .await
        .expect("writes");
    store.accounts().add(&owner("ann")).await.expect("adds");
    store
        .passkeys()
        .handle("ann", b"handle")
        .await
        .expect("refers to ann");
    store.settings().put("a", b"\0\xff").await.expect("writes");
    let queued = SessionOp::PutSession {
        client_id: "dev:1".to_owned(),
        body: vec![1, 2],
    };
    store.mqtt().apply(&[queued]).await.expect("writes");
    store.close().await;
    directory
}

/// A database to move to, and the directory that names it.
async fn target() -> TempDir {
    let (directory, store) = open().await;
    store.close().await;
    directory
}

async fn fill(target: &Path) -> Store {
    Store::connect_to_fill(&url(target))
        .await
        .expect("claims it")
}

async fn count(store: &Store) -> usize {
    let page = PageRequest {
        after: None,
        limit: 1_000,
    };
    let list = store.devices().list(&DeviceFilter::default(), &page).await;
    list.expect("reads").items.len()
}

#[tokio::test]
#[ignore = "`./test` runs it, with a PostgreSQL server of its own"]
async fn all_rows_come_over_and_the_source_stays_as_it_is() {
    let (from, to) = (source().await, target().await);
    let before = std::fs::read(from.path().join("palisade.db")).expect("reads");
    let (source, is_alone) = Store::open_to_leave(from.path()).await.expect("opens");
    assert!(is_alone);
    let target = fill(to.path()).await;
    let mut last = None;
    let migrated = target
        .migrate_from(&source, true, |at| last = Some(at.clone()))
        .await;
    let migrated = migrated.expect("migrates");
    assert_eq!(migrated.unchanged, 0);
    let last = last.expect("told");
    assert_eq!((last.done, last.rows), (migrated.rows, migrated.rows));
    target
        .end_migration()
        .await
        .expect("refers to nothing that is not there");
    target.close().await;
    drop(target);
    drop(source);
    assert_eq!(
        before,
        std::fs::read(from.path().join("palisade.db")).expect("reads")
    );

    let store = palisade_test_store::open(to.path()).await.expect("opens");
    assert_eq!(count(&store).await, 1_000);
    let head = store.journal().ledger_head().await.expect("reads");
    assert_eq!(head, Some(entry(1_500)));
    let found = store.devices().find(&device(7).id).await.expect("reads");
    assert_eq!(found, Some(device(7)));
    let value = store.settings().get("a").await.expect("reads");
    assert_eq!(value.as_deref(), Some(&b"\0\xff"[..]));
    // Positions go on where they were, references hold again.
    store
        .journal()
        .append(&[], &[event(99)])
        .await
        .expect("writes");
    assert_eq!(store.journal().newest_event().await.expect("reads"), 31);
    let orphan = store.passkeys().handle("nobody", b"other").await;
    orphan.expect_err("there is no such account");
}

#[tokio::test]
#[ignore = "`./test` runs it, with a PostgreSQL server of its own"]
async fn a_second_run_copies_what_changed_and_takes_away_what_went() {
    let (from, to) = (source().await, target().await);
    {
        let writer = Store::open(from.path()).await.expect("a server works");
        let (source, is_alone) = Store::open_to_leave(from.path()).await.expect("opens");
        assert!(!is_alone, "somebody writes to it");
        let target = fill(to.path()).await;
        target
            .migrate_from(&source, false, |_| ())
            .await
            .expect("copies");
        writer.close().await;
        target.close().await;
    }
    let refused = Store::connect(&url(to.path()), to.path()).await;
    assert!(
        matches!(refused, Err(StoreError::Migration(_))),
        "{refused:?}"
    );
    {
        let writer = Store::open(from.path()).await.expect("opens");
        writer
            .journal()
            .append(&[entry(1_501)], &[])
            .await
            .expect("writes");
        writer
            .devices()
            .register(&[device(9_999)])
            .await
            .expect("registers");
        let labels = Labels::new([("site".to_owned(), "rome".to_owned())].into());
        let labelled = writer
            .devices()
            .set_labels(&device(3).id, &labels.expect("valid"))
            .await;
        assert!(labelled.expect("writes"));
        writer.close().await;
        // What the source has no more.
        let path = format!("sqlite://{}", from.path().join("palisade.db").display());
        let mut file = AnyConnection::connect(&path).await.expect("connects");
        let gone = sqlx::raw_sql(
            "DELETE FROM devices WHERE id IN ('Dev-00000', 'Dev-01000', 'Dev-02499')",
        );
        gone.execute(&mut file).await.expect("deletes");
    }
    let (source, _) = Store::open_to_leave(from.path()).await.expect("opens");
    let target = fill(to.path()).await;
    let migrated = target
        .migrate_from(&source, true, |_| ())
        .await
        .expect("migrates");
    assert!(migrated.unchanged > 1_000, "{migrated:?}");
    assert!(migrated.unchanged < migrated.rows, "{migrated:?}");
    target.end_migration().await.expect("ends");
    let gone = target
        .devices()
        .find(&device(1_000).id)
        .await
        .expect("reads");
    assert_eq!(gone, None);
    let changed = target.devices().find(&device(3).id).await.expect("reads");
    assert_eq!(changed.map(|device| device.labels.iter().count()), Some(1));
}

#[tokio::test]
#[ignore = "`./test` runs it, with a PostgreSQL server of its own"]
async fn a_row_that_somebody_changed_there_is_seen() {
    let (from, to) = (source().await, target().await);
    let (source, _) = Store::open_to_leave(from.path()).await.expect("opens");
    let target = fill(to.path()).await;
    target
        .migrate_from(&source, false, |_| ())
        .await
        .expect("copies");
    run(to.path(), "UPDATE ledger SET body = '{}' WHERE seq = 1400").await;
    let migrated = target
        .migrate_from(&source, true, |_| ())
        .await
        .expect("migrates");
    assert_eq!(
        migrated.rows - migrated.unchanged,
        500,
        "the piece with it came over again"
    );
    run(
        to.path(),
        "CREATE FUNCTION lie() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.body := '{}'; RETURN NEW; END $$; \
         CREATE TRIGGER lie BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION lie(); DELETE FROM ledger WHERE seq = 1400",
    )
    .await;
    let refused = target.migrate_from(&source, true, |_| ()).await;
    assert!(
        matches!(refused, Err(StoreError::Migration(_))),
        "{refused:?}"
    );
}

#[tokio::test]
#[ignore = "`./test` runs it, with a PostgreSQL server of its own"]
async fn an_installation_of_its_own_is_not_overwritten() {
    let (from, to) = (source().await, target().await);
    let store = palisade_test_store::open(to.path()).await.expect("opens");
    store.settings().put("ca", b"there").await.expect("writes");
    store.close().await;
    drop(store);
    let (source, _) = Store::open_to_leave(from.path()).await.expect("opens");
    let target = fill(to.path()).await;
    let refused = target.migrate_from(&source, true, |_| ()).await;
    assert!(
        matches!(refused, Err(StoreError::Migration(_))),
        "{refused:?}"
    );
    let kept = target.settings().get("ca").await.expect("reads");
    assert_eq!(kept.as_deref(), Some(&b"there"[..]));
}
