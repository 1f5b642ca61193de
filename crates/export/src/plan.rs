//! An export as it is done: its configuration, parsed once. What a kind does not know is refused, so that a
//! key never stands there without meaning.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::Uri;
use palisade_core::{EventKind, Severity};

use crate::{
    config::{EventsConfig, ExportConfig, ExportsConfig, Format, HttpBody, SinkKind, Start},
    tls::TlsFiles,
};

/// What is wrong with an export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Its name.
    #[error(
        "exports: {0:?} is no name for an export: use 1 to 32 lower-case letters, digits, '-' and '_'"
    )]
    Name(String),
    /// A key that its kind needs.
    #[error("exports.{name}: an export of kind {kind} needs {key}")]
    Missing {
        /// Which export.
        name: String,
        /// Its kind.
        kind: &'static str,
        /// The key.
        key: &'static str,
    },
    /// A key that its kind does not know.
    #[error("exports.{name}.{key}: an export of kind {kind} has no such key; remove it")]
    Foreign {
        /// Which export.
        name: String,
        /// Its kind.
        kind: &'static str,
        /// The key.
        key: &'static str,
    },
    /// A value that cannot work or is not safe.
    #[error("exports.{name}.{key}: {why}")]
    Value {
        /// Which export.
        name: String,
        /// The key.
        key: &'static str,
        /// What is wrong and what would be right.
        why: String,
    },
    /// How long events are kept.
    #[error("events.{key}: {why}")]
    Events {
        /// The key.
        key: &'static str,
        /// What is wrong and what would be right.
        why: &'static str,
    },
}

/// One export.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) kind: SinkKind,
    pub(crate) format: Format,
    pub(crate) kinds: BTreeSet<String>,
    pub(crate) min_severity: Option<Severity>,
    pub(crate) start: Start,
    pub(crate) target: Target,
}

/// Where it goes.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    File(FileTarget),
    Syslog(SyslogTarget),
    Http(HttpTarget),
}

#[derive(Debug, Clone)]
pub(crate) struct FileTarget {
    pub(crate) path: PathBuf,
    pub(crate) max_bytes: u64,
    pub(crate) keep_files: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct SyslogTarget {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) facility: u8,
    pub(crate) hostname: Option<String>,
    pub(crate) timeout: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct HttpTarget {
    pub(crate) url: Uri,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) body: HttpBody,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) timeout: Duration,
}

/// Checks exports and the keeping of events, without touching what they name.
///
/// # Errors
/// Says which key is wrong and why.
pub fn check(events: &EventsConfig, exports: &ExportsConfig) -> Result<(), PlanError> {
    if events.keep_days == 0 || events.keep_days > 36_500 {
        return Err(PlanError::Events {
            key: "keep_days",
            why: "use 1 to 36500 days",
        });
    }
    if events.max_events < 1_000 {
        return Err(PlanError::Events {
            key: "max_events",
            why: "use 1000 events or more",
        });
    }
    plans(exports, Path::new("")).map(drop)
}

/// Parses all exports; relative paths begin at `data`.
pub(crate) fn plans(exports: &ExportsConfig, data: &Path) -> Result<Vec<Plan>, PlanError> {
    let mut plans = Vec::with_capacity(exports.len());
    let mut paths = BTreeMap::new();
    for (name, config) in exports {
        let plan = Reader { name, config, data }.plan()?;
        if let Target::File(file) = &plan.target
            && let Some(other) = paths.insert(file.path.clone(), name)
        {
            return Err(PlanError::Value {
                name: name.clone(),
                key: "path",
                why: format!("exports.{other} writes the same file"),
            });
        }
        plans.push(plan);
    }
    Ok(plans)
}

struct Reader<'a> {
    name: &'a str,
    config: &'a ExportConfig,
    data: &'a Path,
}

