//! Rules in force: from the event to the finding, reloaded, switched, and replayed.

use std::{path::Path, sync::Arc};

use palisade_core::{
    Action, DenyReason, DeviceId, Door, Event, EventKind, Severity, Timestamp, port::Journal,
};
use palisade_detect::{
    Detect,
    rules::{ReloadError, Replay, ReplayError, ReplayOrder, ReplayState, RuleWatcher, Rules},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::world::{Running, World, run, until};

struct Ruled {
    world: World,
    rules: Arc<Rules>,
    folder: TempDir,
}

impl Ruled {
    /// Rules with a folder of own ones, in which these are.
    async fn with(own: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        for (name, text) in own {
            write(folder.path(), name, text);
        }
        let world = World::new().await;
        let clock = Arc::new(world.clock.clone());
        let path = Some(folder.path().to_owned());
        let rules = Rules::open(world.store.clone(), clock, path).await;
        Self {
            rules: rules.expect("opens"),
            world,
            folder,
        }
    }

    async fn detect(&self) -> Arc<Detect> {
        let watcher = RuleWatcher::new(self.rules.clone(), Arc::new(self.world.clock.clone()));
        self.world.open_with(vec![Box::new(watcher)]).await
    }

    async fn run(&self) -> Running {
        run(self.detect().await)
    }

    /// A device is denied topics, each a second after the one before.
    async fn scan(&self, device: &DeviceId, times: u64) {
        let events = (0..times).map(|_| {
            self.world.clock.advance_millis(1_000);
            denied(device, self.world.now())
        });
        self.world
            .ledger
            .record(events.collect())
            .await
            .expect("records");
    }

    async fn found(&self) -> Vec<String> {
        let found = self.world.findings().await;
        let found = found.iter().map(|one| one.finding.detector.to_string());
        found.collect()
    }
}

fn denied(device: &DeviceId, at: Timestamp) -> Event {
    let kind = EventKind::Denied {
        action: Action::Publish,
        resource: "plant/line-3".to_owned(),
        reason: DenyReason::NoGrant,
        count: 1,
    };
    Event::new(at, Door::Mqtt, kind).about(device.clone())
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("writes");
}

fn own(title: &str, level: &str) -> String {
    format!(
        "title: {title}\nlogsource:\n  product: palisade\n  category: mqtt\ndetection:\n  selection:\n    kind: denied\n  \
         condition: selection\nlevel: {level}\n"
    )
}

#[tokio::test]
async fn a_scan_is_found_with_the_events_that_show_it() {
    let ruled = Ruled::with(&[]).await;
    let device = ruled.world.device("cam-1").await;
    let running = ruled.run().await;
    ruled.scan(&device, 25).await;
    until("it is found", async || {
        ruled
            .found()
            .await
            .contains(&"rule/mqtt-topic-scan".to_owned())
    })
    .await;
    running.stop().await;
    let all = ruled.world.findings().await;
    let scan = all
        .iter()
        .find(|one| one.finding.detector.id() == "mqtt-topic-scan")
        .expect("found");
    assert_eq!(scan.subject, "device/cam-1");
    assert_eq!(scan.finding.severity, Severity::High);
    assert_eq!(scan.finding.confidence.value(), 90);
    assert_eq!(scan.finding.techniques, ["attack.t0846"]);
    assert_eq!(scan.finding.evidence.len(), 16);
    assert!(
        scan.finding.detail.contains("principal.id is cam-1"),
        "{}",
        scan.finding.detail
    );
    assert!(ruled.rules.fired("mqtt-topic-scan").count >= 1);
}

#[tokio::test]
async fn a_rule_that_matches_everything_is_one_finding_and_the_stream_goes_on() {
    let text = "title: All\nlogsource:\n  product: palisade\ndetection:\n  selection:\n    kind|re: '.*'\n  condition: selection\n";
    let ruled = Ruled::with(&[("all.yaml", text)]).await;
    let device = ruled.world.device("cam-1").await;
    let running = ruled.run().await;
    for _ in 0..10 {
        let events = (0..1_000).map(|_| denied(&device, ruled.world.now()));
        let recorded = ruled.world.ledger.record(events.collect()).await;
        recorded.expect("records");
    }
    until("all were read", async || {
        running.detect.stats().events >= 10_000
    })
    .await;
    running.stop().await;
    let all = ruled.world.findings().await;
    let found: Vec<_> = all
        .iter()
        .filter(|one| one.finding.detector.id() == "all")
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].finding.count, 10_000);
    // It is told now and then, not ten thousand times.
    assert!(ruled.world.told().await < 100);
}

