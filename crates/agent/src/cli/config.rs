//! The configuration of `palisade-agent run`: a TOML file, every key with a default.

use std::{fs, path::Path, time::Duration};

use palisade_agent::{
    AgentOptions, BackoffOptions, Endpoint, PaceOptions, Qos, QueueOptions, Servers, StateDir, Will,
};
use serde::Deserialize;

use super::Failure;

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    /// The MQTT door, where it is not the one of the enrolment.
    gateway: Option<Endpoint>,
    /// Seconds that the connection may be silent.
    keep_alive_s: Option<u16>,
    /// Seconds that the server keeps the session while we are away.
    session_expiry_s: Option<u32>,
    /// Whether version and facts are reported.
    report: Option<bool>,
    /// What is reported as the version, as that of the firmware.
    version: Option<String>,
    /// How much may wait for the server.
    queue: QueueOptions,
    /// When to try again.
    backoff: BackoffOptions,
    /// How fast what waited is sent.
    pace: PaceOptions,
    /// What the server publishes when the connection breaks.
    will: Option<WillConfig>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WillConfig {
    topic: String,
    #[serde(default)]
    payload: String,
    #[serde(default = "at_least_once")]
    qos: Qos,
    #[serde(default)]
    retain: bool,
    #[serde(default)]
    delay_s: u32,
}

fn at_least_once() -> Qos {
    Qos::AtLeastOnce
}

impl Config {
    /// Reads the file; without one, `agent.toml` of the state directory if it is there.
    pub(super) fn read(file: Option<&Path>, state: &StateDir) -> Result<Self, Failure> {
        let usual = state.path().join("agent.toml");
        let file = match file {
            Some(file) => file,
            None if usual.exists() => &usual,
            None => return Ok(Self::default()),
        };
        let shown = file.display();
        let text = fs::read_to_string(file);
        let text =
            text.map_err(|error| Failure::usage(format!("{shown} cannot be read: {error}")))?;
        let config = toml::from_str(&text);
        config.map_err(|error| Failure::usage(format!("{shown}: {error}")))
    }

    /// How much may wait.
    pub(super) fn queue(&self) -> QueueOptions {
        self.queue.clone()
    }

    /// What it says, for an agent of these servers.
    pub(super) fn options(self, servers: Servers, state: StateDir) -> AgentOptions {
        let mut options = AgentOptions::new(self.gateway.unwrap_or(servers.gateway));
        options.devices = Some(servers.devices);
        let seconds = |seconds: u64| Duration::from_secs(seconds);
        if let Some(keep_alive) = self.keep_alive_s {
            options.keep_alive = seconds(keep_alive.into());
        }
        if let Some(expiry) = self.session_expiry_s {
            options.session_expiry = seconds(expiry.into());
        }
        options.report = self.report.unwrap_or(true);
        options.version = self.version.unwrap_or(options.version);
        options.queue = self.queue;
        options.backoff = self.backoff;
        options.pace = self.pace;
        options.will = self.will.map(|will| Will {
            topic: will.topic,
            payload: will.payload.into(),
            qos: will.qos,
            retain: will.retain,
            delay: seconds(will.delay_s.into()),
        });
        options.queue_dir = Some(state.queue_dir());
        options.state = Some(state);
        options
    }
}
