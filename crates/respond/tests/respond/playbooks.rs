//! Playbooks: shipped, switched, read again, and refused.

use std::path::Path;

use palisade_core::{ActionState, Lifecycle, Mode, Severity};
use palisade_respond::RespondConfig;
use tempfile::TempDir;

use crate::house::{House, until, write_playbook};

fn text(name: &str, mode: &str) -> String {
    format!(
        "name: {name}
description: a test
trigger: {{ detectors: [odd], min_severity: low }}
actions:
  - action: quarantine
    mode: {mode}
    ttl: 1h
"
    )
}

async fn over(directory: &Path) -> House {
    House::with(RespondConfig {
        playbooks_dir: Some(directory.to_owned()),
        ..RespondConfig::default()
    })
    .await
}

#[tokio::test]
async fn a_directory_is_read_again_and_a_bad_file_leaves_in_force_what_is() {
    let directory = TempDir::new().expect("a directory");
    write_playbook(directory.path(), "own.yaml", &text("own", "observe"));
    let house = over(directory.path()).await;
    house.devices(100).await;
    assert_eq!(house.respond.playbooks().len(), 8);
    house.found("cam-1", "odd", Severity::Low).await;
    until(async || house.in_state("quarantine", ActionState::Observed).await == 1).await;
    let bad = text("own", "auto").replace("ttl", "tll");
    write_playbook(directory.path(), "own.yaml", &bad);
    until(async || house.respond.playbook_problem().is_some()).await;
    let problem = house
        .respond
        .playbook_problem()
        .expect("a problem")
        .to_string();
    assert!(
        problem.contains("own.yaml:7:") && problem.contains("tll"),
        "{problem}"
    );
    assert_eq!(
        house
            .respond
            .playbook("own")
            .expect("still there")
            .playbook
            .actions[0]
            .mode,
        Mode::Observe
    );
    write_playbook(directory.path(), "own.yaml", &text("own", "auto"));
    until(async || house.respond.playbook_problem().is_none()).await;
    house.found("cam-2", "odd", Severity::Low).await;
    until(async || house.lifecycle("cam-2").await == Lifecycle::Quarantined).await;
    house.stop().await;
}

#[tokio::test]
async fn a_start_over_a_bad_directory_goes_on_with_what_was_last_good() {
    let directory = TempDir::new().expect("a directory");
    let config = RespondConfig {
        playbooks_dir: Some(directory.path().to_owned()),
        ..RespondConfig::default()
    };
    write_playbook(directory.path(), "own.yaml", &text("own", "observe"));
    let house = House::with(config.clone()).await;
    // The shipped one would quarantine by itself; the operator's does not.
    let own = text("scanning-or-flooding-device", "dry-run");
    write_playbook(directory.path(), "scan.yaml", &own);
    until(async || {
        house
            .respond
            .playbooks()
            .iter()
            .any(|one| *one.text == *own)
    })
    .await;
    until(async || {
        let kept = house.store.settings().get("playbooks/last_good").await;
        let kept = kept.expect("reads").expect("kept");
        String::from_utf8_lossy(&kept).contains("scan.yaml")
    })
    .await;
    let (data, clock) = house.stop().await;
    let bad = text("own", "auto").replace("ttl", "tll");
    write_playbook(directory.path(), "own.yaml", &bad);
    let house = House::at(data, clock, config, |all| all).await;
    let problem = house.respond.playbook_problem().expect("a problem");
    assert!(problem.to_string().contains("own.yaml:7:"), "{problem}");
    let mode = |name: &str| {
        let found = house.respond.playbook(name).expect("in force");
        found.playbook.actions[0].mode
    };
    assert_eq!(mode("own"), Mode::Observe);
    assert_eq!(mode("scanning-or-flooding-device"), Mode::DryRun);
    write_playbook(directory.path(), "own.yaml", &text("own", "approve"));
    until(async || house.respond.playbook_problem().is_none()).await;
    assert_eq!(mode("own"), Mode::Approve);
    house.stop().await;
}

