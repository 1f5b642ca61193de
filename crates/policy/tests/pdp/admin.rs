//! Policies and grants, administered.

use palisade_bus::Change;
use palisade_core::{GrantScope, Request};
use palisade_policy::{
    ApplyError, DEFAULT_POLICIES, DEFAULT_TESTS, Pdp, PolicyError, TestTableError,
};
use palisade_store::PolicyVersion;

use crate::world::{World, grant, publish};

const PERMIT: &str = "@id(\"all\") permit (principal, action, resource);";

#[tokio::test]
async fn the_first_start_puts_the_shipped_policies_in_force_and_later_ones_leave_them() {
    let world = World::new().await;
    let first = world.pdp.policies();
    assert_eq!((first.version, first.author.as_str()), (1, "palisade"));
    assert_eq!(
        (first.text.as_str(), first.tests.as_str()),
        (DEFAULT_POLICIES, DEFAULT_TESTS)
    );
    world
        .pdp
        .apply(PERMIT, "", "ann", "simpler")
        .await
        .expect("applies");
    let again = world.another().await;
    assert_eq!(again.policies().version, 2);
    assert_eq!(again.policy_infos().len(), 1);
}

#[test]
fn the_shipped_policies_pass_their_own_tests() {
    let outcomes = Pdp::test(DEFAULT_POLICIES, DEFAULT_TESTS).expect("valid");
    assert!(outcomes.len() >= 6);
    let failing: Vec<_> = outcomes.iter().filter(|outcome| !outcome.passed).collect();
    assert!(failing.is_empty(), "{failing:?}");
    assert_eq!(Pdp::check(DEFAULT_POLICIES), []);
}

#[tokio::test]
async fn what_is_not_valid_or_fails_its_tests_is_not_put_in_force() {
    let world = World::new().await;
    let epoch = world.pdp.policy_epoch();
    let apply = async |text, tests, author, reason| {
        world
            .pdp
            .apply(text, tests, author, reason)
            .await
            .expect_err("refused")
    };
    let problems = apply("permit (principal, action, resource);", "", "ann", "x").await;
    assert!(matches!(problems, ApplyError::Problems(_)));
    let table = apply(PERMIT, "[[test]]\nname = 1", "ann", "x").await;
    assert!(
        matches!(table, ApplyError::Table(TestTableError::Toml(_))),
        "{table}"
    );
    let failing = apply("", DEFAULT_TESTS, "ann", "x").await;
    let ApplyError::Failing(outcomes) = &failing else {
        panic!("{failing}")
    };
    assert!(outcomes.iter().all(|outcome| !outcome.passed) && !outcomes.is_empty());
    assert!(matches!(
        apply(PERMIT, "", " ", "x").await,
        ApplyError::Note(_)
    ));
    assert!(matches!(
        apply(PERMIT, "", "ann", "").await,
        ApplyError::Note(_)
    ));
    assert!(matches!(
        apply(PERMIT, "", "ann", &"x".repeat(1_001)).await,
        ApplyError::Note(_)
    ));
    let none = world.pdp.rollback(7, "ann", "x").await;
    assert!(matches!(none, Err(ApplyError::NoVersion(7))));
    assert_eq!(
        (world.pdp.policies().version, world.pdp.policy_epoch()),
        (1, epoch)
    );
    assert_eq!(world.pdp.versions(10).await.expect("reads").len(), 1);
}

#[tokio::test]
async fn a_version_says_who_and_why_and_one_command_takes_it_back() {
    let world = World::new().await;
    let subject = world.subject(&world.device("cam-1").await).await;
    let mut changes = world.bus.changes();
    world
        .pdp
        .apply("", "", "ann", "close everything")
        .await
        .expect("applies");
    assert!(matches!(changes.recv().await, Some(Change::Policy)));
    assert!(!world.pdp.decide(&subject, &Request::Connect).is_allow());
    let back = world
        .pdp
        .rollback(1, "bob", "too much")
        .await
        .expect("rolls back");
    assert_eq!((back.version, back.text.as_str()), (3, DEFAULT_POLICIES));
    assert!(world.pdp.decide(&subject, &Request::Connect).is_allow());
    let versions = world.pdp.versions(10).await.expect("reads");
    let told: Vec<_> = versions
        .iter()
        .map(|it| (it.version, it.author.as_str(), it.reason.as_str()))
        .collect();
    assert_eq!(
        told[..2],
        [(3, "bob", "too much"), (2, "ann", "close everything")]
    );
}

