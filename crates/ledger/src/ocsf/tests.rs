use palisade_core::{
    Action, ActionId, ActionState, AdministrativeAct, CaseId, Confidence, DenyReason, Detector,
    DeviceId, EventId, Finding, FindingId, Lifecycle, Mode, Outcome, Response, Serial, SessionEnd,
    Target, Timestamp, TrustScore,
};

use super::*;

/// What every class requires, and what each does besides (OCSF 1.3.0).
const COMMON: [&str; 7] = [
    "activity_id",
    "category_uid",
    "class_uid",
    "metadata",
    "severity_id",
    "time",
    "type_uid",
];
const REQUIRED: [(u64, &[&str]); 7] = [
    (2004, &["finding_info"]),
    (3002, &["user", "service"]),
    (3004, &["entity"]),
    (4001, &["dst_endpoint"]),
    (5001, &["device"]),
    (6003, &["actor", "api", "src_endpoint"]),
    (7001, &["command_uid"]),
];

fn kinds() -> Vec<EventKind> {
    let serial: Serial = "0a1b".parse().expect("a serial");
    vec![
        EventKind::Admitted {
            client_id: "cam-1".into(),
            protocol: "mqtt 5".into(),
            serial: Some(serial),
            key_exchange: None,
        },
        EventKind::Refused {
            reason: "no".into(),
            count: 3,
        },
        EventKind::Disconnected {
            client_id: "cam-1".into(),
            end: SessionEnd::KeepAlive,
            duration_ms: 5,
            messages_in: 1,
            messages_out: 2,
        },
        EventKind::Denied {
            action: Action::Publish,
            resource: "a/b".into(),
            reason: DenyReason::NoGrant,
            count: 2,
        },
        EventKind::Denied {
            action: Action::Connect,
            resource: String::new(),
            reason: DenyReason::NoGrant,
            count: 1,
        },
        EventKind::LimitExceeded {
            limit: "publish_rate".into(),
            count: 9,
        },
        EventKind::Subscribed {
            filter: "a/#".into(),
        },
        EventKind::PublishStatistics {
            window_ms: 60_000,
            messages: 3,
            bytes: 300,
            largest: 200,
            messages_out: 1,
            bytes_out: 10,
            packets_in: 7,
            packets_out: 5,
        },
        EventKind::Registered { count: 1 },
        EventKind::Enrolled {
            serial,
            token: None,
        },
        EventKind::Renewed {
            serial,
            previous: serial,
        },
        EventKind::CertificateRevoked {
            serial,
            reason: "keyCompromise".into(),
        },
        EventKind::CrlIssued {
            number: 1,
            entries: 2,
        },
        posture(Lifecycle::Active, Lifecycle::Quarantined),
        EventKind::AgentReport {
            version: "0.1".into(),
            facts: json!({ "os": "Debian GNU/Linux 12", "kernel": "6.1" })
                .as_object()
                .cloned()
                .expect("an object"),
        },
        EventKind::Administrative(AdministrativeAct {
            actor: Actor::Token("admin".into()),
            act: "device.retire".into(),
            target: "cam-1".into(),
            reason: None,
            outcome: Outcome::Refused,
        }),
        EventKind::Found(finding()),
        EventKind::Responded(response(ActionState::Done)),
    ]
}

fn posture(before: Lifecycle, lifecycle: Lifecycle) -> EventKind {
    EventKind::PostureChanged {
        lifecycle_before: before,
        lifecycle,
        trust_before: TrustScore::new(100),
        trust: TrustScore::new(100),
        reason: "a test".into(),
    }
}

fn finding() -> Finding {
    Finding {
        id: FindingId::generate(),
        detector: Detector::Rule("mqtt-topic-scan".into()),
        title: "Topic scan".into(),
        severity: Severity::High,
        confidence: Confidence::new(80),
        detail: "40 topics were denied".into(),
        techniques: vec![
            "attack.t0846".into(),
            "attack.t1110.001".into(),
            "attack.discovery".into(),
        ],
        evidence: vec![EventId::generate()],
        count: 1,
        first_seen: Timestamp::UNIX_EPOCH,
        last_seen: Timestamp::UNIX_EPOCH,
    }
}