impl Reader<'_> {
    fn plan(&self) -> Result<Plan, PlanError> {
        let config = self.config;
        let is_name = (1..=32).contains(&self.name.len())
            && self
                .name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b));
        if !is_name {
            let name = self.name.chars().take(64).collect();
            return Err(PlanError::Name(name));
        }
        for kind in &config.kinds {
            if !EventKind::NAMES.contains(&kind.as_str()) {
                let names = EventKind::NAMES.join(", ");
                return Err(self.wrong(
                    "kinds",
                    format!("there is no kind {kind:?}; there are {names}"),
                ));
            }
        }
        self.refuse_foreign()?;
        let target = match config.kind {
            SinkKind::File => Target::File(self.file()?),
            SinkKind::Syslog => Target::Syslog(self.syslog()?),
            SinkKind::Http => Target::Http(self.http()?),
        };
        Ok(Plan {
            name: self.name.to_owned(),
            kind: config.kind,
            format: config.format,
            kinds: config.kinds.iter().cloned().collect(),
            min_severity: config.min_severity,
            start: config.start,
            target,
        })
    }

    fn refuse_foreign(&self) -> Result<(), PlanError> {
        use SinkKind::{File, Http, Syslog};
        let config = self.config;
        let keys: [(&'static str, bool, &[SinkKind]); 14] = [
            ("path", config.path.is_some(), &[File]),
            ("max_bytes", config.max_bytes.is_some(), &[File]),
            ("keep_files", config.keep_files.is_some(), &[File]),
            ("address", config.address.is_some(), &[Syslog]),
            ("tls", config.tls.is_some(), &[Syslog]),
            ("facility", config.facility.is_some(), &[Syslog]),
            ("hostname", config.hostname.is_some(), &[Syslog]),
            ("url", config.url.is_some(), &[Http]),
            ("body", config.body.is_some(), &[Http]),
            ("token_file", config.token_file.is_some(), &[Http]),
            ("ca_file", config.ca_file.is_some(), &[Syslog, Http]),
            (
                "certificate_file",
                config.certificate_file.is_some(),
                &[Syslog, Http],
            ),
            ("key_file", config.key_file.is_some(), &[Syslog, Http]),
            ("timeout_s", config.timeout_s.is_some(), &[Syslog, Http]),
        ];
        for (key, is_set, kinds) in keys {
            if is_set && !kinds.contains(&config.kind) {
                return Err(PlanError::Foreign {
                    name: self.name.to_owned(),
                    kind: config.kind.as_str(),
                    key,
                });
            }
        }
        Ok(())
    }

    fn wrong(&self, key: &'static str, why: impl Into<String>) -> PlanError {
        PlanError::Value {
            name: self.name.to_owned(),
            key,
            why: why.into(),
        }
    }

    fn need<T: Clone>(&self, key: &'static str, value: &Option<T>) -> Result<T, PlanError> {
        value.clone().ok_or_else(|| PlanError::Missing {
            name: self.name.to_owned(),
            kind: self.config.kind.as_str(),
            key,
        })
    }

    fn file(&self) -> Result<FileTarget, PlanError> {
        let path = self.need("path", &self.config.path)?;
        if path.file_name().is_none() {
            return Err(self.wrong("path", "this names no file"));
        }
        let max_bytes = self.config.max_bytes.unwrap_or(64 * 1024 * 1024);
        if max_bytes < 4_096 {
            return Err(self.wrong("max_bytes", "use 4096 bytes or more"));
        }
        let keep_files = self.config.keep_files.unwrap_or(10);
        if !(1..=1_000).contains(&keep_files) {
            return Err(self.wrong("keep_files", "use 1 to 1000"));
        }
        Ok(FileTarget {
            path: self.data.join(path),
            max_bytes,
            keep_files,
        })
    }

    fn syslog(&self) -> Result<SyslogTarget, PlanError> {
        let address = self.need("address", &self.config.address)?;
        let parsed: Option<hyper::http::uri::Authority> = address.parse().ok();
        let (host, port) = parsed
            .filter(|authority| !authority.as_str().contains('@'))
            .and_then(|authority| Some((bare(authority.host()), authority.port_u16()?)))
            .ok_or_else(|| self.wrong("address", "write host:port"))?;
        let has_tls = self.config.tls.unwrap_or(true);
        if !has_tls && !is_loopback(&host) {
            let why = "without TLS everybody on the way reads and changes events: set tls = true, or name a \
                       receiver on loopback";
            return Err(self.wrong("tls", why));
        }
        let facility = self.config.facility.unwrap_or(13);
        if facility > 23 {
            return Err(self.wrong("facility", "use 0 to 23"));
        }
        let hostname = self.config.hostname.clone();
        let is_hostname = |name: &String| {
            (1..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
        };
        if hostname.as_ref().is_some_and(|name| !is_hostname(name)) {
            return Err(self.wrong(
                "hostname",
                "use 1 to 255 printable characters without spaces",
            ));
        }
        Ok(SyslogTarget {
            host,
            port,
            tls: self.tls(has_tls)?,
            facility,
            hostname,
            timeout: self.timeout()?,
        })
    }

    fn http(&self) -> Result<HttpTarget, PlanError> {
        let text = self.need("url", &self.config.url)?;
        let url: Uri = text
            .parse()
            .map_err(|_| self.wrong("url", "this is no address: write https://host/path"))?;
        let (Some(authority), Some(scheme)) = (url.authority(), url.scheme_str()) else {
            return Err(self.wrong("url", "write https://host/path"));
        };
        if authority.as_str().contains('@') {
            let why = "a password in an address ends up in logs: use token_file";
            return Err(self.wrong("url", why));
        }
        let host = bare(authority.host());
        let has_tls = match scheme {
            "https" => true,
            "http" if is_loopback(&host) => false,
            "http" => {
                let why = "without TLS everybody on the way reads and changes events: use https";
                return Err(self.wrong("url", why));
            }
            _ => return Err(self.wrong("url", "write https://host/path")),
        };
        let port = authority
            .port_u16()
            .unwrap_or(if has_tls { 443 } else { 80 });
        let token_file = self.config.token_file.as_ref();
        Ok(HttpTarget {
            host,
            port,
            tls: self.tls(has_tls)?,
            body: self.config.body.unwrap_or_default(),
            token_file: token_file.map(|path| self.data.join(path)),
            timeout: self.timeout()?,
            url,
        })
    }

    fn timeout(&self) -> Result<Duration, PlanError> {
        match self.config.timeout_s.unwrap_or(30) {
            seconds @ 1..=600 => Ok(Duration::from_secs(seconds)),
            _ => Err(self.wrong("timeout_s", "use 1 to 600 seconds")),
        }
    }

    fn tls(&self, has_tls: bool) -> Result<Option<TlsFiles>, PlanError> {
        let config = self.config;
        let files = [
            ("ca_file", &config.ca_file),
            ("certificate_file", &config.certificate_file),
            ("key_file", &config.key_file),
        ];
        if !has_tls {
            return match files.iter().find(|(_, file)| file.is_some()) {
                Some((key, _)) => Err(self.wrong(key, "it has no use without TLS; remove it")),
                None => Ok(None),
            };
        }
        let ca = self.data.join(self.need("ca_file", &config.ca_file)?);
        let own = match (&config.certificate_file, &config.key_file) {
            (Some(certificate), Some(key)) => {
                Some((self.data.join(certificate), self.data.join(key)))
            }
            (None, None) => None,
            (Some(_), None) => return Err(self.wrong("certificate_file", "it needs key_file")),
            (None, Some(_)) => return Err(self.wrong("key_file", "it needs certificate_file")),
        };
        Ok(Some(TlsFiles { ca, own }))
    }
}

impl Plan {
    /// The name under which it keeps its place on the stream.
    pub(crate) fn cursor(&self) -> String {
        format!("export/{}", self.name)
    }

    /// Where it goes, for people; no secret is in it.
    pub(crate) fn describe(&self) -> String {
        match &self.target {
            Target::File(file) => file.path.display().to_string(),
            Target::Syslog(syslog) => format!("{}:{}", syslog.host, syslog.port),
            // Not the query: some collectors take a key there.
            Target::Http(http) => {
                let scheme = http.url.scheme_str().unwrap_or_default();
                format!("{scheme}://{}:{}{}", http.host, http.port, http.url.path())
            }
        }
    }
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> String {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned()
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests;
