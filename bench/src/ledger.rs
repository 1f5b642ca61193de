//! The ledger: durable appends with group commit, proofs, and verification, in this process.

use std::{hint::black_box, path::Path, sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use palisade_bus::LocalBus;
use palisade_core::{
    Action, DenyReason, DeviceId, Door, Event, EventKind, SystemClock, Timestamp, port::Journal,
};
use palisade_keys::{KeySource, Keystore};
use palisade_ledger::{Ledger, LedgerConfig, Log, LogParts};
use palisade_store::Store;

use crate::{
    Options,
    report::{median, percentile, table},
};

/// Entries of one run of appends.
const ENTRIES: u64 = 200_000;
/// Callers that wait for their own entry at the same time.
const CALLERS: [u64; 3] = [1, 64, 1_024];
/// Entries that one caller writes at once where it has many (a door under attack).
const AT_ONCE: [u64; 2] = [1, 16];
/// Proofs that are timed.
const PROOFS: u64 = 2_000;
const MIB: f64 = 1024.0 * 1024.0;

/// Measures the ledger and prints what it costs.
pub async fn measure(options: &Options) -> Result<()> {
    println!("## The ledger, in this process, SQLite with a sync before each answer\n");
    let mut rows = Vec::new();
    for callers in CALLERS {
        for at_once in AT_ONCE {
            let mut rates = Vec::new();
            for _ in 0..options.runs {
                rates.push(appends(callers, at_once).await?);
            }
            rows.push(vec![
                callers.to_string(),
                at_once.to_string(),
                format!("{:.0}", median(&rates)),
            ]);
        }
    }
    let header = ["callers", "entries a call", "durable entries/s"];
    println!("{}", table(&header, &rows));
    println!("{}", reads(options).await?);
    Ok(())
}

struct House {
    ledger: Arc<Ledger>,
    log: Arc<Log>,
    store: Store,
}

async fn open(directory: &Path) -> Result<House> {
    let store = Store::open(directory).await?;
    let bus = Arc::new(LocalBus::new(store.clone()));
    let ledger = Ledger::open(store.clone(), bus).await?;
    let key = directory.join("kek");
    if !key.exists() {
        KeySource::generate_file(&key)?;
    }
    let log = Log::open(LogParts {
        ledger: ledger.clone(),
        store: store.clone(),
        keys: Arc::new(Keystore::open(
            &directory.join("keys"),
            &KeySource::File(key),
        )?),
        clock: Arc::new(SystemClock),
        config: LedgerConfig::default(),
        roots: Vec::new(),
        host: "bench".to_owned(),
    });
    let log = log.await?;
    Ok(House { ledger, log, store })
}

/// What a gateway writes for a device that asks for what is not its own.
fn event(number: u64) -> Result<Event> {
    let device = DeviceId::parse(&format!("sensor-{}", number % 10_000))?;
    let kind = EventKind::Denied {
        action: Action::Publish,
        resource: format!("devices/sensor-{number}/telemetry/temperature"),
        reason: DenyReason::NoGrant,
        count: 1,
    };
    let event = Event::new(Timestamp::now(), Door::Mqtt, kind).about(device);
    Ok(event.from_source([192, 0, 2, 7].into()))
}

/// Durable entries a second.
async fn appends(callers: u64, at_once: u64) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let house = open(directory.path()).await?;
    // One caller waits for the disk each time; fewer entries tell as much.
    let entries = ENTRIES.min(callers * at_once * 2_000);
    let each = entries / callers / at_once;
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let ledger = house.ledger.clone();
        tasks.spawn(async move {
            for call in 0..each {
                let first = (caller * each + call) * at_once;
                let events = (first..first + at_once).map(event).collect::<Result<_>>()?;
                ledger.record(events).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let seconds = started.elapsed().as_secs_f64();
    let (written, _) = house.ledger.head();
    ensure!(written == each * callers * at_once, "entries are missing");
    house.ledger.close().await;
    house.store.close().await;
    Ok(written as f64 / seconds)
}

/// Proofs and verification over a ledger of a million entries.
async fn reads(options: &Options) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let house = open(directory.path()).await?;
    let size = options.devices as u64;
    let mut next = 0;
    while next < size {
        let end = size.min(next + 2_000);
        let events = (next..end).map(event).collect::<Result<_>>()?;
        house.ledger.record(events).await?;
        next = end;
    }
    let bytes = std::fs::metadata(directory.path().join("palisade.db"))?.len();
    house.ledger.close().await;
    house.store.close().await;
    drop(house);
    let started = Instant::now();
    let house = open(directory.path()).await?;
    let start = started.elapsed();
    let started = Instant::now();
    house.log.checkpoint(size).await?;
    let sign = started.elapsed();
    let mut rows = vec![
        row("opening it", start.as_secs_f64() * 1e3, "ms"),
        row(
            "a checkpoint, signed and durable",
            sign.as_secs_f64() * 1e3,
            "ms",
        ),
    ];
    for (name, part) in [("first of its tiles", 1), ("again, tiles in memory", 2)] {
        let mut micros = Vec::new();
        for number in 0..PROOFS {
            let seq = number.wrapping_mul(2_654_435_761) % size + 1;
            let started = Instant::now();
            let proof = house.ledger.inclusion(seq, size).await?;
            black_box(proof.context("there is a proof")?);
            micros.push(started.elapsed().as_secs_f64() * 1e6);
        }
        for (share, of) in [(0.5, "median"), (0.99, "99th percentile")] {
            let name = format!("a proof of an entry, pass {part}, {name}: {of}");
            rows.push(row(&name, percentile(&micros, share), "us"));
        }
    }
    let started = Instant::now();
    let found = house.ledger.verify(|_| ()).await?;
    ensure!(found.fault.is_none() && found.entries == size, "{found:?}");
    let seconds = started.elapsed().as_secs_f64();
    rows.push(row("verification", size as f64 / seconds, "entries/s"));
    rows.push(row(
        "verification",
        bytes as f64 / MIB / seconds,
        "MiB/s of the database",
    ));
    let title = format!(
        "A ledger of {size} entries, {:.0} MiB:\n",
        bytes as f64 / MIB
    );
    Ok(format!(
        "{title}\n{}",
        table(&["what", "figure", "unit"], &rows)
    ))
}

fn row(what: &str, figure: f64, unit: &str) -> Vec<String> {
    vec![what.to_owned(), format!("{figure:.1}"), unit.to_owned()]
}
