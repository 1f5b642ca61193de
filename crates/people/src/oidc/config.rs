//! How a provider is set up.

use std::{collections::BTreeMap, path::PathBuf};

use palisade_oidc::Settings;
use serde::{Deserialize, Serialize};

use crate::Role;

const MAX_PROVIDERS: usize = 8;
const MAX_LABEL: usize = 40;

/// A provider of OpenID Connect that people sign in with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// What it is called here and in addresses: 1 to 32 of `a-z`, `0-9` and `-`.
    pub name: String,
    /// What people read on its button; the name where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its issuer (`https://id.example`), exactly as its discovery document says.
    pub issuer: String,
    /// Who we are to it.
    pub client_id: String,
    /// A file that holds the client's secret, and that nobody else can read. Relative to the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// The name of an environment variable that holds that secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_env: Option<String>,
    /// A file with the root certificates to trust, in PEM; those of the system where absent. Relative to the data
    /// directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// What is asked for besides `openid`.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// The claim that a new account is named by.
    #[serde(default = "name_claim")]
    pub name_claim: String,
    /// The claim that roles are given by: a list of texts or one text; `a.b` is `b` within `a`.
    #[serde(default = "roles_claim")]
    pub roles_claim: String,
    /// Which of its values gives which roles. Who has none of them does not get in.
    pub roles: BTreeMap<String, Vec<Role>>,
    /// Whether accounts are made at the first sign-in; else only those get in who linked their account.
    #[serde(default = "yes")]
    pub make_accounts: bool,
    /// The values of `amr` of which one counts as a second factor. None: the second factor is our own.
    #[serde(default)]
    pub second_factor_amr: Vec<String>,
    /// The values of `acr` that count as a second factor; they are asked for.
    #[serde(default)]
    pub second_factor_acr: Vec<String>,
}

fn scopes() -> Vec<String> {
    ["profile", "email"].map(str::to_owned).to_vec()
}

fn name_claim() -> String {
    "preferred_username".to_owned()
}

fn roles_claim() -> String {
    "groups".to_owned()
}

fn yes() -> bool {
    true
}

impl OidcConfig {
    /// What people read on its button.
    #[must_use]
    pub fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }

    fn check(&self) -> Result<(), String> {
        let is_of = |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit() || one == b'-';
        if !(1..=32).contains(&self.name.len()) || !self.name.bytes().all(is_of) {
            return Err("name: write 1 to 32 of a-z, 0-9 and -".to_owned());
        }
        let label = self.label();
        if label.trim().is_empty()
            || label.chars().count() > MAX_LABEL
            || label.chars().any(char::is_control)
        {
            return Err(format!("label: write 1 to {MAX_LABEL} characters"));
        }
        Settings::check_issuer(&self.issuer).map_err(|error| error.to_string())?;
        if self.client_id.is_empty() || self.client_id.len() > 256 {
            return Err("client_id: it has 1 to 256 characters".to_owned());
        }
        if self.client_secret_file.is_some() == self.client_secret_env.is_some() {
            return Err("name one of client_secret_file and client_secret_env".to_owned());
        }
        for (key, claim) in [
            ("name_claim", &self.name_claim),
            ("roles_claim", &self.roles_claim),
        ] {
            if claim.is_empty() {
                return Err(format!("{key}: name a claim"));
            }
        }
        let gives = |roles: &Vec<Role>| !roles.is_empty();
        if !self.roles.values().any(gives) && self.make_accounts {
            let why = "roles: give a role to a value of the claim, as { \"fleet-operators\" = [\"operator\"] }; \
                       without one nobody gets in";
            return Err(why.to_owned());
        }
        Ok(())
    }
}

/// Refuses what cannot work or is not safe; says where.
pub(crate) fn check_all(providers: &[OidcConfig]) -> Result<(), String> {
    if providers.len() > MAX_PROVIDERS {
        return Err(format!(": at most {MAX_PROVIDERS} providers"));
    }
    for (index, provider) in providers.iter().enumerate() {
        let name: String = provider.name.chars().take(40).collect();
        provider
            .check()
            .map_err(|why| format!(", {name:?}: {why}"))?;
        let before = &providers[..index];
        if before.iter().any(|other| other.name == provider.name) {
            return Err(format!(", {name:?}: there are two of that name"));
        }
        // An identity is of an issuer, and it would not be clear whose rules count for it.
        if before.iter().any(|other| other.issuer == provider.issuer) {
            return Err(format!(", {name:?}: there are two of that issuer"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> OidcConfig {
        let json = serde_json::json!({
            "name": "corp", "issuer": "https://id.test", "client_id": "palisade",
            "client_secret_env": "SECRET", "roles": { "ops": ["operator"] },
        });
        serde_json::from_value(json).expect("a provider")
    }

    #[test]
    fn a_provider_that_cannot_work_or_is_not_safe_is_refused_with_what_would_be_right() {
        assert_eq!(check_all(&[provider()]), Ok(()));
        let refused = |change: &dyn Fn(&mut OidcConfig)| {
            let mut one = provider();
            change(&mut one);
            check_all(&[one]).expect_err("is refused")
        };
        let why = refused(&|one| one.issuer = "http://id.test".to_owned());
        assert!(why.starts_with(", \"corp\": issuer: "), "{why}");
        let why = refused(&|one| one.name = "Corp/..".to_owned());
        assert!(why.contains("name: "), "{why}");
        let why = refused(&|one| one.client_secret_env = None);
        assert!(why.contains("client_secret_file"), "{why}");
        let why = refused(&|one| one.roles.clear());
        assert!(why.contains("nobody gets in"), "{why}");
        let why = refused(&|one| one.label = Some("a\u{7}".to_owned()));
        assert!(why.contains("label"), "{why}");
    }

    #[test]
    fn no_two_providers_have_one_name_or_one_issuer() {
        let mut other = provider();
        assert!(check_all(&[provider(), other.clone()]).is_err());
        other.name = "other".to_owned();
        assert!(check_all(&[provider(), other.clone()]).is_err());
        other.issuer = "https://id.test/other".to_owned();
        assert_eq!(check_all(&[provider(), other]), Ok(()));
    }
}
