//! A vault with everything that it stands on.

use std::{path::Path, sync::Arc, time::Duration};

use palisade_bus::{LocalBus, SharedBus};
use palisade_core::{
    Clock, DeviceId, Event, EventKind, ManualClock, ProductId, SegmentId, Timestamp, Topic,
    port::{Telemetry, TelemetrySink},
};
use palisade_keys::{KeySource, Keystore, RootKey, Secret};
use palisade_ledger::Ledger;
use palisade_store::{ObjectFilter, Store, VaultObject};
use palisade_vault::{Rolled, Row, Vault, VaultConfig, VaultError, VaultParts};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub struct World {
    folder: TempDir,
    pub clock: Arc<ManualClock>,
    store: Option<Store>,
    ledger: Option<Arc<Ledger>>,
    pub vault: Arc<Vault>,
    running: Option<(CancellationToken, tokio::task::JoinHandle<()>)>,
}

pub fn payloads(rows: &[Row]) -> Vec<String> {
    let text = |row: &Row| String::from_utf8(row.payload.to_vec()).expect("text");
    rows.iter().map(text).collect()
}

async fn parts(
    folder: &Path,
    store: &Store,
    clock: &Arc<ManualClock>,
) -> (VaultParts, Arc<Ledger>) {
    let bus: SharedBus = Arc::new(LocalBus::new(store.clone()));
    let ledger = Ledger::open(store.clone(), bus).await.expect("opens");
    let source = KeySource::Passphrase(Secret::from("correct horse battery staple"));
    let keystore = Arc::new(Keystore::open(&folder.join("keys"), &source).expect("opens"));
    let parts = VaultParts {
        config: VaultConfig {
            // A file of the log is closed when a test wants it to be.
            roll_mb: 1024,
            ..VaultConfig::default()
        },
        data: folder.to_owned(),
        store: store.clone(),
        root: Arc::new(RootKey::open(keystore, "vault").expect("opens")),
        journal: ledger.clone(),
        clock: clock.clone(),
    };
    (parts, ledger)
}

impl World {
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::new(
            Timestamp::from_second(1_700_000_000).expect("a time"),
        ));
        let store = palisade_test_store::open(folder.path())
            .await
            .expect("opens");
        let (parts, ledger) = parts(folder.path(), &store, &clock).await;
        let vault = Vault::open(parts).await.expect("opens");
        let mut world = Self {
            folder,
            clock,
            store: Some(store),
            ledger: Some(ledger),
            vault,
            running: None,
        };
        world.run();
        world
    }

    fn run(&mut self) {
        let cancel = CancellationToken::new();
        let running = tokio::spawn(self.vault.clone().run(cancel.clone()));
        self.running = Some((cancel, running));
    }

    /// Ends everything in good order.
    pub async fn close(&mut self) {
        if let Some((cancel, running)) = self.running.take() {
            cancel.cancel();
            running.await.expect("ends");
        }
        let closed = std::mem::replace(&mut self.vault, empty().await);
        drop(closed);
        if let Some(ledger) = self.ledger.take() {
            ledger.close().await;
        }
        if let Some(store) = self.store.take() {
            store.close().await;
        }
    }

    pub async fn start(&mut self) {
        let store = palisade_test_store::open(self.folder.path())
            .await
            .expect("opens");
        for tries in 0.. {
            let (parts, ledger) = parts(self.folder.path(), &store, &self.clock).await;
            match Vault::open(parts).await {
                Ok(vault) => {
                    self.vault = vault;
                    self.ledger = Some(ledger);
                    break;
                }
                // What was cut short in this process may still read the log, as that of one that died does not.
                Err(error) if tries < 1_000 && error.to_string().contains("another process") => {
                    ledger.close().await;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => panic!("does not open: {error}"),
            }
        }
        self.store = Some(store);
        self.run();
    }

    /// Whether it opens.
    pub async fn try_start(&self) -> Result<Arc<Vault>, VaultError> {
        let store = palisade_test_store::open(self.folder.path())
            .await
            .expect("opens");
        let (parts, _ledger) = parts(self.folder.path(), &store, &self.clock).await;
        Vault::open(parts).await
    }

    pub async fn reopen(&mut self) {
        self.close().await;
        self.start().await;
    }

    pub async fn try_open(&self) -> Result<Arc<Vault>, VaultError> {
        let (parts, _ledger) = parts(self.folder.path(), self.store(), &self.clock).await;
        Vault::open(parts).await
    }

    pub fn data(&self) -> &Path {
        self.folder.path()
    }

    pub fn store(&self) -> &Store {
        self.store.as_ref().expect("open")
    }

    pub async fn objects(&self) -> Vec<VaultObject> {
        let found = self
            .store()
            .vault()
            .find_objects(&ObjectFilter::default())
            .await;
        found.expect("reads")
    }

    /// Keeps a message and waits until it is durable.
    pub async fn keep(&self, device: &str, topic: &str, payload: &[u8]) {
        let number = self.vault.keep(&Telemetry {
            at: self.clock.now(),
            device: &DeviceId::parse(device).expect("an id"),
            product: &ProductId::parse("cam").expect("an id"),
            segment: &SegmentId::parse("hall").expect("an id"),
            days: 30,
            topic: Topic::parse(topic).expect("a topic"),
            qos: 1,
            retain: true,
            properties: b"\x03\x00\x01x",
            payload,
        });
        let number = number.expect("kept");
        std::future::poll_fn(|cx| self.vault.poll_durable(number, cx.waker())).await;
    }

    pub async fn release(&self, hold: &str) {
        let released = self
            .store()
            .vault()
            .release_hold(hold, self.clock.now())
            .await;
        assert!(released.expect("writes"));
    }

    /// Rolls all that is in the log.
    pub async fn roll(&self) -> Rolled {
        self.vault.roll_all().await.expect("rolls")
    }

    /// The acts of this kind that are in the ledger.
    pub async fn acts(&self, wanted: &str) -> Vec<String> {
        let filter = palisade_store::EventFilter::default();
        let events = self.store().journal().events_after(0, 100, &filter).await;
        let events = events.expect("reads").into_iter().map(|stored| {
            serde_json::from_str::<Event>(&stored.body)
                .expect("an event")
                .kind
        });
        let targets = events.filter_map(|kind| match kind {
            EventKind::Administrative(act) if act.act == wanted => Some(act.target),
            _ => None,
        });
        targets.collect()
    }
}

/// A vault of nothing, to stand in the place of one that is closed.
async fn empty() -> Arc<Vault> {
    let folder = tempfile::tempdir().expect("a folder");
    let store = palisade_test_store::open(folder.path())
        .await
        .expect("opens");
    let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
    let (parts, _ledger) = parts(folder.path(), &store, &clock).await;
    Vault::open(parts).await.expect("opens")
}
