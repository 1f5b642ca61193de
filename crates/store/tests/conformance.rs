//! What every engine behind the store must do.

#![expect(clippy::expect_used, reason = "a test ends where its set-up fails")]

#[path = "conformance/audits.rs"]
mod audits;
#[path = "conformance/baselines.rs"]
mod baselines;
#[path = "conformance/detection.rs"]
mod detection;
#[path = "conformance/events.rs"]
mod events;
#[path = "conformance/identities.rs"]
mod identities;
#[path = "conformance/notices.rs"]
mod notices;
#[path = "conformance/passkeys.rs"]
mod passkeys;

use std::collections::BTreeMap;

use palisade_core::{
    Device, DeviceId, Epoch, Grant, GrantActions, GrantId, GrantScope, Labels, Lifecycle, Posture,
    ProductId, SegmentId, Severity, Timestamp, TokenId, TopicPattern, TrustScore,
};
use palisade_store::{
    DeviceFilter, EnrolmentToken, LedgerRow, OutboxRow, PageRequest, RegisterError, Seen,
    SessionOp, Store, StoreError, TokenScope,
};

async fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = palisade_test_store::open(directory.path())
        .await
        .expect("opens");
    (directory, store)
}

fn device(id: &str) -> Device {
    Device {
        id: DeviceId::parse(id).expect("valid"),
        product: ProductId::parse("cam").expect("valid"),
        labels: Labels::new(BTreeMap::from([("site".into(), "berlin".into())])).expect("valid"),
        posture: Posture::registered(SegmentId::parse("edge").expect("valid")),
        registered_at: Timestamp::UNIX_EPOCH,
        last_seen_at: None,
    }
}

fn page(limit: u32, after: Option<String>) -> PageRequest {
    PageRequest { after, limit }
}

#[tokio::test]
async fn a_device_reads_back_as_it_was_registered() {
    let (_directory, store) = store().await;
    store
        .devices()
        .register(&[device("a")])
        .await
        .expect("registers");
    let found = store.devices().find(&device("a").id).await.expect("reads");
    assert_eq!(found, Some(device("a")));
}

#[tokio::test]
async fn registration_is_all_or_none_and_names_what_exists() {
    let (_directory, store) = store().await;
    store
        .devices()
        .register(&[device("b")])
        .await
        .expect("registers");
    let error = store
        .devices()
        .register(&[device("a"), device("b")])
        .await
        .expect_err("conflict");
    assert!(
        matches!(&error, RegisterError::Exist(ids) if ids == &[device("b").id]),
        "{error}"
    );
    assert_eq!(
        store.devices().find(&device("a").id).await.expect("reads"),
        None
    );
}

#[tokio::test]
async fn lists_are_read_page_by_page_without_gap_or_repeat() {
    let (_directory, store) = store().await;
    let all: Vec<Device> = (0..25).map(|n| device(&format!("d{n:02}"))).collect();
    store.devices().register(&all).await.expect("registers");
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let part = store
            .devices()
            .list(&DeviceFilter::default(), &page(10, after))
            .await
            .expect("reads");
        seen.extend(part.items);
        after = part.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, all);
}

#[tokio::test]
async fn a_posture_is_replaced_only_where_its_epoch_is_the_expected_one() {
    let (_directory, store) = store().await;
    let mut wanted = device("a");
    store
        .devices()
        .register(std::slice::from_ref(&wanted))
        .await
        .expect("registers");
    wanted.posture.lifecycle = Lifecycle::Active;
    wanted.posture.epoch = Epoch(2);
    let devices = store.devices();
    assert!(
        devices
            .replace_posture(&wanted.id, Epoch(1), &wanted.posture)
            .await
            .expect("runs")
    );
    assert!(
        !devices
            .replace_posture(&wanted.id, Epoch(1), &wanted.posture)
            .await
            .expect("runs")
    );
    assert_eq!(devices.find(&wanted.id).await.expect("reads"), Some(wanted));
}

