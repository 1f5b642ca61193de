//! The vault, in this process: messages that are durable, what they cost until they are sealed, and a device's day
//! read back; against the same rows in SQLite and in SQLCipher.

mod growth;
mod kept;
mod parquet;
mod postgres;

pub use growth::measure as growth;
pub use kept::measure as kept;
pub use parquet::measure as sealed_and_plain;

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use palisade_bus::LocalBus;
use palisade_core::{
    DeviceId, ManualClock, ProductId, SegmentId, Timestamp, Topic,
    port::{Telemetry, TelemetrySink},
};
use palisade_keys::{KeySource, Keystore, RootKey};
use palisade_ledger::Ledger;
use palisade_store::{ObjectFilter, Store};
use palisade_vault::{Query, Vault, VaultConfig, VaultParts};
use rustix::time::{ClockId, clock_gettime};

use crate::{
    Options,
    report::{median, table},
};

const DEVICES: u64 = 1_000;
/// Publishers that wait for their messages at the same time, and how many each has on the way.
const PUBLISHERS: u64 = 64;
const AT_ONCE: u64 = 16;
/// When the first message came: at the beginning of a day, in seconds since 1970.
const BEGIN_S: i64 = 1_700_006_400;
/// Between two messages, in nanoseconds.
pub(crate) const STEP_NANOS: i64 = 50_000;
const PEERS: [&str; 2] = ["sqlite3", "sqlcipher"];

/// What one way of keeping rows costs.
#[derive(Debug, Clone, Copy)]
struct Cost {
    seconds: f64,
    cpu: f64,
    bytes: u64,
}

/// One run of the vault.
struct Run {
    /// Until the last message is durable.
    durable: Cost,
    /// Until all of them are in sealed files.
    sealed: Cost,
    /// The messages of one device, read back with nothing in memory, in milliseconds.
    day_ms: f64,
}

/// Measures the vault and its peers and prints the ratios.
pub async fn measure(options: &Options) -> Result<()> {
    let messages = options.messages;
    println!(
        "## The vault, in this process: {messages} messages of {DEVICES} devices, {PUBLISHERS} publishers with \
         {AT_ONCE} on the way\n\nThe peers get the same rows as one statement in one transaction, with an index by device \
         and time.\n"
    );
    let (mut durable, mut sealed, mut day) = (Vec::new(), Vec::new(), Vec::new());
    let mut peers: [Vec<Cost>; 2] = Default::default();
    let mut postgres = Vec::new();
    for _ in 0..options.runs {
        let run = vault(messages).await?;
        durable.push(run.durable);
        sealed.push(run.sealed);
        day.push(run.day_ms);
        for (name, costs) in PEERS.iter().zip(&mut peers) {
            costs.push(tokio::task::block_in_place(|| peer(name, messages))?);
        }
        postgres.push(tokio::task::block_in_place(|| {
            postgres::rows(messages, DEVICES)
        })?);
    }
    let [sqlite, sqlcipher] = &peers;
    let rows = [
        row("palisade, durable", messages, &durable, sqlcipher),
        row("palisade, sealed files", messages, &sealed, sqlcipher),
        row("sqlite", messages, sqlite, sqlcipher),
        row("sqlcipher", messages, sqlcipher, sqlcipher),
        row("postgresql", messages, &postgres, sqlcipher),
    ];
    let header = [
        "",
        "rows/s",
        "rows/CPU s",
        "against sqlcipher",
        "bytes a row",
        "against sqlcipher",
    ];
    println!("{}", table(&header, &rows));
    println!(
        "A device's messages read back, cold: {:.1} ms.\n",
        median(&day)
    );
    Ok(())
}

