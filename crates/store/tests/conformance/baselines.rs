//! What is learned, kept and read back.

use palisade_core::{DeviceId, ProductId, Timestamp};
use palisade_store::{BaselineCohort, BaselineRow};

use super::store;

fn row(device: &str, second: i64) -> BaselineRow {
    BaselineRow {
        device: DeviceId::parse(device).expect("valid"),
        product: ProductId::parse("cam").expect("valid"),
        state: vec![7, 0, 255],
        updated_at: Timestamp::from_second(second).expect("a time"),
    }
}

#[tokio::test]
async fn what_was_learned_of_devices_is_replaced_and_read_newest_first() {
    let (_directory, store) = store().await;
    let baselines = store.baselines();
    let many: Vec<BaselineRow> = (0..450)
        .map(|n| row(&format!("cam-{n:03}"), n / 3))
        .collect();
    baselines.put(&many).await.expect("writes");
    let again = BaselineRow {
        state: vec![1],
        ..row("cam-000", 1_000)
    };
    let written = baselines.put(std::slice::from_ref(&again)).await;
    written.expect("writes");
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let part = baselines.newest(after, 100).await.expect("reads");
        let Some(last) = part.last() else {
            break;
        };
        after = Some((last.updated_at, last.device.clone()));
        all.extend(part);
    }
    assert_eq!(all.len(), 450);
    assert_eq!(all[0], again);
    assert!(
        all.windows(2)
            .all(|pair| pair[0].updated_at >= pair[1].updated_at)
    );
}

#[tokio::test]
async fn devices_are_found_by_name_and_forgotten_by_age() {
    let (_directory, store) = store().await;
    let baselines = store.baselines();
    let rows = [row("cam-1", 10), row("cam-2", 20)];
    baselines.put(&rows).await.expect("writes");
    let asked = [rows[1].device.clone(), DeviceId::parse("x").expect("valid")];
    let found = baselines.find(&asked).await.expect("reads");
    assert_eq!(found, rows[1..]);
    assert_eq!(baselines.find(&[]).await.expect("reads"), []);
    let before = Timestamp::from_second(15).expect("a time");
    assert_eq!(baselines.prune(before).await.expect("runs"), 1);
    let left = baselines.newest(None, 10).await.expect("reads");
    assert_eq!(left, rows[1..]);
}

#[tokio::test]
async fn products_and_settings_are_replaced() {
    let (_directory, store) = store().await;
    let baselines = store.baselines();
    for state in [vec![1], vec![2, 3]] {
        let cohort = BaselineCohort {
            product: ProductId::parse("cam").expect("valid"),
            state,
            updated_at: Timestamp::UNIX_EPOCH,
        };
        baselines.put_cohorts(&[cohort]).await.expect("writes");
    }
    let cohorts = baselines.cohorts().await.expect("reads");
    assert_eq!(cohorts.len(), 1);
    assert_eq!(cohorts[0].state, [2, 3]);
    for body in [1, 2] {
        let at = Timestamp::UNIX_EPOCH;
        let put = baselines
            .put_settings("product/cam", &body, "ada", at)
            .await;
        put.expect("writes");
    }
    let settings = baselines.settings().await.expect("reads");
    assert_eq!(settings, [("product/cam".to_owned(), "2".to_owned())]);
}