#[tokio::test]
async fn a_token_is_used_exactly_as_often_as_it_says() {
    let (_directory, store) = store().await;
    let token = EnrolmentToken {
        id: TokenId::generate(),
        hash: vec![7; 32],
        scope: TokenScope::Product(ProductId::parse("cam").expect("valid")),
        uses_left: 3,
        expires_at: Timestamp::from_second(100).expect("valid"),
        revoked: false,
        note: String::new(),
        created_at: Timestamp::UNIX_EPOCH,
    };
    store.tokens().add_enrolment(&token).await.expect("adds");
    let now = Timestamp::from_second(50).expect("valid");
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (store, id) = (store.clone(), token.id);
        tries.spawn(async move { store.tokens().consume_enrolment(id, now).await });
    }
    let mut taken = 0;
    while let Some(result) = tries.join_next().await {
        taken += usize::from(result.expect("runs").expect("runs"));
    }
    assert_eq!(taken, 3);
}

#[tokio::test]
async fn an_expired_or_revoked_token_is_not_used() {
    let (_directory, store) = store().await;
    let token = EnrolmentToken {
        id: TokenId::generate(),
        hash: vec![7; 32],
        scope: TokenScope::Device(DeviceId::parse("a").expect("valid")),
        uses_left: 3,
        expires_at: Timestamp::from_second(100).expect("valid"),
        revoked: false,
        note: String::new(),
        created_at: Timestamp::UNIX_EPOCH,
    };
    let tokens = store.tokens();
    tokens.add_enrolment(&token).await.expect("adds");
    let late = Timestamp::from_second(100).expect("valid");
    assert!(
        !tokens
            .consume_enrolment(token.id, late)
            .await
            .expect("runs")
    );
    assert!(tokens.revoke_enrolment(token.id).await.expect("runs"));
    assert!(
        !tokens
            .consume_enrolment(token.id, Timestamp::UNIX_EPOCH)
            .await
            .expect("runs")
    );
}

#[tokio::test]
async fn grants_read_back_and_epochs_move_forward() {
    let (_directory, store) = store().await;
    let grant = Grant {
        id: GrantId::generate(),
        scope: GrantScope::Product(ProductId::parse("cam").expect("valid")),
        pattern: TopicPattern::parse("devices/{device}/#").expect("valid"),
        actions: GrantActions {
            publish: true,
            sealed: true,
            ..GrantActions::default()
        },
        created_at: Timestamp::UNIX_EPOCH,
    };
    store.grants().add(&grant).await.expect("adds");
    assert_eq!(
        store.grants().all().await.expect("reads"),
        vec![grant.clone()]
    );
    assert_eq!(store.policy_epoch().await.expect("reads"), Epoch(1));
    assert_eq!(store.next_policy_epoch().await.expect("moves"), Epoch(2));
    assert_eq!(store.next_policy_epoch().await.expect("moves"), Epoch(3));
    assert!(store.grants().remove(grant.id).await.expect("removes"));
    assert!(!store.grants().remove(grant.id).await.expect("removes"));
}

#[tokio::test]
async fn the_journal_is_written_whole_or_not_at_all() {
    let (_directory, store) = store().await;
    let entry = LedgerRow {
        seq: 1,
        body: "{}".into(),
        leaf: vec![1],
        chain: vec![2],
    };
    let event = OutboxRow {
        kind: "k".into(),
        principal: None,
        source: None,
        severity: Severity::Informational,
        body: "{}".into(),
    };
    let journal = store.journal();
    journal
        .append(std::slice::from_ref(&entry), std::slice::from_ref(&event))
        .await
        .expect("appends");
    assert!(
        journal
            .append(std::slice::from_ref(&entry), &[event])
            .await
            .is_err(),
        "a sequence number twice"
    );
    assert_eq!(journal.newest_event().await.expect("reads"), 1);
    assert_eq!(journal.ledger_head().await.expect("reads"), Some(entry));
}

