//! Runs of audits, and what they found.

use palisade_core::{AuditRunId, Timestamp};
use palisade_store::{AuditResource, AuditResult, AuditRun, AuditState, Store};

use super::store;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("valid")
}

async fn run(store: &Store, resources: &[&str]) -> AuditRunId {
    let run = AuditRun {
        id: AuditRunId::generate(),
        started_by: "ann".to_owned(),
        started_at: at(1),
        ended_at: None,
        interrupted: false,
    };
    store.audits().begin(&run).await.expect("begins");
    let found: Vec<AuditResource> = resources
        .iter()
        .map(|&name| AuditResource {
            resource: name.to_owned(),
            subject: name.to_owned(),
            detail: "a test".to_owned(),
            mitigated_at: None,
            mitigated_by: None,
        })
        .collect();
    let result = AuditResult {
        run: run.id,
        check: "dormant-device".to_owned(),
        state: AuditState::NonCompliant,
        looked_at: 9,
        non_compliant: resources.len() as u64,
        listed: resources.len() as u64,
        note: None,
        ended_at: at(2),
    };
    store.audits().put(&result, &found).await.expect("writes");
    let last = store.audits().last_of("dormant-device").await;
    assert_eq!(last.expect("reads"), Some(result));
    store.audits().end(run.id, at(3)).await.expect("ends");
    // Ids of one millisecond have no order.
    while AuditRunId::generate().to_string()[..10] == run.id.to_string()[..10] {
        tokio::task::yield_now().await;
    }
    run.id
}

#[tokio::test]
async fn what_a_run_found_is_read_page_by_page_and_noted_as_mended() {
    let (_directory, store) = store().await;
    let id = run(&store, &["device/a", "device/b", "device/c"]).await;
    let audits = store.audits();
    let names = async |after: &str| {
        let found = audits.resources(id, "dormant-device", after, 2).await;
        let found = found.expect("reads").into_iter();
        found.map(|one| one.resource).collect::<Vec<_>>()
    };
    assert_eq!(names("").await, ["device/a", "device/b"]);
    assert_eq!(names("device/b").await, ["device/c"]);
    let by = ("bob", at(9));
    let noted = audits.mitigated(id, "dormant-device", "device/b", by).await;
    noted.expect("writes");
    let found = audits.resource(id, "dormant-device", "device/b").await;
    let found = found.expect("reads").expect("is there");
    assert_eq!(found.mitigated_by.as_deref(), Some("bob"));
    assert_eq!(found.mitigated_at, Some(at(9)));
    let other = audits.resource(id, "weak-key", "device/b").await;
    assert_eq!(other.expect("reads"), None);
}

#[tokio::test]
async fn only_the_newest_runs_are_kept_with_what_they_found() {
    let (_directory, store) = store().await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(run(&store, &["device/a"]).await);
    }
    let audits = store.audits();
    audits.keep_newest(9).await.expect("runs");
    assert_eq!(audits.runs(None, 10).await.expect("reads").len(), 4);
    audits.keep_newest(2).await.expect("runs");
    let kept = audits.runs(None, 10).await.expect("reads");
    let kept: Vec<AuditRunId> = kept.iter().map(|run| run.id).collect();
    assert_eq!(kept, [ids[3], ids[2]]);
    assert!(audits.results(ids[0]).await.expect("reads").is_empty());
    let gone = audits.resources(ids[0], "dormant-device", "", 10).await;
    assert!(gone.expect("reads").is_empty());
    assert_eq!(audits.results(ids[3]).await.expect("reads").len(), 1);
}

#[tokio::test]
async fn runs_that_did_not_end_are_noted_as_interrupted_and_others_are_not() {
    let (_directory, store) = store().await;
    let ended = run(&store, &[]).await;
    let lost = AuditRun {
        id: AuditRunId::generate(),
        started_by: "schedule".to_owned(),
        started_at: at(5),
        ended_at: None,
        interrupted: false,
    };
    let audits = store.audits();
    audits.begin(&lost).await.expect("begins");
    audits.interrupt_all(at(7)).await.expect("runs");
    let found = audits
        .find(lost.id)
        .await
        .expect("reads")
        .expect("is there");
    assert_eq!((found.interrupted, found.ended_at), (true, Some(at(7))));
    let found = audits.find(ended).await.expect("reads").expect("is there");
    assert_eq!((found.interrupted, found.ended_at), (false, Some(at(3))));
}
