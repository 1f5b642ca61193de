//! What people did that is not like them.

use std::net::IpAddr;

use palisade_core::{
    AuditRunId, EventId, Grant, GrantActions, GrantId, GrantScope, Timestamp, TopicPattern,
};
use palisade_detect::audit::Check;
use palisade_store::{AccessEntry, AccessKind, AccessOutcome, AuditResource, ReviewPlan};

use crate::{
    audit::{HOUR, audit},
    world::{Running, World},
};

const DAY: i64 = 24 * HOUR;
const CHECKS: [Check; 4] = [
    Check::AccessFirstUse,
    Check::AccessUnusualHour,
    Check::AccessUnusualVolume,
    Check::AccessUnusualPlace,
];

struct Did<'a> {
    who: &'a str,
    action: &'a str,
    times: u64,
    from: &'a str,
}

const READS: Did<'static> = Did {
    who: "anna",
    action: "telemetry.read",
    times: 20,
    from: "192.0.2.7",
};

impl World {
    /// Somebody does something now.
    async fn does(&self, did: &Did<'_>) {
        let now: Timestamp = self.now();
        let address: IpAddr = did.from.parse().expect("an address");
        let entry = AccessEntry {
            id: EventId::generate(),
            kind: AccessKind::Account,
            subject: did.who.to_owned(),
            name: did.who.to_owned(),
            session: None,
            action: did.action.to_owned(),
            outcome: AccessOutcome::Allowed,
            event: None,
            times: did.times,
            first_at: now,
            last_at: now,
            resource: String::new(),
            source: Some(address.to_string()),
            status: Some(200),
            reason: None,
        };
        self.store.access().add(&[entry]).await.expect("written");
    }

    /// Three weeks of work, each day at this hour.
    async fn works(&self, did: &Did<'_>) {
        for _ in 0..21 {
            self.does(did).await;
            self.clock.advance_millis(DAY);
        }
    }

    /// What the checks list, check by check.
    async fn unusual(&self, running: &Running) -> Vec<(Check, Vec<String>)> {
        let id: AuditRunId = audit(running, &CHECKS).await;
        let mut found = Vec::new();
        for check in CHECKS {
            let audits = self.store.audits();
            let listed = audits.resources(id, check.as_str(), "", 100).await;
            let listed: Vec<AuditResource> = listed.expect("reads");
            let details = listed.into_iter().map(|one| one.detail).collect();
            found.push((check, details));
        }
        found.retain(|(_, details): &(Check, Vec<String>)| !details.is_empty());
        found
    }
}

#[tokio::test]
async fn who_works_as_ever_is_not_found() {
    let mut world = World::new().await;
    // The clock runs for weeks, and the schedule would be in the way.
    world.config.audit.every_s = 0;
    let running = world.audited().await;
    world.works(&READS).await;
    world.does(&READS).await;
    // An hour later than ever, with somewhat more, from the same network, is as ever.
    world.clock.advance_millis(HOUR);
    let more = Did {
        times: 50,
        from: "192.0.2.200",
        ..READS
    };
    world.does(&more).await;
    assert_eq!(world.unusual(&running).await, []);
    running.stop().await;
}

#[tokio::test]
async fn each_way_of_being_unlike_oneself_is_a_finding_of_its_own() {
    let mut world = World::new().await;
    // The clock runs for weeks, and the schedule would be in the way.
    world.config.audit.every_s = 0;
    let running = world.audited().await;
    world.works(&READS).await;
    // Something sensitive for the first time; what is not sensitive is nobody's concern.
    let held = Did {
        action: "telemetry.hold",
        ..READS
    };
    world.does(&held).await;
    world
        .does(&Did {
            action: "device.list",
            ..READS
        })
        .await;
    let found = world.unusual(&running).await;
    let said = "account anna: did for the first time: telemetry.hold".to_owned();
    assert_eq!(found, [(Check::AccessFirstUse, vec![said])]);
    world.clock.advance_millis(2 * DAY);
    world.does(&Did { times: 61, ..READS }).await;
    let found = world.unusual(&running).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, Check::AccessUnusualVolume);
    world.clock.advance_millis(2 * DAY);
    world
        .does(&Did {
            from: "198.51.100.9",
            ..READS
        })
        .await;
    let found = world.unusual(&running).await;
    let said = "account anna: came from where it never came from before: 198.51.100.0/24";
    assert_eq!(found, [(Check::AccessUnusualPlace, vec![said.to_owned()])]);
    world.clock.advance_millis(2 * DAY + 8 * HOUR);
    world.does(&READS).await;
    let found = world.unusual(&running).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, Check::AccessUnusualHour);
    running.stop().await;
}

