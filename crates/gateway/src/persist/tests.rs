//! That what is kept is sealed, each piece for its place.

use std::{path::Path, sync::Arc};

use palisade_core::{Principal, ServiceId, Topic};
use palisade_keys::{KeySource, Keystore};
use palisade_store::{SessionOp, Store};
use tokio_util::sync::CancellationToken;

use super::{LoadError, Op, Persister, Seal, load};
use crate::{
    message::{Manner, Message},
    session::{Delivery, StoredDelivery, StoredSession},
};

const NAME: &str = "service/suite/a";

struct House {
    folder: tempfile::TempDir,
    store: Store,
    keys: Keystore,
}

impl House {
    async fn open(folder: tempfile::TempDir) -> Self {
        let key = folder.path().join("kek");
        if !key.exists() {
            KeySource::generate_file(&key).expect("makes");
        }
        let keys = Keystore::open(&folder.path().join("keys"), &KeySource::File(key));
        Self {
            store: palisade_test_store::open(folder.path())
                .await
                .expect("opens"),
            keys: keys.expect("opens"),
            folder,
        }
    }

    async fn close(self) -> tempfile::TempDir {
        self.store.close().await;
        self.folder
    }

    async fn load(&self) -> Result<(usize, usize, usize), LoadError> {
        let seal = Seal::open(&self.keys).expect("opens");
        let loaded = load(&self.store, &self.keys, &seal).await?;
        let queued = loaded.sessions.iter().map(|session| session.queue.len());
        Ok((loaded.sessions.len(), queued.sum(), loaded.retained.len()))
    }

    /// Has one session written, with a message that waits for it and one that is retained.
    async fn write(&self) {
        let persister = Persister::new();
        let cancel = CancellationToken::new();
        for op in ops() {
            persister.submit(op);
        }
        cancel.cancel();
        let seal = Arc::new(Seal::open(&self.keys).expect("opens"));
        persister.run(self.store.clone(), seal, cancel).await;
    }
}

fn message(text: &str) -> Arc<Message> {
    let topic = Topic::parse("a/b").expect("valid").to_owned();
    Message::new(topic, Manner::default(), b"", text.as_bytes())
}

fn session() -> StoredSession {
    StoredSession {
        client_id: "a".to_owned(),
        principal: Principal::from(ServiceId::parse("suite").expect("valid")),
        expiry: 1_000,
        away_since: None,
        subscriptions: vec![("subscribed-to/#".to_owned(), 1, 0)],
        will: None,
    }
}

fn waiting() -> StoredDelivery {
    StoredDelivery::Waiting(Delivery {
        message: message("waits-for-it"),
        qos: 1,
        retain: false,
        ids: Default::default(),
        seq: 1,
    })
}

fn ops() -> Vec<Op> {
    vec![
        Op::PutSession(NAME.into(), session().to_bytes()),
        Op::Enqueue(NAME.into(), 1, waiting()),
        Op::PutRetained(message("is-retained")),
    ]
}

fn is_on_disk(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).expect("reads").any(|entry| {
        let path = entry.expect("reads").path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    })
}

#[tokio::test]
async fn nothing_that_is_kept_can_be_read_on_the_disk() {
    let house = House::open(tempfile::tempdir().expect("a folder")).await;
    assert_eq!(house.load().await.expect("loads"), (0, 0, 0));
    house.write().await;
    let folder = house.close().await;
    for text in ["waits-for-it", "is-retained", "subscribed-to"] {
        assert!(!is_on_disk(folder.path(), text), "{text}");
    }
    assert!(is_on_disk(folder.path(), NAME), "whose it is can be read");
    let house = House::open(folder).await;
    assert_eq!(house.load().await.expect("loads"), (1, 1, 1));
}

#[tokio::test]
async fn what_an_earlier_version_left_plain_is_sealed_at_the_first_start_and_plain_is_refused_then()
{
    let house = House::open(tempfile::tempdir().expect("a folder")).await;
    let plain = [
        SessionOp::PutSession {
            client_id: NAME.to_owned(),
            body: session().to_bytes(),
        },
        SessionOp::Enqueue {
            client_id: NAME.to_owned(),
            seq: 1,
            body: waiting().to_bytes(),
        },
        SessionOp::PutRetained {
            topic: "a/b".to_owned(),
            body: message("is-retained").to_bytes(),
        },
    ];
    house.store.mqtt().apply(&plain).await.expect("writes");
    assert_eq!(house.load().await.expect("loads"), (1, 1, 1));
    let rows = house.store.mqtt().queued().await.expect("reads");
    assert_ne!(rows[0].body, waiting().to_bytes(), "it was sealed");
    assert_eq!(house.load().await.expect("loads"), (1, 1, 1));
    // Somebody with the disk puts a message in.
    for forged in &plain {
        house
            .store
            .mqtt()
            .apply(std::slice::from_ref(forged))
            .await
            .expect("writes");
        let refused = house.load().await.expect_err("it is not sealed");
        assert!(matches!(refused, LoadError::NotSealed(_)), "{refused}");
        house.write().await;
    }
    assert_eq!(house.load().await.expect("loads"), (1, 1, 1));
}

#[tokio::test]
async fn a_piece_that_was_changed_or_moved_is_refused() {
    let house = House::open(tempfile::tempdir().expect("a folder")).await;
    house.load().await.expect("loads");
    house.write().await;
    let mut row = house.store.mqtt().queued().await.expect("reads").remove(0);
    let moved = |seq: u64, body: Vec<u8>| SessionOp::Enqueue {
        client_id: NAME.to_owned(),
        seq,
        body,
    };
    let apply = async |op: SessionOp| house.store.mqtt().apply(&[op]).await.expect("writes");
    apply(moved(2, row.body.clone())).await;
    let refused = house.load().await.expect_err("it belongs to another place");
    assert!(matches!(refused, LoadError::Sealed { .. }), "{refused}");
    let gone = SessionOp::Dequeue {
        client_id: NAME.to_owned(),
        seq: 2,
    };
    apply(gone).await;
    assert_eq!(house.load().await.expect("loads"), (1, 1, 1));
    let last = row.body.len() - 1;
    row.body[last] ^= 1;
    apply(moved(1, row.body)).await;
    let refused = house.load().await.expect_err("it was changed");
    assert!(matches!(refused, LoadError::Sealed { .. }), "{refused}");
}
