//! What is learned, from whom, and how hard it is to teach it the wrong thing.

use palisade_core::Timestamp;

use super::world::{INTERVAL_MS, World, admitted, statistics};
use crate::baseline::{
    metric::Metric,
    settings::{BaselineConfig, ProductSettings, Sensitivity},
};

#[test]
fn healthy_devices_with_a_daily_rhythm_hardly_ever_alarm() {
    let mut world = World::new(BaselineConfig::default());
    let devices: Vec<String> = (0..8).map(|n| format!("cam-{n}")).collect();
    for device in &devices {
        world.tell(device, admitted());
    }
    let days = 5;
    for interval in 0..days * 288 {
        let hour = f64::from(interval % 288) / 12.0;
        let mean = 60.0 + 50.0 * (hour / 24.0 * std::f64::consts::TAU).sin();
        for device in &devices {
            let messages = world.about(mean, mean.sqrt());
            world.tell(device, statistics(messages, 100));
        }
        world.pass(INTERVAL_MS);
    }
    let device_days = devices.len() * days as usize;
    let alarms = world.fleet.counts.alarms as usize / 2;
    assert!(
        alarms * 10 <= device_days,
        "{alarms} alarms in {device_days} device-days: {:?}",
        world.signals
    );
}

#[test]
fn a_new_device_is_judged_from_its_first_interval_by_what_its_product_does() {
    let mut world = World::quick();
    for device in ["cam-1", "cam-2", "cam-3", "cam-4"] {
        world.tell(device, admitted());
    }
    for _ in 0..60 {
        let all: Vec<(&str, u64)> = ["cam-1", "cam-2", "cam-3", "cam-4"]
            .into_iter()
            .map(|device| (device, world.about(60.0, 4.0)))
            .collect();
        world.interval(&all);
    }
    world.signals.clear();
    world.tell("cam-good", admitted());
    world.tell("cam-bad", admitted());
    world.interval(&[("cam-good", 62), ("cam-bad", 20_000)]);
    world.pass(INTERVAL_MS);
    let mut alarms = world.alarms(Metric::MessagesSent);
    // All of them are silent in the end; that is another matter.
    alarms.retain(|alarm| !alarm.detail.starts_with("0 "));
    let bad = "device/cam-bad";
    let about = |who: &str| {
        alarms
            .iter()
            .filter(|one| one.subject.to_string() == who)
            .count()
    };
    assert!(about(bad) > 0, "{alarms:?}");
    assert_eq!(about("device/cam-good"), 0, "{alarms:?}");
}

#[test]
fn a_device_of_an_unknown_product_is_not_judged_before_it_has_shown_something() {
    let mut world = World::quick();
    world.tell("cam-1", admitted());
    for messages in [10, 9_000, 3, 700, 0, 20_000] {
        world.interval(&[("cam-1", messages)]);
    }
    assert_eq!(world.signals, []);
}

#[test]
fn an_attack_that_lasts_is_not_soon_taken_for_usual() {
    let mut world = World::quick();
    world.usual("cam-1", 200);
    world.signals.clear();
    // Eight hours of a flood.
    for _ in 0..96 {
        world.interval(&[("cam-1", 5_000)]);
    }
    assert_eq!(world.alarms(Metric::MessagesSent).len(), 96);
    let level = world.fleet.slots[world.place("cam-1")]
        .state
        .cell(Metric::MessagesSent)
        .level;
    assert!(level.exp() < 90.0, "it learned {}", level.exp());
}

/// Whether a device that grows by `growth` a day alarms within a week.
fn growth_is_seen(growth: f64, confidence: Sensitivity) -> bool {
    let mut world = World::new(BaselineConfig {
        confidence,
        ..BaselineConfig::default()
    });
    world.usual("cam-1", 400);
    world.signals.clear();
    for interval in 0..7 * 288 {
        let factor = f64::powf(growth, f64::from(interval) / 288.0);
        let messages = world.about(60.0 * factor, 4.0 * factor);
        world.interval(&[("cam-1", messages)]);
        if !world.alarms(Metric::MessagesSent).is_empty() {
            return true;
        }
    }
    false
}

#[test]
fn whoever_grows_slowly_is_seen_at_medium_confidence_and_goes_unseen_at_high() {
    assert!(growth_is_seen(1.5, Sensitivity::Medium));
    // This is what slow poisoning can do, and what thresholds are for.
    assert!(!growth_is_seen(1.5, Sensitivity::High));
}

#[test]
fn the_product_does_not_learn_from_a_device_that_alarms() {
    let mut world = World::quick();
    world.usual("cam-1", 100);
    let before = world.fleet.products[0].cohort.norms[Metric::MessagesSent.index()].clone();
    for _ in 0..50 {
        world.interval(&[("cam-1", 5_000)]);
    }
    let after = &world.fleet.products[0].cohort.norms[Metric::MessagesSent.index()];
    assert_eq!(after.seen, before.seen);
    assert!((after.level - before.level).abs() < 0.01);
}

#[test]
fn while_a_product_is_learned_nothing_alarms_and_all_is_learned() {
    let mut world = World::quick();
    world.usual("cam-1", 60);
    world.signals.clear();
    let until = Timestamp::from_millisecond(world.now + 100 * INTERVAL_MS).expect("a time");
    world.set(ProductSettings {
        learn_until: Some(until),
        ..ProductSettings::default()
    });
    for _ in 0..90 {
        world.interval(&[("cam-1", 400)]);
    }
    assert_eq!(world.signals, []);
    for _ in 0..20 {
        world.interval(&[("cam-1", 400)]);
    }
    // What it did while it was learned is usual now.
    assert_eq!(world.alarms(Metric::MessagesSent), []);
    world.interval(&[("cam-1", 40_000)]);
    assert_eq!(world.alarms(Metric::MessagesSent).len(), 1);
}

#[test]
fn devices_beyond_the_bound_are_let_go_of_and_memory_stays_bounded() {
    let mut world = World::quick();
    world.fleet.config.max_devices = 50;
    for n in 0..500 {
        world.tell(&format!("cam-{n}"), admitted());
    }
    world.pass(2 * INTERVAL_MS);
    assert_eq!(world.fleet.slots.len(), 50);
    assert_eq!(world.fleet.index.len(), 50);
    assert_eq!(world.fleet.products[0].held, 50);
    assert!(world.fleet.bytes() < 50 * 8_000);
    for (place, slot) in world.fleet.slots.iter().enumerate() {
        assert_eq!(world.fleet.index[&slot.id], place);
    }
}
