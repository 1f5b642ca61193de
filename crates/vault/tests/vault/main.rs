//! The vault as a whole: on a real directory, with a real system of record.

#![expect(clippy::expect_used, reason = "a test ends where its set-up fails")]

mod roll;
mod works;
mod world;

use std::path::{Path, PathBuf};

use palisade_core::{DeviceId, TopicFilter, port::TelemetrySink};
use palisade_vault::{Query, Row, VaultError};
use world::{World, payloads};

fn query(device: &str) -> Query {
    Query {
        device: DeviceId::parse(device).expect("an id"),
        from_at: None,
        until_at: None,
        topics: None,
        after: None,
        limit: 1_000,
    }
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

fn sealed(world: &World) -> Vec<PathBuf> {
    files(&world.data().join("vault/objects"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_read_from_the_log_and_after_it_was_rolled() {
    let world = World::open().await;
    world.keep("cam-1", "t/a", b"one").await;
    world.keep("cam-2", "t/a", b"of another").await;
    world.keep("cam-1", "t/b", b"two").await;
    let read = async |query: Query| world.vault.read(&query).await.expect("reads");
    assert_eq!(payloads(&read(query("cam-1")).await.rows), ["one", "two"]);
    world.roll().await;
    let objects = world.objects().await;
    assert_eq!(objects.iter().map(|object| object.rows).sum::<u64>(), 3);
    assert_eq!(payloads(&read(query("cam-1")).await.rows), ["one", "two"]);
    world.keep("cam-1", "t/b", b"three").await;
    let found = read(query("cam-1")).await;
    assert_eq!(payloads(&found.rows), ["one", "two", "three"]);
    assert!(!found.has_more);
    let Row {
        topic,
        qos,
        retain,
        properties,
        product,
        ..
    } = &found.rows[0];
    assert_eq!(
        (&**topic, *qos, *retain, &**product),
        ("t/a", 1, true, "cam")
    );
    assert_eq!(properties[..], *b"\x03\x00\x01x");
    assert_eq!(payloads(&read(query("cam-2")).await.rows), ["of another"]);
    assert!(read(query("cam-9")).await.rows.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_gets_parts_times_and_topics() {
    let world = World::open().await;
    for number in 0..10 {
        world.clock.advance_millis(1_000);
        world
            .keep(
                "cam-1",
                &format!("t/{}", number % 2),
                number.to_string().as_bytes(),
            )
            .await;
        if number == 4 {
            world.roll().await;
        }
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let part = Query {
            after,
            limit: 3,
            ..query("cam-1")
        };
        let found = world.vault.read(&part).await.expect("reads");
        seen.extend(payloads(&found.rows));
        after = found.rows.last().map(|row| (row.at, row.number));
        if !found.has_more {
            break;
        }
        assert_eq!(found.rows.len(), 3);
    }
    assert_eq!(seen, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    let all = world.vault.read(&query("cam-1")).await.expect("reads").rows;
    let times = Query {
        from_at: Some(all[2].at),
        until_at: Some(all[7].at),
        ..query("cam-1")
    };
    assert_eq!(
        payloads(&world.vault.read(&times).await.expect("reads").rows),
        ["2", "3", "4", "5", "6"]
    );
    let topics = Query {
        topics: Some(TopicFilter::parse("t/1").expect("a filter")),
        ..query("cam-1")
    };
    assert_eq!(
        payloads(&world.vault.read(&topics).await.expect("reads").rows),
        ["1", "3", "5", "7", "9"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_outlives_the_server() {
    let mut world = World::open().await;
    world.keep("cam-1", "t/a", b"rolled").await;
    world.roll().await;
    world.keep("cam-1", "t/a", b"in the log").await;
    world.reopen().await;
    let found = world.vault.read(&query("cam-1")).await.expect("reads");
    assert_eq!(payloads(&found.rows), ["rolled", "in the log"]);
    world.roll().await;
    world.reopen().await;
    world.keep("cam-1", "t/a", b"new").await;
    let found = world.vault.read(&query("cam-1")).await.expect("reads");
    assert_eq!(payloads(&found.rows), ["rolled", "in the log", "new"]);
    let numbers: Vec<u64> = found.rows.iter().map(|row| row.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_it_stands_on_the_disk_in_the_open() {
    let world = World::open().await;
    for _ in 0..50 {
        world
            .keep("secret-device", "t/secret-topic", b"secret measurement")
            .await;
    }
    let look = || {
        for path in files(&world.data().join("vault")) {
            let bytes = std::fs::read(&path).expect("reads");
            assert!(
                !bytes.windows(6).any(|found| found == b"secret"),
                "{}",
                path.display()
            );
        }
    };
    look();
    world.roll().await;
    assert_eq!(sealed(&world).len(), 1);
    look();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_file_that_was_changed_cut_or_moved_does_not_open() {
    let world = World::open().await;
    world.keep("cam-1", "t/a", b"one").await;
    world.roll().await;
    world.clock.advance_millis(86_400_000);
    world.keep("cam-1", "t/a", b"two").await;
    world.roll().await;
    let paths = sealed(&world);
    assert_eq!(paths.len(), 2);
    let whole: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| std::fs::read(path).expect("reads"))
        .collect();
    let is_refused = || async {
        let found = world.vault.read(&query("cam-1")).await;
        matches!(found, Err(VaultError::Sealed(_)))
    };
    assert!(!is_refused().await);
    for at in (0..whole[0].len()).step_by(7) {
        let mut changed = whole[0].clone();
        changed[at] ^= 0x10;
        std::fs::write(&paths[0], changed).expect("writes");
        // The magic numbers at both ends are in the open, and the length of the footer; all else is sealed.
        let found = world.vault.read(&query("cam-1")).await;
        match found {
            Ok(found) => assert_eq!(payloads(&found.rows), ["one", "two"], "byte {at}"),
            Err(error) => assert!(matches!(error, VaultError::Sealed(_)), "byte {at}: {error}"),
        }
    }
    for len in [0, 1, whole[0].len() / 2, whole[0].len() - 1] {
        std::fs::write(&paths[0], &whole[0][..len]).expect("writes");
        assert!(is_refused().await, "cut at {len}");
    }
    // One in the place of the other, whole.
    std::fs::write(&paths[0], &whole[1]).expect("writes");
    assert!(is_refused().await);
    std::fs::write(&paths[0], &whole[0]).expect("writes");
    assert!(!is_refused().await);
    std::fs::remove_file(&paths[1]).expect("removes");
    assert!(is_refused().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_not_finished_does_not_count_and_is_taken_away() {
    let mut world = World::open().await;
    world.keep("cam-1", "t/a", b"one").await;
    world.roll().await;
    // As if the power had gone between the writing of a second file and the moment when it counts.
    let mut half = world.objects().await.remove(0);
    half.id.replace_range(0..1, "1");
    half.path = half.path.replace(".parquet", "-2.parquet");
    half.state = palisade_store::ObjectState::Writing;
    let path = world.data().join("vault/objects").join(&half.path);
    std::fs::copy(&sealed(&world)[0], &path).expect("copies");
    world
        .store()
        .vault()
        .begin_objects(&[half])
        .await
        .expect("writes");
    world.reopen().await;
    assert!(!path.exists());
    let found = world.vault.read(&query("cam-1")).await.expect("reads");
    assert_eq!(payloads(&found.rows), ["one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_is_told_and_what_is_whole_before_it_is_kept() {
    let mut world = World::open().await;
    world.keep("cam-1", "t/a", b"one").await;
    world.keep("cam-1", "t/a", b"two").await;
    world.close().await;
    let ends_in = |world: &World, end: &str| {
        let log = files(&world.data().join("vault/log"));
        log.into_iter()
            .find(|path| path.extension().is_some_and(|found| found == end))
    };
    let log = ends_in(&world, "wal").expect("a file");
    let mut bytes = std::fs::read(&log).expect("reads");
    // In the second chunk, before the end that says that the file was closed in good order.
    let place = bytes.len() - 40;
    bytes[place] ^= 1;
    std::fs::write(log, bytes).expect("writes");
    world.start().await;
    let told = world.acts("vault.damage").await;
    assert_eq!(told.len(), 1, "{told:?}");
    world.keep("cam-1", "t/a", b"three").await;
    world.roll().await;
    let read = async |world: &World| world.vault.read(&query("cam-1")).await.expect("reads").rows;
    assert_eq!(payloads(&read(&world).await), ["one", "three"]);
    assert!(ends_in(&world, "damaged").is_some(), "it is kept aside");
    world.reopen().await;
    assert_eq!(payloads(&read(&world).await), ["one", "three"]);
    assert_eq!(world.acts("vault.damage").await.len(), 1, "it is told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_vault_does_not_open_in_the_same_directory() {
    let world = World::open().await;
    assert!(world.try_open().await.is_err());
    assert!(world.vault.is_durable(0));
}
