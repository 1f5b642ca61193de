//! Measures what a decision costs: `cargo run --release -p palisade-policy --example decision`.
#![expect(
    clippy::expect_used,
    reason = "a measurement has nobody to tell but its reader"
)]

use std::{hint::black_box, net::IpAddr, sync::Arc, time::Instant};

use palisade_bus::{LocalBus, SharedBus};
use palisade_core::{
    Device, DeviceId, Grant, GrantActions, GrantId, GrantScope, Labels, Lifecycle, Posture,
    Principal, ProductId, Request, SegmentId, SystemClock, Timestamp, Topic, TopicPattern,
};
use palisade_ledger::Ledger;
use palisade_policy::{DEFAULT_POLICIES, DecisionCache, Pdp, Subject};
use palisade_store::Store;

/// The shipped policies and one that reads the request, so that nothing can be decided beforehand.
const READING: &str = "@id(\"small\") forbid (principal, action == Action::\"publish\", resource) \
                       when { context.size > 1000000 || context.qos > 2 || context.hour > 24 };";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).await.expect("opens");
    let bus: SharedBus = Arc::new(LocalBus::new(store.clone()));
    let journal = Ledger::open(store.clone(), bus.clone())
        .await
        .expect("opens");
    let clock = Arc::new(SystemClock);
    let pdp = Pdp::open(store.clone(), bus, journal, clock, Vec::new())
        .await
        .expect("opens");
    let id = DeviceId::parse("sensor-0001").expect("valid");
    store
        .devices()
        .register(&[device(&id)])
        .await
        .expect("registers");
    for pattern in [
        "devices/{device}/#",
        "sites/{label:site}/+",
        "products/{product}/news",
    ] {
        pdp.add_grant(grant(pattern)).await.expect("adds");
    }
    let source: IpAddr = "10.0.0.1".parse().expect("an address");
    let principal = Principal::Device(id);
    let subject = pdp.subject(&principal, source).await.expect("known");

    measure("shipped policies", &pdp, &subject);
    let (text, reason) = (format!("{DEFAULT_POLICIES}\n{READING}"), "to measure");
    pdp.apply(&text, "", "example", reason)
        .await
        .expect("applies");
    measure("policies that read the request", &pdp, &subject);
    measure_memory(&store, &pdp, source).await;
}

/// Memory that a device takes once it has a session and asked something.
async fn measure_memory(store: &Store, pdp: &Pdp, source: IpAddr) {
    const DEVICES: usize = 20_000;
    let ids: Vec<DeviceId> = (0..DEVICES)
        .map(|n| DeviceId::parse(&format!("many-{n}")).expect("valid"))
        .collect();
    let devices: Vec<Device> = ids.iter().map(device).collect();
    store.devices().register(&devices).await.expect("registers");
    drop(devices);
    let mut sessions = Vec::with_capacity(DEVICES);
    let before = resident();
    for id in ids {
        let subject = pdp
            .subject(&Principal::Device(id), source)
            .await
            .expect("known");
        let mut cache = DecisionCache::new(64);
        black_box(cache.decide(pdp, &subject, &Request::Connect));
        sessions.push((subject, cache));
    }
    println!(
        "memory a session: {} bytes",
        (resident() - before) / DEVICES
    );
}

fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    pages
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok())
        .expect("a number")
        * 4096
}

fn measure(what: &str, pdp: &Pdp, subject: &Subject) {
    let topics: Vec<String> = (0..32)
        .map(|n| format!("devices/sensor-0001/telemetry/{n}"))
        .collect();
    let run = |name: &str, rounds: usize, decide: &mut dyn FnMut(&Request<'_>) -> bool| {
        for topic in &topics {
            assert!(decide(&publish(topic)));
        }
        let started = Instant::now();
        for _ in 0..rounds {
            for topic in &topics {
                black_box(decide(black_box(&publish(topic))));
            }
        }
        let nanos = started.elapsed().as_nanos() as usize / (rounds * topics.len());
        println!("{what}, {name}: {nanos} ns");
    };
    let mut cache = DecisionCache::new(64);
    run("cached", 20_000, &mut |request| {
        cache.decide(pdp, subject, request).is_allow()
    });
    run("uncached", 1_000, &mut |request| {
        pdp.decide(subject, request).is_allow()
    });
    // An explanation keeps nothing from one question to the next: grants are matched, Cedar is asked.
    run("explained", 500, &mut |request| {
        pdp.explain(subject, request).allowed
    });
}

fn publish(topic: &str) -> Request<'_> {
    let topic = Topic::parse(topic).expect("a topic");
    Request::Publish {
        topic,
        qos: 1,
        retain: false,
        size: 256,
    }
}

fn device(id: &DeviceId) -> Device {
    Device {
        id: id.clone(),
        product: ProductId::parse("sensor").expect("valid"),
        labels: Labels::parse_list("site=berlin").expect("valid"),
        posture: Posture {
            lifecycle: Lifecycle::Active,
            ..Posture::registered(SegmentId::parse("floor").expect("valid"))
        },
        registered_at: Timestamp::now(),
        last_seen_at: None,
    }
}

fn grant(pattern: &str) -> Grant {
    Grant {
        id: GrantId::generate(),
        scope: GrantScope::Fleet,
        pattern: TopicPattern::parse(pattern).expect("a pattern"),
        actions: GrantActions {
            publish: true,
            subscribe: true,
            receive: true,
            retain: true,
            keep_days: None,
            sealed: false,
        },
        created_at: Timestamp::now(),
    }
}
