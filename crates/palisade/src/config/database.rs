//! The section of the configuration that says where the system of record is.

use std::path::{Path, PathBuf};

use palisade_keys::SecretSource;
use palisade_store::DatabaseUrl;
use serde::{Deserialize, Serialize};

/// Where the system of record is: a file in the data directory (SQLite), or a PostgreSQL server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DatabaseSection {
    /// A PostgreSQL database, `postgres://palisade@db.example.com/palisade`; without it SQLite in the data directory. Another machine is
    /// reached over TLS, its certificate checked; `?sslrootcert=/etc/palisade/db-ca.pem` names the root of a private CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// A file that holds the password, and that nobody else can read. Relative to the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password_file: Option<PathBuf>,
    /// The environment variable that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password_env: Option<String>,
    /// The systemd credential that holds it (LoadCredential=).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password_credential: Option<String>,
}

impl DatabaseSection {
    /// Refuses what cannot be.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.parsed()?;
        let folder = Path::new("");
        let password = self.password(folder)?;
        match (&self.url, password) {
            (None, Some(_)) => {
                Err("database.password: there is no database.url that it is for".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// The database, with the password where one is named; nothing for SQLite.
    pub(crate) fn address(&self, data: &Path) -> Result<Option<DatabaseUrl>, String> {
        let Some(url) = self.parsed()? else {
            return Ok(None);
        };
        let Some(password) = self.password(data)? else {
            return Ok(Some(url));
        };
        let why = |error: &dyn std::fmt::Display| format!("database.password: {error}");
        let password = password.read().map_err(|error| why(&error))?;
        let text = std::str::from_utf8(password.expose()).map_err(|error| why(&error))?;
        let url = url.authenticated(text).map_err(|error| why(&error))?;
        Ok(Some(url))
    }

    fn parsed(&self) -> Result<Option<DatabaseUrl>, String> {
        let Some(text) = self.url.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let url = text.parse();
        url.map(Some)
            .map_err(|error: palisade_store::DatabaseUrlError| format!("database.url {error}"))
    }

    fn password(&self, folder: &Path) -> Result<Option<SecretSource>, String> {
        let named = (
            self.password_file.as_deref(),
            self.password_env.as_deref(),
            self.password_credential.as_deref(),
        );
        SecretSource::of("database.password", named, folder).map_err(|error| error.to_string())
    }
}
