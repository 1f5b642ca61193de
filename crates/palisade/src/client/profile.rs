//! What `palisade login` notes: which server, whose CA, which token.

use std::{
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use crate::{
    data::write_whole,
    failure::{Context, Failure},
};

/// A server that was logged in to.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Profile {
    /// `https://host:port`.
    pub(crate) server: Option<String>,
    /// The API token, or the secret of a person's session.
    pub(crate) token: Option<String>,
    /// The token's id, to revoke it.
    pub(crate) token_id: Option<String>,
    /// The server's root certificate in PEM.
    pub(crate) ca: Option<String>,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Profile({:?})", self.server)
    }
}

impl Profile {
    /// `$XDG_CONFIG_HOME/palisade/client.toml`.
    pub(crate) fn path() -> Result<PathBuf, Failure> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let base = match (set("XDG_CONFIG_HOME"), set("HOME")) {
            (Some(config), _) => PathBuf::from(config),
            (None, Some(home)) => PathBuf::from(home).join(".config"),
            (None, None) => {
                return Err(Failure::new(
                    "neither XDG_CONFIG_HOME nor HOME is set: where should the login be noted?",
                ));
            }
        };
        Ok(base.join("palisade").join("client.toml"))
    }

    /// What was noted, if anything was.
    pub(crate) fn read() -> Result<Option<Self>, Failure> {
        let path = Self::path()?;
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context(path.display()),
        };
        let mode = std::fs::metadata(&path).context(path.display())?.mode() & 0o777;
        if mode & 0o077 != 0 {
            let message = format!("{} holds a token and has mode {mode:03o}", path.display());
            return Err(Failure::new(message).next(format!("run `chmod 600 {}`", path.display())));
        }
        // The text holds a token: an error that quotes it must not be shown.
        toml::from_str(&text).map(Some).map_err(|_| {
            Failure::new(format!("{} cannot be read", path.display()))
                .next("remove it and run `palisade login` again")
        })
    }

    /// Notes it, for its owner alone.
    pub(crate) fn write(&self) -> Result<PathBuf, Failure> {
        let path = Self::path()?;
        if let Some(directory) = path.parent() {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .context(directory.display())?;
        }
        let text = toml::to_string(self)?;
        write_whole(&path, text.as_bytes(), 0o600).context(path.display())?;
        Ok(path)
    }

    /// Whether it is a person's session, and no API token.
    pub(crate) fn is_session(&self) -> bool {
        let token = self.token.as_deref().unwrap_or_default();
        token.starts_with(palisade_people::SESSION_PREFIX)
    }

    /// Forgets it; `false` where nothing was noted.
    pub(crate) fn remove() -> Result<bool, Failure> {
        let path = Self::path()?;
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).context(path.display()),
        }
    }
}