#[tokio::test]
async fn a_new_rule_is_in_force_when_it_was_reloaded() {
    let ruled = Ruled::with(&[]).await;
    let device = ruled.world.device("cam-1").await;
    let running = ruled.run().await;
    write(ruled.folder.path(), "mine.yaml", &own("Mine", "low"));
    ruled.rules.reload().await.expect("reloads");
    ruled.scan(&device, 1).await;
    until("it is found", async || ruled.found().await == ["rule/mine"]).await;
    running.stop().await;
}

#[tokio::test]
async fn a_changed_file_is_seen_without_being_asked() {
    let ruled = Ruled::with(&[("mine.yaml", &own("Mine", "low"))]).await;
    let cancel = CancellationToken::new();
    let keeper = tokio::spawn(ruled.rules.clone().run(cancel.clone()));
    // The keeper looks first at how the folder is; a change before that would be no change.
    let mut number = 0;
    until("it is in force", async || {
        number += 1;
        let text = own(&format!("Mine {}", "x".repeat(number % 50)), "critical");
        write(ruled.folder.path(), "mine.yaml", &text);
        let mine = ruled.rules.find("mine").expect("it is there");
        mine.severity == Severity::Critical
    })
    .await;
    cancel.cancel();
    keeper.await.expect("ends");
}

#[tokio::test]
async fn a_bad_rule_refuses_the_whole_new_set_and_the_old_one_goes_on() {
    let ruled = Ruled::with(&[("mine.yaml", &own("Mine", "low"))]).await;
    let device = ruled.world.device("cam-1").await;
    let running = ruled.run().await;
    write(ruled.folder.path(), "good.yaml", &own("Good", "low"));
    write(
        ruled.folder.path(),
        "worse.yaml",
        &own("Bad", "low").replace("kind", "knid"),
    );
    let Err(ReloadError::Rule(error)) = ruled.rules.reload().await else {
        panic!("it is refused");
    };
    assert!(error.file.ends_with("worse.yaml"), "{error}");
    assert_eq!(error.line, 7, "{error}");
    assert_eq!(ruled.rules.status().problem, Some(error));
    assert!(ruled.rules.find("good").is_none());
    ruled.scan(&device, 1).await;
    until("the old one speaks", async || {
        ruled.found().await == ["rule/mine"]
    })
    .await;
    running.stop().await;
    std::fs::remove_file(ruled.folder.path().join("worse.yaml")).expect("removes");
    ruled.rules.reload().await.expect("reloads");
    assert_eq!(ruled.rules.status().problem, None);
    assert!(ruled.rules.find("good").is_some());
}

#[tokio::test]
async fn where_an_own_rule_is_bad_at_the_start_the_shipped_ones_are_in_force() {
    let ruled = Ruled::with(&[("bad.yaml", "title: [")]).await;
    assert!(ruled.rules.find("mqtt-topic-scan").is_some());
    let problem = ruled.rules.status().problem.expect("it is told");
    assert!(problem.file.ends_with("bad.yaml"), "{problem}");
}

#[tokio::test]
async fn a_rule_that_is_switched_off_is_silent_and_stays_so_after_a_restart() {
    let ruled = Ruled::with(&[("mine.yaml", &own("Mine", "low"))]).await;
    let device = ruled.world.device("cam-1").await;
    let switched = ruled.rules.switch("mine", false, "ops").await;
    assert!(!switched.expect("switches").expect("it is there").enabled);
    assert_eq!(
        ruled
            .rules
            .switch("nobody", false, "ops")
            .await
            .expect("looks"),
        None
    );
    let running = ruled.run().await;
    ruled.scan(&device, 1).await;
    until("it was read", async || running.detect.stats().events == 1).await;
    assert_eq!(running.detect.stats().alarms, 0);
    running.stop().await;

    let clock = Arc::new(ruled.world.clock.clone());
    let path = Some(ruled.folder.path().to_owned());
    let again = Rules::open(ruled.world.store.clone(), clock, path).await;
    let again = again.expect("opens");
    assert!(!again.find("mine").expect("it is there").enabled);
    again.switch("mine", true, "ops").await.expect("switches");
    assert!(again.find("mine").expect("it is there").enabled);
}