#[tokio::test]
async fn a_key_is_first_once_and_gives_its_answer_back() {
    let (_directory, store) = store().await;
    let keys = store.idempotency();
    let now = Timestamp::UNIX_EPOCH;
    assert_eq!(keys.begin("k", b"a", now).await.expect("runs"), Seen::First);
    assert_eq!(
        keys.begin("k", b"a", now).await.expect("runs"),
        Seen::UnderWay
    );
    assert_eq!(
        keys.begin("k", b"b", now).await.expect("runs"),
        Seen::Mismatch
    );
    keys.finish("k", 201, b"done").await.expect("runs");
    let answered = Seen::Answered {
        status: 201,
        body: b"done".to_vec(),
    };
    assert_eq!(keys.begin("k", b"a", now).await.expect("runs"), answered);
}

#[tokio::test]
async fn mqtt_state_survives_reopening_and_a_deleted_session_takes_its_queue_along() {
    let (directory, store) = store().await;
    let enqueue = |client: &str, seq| SessionOp::Enqueue {
        client_id: client.into(),
        seq,
        body: vec![seq as u8],
    };
    let put = |client: &str| SessionOp::PutSession {
        client_id: client.into(),
        body: vec![],
    };
    let ops = [
        put("a"),
        put("b"),
        enqueue("a", 1),
        enqueue("a", 2),
        enqueue("b", 1),
    ];
    store.mqtt().apply(&ops).await.expect("applies");
    let remove = [
        SessionOp::Dequeue {
            client_id: "a".into(),
            seq: 1,
        },
        SessionOp::DeleteSession {
            client_id: "b".into(),
        },
    ];
    store.mqtt().apply(&remove).await.expect("applies");
    store.close().await;
    drop(store);
    let store = palisade_test_store::open(directory.path())
        .await
        .expect("reopens");
    let queued = store.mqtt().queued().await.expect("reads");
    assert_eq!(queued.len(), 1);
    assert_eq!((queued[0].client_id.as_str(), queued[0].seq), ("a", 2));
    assert_eq!(store.mqtt().sessions().await.expect("reads").len(), 1);
}

#[tokio::test]
async fn two_stores_on_one_directory_are_refused() {
    let (directory, _store) = store().await;
    let error = palisade_test_store::open(directory.path())
        .await
        .expect_err("in use");
    assert!(matches!(error, StoreError::InUse(_)), "{error}");
}

#[tokio::test]
async fn devices_are_found_by_their_labels_and_by_a_part_of_their_id() {
    let (_directory, store) = store().await;
    let labelled = |id: &str, value: &str| {
        let map = BTreeMap::from([("site".to_owned(), value.to_owned())]);
        let labels = Labels::new(map).expect("valid");
        Device {
            labels,
            ..device(id)
        }
    };
    let all = [
        labelled("Cam-1", "berlin"),
        labelled("cam-2", "Berlin"),
        labelled("cam-3", "berlin-2"),
        labelled("cam-4", "\"site\":\"berlin\""),
    ];
    store.devices().register(&all).await.expect("registers");
    let found = async |filter: DeviceFilter| {
        let page = store.devices().list(&filter, &page(10, None)).await;
        let items = page.expect("reads").items.into_iter();
        items
            .map(|device| device.id.to_string())
            .collect::<Vec<_>>()
    };
    let by_label = DeviceFilter {
        labels: all[0].labels.clone(),
        ..DeviceFilter::default()
    };
    assert_eq!(found(by_label).await, ["Cam-1"]);
    let by_part = DeviceFilter {
        search: Some("AM-1".into()),
        ..DeviceFilter::default()
    };
    assert_eq!(found(by_part).await, ["Cam-1"]);
    let mut doubtful = device("doubtful");
    doubtful.posture.trust = TrustScore::new(39);
    let registered = store.devices().register(&[doubtful]).await;
    registered.expect("registers");
    let by_trust = |trust| DeviceFilter {
        trust_below: Some(TrustScore::new(trust)),
        ..DeviceFilter::default()
    };
    assert_eq!(found(by_trust(40)).await, ["doubtful"]);
    assert_eq!(found(by_trust(39)).await, [""; 0]);
}

