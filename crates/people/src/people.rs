//! People as the server knows them.

use std::{path::Path, sync::Arc};

use palisade_core::Clock;
use palisade_keys::Keystore;
use palisade_store::Store;

use crate::{
    AccountsConfig, Blocklist, BlocklistError, OpenError, PasswordHash, PasswordPolicy, Role,
    SessionRules, Workshop, attempts::Attempts, second_factor::Seal, secret,
};

/// What is known of people, and what they are let do to their accounts.
pub struct People {
    pub(crate) ground: PeopleGround,
    pub(crate) policy: PasswordPolicy,
    pub(crate) workshop: Workshop,
    pub(crate) sessions: SessionRules,
    pub(crate) factor_roles: Vec<Role>,
    pub(crate) attempts: Attempts,
    /// The hash of no password that anybody knows.
    pub(crate) decoy: PasswordHash,
    pub(crate) seal: Seal,
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
    /// When the blocklist cannot be read, or the key that seals second factors cannot be had.
    pub fn open(
        ground: PeopleGround,
        config: &AccountsConfig,
        data: &Path,
    ) -> Result<Arc<Self>, OpenError> {
        let seal = Seal::open(&ground.keys)?;
        let nobodys = secret::generate("").map_err(|_| OpenError::Seal)?;
        Ok(Arc::new(Self {
            ground,
            policy: policy(config, data)?,
            workshop: Workshop::default(),
            sessions: config.sessions.clone(),
            factor_roles: config.second_factor_roles.clone(),
            attempts: Attempts::default(),
            decoy: PasswordHash::of(&nobodys)?,
            seal,
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
