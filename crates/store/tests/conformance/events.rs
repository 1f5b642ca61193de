//! The stream of events: read both ways, filtered, pruned.

use palisade_core::{Door, Event, EventId, EventKind, Severity, Timestamp};
use palisade_store::{EventFilter, OutboxRow, StoredEvent};

use super::store;

/// An event that was made so many seconds after the epoch.
fn made_at(seconds: i64, source: &str, severity: Severity) -> OutboxRow {
    let made = Timestamp::from_second(seconds).expect("valid");
    let mut event = Event::new(made, Door::Mqtt, EventKind::Registered { count: 1 });
    event.id = EventId::least_of(made);
    OutboxRow {
        kind: "registered".to_owned(),
        principal: None,
        source: Some(source.to_owned()),
        severity,
        body: serde_json::to_string(&event).expect("json"),
    }
}

fn positions(found: &[StoredEvent]) -> Vec<u64> {
    found.iter().map(|event| event.position).collect()
}

#[tokio::test]
async fn the_stream_is_read_from_either_end_and_by_time_source_and_severity() {
    let (_directory, store) = store().await;
    let journal = store.journal();
    let rows: Vec<OutboxRow> = (1..=8)
        .map(|n| {
            let severity = match n {
                3 | 6 => Severity::High,
                _ => Severity::Low,
            };
            let source = if n % 2 == 0 { "10.0.0.2" } else { "10.0.0.1" };
            made_at(n * 3_600, source, severity)
        })
        .collect();
    journal.append(&[], &rows).await.expect("writes");
    let all = EventFilter::default();
    let newest = journal
        .events_before(u64::MAX, 3, &all)
        .await
        .expect("reads");
    assert_eq!(positions(&newest), [8, 7, 6]);
    let older = journal.events_before(6, 3, &all).await.expect("reads");
    assert_eq!(positions(&older), [5, 4, 3]);

    let at = |hours: i64| Timestamp::from_second(hours * 3_600).ok();
    for (filter, expected) in [
        (
            EventFilter {
                since: at(3),
                until: at(6),
                ..EventFilter::default()
            },
            vec![3, 4, 5],
        ),
        (
            EventFilter {
                since: at(9),
                ..EventFilter::default()
            },
            vec![],
        ),
        (
            EventFilter {
                until: at(2),
                ..EventFilter::default()
            },
            vec![1],
        ),
        (
            EventFilter {
                source: Some("10.0.0.2".to_owned()),
                ..EventFilter::default()
            },
            vec![2, 4, 6, 8],
        ),
        (
            EventFilter {
                min_severity: Some(Severity::Medium),
                ..EventFilter::default()
            },
            vec![3, 6],
        ),
    ] {
        let found = journal.events_after(0, 100, &filter).await.expect("reads");
        assert_eq!(positions(&found), expected, "{filter:?}");
        let mut found = journal
            .events_before(u64::MAX, 100, &filter)
            .await
            .expect("reads");
        found.reverse();
        assert_eq!(positions(&found), expected, "{filter:?}");
    }
}

#[tokio::test]
async fn what_is_older_than_a_moment_is_found_and_pruned() {
    let (_directory, store) = store().await;
    let journal = store.journal();
    assert_eq!(journal.oldest_event().await.expect("reads"), None);
    let moment = |seconds| Timestamp::from_second(seconds).expect("valid");
    assert_eq!(
        journal.events_older_than(moment(0)).await.expect("reads"),
        0
    );
    let rows: Vec<OutboxRow> = (1..=5)
        .map(|n| made_at(n * 100, "10.0.0.1", Severity::Low))
        .collect();
    journal.append(&[], &rows).await.expect("writes");
    for (seconds, older) in [(100, 0), (101, 1), (300, 2), (9_000, 5)] {
        let found = journal.events_older_than(moment(seconds)).await;
        assert_eq!(found.expect("reads"), older, "{seconds}");
    }
    assert_eq!(journal.prune_events(2).await.expect("prunes"), 2);
    let oldest = journal.oldest_event().await.expect("reads").expect("one");
    assert_eq!((oldest.position, oldest.id.made_at()), (3, moment(300)));
    assert_eq!(journal.prune_events(5).await.expect("prunes"), 3);
    // A position is never given twice, also where nothing is left.
    journal.append(&[], &rows[..1]).await.expect("writes");
    assert_eq!(journal.newest_event().await.expect("reads"), 6);
}

#[tokio::test]
async fn cursors_are_listed() {
    let (_directory, store) = store().await;
    let journal = store.journal();
    journal.put_cursor("export/siem", 7).await.expect("writes");
    journal.put_cursor("detect", 3).await.expect("writes");
    assert_eq!(
        journal.cursors().await.expect("reads"),
        [("detect".to_owned(), 3), ("export/siem".to_owned(), 7)]
    );
}
