//! Several decision points over one store: none of them holds a truth of its own.

use palisade_bus::Change;
use palisade_core::{GrantScope, Labels, Lifecycle, Posture};

use crate::world::{HOME, World, publish, segment, until};

#[tokio::test]
async fn what_another_changes_reaches_sessions_here() {
    let world = World::new().await;
    let id = world.device("cam-1").await;
    let subject = world.subject(&id).await;
    world.run();
    let other = world.another().await;
    world.run_this(&other);
    let there = other
        .subject(&id.clone().into(), HOME)
        .await
        .expect("known");
    let grant = crate::world::grant(GrantScope::Fleet, "sites/{label:site}", "publish");
    other.add_grant(grant).await.expect("adds");
    let is_allowed = || {
        world
            .pdp
            .decide(&subject, &publish("sites/bonn"))
            .is_allow()
    };
    assert!(!is_allowed());
    other
        .set_labels(&id, Labels::parse_list("site=bonn").expect("valid"))
        .await
        .expect("sets");
    until("grant and labels are heard", async || is_allowed()).await;
    other
        .set_lifecycle(&id, Lifecycle::Quarantined, "bad")
        .await
        .expect("sets");
    until("the quarantine is heard", async || !is_allowed()).await;
    assert_eq!(subject.posture(), there.posture());
    assert_eq!(subject.stamp().posture, there.stamp().posture);
}

#[tokio::test]
async fn a_door_that_missed_changes_reloads_everything_it_holds() {
    let world = World::new().await;
    let id = world.device("cam-1").await;
    let subject = world.subject(&id).await;
    let service = world.service("billing").await;
    world.run();
    // What this one does is not heard here.
    let (far, _bus) = world.far().await;
    far.apply("", "", "ann", "closed").await.expect("applies");
    far.set_segment(&id, segment("yard"), "moved")
        .await
        .expect("sets");
    world.bus.announce(Change::Resync);
    until("policies and posture are read again", async || {
        let segment_here = subject.posture().map(|posture| posture.segment.clone());
        world.pdp.policies().version == 2 && segment_here == Some(segment("yard"))
    })
    .await;
    assert!(
        !world
            .pdp
            .decide(&service, &palisade_core::Request::Connect)
            .is_allow()
    );
}

#[tokio::test]
async fn an_old_announcement_does_not_undo_a_newer_posture() {
    let world = World::new().await;
    let id = world.device("cam-1").await;
    let subject = world.subject(&id).await;
    world.run();
    let before = subject.posture().expect("a device");
    world
        .pdp
        .set_lifecycle(&id, Lifecycle::Quarantined, "bad")
        .await
        .expect("sets");
    world.bus.announce(Change::Posture {
        device: id.clone(),
        posture: before,
    });
    // Announcements are heard in order: when the last is, all are.
    let other = world.another().await;
    other
        .set_segment(&id, segment("yard"), "moved")
        .await
        .expect("sets");
    until("the move is heard", async || {
        subject
            .posture()
            .is_some_and(|posture| posture.segment == segment("yard"))
    })
    .await;
    let lifecycle = subject.posture().map(|posture| posture.lifecycle);
    assert_eq!(lifecycle, Some(Lifecycle::Quarantined));
}

#[tokio::test]
async fn an_announcement_with_a_gap_before_it_is_read_from_the_store() {
    let world = World::new().await;
    let id = world.device("cam-1").await;
    let subject = world.subject(&id).await;
    world.run();
    let (far, _bus) = world.far().await;
    far.set_labels(&id, Labels::parse_list("site=bonn").expect("valid"))
        .await
        .expect("sets");
    let posture = far
        .set_segment(&id, segment("yard"), "moved")
        .await
        .expect("sets");
    world.grant(GrantScope::Fleet, "sites/{label:site}").await;
    world.bus.announce(Change::Posture {
        device: id,
        posture: posture.clone(),
    });
    until("labels and segment are there", async || {
        subject.posture() == Some(posture.clone())
            && world
                .pdp
                .decide(&subject, &publish("sites/bonn"))
                .is_allow()
    })
    .await;
}

#[tokio::test]
async fn a_newer_posture_is_in_force_even_where_the_store_cannot_be_read() {
    let world = World::new().await;
    let id = world.device("cam-1").await;
    let subject = world.subject(&id).await;
    world.run();
    world.store.close().await;
    let before = subject.posture().expect("a device");
    let contained = Posture {
        lifecycle: Lifecycle::Quarantined,
        epoch: before.epoch.next().next(),
        ..Posture::clone(&before)
    };
    world.bus.announce(Change::Posture {
        device: id,
        posture: contained.into(),
    });
    until("the quarantine is in force", async || {
        !world
            .pdp
            .decide(&subject, &palisade_core::Request::Connect)
            .is_allow()
    })
    .await;
}

#[tokio::test]
async fn what_nobody_uses_is_not_held() {
    let world = World::new().await;
    let id = world.device("cam-1").await;
    let one = world.subject(&id).await;
    let two = world.subject(&id).await;
    assert_eq!(world.pdp.stats().live_principals, 1);
    drop(one);
    assert_eq!(world.pdp.stats().live_principals, 1);
    drop(two);
    assert_eq!(world.pdp.stats().live_principals, 0);
}
