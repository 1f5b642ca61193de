//! When alarms are raised, and when they end.

use palisade_core::{SessionEnd, Severity};

use super::world::{INTERVAL_MS, World, admitted, disconnected, statistics};
use crate::{
    Signal,
    baseline::{
        metric::Metric,
        settings::{MetricSettings, Operator, ProductSettings, Sensitivity, Threshold},
    },
};

fn settings(metric: Metric) -> MetricSettings {
    MetricSettings {
        metric,
        enabled: true,
        confidence: None,
        datapoints_to_alarm: None,
        datapoints_to_clear: None,
    }
}

#[test]
fn a_flood_alarms_at_its_first_interval_and_says_what_was_usual() {
    let mut world = World::quick();
    world.usual("cam-1", 60);
    assert_eq!(world.alarms(Metric::MessagesSent), []);
    world.interval(&[("cam-1", 5_000)]);
    let alarms = world.alarms(Metric::MessagesSent);
    let [alarm] = alarms.as_slice() else {
        panic!("{alarms:?}");
    };
    assert!(alarm.severity >= Severity::Medium, "{alarm:?}");
    assert!(
        alarm
            .detail
            .starts_with("5000 messages sent within 5 minutes; "),
        "{}",
        alarm.detail
    );
    assert!(!alarm.evidence.is_empty());
}

#[test]
fn as_many_datapoints_as_were_asked_for_raise_and_clear() {
    let mut world = World::quick();
    world.set(ProductSettings {
        metrics: vec![MetricSettings {
            datapoints_to_alarm: Some(3),
            datapoints_to_clear: Some(2),
            ..settings(Metric::MessagesSent)
        }],
        ..ProductSettings::default()
    });
    world.usual("cam-1", 60);
    for expected in [0, 0, 1, 1] {
        world.interval(&[("cam-1", 5_000)]);
        assert_eq!(world.alarms(Metric::MessagesSent).len(), expected);
    }
    let cleared = |world: &mut World| {
        let is_clear = |signal: &Signal| matches!(signal, Signal::Clear { detector, .. } if detector.id() == "messages_sent");
        let count = world.signals.iter().filter(|one| is_clear(one)).count();
        world.signals.clear();
        count
    };
    for expected in [0, 1, 0] {
        world.interval(&[("cam-1", 60)]);
        assert_eq!(cleared(&mut world), expected);
    }
    // Two of three are not three in a row.
    for messages in [5_000, 5_000, 60, 5_000, 5_000] {
        world.interval(&[("cam-1", messages)]);
    }
    assert_eq!(world.alarms(Metric::MessagesSent), []);
}

#[test]
fn an_alarm_that_lasts_becomes_worse() {
    let mut world = World::quick();
    world.usual("cam-1", 60);
    let mut severities = Vec::new();
    for _ in 0..8 {
        world.interval(&[("cam-1", 170)]);
        severities.extend(
            world
                .alarms(Metric::MessagesSent)
                .iter()
                .map(|one| one.severity),
        );
    }
    assert!(severities.len() >= 7, "{severities:?}");
    assert!(severities.first() < severities.last(), "{severities:?}");
}

#[test]
fn a_device_that_falls_silent_is_noted_with_low_severity() {
    let mut world = World::quick();
    world.usual("cam-1", 100);
    world.signals.clear();
    world.interval(&[]);
    let alarms = world.alarms(Metric::MessagesSent);
    assert_eq!(alarms.len(), 1);
    assert_eq!(alarms[0].severity, Severity::Low);
}

#[test]
fn a_device_that_went_away_does_not_count_as_silent() {
    let mut world = World::quick();
    world.usual("cam-1", 100);
    world.tell("cam-1", disconnected(SessionEnd::Client));
    world.signals.clear();
    for _ in 0..20 {
        world.interval(&[]);
    }
    assert_eq!(world.signals, []);
}

#[test]
fn an_alarm_of_a_device_that_went_away_ends() {
    let mut world = World::quick();
    world.usual("cam-1", 60);
    world.interval(&[("cam-1", 5_000)]);
    world.tell("cam-1", disconnected(SessionEnd::ConnectionLost));
    world.signals.clear();
    for _ in 0..5 {
        world.interval(&[]);
    }
    let is_clear = |signal: &Signal| matches!(signal, Signal::Clear { .. });
    assert!(world.signals.iter().any(is_clear), "{:?}", world.signals);
    assert!(!world.fleet.slots[0].is_dirty || world.fleet.slots[0].due == 0);
}

