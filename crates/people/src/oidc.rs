//! Logging in through a provider of identities (OpenID Connect, authorization code with PKCE). The provider says who
//! somebody is; the configuration says which roles that makes, anew at each log-in. Who came in this way has no
//! password here and no other way in.

mod claims;
mod config;
mod provider;

use std::{collections::BTreeMap, net::IpAddr, path::Path, sync::Arc};

use openidconnect::{
    AuthorizationCode, CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, Scope, TokenResponse,
    core::{CoreAuthenticationFlow, CoreJwsSigningAlgorithm},
};
use palisade_core::Timestamp;
use palisade_store::Account;
use serde::{Deserialize, Serialize};

use crate::{
    AccountName, Opened, People, PeopleError, Role,
    ceremony::{Kind, network_of},
    secret,
};
use claims::Known;
pub(crate) use config::check;
pub use config::{OidcConfig, OidcConfigError, OidcProviders};
pub(crate) use provider::Provider;
pub use provider::{Fetch, FetchError};

/// What the id token may be signed with. Nothing that a secret of ours or nobody at all could have signed.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 5] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];
/// The longest code or state that is looked at.
const MAX_PARAMETER: usize = 2_048;

/// A log-in that was sent to a provider.
pub struct SentOut {
    /// Where the browser goes.
    pub url: String,
    /// What binds the log-in to this browser: it must show it when it comes back.
    pub browser: String,
}

/// A browser that comes back from a provider.
pub struct CameBack {
    /// From which one, as the address says.
    pub provider: String,
    /// What was sent along.
    pub state: String,
    /// What the provider gave.
    pub code: String,
    /// Who the provider says it is (RFC 9207).
    pub issuer: Option<String>,
    /// What binds the log-in to this browser.
    pub browser: Option<String>,
    /// From where it comes.
    pub source: Option<IpAddr>,
}