#[tokio::test]
async fn much_that_is_new_does_not_push_out_the_past() {
    let mut world = World::new().await;
    world.config.audit.every_s = 0;
    let running = world.audited().await;
    world.works(&READS).await;
    // Each an act with an entry of its own, more than are looked at.
    let now: Timestamp = world.now();
    let acts: Vec<AccessEntry> = (0..20_001)
        .map(|_| AccessEntry {
            id: EventId::generate(),
            kind: AccessKind::Account,
            subject: "anna".to_owned(),
            name: "anna".to_owned(),
            session: None,
            action: "telemetry.read".to_owned(),
            outcome: AccessOutcome::Allowed,
            event: Some(EventId::generate()),
            times: 1,
            first_at: now,
            last_at: now,
            resource: String::new(),
            source: Some(READS.from.to_owned()),
            status: Some(200),
            reason: None,
        })
        .collect();
    world.store.access().add(&acts).await.expect("written");
    let found = world.unusual(&running).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, Check::AccessUnusualVolume);
    running.stop().await;
}

#[tokio::test]
async fn a_place_is_seen_though_another_request_of_the_hour_came_from_home() {
    let mut world = World::new().await;
    world.config.audit.every_s = 0;
    let running = world.audited().await;
    world.works(&READS).await;
    world
        .does(&Did {
            from: "198.51.100.9",
            ..READS
        })
        .await;
    world.does(&READS).await;
    let found = world.unusual(&running).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, Check::AccessUnusualPlace);
    running.stop().await;
}

#[tokio::test]
async fn nothing_is_unusual_of_somebody_without_a_past() {
    let mut world = World::new().await;
    // The clock runs for weeks, and the schedule would be in the way.
    world.config.audit.every_s = 0;
    let running = world.audited().await;
    // Two days of work, long ago, are no past either.
    world.does(&READS).await;
    world.clock.advance_millis(DAY);
    world.does(&READS).await;
    world.clock.advance_millis(20 * DAY + 8 * HOUR);
    let much = Did {
        times: 10_000,
        from: "198.51.100.9",
        ..READS
    };
    world.does(&much).await;
    let new = Did { who: "new", ..much };
    world.does(&new).await;
    assert_eq!(world.unusual(&running).await, []);
    running.stop().await;
}

#[tokio::test]
async fn a_review_that_was_not_signed_in_time_is_a_finding() {
    let mut world = World::new().await;
    // The clock runs for weeks, and the schedule would be in the way.
    world.config.audit.every_s = 0;
    let running = world.audited().await;
    let now = world.now();
    let plan = ReviewPlan {
        owner: "anna".to_owned(),
        every_days: 90,
        due_at: now,
        planned_by: "olga".to_owned(),
        planned_at: now,
    };
    let reviews = world.store.access_reviews();
    reviews.set_plan(&plan).await.expect("planned");
    let listed = async || {
        let id = audit(&running, &[Check::AccessReviewOverdue]).await;
        let check = Check::AccessReviewOverdue.as_str();
        let listed = world.store.audits().resources(id, check, "", 100).await;
        listed.expect("reads").len()
    };
    assert_eq!(listed().await, 0, "it is due, and not late");
    world.clock.advance_millis(3 * DAY);
    assert_eq!(listed().await, 1);
    running.stop().await;
}

#[tokio::test]
async fn a_grant_that_nobody_used_is_found_once_that_was_noted_for_as_long() {
    let mut world = World::new().await;
    world.config.audit.every_s = 0;
    let running = world.audited().await;
    let grants = world.store.grants();
    let grant = |pattern: &str| Grant {
        id: GrantId::generate(),
        scope: GrantScope::Fleet,
        pattern: TopicPattern::parse(pattern).expect("a pattern"),
        actions: GrantActions {
            publish: true,
            ..GrantActions::default()
        },
        created_at: world.now(),
    };
    let (used, unused) = (grant("used"), grant("unused"));
    grants.add(&used).await.expect("adds");
    grants.add(&unused).await.expect("adds");
    let listed = async || {
        let id = audit(&running, &[Check::UnusedGrant]).await;
        let audits = world.store.audits();
        let listed = audits
            .resources(id, Check::UnusedGrant.as_str(), "", 100)
            .await;
        let listed = listed.expect("reads").into_iter();
        listed.map(|one| one.resource).collect::<Vec<_>>()
    };
    world.clock.advance_millis(91 * DAY);
    assert!(listed().await.is_empty(), "nobody looked");
    grants.touch(&[], world.now()).await.expect("noted");
    world.clock.advance_millis(60 * DAY);
    grants.touch(&[used.id], world.now()).await.expect("noted");
    assert!(listed().await.is_empty(), "not for long enough");
    world.clock.advance_millis(31 * DAY);
    assert_eq!(listed().await, [format!("grant/{}", unused.id)]);
    world.clock.advance_millis(60 * DAY);
    assert_eq!(listed().await.len(), 2);
    running.stop().await;
}
