//! What exports stand on, real and in a directory of its own.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use palisade_bus::{LocalBus, SharedBus};
use palisade_core::{Door, Event, EventKind, SystemClock, Timestamp, port::Journal};
use palisade_export::{
    EventsConfig, ExportConfig, ExportParts, ExportStatus, Exports, ExportsConfig, SinkKind,
    TestError,
};
use palisade_ledger::Ledger;
use palisade_store::Store;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what} does not come to pass");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub struct House {
    directory: tempfile::TempDir,
    store: Store,
    bus: SharedBus,
    ledger: Arc<Ledger>,
    configs: ExportsConfig,
    exports: Arc<Exports>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

fn parse(config: Value) -> ExportConfig {
    serde_json::from_value(config).expect("a configuration")
}

impl House {
    /// With one export, `main`.
    pub async fn new(config: Value) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = palisade_test_store::open(directory.path())
            .await
            .expect("opens");
        let bus: SharedBus = Arc::new(LocalBus::new(store.clone()));
        let ledger = Ledger::open(store.clone(), bus.clone())
            .await
            .expect("opens");
        let configs = BTreeMap::from([("main".to_owned(), parse(config))]);
        let exports = open(directory.path(), &store, &bus, &configs);
        Self {
            directory,
            store,
            bus,
            ledger,
            configs,
            exports,
            running: None,
        }
    }

    /// Adds another export.
    pub fn also(&mut self, name: &str, config: Value) {
        self.configs.insert(name.to_owned(), parse(config));
        self.reopen();
    }

    fn reopen(&mut self) {
        self.exports = open(self.directory.path(), &self.store, &self.bus, &self.configs);
    }

    /// Writes events that carry these numbers.
    pub async fn say(&self, numbers: Range<u64>) {
        for number in numbers {
            let kind = EventKind::Registered { count: number };
            let event = Event::new(Timestamp::now(), Door::Mqtt, kind);
            self.ledger.record(vec![event]).await.expect("writes");
        }
    }

    pub fn run(&mut self) {
        self.reopen();
        let cancel = CancellationToken::new();
        let task = tokio::spawn(self.exports.clone().run(cancel.clone()));
        self.running = Some((cancel, task));
    }

    /// Stops as an operator would.
    pub async fn stop(&mut self) {
        let (cancel, task) = self.running.take().expect("runs");
        cancel.cancel();
        task.await.expect("ends");
    }

    /// Stops without a word.
    pub async fn crash(&mut self) {
        let (_, task) = self.running.take().expect("runs");
        task.abort();
        let _ = task.await;
    }

    pub async fn status(&self) -> ExportStatus {
        let all = self.exports.status().await.expect("reads");
        let main = all.into_iter().find(|status| status.name == "main");
        main.expect("the export")
    }

    pub async fn test(&self, name: &str) -> Result<String, TestError> {
        let data = self.directory.path();
        Exports::test(&self.configs, data, name, Timestamp::now()).await
    }

    pub fn kind(&self) -> SinkKind {
        self.configs["main"].kind
    }

    pub async fn cursors(&self) -> Vec<(String, u64)> {
        self.store.journal().cursors().await.expect("reads")
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).expect("writes");
    }

    /// The numbers in the file `out.ndjson`.
    pub fn file(&self) -> Vec<u64> {
        let text = std::fs::read_to_string(self.directory.path().join("out.ndjson"));
        text.unwrap_or_default()
            .lines()
            .filter_map(number)
            .collect()
    }
}

fn open(data: &Path, store: &Store, bus: &SharedBus, configs: &ExportsConfig) -> Arc<Exports> {
    let parts = ExportParts {
        events: EventsConfig::default(),
        exports: configs.clone(),
        data: data.to_owned(),
        readers: Vec::new(),
        store: store.clone(),
        bus: bus.clone(),
        clock: Arc::new(SystemClock),
    };
    Exports::open(parts).expect("opens")
}

/// The number that an event carries, in either form; a line that was cut off has none.
pub fn number(json: &str) -> Option<u64> {
    let event: Value = serde_json::from_str(json).ok()?;
    let of = |event: &Value| event.get("count").and_then(Value::as_u64);
    event.get("unmapped").and_then(of).or_else(|| of(&event))
}
