//! From the log into sealed files, where there is much of it.

use std::time::Duration;

use crate::{query, sealed, world::World};

/// A message's weight, and how many there are: three sealed files are made of them.
const WEIGHT: usize = 3 * 1024 * 1024;
const MESSAGES: usize = 50;
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
    assert_eq!(objects.len(), 3);
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

/// Cuts a roll short as soon as so many of its three sealed files are there.
async fn cut_short_at(files: usize) {
    let mut world = World::open().await;
    fill(&world).await;
    let vault = world.vault.clone();
    let are_there = async {
        while sealed(&world).len() < files {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    // Files first: where both are there at once, it is cut short all the same.
    tokio::select! {
        biased;
        () = are_there => {}
        _ = vault.roll_all() => panic!("it was not cut short"),
    }
    drop(vault);
    assert_eq!(world.objects().await.len(), 0, "a part of it counts");
    world.reopen().await;
    world.roll().await;
    check(&world).await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_that_is_cut_short_at_its_first_part_nothing_is_lost_or_doubled() {
    cut_short_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_that_is_cut_short_at_its_second_part_nothing_is_lost_or_doubled() {
    cut_short_at(2).await;
}
