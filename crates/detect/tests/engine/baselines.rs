//! Baselines over a real stream and a real store: what is found, what a verdict does, what a restart keeps.

use std::sync::Arc;

use palisade_core::{DeviceId, Door, Event, EventKind, ProductId, Timestamp, port::Journal};
use palisade_detect::{
    Watcher,
    baseline::{
        BaselineConfig, Baselines, DeviceBaseline, Metric, MetricBaseline, MetricState,
        ProductSettings,
    },
};
use palisade_store::{BaselineRow, Verdict};

use crate::world::{Running, World, run, until};

const INTERVAL_S: i64 = 300;

fn config() -> BaselineConfig {
    BaselineConfig {
        learn_datapoints: 20,
        ..BaselineConfig::default()
    }
}

async fn open(world: &World) -> Arc<Baselines> {
    let clock = Arc::new(world.clock.clone());
    let opened = Baselines::open(world.store.clone(), clock, config()).await;
    opened.expect("opens")
}

async fn start(world: &World, baselines: &Arc<Baselines>) -> Running {
    let watcher: Box<dyn Watcher> = Box::new(baselines.watcher());
    run(world.open_with(vec![watcher]).await)
}

/// Says how many messages a device sent in each interval from the clock's present on, which moves along.
async fn sends(world: &World, device: &DeviceId, messages: &[u64]) {
    let mut events = Vec::new();
    for messages in messages {
        let kind = EventKind::PublishStatistics {
            window_ms: 60_000,
            messages: *messages,
            bytes: messages * 100,
            largest: 100,
            messages_out: 1,
            bytes_out: 20,
            packets_in: messages + 5,
            packets_out: messages + 5,
        };
        let now = palisade_core::Clock::now(&world.clock);
        events.push(Event::new(now, Door::Mqtt, kind).about(device.clone()));
        world.clock.advance_millis(INTERVAL_S * 1_000);
    }
    world.ledger.record(events).await.expect("records");
}

async fn view(baselines: &Baselines, device: &DeviceId) -> Option<DeviceBaseline> {
    baselines.device(device).await.expect("reads")
}

async fn sent(baselines: &Baselines, device: &DeviceId) -> Option<MetricBaseline> {
    let view = view(baselines, device).await?;
    let is_sent = |one: &MetricBaseline| one.metric == Metric::MessagesSent;
    view.metrics.into_iter().find(is_sent)
}

async fn learned(baselines: &Baselines, device: &DeviceId) -> u16 {
    sent(baselines, device).await.map_or(0, |one| one.learned)
}

fn usual(count: usize) -> Vec<u64> {
    (0..count).map(|n| 58 + (n as u64 * 7) % 5).collect()
}

