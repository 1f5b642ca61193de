//! How a token is named.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{SecretError, SecretSource};

/// A token that speaks PKCS#11.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pkcs11Config {
    /// The token's module, a shared library with an absolute path. Whoever can write to it can be the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<PathBuf>,
    /// The label of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The number of its slot, where two tokens have one label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<u64>,
    /// How the label of the keys there begins, which ends with what tells this installation from others; they are made when
    /// they are needed.
    pub key: String,
    /// A file that holds the user's PIN, and that nobody else can read. Relative to the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin_file: Option<PathBuf>,
    /// The variable of the environment that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin_env: Option<String>,
    /// The systemd credential that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin_credential: Option<String>,
}

impl Default for Pkcs11Config {
    fn default() -> Self {
        Self {
            module: None,
            token: None,
            slot: None,
            key: "palisade-vault".to_owned(),
            pin_file: None,
            pin_env: None,
            pin_credential: None,
        }
    }
}

impl Pkcs11Config {
    pub(crate) fn is_set(&self) -> bool {
        self.module.is_some()
    }

    /// Refuses what cannot work or is not safe.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Some(module) = &self.module else {
            return match *self == Self::default() {
                true => Ok(()),
                false => Err("module: it is missing: the path of the token's library".to_owned()),
            };
        };
        if !module.is_absolute() {
            return Err(format!("module: {} is no absolute path", module.display()));
        }
        if self.token.is_none() && self.slot.is_none() {
            return Err("token: name the token by its label, or by its slot".to_owned());
        }
        if self.key.is_empty() || self.key.len() > 64 {
            return Err("key: 1 to 64 characters".to_owned());
        }
        let pin = self.pin(Path::new("")).map_err(|error| error.to_string())?;
        pin.map(drop).ok_or_else(|| {
            "pin_file: name the PIN by pin_file, pin_env or pin_credential".to_owned()
        })
    }

    pub(super) fn pin(&self, data: &Path) -> Result<Option<SecretSource>, SecretError> {
        let named = (
            self.pin_file.as_deref(),
            self.pin_env.as_deref(),
            self.pin_credential.as_deref(),
        );
        SecretSource::of("pin", named, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Pkcs11Config {
        Pkcs11Config {
            module: Some("/usr/lib/token.so".into()),
            token: Some("palisade".to_owned()),
            pin_env: Some("PIN".to_owned()),
            ..Pkcs11Config::default()
        }
    }

    #[test]
    fn what_cannot_work_is_refused_by_its_key() {
        config().check().expect("good");
        Pkcs11Config::default().check().expect("none");
        let refused = |change: fn(&mut Pkcs11Config)| {
            let mut config = config();
            change(&mut config);
            config.check().expect_err("refused")
        };
        assert!(refused(|config| config.module = None).starts_with("module:"));
        assert!(refused(|config| config.module = Some("token.so".into())).starts_with("module:"));
        assert!(refused(|config| config.token = None).starts_with("token:"));
        assert!(refused(|config| config.pin_env = None).starts_with("pin_file:"));
        assert!(refused(|config| config.pin_file = Some("pin".into())).starts_with("pin:"));
        assert!(refused(|config| config.key = String::new()).starts_with("key:"));
    }
}
