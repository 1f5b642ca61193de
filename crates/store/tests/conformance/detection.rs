//! Findings, switches and suppressions.

use palisade_core::{
    ActionId, ActionState, CaseId, Confidence, Detector, DeviceId, Door, Event, EventKind, Finding,
    FindingId, Impact, Mode, Order, Severity, SuppressionId, Target, Timestamp,
};
use palisade_store::{
    ActionFilter, ActionRecord, CaseChange, CaseFinding, CaseRecord, CaseState, DetectorState,
    FindingFilter, FindingRecord, FindingState, OutboxRow, Suppression, Verdict,
};

use super::store;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("valid")
}

fn finding(device: &str, severity: Severity) -> FindingRecord {
    FindingRecord {
        finding: Finding {
            id: FindingId::generate(),
            detector: Detector::Rule("mqtt-topic-scan".to_owned()),
            title: "Topic scan".to_owned(),
            severity,
            confidence: Confidence::new(80),
            detail: "it asked for 40 topics".to_owned(),
            techniques: vec!["attack.t0846".to_owned()],
            evidence: Vec::new(),
            count: 1,
            first_seen: at(10),
            last_seen: at(20),
        },
        subject: format!("device/{device}"),
        device: DeviceId::parse(device).ok(),
        source: "192.0.2.7".parse().ok(),
        state: FindingState::Open,
        verdict: None,
        verdict_by: None,
        verdict_note: None,
    }
}

#[tokio::test]
async fn a_finding_reads_back_and_is_replaced_under_its_name() {
    let (_directory, store) = store().await;
    let mut record = finding("cam-1", Severity::High);
    store.findings().put(&record).await.expect("writes");
    let found = store.findings().find(record.finding.id).await;
    assert_eq!(found.expect("reads"), Some(record.clone()));
    record.finding.count = 7;
    record.finding.severity = Severity::Critical;
    record.state = FindingState::Cleared;
    let all = [record.clone(), finding("cam-2", Severity::Low)];
    store.findings().put_all(&all).await.expect("writes");
    let found = store.findings().find(record.finding.id).await;
    assert_eq!(found.expect("reads"), Some(record));
}

#[tokio::test]
async fn a_verdict_stays_when_the_finding_is_written_again() {
    let (_directory, store) = store().await;
    let record = finding("cam-1", Severity::High);
    let (findings, id) = (store.findings(), record.finding.id);
    let unknown = findings.judge(id, Verdict::TruePositive, "ann", None).await;
    assert!(!unknown.expect("runs"));
    findings.put(&record).await.expect("writes");
    let judged = findings
        .judge(id, Verdict::FalsePositive, "ann", Some("a test"))
        .await;
    assert!(judged.expect("runs"));
    findings.put(&record).await.expect("writes");
    let found = findings.find(id).await.expect("reads").expect("is there");
    assert_eq!(found.verdict, Some(Verdict::FalsePositive));
    assert_eq!(found.verdict_by.as_deref(), Some("ann"));
    assert_eq!(found.verdict_note.as_deref(), Some("a test"));
}

#[tokio::test]
async fn findings_are_listed_newest_first_and_narrowed() {
    let (_directory, store) = store().await;
    let mut all = Vec::new();
    for (number, severity) in Severity::ALL.into_iter().enumerate() {
        let mut record = finding(&format!("cam-{number}"), severity);
        record.finding.detector = match number {
            0 => Detector::Audit("dormant-device".to_owned()),
            _ => record.finding.detector,
        };
        all.push(record);
    }
    all.sort_by_key(|record| std::cmp::Reverse(record.finding.id));
    let findings = store.findings();
    findings.put_all(&all).await.expect("writes");
    let first = findings.list(None, 3, &FindingFilter::default()).await;
    let first = first.expect("reads");
    assert_eq!(first, all[..3]);
    let before = first.last().map(|record| record.finding.id);
    let rest = findings.list(before, 10, &FindingFilter::default()).await;
    assert_eq!(rest.expect("reads"), all[3..]);

    let narrowed = async |filter: FindingFilter| {
        let found = findings.list(None, 10, &filter).await;
        found.expect("reads").len()
    };
    let none = FindingFilter::default;
    for (filter, expected) in [
        (
            FindingFilter {
                severity: Some(Severity::High),
                ..none()
            },
            2,
        ),
        (
            FindingFilter {
                device: DeviceId::parse("cam-1").ok(),
                ..none()
            },
            1,
        ),
        (
            FindingFilter {
                subject: Some("device/nobody".to_owned()),
                ..none()
            },
            0,
        ),
        (
            FindingFilter {
                detector: Some("audit/dormant-device".to_owned()),
                ..none()
            },
            1,
        ),
        (
            FindingFilter {
                state: Some(FindingState::Cleared),
                ..none()
            },
            0,
        ),
        (
            FindingFilter {
                unjudged: true,
                ..none()
            },
            5,
        ),
    ] {
        let said = format!("{filter:?}");
        assert_eq!(narrowed(filter).await, expected, "{said}");
    }
}

