//! How an engine is named.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{SecretError, SecretSource};

const MAX_TIMEOUT_S: u64 = 60;

/// The Transit engine of HashiCorp Vault or OpenBao.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransitConfig {
    /// Where it is: `https://vault.example:8200`, or `http://` on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where the engine is mounted.
    pub mount: String,
    /// How the name of the key there begins, which ends with what tells this installation from others. It is of type
    /// aes256-gcm96, and made where it is not there and the token may make it.
    pub key: String,
    /// The namespace, where there are namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A file that holds the token, and that nobody else can read; it is read for each request, so that an agent may renew
    /// it. Relative to the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The variable of the environment that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// The systemd credential that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_credential: Option<String>,
    /// A file with the root certificates to trust, in PEM, and no others; those of the system where absent. Relative to
    /// the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// How long one request may take, in seconds, 1 to 60.
    pub timeout_s: u64,
}

impl Default for TransitConfig {
    fn default() -> Self {
        Self {
            url: None,
            mount: "transit".to_owned(),
            key: "palisade-vault".to_owned(),
            namespace: None,
            token_file: None,
            token_env: None,
            token_credential: None,
            ca: None,
            timeout_s: 5,
        }
    }
}

impl TransitConfig {
    pub(crate) fn is_set(&self) -> bool {
        self.url.is_some()
    }

    /// Refuses what cannot work or is not safe.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Some(url) = &self.url else {
            return match *self == Self::default() {
                true => Ok(()),
                false => Err("url: it is missing: `https://vault.example:8200`".to_owned()),
            };
        };
        if !is_address(url) {
            return Err(format!(
                "url: {url:?}: use https://, or http:// on 127.0.0.1, [::1] or localhost, without a path"
            ));
        }
        let is_plain = |text: &str| {
            let plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.');
            !matches!(text, "" | "." | "..") && text.len() <= 128 && text.chars().all(plain)
        };
        if !self.mount.split('/').all(is_plain) {
            return Err("mount: letters, digits, `-`, `_`, `.` and `/`".to_owned());
        }
        if !is_plain(&self.key) {
            return Err("key: letters, digits, `-`, `_` and `.`".to_owned());
        }
        if !self
            .namespace
            .iter()
            .all(|name| name.split('/').all(is_plain))
        {
            return Err("namespace: letters, digits, `-`, `_`, `.` and `/`".to_owned());
        }
        if !(1..=MAX_TIMEOUT_S).contains(&self.timeout_s) {
            return Err(format!("timeout_s: 1 to {MAX_TIMEOUT_S}"));
        }
        let token = self
            .token(Path::new(""))
            .map_err(|error| error.to_string())?;
        token.map(drop).ok_or_else(|| {
            "token_file: name the token by token_file, token_env or token_credential".to_owned()
        })
    }

    pub(super) fn token(&self, data: &Path) -> Result<Option<SecretSource>, SecretError> {
        let named = (
            self.token_file.as_deref(),
            self.token_env.as_deref(),
            self.token_credential.as_deref(),
        );
        SecretSource::of("token", named, data)
    }
}

/// Without TLS nobody is asked who is not on this machine.
fn is_address(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    let is_bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let is_here = url
        .host_str()
        .is_some_and(|host| ["127.0.0.1", "[::1]", "localhost"].contains(&host));
    is_bare && (url.scheme() == "https" || (url.scheme() == "http" && is_here))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_or_is_not_safe_is_refused_by_its_key() {
        let config = TransitConfig {
            url: Some("https://vault.example:8200".to_owned()),
            token_env: Some("TOKEN".to_owned()),
            ..TransitConfig::default()
        };
        config.check().expect("good");
        TransitConfig::default().check().expect("none");
        let refused = |change: &dyn Fn(&mut TransitConfig)| {
            let mut config = config.clone();
            change(&mut config);
            config.check().expect_err("refused")
        };
        for url in [
            "http://vault.example",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1@evil.example",
            "https://vault.example/v1",
        ] {
            let error = refused(&|config| config.url = Some(url.to_owned()));
            assert!(error.starts_with("url:"), "{url}: {error}");
        }
        assert!(refused(&|config| config.url = None).starts_with("url:"));
        assert!(refused(&|config| config.mount = "../sys".to_owned()).starts_with("mount:"));
        assert!(refused(&|config| config.key = "a/b".to_owned()).starts_with("key:"));
        assert!(refused(&|config| config.token_env = None).starts_with("token_file:"));
        assert!(refused(&|config| config.token_file = Some("t".into())).starts_with("token:"));
        assert!(refused(&|config| config.timeout_s = 0).starts_with("timeout_s:"));
    }
}