/// Why nobody was logged in through a provider.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// There is no such provider.
    #[error("there is no provider of that name")]
    NoProvider,
    /// Something of it is not right; the log says what.
    #[error("the log-in through the provider is not right, or came too late: begin anew")]
    NotRight(&'static str),
    /// The provider knows the person, and nothing that it says of them makes a role here.
    #[error("the provider gives you no role here: ask who administers it")]
    NoRole,
    /// An account of that name is there, and is not the person's.
    #[error("there is another account of your name here: ask who administers it")]
    NameTaken,
    /// No account is made for whom only the provider knows.
    #[error("you have no account here: ask who administers this server")]
    NoAccount,
    /// The provider does not answer, or not as it should.
    #[error("the provider does not answer as it should: try again")]
    Provider(String),
    /// Something else.
    #[error(transparent)]
    People(#[from] PeopleError),
}

impl From<palisade_store::StoreError> for OidcError {
    fn from(error: palisade_store::StoreError) -> Self {
        Self::People(error.into())
    }
}

#[derive(Serialize, Deserialize)]
struct Waiting {
    provider: String,
    verifier: PkceCodeVerifier,
    nonce: Nonce,
    /// The hash of what binds the log-in to its browser.
    browser: Vec<u8>,
}

/// The providers that the configuration names.
pub(crate) fn open(
    config: &OidcProviders,
    data: &Path,
) -> Result<BTreeMap<String, Provider>, OidcConfigError> {
    let providers = config.iter();
    let opened = providers.map(|(name, config)| {
        let provider = Provider::open(name, config, data)?;
        Ok((name.clone(), provider))
    });
    opened.collect()
}

impl People {
    /// Says how providers are asked.
    pub fn ask_providers_through(&self, fetch: Arc<dyn Fetch>) {
        // Whoever comes second asks as before.
        let _ = self.fetch.set(fetch);
    }

    /// The names and titles of the providers that somebody can log in through.
    pub fn providers(&self) -> impl Iterator<Item = (&str, &str)> {
        let providers = self.providers.iter();
        providers.map(|(name, provider)| (name.as_str(), provider.config.title.as_str()))
    }

    fn provider(&self, name: &str) -> Result<&Provider, OidcError> {
        self.providers.get(name).ok_or(OidcError::NoProvider)
    }

    /// Sends somebody to a provider to log in there.
    ///
    /// # Errors
    /// When there is no such provider, or it does not answer.
    pub async fn send_out(
        &self,
        provider: &str,
        source: Option<IpAddr>,
    ) -> Result<SentOut, OidcError> {
        let found = self.provider(provider)?;
        let client = self.client(found).await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (browser, nonce) = (secret::generate("")?, Nonce::new(secret::generate("")?));
        let waiting = Waiting {
            provider: provider.to_owned(),
            verifier,
            nonce: nonce.clone(),
            browser: secret::hash(&browser),
        };
        let state = self.begin(Kind::Oidc, network_of(source), &waiting).await?;
        let scopes = found.config.scopes.iter().cloned().map(Scope::new);
        let (url, ..) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                || CsrfToken::new(state),
                || nonce,
            )
            .add_scopes(scopes)
            .set_pkce_challenge(challenge)
            .url();
        Ok(SentOut {
            url: url.into(),
            browser,
        })
    }

    /// Logs somebody in whom a provider sent back.
    ///
    /// # Errors
    /// When something is not right, or the provider gives no role.
    pub async fn came_back(&self, back: CameBack) -> Result<Opened, OidcError> {
        let now = self.ground.clock.now();
        let begun = self.attempts.begin(None, back.source, now);
        begun.map_err(PeopleError::TooMany)?;
        if back.state.len() > MAX_PARAMETER || back.code.len() > MAX_PARAMETER {
            return Err(OidcError::NotRight("a parameter is too long"));
        }
        let found = self.take::<Waiting>(Kind::Oidc, &back.state).await?;
        let (_, waiting) = found.ok_or(OidcError::NotRight("a state that is not known"))?;
        let browser = back.browser.as_deref().map(secret::hash);
        if browser.as_ref() != Some(&waiting.browser) {
            return Err(OidcError::NotRight("another browser than it began with"));
        }
        if waiting.provider != back.provider {
            return Err(OidcError::NotRight("another provider than it began with"));
        }
        let provider = self.provider(&waiting.provider)?;
        let issuer = provider.config.issuer.as_str();
        if back.issuer.is_some_and(|said| said != issuer) {
            return Err(OidcError::NotRight("another issuer than it began with"));
        }
        let known = self.redeem(provider, back.code, &waiting).await?;
        let account = self.account_for(provider, &known).await?;
        self.attempts.succeeded(None, back.source, true);
        let accounts = self.ground.store.accounts();
        accounts.touch(&account.name, now).await?;
        let second_factor = provider.config.second_factor;
        Ok(self
            .open_session(account, second_factor, back.source)
            .await?)
    }

    /// Turns the code into what the provider signed about the person.
    async fn redeem(
        &self,
        provider: &Provider,
        code: String,
        waiting: &Waiting,
    ) -> Result<Known, OidcError> {
        let client = self.client(provider).await?;
        let asked = client.exchange_code(AuthorizationCode::new(code));
        let asked = asked.map_err(|error| OidcError::Provider(error.to_string()))?;
        let verifier = PkceCodeVerifier::new(waiting.verifier.secret().clone());
        let fetch = self.fetcher(provider)?;
        let answer = asked
            .set_pkce_verifier(verifier)
            .request_async(&fetch)
            .await
            .map_err(|error| {
                tracing::info!(provider = provider.name, %error, "a provider refused a code");
                OidcError::NotRight("the provider refuses the code")
            })?;
        let token = answer.id_token();
        let token = token.ok_or(OidcError::NotRight("the provider sent no id token"))?;
        let judge = client
            .id_token_verifier()
            .set_allowed_algs(ALGORITHMS.iter().cloned());
        let claims = token.claims(&judge, &waiting.nonce).map_err(|error| {
            tracing::warn!(provider = provider.name, %error, "an id token is not valid");
            OidcError::NotRight("the id token is not valid")
        })?;
        Ok(Known::of(claims, &provider.config))
    }

    /// The account of whom the provider knows, with the roles that the configuration makes of it.
    async fn account_for(&self, provider: &Provider, known: &Known) -> Result<Account, OidcError> {
        let issuer = provider.config.issuer.as_str();
        let store = &self.ground.store;
        let subjects = store.oidc_subjects();
        let roles = provider.config.roles_of(&known.groups);
        let Some(name) = subjects.account_of(issuer, &known.subject).await? else {
            return self.make_for(provider, known, &roles).await;
        };
        let unknown = || PeopleError::NoAccount(name.clone());
        let account = store.accounts().find(&name).await?;
        let account = account.ok_or_else(unknown)?;
        if account.disabled {
            return Err(OidcError::NotRight("an account that is disabled"));
        }
        if account.roles != roles && !store.accounts().set_roles(&name, &roles).await? {
            return Err(PeopleError::LastOwner.into());
        }
        if roles.is_empty() {
            return Err(OidcError::NoRole);
        }
        let account = store.accounts().find(&name).await?;
        Ok(account.ok_or_else(unknown)?)
    }

    async fn make_for(
        &self,
        provider: &Provider,
        known: &Known,
        roles: &[String],
    ) -> Result<Account, OidcError> {
        if roles.is_empty() {
            return Err(OidcError::NoRole);
        }
        if !provider.config.make_accounts {
            return Err(OidcError::NoAccount);
        }
        let name = known.name.as_deref().map(AccountName::parse);
        let Some(Ok(name)) = name else {
            return Err(OidcError::NotRight(
                "the provider gives no name of an account",
            ));
        };
        let now = self.ground.clock.now();
        let account = Account {
            name: name.to_string(),
            roles: roles.to_vec(),
            password: String::new(),
            must_change: false,
            disabled: false,
            generation: 1,
            created_at: now,
            password_changed_at: Timestamp::UNIX_EPOCH,
            last_login_at: None,
        };
        let issuer = provider.config.issuer.as_str();
        let subjects = self.ground.store.oidc_subjects();
        match subjects.add(issuer, &known.subject, &account).await {
            Ok(()) => Ok(account),
            Err(palisade_store::StoreError::Conflict(_)) => Err(OidcError::NameTaken),
            Err(error) => Err(error.into()),
        }
    }
}

/// Refuses to give somebody another way in who logs in through a provider: their roles are made anew there, and
/// there they are taken out.
pub(crate) fn has_password(account: &Account) -> Result<(), PeopleError> {
    match account.password.is_empty() {
        true => Err(PeopleError::ThroughProvider),
        false => Ok(()),
    }
}

/// The names of roles, each once and in order.
fn names(roles: impl Iterator<Item = Role>) -> Vec<String> {
    let mut names: Vec<String> = roles.map(|role| role.as_str().to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
