//! How accounts are set up. Every default is safe on the open internet.

use std::path::PathBuf;

use palisade_mail::SmtpConfig;
use serde::{Deserialize, Serialize};

use crate::{
    OidcConfig, Role,
    oidc::check_all,
    relying_party::{DEFAULT_PORT, OriginError, RelyingParty},
};

/// Accounts of people: what a password must be, and how long who logged in stays so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountsConfig {
    /// The roles whose people need a second factor. Owners need one whatever stands here.
    pub second_factor_roles: Vec<Role>,
    /// Where browsers reach the console (`https://HOST` or `https://HOST:PORT`), at most 8; providers send people
    /// back to the one that they came from. Empty: `https://localhost` with the port of the door for people.
    pub origins: Vec<String>,
    /// The acts that wait for a second person who may do them, where there are two people who may. What is
    /// about accounts and teams waits only where it is about somebody, or a role, that may do one of these.
    pub four_eyes: Vec<String>,
    /// How many days it is kept who did, tried and read what at the door for people; 0 for ever. The ledger keeps
    /// acts for good, whatever stands here.
    pub keep_access_days: u32,
    /// What a password must be.
    pub passwords: PasswordRules,
    /// Passkeys.
    pub passkeys: PasskeyRules,
    /// How long who logged in stays so.
    pub sessions: SessionRules,
    /// The server that takes mail to the people of accounts, who are told what happens to these: `[accounts.mail]` with
    /// `server`, `port`, `tls`, `from`, `username`, `password_file`, `ca`, `timeout_s`. Nobody is told where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<SmtpConfig>,
    /// Providers of OpenID Connect that people sign in with, at most 8, each a table `[[accounts.oidc]]`: `name`,
    /// `label`, `issuer`, `client_id`, `client_secret_file` or `client_secret_env`, `ca`, `scopes`, `name_claim`,
    /// `roles_claim`, `roles`, `make_accounts`, `second_factor_amr`, `second_factor_acr` (docs/people.md).
    pub oidc: Vec<OidcConfig>,
}

/// How long who logged in stays so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionRules {
    /// After how many seconds without a request a session ends (300 to 86400).
    pub idle_s: u64,
    /// After how many seconds a session ends, however much it is used (300 to 604800).
    pub absolute_s: u64,
    /// What a session is bound to: the `browser` that first used it, the `network` that it began in (an address; of
    /// IPv6 its /64). Used from elsewhere it ends at once. With `network`, people who move log in again.
    pub bound_to: Vec<Bond>,
}

/// What a session is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bond {
    /// The browser that first used it.
    Browser,
    /// The network that it began in.
    Network,
}

/// What cannot be undone, and what could make a second person of oneself.
const FOUR_EYES: [&str; 20] = [
    "ca.export_root",
    "ca.detach_root",
    "ca.import_root",
    "ca.renew_issuer",
    "policy.apply",
    "policy.rollback",
    "response.switch",
    "audit.mitigate",
    "account.create",
    "account.change",
    "account.set_roles",
    "account.set_password",
    "account.remove_second_factors",
    "team.create",
    "team.change",
    "role.create",
    "role.change",
    "telemetry.erase",
    "telemetry.open_file_key",
    "telemetry.release_hold",
];

impl Default for AccountsConfig {
    fn default() -> Self {
        Self {
            second_factor_roles: vec![Role::Owner],
            four_eyes: FOUR_EYES.map(str::to_owned).to_vec(),
            keep_access_days: 365,
            origins: Vec::new(),
            passwords: PasswordRules::default(),
            passkeys: PasskeyRules::default(),
            sessions: SessionRules::default(),
            mail: None,
            oidc: Vec::new(),
        }
    }
}

impl Default for SessionRules {
    fn default() -> Self {
        Self {
            idle_s: 30 * 60,
            absolute_s: 12 * 60 * 60,
            bound_to: vec![Bond::Browser],
        }
    }
}