#[tokio::test]
async fn what_is_in_force_leaves_out_what_is_old_and_what_a_person_declared_nothing() {
    let (_directory, store) = store().await;
    let findings = store.findings();
    let old = {
        let mut record = finding("cam-1", Severity::High);
        record.finding.last_seen = at(5);
        record
    };
    let (judged, kept) = (
        finding("cam-2", Severity::High),
        finding("cam-3", Severity::High),
    );
    let all = [old, judged.clone(), kept.clone()];
    findings.put_all(&all).await.expect("writes");
    let done = findings
        .judge(judged.finding.id, Verdict::BenignExpected, "ann", None)
        .await;
    assert!(done.expect("runs"));
    let found = findings.in_force(at(10), None, 10).await.expect("reads");
    assert_eq!(found, std::slice::from_ref(&kept));
    let after = Some(kept.finding.id);
    let found = findings.in_force(at(10), after, 10).await.expect("reads");
    assert!(found.is_empty());
}

#[tokio::test]
async fn the_open_finding_of_a_detector_about_a_subject_is_found() {
    let (_directory, store) = store().await;
    let findings = store.findings();
    let mut record = finding("cam-1", Severity::High);
    findings.put(&record).await.expect("writes");
    let one = |detector, subject| findings.open_one(detector, subject);
    let found = one("rule/mqtt-topic-scan", "device/cam-1").await;
    assert_eq!(found.expect("reads"), Some(record.clone()));
    for (detector, subject) in [
        ("rule/other", "device/cam-1"),
        ("rule/mqtt-topic-scan", "device/cam-2"),
    ] {
        assert_eq!(one(detector, subject).await.expect("reads"), None);
    }
    record.state = FindingState::Cleared;
    findings.put(&record).await.expect("writes");
    let found = one("rule/mqtt-topic-scan", "device/cam-1").await;
    assert_eq!(found.expect("reads"), None);
}

#[tokio::test]
async fn events_are_found_by_their_names_while_they_are_on_the_stream() {
    let (_directory, store) = store().await;
    let events: Vec<Event> = (0..3)
        .map(|_| {
            let kind = EventKind::Refused {
                reason: "nobody".to_owned(),
                count: 1,
            };
            Event::new(at(1), Door::Mqtt, kind)
        })
        .collect();
    let rows: Vec<OutboxRow> = events
        .iter()
        .map(|event| OutboxRow {
            kind: event.kind.name().to_owned(),
            principal: None,
            source: None,
            severity: Severity::Informational,
            body: serde_json::to_string(event).expect("json"),
        })
        .collect();
    let journal = store.journal();
    journal.append(&[], &rows).await.expect("writes");
    let named = [events[2].id, events[0].id];
    let found = journal.events_named(&named).await.expect("reads");
    let bodies: Vec<&str> = found.iter().map(|event| event.body.as_str()).collect();
    assert_eq!(bodies, [rows[0].body.as_str(), rows[2].body.as_str()]);
    journal.prune_events(found[0].position).await.expect("ends");
    let found = journal.events_named(&named).await.expect("reads");
    assert_eq!(found.len(), 1);
    assert!(journal.events_named(&[]).await.expect("reads").is_empty());
}

#[tokio::test]
async fn a_detector_stays_as_it_was_switched() {
    let (_directory, store) = store().await;
    let mut state = DetectorState {
        detector: "rule/mqtt-topic-scan".to_owned(),
        enabled: false,
        changed_by: "ann".to_owned(),
        changed_at: at(1),
    };
    store.detectors().switch(&state).await.expect("writes");
    state.enabled = true;
    state.changed_by = "bob".to_owned();
    store.detectors().switch(&state).await.expect("writes");
    assert_eq!(store.detectors().switched().await.expect("reads"), [state]);
}

#[tokio::test]
async fn a_suppression_holds_until_it_ends_or_is_ended() {
    let (_directory, store) = store().await;
    let detectors = store.detectors();
    let with_end = |until| Suppression {
        id: SuppressionId::generate(),
        detector: "*".to_owned(),
        subject: "segment/lab".to_owned(),
        until,
        reason: "a test".to_owned(),
        made_by: "ann".to_owned(),
        created_at: at(1),
    };
    let (lasting, ending) = (with_end(None), with_end(Some(at(100))));
    detectors.suppress(&lasting).await.expect("writes");
    detectors.suppress(&ending).await.expect("writes");
    assert!(detectors.suppress(&ending).await.is_err(), "it is there");
    let mut both = [lasting.clone(), ending];
    both.sort_by_key(|one| one.id);
    assert_eq!(detectors.suppressions(at(99)).await.expect("reads"), both);
    let left = detectors.suppressions(at(100)).await.expect("reads");
    assert_eq!(left, std::slice::from_ref(&lasting));
    assert!(detectors.unsuppress(lasting.id).await.expect("runs"));
    assert!(!detectors.unsuppress(lasting.id).await.expect("runs"));
    assert!(
        detectors
            .suppressions(at(100))
            .await
            .expect("reads")
            .is_empty()
    );
}

