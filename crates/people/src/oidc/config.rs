//! How providers of identities are set up.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::names;
use crate::Role;

/// Providers by name.
pub type OidcProviders = BTreeMap<String, OidcConfig>;

const MAX_PROVIDERS: usize = 16;
const MAX_NAME: usize = 32;

/// A provider of identities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// What people read where they choose it.
    pub title: String,
    /// Its issuer, to the letter as its metadata says it.
    pub issuer: String,
    /// What this server is called there.
    pub client_id: String,
    /// A file with this server's secret there; relative to the data directory.
    pub client_secret_file: PathBuf,
    /// The CAs that may vouch for its certificate, in PEM; relative to the data directory. For a provider that
    /// everybody uses it is the system's list, as `/etc/ssl/certs/ca-certificates.crt`.
    pub ca_file: PathBuf,
    /// What is asked for besides `openid`.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
    /// The claim of the id token that an account is named after.
    #[serde(default = "default_name_claim")]
    pub name_claim: String,
    /// The claim of the id token, a text or a list, that makes roles.
    #[serde(default = "default_roles_claim")]
    pub roles_claim: String,
    /// Which roles a value of that claim makes. Who has none of them does not come in.
    #[serde(default)]
    pub roles: BTreeMap<String, Vec<Role>>,
    /// Whether accounts are made for people who have none here.
    #[serde(default)]
    pub make_accounts: bool,
    /// Whether it checks two factors of everybody, so that nobody is asked for a second one here.
    #[serde(default)]
    pub second_factor: bool,
}

fn default_scopes() -> Vec<String> {
    vec!["profile".to_owned()]
}

fn default_name_claim() -> String {
    "preferred_username".to_owned()
}

fn default_roles_claim() -> String {
    "groups".to_owned()
}

/// What of a provider's configuration cannot work or is not safe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OidcConfigError {
    /// There are too many.
    #[error("accounts.oidc: at most {MAX_PROVIDERS} providers")]
    TooMany,
    /// A name is none.
    #[error(
        "accounts.oidc.{0}: a provider's name has 1 to {MAX_NAME} of the characters a-z, 0-9 and '-'"
    )]
    Name(String),
    /// The issuer is no address.
    #[error("accounts.oidc.{0}.issuer: write the issuer as an https address, without a query")]
    Issuer(String),
    /// A file cannot be used.
    #[error("accounts.oidc.{name}.{key}: {path} cannot be read: {why}")]
    File {
        /// The provider.
        name: String,
        /// Which file.
        key: &'static str,
        /// Where.
        path: String,
        /// Why.
        why: String,
    },
}

/// Refuses what cannot work or is not safe.
pub(crate) fn check(providers: &OidcProviders) -> Result<(), OidcConfigError> {
    if providers.len() > MAX_PROVIDERS {
        return Err(OidcConfigError::TooMany);
    }
    for (name, provider) in providers {
        let is_of = |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit() || one == b'-';
        if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(is_of) {
            return Err(OidcConfigError::Name(name.clone()));
        }
        let issuer = url::Url::parse(&provider.issuer).ok();
        let is_safe = |url: &url::Url| {
            url.scheme() == "https" && url.query().is_none() && url.fragment().is_none()
        };
        if !issuer.as_ref().is_some_and(is_safe) {
            return Err(OidcConfigError::Issuer(name.clone()));
        }
    }
    Ok(())
}

impl OidcConfig {
    /// The roles that values of the claim make, each once and in order.
    pub(super) fn roles_of(&self, groups: &[String]) -> Vec<String> {
        let made = groups.iter().filter_map(|group| self.roles.get(group));
        names(made.flatten().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(issuer: &str) -> OidcConfig {
        let text = format!(
            "title = 'Corp'\nissuer = '{issuer}'\nclient_id = 'palisade'\n\
             client_secret_file = 'secret'\nca_file = 'ca.pem'\n[roles]\nadmins = ['owner', 'auditor']\n\
             staff = ['auditor']\n"
        );
        toml::from_str(&text).expect("is valid")
    }

    #[test]
    fn roles_are_made_of_the_values_that_are_named_and_of_no_others() {
        let provider = provider("https://id.test");
        let roles = |groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
            provider.roles_of(&groups)
        };
        assert_eq!(roles(&["staff", "admins"]), ["auditor", "owner"]);
        assert_eq!(roles(&["staff"]), ["auditor"]);
        assert!(roles(&["owner", "Admins", ""]).is_empty());
    }

    #[test]
    fn an_issuer_is_an_https_address_and_a_name_is_short_and_plain() {
        let check = |name: &str, issuer: &str| check(&[(name.to_owned(), provider(issuer))].into());
        assert_eq!(check("corp", "https://id.test/realms/a"), Ok(()));
        for bad in ["http://id.test", "https://id.test?a", "id.test"] {
            assert!(matches!(
                check("corp", bad),
                Err(OidcConfigError::Issuer(_))
            ));
        }
        for bad in ["", "Corp", "a/b", "../x"] {
            let refused = check(bad, "https://id.test");
            assert_eq!(refused, Err(OidcConfigError::Name(bad.to_owned())));
        }
    }
}