#[tokio::test]
async fn a_flood_becomes_a_finding_and_a_false_one_raises_the_threshold() {
    let world = World::new().await;
    let device = world.device("cam-1").await;
    let baselines = open(&world).await;
    let running = start(&world, &baselines).await;
    sends(&world, &device, &usual(40)).await;
    sends(&world, &device, &[9_000, 60]).await;
    let is_sent = |one: &&palisade_store::FindingRecord| {
        one.finding.detector.to_string() == "baseline/messages_sent"
    };
    until("the flood is found", async || {
        world.findings().await.iter().any(|one| is_sent(&one))
    })
    .await;
    let findings = world.findings().await;
    let finding = &findings.iter().find(is_sent).expect("found").finding;
    assert!(
        finding
            .detail
            .starts_with("9000 messages sent within 5 minutes")
    );
    assert_eq!(finding.evidence.len(), 1);
    let verdict = Verdict::FalsePositive;
    let judged = running.detect.judge(finding.id, verdict, "ada", None).await;
    assert!(judged.expect("writes").is_some());
    until("the threshold is raised", async || {
        let sent = sent(&baselines, &device).await.expect("known");
        sent.threshold_factor > 1.4 && sent.state == MetricState::Watching
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn what_was_learned_and_said_survives_a_restart() {
    let world = World::new().await;
    let device = world.device("cam-1").await;
    let baselines = open(&world).await;
    let product = ProductId::parse("sensor").expect("valid");
    let settings = ProductSettings {
        learn_until: Some("2024-12-01T00:00:00Z".parse().expect("a time")),
        ..ProductSettings::default()
    };
    let set = baselines
        .set_product(&product, settings.clone(), "ada")
        .await;
    set.expect("writes");
    let until_then: Timestamp = "2024-12-02T00:00:00Z".parse().expect("a time");
    let set = baselines.set_learning(Some(until_then), "ada").await;
    set.expect("writes");
    let running = start(&world, &baselines).await;
    sends(&world, &device, &usual(41)).await;
    until("it is learned", async || {
        learned(&baselines, &device).await >= 40
    })
    .await;
    running.stop().await;
    let before = view(&baselines, &device).await.expect("known");
    drop(baselines);

    let baselines = open(&world).await;
    let after = view(&baselines, &device).await.expect("known");
    for (before, after) in before.metrics.iter().zip(&after.metrics) {
        let mut before = before.clone();
        before.last.clear();
        assert_eq!(&before, after);
    }
    assert_eq!(
        baselines.product(&product).expect("known").settings,
        settings
    );
    assert_eq!(baselines.fleet().learn_until, Some(until_then));
    let running = start(&world, &baselines).await;
    sends(&world, &device, &[60, 9_000, 60]).await;
    until("the flood is found", async || {
        !world.findings().await.is_empty()
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn what_was_written_down_is_there_after_a_crash() {
    let world = World::new().await;
    let device = world.device("cam-1").await;
    let baselines = open(&world).await;
    let running = start(&world, &baselines).await;
    sends(&world, &device, &usual(41)).await;
    until("it is learned", async || {
        learned(&baselines, &device).await >= 40
    })
    .await;
    // As the engine does once a minute.
    let mut watcher = baselines.watcher();
    watcher.save().await.expect("begins");
    until("it is written down", async || {
        let after_crash = open(&world).await;
        learned(&after_crash, &device).await >= 40
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_back_is_learned_anew() {
    let world = World::new().await;
    let device = world.device("cam-1").await;
    let row = BaselineRow {
        device: device.clone(),
        product: ProductId::parse("sensor").expect("valid"),
        state: vec![1; 700],
        updated_at: palisade_core::Clock::now(&world.clock),
    };
    world.store.baselines().put(&[row]).await.expect("writes");
    let baselines = open(&world).await;
    assert_eq!(view(&baselines, &device).await, None);
    let running = start(&world, &baselines).await;
    sends(&world, &device, &usual(5)).await;
    until("it is learned", async || {
        learned(&baselines, &device).await >= 3
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn a_device_that_was_let_go_of_goes_on_from_what_it_had_learned() {
    let world = World::new().await;
    let device = world.device("cam-1").await;
    let other = world.device("cam-2").await;
    let clock = Arc::new(world.clock.clone());
    let config = BaselineConfig {
        max_devices: 1,
        ..config()
    };
    let opened = Baselines::open(world.store.clone(), clock, config).await;
    let baselines = opened.expect("opens");
    let running = start(&world, &baselines).await;
    sends(&world, &device, &usual(31)).await;
    sends(&world, &other, &usual(3)).await;
    until("the other is held", async || {
        learned(&baselines, &other).await >= 1
    })
    .await;
    // It writes down whom it let go of, and looks for who came back.
    let mut watcher = baselines.watcher();
    watcher.finish().await.expect("writes");
    assert!(learned(&baselines, &device).await >= 30, "from the store");
    sends(&world, &device, &usual(2)).await;
    until("it is held again", async || {
        view(&baselines, &device)
            .await
            .is_some_and(|view| view.held)
    })
    .await;
    watcher.finish().await.expect("reads");
    assert!(learned(&baselines, &device).await >= 30, "taken up");
    running.stop().await;
}