#[tokio::test]
async fn going_back_to_the_version_in_force_makes_no_new_one() {
    let world = World::new().await;
    let before = (world.pdp.policies().version, world.pdp.policy_epoch());
    let same = world.pdp.rollback(before.0, "bob", "a slip").await;
    assert_eq!(same.expect("is found").version, before.0);
    let after = (world.pdp.policies().version, world.pdp.policy_epoch());
    assert_eq!(before, after);
    assert_eq!(world.pdp.versions(10).await.expect("reads").len(), 1);
}

#[tokio::test]
async fn of_two_who_apply_at_the_same_time_one_is_told() {
    let world = World::new().await;
    let (one, two) = tokio::join!(
        world.pdp.apply(PERMIT, "", "ann", "mine"),
        world.pdp.apply("", "", "bob", "mine"),
    );
    let (version, refused) = match (one, two) {
        (Ok(version), Err(refused)) | (Err(refused), Ok(version)) => (version, refused),
        other => panic!("{other:?}"),
    };
    assert!(matches!(refused, ApplyError::Conflict(2)), "{refused}");
    assert_eq!(*world.pdp.policies(), *version);
}

#[tokio::test]
async fn who_has_not_seen_a_newer_version_cannot_apply_over_it() {
    let world = World::new().await;
    let (far, _bus) = world.far().await;
    far.apply(PERMIT, "", "ann", "first")
        .await
        .expect("applies");
    let refused = world.pdp.apply("", "", "bob", "unaware").await;
    assert!(
        matches!(refused, Err(ApplyError::Conflict(2))),
        "{refused:?}"
    );
    assert_eq!(world.pdp.policies().version, 2, "it has seen it now");
    world
        .pdp
        .apply("", "", "bob", "aware")
        .await
        .expect("applies");
}

#[tokio::test]
async fn grants_are_added_listed_and_removed() {
    let world = World::new().await;
    let subject = world.subject(&world.device("cam-1").await).await;
    let given = grant(GrantScope::Fleet, "a/{device}", "publish");
    world.pdp.add_grant(given.clone()).await.expect("adds");
    assert!(matches!(
        world.pdp.add_grant(given.clone()).await,
        Err(PolicyError::Store(_))
    ));
    assert_eq!(world.pdp.grants(), std::slice::from_ref(&given));
    assert!(world.pdp.decide(&subject, &publish("a/cam-1")).is_allow());
    assert_eq!(world.another().await.grants(), std::slice::from_ref(&given));
    assert!(world.pdp.remove_grant(given.id).await.expect("removes"));
    assert!(
        !world
            .pdp
            .remove_grant(given.id)
            .await
            .expect("removes nothing")
    );
    assert!(world.pdp.grants().is_empty());
    assert!(!world.pdp.decide(&subject, &publish("a/cam-1")).is_allow());
}

#[tokio::test]
async fn a_stored_version_that_this_program_cannot_read_is_named() {
    let world = World::new().await;
    let version = PolicyVersion {
        version: 2,
        text: "@id(\"x\") permit (principal, action, resource) when { principal.aura };".to_owned(),
        tests: String::new(),
        author: "ann".to_owned(),
        reason: "by a newer program".to_owned(),
        applied_at: world.pdp.policies().applied_at,
    };
    world.store.policies().add(&version).await.expect("adds");
    let clock = std::sync::Arc::new(world.clock.clone());
    let opened = Pdp::open(
        world.store.clone(),
        world.bus.clone(),
        world.ledger.clone(),
        clock,
        vec![],
    )
    .await;
    assert!(
        matches!(opened, Err(PolicyError::Broken { version: 2, .. })),
        "{opened:?}"
    );
}
