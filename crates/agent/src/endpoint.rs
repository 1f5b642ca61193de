//! Where a server is.

use std::{fmt, str::FromStr};

use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};

const MAX_HOST: usize = 253;

/// Why a text does not say where a server is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It has no host, or one that is neither a name nor an address.
    #[error("{0:?} has no host name or address: write host, host:port or [ipv6]:port")]
    Host(String),
    /// Its port is none.
    #[error("{0:?} has a port that is not a number from 1 to 65535")]
    Port(String),
    /// It is a URL, and not a plain `https://` one.
    #[error("{0:?} is not of the form https://host[:port]; there is no access without TLS")]
    Url(String),
}

/// A host, by name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// The port of the MQTT door.
    pub const MQTT_PORT: u16 = 8883;
    /// The port of the device HTTPS door.
    pub const DEVICES_PORT: u16 = 8444;

    /// Reads `host`, `host:port` or `[ipv6]:port`.
    ///
    /// # Errors
    /// When it has no valid host or port.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, EndpointError> {
        let bad_host = || EndpointError::Host(shown(text));
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(bad_host)?;
                match rest {
                    "" => (host, None),
                    _ => (host, Some(rest.strip_prefix(':').ok_or_else(bad_host)?)),
                }
            }
            None => match text.split_once(':') {
                Some((_, rest)) if rest.contains(':') => (text, None),
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            None => default_port,
            Some(digits) => match digits.parse::<u16>() {
                Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => port,
                _ => return Err(EndpointError::Port(shown(text))),
            },
        };
        let is_named = host.len() <= MAX_HOST && ServerName::try_from(host).is_ok();
        match is_named {
            true => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            false => Err(bad_host()),
        }
    }

    /// Reads `https://host[:port][/]`.
    ///
    /// # Errors
    /// When it is another kind of URL, or has no valid host or port.
    pub fn parse_url(text: &str, default_port: u16) -> Result<Self, EndpointError> {
        let rest = text.strip_prefix("https://");
        let rest = rest.ok_or_else(|| EndpointError::Url(shown(text)))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        match rest.contains(['/', '?', '#', '@']) {
            true => Err(EndpointError::Url(shown(text))),
            false => Self::parse(rest, default_port),
        }
    }

    /// The host without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same host at another port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        Self {
            host: self.host.clone(),
            port,
        }
    }

    /// The name that the server's certificate must have.
    pub(crate) fn server_name(&self) -> Result<ServerName<'static>, EndpointError> {
        let name = ServerName::try_from(self.host.clone());
        name.map_err(|_| EndpointError::Host(shown(&self.host)))
    }
}

fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Reads it with the port of the MQTT door where there is none.
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::parse(text, Self::MQTT_PORT)
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;
    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> String {
        endpoint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for (text, shown) in [
            ("gateway.example", "gateway.example:8883"),
            ("gateway.example:1", "gateway.example:1"),
            ("127.0.0.1:99", "127.0.0.1:99"),
            ("[::1]:99", "[::1]:99"),
            ("[::1]", "[::1]:8883"),
            ("::1", "[::1]:8883"),
        ] {
            let endpoint: Endpoint = text.parse().expect(text);
            assert_eq!(endpoint.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "", ":1", "a b", "a:0", "a:65536", "a:+1", "[::1", "[::1]x", "a:1:2", "[a]b:1",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn only_https_without_a_path_is_a_server() {
        let parsed = Endpoint::parse_url("https://localhost/", Endpoint::DEVICES_PORT);
        assert_eq!(parsed.expect("a url").to_string(), "localhost:8444");
        for text in [
            "http://localhost",
            "localhost",
            "https://u@h",
            "https://h/x",
            "https://",
        ] {
            assert!(
                Endpoint::parse_url(text, 1).is_err(),
                "{text:?} was accepted"
            );
        }
    }
}
