//! What an agent tells the server about its device: version, basic facts, and with whom it speaks.

mod network;

use std::{collections::BTreeMap, fs};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    endpoint::Endpoint,
    http::{self, HttpError, Request},
    identity::DeviceIdentity,
};

const PATH: &str = "/device/v1/report";
const MAX_FACT: usize = 128;

/// Why a report did not arrive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("the server refused ({status}): {detail}")]
    Refused { status: u16, detail: String },
}

#[derive(Serialize)]
struct Report<'a> {
    version: &'a str,
    facts: BTreeMap<&'static str, Value>,
}

/// Sends version and facts.
pub(crate) async fn send(
    devices: &Endpoint,
    identity: &DeviceIdentity,
    version: &str,
) -> Result<(), ReportError> {
    let report = Report {
        version,
        facts: facts(),
    };
    let body = serde_json::to_vec(&report).unwrap_or_default();
    let request = Request::post(PATH, "application/json", body);
    let answer = http::send(devices, identity.tls(), request).await?;
    match answer.status {
        200..=299 => Ok(()),
        status => Err(ReportError::Refused {
            status,
            detail: answer.detail(),
        }),
    }
}

/// Basic facts about this device; what cannot be read is left out.
#[must_use]
pub fn facts() -> BTreeMap<&'static str, Value> {
    let mut facts = BTreeMap::new();
    facts.insert("arch", json!(std::env::consts::ARCH));
    let os = fs::read_to_string("/etc/os-release").ok();
    let os = os.and_then(|text| os_name(&text));
    facts.insert("os", json!(os.as_deref().unwrap_or(std::env::consts::OS)));
    let read = [
        ("kernel", "/proc/sys/kernel/osrelease"),
        ("hostname", "/proc/sys/kernel/hostname"),
        ("uptime_s", "/proc/uptime"),
    ];
    for (name, path) in read {
        let text = fs::read_to_string(path).unwrap_or_default();
        // Uptime has fractions and a second number; the others are one word.
        let end = |c: char| c.is_whitespace() || (name == "uptime_s" && c == '.');
        let word = text.split(end).next().unwrap_or_default();
        if !word.is_empty() {
            facts.insert(name, json!(bounded(word)));
        }
    }
    if let Some(network) = network::Network::read() {
        facts.insert("network.listening_ports", json!(network.listening_ports()));
        facts.insert("network.established", json!(network.established()));
        facts.insert("network.destinations", json!(network.destinations()));
    }
    facts
}

fn os_name(os_release: &str) -> Option<String> {
    let line = os_release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let name = bounded(line.trim().trim_matches(['"', '\'']));
    (!name.is_empty()).then_some(name)
}

fn bounded(text: &str) -> String {
    let text = text.chars().filter(|c| !c.is_control());
    text.take(MAX_FACT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_name_system_kernel_and_architecture() {
        let facts = facts();
        for name in ["arch", "os", "kernel", "hostname", "uptime_s"] {
            assert!(
                facts[name].as_str().is_some_and(|fact| !fact.is_empty()),
                "{name}: {facts:?}"
            );
        }
        let uptime = facts["uptime_s"].as_str().expect("a text");
        assert!(uptime.parse::<u64>().is_ok(), "{facts:?}");
        assert!(facts["network.listening_ports"].is_array(), "{facts:?}");
    }

    #[test]
    fn the_name_of_the_system_is_read_with_and_without_quotes() {
        assert_eq!(
            os_name("A=1\nPRETTY_NAME=\"Debian 12\"\n").as_deref(),
            Some("Debian 12")
        );
        assert_eq!(os_name("PRETTY_NAME=Alpine").as_deref(), Some("Alpine"));
        assert_eq!(os_name("NAME=x"), None);
    }
}
