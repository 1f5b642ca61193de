//! From the log into sealed files, where there is much of it.

use std::time::Duration;

use crate::{query, sealed, world::World};

/// A message's weight, and how many there are: more than one sealed file is made of.
const WEIGHT: usize = 3 * 1024 * 1024;
const MESSAGES: usize = 26;
/// The most bytes that a sealed file is made of, besides its last message.
const FILE_WEIGHT: usize = 64 * 1024 * 1024;

async fn fill(world: &World) {
    let payload = vec![b'x'; WEIGHT];
    for number in 0..MESSAGES {
        world.keep(&format!("cam-{number}"), "t/a", &payload).await;
    }
}

/// Each message is there, once.
async fn check(world: &World) {
    let objects = world.objects().await;
    assert!(objects.len() > 1, "it went into one file");
    for object in &objects {
        let weight = object.rows as usize * WEIGHT;
        assert!(weight <= FILE_WEIGHT + WEIGHT, "{} rows", object.rows);
    }
    let rows: u64 = objects.iter().map(|object| object.rows).sum();
    assert_eq!(rows, MESSAGES as u64);
    for number in 0..MESSAGES {
        let device = format!("cam-{number}");
        let found = world.vault.read(&query(&device)).await.expect("reads");
        let lens: Vec<usize> = found.rows.iter().map(|row| row.payload.len()).collect();
        assert_eq!(lens, [WEIGHT], "{device}");
    }
    assert_eq!(sealed(world).len(), objects.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_of_the_log_goes_into_several_sealed_files() {
    let mut world = World::open().await;
    fill(&world).await;
    let before = world.vault.log_files();
    world.roll().await;
    assert_eq!((before, world.vault.log_files()), (1, 0));
    check(&world).await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_that_is_cut_short_nothing_is_lost_or_doubled() {
    let mut world = World::open().await;
    fill(&world).await;
    let vault = world.vault.clone();
    let first_is_there = async {
        while sealed(&world).is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let was_faster = tokio::select! {
        rolled = vault.roll_all() => rolled.is_ok(),
        () = first_is_there => false,
    };
    drop(vault);
    if !was_faster {
        assert_eq!(world.objects().await.len(), 0, "half of it counts");
    }
    world.reopen().await;
    world.roll().await;
    check(&world).await;
    world.close().await;
}
