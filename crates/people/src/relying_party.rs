//! Where browsers reach the console, and the domain that passkeys are bound to.

use url::Url;
use webauthn_rs::{Webauthn, WebauthnBuilder};

use crate::AccountsConfig;

/// The port of the door for people, where nothing else is said.
pub(crate) const DEFAULT_PORT: u16 = 8443;
const MAX_ORIGINS: usize = 8;
const NAME: &str = "Palisade";

/// Why passkeys cannot be bound to what the configuration names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// A text is no origin.
    #[error(
        "accounts.origins: {0:?} is no address of the console: write https://HOST or https://HOST:PORT, \
         with a name for HOST"
    )]
    NoOrigin(String),
    /// There are too many.
    #[error("accounts.origins: at most {MAX_ORIGINS}")]
    TooMany,
    /// An origin is not within the domain that passkeys are bound to.
    #[error(
        "accounts.passkeys.relying_party is {domain:?}, and {origin} is not within it: browsers would refuse \
         the passkeys there"
    )]
    Elsewhere {
        /// The domain.
        domain: String,
        /// The origin.
        origin: String,
    },
}

/// What passkeys are bound to.
pub(crate) struct RelyingParty {
    pub(crate) webauthn: Webauthn,
    origins: Vec<Url>,
}

impl RelyingParty {
    /// As the configuration says; `port` is where the console is where it says nothing.
    pub(crate) fn new(config: &AccountsConfig, port: u16) -> Result<Self, OriginError> {
        if config.origins.len() > MAX_ORIGINS {
            return Err(OriginError::TooMany);
        }
        let texts = match config.origins.is_empty() {
            true => vec![format!("https://localhost:{port}")],
            false => config.origins.clone(),
        };
        let origins: Vec<Url> = texts
            .iter()
            .map(|text| origin(text))
            .collect::<Result<_, _>>()?;
        let [first, others @ ..] = origins.as_slice() else {
            return Err(OriginError::NoOrigin(String::new()));
        };
        let host = || first.domain().unwrap_or_default().to_owned();
        let domain = config.passkeys.relying_party.clone().unwrap_or_else(host);
        let elsewhere = |origin: &Url| OriginError::Elsewhere {
            domain: domain.clone(),
            origin: origin.origin().ascii_serialization(),
        };
        let builder = WebauthnBuilder::new(&domain, first).map_err(|_| elsewhere(first))?;
        let mut builder = builder.rp_name(NAME);
        for other in others {
            if WebauthnBuilder::new(&domain, other).is_err() {
                return Err(elsewhere(other));
            }
            builder = builder.append_allowed_origin(other);
        }
        let webauthn = builder.build().map_err(|_| elsewhere(first))?;
        Ok(Self { webauthn, origins })
    }

    /// The origin that a browser says it is at; the first one where that is none of ours.
    pub(crate) fn origin_at(&self, host: Option<&str>) -> Option<&Url> {
        let is_at =
            |origin: &&Url| host.is_some_and(|host| host.eq_ignore_ascii_case(origin.authority()));
        self.origins.iter().find(is_at).or(self.origins.first())
    }
}

/// Reads an origin, and nothing more than an origin.
fn origin(text: &str) -> Result<Url, OriginError> {
    let refused = || OriginError::NoOrigin(text.to_owned());
    let url = Url::parse(text).map_err(|_| refused())?;
    let is_bare = url.scheme() == "https"
        && url.domain().is_some()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    match is_bare {
        true => Ok(url),
        false => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(origins: &[&str], domain: Option<&str>) -> AccountsConfig {
        let mut config = AccountsConfig {
            origins: origins.iter().map(|&text| text.to_owned()).collect(),
            ..AccountsConfig::default()
        };
        config.passkeys.relying_party = domain.map(str::to_owned);
        config
    }

    #[test]
    fn an_origin_is_an_https_address_with_a_name_and_nothing_behind_it() {
        for good in ["https://fleet.test", "https://fleet.test:8443"] {
            assert!(
                RelyingParty::new(&config(&[good], None), 1).is_ok(),
                "{good}"
            );
        }
        for bad in [
            "http://fleet.test",
            "https://192.0.2.1",
            "https://fleet.test/console",
            "https://fleet.test?a",
            "https://anna@fleet.test",
            "fleet.test",
            "",
        ] {
            let refused = RelyingParty::new(&config(&[bad], None), 1).err();
            assert_eq!(refused, Some(OriginError::NoOrigin(bad.to_owned())));
        }
    }

    #[test]
    fn each_origin_is_within_the_domain_that_passkeys_are_bound_to() {
        let two = ["https://a.fleet.test", "https://b.fleet.test"];
        assert!(RelyingParty::new(&config(&two, Some("fleet.test")), 1).is_ok());
        assert!(RelyingParty::new(&config(&two, None), 1).is_err());
        assert!(RelyingParty::new(&config(&two, Some("eet.test")), 1).is_err());
        let party = RelyingParty::new(&config(&[], None), 9_000).expect("is valid");
        let allowed = party.webauthn.get_allowed_origins();
        let allowed: Vec<&str> = allowed.iter().map(Url::as_str).collect();
        assert_eq!(allowed, ["https://localhost:9000/"]);
    }
}