fn row(name: &str, messages: u64, costs: &[Cost], peer: &[Cost]) -> Vec<String> {
    let of = |costs: &[Cost], what: fn(&Cost) -> f64| {
        median(&costs.iter().map(what).collect::<Vec<f64>>())
    };
    let rate = |costs: &[Cost], what: fn(&Cost) -> f64| messages as f64 / of(costs, what);
    let cpu = |cost: &Cost| cost.cpu;
    let bytes = |cost: &Cost| cost.bytes as f64;
    vec![
        name.to_owned(),
        format!("{:.0}", rate(costs, |cost| cost.seconds)),
        format!("{:.0}", rate(costs, cpu)),
        format!("{:.2}", rate(costs, cpu) / rate(peer, cpu)),
        format!("{:.1}", of(costs, bytes) / messages as f64),
        format!("{:.2}", of(costs, bytes) / of(peer, bytes)),
    ]
}

struct House {
    vault: Arc<Vault>,
    ledger: Arc<Ledger>,
    store: Store,
}

impl House {
    async fn objects(&self) -> Result<Vec<palisade_store::VaultObject>> {
        Ok(self
            .store
            .vault()
            .find_objects(&ObjectFilter::default())
            .await?)
    }

    async fn close(self) {
        drop(self.vault);
        self.ledger.close().await;
        self.store.close().await;
    }
}

async fn open(folder: &Path, clock: &ManualClock) -> Result<House> {
    let store = Store::open(folder).await?;
    let bus = Arc::new(LocalBus::new(store.clone()));
    let key = folder.join("kek");
    if !key.exists() {
        KeySource::generate_file(&key)?;
    }
    let keystore = Keystore::open(&folder.join("keys"), &KeySource::File(key))?;
    let ledger = Ledger::open(store.clone(), bus).await?;
    let vault = Vault::open(VaultParts {
        config: VaultConfig::default(),
        data: folder.to_owned(),
        store: store.clone(),
        root: Arc::new(RootKey::open(Arc::new(keystore), "vault")?),
        journal: ledger.clone(),
        clock: Arc::new(clock.clone()),
    });
    Ok(House {
        vault: vault.await?,
        ledger,
        store,
    })
}

async fn vault(messages: u64) -> Result<Run> {
    let folder = tempfile::tempdir()?;
    let clock = ManualClock::new(Timestamp::from_second(BEGIN_S)?);
    let house = open(folder.path(), &clock).await?;
    let vault = &house.vault;
    let (started, cpu) = (Instant::now(), cpu());
    fill(&house, messages, DEVICES).await?;
    let cost = |bytes| Cost {
        seconds: started.elapsed().as_secs_f64(),
        cpu: (self::cpu() - cpu).as_secs_f64(),
        bytes,
    };
    let durable = cost(size(&folder.path().join("vault/log"))?);
    vault.roll_all().await?;
    let objects = house.objects().await?;
    let sealed = cost(objects.iter().map(|object| object.bytes).sum());
    let kept: u64 = objects.iter().map(|object| object.rows).sum();
    ensure!(
        kept == messages / PUBLISHERS * PUBLISHERS,
        "messages are missing"
    );
    // As after a day: the files of it are merged.
    clock.advance_millis(86_400_000);
    vault.compact().await?;
    house.close().await;
    forget_cached(folder.path())?;
    let house = open(folder.path(), &clock).await?;
    let started = Instant::now();
    let query = Query {
        device: DeviceId::parse("sensor-7")?,
        from_at: None,
        until_at: None,
        topics: None,
        after: None,
        limit: 1_000,
    };
    let found = house.vault.read(&query).await?;
    let day_ms = started.elapsed().as_secs_f64() * 1e3;
    ensure!(!found.rows.is_empty(), "nothing is read back");
    house.close().await;
    Ok(Run {
        durable,
        sealed,
        day_ms,
    })
}

/// Keeps so many messages of so many devices, in turn, until they are durable.
async fn fill(house: &House, messages: u64, devices: u64) -> Result<()> {
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let vault = house.vault.clone();
        publishers.spawn(async move { publish(&vault, publisher, (messages, devices)).await });
    }
    while let Some(ended) = publishers.join_next().await {
        ended??;
    }
    Ok(())
}

