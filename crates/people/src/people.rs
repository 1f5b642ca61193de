//! People as the server knows them.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use palisade_core::Clock;
use palisade_keys::Keystore;
use palisade_store::Store;

use crate::{
    AccountsConfig, Blocklist, BlocklistError, MaskSalt, OpenError, PasswordHash, PasswordPolicy,
    PeopleError, Role, RoleBook, RoleText, SessionRules, Workshop,
    attempts::Attempts,
    notices::Post,
    oidc::Providers,
    relying_party::{OriginError, RelyingParty},
    roles::{Newest, read_files},
    second_factor::Seal,
    secret,
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
    mask_salt: MaskSalt,
    pub(crate) max_passkeys: u32,
    config: AccountsConfig,
    relying_party: OnceLock<RelyingParty>,
    pub(crate) directory: Newest,
    pub(crate) role_files: Vec<RoleText>,
    pub(crate) book: OnceLock<RoleBook>,
    pub(crate) providers: Providers,
    pub(crate) post: Post,
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
    /// When the blocklist cannot be read, the key that seals second factors cannot be had, or a provider's secret or
    /// roots cannot.
    pub fn open(
        ground: PeopleGround,
        config: &AccountsConfig,
        data: &Path,
    ) -> Result<Arc<Self>, OpenError> {
        let seal = Seal::open(&ground.keys)?;
        let mask_salt = MaskSalt::open(&ground.keys)?;
        let providers = Providers::open(&config.oidc, data, &ground.clock)?;
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
            mask_salt,
            max_passkeys: u32::try_from(config.passkeys.max_per_account).unwrap_or(u32::MAX),
            config: config.clone(),
            relying_party: OnceLock::new(),
            directory: Newest::default(),
            role_files: read_files(&data.join("roles")),
            book: OnceLock::new(),
            providers,
            post: Post::open(config.mail.as_ref(), data).map_err(OpenError::Mail)?,
        }))
    }

    /// Says on which port of this machine browsers reach the console, for where the configuration says nothing
    /// of it.
    ///
    /// # Errors
    /// When passkeys cannot be bound to what the configuration names.
    pub fn reached_at(&self, port: u16) -> Result<(), OriginError> {
        let party = RelyingParty::new(&self.config, port)?;
        // Who is called a second time keeps what passkeys are bound to already.
        let _ = self.relying_party.set(party);
        Ok(())
    }

    pub(crate) fn relying_party(&self) -> Result<&RelyingParty, PeopleError> {
        self.relying_party.get().ok_or(PeopleError::NoOrigin)
    }

    /// What values are hashed with that a role may not show.
    #[must_use]
    pub fn mask_salt(&self) -> &MaskSalt {
        &self.mask_salt
    }

    /// What a password must be.
    #[must_use]
    pub fn policy(&self) -> &PasswordPolicy {
        &self.policy
    }

    /// The acts that wait for a second person, by name.
    #[must_use]
    pub fn four_eyes(&self) -> &[String] {
        &self.config.four_eyes
    }

    /// How many days it is kept who did what here; 0 for ever.
    #[must_use]
    pub fn keep_access_days(&self) -> u32 {
        self.config.keep_access_days
    }

    /// How long who logged in stays so.
    #[must_use]
    pub fn session_rules(&self) -> &SessionRules {
        &self.sessions
    }

    /// The roles whose people need a second factor.
    #[must_use]
    pub fn second_factor_roles(&self) -> &[Role] {
        &self.factor_roles
    }

    /// Says that it was changed who is what: it counts from the next request on.
    pub fn roles_changed(&self) {
        self.directory.changed();
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