#[tokio::test]
async fn a_first_start_over_a_bad_directory_has_the_shipped_playbooks_and_says_why() {
    let directory = TempDir::new().expect("a directory");
    let gone = directory.path().join("gone");
    let house = over(&gone).await;
    assert_eq!(house.respond.playbooks().len(), 7);
    let problem = house.respond.playbook_problem().expect("a problem");
    assert!(problem.to_string().contains("gone"), "{problem}");
    // It is empty when it is there, as it was taken to be while it was not.
    std::fs::create_dir(&gone).expect("makes");
    until(async || house.respond.playbook_problem().is_none()).await;
    write_playbook(&gone, "own.yaml", &text("own", "observe"));
    until(async || house.respond.playbooks().len() == 8).await;
    house.stop().await;
}

#[tokio::test]
async fn a_playbook_of_the_directory_takes_the_place_of_the_shipped_one_of_its_name() {
    let directory = TempDir::new().expect("a directory");
    let own = text("scanning-or-flooding-device", "dry-run");
    write_playbook(directory.path(), "x.yaml", &own);
    let house = over(directory.path()).await;
    house.devices(10).await;
    assert_eq!(house.respond.playbooks().len(), 7);
    house
        .found("cam-1", "mqtt-topic-scan", Severity::Critical)
        .await;
    house.found("cam-1", "odd", Severity::Low).await;
    until(async || house.in_state("quarantine", ActionState::DryRun).await == 1).await;
    assert_eq!(house.lifecycle("cam-1").await, Lifecycle::Active);
    assert_eq!(house.actions().await.len(), 1);
    house.stop().await;
}

#[tokio::test]
async fn a_playbook_that_is_off_does_nothing_also_after_a_restart() {
    let house = House::new().await;
    house.devices(10).await;
    let name = "scanning-or-flooding-device";
    house
        .respond
        .switch_playbook(name, false, "ann")
        .await
        .expect("off");
    house
        .found("cam-1", "mqtt-topic-scan", Severity::Critical)
        .await;
    house.caught_up().await;
    assert!(house.actions().await.is_empty());
    let (directory, clock) = house.stop().await;
    let house = House::at(directory, clock, RespondConfig::default(), |all| all).await;
    assert!(!house.respond.playbook(name).expect("there").enabled);
    house
        .respond
        .switch_playbook(name, true, "ann")
        .await
        .expect("on");
    house
        .found("cam-1", "mqtt-topic-scan", Severity::Critical)
        .await;
    until(async || house.lifecycle("cam-1").await == Lifecycle::Quarantined).await;
    assert!(
        house
            .respond
            .switch_playbook("nothing", true, "ann")
            .await
            .is_err()
    );
    house.stop().await;
}

#[tokio::test]
async fn each_shipped_playbook_answers_what_it_is_for() {
    let house = House::new().await;
    house.devices(200).await;
    for (index, detector) in ["mqtt-publish-flood", "mqtt-identity-theft"]
        .iter()
        .enumerate()
    {
        let id = format!("cam-{}", index + 1);
        house.found(&id, detector, Severity::High).await;
        until(async || house.lifecycle(&id).await == Lifecycle::Quarantined).await;
    }
    house
        .found("cam-3", "statistics-exfiltration", Severity::High)
        .await;
    house
        .found("cam-4", "enrolment-wrong-product", Severity::High)
        .await;
    let source = "192.0.2.7".parse().expect("an address");
    house
        .found_at(source, "enrolment-token-guessing", Severity::High)
        .await;
    let source = "192.0.2.8".parse().expect("an address");
    house
        .found_at(source, "admin-guessed-then-acted", Severity::Critical)
        .await;
    house.caught_up().await;
    let on = async |action: &str, target: &str| {
        let all = house.actions().await;
        let found = all
            .iter()
            .find(|one| one.order.action == action && one.order.target.to_string() == target);
        found.map(|one| (one.playbook.clone().unwrap_or_default(), one.state))
    };
    use ActionState::{Done, Running, Waiting};
    let by = |name: &str, state| Some((name.to_owned(), state));
    until(async || on("lower-trust", "device/cam-3").await == by("data-exfiltration", Done)).await;
    assert_eq!(
        on("quarantine", "device/cam-3").await,
        by("data-exfiltration", Waiting)
    );
    assert_eq!(
        on("revoke-certificate", "device/cam-2").await,
        by("identity-theft", Waiting)
    );
    assert_eq!(
        on("quarantine", "device/cam-4").await,
        by("enrolment-abuse", Waiting)
    );
    // Here is no door that could refuse an address: it is tried again and again.
    assert_eq!(
        on("block-address", "address/192.0.2.7").await,
        by("credential-abuse", Running)
    );
    assert!(on("block-address", "address/192.0.2.8").await.is_some());
    assert_eq!(house.lifecycle("cam-3").await, Lifecycle::Active);
    assert_eq!(house.lifecycle("cam-4").await, Lifecycle::Active);
    house.kill().await;
}

