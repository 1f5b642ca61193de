use palisade_core::{DenyReason, DeviceId, Door, Event, EventKind};

use super::*;
use crate::Seen;

fn denied(device: &str, at_s: i64, count: u64) -> Event {
    Event::new(
        at(at_s),
        Door::Mqtt,
        EventKind::Denied {
            action: palisade_core::Action::Publish,
            resource: format!("devices/{at_s}"),
            reason: DenyReason::NoGrant,
            count,
        },
    )
    .about(DeviceId::parse(device).expect("valid"))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
}

fn correlation(counts: Counts, rules: usize, at_least: u64) -> Correlation {
    Correlation {
        counts,
        rules,
        group_by: vec![GroupBy {
            name: "principal.id".into(),
            of_rule: vec!["principal.id".into(); rules],
        }],
        window_ms: 60_000,
        conditions: vec![(Comparison::AtLeast, at_least)],
        which: None,
    }
}

fn windows(correlation: Correlation) -> Windows {
    Windows::new(vec![("one".into(), 1, correlation)])
}

fn feed(windows: &mut Windows, rule: usize, event: &Event, now_s: i64) -> Option<Correlated> {
    let seen = Seen {
        position: 0,
        event,
        device: None,
    };
    windows.feed(0, rule, &FlatEvent::of(&seen), at(now_s))
}

#[test]
fn an_event_counts_as_often_as_it_stands_for() {
    let mut windows = windows(correlation(Counts::Events, 1, 20));
    assert_eq!(feed(&mut windows, 0, &denied("cam-1", 0, 12), 0), None);
    assert_eq!(feed(&mut windows, 0, &denied("cam-2", 0, 12), 0), None);
    let last = denied("cam-1", 30, 8);
    let found = feed(&mut windows, 0, &last, 30).expect("it is enough");
    assert_eq!(found.value, 20);
    assert_eq!(
        found.group,
        [("principal.id".to_owned(), "cam-1".to_owned())]
    );
    assert_eq!(found.evidence.last(), Some(&last.id));
    assert_eq!(found.evidence.len(), 2);
}

#[test]
fn what_left_the_window_is_not_counted() {
    let mut windows = windows(correlation(Counts::Events, 1, 3));
    for second in [0, 40, 61, 101, 162] {
        assert_eq!(
            feed(&mut windows, 0, &denied("cam-1", second, 1), second),
            None
        );
    }
    assert!(feed(&mut windows, 0, &denied("cam-1", 163, 1), 163).is_none());
    assert!(feed(&mut windows, 0, &denied("cam-1", 164, 1), 164).is_some());
}

#[test]
fn a_late_event_is_not_counted_with_what_came_a_window_after_it() {
    let mut windows = windows(correlation(Counts::Events, 1, 3));
    feed(&mut windows, 0, &denied("cam-1", 600, 1), 600);
    feed(&mut windows, 0, &denied("cam-1", 601, 1), 601);
    assert_eq!(feed(&mut windows, 0, &denied("cam-1", 10, 5), 602), None);
    assert_eq!(windows.stats().late, 1);
    // One that is late, and not too late, belongs to the window.
    assert!(feed(&mut windows, 0, &denied("cam-1", 590, 1), 603).is_some());
}

#[test]
fn a_clock_that_was_set_back_does_not_stop_counting() {
    let mut windows = windows(correlation(Counts::Events, 1, 3));
    let year = 365 * 24 * 3_600;
    feed(&mut windows, 0, &denied("cam-1", year, 2), year);
    // The clock is a year back; what was counted ahead of it says nothing.
    assert_eq!(feed(&mut windows, 0, &denied("cam-1", 0, 2), 0), None);
    assert!(feed(&mut windows, 0, &denied("cam-1", 1, 1), 1).is_some());
}

#[test]
fn an_event_from_the_future_counts_as_now() {
    let mut windows = windows(correlation(Counts::Events, 1, 3));
    let year = 365 * 24 * 3_600;
    assert_eq!(feed(&mut windows, 0, &denied("cam-1", year, 1), 0), None);
    assert_eq!(feed(&mut windows, 0, &denied("cam-1", 30, 1), 30), None);
    assert!(feed(&mut windows, 0, &denied("cam-1", 31, 1), 31).is_some());
}

#[test]
fn different_values_are_counted_once_each() {
    let mut windows = windows(correlation(Counts::Values(vec!["resource".into()]), 1, 3));
    for second in [0, 0, 0, 1, 1] {
        assert_eq!(
            feed(&mut windows, 0, &denied("cam-1", second, 9), second),
            None
        );
    }
    let found = feed(&mut windows, 0, &denied("cam-1", 2, 1), 2).expect("three values");
    assert_eq!(found.value, 3);
}