#[tokio::test]
async fn a_part_of_an_id_is_found_whether_few_or_many_have_it() {
    let (_directory, store) = store().await;
    let mut all: Vec<Device> = (0..2_500).map(|n| device(&format!("d_{n:04}"))).collect();
    all.extend(["dx1234", "D-1234", "ab"].map(device));
    store.devices().register(&all).await.expect("registers");
    let mut import = store.begin_import().await.expect("begins");
    let staged = import.stage(&[device("imported-77")]).await;
    staged.expect("stages");
    import.commit().await.expect("imports");
    let found = async |part: &str, after: Option<&str>| {
        let filter = DeviceFilter {
            search: Some(part.into()),
            ..DeviceFilter::default()
        };
        let listed = store
            .devices()
            .list(&filter, &page(3, after.map(str::to_owned)))
            .await;
        let items = listed.expect("reads").items.into_iter();
        items
            .map(|device| device.id.to_string())
            .collect::<Vec<_>>()
    };
    // Few: by the index; an underscore is no wildcard.
    assert_eq!(found("_1234", None).await, ["d_1234"]);
    assert_eq!(found("1234", None).await, ["D-1234", "d_1234", "dx1234"]);
    assert_eq!(found("ORTED-7", None).await, ["imported-77"]);
    assert_eq!(found("1234", Some("D-1234")).await, ["d_1234", "dx1234"]);
    // Many, and too short for the index.
    assert_eq!(found("d_", None).await, ["d_0000", "d_0001", "d_0002"]);
    let many = found("d_0", Some("d_0997")).await;
    assert_eq!(many, ["d_0998", "d_0999"]);
    assert_eq!(found("ab", None).await, ["ab"]);
    // What no id can hold.
    for nothing in ["%", "a%b", "\"", "nowhere", "ü", "'"] {
        assert_eq!(found(nothing, None).await, [""; 0], "{nothing}");
    }
}

#[tokio::test]
async fn an_import_is_seen_whole_or_not_at_all() {
    let (_directory, store) = store().await;
    let part = |from: u32| -> Vec<Device> {
        (from..from + 1_500)
            .map(|n| device(&format!("d{n:05}")))
            .collect()
    };
    let mut import = store.begin_import().await.expect("begins");
    import.stage(&part(0)).await.expect("stages");
    import.stage(&part(1_500)).await.expect("stages");
    let first = device("d00000").id;
    assert_eq!(store.devices().find(&first).await.expect("reads"), None);
    assert_eq!(import.commit().await.expect("registers"), 3_000);
    let found = store.devices().find(&first).await.expect("reads");
    assert_eq!(found, Some(device("d00000")));

    let mut again = store.begin_import().await.expect("begins");
    again
        .stage(&[device("new"), device("d00007")])
        .await
        .expect("stages");
    let error = again.commit().await.expect_err("one exists");
    assert!(
        matches!(&error, RegisterError::Exist(ids) if ids == &[device("d00007").id]),
        "{error}"
    );
    let new = store
        .devices()
        .find(&device("new").id)
        .await
        .expect("reads");
    assert_eq!(new, None, "a part of a refused import was registered");
    let ids = [first.clone(), device("new").id];
    let existing = store.existing(&ids).await.expect("reads");
    assert_eq!(existing, [first].into());
}

#[tokio::test]
async fn what_a_broken_import_left_is_swept_away() {
    let (directory, store) = store().await;
    {
        let mut broken = store.begin_import().await.expect("begins");
        broken.stage(&[device("a")]).await.expect("stages");
    }
    store.sweep_imports().await.expect("sweeps");
    store.close().await;
    drop(store);
    let store = palisade_test_store::open(directory.path())
        .await
        .expect("opens");
    let mut import = store.begin_import().await.expect("begins");
    import.stage(&[device("a")]).await.expect("stages");
    assert_eq!(import.commit().await.expect("registers"), 1);
}
