//! What is done to sealed files over time.

use palisade_core::DeviceId;
use palisade_store::{ObjectState, VaultHold, VaultObject};
use palisade_vault::VaultError;

use crate::{
    files, query, sealed,
    world::{World, payloads},
};

const DAY: i64 = 86_400_000;

fn id(device: &str) -> DeviceId {
    DeviceId::parse(device).expect("an id")
}

async fn hold(world: &World, device: Option<&str>) -> String {
    let hold = VaultHold {
        id: "01K0ZJ5D0G0000000000000000".to_owned(),
        device: device.map(str::to_owned),
        from_at: None,
        until_at: None,
        reason: "a court".to_owned(),
        created_by: "anna".to_owned(),
        created_at: palisade_core::Clock::now(&*world.clock),
        released_at: None,
    };
    world.store().vault().add_hold(&hold).await.expect("writes");
    hold.id
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_day_that_is_over_become_one_and_hold_what_they_held() {
    let world = World::open().await;
    for round in 0..5 {
        for device in ["cam-1", "cam-2", "cam-3"] {
            world.clock.advance_millis(1);
            world
                .keep(device, "t/a", format!("{device} {round}").as_bytes())
                .await;
        }
        world.roll().await;
    }
    assert_eq!(world.objects().await.len(), 5);
    // Today still grows: a few files are no reason.
    world.vault.compact().await.expect("works");
    assert_eq!(world.objects().await.len(), 5);
    world.clock.advance_millis(DAY);
    let worked = world.vault.compact().await.expect("works");
    assert_eq!((worked.before, worked.after), (5, 1));
    assert_eq!(world.objects().await.len(), 1);
    for device in ["cam-1", "cam-2", "cam-3"] {
        let found = world.vault.read(&query(device)).await.expect("reads");
        let wanted: Vec<String> = (0..5).map(|round| format!("{device} {round}")).collect();
        assert_eq!(payloads(&found.rows), wanted);
    }
    assert_eq!(
        world.vault.compact().await.expect("works").before,
        0,
        "once is enough"
    );
    world.vault.sweep().await.expect("sweeps");
    assert_eq!(sealed(&world).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merger_that_was_cut_short_doubles_nothing() {
    let mut world = World::open().await;
    for payload in ["one", "two"] {
        world.keep("cam-1", "t/a", payload.as_bytes()).await;
        world.roll().await;
    }
    world.clock.advance_millis(DAY);
    // The new file was written when the power went, and does not count yet.
    let before = world.objects().await;
    world.vault.compact().await.expect("works");
    let merged = world.objects().await.remove(0);
    let vault = world.store().vault();
    vault.forget_object(&before[0].id).await.expect("forgets");
    vault.forget_object(&before[1].id).await.expect("forgets");
    vault
        .exchange(&[], std::slice::from_ref(&merged.id), None)
        .await
        .expect("writes");
    vault.forget_object(&merged.id).await.expect("forgets");
    let half = VaultObject {
        state: ObjectState::Writing,
        ..merged.clone()
    };
    let again: Vec<VaultObject> = before.iter().cloned().chain([half]).collect();
    vault.begin_objects(&again).await.expect("writes");
    vault.exchange(&before, &[], None).await.expect("writes");
    world.reopen().await;
    let found = world.vault.read(&query("cam-1")).await.expect("reads");
    assert_eq!(payloads(&found.rows), ["one", "two"]);
    assert!(
        !files(world.data())
            .iter()
            .any(|path| path.ends_with(&merged.path))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_taken_away_unless_it_is_held() {
    let world = World::open().await;
    world.keep("cam-1", "t/a", b"old").await;
    world.roll().await;
    let held = hold(&world, Some("cam-1")).await;
    world.clock.advance_millis(30 * DAY);
    world.keep("cam-1", "t/a", b"new").await;
    world.roll().await;
    assert_eq!(
        world.vault.expire().await.expect("works").before,
        0,
        "30 days are not over"
    );
    world.clock.advance_millis(DAY);
    assert_eq!(
        world.vault.expire().await.expect("works").before,
        0,
        "it is held"
    );
    world.release(&held).await;
    assert_eq!(world.vault.expire().await.expect("works").removed, 1);
    let found = world.vault.read(&query("cam-1")).await.expect("reads");
    assert_eq!(payloads(&found.rows), ["new"]);
    world.vault.sweep().await.expect("sweeps");
    assert_eq!(sealed(&world).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_device_leaves_nothing_on_the_disk_but_what_others_sent() {
    let world = World::open().await;
    world.keep("cam-1", "t/a", b"gone").await;
    world.keep("cam-2", "t/a", b"stays").await;
    world.roll().await;
    world.keep("cam-1", "t/a", b"gone as well").await;
    let before = world.objects().await;
    assert_eq!(before.len(), 1);
    let is_on_disk = |bytes: &[u8]| {
        files(world.data()).iter().any(|path| {
            let content = std::fs::read(path).unwrap_or_default();
            content.windows(bytes.len()).any(|found| found == bytes)
        })
    };
    // PostgreSQL keeps its files elsewhere.
    assert!(is_on_disk(&before[0].wrapped) || !palisade_test_store::is_on_sqlite());
    let old: Vec<Vec<u8>> = sealed(&world)
        .iter()
        .map(|path| std::fs::read(path).expect("reads"))
        .collect();
    let held = hold(&world, Some("cam-1")).await;
    assert!(matches!(
        world.vault.erase(&id("cam-1")).await,
        Err(VaultError::Held(_))
    ));
    world.release(&held).await;
    let worked = world.vault.erase(&id("cam-1")).await.expect("erases");
    assert_eq!(worked.removed, 2);
    assert!(
        world
            .vault
            .read(&query("cam-1"))
            .await
            .expect("reads")
            .rows
            .is_empty()
    );
    let found = world.vault.read(&query("cam-2")).await.expect("reads");
    assert_eq!(payloads(&found.rows), ["stays"]);
    assert!(
        !is_on_disk(&before[0].wrapped),
        "the wrapped key of the old file is destroyed"
    );
    for bytes in old {
        assert!(!is_on_disk(&bytes[8..64]), "the old file is gone");
    }
    assert_eq!(sealed(&world).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_open_what_there_is_and_the_old_ones_are_destroyed() {
    let mut world = World::open().await;
    world.keep("cam-1", "t/a", b"one").await;
    world.roll().await;
    world.keep("cam-1", "t/a", b"two").await;
    let sealed_before: Vec<Vec<u8>> = sealed(&world)
        .iter()
        .map(|path| std::fs::read(path).expect("reads"))
        .collect();
    let keys_before = world.store().vault().keys().await.expect("reads");
    let old = world.objects().await.remove(0);
    let rotated = world.vault.rotate_keys().await.expect("rotates");
    assert_eq!(rotated.segments, 2);
    let read = |world: &World| {
        let vault = world.vault.clone();
        async move { vault.read(&query("cam-1")).await.expect("reads").rows }
    };
    assert_eq!(payloads(&read(&world).await), ["one", "two"]);
    let now = world.objects().await;
    let same = now
        .iter()
        .find(|object| object.id == old.id)
        .expect("is there");
    assert_ne!(same.wrapped, old.wrapped);
    let path = world.data().join("vault/objects").join(&old.path);
    assert_eq!(
        std::fs::read(path).expect("reads"),
        sealed_before[0],
        "nothing is sealed anew"
    );
    let keys = world.store().vault().keys().await.expect("reads");
    assert_eq!(keys.len(), 2, "the first segment has one from the start");
    assert_ne!(keys[0].wrapped, keys_before[0].wrapped);
    world.reopen().await;
    world.keep("cam-1", "t/a", b"three").await;
    assert_eq!(payloads(&read(&world).await), ["one", "two", "three"]);
    // The copy of a row that somebody took before opens no more.
    world
        .store()
        .vault()
        .put_key(&keys_before[0])
        .await
        .expect("writes");
    world
        .store()
        .vault()
        .rewrap_object(&old.id, 1, &old.wrapped)
        .await
        .expect("writes");
    world.close().await;
    assert!(
        world.try_start().await.is_err(),
        "the root key that wrapped it is destroyed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_file_that_was_moved_with_its_row_does_not_open() {
    let world = World::open().await;
    world.keep("cam-1", "t/a", b"one").await;
    world.roll().await;
    let here = world.objects().await.remove(0);
    let there = VaultObject {
        path: format!("{}-elsewhere", here.path),
        state: ObjectState::Writing,
        ..here.clone()
    };
    let folder = world.data().join("vault/objects");
    std::fs::rename(folder.join(&here.path), folder.join(&there.path)).expect("moves");
    let vault = world.store().vault();
    let gone = std::slice::from_ref(&here.id);
    vault.exchange(&[], gone, None).await.expect("writes");
    vault.forget_object(&here.id).await.expect("writes");
    let moved = std::slice::from_ref(&there);
    vault.begin_objects(moved).await.expect("writes");
    vault.exchange(moved, &[], None).await.expect("writes");
    let found = world.vault.read(&query("cam-1")).await;
    assert!(matches!(found, Err(VaultError::Key(_))), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_goes_months_ahead_destroys_nothing_until_it_is_believed() {
    let mut world = World::open().await;
    world.keep("cam-1", "t/a", b"one").await;
    world.roll().await;
    world.clock.advance_millis(400 * DAY);
    assert_eq!(world.vault.expire().await.expect("works").before, 0);
    assert!(world.vault.waits_for_clock().is_some());
    // A start changes nothing about that.
    world.reopen().await;
    world.clock.advance_millis(DAY - 1_000);
    assert_eq!(world.vault.expire().await.expect("works").before, 0);
    let found = world.vault.read(&query("cam-1")).await.expect("reads");
    assert_eq!(payloads(&found.rows), ["one"]);
    world.clock.advance_millis(2_000);
    assert_eq!(world.vault.expire().await.expect("works").before, 1);
    assert_eq!(world.vault.waits_for_clock(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_not_in_the_way_of_an_erasure_and_its_key_is_destroyed() {
    let world = World::open().await;
    for payload in ["one", "two"] {
        world.keep("cam-1", "t/a", payload.as_bytes()).await;
        world.keep("cam-2", "t/a", payload.as_bytes()).await;
        world.roll().await;
    }
    let objects = world.objects().await;
    let folder = world.data().join("vault/objects");
    let path = folder.join(&objects[0].path);
    let mut damaged = std::fs::read(&path).expect("reads");
    damaged[40] ^= 1;
    std::fs::write(&path, damaged).expect("writes");
    // Somebody else's messages in it may be held: then it stays.
    let held = hold(&world, Some("cam-2")).await;
    assert!(matches!(
        world.vault.erase(&id("cam-1")).await,
        Err(VaultError::Held(_))
    ));
    assert!(path.exists());
    world.release(&held).await;
    let worked = world.vault.erase(&id("cam-1")).await.expect("erases");
    assert_eq!((worked.before, worked.damaged), (1, 1));
    assert!(!path.exists());
    let told = world.acts("vault.damage").await;
    assert!(
        told.len() == 1 && told[0].contains(&objects[0].path),
        "{told:?}"
    );
    let found = world.vault.read(&query("cam-1")).await.expect("reads");
    assert!(found.rows.is_empty());
    let found = world.vault.read(&query("cam-2")).await.expect("reads");
    assert_eq!(payloads(&found.rows), ["two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_had_now_is_not_taken_for_damaged() {
    let world = World::open().await;
    for payload in ["one", "two"] {
        world.keep("cam-1", "t/a", payload.as_bytes()).await;
        world.roll().await;
    }
    let objects = world.objects().await;
    let path = world.data().join("vault/objects").join(&objects[0].path);
    let aside = path.with_extension("aside");
    std::fs::rename(&path, &aside).expect("moves");
    world
        .vault
        .erase(&id("cam-1"))
        .await
        .expect_err("not all of it");
    std::fs::rename(&aside, &path).expect("moves");
    assert_eq!(world.objects().await.len(), 1, "the other one is erased");
    assert!(world.acts("vault.damage").await.is_empty());
    let worked = world.vault.erase(&id("cam-1")).await.expect("erases");
    assert_eq!((worked.removed, worked.damaged), (1, 0));
}

/// A file that does not count any more and cannot be taken away, as it is a folder; it comes before all others.
async fn stuck(world: &World, state: ObjectState) -> std::path::PathBuf {
    let mut stuck = world.objects().await.remove(0);
    stuck.id.replace_range(0..2, "00");
    stuck.path = format!("{}-stuck", stuck.path);
    stuck.state = state;
    let path = world.data().join("vault/objects").join(&stuck.path);
    std::fs::create_dir_all(path.join("in it")).expect("a folder");
    let vault = world.store().vault();
    vault.begin_objects(&[stuck]).await.expect("writes");
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_whose_files_cannot_be_taken_away_says_what_it_erased_and_what_is_left() {
    let world = World::open().await;
    world.keep("cam-1", "t/a", b"gone").await;
    world.roll().await;
    let old = sealed(&world);
    let stuck = stuck(&world, ObjectState::Dead).await;
    let worked = world.vault.erase(&id("cam-1")).await.expect("erases");
    assert_eq!((worked.removed, worked.before), (1, 1));
    assert_eq!((worked.files_left, worked.keys_left), (1, false));
    assert!(!old[0].exists(), "one that cannot go keeps another");
    std::fs::remove_dir_all(stuck).expect("removes");
    assert_eq!(world.vault.sweep().await.expect("sweeps"), 1);
    assert!(sealed(&world).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_taken_away_keeps_no_other_and_is_told() {
    let world = World::open().await;
    world.keep("cam-1", "t/a", b"gone").await;
    world.roll().await;
    let stuck = stuck(&world, ObjectState::Writing).await;
    let all = world.objects().await;
    let dead: Vec<String> = all.iter().map(|object| object.id.clone()).collect();
    let vault = world.store().vault();
    vault.exchange(&[], &dead, None).await.expect("writes");
    let told = world
        .vault
        .sweep()
        .await
        .expect_err("one stays")
        .to_string();
    assert!(told.contains("-stuck"), "{told}");
    assert!(sealed(&world).is_empty());
    std::fs::remove_dir_all(stuck).expect("removes");
    assert_eq!(world.vault.sweep().await.expect("sweeps"), 1);
}

/// Waits until the log can be rolled, or cannot.
async fn is_in_trouble(world: &World, wanted: bool) {
    let reached = async {
        while world.vault.trouble().is_some() != wanted {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let reached = tokio::time::timeout(std::time::Duration::from_secs(30), reached).await;
    reached.unwrap_or_else(|_| panic!("trouble is not {wanted}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_that_is_tried_again_leaves_files_to_whoever_reads_them() {
    let world = World::open().await;
    for payload in ["one", "two"] {
        world.keep("cam-1", "t/a", payload.as_bytes()).await;
        world.roll().await;
    }
    world.clock.advance_millis(DAY);
    world.vault.compact().await.expect("works");
    assert_eq!(sealed(&world).len(), 3, "two of them are read to their end");
    // There is a file in the place of the next day's folder.
    let day = world.objects().await[0].day + 1;
    let folder = world.data().join(format!("vault/objects/hall/{day}"));
    std::fs::write(&folder, b"").expect("writes");
    world.keep("cam-1", "t/a", b"three").await;
    world.vault.roll_all().await.expect_err("cannot be rolled");
    is_in_trouble(&world, true).await;
    std::fs::remove_file(&folder).expect("removes");
    is_in_trouble(&world, false).await;
    let vault = world.store().vault();
    let in_state = async |state| vault.objects_in(state).await.expect("reads").len();
    assert_eq!(in_state(ObjectState::Writing).await, 0);
    assert_eq!(in_state(ObjectState::Dead).await, 2);
    assert_eq!(sealed(&world).len(), 4);
}
