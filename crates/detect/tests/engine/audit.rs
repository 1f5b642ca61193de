//! When audits run, what is off, and how much of a large fleet is told.

use std::{sync::Arc, time::Duration};

use palisade_core::{
    Clock, Device, DeviceId, Grant, GrantActions, GrantId, GrantScope, Labels, Lifecycle, Posture,
    ProductId, Request, SegmentId, Timestamp, TopicPattern, port::BoxFuture,
};
use palisade_detect::audit::{
    AuditError, AuditSource, AuthorityCertificate, Check, KeyFacts, LoggingTrouble,
    RefusedCertificate, SourceError,
};
use palisade_store::{AuditState, FindingFilter, FindingState, Mark};
use tokio_util::sync::CancellationToken;

use crate::world::{Running, World, until};

pub const HOUR: i64 = 3_600_000;

/// A house in which all is well; the doors and the authority are tested where they are.
struct Quiet;

impl AuditSource for Quiet {
    fn read_key(&self, certificate: &[u8]) -> KeyFacts {
        KeyFacts {
            hash: certificate.to_vec(),
            kind: "Ed25519".to_owned(),
            weak: false,
        }
    }

    fn authority(&self) -> BoxFuture<'_, Result<Vec<AuthorityCertificate>, SourceError>> {
        Box::pin(std::future::ready(Err("the authority is away".into())))
    }

    fn crl_valid_until(&self) -> Option<Timestamp> {
        Some(Timestamp::MAX)
    }

    fn refused_certificates(&self) -> Vec<RefusedCertificate> {
        Vec::new()
    }

    fn live_sessions(&self, _: &DeviceId) -> usize {
        0
    }

    fn permits(&self, _: &Device, _: &Request<'_>) -> bool {
        false
    }

    fn is_sensitive(&self, action: &str) -> bool {
        action.starts_with("telemetry.")
    }

    fn logging(&self) -> BoxFuture<'_, Result<Vec<LoggingTrouble>, SourceError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

impl World {
    pub async fn audited(&self) -> Running {
        let running = self.run().await;
        running.detect.auditor().set_source(Arc::new(Quiet));
        running
    }

    async fn runs(&self) -> Vec<palisade_store::AuditRun> {
        let runs = self.store.audits().runs(None, 100).await;
        runs.expect("reads")
    }

    async fn open_findings(&self) -> usize {
        // A clock that runs for weeks makes the schedule look at all else as well.
        let filter = FindingFilter {
            detector: Some("audit/dormant-device".to_owned()),
            state: Some(FindingState::Open),
            ..FindingFilter::default()
        };
        let found = self.store.findings().list(None, 5_000, &filter).await;
        found.expect("reads").len()
    }
}

pub async fn audit(running: &Running, checks: &[Check]) -> palisade_core::AuditRunId {
    let audit = running.detect.auditor().begin("ann", checks).await;
    let audit = audit.expect("begins");
    let id = audit.id();
    let done = audit.finish(&CancellationToken::new()).await;
    done.expect("ends");
    id
}

#[tokio::test]
async fn an_audit_runs_some_minutes_after_the_first_start_and_then_each_day() {
    let world = World::new().await;
    let running = world.audited().await;
    world.clock.advance_millis(9 * 60_000);
    until("a second passes", async || {
        running.detect.stats().backlog == 0
    })
    .await;
    assert!(world.runs().await.is_empty());
    world.clock.advance_millis(2 * 60_000);
    let ended = async |number: usize| {
        let runs = world.runs().await;
        runs.iter().filter(|run| run.ended_at.is_some()).count() == number
    };
    until("the first has run", async || ended(1).await).await;
    assert_eq!(world.runs().await[0].started_by, "schedule");
    let results = world.store.audits().results(world.runs().await[0].id).await;
    assert_eq!(results.expect("reads").len(), Check::ALL.len());
    running.stop().await;

    // A restart does not begin anew.
    let running = world.audited().await;
    world.clock.advance_millis(23 * HOUR);
    assert_eq!(world.runs().await.len(), 1);
    world.clock.advance_millis(HOUR);
    until("the second has run", async || ended(2).await).await;
    running.stop().await;
}

#[tokio::test]
async fn a_check_that_cannot_look_is_a_result_and_ends_nothing() {
    let world = World::new().await;
    let running = world.audited().await;
    let id = audit(&running, &[Check::AuthorityExpiring, Check::CrlStale]).await;
    let results = world.store.audits().results(id).await.expect("reads");
    assert_eq!(results[0].state, AuditState::Failed);
    assert_eq!(results[0].note.as_deref(), Some("the authority is away"));
    assert_eq!(results[1].state, AuditState::Compliant);
    running.stop().await;
}

#[tokio::test]
async fn one_audit_runs_at_a_time_and_none_where_all_is_off() {
    let mut world = World::new().await;
    world.config.audit.off = vec![Check::CrlStale];
    let running = world.audited().await;
    let auditor = running.detect.auditor();
    let off = auditor.begin("ann", &[Check::CrlStale]).await;
    assert!(matches!(off, Err(AuditError::NothingToDo)));
    let first = auditor.begin("ann", &[]).await.expect("begins");
    let second = auditor.begin("bob", &[]).await;
    assert!(matches!(second, Err(AuditError::Busy)));
    first.finish(&CancellationToken::new()).await.expect("ends");
    let id = audit(&running, &[]).await;
    let results = world.store.audits().results(id).await.expect("reads");
    assert_eq!(results.len(), Check::ALL.len() - 1);
    running.stop().await;
}

