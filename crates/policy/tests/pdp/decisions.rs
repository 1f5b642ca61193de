//! Decisions, cached and explained.

use palisade_core::{
    Decision, DenyReason, GrantScope, Labels, Lifecycle, PolicyId, Principal, Request, ServiceId,
    Topic,
};
use palisade_policy::{DecisionCache, SubjectError};

use crate::world::{HOME, World, device, filter, grant, publish, receive, segment};

fn denied_by(decision: Decision) -> DenyReason {
    match decision {
        Decision::Deny(reason) => reason,
        Decision::Allow => panic!("it was allowed"),
    }
}

#[tokio::test]
async fn nothing_is_allowed_without_a_grant_and_a_policy() {
    let world = World::new().await;
    let subject = world.subject(&world.device("cam-1").await).await;
    let request = publish("devices/cam-1/telemetry");
    assert_eq!(
        denied_by(world.pdp.decide(&subject, &request)),
        DenyReason::NoGrant
    );
    world.grant(GrantScope::Fleet, "devices/{device}/#").await;
    assert_eq!(world.pdp.decide(&subject, &request), Decision::Allow);
    world
        .pdp
        .apply("", "", "ann", "no policies")
        .await
        .expect("applies");
    assert_eq!(
        denied_by(world.pdp.decide(&subject, &request)),
        DenyReason::NotPermitted
    );
}

#[tokio::test]
async fn a_device_hears_what_the_server_tells_it_without_a_grant_and_nobody_else_does() {
    let world = World::new().await;
    let subject = world.subject(&world.device("cam-1").await).await;
    let is_allowed = |request: Request<'_>| world.pdp.decide(&subject, &request).is_allow();
    let hears = |text: &str| {
        let filter = filter(text);
        is_allowed(Request::Subscribe {
            filter: &filter,
            qos: 1,
        })
    };
    assert!(hears("$palisade/devices/cam-1/rotate") && hears("$palisade/devices/cam-1/#"));
    assert!(is_allowed(receive("$palisade/devices/cam-1/rotate")));
    assert!(
        !is_allowed(publish("$palisade/devices/cam-1/rotate")),
        "it only hears"
    );
    for foreign in [
        "$palisade/devices/cam-2/rotate",
        "$palisade/devices/cam-11/rotate",
        "$palisade/devices/+/rotate",
        "$palisade/#",
    ] {
        assert!(!hears(foreign), "{foreign}");
    }
    assert!(!is_allowed(receive("$palisade/devices/cam-2/rotate")));
    assert!(!is_allowed(receive("$palisade/status/sessions")));
}

#[tokio::test]
async fn a_device_reaches_its_own_topics_and_no_others() {
    let world = World::new().await;
    world.grant(GrantScope::Fleet, "devices/{device}/#").await;
    world
        .grant(GrantScope::Fleet, "sites/{label:site}/{product}/{segment}")
        .await;
    let subject = world.subject(&world.device("cam-1").await).await;
    let is_allowed = |request: Request<'_>| world.pdp.decide(&subject, &request).is_allow();
    assert!(is_allowed(publish("devices/cam-1/a/b")));
    assert!(is_allowed(receive("sites/berlin/sensor/floor")));
    for foreign in [
        "devices/cam-2/a",
        "devices/cam-11/a",
        "sites/bonn/sensor/floor",
        "$SYS/a",
        "a",
    ] {
        assert!(!is_allowed(publish(foreign)), "{foreign}");
        assert!(!is_allowed(receive(foreign)), "{foreign}");
    }
    for (wide, allowed) in [
        ("devices/cam-1/#", true),
        ("devices/cam-1/+/b", true),
        ("devices/+/a", false),
        ("+/cam-1/a", false),
        ("#", false),
        ("devices/#", false),
        ("devices/cam-1", true),
    ] {
        let filter = filter(wide);
        assert_eq!(
            is_allowed(Request::Subscribe {
                filter: &filter,
                qos: 0
            }),
            allowed,
            "{wide}"
        );
    }
}

