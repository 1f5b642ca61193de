//! Addresses, ports and destinations: how many, and which are new.

use super::world::{INTERVAL_MS, World, admitted, report};
use crate::baseline::metric::Metric;

fn reporting(world: &mut World, device: &str, intervals: u32) {
    world.tell(device, admitted());
    for _ in 0..intervals {
        world.tell(device, report(&[22, 8883], &["192.0.2.1:8883"]));
        world.pass(INTERVAL_MS);
    }
}

#[test]
fn a_port_that_was_never_open_alarms_by_its_name_until_it_is_closed() {
    let mut world = World::quick();
    reporting(&mut world, "cam-1", 40);
    assert_eq!(world.signals, []);
    for _ in 0..3 {
        world.tell("cam-1", report(&[22, 8883, 4444], &["192.0.2.1:8883"]));
        world.pass(INTERVAL_MS);
    }
    let alarms = world.alarms(Metric::ListeningPorts);
    assert_eq!(alarms.len(), 3, "{alarms:?}");
    assert!(alarms[0].detail.ends_with("4444"), "{}", alarms[0].detail);
    reporting(&mut world, "cam-1", 3);
    assert!(world.signals.iter().any(
        |one| matches!(one, crate::Signal::Clear { detector, .. } if detector.id() == "listening_ports")
    ));
}

#[test]
fn a_destination_that_other_devices_of_the_product_use_does_not_alarm() {
    let mut world = World::quick();
    for device in ["cam-1", "cam-2", "cam-3"] {
        world.tell(device, admitted());
    }
    for _ in 0..80 {
        world.tell("cam-1", report(&[22], &["a:1"]));
        world.tell("cam-2", report(&[22], &["a:1", "update:443"]));
        world.tell("cam-3", report(&[22], &["a:1", "update:443"]));
        world.pass(INTERVAL_MS);
    }
    world.signals.clear();
    world.tell("cam-1", report(&[22], &["a:1", "update:443"]));
    world.pass(INTERVAL_MS);
    assert_eq!(world.alarms(Metric::Destinations), []);
    world.tell("cam-1", report(&[22], &["a:1", "evil:6667"]));
    world.pass(INTERVAL_MS);
    assert_eq!(world.alarms(Metric::Destinations).len(), 1);
}

#[test]
fn a_device_that_comes_from_a_network_never_used_before_alarms() {
    let mut world = World::quick();
    for _ in 0..40 {
        world.tell("cam-1", admitted());
        world.pass(INTERVAL_MS);
    }
    world.signals.clear();
    world.tell_from("cam-1", world.now, [198, 51, 100, 9].into(), admitted());
    world.pass(INTERVAL_MS);
    let alarms = world.alarms(Metric::SourceAddresses);
    assert_eq!(alarms.len(), 1, "{:?}", world.signals);
    assert!(alarms[0].detail.contains("198.51.100.0/24"), "{alarms:?}");
}

#[test]
fn another_address_of_the_same_network_is_not_new() {
    let mut world = World::quick();
    for n in 0..40 {
        world.tell_from("cam-1", world.now, [10, 0, 0, n].into(), admitted());
        world.pass(INTERVAL_MS);
    }
    assert_eq!(world.alarms(Metric::SourceAddresses), []);
}

#[test]
fn a_report_of_a_million_ports_is_bounded() {
    let mut world = World::quick();
    reporting(&mut world, "cam-1", 40);
    let ports: Vec<u16> = (0..u16::MAX).collect();
    world.tell("cam-1", report(&ports, &[]));
    world.pass(INTERVAL_MS);
    let alarms = world.alarms(Metric::ListeningPorts);
    assert_eq!(alarms.len(), 1);
    assert!(alarms[0].detail.len() < 300, "{}", alarms[0].detail);
}

#[test]
fn facts_of_any_form_are_passed_over() {
    let mut world = World::quick();
    for facts in [
        serde_json::json!({ "network.listening_ports": "22" }),
        serde_json::json!({ "network.listening_ports": [null, {}, [], true, -1, 1e300, ""] }),
        serde_json::json!({ "network.established": -5, "network.destinations": [1] }),
        serde_json::json!({ "network.established": [1, 2] }),
    ] {
        let serde_json::Value::Object(facts) = facts else {
            panic!("an object");
        };
        let version = "1".into();
        world.tell(
            "cam-1",
            palisade_core::EventKind::AgentReport { version, facts },
        );
        world.pass(INTERVAL_MS);
    }
    assert_eq!(world.signals, []);
}
