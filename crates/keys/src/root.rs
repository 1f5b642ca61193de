//! Which root key wraps, and which others still open what they wrapped.

use std::{collections::BTreeSet, fmt, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    KeyWrap, Keystore, KeystoreError, Pkcs11Config, Pkcs11Root, RootKey, Secret, TransitConfig,
    TransitRoot, VersionedWrap, WrapError, pkcs11, random_key, transit,
};

/// Where a root key is that wraps the keys of others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RootConfig {
    /// Which of them wraps: `keystore`, the server's own, `pkcs11` or `transit`. To move, let the new one stand here and the old one
    /// stand as it was, start the server, and run `palisade vault rotate-keys`; then the old one may go.
    pub kind: RootKind,
    /// A token that speaks PKCS#11.
    pub pkcs11: Pkcs11Config,
    /// The Transit engine of HashiCorp Vault or OpenBao.
    pub transit: TransitConfig,
}

/// The kinds of root keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootKind {
    /// In the server's keystore.
    #[default]
    Keystore,
    /// In a token that speaks PKCS#11.
    Pkcs11,
    /// In the Transit engine of HashiCorp Vault or OpenBao.
    Transit,
}

impl RootConfig {
    /// Refuses what cannot work or is not safe.
    ///
    /// # Errors
    /// Begins with the key that is wrong, and says what it may be.
    pub fn check(&self) -> Result<(), String> {
        self.pkcs11.check().map_err(|why| format!("pkcs11.{why}"))?;
        self.transit
            .check()
            .map_err(|why| format!("transit.{why}"))?;
        let is_there = match self.kind {
            RootKind::Keystore => true,
            RootKind::Pkcs11 => self.pkcs11.is_set(),
            RootKind::Transit => self.transit.is_set(),
        };
        match is_there {
            true => Ok(()),
            false => Err("kind: it is not set up: set the keys of its own section".to_owned()),
        }
    }
}

/// What was found of a root key that is elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// Where it is.
    pub place: String,
    /// Its newest version; `None` where none is made yet.
    pub version: Option<u32>,
}

/// The kind of the keystore's root, as the first byte of what it wraps: its versions stay below.
const KEYSTORE: u8 = 0;

/// How the keys of an installation end that has none yet.
const NO_INSTALLATION: &str = "0";
/// How many random bytes tell an installation from others.
const INSTALLATION: usize = 8;

/// The secret of the keystore that tells this installation from others. It is no version of the root key.
fn installation_secret(name: &str) -> String {
    format!("{name}.installation")
}

/// What tells this installation from others that keep their root keys in the same place; made once.
fn installation(keystore: &Keystore, name: &str) -> Result<String, WrapError> {
    if let Some(known) = known_installation(keystore, name)? {
        return Ok(known);
    }
    let random = random_key(INSTALLATION)?;
    let digits = random.expose().iter().map(|byte| format!("{byte:02x}"));
    let made: String = digits.collect();
    keystore.put(&installation_secret(name), made.as_bytes())?;
    Ok(made)
}