#[tokio::test]
async fn a_run_that_the_server_did_not_survive_is_noted() {
    let world = World::new().await;
    let running = world.audited().await;
    let begun = running.detect.auditor().begin("ann", &[]).await;
    drop(begun.expect("begins"));
    running.stop().await;
    let again = world.audited().await;
    until("it is noted", async || {
        let runs = world.runs().await;
        runs[0].interrupted && runs[0].ended_at.is_some()
    })
    .await;
    again.stop().await;
}

#[tokio::test]
async fn what_a_check_found_is_cleared_once_it_is_off() {
    let mut world = World::new().await;
    let device = world.device("cam-1").await;
    let running = world.audited().await;
    world.clock.advance_millis(31 * 24 * HOUR);
    audit(&running, &[Check::DormantDevice]).await;
    until("it is found", async || world.open_findings().await == 1).await;
    assert_eq!(world.findings().await[0].device, Some(device));
    running.stop().await;
    world.config.audit.off = vec![Check::DormantDevice];
    let running = world.audited().await;
    world.clock.advance_millis(11 * 60_000);
    until("it is cleared", async || world.open_findings().await == 0).await;
    running.stop().await;
}

/// A fleet of which all but the last device were heard of within the month; returns that one.
async fn asleep(world: &World, devices: usize) -> DeviceId {
    let device = |number: usize| Device {
        id: DeviceId::parse(&format!("cam-{number:05}")).expect("valid"),
        product: ProductId::parse("camera").expect("valid"),
        labels: Labels::default(),
        posture: Posture {
            lifecycle: Lifecycle::Active,
            ..Posture::registered(SegmentId::parse("floor").expect("valid"))
        },
        registered_at: world.clock.now(),
        last_seen_at: None,
    };
    let all: Vec<Device> = (0..devices).map(device).collect();
    for part in all.chunks(2_000) {
        let registered = world.store.devices().register(part).await;
        registered.expect("registers");
    }
    world.clock.advance_millis(31 * 24 * HOUR);
    let mut ids: Vec<DeviceId> = all.into_iter().map(|device| device.id).collect();
    let last = ids.pop().expect("a device");
    let now = world.clock.now();
    let seen: Vec<(DeviceId, Timestamp)> = ids.into_iter().map(|id| (id, now)).collect();
    world.store.devices().touch(&seen).await.expect("writes");
    last
}

#[tokio::test]
async fn of_a_large_fleet_all_are_counted_many_are_listed_and_some_are_told_one_by_one() {
    let mut world = World::new().await;
    world.config.audit.every_s = 0;
    let last = asleep(&world, 10_500).await;
    let running = world.audited().await;
    // At first it is one device that sleeps, and it stands at the end of every list.
    audit(&running, &[Check::DormantDevice]).await;
    until("it is found", async || world.open_findings().await == 1).await;
    world.clock.advance_millis(31 * 24 * HOUR);
    let id = audit(&running, &[Check::DormantDevice]).await;
    let results = world.store.audits().results(id).await.expect("reads");
    let (counted, listed) = (results[0].non_compliant, results[0].listed);
    assert_eq!((counted, listed), (10_500, 10_000));
    until("they are told", async || {
        world.open_findings().await == 1_002
    })
    .await;
    let filter = FindingFilter {
        device: Some(last),
        ..FindingFilter::default()
    };
    let found = world.store.findings().list(None, 10, &filter).await;
    let found = found.expect("reads");
    assert_eq!(found[0].state, FindingState::Open, "it is not mended");
    let filter = FindingFilter {
        detector: Some("audit/dormant-device".to_owned()),
        subject: Some("fleet".to_owned()),
        ..FindingFilter::default()
    };
    let rest = world.store.findings().list(None, 10, &filter).await;
    let rest = rest.expect("reads");
    assert!(rest[0].finding.detail.starts_with("9500 more"), "{rest:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_run_ends_early_where_the_server_stops() {
    let world = World::new().await;
    let running = world.audited().await;
    let audit = running.detect.auditor().begin("ann", &[]).await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    let started = std::time::Instant::now();
    audit.expect("begins").finish(&cancel).await.expect("ends");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(world.runs().await[0].ended_at, None);
    running.stop().await;
}

#[tokio::test]
async fn checks_read_a_large_fleet_in_parts_and_compare_no_device_with_every_other() {
    let mut world = World::new().await;
    world.config.audit.every_s = 0;
    let (devices, wide) = (4_000, 7);
    let marks: Vec<Mark> = (0..devices)
        .map(|number| Mark {
            check: Check::ConflictingClient.as_str().to_owned(),
            device: DeviceId::parse(&format!("cam-{number:05}")).expect("valid"),
            detail: "taken over".to_owned(),
            seen: if number >= devices - wide { 3 } else { 1 },
            last_at: world.clock.now(),
        })
        .collect();
    let written = world.store.compliance().add_marks(&marks).await;
    written.expect("writes");
    for mark in &marks {
        let grant = Grant {
            id: GrantId::generate(),
            scope: GrantScope::Device(mark.device.clone()),
            pattern: TopicPattern::parse("devices/{device}/#").expect("valid"),
            actions: GrantActions {
                publish: true,
                ..GrantActions::default()
            },
            created_at: world.clock.now(),
        };
        world.store.grants().add(&grant).await.expect("writes");
    }
    let running = world.audited().await;
    let started = std::time::Instant::now();
    let checks = [Check::ConflictingClient, Check::PermissiveGrant];
    let id = audit(&running, &checks).await;
    // Sixteen million comparisons would take minutes.
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
    let results = world.store.audits().results(id).await.expect("reads");
    let of = |check: Check| {
        let found = results.iter().find(|one| one.check == check.as_str());
        let found = found.expect("it ran");
        (found.looked_at, found.non_compliant)
    };
    assert_eq!(of(Check::ConflictingClient), (devices as u64, wide as u64));
    assert_eq!(of(Check::PermissiveGrant), (devices as u64, 0));
    running.stop().await;
}
