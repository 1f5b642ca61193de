//! The sections of the configuration that belong to the binary itself.

use std::{net::IpAddr, path::PathBuf};

use palisade_core::TrustDomain;
use palisade_identity::IdentityConfig;
use serde::{Deserialize, Serialize};

use super::Span;

/// Certificates: whom they name and how long they are valid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct IdentitySection {
    /// The host part of every identity (`spiffe://<trust_domain>/device/<id>`). Choose it before the first
    /// start: certificates that were issued under another one are refused.
    pub(crate) trust_domain: TrustDomain,
    /// How long a device's certificate is valid. Agents renew it at two thirds of that.
    pub(crate) device_validity: Span,
    /// How long a service's certificate is valid.
    pub(crate) service_validity: Span,
    /// DNS names and addresses under which devices and people reach this server; they stand in the
    /// certificate of its doors. Where there are none: localhost, 127.0.0.1 and ::1.
    pub(crate) server_names: Vec<String>,
    /// How long a certificate of the doors is valid. It renews itself at two thirds of that.
    pub(crate) server_validity: Span,
    /// Where certificates say that the CRL is, as an address in front of `/crl/<issuer>.crl`
    /// (`https://fleet.example:8444`). Where there is none, certificates do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) crl_url: Option<String>,
    /// How long a CRL is valid. A new one comes with each revocation, and at a quarter of that.
    pub(crate) crl_validity: Span,
}

impl Default for IdentitySection {
    fn default() -> Self {
        Self {
            trust_domain: default_trust_domain(),
            device_validity: Span::days(90),
            service_validity: Span::days(90),
            server_names: Vec::new(),
            server_validity: Span::days(30),
            crl_url: None,
            crl_validity: Span::days(7),
        }
    }
}

fn default_trust_domain() -> TrustDomain {
    // INVARIANT: the text is a valid trust domain; a test parses it.
    #[expect(clippy::expect_used, reason = "a constant that a test parses")]
    TrustDomain::parse("palisade.internal").expect("a valid trust domain")
}

impl IdentitySection {
    pub(crate) fn to_identity(&self) -> IdentityConfig {
        IdentityConfig {
            trust_domain: self.trust_domain.clone(),
            device_validity: self.device_validity.duration(),
            service_validity: self.service_validity.duration(),
            server_names: self.server_names.clone(),
            server_validity: self.server_validity.duration(),
            crl_url: self.crl_url.clone(),
            crl_validity: self.crl_validity.duration(),
        }
    }
}

/// How the memory of the server is kept from the disk. There are keys in it, and what devices sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MemorySection {
    /// Whether pages are kept out of swap: `auto` where the system sets no limit to it (LimitMEMLOCK=infinity),
    /// `always` or the server does not start, `never`.
    pub(crate) lock: LockMemory,
    /// Whether the process may leave a core dump, and be traced by others of its user. Only to find a fault.
    pub(crate) core_dumps: bool,
}

/// Whether pages are kept out of swap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LockMemory {
    /// Where nothing limits it.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// Not at all.
    Never,
}

/// Where the key comes from that seals all other keys. At most one of these is set; where none is, it is
/// the file `key-encryption.key` in the data directory, made at the first start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct KeysSection {
    /// A file of 32 random bytes or more that only its owner may read; relative to the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<PathBuf>,
    /// A file that holds a passphrase (15 bytes or more) and that only its owner may read; relative to
    /// the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// The name of an environment variable that holds a passphrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) passphrase_env: Option<String>,
    /// The name of a systemd credential (`LoadCredentialEncrypted=`) of 32 random bytes or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credential: Option<String>,
}

impl KeysSection {
    /// How many sources are named.
    pub(crate) fn named(&self) -> usize {
        [
            self.file.is_some(),
            self.passphrase_file.is_some(),
            self.passphrase_env.is_some(),
            self.credential.is_some(),
        ]
        .into_iter()
        .filter(|named| *named)
        .count()
    }
}

/// Drills that the server runs by itself, against itself: `palisade drill run` when it is due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DrillsSection {
    /// How often, in seconds (604800 is once a week); 0 for never. One that was due while the server was away is counted,
    /// shown, and run after the start.
    pub(crate) every_s: u64,
    /// Which scenarios; all where there are none.
    pub(crate) scenarios: Vec<String>,
    /// The local address of the thief who uses a stolen certificate.
    pub(crate) second_address: IpAddr,
}

impl Default for DrillsSection {
    fn default() -> Self {
        Self {
            every_s: 0,
            scenarios: Vec::new(),
            second_address: IpAddr::from([127, 0, 0, 2]),
        }
    }
}

impl DrillsSection {
    /// Refuses scenarios that there are not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let unknown = |name: &&String| !crate::drill::is_scenario(name);
        match self.scenarios.iter().find(unknown) {
            Some(name) => {
                let name: String = name.chars().take(40).collect();
                Err(format!(
                    "drills.scenarios: there is no {name:?}; `palisade drill list` says which there are"
                ))
            }
            None => Ok(()),
        }
    }
}

/// What the server says about itself, on stderr.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogSection {
    /// How much: `error`, `warn`, `info`, `debug` or `trace`, also by part
    /// (`info,palisade_gateway=debug`).
    pub(crate) level: String,
    /// `human` (lines for people) or `json` (an object a line, for programs).
    pub(crate) format: LogFormat,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Human,
        }
    }
}

/// Traces of requests at the HTTPS doors, for an OpenTelemetry collector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TelemetrySection {
    /// The collector, reached by OTLP over HTTP (`http://127.0.0.1:4318`); `/v1/traces` is added. Nothing
    /// is exported where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) otlp_endpoint: Option<String>,
    /// A file with the root certificate of a collector at `https://`, in PEM; no other root is trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) otlp_ca: Option<PathBuf>,
    /// Which part of all requests is traced, 0.0 to 1.0.
    pub(crate) sample_ratio: f64,
}

impl Default for TelemetrySection {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_ca: None,
            sample_ratio: 1.0,
        }
    }
}

impl TelemetrySection {
    /// Refuses what cannot work.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err("telemetry.sample_ratio is 0.0 to 1.0".to_owned());
        }
        match self.otlp_endpoint.as_deref() {
            Some(endpoint) if endpoint.starts_with("https://") && self.otlp_ca.is_none() => Err(
                "telemetry.otlp_endpoint is https://: name its root with telemetry.otlp_ca"
                    .to_owned(),
            ),
            Some(endpoint) if !endpoint.starts_with("http") || !endpoint.contains("://") => {
                Err(format!(
                    "telemetry.otlp_endpoint is {endpoint:?}: write it as http://127.0.0.1:4318"
                ))
            }
            _ => Ok(()),
        }
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// Lines for people.
    Human,
    /// An object a line.
    Json,
}
