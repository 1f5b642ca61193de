//! Cases: what joins, what opens, what is merged and split.

use palisade_core::{ActionState, Lifecycle, Severity};
use palisade_respond::{Happened, RespondConfig};
use palisade_store::{CaseState, Verdict};

use crate::house::{House, until};

#[tokio::test]
async fn a_finding_opens_a_case_and_its_playbook_contains_the_device_until_its_time_is_over() {
    let house = House::new().await;
    house.devices(10).await;
    house
        .found("cam-1", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.lifecycle("cam-1").await == Lifecycle::Quarantined).await;
    until(async || house.in_state("quarantine", ActionState::Done).await == 1).await;
    let case = house.case().await;
    until(async || house.cases().await[0].state == CaseState::Contained).await;
    let file = house.respond.case_file(case).await.expect("a case");
    assert_eq!(file.case.subject, "device/cam-1");
    assert_eq!(file.case.severity, Severity::High);
    assert_eq!(file.findings, 1);
    let has = |is: fn(&Happened) -> bool| file.timeline.iter().any(is);
    assert!(has(|one| matches!(one, Happened::Finding(_))));
    assert!(has(|one| matches!(one, Happened::Action(_))));
    house.clock.advance_millis(3_599_000);
    house.caught_up().await;
    assert_eq!(house.lifecycle("cam-1").await, Lifecycle::Quarantined);
    house.clock.advance_millis(2_000);
    until(async || house.in_state("quarantine", ActionState::Undone).await == 1).await;
    assert_eq!(house.lifecycle("cam-1").await, Lifecycle::Active);
    until(async || house.cases().await[0].state == CaseState::Open).await;
    let told = house.told("quarantine").await;
    use ActionState::{Done, Running, Undoing, Undone};
    assert_eq!(told, [Running, Done, Undoing, Undone]);
    house.stop().await;
}

