//! People as the server knows them.

use std::{path::Path, sync::Arc};

use palisade_core::Clock;
use palisade_keys::Keystore;
use palisade_store::Store;

use crate::{AccountsConfig, Blocklist, BlocklistError, PasswordPolicy, Workshop};

/// What is known of people, and what they are let do to their accounts.
pub struct People {
    policy: PasswordPolicy,
    workshop: Workshop,
}

/// What [`People`] stands on.
pub struct PeopleGround {
    /// The system of record.
    pub store: Store,
    /// Where the key is that seals second factors.
    pub keys: Arc<Keystore>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl People {
    /// Opens what the configuration names; its files are relative to `data`.
    ///
    /// # Errors
    /// When the blocklist cannot be read.
    pub fn open(
        _ground: PeopleGround,
        config: &AccountsConfig,
        data: &Path,
    ) -> Result<Arc<Self>, BlocklistError> {
        Ok(Arc::new(Self {
            policy: policy(config, data)?,
            workshop: Workshop::default(),
        }))
    }

    /// What a password must be.
    #[must_use]
    pub fn policy(&self) -> &PasswordPolicy {
        &self.policy
    }

    /// Where work on passwords is done.
    #[must_use]
    pub fn workshop(&self) -> &Workshop {
        &self.workshop
    }
}

impl std::fmt::Debug for People {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("People").finish_non_exhaustive()
    }
}

/// The policy that a configuration describes.
///
/// # Errors
/// When the blocklist cannot be read.
pub fn policy(config: &AccountsConfig, data: &Path) -> Result<PasswordPolicy, BlocklistError> {
    let rules = config.passwords.clone();
    let list = rules.blocklist.as_ref().map(|file| data.join(file));
    let list = list.map(|file| Blocklist::read(&file)).transpose()?;
    Ok(PasswordPolicy::new(rules, list))
}
