//! A fleet in each of the engines: how long the decision point takes to open, what letting a device in costs, and what memory that takes.

use std::{hint::black_box, net::IpAddr, path::Path, sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use palisade_bus::{LocalBus, SharedBus};
use palisade_core::{
    Clock, Device, DeviceId, Grant, GrantActions, GrantId, GrantScope, Labels, Lifecycle, Posture,
    Principal, Product, ProductId, Request, SegmentId, SystemClock, TopicPattern, port::Journal,
};
use palisade_ledger::Ledger;
use palisade_policy::{DecisionCache, Pdp};
use palisade_store::Store;

use crate::postgres::PostgreSql;

/// Devices that are let in.
const ADMITTED: usize = 20_000;
/// Devices of one transaction.
const BATCH: usize = 50_000;

/// What a fleet costs in one engine.
#[derive(Debug, Clone)]
pub struct Costs {
    /// To register all devices, in seconds.
    pub register_s: f64,
    /// From nothing to a decision point that decides, in seconds.
    pub open_s: f64,
    /// To read a device and decide that it may connect, in microseconds each.
    pub admission_us: Vec<f64>,
    /// What a device takes that was let in, in bytes of resident memory.
    pub resident: f64,
}

/// A fleet in a SQLite file.
pub async fn sqlite(devices: usize) -> Result<Costs> {
    let directory = tempfile::tempdir()?;
    measure(devices, async || Ok(Store::open(directory.path()).await?)).await
}

/// A fleet in a PostgreSQL server on this machine.
pub async fn postgres(devices: usize) -> Result<Costs> {
    let directory = tempfile::tempdir()?;
    let server = tokio::task::block_in_place(PostgreSql::start)?;
    let url = server.url().parse()?;
    measure(devices, async || {
        Ok(Store::connect(&url, directory.path()).await?)
    })
    .await
}

async fn measure(devices: usize, open: impl AsyncFn() -> Result<Store>) -> Result<Costs> {
    let store = open().await?;
    let started = Instant::now();
    register(&store, devices).await?;
    let register_s = started.elapsed().as_secs_f64();
    store.close().await;
    drop(store);
    let started = Instant::now();
    let store = open().await?;
    let bus: SharedBus = Arc::new(LocalBus::new(store.clone()));
    let ledger = Ledger::open(store.clone(), bus.clone()).await?;
    let journal: Arc<dyn Journal> = ledger.clone();
    let pdp = Pdp::open(
        store.clone(),
        bus,
        journal,
        Arc::new(SystemClock),
        Vec::new(),
    )
    .await?;
    let open_s = started.elapsed().as_secs_f64();
    grant(&pdp).await?;
    let before = resident()?;
    let mut admission_us = Vec::with_capacity(ADMITTED);
    let mut admitted = Vec::with_capacity(ADMITTED);
    for number in 0..ADMITTED.min(devices) {
        // Far from each other: no page of the database serves two in a row.
        let device = number.wrapping_mul(7_919) % devices;
        let principal: Principal = DeviceId::parse(&format!("device-{device}"))?.into();
        let source = IpAddr::from([127, 0, 0, 1]);
        let started = Instant::now();
        let subject = pdp.subject(&principal, source).await?;
        let mut cache = DecisionCache::new(64);
        let decision = black_box(cache.decide(&pdp, &subject, &Request::Connect));
        admission_us.push(started.elapsed().as_nanos() as f64 / 1e3);
        ensure!(decision.is_allow(), "a device is not let in");
        admitted.push((subject, cache));
    }
    let resident = (resident()?.saturating_sub(before)) as f64 / admitted.len() as f64;
    drop(admitted);
    ledger.close().await;
    store.close().await;
    Ok(Costs {
        register_s,
        open_s,
        admission_us,
        resident,
    })
}

async fn register(store: &Store, devices: usize) -> Result<()> {
    let (product, segment) = (ProductId::parse("sensor")?, SegmentId::parse("plant")?);
    let now = SystemClock.now();
    let made = Product {
        id: product.clone(),
        description: String::new(),
        default_segment: segment.clone(),
        inventory_only: false,
        created_at: now,
    };
    store.devices().put_product(&made).await?;
    for first in (0..devices).step_by(BATCH) {
        let mut batch = Vec::with_capacity(BATCH);
        for number in first..devices.min(first + BATCH) {
            let mut posture = Posture::registered(segment.clone());
            posture.lifecycle = Lifecycle::Active;
            batch.push(Device {
                id: DeviceId::parse(&format!("device-{number}"))?,
                product: product.clone(),
                labels: Labels::default(),
                posture,
                registered_at: now,
                last_seen_at: None,
            });
        }
        store.devices().register(&batch).await?;
    }
    Ok(())
}

async fn grant(pdp: &Pdp) -> Result<()> {
    let grant = Grant {
        id: GrantId::generate(),
        scope: GrantScope::Product(ProductId::parse("sensor")?),
        pattern: TopicPattern::parse("devices/{device}/#")?,
        actions: GrantActions {
            publish: true,
            ..GrantActions::default()
        },
        created_at: SystemClock.now(),
    };
    Ok(pdp.add_grant(grant).await?)
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<u64> {
    let statm = std::fs::read_to_string(Path::new("/proc/self/statm"))?;
    let pages: u64 = statm
        .split_whitespace()
        .nth(1)
        .context("unreadable /proc/self/statm")?
        .parse()?;
    Ok(pages * rustix::param::page_size() as u64)
}
