//! What findings cost a device's trust, at a decision point that listens.

use std::sync::{Arc, Weak};

use palisade_core::{DeviceId, TrustReason, port::EvidenceListener};
use palisade_policy::Pdp;
use palisade_store::Verdict;
use tokio_util::sync::CancellationToken;

use crate::world::{Running, World, run, until};

/// Detection, and a decision point that counts what it finds.
struct Loop {
    world: World,
    running: Running,
    cancel: CancellationToken,
    _pdp: Arc<Pdp>,
}

impl Loop {
    async fn new() -> Self {
        let world = World::new().await;
        let detect = world.open().await;
        let pdp = Pdp::open(
            world.store.clone(),
            world.bus.clone(),
            world.ledger.clone(),
            Arc::new(world.clock.clone()),
            vec![detect.evidence()],
        );
        let pdp = pdp.await.expect("opens");
        let listener: Weak<dyn EvidenceListener> = Arc::<Pdp>::downgrade(&pdp);
        detect.set_listener(listener);
        let cancel = CancellationToken::new();
        tokio::spawn(pdp.clone().run(cancel.clone()));
        Self {
            world,
            running: run(detect),
            cancel,
            _pdp: pdp,
        }
    }

    async fn trust(&self, device: &DeviceId) -> (u8, Vec<TrustReason>) {
        let found = self.world.store.devices().find(device).await;
        let posture = found.expect("reads").expect("is there").posture;
        (posture.trust.value(), posture.reasons)
    }

    async fn trust_becomes(&self, device: &DeviceId, expected: u8) {
        let what = format!("the trust is {expected}");
        until(&what, async || self.trust(device).await.0 == expected).await;
    }

    async fn stop(self) {
        self.running.stop().await;
        self.cancel.cancel();
    }
}

#[tokio::test]
async fn trust_falls_when_a_finding_is_held_and_returns_when_a_person_says_that_it_is_false() {
    let all = Loop::new().await;
    let device = all.world.device("cam-1").await;
    all.world.say(&device, "scan high").await;
    all.trust_becomes(&device, 70).await;
    let (_, reasons) = all.trust(&device).await;
    assert_eq!(reasons[0].evidence, "finding rule/scan");
    assert_eq!(reasons[0].points, 30);
    assert!(reasons[0].detail.contains("high, confidence 100"));

    let finding = all.world.findings().await[0].finding.id;
    let detect = &all.running.detect;
    let judged = detect.judge(finding, Verdict::FalsePositive, "ann", Some("a test"));
    let record = judged.await.expect("judges").expect("is there");
    assert_eq!(record.verdict_by.as_deref(), Some("ann"));
    all.trust_becomes(&device, 100).await;
    until("its detector hears", async || {
        !all.world.heard.lock().is_empty()
    })
    .await;
    let heard = all.world.heard.lock().first().cloned().expect("heard");
    assert_eq!(heard.subject, "device/cam-1");
    assert_eq!(heard.verdict, Verdict::FalsePositive);
    all.stop().await;
}

#[tokio::test]
async fn a_finding_that_a_person_confirms_goes_on_costing_trust() {
    let all = Loop::new().await;
    let device = all.world.device("cam-1").await;
    all.world.say(&device, "scan high").await;
    all.trust_becomes(&device, 70).await;
    let finding = all.world.findings().await[0].finding.id;
    let detect = &all.running.detect;
    let judged = detect.judge(finding, Verdict::TruePositive, "ann", None);
    assert!(judged.await.expect("judges").is_some());
    all.world.say(&device, "flood low").await;
    all.trust_becomes(&device, 65).await;
    all.stop().await;
}

#[tokio::test]
async fn findings_alone_never_take_a_device_below_half_its_trust() {
    let all = Loop::new().await;
    let device = all.world.device("cam-1").await;
    for number in 0..20 {
        let what = format!("rule-{number} critical");
        all.world.say(&device, &what).await;
    }
    until("all are found", async || {
        all.world.findings().await.len() == 20
    })
    .await;
    all.trust_becomes(&device, 50).await;
    let (_, reasons) = all.trust(&device).await;
    let points: u32 = reasons.iter().map(|one| u32::from(one.points)).sum();
    assert_eq!(points, 50);
    all.stop().await;
}

#[tokio::test]
async fn what_was_found_before_a_restart_costs_trust_after_it() {
    let world = World::new().await;
    let running = world.run().await;
    let device = world.device("cam-1").await;
    world.say(&device, "scan high").await;
    until("it is found", async || world.findings().await.len() == 1).await;
    running.stop().await;
    let opened = world.open().await;
    use palisade_core::Clock;
    let reasons = opened.evidence().evidence(&device, world.clock.now());
    assert_eq!(reasons[0].points, 30);
    world.clock.advance_millis(72 * 3_600_000);
    let reasons = opened.evidence().evidence(&device, world.clock.now());
    assert_eq!(reasons[0].points, 15, "half after its half-life");
}
