//! The server that takes mail.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Address, address::MAX_BYTES};

/// The longest that one delivery may take, in seconds.
const MAX_TIMEOUT_S: u64 = 50;

/// The server that takes mail, and from whom it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    /// The name or address of the server that takes mail; its certificate has to be of this name.
    pub server: String,
    /// Its port; 587 where absent, 465 with `tls = "implicit"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// `starttls`, `implicit`, or `insecure_loopback`: without TLS, to a server on this machine only.
    #[serde(default)]
    pub tls: Tls,
    /// From whom it is (`Palisade <palisade@example.org>`).
    pub from: String,
    /// Who we are to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// A file that holds the password, and that nobody else can read. Relative to the data directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// A file with the root certificates to trust, in PEM; those of the system where absent. Relative to
    /// the data directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// How long one delivery may take, in seconds, 1 to 50.
    #[serde(default = "default_timeout_s")]
    pub timeout_s: u64,
}

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// TLS begins after a greeting; a server that does not offer it gets no mail.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Implicit,
    /// None; to this machine only.
    InsecureLoopback,
}

/// How long one delivery may take where nothing is said, in seconds.
#[must_use]
pub(crate) fn default_timeout_s() -> u64 {
    30
}

impl SmtpConfig {
    /// Refuses what cannot work or is not safe.
    ///
    /// # Errors
    /// Begins with the key that is wrong, and says what it may be.
    pub fn check(&self) -> Result<(), String> {
        let is_plain = |text: &str| {
            let chars = text.chars().all(|one| one.is_ascii_graphic() && one != '/');
            (1..=MAX_BYTES).contains(&text.len()) && chars
        };
        if !is_plain(&self.server) {
            return Err("server: the name or the address of a mail server".to_owned());
        }
        let is_here = ["127.0.0.1", "localhost", "::1"].contains(&self.server.as_str());
        if self.tls == Tls::InsecureLoopback && !is_here {
            return Err(
                "tls: insecure_loopback is for 127.0.0.1, ::1 and localhost only".to_owned(),
            );
        }
        if self.port == Some(0) {
            return Err("port: 1 to 65535".to_owned());
        }
        Address::parse(&self.from).map_err(|why| format!("from: {why}"))?;
        if self.username.is_some() != self.password_file.is_some() {
            return Err("username: goes together with password_file".to_owned());
        }
        match (1..=MAX_TIMEOUT_S).contains(&self.timeout_s) {
            true => Ok(()),
            false => Err(format!("timeout_s: 1 to {MAX_TIMEOUT_S}")),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            Tls::Implicit => 465,
            Tls::Starttls | Tls::InsecureLoopback => 587,
        })
    }
}
