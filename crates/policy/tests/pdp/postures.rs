//! Postures: changed, written down, announced, recorded.

use std::sync::Arc;

use palisade_bus::Change;
use palisade_core::{EventKind, Labels, Lifecycle, TrustScore};
use palisade_policy::PostureError;

use crate::world::{World, device, segment};

#[tokio::test]
async fn a_changed_posture_is_stored_announced_recorded_and_in_force_before_it_is_acknowledged() {
    let world = World::new().await;
    let id = world.device("cam-1").await;
    let subject = world.subject(&id).await;
    let mut changes = world.bus.changes();
    let posture = world
        .pdp
        .set_lifecycle(&id, Lifecycle::Quarantined, "it floods")
        .await
        .expect("sets");
    assert_eq!(*posture, world.posture(&id).await);
    assert_eq!(subject.posture(), Some(posture.clone()));
    let Some(Change::Posture {
        device: who,
        posture: announced,
    }) = changes.recv().await
    else {
        panic!("no posture was announced");
    };
    assert_eq!((who, announced), (id.clone(), posture));
    let events = world.events("posture_changed").await;
    let [event] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(event.principal, Some(id.into()));
    assert_eq!(
        event.kind,
        EventKind::PostureChanged {
            lifecycle_before: Lifecycle::Active,
            lifecycle: Lifecycle::Quarantined,
            trust_before: TrustScore::MAX,
            trust: TrustScore::MAX,
            reason: "it floods".to_owned(),
        }
    );
    assert_eq!(world.ledger.head().0, 1, "it is in the audit log");
}

#[tokio::test]
async fn a_step_that_a_life_does_not_have_changes_nothing() {
    let world = World::new().await;
    let id = world.device_at("cam-1", Lifecycle::Retired).await;
    let before = world.posture(&id).await;
    let refused = world
        .pdp
        .set_lifecycle(&id, Lifecycle::Active, "again")
        .await;
    assert!(matches!(refused, Err(PostureError::Step(_))), "{refused:?}");
    world
        .pdp
        .set_lifecycle(&id, Lifecycle::Retired, "again")
        .await
        .expect("is there already");
    assert_eq!(world.posture(&id).await, before);
    assert!(world.events("posture_changed").await.is_empty());
    let unknown = world
        .pdp
        .set_lifecycle(&device("cam-2"), Lifecycle::Active, "x")
        .await;
    assert!(matches!(unknown, Err(PostureError::Unknown)));
    let none = world
        .pdp
        .set_labels(&device("cam-2"), Labels::default())
        .await;
    assert!(!none.expect("reads"));
    assert!(
        world
            .pdp
            .posture(&device("cam-2"))
            .await
            .expect("reads")
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_the_same_time_all_take_place() {
    let world = Arc::new(World::new().await);
    let id = world.device("cam-1").await;
    let subject = world.subject(&id).await;
    let tasks = (0..8).map(|n| {
        let (world, id) = (world.clone(), id.clone());
        tokio::spawn(async move {
            let to = segment(&format!("segment-{n}"));
            world
                .pdp
                .set_segment(&id, to, "moved")
                .await
                .map(|posture| posture.epoch)
        })
    });
    let mut epochs = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        epochs.push(task.await.expect("runs").expect("sets").0);
    }
    epochs.sort_unstable();
    assert_eq!(
        epochs,
        (2..=9).collect::<Vec<u64>>(),
        "each change has an epoch of its own"
    );
    assert_eq!(
        subject.posture().as_deref(),
        Some(&world.posture(&id).await)
    );
    assert_eq!(world.events("posture_changed").await.len(), 8);
}

#[tokio::test]
async fn a_journal_that_fails_is_told_and_the_device_is_contained_all_the_same() {
    let world = World::new().await;
    let id = world.device("cam-1").await;
    let subject = world.subject(&id).await;
    world.ledger.close().await;
    let told = world
        .pdp
        .set_lifecycle(&id, Lifecycle::Quarantined, "bad")
        .await;
    assert!(matches!(told, Err(PostureError::Journal(_))), "{told:?}");
    let lifecycle = subject.posture().map(|posture| posture.lifecycle);
    assert_eq!(lifecycle, Some(Lifecycle::Quarantined));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_that_opens_while_the_posture_changes_does_not_keep_the_old_one() {
    let world = Arc::new(World::new().await);
    let id = world.device("cam-1").await;
    for round in 0..150 {
        let (there, device) = (world.clone(), id.clone());
        let to = segment(&format!("segment-{round}"));
        let change =
            tokio::spawn(
                async move { there.pdp.set_segment(&device, to, "moved").await.map(drop) },
            );
        let mut last = None;
        while !change.is_finished() {
            // Each has the device to itself, so that none finds the posture of another's session.
            drop(last.take());
            last = Some(world.subject(&id).await);
        }
        change.await.expect("runs").expect("sets");
        let stored = world.posture(&id).await;
        if let Some(subject) = last {
            assert_eq!(subject.posture().as_deref(), Some(&stored));
            assert_eq!(subject.stamp().posture, stored.epoch);
        }
    }
    assert_eq!(world.pdp.stats().live_principals, 0, "nobody is left");
}
