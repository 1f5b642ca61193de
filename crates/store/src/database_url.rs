//! Where a PostgreSQL database is, as one line of configuration says it.

use std::{fmt, net::IpAddr, str::FromStr};

use url::{Host, Url};

/// What may stand behind the question mark.
const PARAMETERS: [&str; 6] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "options",
];

/// The address of a PostgreSQL database: `postgres://user@host:port/database?sslmode=verify-full&sslrootcert=ca.pem`. It is
/// shown without its password.
///
/// A connection to another machine is encrypted, and the server's certificate checked, unless `sslmode` says otherwise.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Url);

/// Why a text is no address of a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// It cannot be read at all.
    #[error("cannot be read as postgres://USER@HOST:PORT/DATABASE: {0}")]
    Unreadable(String),
    /// It is of another engine.
    #[error("begins with \"{0}:\", where \"postgres:\" is expected")]
    OtherScheme(String),
    /// It names no database.
    #[error(
        "names no database: add it after the host, as in postgres://palisade@db.example.com/palisade"
    )]
    NoDatabase,
    /// It holds a password.
    #[error("holds a password: leave it out and name where it comes from")]
    Password,
    /// It names no host.
    #[error(
        "names no host: write postgres://USER@HOST/DATABASE, or ?host=/run/postgresql for a socket of this machine"
    )]
    NoHost,
    /// It has a parameter twice.
    #[error("has the parameter \"{0}\" twice")]
    Twice(String),
    /// It has a parameter that is not known.
    #[error(
        "has the parameter \"{0}\", which is none of sslmode, sslrootcert, sslcert, sslkey, host, options"
    )]
    Parameter(String),
    /// It would let an attacker take the encryption away.
    #[error(
        "has sslmode={0}, which goes on without encryption or check where an attacker wants it: use verify-full, verify-ca, require or, \
             where nobody else is on the line, disable"
    )]
    Mode(String),
}

impl DatabaseUrl {
    /// The same with a password.
    ///
    /// # Errors
    /// When a password cannot stand in this address.
    pub fn authenticated(mut self, password: &str) -> Result<Self, DatabaseUrlError> {
        // What sets it leaves a percent sign as it is, which would be read as the beginning of another sign.
        match self.0.set_password(Some(&password.replace('%', "%25"))) {
            Ok(()) => Ok(self),
            Err(()) => Err(DatabaseUrlError::Unreadable(
                "a password needs a host before it".to_owned(),
            )),
        }
    }

    /// For the driver alone: this shows the password.
    pub(crate) fn with_password(&self) -> &str {
        self.0.as_str()
    }

    /// Whether what is sent to the database can be read on the way there.
    #[must_use]
    pub fn is_encrypted_or_local(&self) -> bool {
        self.is_local()
            || self
                .parameter("sslmode")
                .is_none_or(|mode| mode != "disable")
    }