#[tokio::test]
async fn a_device_that_is_revoked_out_of_quarantine_was_not_let_go() {
    let house = House::new().await;
    house.devices(10).await;
    house
        .found("cam-1", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.in_state("quarantine", ActionState::Done).await == 1).await;
    let id = crate::house::device("cam-1");
    house.clock.advance_millis(1_000);
    let revoked = house
        .pdp
        .set_lifecycle(&id, Lifecycle::Revoked, "stolen")
        .await;
    revoked.expect("revoked");
    house.caught_up().await;
    house.clock.advance_millis(7_200_000);
    house.caught_up().await;
    let file = house
        .respond
        .case_file(house.case().await)
        .await
        .expect("a case");
    assert_eq!(file.case.state, CaseState::Contained);
    let lines: Vec<&str> = file
        .timeline
        .iter()
        .filter_map(|one| match one {
            Happened::Entry(entry) if entry.kind == "device" => Some(entry.text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(lines, ["revoked: stolen"]);
    let Some(Happened::Action(action)) = file
        .timeline
        .iter()
        .find(|one| matches!(one, Happened::Action(_)))
    else {
        panic!("no action");
    };
    assert_eq!(action.state, ActionState::Done);
    assert_eq!(action.why, "the device was revoked: stolen");
    assert_eq!(house.lifecycle("cam-1").await, Lifecycle::Revoked);
    house.stop().await;
}

#[tokio::test]
async fn what_was_taken_back_stands_in_the_timeline_when_it_was_and_not_before_what_came_earlier() {
    let house = House::new().await;
    house.devices(10).await;
    house
        .found("cam-1", "mqtt-topic-scan", Severity::High)
        .await;
    until(async || house.in_state("quarantine", ActionState::Done).await == 1).await;
    house.clock.advance_millis(1_000);
    let case = house.case().await;
    house
        .respond
        .note(case, "looked at it", "ann")
        .await
        .expect("noted");
    house.clock.advance_millis(3_600_000);
    until(async || house.in_state("quarantine", ActionState::Undone).await == 1).await;
    house.caught_up().await;
    let file = house.respond.case_file(case).await.expect("a case");
    let place = |is: fn(&Happened) -> bool| file.timeline.iter().position(is).expect("there");
    let ordered = place(|one| matches!(one, Happened::Action(_)));
    let noted = place(|one| matches!(one, Happened::Entry(entry) if entry.kind == "note"));
    let undone = place(|one| matches!(one, Happened::Undone(_)));
    assert!(ordered < noted && noted < undone, "{:?}", file.timeline);
    house.stop().await;
}

#[tokio::test]
async fn findings_about_one_subject_join_one_case_and_the_same_finding_twice_is_once() {
    let house = House::new().await;
    house.devices(10).await;
    let first = house.found("cam-1", "odd", Severity::Low).await;
    house.found("cam-1", "odder", Severity::Medium).await;
    house.tell("cam-1", first).await;
    house.found("cam-2", "other", Severity::Low).await;
    house.found("cam-1", "noise", Severity::Informational).await;
    house.found("cam-3", "noise", Severity::Informational).await;
    house.caught_up().await;
    let cases = house.cases().await;
    assert_eq!(cases.len(), 2, "what asks for nothing opens no case");
    assert_eq!(cases[0].severity, Severity::Medium);
    let file = house.respond.case_file(cases[0].id).await.expect("a case");
    assert_eq!(file.findings, 3);
    house.stop().await;
}

#[tokio::test]
async fn one_detector_about_many_subjects_is_one_campaign() {
    let house = House::with(RespondConfig {
        campaign_subjects: 3,
        ..RespondConfig::default()
    })
    .await;
    house.devices(20).await;
    for number in 1..=20 {
        house
            .found(&format!("cam-{number}"), "odd", Severity::Low)
            .await;
    }
    house.caught_up().await;
    let cases = house.cases().await;
    let campaign = cases
        .iter()
        .find(|case| case.subject == "campaign/rule/odd");
    let campaign = campaign.expect("a campaign");
    assert_eq!(cases.len(), 4, "three cases and the campaign");
    let linked = cases
        .iter()
        .filter(|case| case.campaign == Some(campaign.id));
    assert_eq!(linked.count(), 3);
    let file = house.respond.case_file(campaign.id).await.expect("a case");
    assert_eq!(file.findings, 17);
    house.stop().await;
}

#[tokio::test]
async fn cases_are_merged_and_split_by_hand() {
    let house = House::new().await;
    house.devices(10).await;
    let one = house.found("cam-1", "odd", Severity::Low).await;
    house.found("cam-2", "odd", Severity::Medium).await;
    house.caught_up().await;
    let cases = house.cases().await;
    let (first, second) = (cases[0].id, cases[1].id);
    let respond = &house.respond;
    let merged = respond.merge(first, second, "ann").await.expect("merged");
    assert_eq!((merged.id, merged.severity), (second, Severity::Medium));
    assert_eq!(respond.case_file(second).await.expect("a case").findings, 2);
    let gone = respond.case_file(first).await.expect("a case").case;
    assert_eq!(
        (gone.state, gone.merged_into),
        (CaseState::Closed, Some(second))
    );
    assert!(respond.note(first, "too late", "ann").await.is_err());
    assert!(respond.merge(first, second, "ann").await.is_err());
    assert!(respond.merge(second, second, "ann").await.is_err());
    // What is seen again goes where it was merged to.
    house.tell("cam-1", one.clone()).await;
    house.caught_up().await;
    assert_eq!(house.cases().await.len(), 2);
    // The finding is split by its record.
    let record = palisade_store::FindingRecord {
        subject: "device/cam-1".to_owned(),
        device: None,
        source: None,
        state: palisade_store::FindingState::Open,
        verdict: None,
        verdict_by: None,
        verdict_note: None,
        finding: one.clone(),
    };
    house.store.findings().put(&record).await.expect("written");
    let split = respond
        .split(second, &[one.id], "ann")
        .await
        .expect("split");
    assert_eq!(split.subject, "device/cam-1");
    assert_eq!(
        respond.case_file(split.id).await.expect("a case").findings,
        1
    );
    assert_eq!(respond.case_file(second).await.expect("a case").findings, 1);
    assert!(respond.split(second, &[one.id], "ann").await.is_err());
    house.stop().await;
}

#[tokio::test]
async fn a_closed_case_opens_again_when_it_goes_on_but_not_when_a_person_found_it_to_be_nothing() {
    let house = House::new().await;
    house.devices(10).await;
    let finding = house.found("cam-1", "odd", Severity::Low).await;
    let case = house.case().await;
    let respond = &house.respond;
    respond
        .set_case_state(case, CaseState::Closed, "done", "ann")
        .await
        .expect("closed");
    house.clock.advance_millis(5_000);
    let again = palisade_core::Finding {
        last_seen: palisade_core::Clock::now(&house.clock),
        count: 2,
        ..finding
    };
    house.tell("cam-1", again.clone()).await;
    house.caught_up().await;
    assert_eq!(house.cases().await[0].state, CaseState::Open);
    respond
        .judge_case(case, Verdict::BenignExpected, "ann")
        .await
        .expect("judged");
    respond
        .set_case_state(case, CaseState::Closed, "", "ann")
        .await
        .expect("closed");
    house.clock.advance_millis(5_000);
    let again = palisade_core::Finding {
        last_seen: palisade_core::Clock::now(&house.clock),
        severity: Severity::Critical,
        ..again
    };
    house.tell("cam-1", again).await;
    house.caught_up().await;
    assert_eq!(house.cases().await[0].state, CaseState::Closed);
    assert!(house.actions().await.is_empty());
    house.stop().await;
}