#[tokio::test]
async fn a_scanner_that_was_contained_three_times_waits_for_a_person_and_is_contained_all_the_same()
{
    let house = House::new().await;
    house.devices(100).await;
    let revocation = "revoke-certificate";
    for time in 1..=5 {
        house
            .found("cam-1", "mqtt-topic-scan", Severity::High)
            .await;
        house.caught_up().await;
        until(async || house.in_state("quarantine", ActionState::Done).await == 1).await;
        let expected = usize::from(time > 3);
        let waiting = house.in_state(revocation, ActionState::Waiting).await;
        assert_eq!(waiting, expected, "after {time} scans");
        // The longest quarantine of these is sixteen hours.
        house.clock.advance_millis(17 * 3_600_000);
        until(async || house.in_state("quarantine", ActionState::Undone).await == time).await;
        house.clock.advance_millis(1_000);
    }
    house.stop().await;
}

const REVOKING: &str = "name: own
description: a test
trigger: { detectors: [odd], min_severity: low }
actions:
  - action: quarantine
    mode: auto
    ttl: 1h
  - action: revoke-certificate
    mode: approve
";

#[tokio::test]
async fn a_revocation_that_waits_keeps_no_later_finding_from_its_quarantine() {
    let directory = TempDir::new().expect("a directory");
    write_playbook(directory.path(), "own.yaml", REVOKING);
    let house = over(directory.path()).await;
    house.devices(100).await;
    let found = async || {
        house.found("cam-1", "odd", Severity::High).await;
        house.caught_up().await;
    };
    let quarantined = async |times: usize| {
        until(async || house.lifecycle("cam-1").await == Lifecycle::Quarantined).await;
        until(async || house.in_state("quarantine", ActionState::Done).await == 1).await;
        assert_eq!(
            house.in_state("quarantine", ActionState::Undone).await,
            times - 1
        );
    };
    found().await;
    quarantined(1).await;
    // What is in force is not doubled, and what waits is not asked twice.
    found().await;
    assert_eq!(house.actions().await.len(), 2);
    house.clock.advance_millis(3_601_000);
    until(async || house.in_state("quarantine", ActionState::Undone).await == 1).await;
    house.clock.advance_millis(1_000);
    found().await;
    quarantined(2).await;
    let revocation = "revoke-certificate";
    assert_eq!(house.in_state(revocation, ActionState::Waiting).await, 1);
    // Who says no to the revocation says nothing about the quarantine.
    let all = house.actions().await;
    let waiting = all.iter().find(|one| one.state == ActionState::Waiting);
    let id = waiting.expect("a revocation").order.id;
    house
        .respond
        .reject(id, "ann", "not that")
        .await
        .expect("rejected");
    house.clock.advance_millis(7_201_000);
    until(async || house.in_state("quarantine", ActionState::Undone).await == 2).await;
    house.clock.advance_millis(1_000);
    found().await;
    quarantined(3).await;
    assert_eq!(house.in_state(revocation, ActionState::Waiting).await, 0);
    house.stop().await;
}
