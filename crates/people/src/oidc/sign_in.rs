//! A sign-in with a provider, from the browser's going to its coming back.

use std::net::IpAddr;

use palisade_oidc::{Pending, ProviderError, Returned};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{accounts::OidcChange, config::OidcConfig, link::Linking, providers::Known};
use crate::{
    Opened, People, PeopleError, Wanted,
    ceremony::{Kind, network_of},
    secret,
};

/// The prefix of the secret that a browser keeps meanwhile.
const BROWSER: &str = "pob_";

/// A sign-in that was begun.
pub struct OidcBegun {
    /// Where the browser is to go.
    pub url: Url,
    /// What it must have when it is back.
    pub browser: String,
}

/// What came of a browser that is back.
pub enum Arrived {
    /// Somebody is in.
    In {
        /// Their session.
        opened: Opened,
        /// Where in the console they were on the way to.
        next: String,
        /// What was changed of the account.
        changes: Vec<OidcChange>,
    },
    /// Somebody owes a code of their own second factor: the provider saw none that counts here.
    WantsCode {
        /// The secret that the code is shown with.
        secret: String,
        /// Which factors they have.
        wanted: Wanted,
        /// Where in the console they were on the way to.
        next: String,
        /// What was changed of the account.
        changes: Vec<OidcChange>,
    },
    /// An account is linked with what its person is at the provider.
    Linked {
        /// The account.
        account: String,
    },
}

/// Why somebody who is who they say does not get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OidcRefusal {
    /// The provider gives no name that an account could have.
    #[error(
        "the provider gives no name that an account could have (name_claim): 1 to 64 of a-z, 0-9, '.', '_', '@', '-'"
    )]
    NoName,
    /// Another account has the name.
    #[error(
        "an account of this server has the name that the provider gives you, and is not linked with you there: sign in \
         to it, and link it on its page, if it is yours"
    )]
    NameTaken,
    /// Accounts are not made.
    #[error(
        "no account of this server is linked with you at the provider: sign in to yours, and link it on its page"
    )]
    NoAccount,
    /// No role comes of the claims.
    #[error(
        "the provider gives you nothing that stands for a role here (roles_claim): ask whoever administers it for a group \
         that does"
    )]
    NoRole,
    /// The account is disabled.
    #[error("the account is disabled: ask an owner of this server")]
    Disabled,
    /// It is the last owner, and the provider says that they are none.
    #[error(
        "the provider gives you another role than owner, and you are the last owner of this server: another owner is \
         needed first"
    )]
    LastOwner,
    /// The identity is another account's.
    #[error("another account of this server is linked with you at the provider")]
    LinkedElsewhere,
    /// The account was changed meanwhile.
    #[error("the account was changed meanwhile: begin anew")]
    Changed,
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// There is no such provider.
    #[error("there is no provider {0:?}: GET /api/v1/session/oidc lists those there are")]
    NoProvider(String),
    /// Nothing waits for what came back: it was begun in another browser or with another provider, too long ago, or has
    /// come back before.
    #[error(
        "this sign-in was not begun in this browser, or too long ago, or has ended already: begin anew"
    )]
    NotBegun,
    /// The provider.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Somebody who is known by the provider does not get in here.
    #[error("{why}")]
    Refused {
        /// Who: an account, or `provider:subject`.
        who: String,
        /// Why.
        why: OidcRefusal,
        /// What was changed of the account all the same.
        changes: Vec<OidcChange>,
    },
    /// Something else.
    #[error(transparent)]
    People(#[from] PeopleError),
}

impl From<palisade_store::StoreError> for OidcError {
    fn from(error: palisade_store::StoreError) -> Self {
        Self::People(error.into())
    }
}

/// What waits for the browser.
#[derive(Serialize, Deserialize)]
pub(super) struct Waiting {
    provider: String,
    pending: Pending,
    browser: Vec<u8>,
    next: String,
    linking: Option<Linking>,
}

impl People {
    /// The providers that people sign in with.
    pub fn providers(&self) -> impl Iterator<Item = &OidcConfig> {
        self.providers.all()
    }

    /// Begins a sign-in with a provider, of a browser that says it is at `host`.
    ///
    /// # Errors
    /// When there is no such provider, or it does not answer.
    pub async fn begin_oidc(
        &self,
        provider: &str,
        next: String,
        (host, source): (Option<&str>, Option<IpAddr>),
    ) -> Result<OidcBegun, OidcError> {
        self.begin_at(provider, (next, None), (host, network_of(source)))
            .await
    }

    pub(super) async fn begin_at(
        &self,
        provider: &str,
        (next, linking): (String, Option<Linking>),
        (host, holder): (Option<&str>, String),
    ) -> Result<OidcBegun, OidcError> {
        let known = self.provider(provider)?;
        let begun = known
            .provider
            .begin(&self.redirect(provider, host)?)
            .await?;
        let browser = secret::generate(BROWSER)?;
        let waiting = Waiting {
            provider: provider.to_owned(),
            pending: begun.pending.clone(),
            browser: secret::hash(&browser),
            next,
            linking,
        };
        let state = self.begin(Kind::Oidc, holder, &waiting).await?;
        let url = known.provider.url(&begun, &state)?;
        Ok(OidcBegun { url, browser })
    }

    /// Ends a sign-in with what a browser brought back from a provider, and what it kept meanwhile.
    ///
    /// # Errors
    /// When it is not the browser or the provider that it was begun with, what came is not to be believed, or whoever it
    /// is does not get in.
    pub async fn finish_oidc(
        &self,
        provider: &str,
        (state, returned): (&str, &Returned),
        browser: Option<&str>,
        source: Option<IpAddr>,
    ) -> Result<Arrived, OidcError> {
        let begun = self.attempts.begin(None, source, self.ground.clock.now());
        begun.map_err(PeopleError::TooMany)?;
        let known = self.provider(provider)?;
        let found = self.take::<Waiting>(Kind::Oidc, state).await?;
        let browser = browser.map(secret::hash);
        // The hashes are what is compared: how long that takes says nothing about any secret.
        let is_of = |waiting: &Waiting| {
            Some(&waiting.browser) == browser.as_ref() && waiting.provider == provider
        };
        let waiting = found.map(|(_, waiting)| waiting).filter(is_of);
        let waiting = waiting.ok_or(OidcError::NotBegun)?;
        let wanted = [
            known.config.name_claim.as_str(),
            known.config.roles_claim.as_str(),
        ];
        let identity = known.provider.finish(returned, &waiting.pending, &wanted);
        let identity = identity.await?;
        if let Some(linking) = waiting.linking {
            let account = self.end_link(known, &identity, linking).await?;
            self.attempts.succeeded(None, source, true);
            return Ok(Arrived::Linked { account });
        }
        let admitted = self.admit(known, &identity).await?;
        self.attempts.succeeded(None, source, true);
        self.let_in(admitted, waiting.next, source).await
    }

    pub(super) fn provider(&self, name: &str) -> Result<&Known, OidcError> {
        let no = || OidcError::NoProvider(name.chars().take(40).collect());
        self.providers.find(name).ok_or_else(no)
    }

    /// Where a provider sends browsers back to. Each has its own address: what one of them sends cannot pass for another's.
    fn redirect(&self, provider: &str, host: Option<&str>) -> Result<Url, PeopleError> {
        let origin = self
            .relying_party()?
            .origin_at(host)
            .ok_or(PeopleError::NoOrigin)?;
        let path = format!("/api/v1/session/oidc/{provider}/callback");
        origin.join(&path).map_err(|_| PeopleError::NoOrigin)
    }
}