#[tokio::test]
async fn an_own_rule_replaces_the_shipped_one_that_has_its_id() {
    let shipped = palisade_detect::rules::shipped();
    let flood = shipped
        .iter()
        .find(|file| file.stem() == "mqtt-queue-overflow")
        .expect("shipped");
    let text = flood
        .text
        .replace("count|gte: 1000", "count|gte: 5")
        .replace("level: low", "level: high");
    let ruled = Ruled::with(&[("mqtt-queue-overflow.yaml", &text)]).await;
    let rule = ruled
        .rules
        .find("mqtt-queue-overflow")
        .expect("it is there");
    assert_eq!(rule.severity, Severity::High);
    assert_eq!(rule.origin, palisade_detect::rules::Origin::Own);
    let same = ruled.rules.set();
    let same = same.rules().iter().filter(|one| one.uuid == rule.uuid);
    assert_eq!(same.count(), 1);
}

#[tokio::test]
async fn windows_outlive_a_reload() {
    let ruled = Ruled::with(&[]).await;
    let device = ruled.world.device("cam-1").await;
    let running = ruled.run().await;
    ruled.scan(&device, 6).await;
    until("they were read", async || {
        running.detect.stats().events >= 6
    })
    .await;
    write(ruled.folder.path(), "mine.yaml", &own("Mine", "low"));
    ruled.rules.reload().await.expect("reloads");
    ruled.scan(&device, 5).await;
    until("the scan is found", async || {
        ruled
            .found()
            .await
            .contains(&"rule/mqtt-topic-scan".to_owned())
    })
    .await;
    running.stop().await;
}

async fn replayed(rules: &Rules) -> Replay {
    until("the replay ended", async || {
        rules
            .replay()
            .is_some_and(|replay| replay.state != ReplayState::Running)
    })
    .await;
    rules.replay().expect("there was one")
}

#[tokio::test]
async fn a_replay_says_what_would_have_been_found_and_raises_nothing() {
    let ruled = Ruled::with(&[]).await;
    let device = ruled.world.device("cam-1").await;
    ruled.scan(&device, 60).await;
    let begun = ruled.rules.start_replay(ReplayOrder::default());
    begun.expect("begins");
    let replay = replayed(&ruled.rules).await;
    assert_eq!(
        (replay.state, replay.events, replay.percent),
        (ReplayState::Done, 60, 100)
    );
    let scan = replay
        .found
        .iter()
        .find(|one| one.rule == "mqtt-topic-scan");
    let scan = scan.expect("found");
    assert_eq!(scan.subject, "device/cam-1");
    assert!(scan.count >= 4 && scan.first < scan.last, "{scan:?}");
    assert!(ruled.world.findings().await.is_empty());
    assert_eq!(ruled.rules.fired("mqtt-topic-scan").count, 0);
}

#[tokio::test]
async fn a_replay_tries_a_rule_that_is_not_in_force_over_a_part_of_the_events() {
    let ruled = Ruled::with(&[]).await;
    let device = ruled.world.device("cam-1").await;
    ruled.scan(&device, 10).await;
    let after = ruled.world.now();
    ruled.world.clock.advance_millis(10_000);
    ruled.scan(&device, 3_000).await;
    let until = ruled.world.now();
    ruled.scan(&device, 10).await;
    let order = ReplayOrder {
        after: Some(after + std::time::Duration::from_secs(5)),
        until: Some(until),
        text: Some(own("Candidate", "low")),
    };
    ruled.rules.start_replay(order).expect("begins");
    let replay = replayed(&ruled.rules).await;
    assert_eq!(replay.state, ReplayState::Done);
    assert_eq!(replay.found.len(), 1, "{:?}", replay.found);
    assert_eq!(replay.found[0].rule, "posted");
    assert_eq!(replay.found[0].count, 2_999);
    let bad = ReplayOrder {
        text: Some("title: [".to_owned()),
        ..ReplayOrder::default()
    };
    let refused = ruled.rules.start_replay(bad);
    assert!(matches!(refused, Err(ReplayError::Rule(_))), "{refused:?}");
}
