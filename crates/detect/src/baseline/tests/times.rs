//! Clocks that jump, events that come late or twice, and any of it in any order.

use palisade_core::{EventKind, SessionEnd, Timestamp};
use proptest::{collection::vec, prelude::*};

use super::world::{INTERVAL_MS, World, admitted, disconnected, report, statistics};
use crate::baseline::{blob::BlobError, metric::Metric, series::Series, state::State};

#[test]
fn an_event_of_an_interval_that_ended_is_counted_as_late_and_changes_nothing() {
    let mut world = World::quick();
    world.usual("cam-1", 60);
    world.signals.clear();
    let late = world.now - 10 * INTERVAL_MS;
    world.tell_at("cam-1", late, statistics(1_000_000, 100));
    assert_eq!(world.fleet.counts.late, 1);
    world.interval(&[("cam-1", 60)]);
    assert_eq!(world.alarms(Metric::MessagesSent), []);
}

#[test]
fn a_clock_that_jumps_ahead_and_back_does_not_stop_judgement() {
    let mut world = World::quick();
    world.usual("cam-1", 60);
    let true_now = world.now;
    for _ in 0..2 {
        world.now = true_now + 400 * 24 * 3_600 * 1_000;
        world.tell("cam-1", statistics(60, 100));
        let jumped = Timestamp::from_millisecond(world.now).expect("a time");
        world.fleet.tick(jumped, &mut world.signals);
        world.now = true_now;
        world.pass(3 * INTERVAL_MS);
    }
    world.usual("cam-1", 5);
    world.signals.clear();
    world.interval(&[("cam-1", 5_000)]);
    world.pass(INTERVAL_MS);
    let alarms = world.alarms(Metric::MessagesSent);
    assert!(
        alarms.iter().any(|one| one.detail.starts_with("5000 ")),
        "{alarms:?}"
    );
    assert_eq!(world.fleet.slots.len(), 1);
}

#[test]
fn an_event_from_a_future_that_cannot_be_does_not_stop_judgement() {
    let mut world = World::quick();
    world.usual("cam-1", 60);
    let future = world.now + 400 * 24 * 3_600 * 1_000;
    world.tell_at("cam-1", future, statistics(60, 100));
    world.usual("cam-1", 5);
    world.signals.clear();
    world.interval(&[("cam-1", 5_000)]);
    world.pass(INTERVAL_MS);
    let alarms = world.alarms(Metric::MessagesSent);
    let is_flood = |one: &crate::Alarm| one.detail.starts_with("5000 ");
    assert!(alarms.iter().any(is_flood), "{alarms:?}");
}

#[test]
fn a_jump_ahead_closes_one_interval_and_not_all_that_were_jumped_over() {
    let mut world = World::quick();
    world.usual("cam-1", 60);
    let before = world.fleet.counts.datapoints;
    world.now += 365 * 24 * 3_600 * 1_000;
    world.pass(INTERVAL_MS);
    let closed = world.fleet.counts.datapoints - before;
    assert!(closed <= 3 * Metric::COUNT as u64, "{closed}");
}

#[test]
fn a_backlog_is_judged_in_the_time_of_its_events() {
    let mut world = World::quick();
    world.usual("cam-1", 60);
    world.signals.clear();
    // Six hours of events that nobody read, read within seconds, while the clock ticks.
    let behind = world.now;
    let now = Timestamp::from_millisecond(behind + 72 * INTERVAL_MS).expect("a time");
    for interval in 0..72 {
        world.tell_at(
            "cam-1",
            behind + interval * INTERVAL_MS,
            statistics(60, 100),
        );
        world.fleet.tick(now, &mut world.signals);
    }
    assert_eq!(world.fleet.counts.late, 0);
    assert_eq!(world.alarms(Metric::MessagesSent), []);
}

#[test]
fn a_restart_of_the_server_is_no_absence_of_the_device() {
    let mut world = World::quick();
    world.usual("cam-1", 60);
    world.signals.clear();
    world.tell("cam-1", disconnected(SessionEnd::Shutdown));
    world.pass(INTERVAL_MS);
    world.tell("cam-1", admitted());
    world.interval(&[("cam-1", 60)]);
    let place = world.place("cam-1");
    let history = world.fleet.slots[place].history.as_ref().expect("held");
    assert_eq!(history.of(Metric::DisconnectDuration), []);
    world.tell("cam-1", disconnected(SessionEnd::ConnectionLost));
    world.pass(2 * INTERVAL_MS);
    world.tell("cam-1", admitted());
    world.pass(INTERVAL_MS);
    let history = world.fleet.slots[place].history.as_ref().expect("held");
    let away = history.of(Metric::DisconnectDuration);
    assert_eq!(away.len(), 1);
    assert_eq!(away[0].1, 600.0);
}

fn any_kind() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        (any::<u64>(), any::<u32>()).prop_map(|(messages, size)| {
            let messages = messages >> 20;
            statistics(messages, u64::from(size) >> 20)
        }),
        Just(admitted()),
        Just(disconnected(SessionEnd::ConnectionLost)),
        Just(disconnected(SessionEnd::TakenOver)),
        Just(disconnected(SessionEnd::Replaced)),
        vec(any::<u16>(), 0..5).prop_map(|ports| report(&ports, &["x:1"])),
        any::<u64>().prop_map(|count| EventKind::Denied {
            action: palisade_core::Action::Publish,
            resource: "x".into(),
            reason: palisade_core::DenyReason::NoGrant,
            count,
        }),
    ]
}

fn any_time() -> impl Strategy<Value = i64> {
    let (least, most) = (
        Timestamp::MIN.as_millisecond(),
        Timestamp::MAX.as_millisecond(),
    );
    prop_oneof![
        least..most,
        1_767_571_200_000_i64..1_767_571_200_000 + 100 * INTERVAL_MS
    ]
}

proptest! {
    #[test]
    fn any_events_at_any_times_leave_sound_numbers(
        steps in vec((any_time(), any_kind(), 0_u8..3, any::<bool>()), 1..120)
    ) {
        let mut world = World::quick();
        for (time, kind, device, is_tick) in steps {
            world.tell_at(&format!("cam-{device}"), time, kind);
            if is_tick {
                let now = Timestamp::from_millisecond(time).expect("a time");
                world.fleet.tick(now, &mut world.signals);
            }
        }
        prop_assert!(world.fleet.counts.tallies <= world.fleet.slots.len());
        for slot in &world.fleet.slots {
            prop_assert_eq!(State::from_blob(&slot.state.to_blob()), Ok(slot.state));
            let now = Timestamp::UNIX_EPOCH;
            for one in world.fleet.view_device(slot, now).metrics {
                let range = one.usual.into_iter().chain(one.seen);
                for range in range {
                    prop_assert!(range.low.is_finite() && range.high.is_finite());
                }
            }
        }
    }

    #[test]
    fn any_series_has_scores_from_0_to_1(
        values in vec((any_time(), prop_oneof![any::<f64>(), -1e3..1e3]), 0..300)
    ) {
        let mut series = Series::default();
        for (time, value) in values {
            let at = Timestamp::from_millisecond(time).expect("a time");
            let score = series.score(at, value);
            prop_assert!((0.0..=1.0).contains(&score), "{score}");
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..900)) {
        let _: Result<State, BlobError> = State::from_blob(&bytes);
    }
}
