//! How a provider is set up.

use openidconnect::{ClientSecret, IssuerUrl};

/// How a provider is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What it is called here.
    pub name: String,
    /// Its issuer, an `https://` address without a query: discovery is below it.
    pub issuer: String,
    /// Who we are to it.
    pub client_id: String,
    /// What proves that to it; nothing shows it.
    pub client_secret: ClientSecret,
    /// What is asked for besides `openid`.
    pub scopes: Vec<String>,
    /// The authentication contexts that are asked for (`acr_values`).
    pub acr_values: Vec<String>,
    /// The root certificates that its own must lead to, in DER.
    pub roots: Vec<Vec<u8>>,
}

/// Why a provider cannot be set up so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The issuer is none.
    #[error(
        "issuer: {0:?} is no issuer: write https://HOST or https://HOST/PATH, as its discovery document says"
    )]
    Issuer(String),
}

impl Settings {
    /// Reads the address of an issuer: the very text is what its tokens must say.
    ///
    /// # Errors
    /// When it is none.
    pub fn check_issuer(issuer: &str) -> Result<(), SettingsError> {
        read_issuer(issuer).map(drop)
    }
}

pub(crate) fn read_issuer(text: &str) -> Result<IssuerUrl, SettingsError> {
    let refused = || SettingsError::Issuer(text.to_owned());
    let issuer = IssuerUrl::new(text.to_owned()).map_err(|_| refused())?;
    let url = issuer.url();
    let is_plain = url.scheme() == "https"
        && url.host_str().is_some()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    match is_plain {
        true => Ok(issuer),
        false => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_reached_by_tls_and_nothing_stands_behind_its_path() {
        for good in [
            "https://id.test",
            "https://id.test:8443/realms/fleet",
            "https://id.test/",
        ] {
            assert_eq!(Settings::check_issuer(good), Ok(()));
        }
        for bad in [
            "http://id.test",
            "https://id.test?tenant=1",
            "https://id.test#a",
            "https://anna@id.test",
            "id.test",
            "file:///etc/passwd",
            "",
        ] {
            assert!(Settings::check_issuer(bad).is_err(), "{bad}");
        }
    }
}