#[tokio::test]
async fn a_retained_message_needs_both_grants_and_both_permissions() {
    let world = World::new().await;
    let id = world.device("cam-1").await;
    let subject = world.subject(&id).await;
    let topic = Topic::parse("a").expect("valid");
    let kept = Request::Publish {
        topic,
        qos: 0,
        retain: true,
        size: 1,
    };
    let scope = GrantScope::Device(id);
    world
        .pdp
        .add_grant(grant(scope.clone(), "a", "publish"))
        .await
        .expect("adds");
    assert_eq!(
        denied_by(world.pdp.decide(&subject, &kept)),
        DenyReason::NoGrant
    );
    assert!(world.pdp.decide(&subject, &publish("a")).is_allow());
    world
        .pdp
        .add_grant(grant(scope, "a", "retain"))
        .await
        .expect("adds");
    assert!(world.pdp.decide(&subject, &kept).is_allow());
    let policies = "@id(\"all\") permit (principal, action, resource);\n\
                    @id(\"no-retain\") forbid (principal, action == Action::\"retain\", resource);";
    world
        .pdp
        .apply(policies, "", "ann", "test")
        .await
        .expect("applies");
    let policies = [PolicyId::parse("no-retain").expect("valid")].into();
    assert_eq!(
        denied_by(world.pdp.decide(&subject, &kept)),
        DenyReason::Forbidden { policies }
    );
    assert!(world.pdp.decide(&subject, &publish("a")).is_allow());
}

#[tokio::test]
async fn the_lifecycle_ends_the_question_before_policy() {
    let world = World::new().await;
    world.grant(GrantScope::Fleet, "#").await;
    let all = "@id(\"all\") permit (principal, action, resource);";
    world
        .pdp
        .apply(all, "", "ann", "policies that permit everything")
        .await
        .expect("applies");
    for lifecycle in Lifecycle::ALL {
        let id = world.device_at(lifecycle.as_str(), lifecycle).await;
        let subject = world.subject(&id).await;
        for request in [
            Request::Connect,
            Request::Enroll,
            Request::Renew,
            publish("a"),
        ] {
            let decision = world.pdp.decide(&subject, &request);
            match lifecycle {
                Lifecycle::Registered | Lifecycle::Active => assert!(decision.is_allow()),
                _ => assert_eq!(denied_by(decision), DenyReason::Lifecycle { lifecycle }),
            }
        }
    }
}

#[tokio::test]
async fn who_is_not_known_is_no_subject_and_a_device_is_no_service() {
    let world = World::new().await;
    world.device("cam-1").await;
    world.service("billing").await;
    for unknown in [
        Principal::Device(device("billing")),
        Principal::Device(device("cam-2")),
        Principal::Service(ServiceId::parse("cam-1").expect("valid")),
    ] {
        let found = world.pdp.subject(&unknown, HOME).await;
        assert!(matches!(found, Err(SubjectError::Unknown)), "{unknown}");
    }
}

#[tokio::test]
async fn a_service_has_its_own_grants_and_none_of_the_fleet() {
    let world = World::new().await;
    let subject = world.service("billing").await;
    world.grant(GrantScope::Fleet, "fleet/#").await;
    assert_eq!(
        denied_by(world.pdp.decide(&subject, &publish("fleet/a"))),
        DenyReason::NoGrant
    );
    world
        .grant(
            GrantScope::Service(ServiceId::parse("billing").expect("valid")),
            "in/{service}",
        )
        .await;
    assert!(
        world
            .pdp
            .decide(&subject, &publish("in/billing"))
            .is_allow()
    );
    assert!(subject.posture().is_none());
}

#[tokio::test]
async fn the_stamp_moves_with_everything_that_decisions_depend_on() {
    let world = World::new().await;
    let id = world.device("cam-1").await;
    let subject = world.subject(&id).await;
    let mut seen = subject.stamp();
    let mut moved = |what: &str| {
        let now = subject.stamp();
        assert!(
            now.policy >= seen.policy && now.posture >= seen.posture,
            "{what}"
        );
        assert_ne!(now, seen, "{what}");
        seen = now;
    };
    let pdp = &world.pdp;
    let granted = world.grant(GrantScope::Fleet, "a").await;
    moved("a grant");
    assert!(pdp.remove_grant(granted).await.expect("removes"));
    moved("no grant");
    pdp.set_labels(&id, Labels::parse_list("site=bonn").expect("valid"))
        .await
        .expect("sets");
    moved("labels");
    pdp.set_segment(&id, segment("yard"), "moved")
        .await
        .expect("sets");
    moved("segment");
    pdp.set_lifecycle(&id, Lifecycle::Quarantined, "bad")
        .await
        .expect("sets");
    moved("lifecycle");
    pdp.apply("", "", "ann", "test").await.expect("applies");
    moved("policies");
    pdp.start_shadow("").expect("valid");
    moved("a shadow");
    pdp.stop_shadow().expect("was there");
    moved("no shadow");
}