fn response(state: ActionState) -> Response {
    Response {
        id: ActionId::generate(),
        case: CaseId::generate(),
        playbook: Some("scan".into()),
        action: "quarantine".into(),
        target: Target::Device(DeviceId::parse("cam-1").expect("valid")),
        mode: Mode::Auto,
        state,
        reason: "topic scan".into(),
        by: None,
        until: None,
    }
}

fn event(kind: EventKind) -> Event {
    Event::new(Timestamp::UNIX_EPOCH, Door::Mqtt, kind)
        .about(DeviceId::parse("cam-1").expect("valid"))
        .from_source([192, 0, 2, 1].into())
}

#[test]
fn every_kind_of_event_has_all_that_its_class_requires_with_a_principal_and_without() {
    let mut names: Vec<_> = kinds().iter().map(EventKind::name).collect();
    names.dedup();
    assert_eq!(names.len(), 17, "a kind has no sample: {names:?}");
    for kind in kinds() {
        let bare = Event::new(Timestamp::UNIX_EPOCH, Door::Internal, kind.clone());
        for event in [event(kind), bare] {
            let record = ocsf(&event);
            let class = record["class_uid"].as_u64().expect("a class");
            let required = REQUIRED.iter().find(|(uid, _)| *uid == class);
            let (_, required) = required.expect("a class that is known");
            for name in COMMON.iter().chain(*required) {
                assert!(!record[*name].is_null(), "{name} of {record:#}");
            }
            assert_eq!(record["category_uid"], class / 1000);
            let activity = record["activity_id"].as_u64().expect("an activity");
            assert_eq!(record["type_uid"], class * 100 + activity);
            let endpoint = &record["src_endpoint"];
            assert!(
                endpoint.as_object().is_none_or(|known| !known.is_empty()),
                "{record:#}"
            );
        }
    }
}

#[test]
fn a_finding_has_its_techniques_evidence_and_confidence() {
    let finding = finding();
    let evidence = finding.evidence[0].to_string();
    let record = ocsf(&event(EventKind::Found(finding)));
    assert_eq!(record["type_uid"], 200_401);
    assert_eq!(record["severity_id"], 4);
    assert_eq!(record["confidence_score"], 80);
    assert_eq!(record["confidence_id"], 3);
    assert_eq!(record["evidences"][0]["data"]["event"], evidence);
    assert_eq!(record["resources"][0]["uid"], "device/cam-1");
    let info = &record["finding_info"];
    assert_eq!(info["analytic"]["uid"], "rule/mqtt-topic-scan");
    assert_eq!(
        info["attacks"],
        json!([
            { "technique": { "uid": "T0846" } },
            { "technique": { "uid": "T1110" }, "sub_technique": { "uid": "T1110.001" } },
            { "tactic": { "name": "discovery" } },
        ])
    );
}

#[test]
fn an_action_is_a_remediation_with_how_it_went() {
    for (state, activity, status) in [
        (ActionState::Done, 1, 1),
        (ActionState::Failed, 1, 2),
        (ActionState::Waiting, 1, 99),
        (ActionState::Undone, 3, 1),
    ] {
        let record = ocsf(&event(EventKind::Responded(response(state))));
        assert_eq!(record["class_uid"], 7001);
        assert_eq!(record["activity_id"], activity, "{state:?}");
        assert_eq!(record["status_id"], status, "{state:?}");
    }
}

#[test]
fn statistics_are_traffic_as_the_client_sees_it() {
    let statistics = kinds()
        .into_iter()
        .find(|kind| kind.name() == "publish_statistics");
    let record = ocsf(&event(statistics.expect("a sample")));
    assert_eq!(record["type_uid"], 400_106);
    assert_eq!(
        record["traffic"],
        json!({ "bytes": 310, "bytes_in": 10, "bytes_out": 300,
                "packets": 12, "packets_in": 5, "packets_out": 7 })
    );
    assert_eq!(record["duration"], 60_000);
}

#[test]
fn a_quarantine_is_a_suspension_and_severe() {
    let quarantined = event(posture(Lifecycle::Active, Lifecycle::Quarantined));
    let record = ocsf(&quarantined);
    assert_eq!(record["activity_name"], "Suspend");
    assert_eq!(severity(&quarantined), Severity::High);
    let released = event(posture(Lifecycle::Quarantined, Lifecycle::Active));
    assert_eq!(ocsf(&released)["activity_name"], "Resume");
    assert_eq!(severity(&released), Severity::Informational);
}
