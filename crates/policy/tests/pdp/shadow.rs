//! Shadows: candidates that are asked and enforce nothing.

use palisade_core::{Action, GrantScope, PolicyId, Request};
use palisade_policy::{ApplyError, DecisionCache};

use crate::world::{World, publish, receive};

const STRICTER: &str = "@id(\"all\") permit (principal, action, resource);\n\
                        @id(\"no-secrets\") forbid (principal is Device, action == \
                        Action::\"publish\", resource) when { context.topic like \"*/secret\" };";

#[tokio::test]
async fn a_shadow_sees_what_sessions_remember_enforces_nothing_and_reports() {
    let world = World::new().await;
    world.grant(GrantScope::Fleet, "devices/{device}/#").await;
    let subject = world.subject(&world.device("cam-1").await).await;
    let mut cache = DecisionCache::new(8);
    let secret = publish("devices/cam-1/secret");
    assert!(cache.decide(&world.pdp, &subject, &secret).is_allow());
    assert!(world.pdp.shadow_report().is_none());
    world.pdp.start_shadow(STRICTER).expect("valid");
    for _ in 0..3 {
        assert!(
            cache.decide(&world.pdp, &subject, &secret).is_allow(),
            "nothing is enforced"
        );
    }
    assert!(
        cache
            .decide(&world.pdp, &subject, &receive("devices/cam-1/x"))
            .is_allow()
    );
    // What no grant covers is no difference of policies.
    assert!(
        !cache
            .decide(&world.pdp, &subject, &publish("other/secret"))
            .is_allow()
    );
    let report = world.pdp.shadow_report().expect("is asked");
    assert_eq!(
        (report.compared, report.differing, report.not_listed),
        (2, 1, 0)
    );
    let [difference] = report.differences.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!((difference.action, difference.count), (Action::Publish, 1));
    assert_eq!(difference.who, "product sensor");
    assert_eq!(
        (difference.from.as_str(), difference.would_allow),
        ("allow", false)
    );
    assert_eq!(difference.to, "deny: forbidden by policy no-secrets");
    assert_eq!(difference.example, *subject.principal());
    assert_eq!(difference.topic, "devices/cam-1/secret");
    assert_eq!(
        difference.policies,
        [PolicyId::parse("no-secrets").expect("valid")]
    );
    assert_eq!(
        world.pdp.stop_shadow().map(|report| report.compared),
        Some(2)
    );
    assert!(world.pdp.stop_shadow().is_none());
    assert!(cache.decide(&world.pdp, &subject, &secret).is_allow());
}

#[tokio::test]
async fn a_shadow_lives_through_changes_of_what_is_in_force() {
    let world = World::new().await;
    world.grant(GrantScope::Fleet, "#").await;
    let subject = world.subject(&world.device("cam-1").await).await;
    assert!(matches!(
        world.pdp.start_shadow("permit"),
        Err(ApplyError::Problems(_))
    ));
    world.pdp.start_shadow("").expect("valid");
    world
        .pdp
        .apply("", "", "ann", "test")
        .await
        .expect("applies");
    assert!(!world.pdp.decide(&subject, &publish("a")).is_allow());
    world
        .pdp
        .apply(STRICTER, "", "ann", "test")
        .await
        .expect("applies");
    assert!(world.pdp.decide(&subject, &publish("a")).is_allow());
    let report = world.pdp.stop_shadow().expect("is asked");
    assert_eq!((report.compared, report.differing), (2, 1));
    assert_eq!(report.differences[0].to, "deny: no policy permits it");
}

#[tokio::test]
async fn a_report_is_bounded() {
    let world = World::new().await;
    world.pdp.start_shadow("").expect("valid");
    for n in 0..600 {
        let subject = world.service(&format!("service-{n}")).await;
        assert!(world.pdp.decide(&subject, &Request::Connect).is_allow());
    }
    let report = world.pdp.shadow_report().expect("is asked");
    assert_eq!(
        (
            report.differing,
            report.differences.len(),
            report.not_listed
        ),
        (600, 500, 100)
    );
}
