//! The configuration: one TOML file, and what overrides it. Defaults give way to the file, the file to
//! the environment (`PALISADE_GATEWAY__LISTEN`), the environment to flags (`--set gateway.listen=...`).
//! A key that does not exist is an error that says where it stands and which key was probably meant.

mod database;
mod error;
mod overrides;
mod sections;
mod show;
mod span;
mod template;

use std::path::{Path, PathBuf};

use palisade_api::{ApiConfig, DevicesConfig, OperatorsConfig, PeopleConfig};
use palisade_detect::DetectConfig;
use palisade_export::{EventsConfig, ExportsConfig};
use palisade_gateway::GatewayConfig;
use palisade_ledger::LedgerConfig;
use palisade_people::AccountsConfig;
use palisade_respond::RespondConfig;
use palisade_vault::VaultConfig;
use serde::{Deserialize, Serialize};

pub(crate) use database::DatabaseSection;
pub(crate) use error::ConfigError;
pub(crate) use overrides::{Override, from_environment, from_flags};
pub(crate) use sections::{
    DrillsSection, IdentitySection, KeysSection, LockMemory, LogFormat, LogSection, MemorySection,
    TelemetrySection,
};
pub(crate) use show::ConfigCommand;
pub(crate) use span::Span;
pub(crate) use template::{DEFAULTS, render};

/// The largest configuration file, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// The whole configuration. Every key has a default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Certificates: whom they name and how long they are valid.
    pub(crate) identity: IdentitySection,
    /// Where the system of record is: a file in the data directory (SQLite), or a PostgreSQL server.
    pub(crate) database: DatabaseSection,
    /// The door for devices and services that speak MQTT.
    pub(crate) gateway: GatewayConfig,
    /// The HTTPS door for devices: enrolment (EST), CRLs, agent reports.
    pub(crate) devices: DevicesConfig,
    /// The HTTPS door for people and programs: the REST API.
    pub(crate) people: PeopleConfig,
    /// Accounts of people: what a password must be.
    pub(crate) accounts: AccountsConfig,
    /// The HTTP door for operators: metrics, health, readiness. It has no authentication: keep it on
    /// loopback or on a network of its own.
    pub(crate) operators: OperatorsConfig,
    /// Detection: how it reads events and what it makes of them.
    pub(crate) detect: DetectConfig,
    /// The ledger as a log that others can check: checkpoints, and who may read them.
    pub(crate) ledger: LedgerConfig,
    /// Response: playbooks, guard rails, and where notifications go.
    pub(crate) respond: RespondConfig,
    /// Drills that the server runs by itself, against itself.
    pub(crate) drills: DrillsSection,
    /// Where the key comes from that seals all other keys. At most one of these is set; where none is, it
    /// is the file `key-encryption.key` in the data directory, made at the first start.
    pub(crate) keys: KeysSection,
    /// How the memory of the server is kept from the disk.
    pub(crate) memory: MemorySection,
    /// What the server says about itself, on stderr.
    pub(crate) log: LogSection,
    /// Traces of requests at the HTTPS doors, for an OpenTelemetry collector.
    pub(crate) telemetry: TelemetrySection,
    /// What is kept of what devices send, sealed: what grants say (`--keep-days`).
    pub(crate) vault: VaultConfig,
    /// How long the stream of events is kept. The ledger keeps what is of it for ever.
    pub(crate) events: EventsConfig,
    /// Where events go from here, at least once and in order: each export is a table of its own,
    /// `[exports.<name>]`, with the keys that its kind has.
    pub(crate) exports: ExportsConfig,
}

/// Where a configuration comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// The file, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// What overrides it, the strongest last.
    pub(crate) overrides: Vec<Override>,
}

impl Config {
    /// Reads a configuration and checks it.
    ///
    /// # Errors
    /// When a file cannot be read, a key does not exist, or a value is not valid or not safe.
    pub(crate) fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut table = match &sources.file {
            Some(path) => read_file(path)?,
            None => toml::Table::new(),
        };
        for change in &sources.overrides {
            change.apply(&mut table)?;
        }
        // Over the defaults as a whole: a key that is set in `[gateway.service]` must not turn its
        // neighbours into those of another section of the same type.
        let mut whole = toml::Table::try_from(Self::default())
            .map_err(|error| ConfigError::plain("the defaults", error))?;
        lay_over(&mut whole, table);
        let config = Self::deserialize(whole)
            .map_err(|error| ConfigError::unplaced("the configuration", &error))?;
        config.check()?;
        Ok(config)
    }

    /// The HTTPS doors together.
    pub(crate) fn api(&self) -> ApiConfig {
        ApiConfig {
            devices: self.devices.clone(),
            people: self.people.clone(),
            operators: self.operators.clone(),
        }
    }

    /// Refuses what parses but cannot work or is not safe.
    fn check(&self) -> Result<(), ConfigError> {
        self.gateway
            .check()
            .map_err(|error| ConfigError::plain("configuration", error))?;
        self.api()
            .check()
            .map_err(|error| ConfigError::plain("configuration", error))?;
        palisade_export::check(&self.events, &self.exports)
            .map_err(|error| ConfigError::plain("configuration", error))?;
        self.ledger
            .check()
            .map_err(|error| ConfigError::plain("configuration", error))?;
        self.accounts
            .check()
            .map_err(|error| ConfigError::plain("configuration", error))?;
        self.database
            .check()
            .map_err(|error| ConfigError::plain("configuration", error))?;
        self.drills
            .check()
            .map_err(|error| ConfigError::plain("configuration", error))?;
        self.respond
            .check()
            .map_err(|error| ConfigError::plain("configuration", error))?;
        self.vault
            .check()
            .map_err(|error| ConfigError::plain("configuration", error))?;
        if self.keys.named() > 1 {
            return Err(ConfigError::plain(
                "configuration",
                "[keys] names more than one source: keep one of file, passphrase_file, passphrase_env and \
                 credential",
            ));
        }
        self.telemetry
            .check()
            .map_err(|error| ConfigError::plain("configuration", error))?;
        crate::serve::logs::check(&self.log.level)
            .map_err(|error| ConfigError::plain("configuration", format!("log.level: {error}")))
    }
}

/// Puts the values of `table` in place of those of `whole`, tables key by key.
fn lay_over(whole: &mut toml::Table, table: toml::Table) {
    for (key, value) in table {
        match (whole.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(table)) => lay_over(inner, table),
            (_, value) => {
                whole.insert(key, value);
            }
        }
    }
}

fn read_file(path: &Path) -> Result<toml::Table, ConfigError> {
    let unreadable = |error: std::io::Error| ConfigError::plain(path.display(), error);
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE {
        let why = format!("a configuration has at most {MAX_FILE} bytes, this one has {size}");
        return Err(ConfigError::plain(path.display(), why));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    parse_file(path, &text)
}

/// Parses the text of a file; each error says its line.
pub(crate) fn parse_file(path: &Path, text: &str) -> Result<toml::Table, ConfigError> {
    let placed = |error: toml::de::Error| ConfigError::in_file(path, text, &error);
    // Once for its own sake: only here are errors placed in the text.
    toml::from_str::<Config>(text).map_err(placed)?;
    toml::from_str(text).map_err(placed)
}

#[cfg(test)]
mod tests;