fn known_installation(keystore: &Keystore, name: &str) -> Result<Option<String>, WrapError> {
    match keystore.get(&installation_secret(name)) {
        Ok(known) => Ok(Some(String::from_utf8_lossy(known.expose()).into_owned())),
        Err(KeystoreError::Missing(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl RootConfig {
    /// With the keys of this installation alone: another one may have the same configuration, and whoever destroys keys
    /// has to know that nobody else uses them.
    fn of_installation(&self, installation: &str) -> Self {
        let mut own = self.clone();
        own.pkcs11.key = format!("{}-{installation}", self.pkcs11.key);
        own.transit.key = format!("{}-{installation}", self.transit.key);
        own
    }
}

/// All root keys of one purpose: one wraps, each opens what it wrapped.
pub struct Roots {
    current: Arc<dyn VersionedWrap>,
    /// With how what they wrapped begins.
    all: Vec<(u8, Arc<dyn VersionedWrap>)>,
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({:?})", self.current)
    }
}

impl Roots {
    /// Opens those that are set up.
    ///
    /// # Errors
    /// When one cannot be used: what it wrapped could not be opened.
    pub fn open(
        config: &RootConfig,
        keystore: Arc<Keystore>,
        name: &str,
        data: &Path,
    ) -> Result<Self, WrapError> {
        let is_elsewhere = config.pkcs11.is_set() || config.transit.is_set();
        let config = &match is_elsewhere {
            true => config.of_installation(&installation(&keystore, name)?),
            false => config.clone(),
        };
        let own: Arc<dyn VersionedWrap> = match config.kind {
            RootKind::Keystore => Arc::new(RootKey::open(keystore, name)?),
            RootKind::Pkcs11 | RootKind::Transit => Arc::new(RootKey::existing(keystore, name)),
        };
        let mut current = own.clone();
        let mut all = vec![(KEYSTORE, own)];
        if config.pkcs11.is_set() {
            let wraps = config.kind == RootKind::Pkcs11;
            let root: Arc<dyn VersionedWrap> =
                Arc::new(Pkcs11Root::open(&config.pkcs11, data, wraps)?);
            if wraps {
                current = root.clone();
            }
            all.push((pkcs11::KIND, root));
        }
        if config.transit.is_set() {
            let wraps = config.kind == RootKind::Transit;
            let root: Arc<dyn VersionedWrap> =
                Arc::new(TransitRoot::open(&config.transit, data, wraps)?);
            if wraps {
                current = root.clone();
            }
            all.push((transit::KIND, root));
        }
        Ok(Self { current, all })
    }

    /// Looks at the root key that a configuration lets wrap, as far as it is not in the keystore, and makes nothing: where
    /// it is, and whether it is made already. Without a keystore there is no key of this installation yet.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn look(
        config: &RootConfig,
        keystore: Option<&Keystore>,
        name: &str,
        data: &Path,
    ) -> Result<Option<Looked>, WrapError> {
        let installation = match keystore {
            Some(keystore) => known_installation(keystore, name)?,
            None => None,
        };
        let config = &config.of_installation(installation.as_deref().unwrap_or(NO_INSTALLATION));
        match config.kind {
            RootKind::Keystore => Ok(None),
            RootKind::Pkcs11 => Pkcs11Root::open(&config.pkcs11, data, false)?
                .look()
                .map(Some),
            RootKind::Transit => TransitRoot::open(&config.transit, data, false)?
                .look()
                .map(Some),
        }
    }

    fn of(&self, wrapped: &[u8]) -> Option<&dyn VersionedWrap> {
        let kind = wrapped.first()?;
        let found = self.all.iter().find(|(known, _)| known == kind);
        found.map(|(_, root)| &**root)
    }
}

impl KeyWrap for Roots {
    fn wrap(&self, key: &Secret, context: &[u8]) -> Result<Vec<u8>, WrapError> {
        self.current.wrap(key, context)
    }

    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Secret, WrapError> {
        match (self.of(wrapped), wrapped.first()) {
            (Some(root), _) => root.unwrap(wrapped, context),
            (None, Some(&pkcs11::KIND)) => Err(WrapError::Away {
                place: "a token".to_owned(),
                why: "keys are wrapped by it, and [vault.root.pkcs11] is not set".to_owned(),
            }),
            (None, Some(&transit::KIND)) => Err(WrapError::Away {
                place: "a Transit engine".to_owned(),
                why: "keys are wrapped by it, and [vault.root.transit] is not set".to_owned(),
            }),
            (None, _) => Err(WrapError::Refused),
        }
    }

    fn check(&self) -> Result<(), WrapError> {
        self.current.check()
    }
}

impl VersionedWrap for Roots {
    fn rotate(&self) -> Result<u32, WrapError> {
        self.current.rotate()
    }

    fn version_of(&self, wrapped: &[u8]) -> Option<u32> {
        self.of(wrapped)?.version_of(wrapped)
    }

    fn retire(&self, in_use: &BTreeSet<u32>) -> Result<(), WrapError> {
        for (_, root) in &self.all {
            match Arc::ptr_eq(root, &self.current) {
                true => root.retire(in_use)?,
                false => root.abandon(in_use)?,
            }
        }
        Ok(())
    }

    fn abandon(&self, in_use: &BTreeSet<u32>) -> Result<(), WrapError> {
        for (_, root) in &self.all {
            root.abandon(in_use)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeySource;

    #[test]
    fn two_installations_name_other_keys_and_each_the_same_ones_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let keystore = |file: &str| {
            let source = KeySource::Passphrase(Secret::from("correct horse battery staple"));
            Arc::new(Keystore::open(&folder.path().join(file), &source).expect("opens"))
        };
        let names = |keystore: &Keystore| {
            let installation = installation(keystore, "vault").expect("made");
            let own = RootConfig::default().of_installation(&installation);
            (own.pkcs11.key, own.transit.key)
        };
        let (one, other) = (keystore("one"), keystore("other"));
        let (first, second) = (names(&one), names(&other));
        assert!(first.0.starts_with("palisade-vault-") && first.1.starts_with("palisade-vault-"));
        assert!(first.0 != second.0 && first.1 != second.1);
        assert_eq!(names(&keystore("one")), first, "made once");
        // It is no version of the root that is in the keystore.
        assert!(RootKey::existing(one, "vault").versions().is_empty());
    }
}
