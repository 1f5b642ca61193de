//! The price of a decision, in this process, with a million devices registered.

use std::{hint::black_box, net::IpAddr, sync::Arc, time::Instant};

use anyhow::Result;
use palisade_bus::{LocalBus, SharedBus};
use palisade_core::{
    Clock, Device, DeviceId, Grant, GrantActions, GrantId, GrantScope, Labels, Lifecycle, Posture,
    Principal, Product, ProductId, Request, SegmentId, SystemClock, Topic, TopicPattern,
    port::Journal,
};
use palisade_ledger::Ledger;
use palisade_policy::{DecisionCache, Pdp};
use palisade_store::Store;

/// Nanoseconds a decision.
#[derive(Debug, Clone, Copy)]
pub struct Prices {
    /// From the session's cache.
    pub cached_ns: f64,
    /// Grants and policies evaluated.
    pub uncached_ns: f64,
}

/// A decision point over `devices` registered devices.
pub struct Bench {
    pdp: Arc<Pdp>,
    _directory: tempfile::TempDir,
}

impl Bench {
    /// Registers the devices and opens the decision point with the shipped policies.
    pub async fn new(devices: usize) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let store = Store::open(directory.path()).await?;
        let clock = SystemClock;
        let (product, segment) = (ProductId::parse("sensor")?, SegmentId::parse("plant")?);
        store
            .devices()
            .put_product(&Product {
                id: product.clone(),
                description: String::new(),
                default_segment: segment.clone(),
                inventory_only: false,
                created_at: clock.now(),
            })
            .await?;
        let ids: Vec<usize> = (0..devices).collect();
        for part in ids.chunks(50_000) {
            let mut batch = Vec::with_capacity(part.len());
            for index in part {
                let mut posture = Posture::registered(segment.clone());
                posture.lifecycle = Lifecycle::Active;
                batch.push(Device {
                    id: DeviceId::parse(&format!("device-{index}"))?,
                    product: product.clone(),
                    labels: Labels::default(),
                    posture,
                    registered_at: clock.now(),
                    last_seen_at: None,
                });
            }
            store.devices().register(&batch).await?;
        }
        let bus: SharedBus = Arc::new(LocalBus::new(store.clone()));
        let ledger = Ledger::open(store.clone(), bus.clone()).await?;
        let journal: Arc<dyn Journal> = ledger;
        let pdp = Pdp::open(store, bus, journal, Arc::new(clock), Vec::new()).await?;
        pdp.add_grant(Grant {
            id: GrantId::generate(),
            scope: GrantScope::Product(product),
            pattern: TopicPattern::parse("devices/{device}/#")?,
            actions: GrantActions {
                publish: true,
                ..GrantActions::default()
            },
            created_at: clock.now(),
        })
        .await?;
        Ok(Self {
            pdp,
            _directory: directory,
        })
    }

    /// Measures both kinds of decision once.
    pub async fn run(&self) -> Result<Prices> {
        let source = IpAddr::from([127, 0, 0, 1]);
        let principal: Principal = DeviceId::parse("device-0")?.into();
        let subject = self.pdp.subject(&principal, source).await?;
        let topic = Topic::parse("devices/device-0/telemetry")?;
        let request = Request::Publish {
            topic,
            qos: 1,
            retain: false,
            size: 256,
        };
        anyhow::ensure!(
            self.pdp.decide(&subject, &request).is_allow(),
            "the request is denied"
        );
        let uncached = per_round(20_000, || {
            black_box(self.pdp.decide(&subject, black_box(&request)));
        });
        let mut cache = DecisionCache::new(64);
        let cached = per_round(2_000_000, || {
            black_box(cache.decide(&self.pdp, &subject, black_box(&request)));
        });
        Ok(Prices {
            cached_ns: cached,
            uncached_ns: uncached,
        })
    }
}

fn per_round(rounds: u32, mut act: impl FnMut()) -> f64 {
    let started = Instant::now();
    for _ in 0..rounds {
        act();
    }
    started.elapsed().as_nanos() as f64 / f64::from(rounds)
}
