//! A configuration file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_api::{ApiConfig, DevicesConfig, OperatorsConfig, PeopleConfig};
use palisade_gateway::GatewayConfig;
use serde::Deserialize;

/// The sections whose types the doors own, as `palisade` reads them.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Config {
    gateway: GatewayConfig,
    devices: DevicesConfig,
    people: PeopleConfig,
    operators: OperatorsConfig,
}

fuzz_target!(|text: &str| {
    let Ok(config) = toml::from_str::<Config>(text) else {
        return;
    };
    let _ = config.gateway.check();
    let api = ApiConfig {
        devices: config.devices,
        people: config.people,
        operators: config.operators,
    };
    let _ = api.check();
});
