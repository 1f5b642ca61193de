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
use palisade_policy::{DecisionCache, Pdp, Subject};
use palisade_store::Store;

/// Nanoseconds a decision.
#[derive(Debug, Clone, Copy)]
pub struct Prices {
    /// From the session's cache.
    pub cached_ns: f64,
    /// The first of a device: its grants bound, the policies evaluated.
    pub first_ns: f64,
    /// A topic that the session's cache does not have: grants matched.
    pub other_topic_ns: f64,
    /// With a policy besides that reads size, QoS and topic of each message: policies evaluated anew.
    pub reading_ns: f64,
}

/// Devices whose first decision is timed.
const FIRST: usize = 2_000;
/// What reads each message.
const READING: &str = r#"
@id("bench-large-messages")
forbid (principal is Device, action == Action::"publish", resource)
when { context.size > 100000 && context.qos == 0 && context.topic like "devices/*/firmware/*" };
"#;

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

    /// Measures each kind of decision once.
    pub async fn run(&self) -> Result<Prices> {
        let subject = self.subject(0).await?;
        let first_ns = self.first().await?;
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
        let other_topic_ns = per_round(20_000, || {
            black_box(self.pdp.decide(&subject, black_box(&request)));
        });
        let mut cache = DecisionCache::new(64);
        let cached = per_round(2_000_000, || {
            black_box(cache.decide(&self.pdp, &subject, black_box(&request)));
        });
        let shipped = self.pdp.policies();
        let text = format!("{}{READING}", shipped.text);
        self.pdp
            .apply(&text, "", "bench", "a policy that reads messages")
            .await?;
        let reading_ns = per_round(20_000, || {
            black_box(self.pdp.decide(&subject, black_box(&request)));
        });
        self.pdp
            .apply(&shipped.text, "", "bench", "as it was")
            .await?;
        Ok(Prices {
            cached_ns: cached,
            first_ns,
            other_topic_ns,
            reading_ns,
        })
    }

    async fn subject(&self, device: usize) -> Result<Arc<Subject>> {
        let principal: Principal = DeviceId::parse(&format!("device-{device}"))?.into();
        let source = IpAddr::from([127, 0, 0, 1]);
        Ok(self.pdp.subject(&principal, source).await?)
    }

    /// The first decisions of devices that were never asked about, in nanoseconds each.
    async fn first(&self) -> Result<f64> {
        let mut asked = Vec::with_capacity(FIRST);
        for device in 1..=FIRST {
            let topic = format!("devices/device-{device}/telemetry");
            asked.push((self.subject(device).await?, topic));
        }
        let started = Instant::now();
        for (subject, topic) in &asked {
            let request = Request::Publish {
                topic: Topic::parse(topic)?,
                qos: 1,
                retain: false,
                size: 256,
            };
            black_box(self.pdp.decide(subject, black_box(&request)));
        }
        Ok(started.elapsed().as_nanos() as f64 / FIRST as f64)
    }
}

fn per_round(rounds: u32, mut act: impl FnMut()) -> f64 {
    let started = Instant::now();
    for _ in 0..rounds {
        act();
    }
    started.elapsed().as_nanos() as f64 / f64::from(rounds)
}
