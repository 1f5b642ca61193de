//! Keys of segments, under a root key far away.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use palisade_core::{ManualClock, Timestamp};
use palisade_keys::{KeySource, Keystore, RootKey};

use super::*;

/// A root key that answers when it is let.
#[derive(Debug)]
struct Far {
    near: RootKey,
    is_silent: AtomicBool,
    asked: AtomicUsize,
}

impl KeyWrap for Far {
    fn wrap(&self, key: &Secret, context: &[u8]) -> Result<Vec<u8>, WrapError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        while self.is_silent.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        self.near.wrap(key, context)
    }

    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Secret, WrapError> {
        self.near.unwrap(wrapped, context)
    }
}

impl VersionedWrap for Far {
    fn rotate(&self) -> Result<u32, WrapError> {
        self.near.rotate()
    }

    fn version_of(&self, wrapped: &[u8]) -> Option<u32> {
        self.near.version_of(wrapped)
    }

    fn retire(&self, in_use: &BTreeSet<u32>) -> Result<(), WrapError> {
        self.near.retire(in_use)
    }

    fn abandon(&self, in_use: &BTreeSet<u32>) -> Result<(), WrapError> {
        self.near.abandon(in_use)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_key_that_is_waited_for_is_in_no_other_segments_way_and_is_made_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = palisade_test_store::open(folder.path())
        .await
        .expect("opens");
    let source = KeySource::Passphrase(Secret::from("correct horse battery staple"));
    let keystore = Arc::new(Keystore::open(&folder.path().join("keys"), &source).expect("opens"));
    let root = Arc::new(Far {
        near: RootKey::open(keystore, "vault").expect("opens"),
        is_silent: AtomicBool::new(false),
        asked: AtomicUsize::new(0),
    });
    let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
    let keys = SegmentKeys::open(store.clone(), root.clone(), clock).await;
    let keys = Arc::new(keys.expect("opens"));
    let (known, hall) = (SegmentId::parse(FIRST), SegmentId::parse("hall"));
    let (known, hall) = (known.expect("an id"), hall.expect("an id"));
    let file = keys.for_file(&known, "known").await.expect("a key");
    let asked = root.asked.load(Ordering::SeqCst);
    root.is_silent.store(true, Ordering::SeqCst);
    let waiting = ["one", "two"].map(|path| {
        let (keys, hall) = (keys.clone(), hall.clone());
        tokio::spawn(async move { keys.for_file(&hall, path).await })
    });
    let patience = Instant::now() + Duration::from_secs(20);
    while root.asked.load(Ordering::SeqCst) < asked + 2 && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let opened = keys.of_file((&known, file.version), "known", &file.wrapped);
    let opened = tokio::time::timeout(Duration::from_secs(20), opened).await;
    root.is_silent.store(false, Ordering::SeqCst);
    let opened = opened.expect("it waits for nobody's root key");
    assert_eq!(opened.expect("opens").expose(), file.key.expose());
    for (path, made) in ["one", "two"].into_iter().zip(waiting) {
        let made = made.await.expect("ends").expect("a key");
        let opened = keys.of_file((&hall, 1), path, &made.wrapped).await;
        assert_eq!(opened.expect("opens").expose(), made.key.expose());
    }
    let rows = store.vault().keys().await.expect("reads");
    assert_eq!(rows.iter().filter(|row| row.segment == hall).count(), 1);
    store.close().await;
}