#[test]
fn rules_in_order_match_in_that_order_alone() {
    let mut windows = windows(correlation(Counts::RulesInOrder, 3, 3));
    for (rule, second) in [(2, 0), (1, 1), (0, 2), (2, 3)] {
        assert_eq!(
            feed(&mut windows, rule, &denied("cam-1", second, 1), second),
            None
        );
    }
    assert_eq!(feed(&mut windows, 1, &denied("cam-1", 4, 1), 4), None);
    assert!(feed(&mut windows, 2, &denied("cam-1", 5, 1), 5).is_some());
}

#[test]
fn rules_match_in_any_order_and_a_condition_says_which() {
    let mut any = windows(correlation(Counts::Rules, 2, 2));
    assert_eq!(feed(&mut any, 1, &denied("cam-1", 0, 1), 0), None);
    assert_eq!(feed(&mut any, 1, &denied("cam-1", 1, 1), 1), None);
    assert!(feed(&mut any, 0, &denied("cam-1", 2, 1), 2).is_some());

    let mut only = correlation(Counts::Rules, 2, 0);
    only.which = Some(Which::All(vec![
        Which::Rule(0),
        Which::Not(Box::new(Which::Rule(1))),
    ]));
    let mut only = windows(only);
    assert_eq!(feed(&mut only, 1, &denied("cam-1", 0, 1), 0), None);
    assert_eq!(feed(&mut only, 0, &denied("cam-1", 1, 1), 1), None);
    assert!(feed(&mut only, 0, &denied("cam-1", 61, 1), 61).is_some());
}

#[test]
fn an_event_without_the_field_is_of_no_group() {
    let mut windows = windows(correlation(Counts::Events, 1, 1));
    let mut event = denied("cam-1", 0, 9);
    event.principal = None;
    assert_eq!(feed(&mut windows, 0, &event, 0), None);
    assert_eq!(windows.stats().groups, 0);
}

#[test]
fn groups_are_bounded_and_it_is_counted_when_one_is_lost() {
    let mut windows = windows(correlation(Counts::Events, 1, 2));
    let most = MAX_GROUPS_OF_ONE as i64;
    for number in 0..most + 500 {
        let device = format!("cam-{number}");
        feed(
            &mut windows,
            0,
            &denied(&device, number / 1_000, 1),
            number / 1_000,
        );
    }
    let stats = windows.stats();
    assert!(stats.groups <= MAX_GROUPS_OF_ONE as u64, "{stats:?}");
    assert!(stats.groups_lost >= 500, "{stats:?}");
    // The newest is there still.
    let newest = format!("cam-{}", most + 499);
    assert!(feed(&mut windows, 0, &denied(&newest, 21, 1), 21).is_some());
}

#[test]
fn a_window_has_so_many_entries_at_most() {
    let mut correlation = correlation(Counts::Events, 1, u64::MAX);
    correlation.window_ms = 86_400_000;
    let mut windows = windows(correlation);
    for second in (0..86_400).step_by(7) {
        feed(&mut windows, 0, &denied("cam-1", second, 1), second);
    }
    let window = windows.held[0].groups.values().next().expect("a group");
    assert!(window.len() <= MAX_WINDOW_ENTRIES, "{}", window.len());
    let counted = window.value(&windows.held[0].correlation);
    assert_eq!(counted, Some(86_400_u64.div_ceil(7)));
}

#[test]
fn a_reload_keeps_what_unchanged_correlations_counted() {
    let mut old = windows(correlation(Counts::Events, 1, 3));
    feed(&mut old, 0, &denied("cam-1", 0, 2), 0);
    let mut same = windows(correlation(Counts::Events, 1, 3));
    same.inherit(&mut old);
    assert!(feed(&mut same, 0, &denied("cam-1", 1, 1), 1).is_some());
    let mut changed = windows(correlation(Counts::Events, 1, 2));
    changed.inherit(&mut same);
    assert!(feed(&mut changed, 0, &denied("cam-1", 2, 1), 2).is_none());
}

#[test]
fn a_group_that_goes_on_speaks_again_after_a_while() {
    let mut windows = windows(correlation(Counts::Events, 1, 1));
    let spoke: Vec<i64> = (0..25)
        .filter(|second| feed(&mut windows, 0, &denied("cam-1", *second, 1), *second).is_some())
        .collect();
    assert_eq!(spoke, [0, 10, 20]);
}