/// What a password must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordRules {
    /// The fewest characters of a password that nothing else stands beside (at least 12).
    pub min_length: usize,
    /// The fewest characters of a password that a second factor stands beside (at least 8).
    pub min_length_with_second_factor: usize,
    /// How many of the four classes (small letters, capital letters, digits, others) a password has,
    /// 0 to 4; 0 asks for none.
    pub classes: u8,
    /// From how many characters on a passphrase need not have them.
    pub passphrase_length: usize,
    /// How hard it must be to guess, 2 to 4: 3 withstands somebody who has the hashes for a while.
    pub min_strength: u8,
    /// How many passwords that an account had before may not come back (at most 24).
    pub history: usize,
    /// A file of passwords that are refused, one a line, plain or as SHA-1 in hexadecimal digits (what
    /// follows a colon is passed over); relative to the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocklist: Option<PathBuf>,
}

impl Default for PasswordRules {
    fn default() -> Self {
        Self {
            min_length: 15,
            min_length_with_second_factor: 8,
            classes: 3,
            passphrase_length: 20,
            min_strength: 3,
            history: 5,
            blocklist: None,
        }
    }
}

/// Passkeys: what they are bound to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasskeyRules {
    /// The domain that passkeys are bound to: the host of every origin, or a domain above it. Passkeys of another
    /// one are worth nothing here, so choose it once. The host of the first origin where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relying_party: Option<String>,
    /// How many passkeys an account may have (1 to 64).
    pub max_per_account: usize,
}

impl Default for PasskeyRules {
    fn default() -> Self {
        Self {
            relying_party: None,
            max_per_account: 10,
        }
    }
}

/// What of the configuration cannot work or is not safe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountsConfigError {
    /// A number is too small or too large.
    #[error("accounts.{key} is {found}: use {least} to {most}")]
    Number {
        /// Which one.
        key: &'static str,
        /// What it is.
        found: usize,
        /// The least that it may be.
        least: usize,
        /// The most that it may be.
        most: usize,
    },
    /// Browsers do not reach the console there, or passkeys could not be used there.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The server that takes mail cannot work, or is not safe.
    #[error("accounts.mail.{0}")]
    Mail(String),
    /// A provider cannot work, or is not safe.
    #[error("accounts.oidc{0}")]
    Oidc(String),
}

impl AccountsConfig {
    /// Refuses what cannot work or is not safe.
    ///
    /// # Errors
    /// Says which key and what it may be.
    pub fn check(&self) -> Result<(), AccountsConfigError> {
        let rules = &self.passwords;
        for (key, found, least, most) in [
            (
                "sessions.idle_s",
                self.sessions.idle_s as usize,
                300,
                86_400,
            ),
            (
                "sessions.absolute_s",
                self.sessions.absolute_s as usize,
                300,
                604_800,
            ),
            ("passwords.min_length", rules.min_length, 12, 64),
            (
                "passwords.min_length_with_second_factor",
                rules.min_length_with_second_factor,
                8,
                64,
            ),
            ("passwords.classes", rules.classes.into(), 0, 4),
            (
                "passwords.passphrase_length",
                rules.passphrase_length,
                16,
                256,
            ),
            ("passwords.min_strength", rules.min_strength.into(), 2, 4),
            ("passwords.history", rules.history, 0, 24),
            (
                "passkeys.max_per_account",
                self.passkeys.max_per_account,
                1,
                64,
            ),
        ] {
            if !(least..=most).contains(&found) {
                return Err(AccountsConfigError::Number {
                    key,
                    found,
                    least,
                    most,
                });
            }
        }
        RelyingParty::new(self, DEFAULT_PORT)?;
        if let Some(mail) = &self.mail {
            mail.check().map_err(AccountsConfigError::Mail)?;
        }
        check_all(&self.oidc).map_err(AccountsConfigError::Oidc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_weaker_ones_are_not() {
        let mut config = AccountsConfig::default();
        assert_eq!(config.check(), Ok(()));
        config.passwords.min_length = 6;
        let error = config.check().expect_err("is too weak").to_string();
        assert!(
            error.starts_with("accounts.passwords.min_length is 6"),
            "{error}"
        );
    }
}
