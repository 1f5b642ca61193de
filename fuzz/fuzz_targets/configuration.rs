//! A configuration file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_api::{ApiConfig, DevicesConfig, OperatorsConfig, PeopleConfig};
use palisade_detect::DetectConfig;
use palisade_gateway::GatewayConfig;
use serde::Deserialize;

#[expect(dead_code, reason = "the binary uses what is not used here")]
mod config;

/// The sections, as `palisade` reads them.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Config {
    gateway: GatewayConfig,
    devices: DevicesConfig,
    people: PeopleConfig,
    operators: OperatorsConfig,
    detect: DetectConfig,
    identity: config::IdentitySection,
    keys: config::KeysSection,
    log: config::LogSection,
    telemetry: config::TelemetrySection,
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
    let _ = config.identity.to_identity();
    let _ = config.keys.named();
    let _ = config.telemetry.check();
    drop((config.detect, config.log));
});