#[test]
fn a_threshold_alarms_after_its_duration_whatever_was_learned() {
    let mut world = World::quick();
    world.set(ProductSettings {
        thresholds: vec![Threshold {
            metric: Metric::BytesOut,
            operator: Operator::Above,
            value: 5_000.0,
            duration_s: 600,
            severity: Severity::Critical,
        }],
        ..ProductSettings::default()
    });
    world.usual("cam-1", 1);
    world.interval(&[("cam-1", 60)]);
    let alarms = world.alarms(Metric::BytesOut);
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert_eq!(alarms[0].severity, Severity::Critical);
    assert!(alarms[0].detail.contains("above the threshold of 5000"));
    world.interval(&[("cam-1", 10)]);
    assert!(matches!(world.signals.as_slice(), [Signal::Clear { .. }]));
}

#[test]
fn a_threshold_of_absence_alarms_while_the_device_is_away() {
    let mut world = World::quick();
    world.set(ProductSettings {
        thresholds: vec![Threshold {
            metric: Metric::DisconnectDuration,
            operator: Operator::Above,
            value: 1_800.0,
            duration_s: 0,
            severity: Severity::Low,
        }],
        ..ProductSettings::default()
    });
    world.usual("cam-1", 3);
    world.tell("cam-1", disconnected(SessionEnd::ConnectionLost));
    world.pass(4 * INTERVAL_MS);
    assert_eq!(world.alarms(Metric::DisconnectDuration), []);
    world.pass(4 * INTERVAL_MS);
    assert!(!world.alarms(Metric::DisconnectDuration).is_empty());
    world.tell("cam-1", admitted());
    world.pass(3 * INTERVAL_MS);
    let is_clear = |signal: &Signal| matches!(signal, Signal::Clear { .. });
    assert!(world.signals.iter().any(is_clear), "{:?}", world.signals);
}

#[test]
fn a_metric_that_is_off_says_nothing_and_ends_its_alarm() {
    let mut world = World::quick();
    world.usual("cam-1", 60);
    world.interval(&[("cam-1", 5_000)]);
    world.signals.clear();
    world.set(ProductSettings {
        metrics: vec![MetricSettings {
            enabled: false,
            ..settings(Metric::MessagesSent)
        }],
        ..ProductSettings::default()
    });
    world.interval(&[("cam-1", 50_000)]);
    assert!(world.signals.iter().any(
        |one| matches!(one, Signal::Clear { detector, .. } if detector.id() == "messages_sent")
    ));
    assert_eq!(world.alarms(Metric::MessagesSent), []);
}

#[test]
fn what_is_strange_for_the_hour_alarms_at_low_confidence_only() {
    let alarms_at = |confidence| {
        let mut world = World::quick();
        world.set(ProductSettings {
            metrics: vec![MetricSettings {
                confidence: Some(confidence),
                ..settings(Metric::MessagesSent)
            }],
            ..ProductSettings::default()
        });
        world.tell("cam-1", admitted());
        let play = |world: &mut World, days: i64, night: f64| {
            for interval in 0..days * 288 {
                let mean = if interval % 288 < 144 { night } else { 800.0 };
                let messages = world.about(mean, mean / 20.0);
                world.interval(&[("cam-1", messages)]);
            }
        };
        play(&mut world, 6, 40.0);
        world.signals.clear();
        // A night in which it talks as by day.
        for _ in 0..12 {
            world.interval(&[("cam-1", 800)]);
        }
        world.alarms(Metric::MessagesSent).len()
    };
    assert!(alarms_at(Sensitivity::Low) > 0);
    assert_eq!(alarms_at(Sensitivity::High), 0);
}

#[test]
fn repeated_denials_alarm() {
    let mut world = World::quick();
    world.usual("cam-1", 60);
    world.signals.clear();
    world.tell(
        "cam-1",
        palisade_core::EventKind::Denied {
            action: palisade_core::Action::Publish,
            resource: "x".into(),
            reason: palisade_core::DenyReason::NoGrant,
            count: 200,
        },
    );
    world.tell("cam-1", statistics(60, 100));
    world.pass(INTERVAL_MS);
    assert_eq!(world.alarms(Metric::AuthorizationFailures).len(), 1);
}
