//! What people make of alarms moves thresholds, within bounds.

use palisade_core::DeviceId;
use palisade_store::Verdict;

use super::world::{World, report};
use crate::baseline::{cell::MAX_RAISED, metric::Metric};

fn judge(world: &mut World, device: &str, metric: Metric, verdict: Verdict) {
    let id = DeviceId::parse(device).expect("valid");
    world.fleet.hear(&id, metric, verdict);
}

fn raised(world: &World, device: &str) -> u8 {
    let slot = &world.fleet.slots[world.place(device)];
    slot.state.cell(Metric::MessagesSent).raised()
}

#[test]
fn a_false_alarm_raises_the_threshold_and_a_right_one_lowers_it_again() {
    let mut world = World::quick();
    world.usual("cam-1", 60);
    let sent = Metric::MessagesSent;
    world.interval(&[("cam-1", 170)]);
    assert_eq!(world.alarms(sent).len(), 1);
    for _ in 0..3 {
        judge(&mut world, "cam-1", sent, Verdict::FalsePositive);
    }
    world.usual("cam-1", 3);
    world.signals.clear();
    world.interval(&[("cam-1", 170)]);
    assert_eq!(world.alarms(sent), []);
    let before = raised(&world, "cam-1");
    judge(&mut world, "cam-1", sent, Verdict::TruePositive);
    assert_eq!(raised(&world, "cam-1"), before - 1);
}

#[test]
fn verdicts_cannot_move_a_threshold_out_of_its_bounds() {
    let mut world = World::quick();
    world.usual("cam-1", 60);
    let sent = Metric::MessagesSent;
    for _ in 0..100 {
        judge(&mut world, "cam-1", sent, Verdict::FalsePositive);
    }
    assert_eq!(raised(&world, "cam-1"), MAX_RAISED);
    let factor = world.fleet.products[0].cohort.norms[sent.index()].factor();
    assert!((factor - 1.5).abs() < 1e-6, "{factor}");
    for _ in 0..100 {
        judge(&mut world, "cam-1", sent, Verdict::TruePositive);
    }
    assert_eq!(raised(&world, "cam-1"), 0);
    // A device that is not held, and a metric that is another's.
    judge(&mut world, "nobody", sent, Verdict::FalsePositive);
}

#[test]
fn what_is_expected_becomes_usual_soon() {
    let mut world = World::quick();
    world.usual("cam-1", 200);
    let sent = Metric::MessagesSent;
    world.interval(&[("cam-1", 400)]);
    assert!(!world.alarms(sent).is_empty());
    judge(&mut world, "cam-1", sent, Verdict::BenignExpected);
    for _ in 0..60 {
        world.interval(&[("cam-1", 400)]);
    }
    world.signals.clear();
    for _ in 0..60 {
        world.interval(&[("cam-1", 400)]);
    }
    assert_eq!(world.alarms(sent), []);
}

#[test]
fn a_port_that_is_expected_alarms_no_longer() {
    let mut world = World::quick();
    world.tell("cam-1", super::world::admitted());
    for _ in 0..40 {
        world.tell("cam-1", report(&[22], &[]));
        world.pass(super::world::INTERVAL_MS);
    }
    let ports = Metric::ListeningPorts;
    world.tell("cam-1", report(&[22, 4444], &[]));
    world.pass(super::world::INTERVAL_MS);
    assert_eq!(world.alarms(ports).len(), 1);
    judge(&mut world, "cam-1", ports, Verdict::BenignExpected);
    for _ in 0..10 {
        world.tell("cam-1", report(&[22, 4444], &[]));
        world.pass(super::world::INTERVAL_MS);
    }
    assert_eq!(world.alarms(ports), []);
}