#[tokio::test]
async fn old_findings_go_once_they_ended_or_were_judged_and_open_ones_stay() {
    let (_directory, store) = store().await;
    let ended = FindingRecord {
        state: FindingState::Cleared,
        ..finding("cam-1", Severity::Low)
    };
    let judged = finding("cam-2", Severity::Low);
    let judged_id = judged.finding.id;
    let open = finding("cam-3", Severity::High);
    let of_open_case = FindingRecord {
        state: FindingState::Cleared,
        ..finding("cam-4", Severity::Low)
    };
    let mut young = ended.clone();
    young.finding.id = FindingId::generate();
    young.finding.last_seen = at(5_000);
    let all = [
        ended,
        judged,
        open.clone(),
        of_open_case.clone(),
        young.clone(),
    ];
    store.findings().put_all(&all).await.expect("writes");
    let verdict = Verdict::FalsePositive;
    let judged = store
        .findings()
        .judge(judged_id, verdict, "ann", None)
        .await;
    assert!(judged.expect("writes"));
    let case = case("cam-4", CaseState::Open, None);
    let member = CaseFinding {
        subject: case.subject.clone(),
        finding: of_open_case.finding.clone(),
    };
    let change = CaseChange {
        findings: vec![(case.id, member)],
        cases: vec![case],
        ..CaseChange::default()
    };
    store.cases().write(&change).await.expect("writes");
    let pruning = store.pruning();
    assert_eq!(pruning.findings(at(1_000), 1).await.expect("removes"), 1);
    assert_eq!(pruning.findings(at(1_000), 10).await.expect("removes"), 1);
    assert_eq!(pruning.findings(at(1_000), 10).await.expect("removes"), 0);
    for kept in [&open, &of_open_case, &young] {
        let found = store.findings().find(kept.finding.id).await.expect("reads");
        assert!(found.is_some(), "{kept:?}");
    }
}

fn case(device: &str, state: CaseState, closed_at: Option<Timestamp>) -> CaseRecord {
    CaseRecord {
        id: CaseId::generate(),
        subject: format!("device/{device}"),
        title: "a case".to_owned(),
        severity: Severity::Low,
        state,
        owner: None,
        verdict: None,
        merged_into: None,
        campaign: None,
        opened_at: at(1),
        updated_at: at(2),
        closed_at,
    }
}

fn waiting(case: CaseId, state: ActionState) -> ActionRecord {
    ActionRecord {
        order: Order {
            id: ActionId::generate(),
            case,
            action: "quarantine".to_owned(),
            target: Target::Device(DeviceId::parse("cam-9").expect("valid")),
            parameters: Default::default(),
            reason: String::new(),
            context: serde_json::Value::Null,
        },
        playbook: None,
        impact: Impact::Full,
        mode: Mode::Auto,
        state,
        why: String::new(),
        told: Some(state),
        ordered_by: None,
        decided_by: None,
        refused: false,
        lifted: false,
        product: None,
        segment: None,
        ttl_s: None,
        ordered_at: at(1),
        done_at: None,
        until: None,
        due_at: None,
        ended_at: None,
        attempts: 0,
        memory: None,
    }
}

#[tokio::test]
async fn closed_cases_go_with_all_that_is_theirs_and_never_one_that_is_open_or_acts() {
    let (_directory, store) = store().await;
    let old = case("cam-1", CaseState::Closed, Some(at(10)));
    let young = case("cam-2", CaseState::Closed, Some(at(5_000)));
    let open = case("cam-3", CaseState::Open, None);
    let acting = case("cam-4", CaseState::Closed, Some(at(10)));
    let change = CaseChange {
        actions: vec![
            waiting(old.id, ActionState::Undone),
            waiting(acting.id, ActionState::Waiting),
        ],
        cases: vec![old.clone(), young.clone(), open.clone(), acting.clone()],
        ..CaseChange::default()
    };
    store.cases().write(&change).await.expect("writes");
    let removed = store.pruning().closed_cases(at(1_000), 10).await;
    assert_eq!(removed.expect("removes"), 1);
    assert!(store.cases().find(old.id).await.expect("reads").is_none());
    for kept in [&young, &open, &acting] {
        assert!(store.cases().find(kept.id).await.expect("reads").is_some());
    }
    let left = store
        .actions()
        .list(None, 10, &ActionFilter::default())
        .await;
    let left = left.expect("reads");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].order.case, acting.id);
}