/// Has the system forget what it holds of the files below a folder, so that reading them is reading the disk.
fn forget_cached(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            forget_cached(&entry.path())?;
            continue;
        }
        let file = std::fs::File::open(entry.path())?;
        file.sync_all()?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

async fn publish(vault: &Vault, publisher: u64, (messages, devices): (u64, u64)) -> Result<()> {
    let product = ProductId::parse("sensor")?;
    let segment = SegmentId::parse("hall")?;
    let mut last = 0;
    for count in 0..messages / PUBLISHERS {
        let number = count * PUBLISHERS + publisher;
        let name = format!("sensor-{}", number % devices);
        let topic = format!("devices/{name}/telemetry");
        let nanos = i128::from(BEGIN_S) * 1_000_000_000 + i128::from(number as i64 * STEP_NANOS);
        last = vault.keep(&Telemetry {
            at: Timestamp::from_nanosecond(nanos)?,
            device: &DeviceId::parse(&name)?,
            product: &product,
            segment: &segment,
            days: 90,
            topic: Topic::parse(&topic)?,
            qos: 1,
            retain: false,
            properties: b"",
            payload: payload(number).as_bytes(),
        })?;
        if count % AT_ONCE == AT_ONCE - 1 {
            std::future::poll_fn(|cx| vault.poll_durable(last, cx.waker())).await;
        }
    }
    std::future::poll_fn(|cx| vault.poll_durable(last, cx.waker())).await;
    Ok(())
}

/// What a sensor says: the statement of the peers makes the same.
fn payload(number: u64) -> String {
    let (temperature, humidity) = (number * 7_919 % 4_000, number * 104_729 % 1_000);
    format!("{{\"seq\":{number},\"temperature\":{temperature},\"humidity\":{humidity}}}")
}

/// The same rows by the command line of SQLite or SQLCipher.
fn peer(program: &str, messages: u64) -> Result<Cost> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("telemetry.db");
    let key = match program {
        "sqlcipher" => "PRAGMA key = 'correct horse battery staple';\n",
        _ => "",
    };
    let script = format!(
        "{key}PRAGMA journal_mode = WAL;\nPRAGMA synchronous = FULL;\n\
         CREATE TABLE telemetry (number INTEGER PRIMARY KEY, at INTEGER, device TEXT, product TEXT, topic TEXT, \
         qos INTEGER, retain INTEGER, payload BLOB);\n\
         CREATE INDEX by_device ON telemetry (device, at);\n\
         WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n + 1 < {messages})\n\
         INSERT INTO telemetry SELECT n, {BEGIN_S} * 1000000000 + n * {STEP_NANOS}, 'sensor-' || (n % {DEVICES}), 'sensor', \
         'devices/sensor-' || (n % {DEVICES}) || '/telemetry', 1, 0, '{{\"seq\":' || n || ',\"temperature\":' || \
         (n * 7919 % 4000) || ',\"humidity\":' || (n * 104729 % 1000) || '}}' FROM c;\n\
         PRAGMA wal_checkpoint(TRUNCATE);\n"
    );
    let started = Instant::now();
    let mut child = Command::new("/usr/bin/time")
        .args(["-f", "%U %S", program])
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| {
            format!("{program} and time are needed (Debian: apt-get install {program} time)")
        })?;
    let mut input = child.stdin.take().context("no input")?;
    std::io::Write::write_all(&mut input, script.as_bytes())?;
    drop(input);
    let done = child.wait_with_output()?;
    let seconds = started.elapsed().as_secs_f64();
    let told = String::from_utf8(done.stderr)?;
    ensure!(done.status.success(), "{program}: {told}");
    let times = told.lines().last().context("no times")?.split(' ');
    let cpu = times.map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    let bytes = std::fs::metadata(&file)?.len();
    Ok(Cost {
        seconds,
        cpu,
        bytes,
    })
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

fn size(folder: &Path) -> Result<u64> {
    let mut size = 0;
    for entry in std::fs::read_dir(folder)? {
        size += entry?.metadata()?.len();
    }
    Ok(size)
}