    fn is_local(&self) -> bool {
        // The parameter is what the driver follows where there are both.
        if let Some(host) = self.parameter("host") {
            return host.starts_with('/') || is_here(&host);
        }
        match self.0.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => {
                name.to_ascii_lowercase().starts_with("%2f") || is_here(name)
            }
            None => false,
        }
    }

    /// As it is written into a configuration: with its parameters, and without its password.
    #[must_use]
    pub fn configured(&self) -> String {
        let mut shown = self.0.clone();
        // It had one, or there was nothing to take away.
        let _ = shown.set_password(None);
        shown.into()
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let mut all = self.0.query_pairs();
        all.find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// Whether a name or an address is this machine's own.
fn is_here(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut url =
            Url::parse(text).map_err(|error| DatabaseUrlError::Unreadable(error.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(DatabaseUrlError::OtherScheme(url.scheme().to_owned()));
        }
        if url.password().is_some() {
            return Err(DatabaseUrlError::Password);
        }
        if url.path().trim_matches('/').is_empty() {
            return Err(DatabaseUrlError::NoDatabase);
        }
        let mut seen = Vec::new();
        for (key, value) in url.query_pairs() {
            if seen.contains(&key) {
                return Err(DatabaseUrlError::Twice(key.into_owned()));
            }
            seen.push(key.clone());
            if !PARAMETERS.contains(&key.as_ref()) {
                return Err(DatabaseUrlError::Parameter(key.into_owned()));
            }
            let known = ["verify-full", "verify-ca", "require", "disable"];
            if key == "sslmode" && !known.contains(&value.as_ref()) {
                return Err(DatabaseUrlError::Mode(value.into_owned()));
            }
        }
        drop(seen);
        let found = Self(url.clone());
        if url.host_str().is_none_or(str::is_empty) && found.parameter("host").is_none() {
            return Err(DatabaseUrlError::NoHost);
        }
        if found.parameter("sslmode").is_none() {
            let mode = if found.is_local() {
                "disable"
            } else {
                "verify-full"
            };
            url.query_pairs_mut().append_pair("sslmode", mode);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        // It had one, or there was nothing to take away.
        let _ = shown.set_password(None);
        shown.set_query(None);
        write!(f, "{shown}")
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DatabaseUrl, DatabaseUrlError> {
        text.parse()
    }

    #[test]
    fn a_database_elsewhere_is_reached_over_checked_tls() {
        let elsewhere = read("postgres://palisade@db.example.com/palisade").expect("an address");
        assert!(elsewhere.with_password().contains("sslmode=verify-full"));
        assert!(elsewhere.is_encrypted_or_local());
        let open = read("postgres://palisade@db.example.com/palisade?sslmode=disable");
        assert!(!open.expect("an address").is_encrypted_or_local());
        let weak = read("postgres://palisade@db.example.com/palisade?sslmode=prefer");
        assert_eq!(weak, Err(DatabaseUrlError::Mode("prefer".to_owned())));
    }

    #[test]
    fn a_host_elsewhere_is_seen_wherever_it_is_named() {
        let hidden = read("postgres://palisade@localhost/palisade?host=db.example.com");
        let hidden = hidden.expect("an address");
        assert!(hidden.with_password().contains("sslmode=verify-full"));
        let nowhere = read("postgres:///palisade");
        assert_eq!(nowhere, Err(DatabaseUrlError::NoHost));
        for mode in ["Prefer", "DISABLE", "allow"] {
            let weak = read(&format!("postgres://a@db.example.com/b?sslmode={mode}"));
            assert_eq!(weak, Err(DatabaseUrlError::Mode(mode.to_owned())));
        }
        let twice = read("postgres://a@db.example.com/b?sslmode=verify-full&sslmode=disable");
        assert_eq!(twice, Err(DatabaseUrlError::Twice("sslmode".to_owned())));
    }

    #[test]
    fn one_on_this_machine_needs_none() {
        for text in [
            "postgres://palisade@localhost/palisade",
            "postgres://palisade@127.0.0.1:5433/palisade",
            "postgres://palisade@[::1]/palisade",
            "postgres://palisade@localhost/palisade?host=/run/postgresql",
        ] {
            let here = read(text).expect("an address");
            assert!(here.with_password().contains("sslmode=disable"), "{text}");
        }
    }

    #[test]
    fn a_password_is_neither_taken_from_the_line_nor_shown() {
        let held = read("postgres://palisade:hunter2@db.example.com/palisade");
        assert_eq!(held, Err(DatabaseUrlError::Password));
        let url = read("postgres://palisade@db.example.com/palisade").expect("an address");
        let url = url.authenticated("hunter 2/@").expect("takes it");
        assert!(url.with_password().contains(":hunter%202%2F%40@"));
        let odd = read("postgres://palisade@db.example.com/palisade").expect("an address");
        let odd = odd.authenticated("a%41b").expect("takes it");
        assert!(odd.with_password().contains(":a%2541b@"));
        assert_eq!(
            odd.configured(),
            "postgres://palisade@db.example.com/palisade?sslmode=verify-full"
        );
        assert_eq!(
            url.to_string(),
            "postgres://palisade@db.example.com/palisade"
        );
        assert!(!format!("{url:?}").contains("hunter"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(
            read("mysql://a@b/c"),
            Err(DatabaseUrlError::OtherScheme("mysql".to_owned()))
        );
        assert_eq!(read("postgres://a@b/"), Err(DatabaseUrlError::NoDatabase));
        assert_eq!(
            read("postgres://a@b/c?sslcompression=1"),
            Err(DatabaseUrlError::Parameter("sslcompression".to_owned()))
        );
        assert!(matches!(
            read("palisade"),
            Err(DatabaseUrlError::Unreadable(_))
        ));
    }
}
