//! What an installation says about exports and about how long events are kept.

use std::{collections::BTreeMap, path::PathBuf};

use palisade_core::Severity;
use serde::{Deserialize, Serialize};

/// The exports by their names.
pub type ExportsConfig = BTreeMap<String, ExportConfig>;

/// How long the stream of events is kept. The ledger keeps what is of it for ever.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsConfig {
    /// For how many days events stay on the stream. One that an export has not taken stays longer.
    pub keep_days: u32,
    /// The most events on the stream, whatever their age and whoever has not taken them. What an export
    /// loses by it is counted and logged.
    pub max_events: u64,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            keep_days: 30,
            max_events: 20_000_000,
        }
    }
}

/// One export. Which keys it needs depends on its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportConfig {
    /// Where to: `file`, `syslog` or `http`.
    pub kind: SinkKind,
    /// In which form: `ocsf` (OCSF 1.3) or `native`.
    #[serde(default)]
    pub format: Format,
    /// Only these kinds of events; all where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Only those at least this severe: `informational`, `low`, `medium`, `high` or `critical`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_severity: Option<Severity>,
    /// Where a new export begins: with the `oldest` event that is kept, or with those to come (`newest`).
    #[serde(default)]
    pub start: Start,
    /// file: where it is; relative to the data directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// file: from how many bytes on another is begun; 64 MiB where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// file: how many full ones are kept (`<path>.1` is the newest); 10 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_files: Option<u32>,
    /// syslog: the receiver, `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// syslog: whether to speak TLS (RFC 5425). Without it only a receiver on loopback is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// syslog: the facility, 0 to 23; 13 (log audit) where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facility: Option<u8>,
    /// syslog: the name of this machine; the system's where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// http: the collector, `https://host/path`; `http://` on loopback alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// http: how events are put together: `ndjson` (one a line) or `array` (a JSON array).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<HttpBody>,
    /// http: a file that holds the bearer token; it is read anew for each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// syslog, http: the certificates, in PEM, of the authorities that the other side's must lead to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// syslog, http: our certificate, in PEM, where the other side wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// syslog, http: the key of our certificate, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// syslog, http: seconds that the other side may take for a batch; 30 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
}

/// Where events go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkKind {
    /// A file, one JSON object a line.
    File,
    /// A syslog receiver (RFC 5424).
    Syslog,
    /// An HTTP collector.
    Http,
}

/// The form of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The Open Cybersecurity Schema Framework.
    #[default]
    Ocsf,
    /// As the stream has it.
    Native,
}

/// Where a new export begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// With the oldest event that is kept.
    #[default]
    Oldest,
    /// With the events to come.
    Newest,
}

/// How events of one request are put together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpBody {
    /// A JSON object a line.
    #[default]
    Ndjson,
    /// A JSON array.
    Array,
}

impl SinkKind {
    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Syslog => "syslog",
            Self::Http => "http",
        }
    }
}

impl Format {
    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ocsf => "ocsf",
            Self::Native => "native",
        }
    }
}