#[tokio::test]
async fn a_remembered_decision_does_not_outlive_what_it_stood_on() {
    let world = World::new().await;
    let id = world.device("cam-1").await;
    let subject = world.subject(&id).await;
    let mut cache = DecisionCache::new(8);
    let request = publish("sites/berlin");
    let granted = world.grant(GrantScope::Fleet, "sites/{label:site}").await;
    let mut is_allowed = || cache.decide(&world.pdp, &subject, &request).is_allow();
    assert!(is_allowed() && is_allowed());
    world
        .pdp
        .set_labels(&id, Labels::default())
        .await
        .expect("sets");
    assert!(!is_allowed() && !is_allowed());
    world
        .pdp
        .set_labels(&id, Labels::parse_list("site=berlin").expect("valid"))
        .await
        .expect("sets");
    assert!(is_allowed());
    world
        .pdp
        .set_lifecycle(&id, Lifecycle::Quarantined, "bad")
        .await
        .expect("sets");
    assert!(!is_allowed());
    world
        .pdp
        .set_lifecycle(&id, Lifecycle::Active, "good")
        .await
        .expect("sets");
    assert!(is_allowed());
    world.pdp.remove_grant(granted).await.expect("removes");
    assert!(!is_allowed());
}

#[tokio::test]
async fn an_explanation_says_what_was_decided_and_why() {
    let world = World::new().await;
    let id = world.device("cam-1").await;
    let subject = world.subject(&id).await;
    let granted = world.grant(GrantScope::Fleet, "devices/{device}/#").await;
    let own = world.pdp.explain(&subject, &publish("devices/cam-1/x"));
    assert!(own.allowed && own.reason.is_none());
    assert_eq!(own.grants, [granted]);
    assert_eq!(
        own.policies,
        [PolicyId::parse("active-devices").expect("valid")]
    );
    assert_eq!(own.stamp, subject.stamp());
    assert_eq!(
        own.summary,
        format!(
            "device cam-1 may publish to devices/cam-1/x: grant {granted} covers it and policy \
             active-devices permits it"
        )
    );
    let attribute = |path: &str| {
        own.attributes
            .iter()
            .find(|attribute| attribute.path == path)
            .map(|it| it.value.as_str())
    };
    assert_eq!(attribute("principal.trust"), Some("100"));
    assert_eq!(attribute("principal.lifecycle"), Some("\"active\""));
    assert_eq!(attribute("context.source"), Some("ip(\"10.0.0.7\")"));
    assert_eq!(
        (attribute("context.hour"), attribute("context.weekday")),
        (Some("12"), Some("3"))
    );

    let foreign = world.pdp.explain(&subject, &publish("devices/cam-2/x"));
    assert_eq!(foreign.reason, Some(DenyReason::NoGrant));
    assert_eq!(
        foreign.summary,
        "device cam-1 may not publish to devices/cam-2/x: none of its grants covers that"
    );
    world
        .pdp
        .set_lifecycle(&id, Lifecycle::Retired, "old")
        .await
        .expect("sets");
    let retired = world.pdp.explain(&subject, &Request::Connect);
    assert!(
        retired.summary.contains("it is retired"),
        "{}",
        retired.summary
    );
}

#[tokio::test]
async fn decisions_are_counted_once_whoever_gives_them() {
    let world = World::new().await;
    let subject = world.subject(&world.device("cam-1").await).await;
    world.grant(GrantScope::Fleet, "a").await;
    let mut cache = DecisionCache::new(4);
    for _ in 0..100 {
        assert!(cache.decide(&world.pdp, &subject, &publish("a")).is_allow());
        assert!(!cache.decide(&world.pdp, &subject, &publish("b")).is_allow());
    }
    drop(cache);
    let stats = world.pdp.stats();
    assert_eq!(
        (stats.decisions, stats.allowed, stats.denied),
        (200, 100, 100)
    );
    assert_eq!((stats.cache_hits, stats.cache_misses), (198, 2));
}

#[tokio::test]
async fn an_onlooker_leaves_no_trace_in_the_sessions_of_whom_it_asks_about() {
    let world = World::new().await;
    let id = world.device("cam-1").await;
    let principal = palisade_core::Principal::from(id.clone());
    let elsewhere = std::net::IpAddr::from([203, 0, 113, 5]);
    let onlooker = world.pdp.onlooker(&principal, elsewhere).await;
    let onlooker = onlooker.expect("known");
    assert!(world.pdp.explain(&onlooker, &Request::Connect).allowed);
    assert_eq!(world.pdp.stats().live_principals, 0);
    let live = world.subject(&id).await;
    drop(onlooker);
    // The one that is live is still heard of.
    world
        .pdp
        .set_lifecycle(&id, Lifecycle::Quarantined, "test")
        .await
        .expect("sets");
    assert_eq!(
        live.posture().map(|posture| posture.lifecycle),
        Some(Lifecycle::Quarantined)
    );
    let nobody = palisade_core::Principal::from(crate::world::device("nobody"));
    assert!(world.pdp.onlooker(&nobody, elsewhere).await.is_err());
}
