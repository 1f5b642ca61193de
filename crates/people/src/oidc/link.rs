//! Linking: the person of an account, signed in to it, says who they are at a provider. It gives no role, and takes none.

use std::net::IpAddr;

use palisade_core::Timestamp;
use palisade_oidc::Identity;
use palisade_store::{Account, AccountIdentity, StoreError};
use serde::{Deserialize, Serialize};

use super::{
    providers::Known,
    sign_in::{OidcBegun, OidcError, OidcRefusal},
};
use crate::{Opened, People, PeopleError};

/// Where a browser is after its account was linked.
const AFTER: &str = "/account";

/// For which account an identity is to be had.
#[derive(Serialize, Deserialize)]
pub(super) struct Linking {
    account: String,
    /// The account may not have changed in between.
    generation: u64,
}

impl People {
    /// An account's identities at providers.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn identities(&self, account: &Account) -> Result<Vec<AccountIdentity>, PeopleError> {
        Ok(self.ground.store.identities().of(&account.name).await?)
    }

    /// Begins to link an account with what its person is at a provider.
    ///
    /// # Errors
    /// When there is no such provider or it does not answer, the account is linked with it or is a provider's own, or the
    /// session, which ends at `expires_at`, began too long ago.
    pub async fn begin_oidc_link(
        &self,
        account: &Account,
        expires_at: Option<Timestamp>,
        provider: &str,
        host: Option<&str>,
    ) -> Result<OidcBegun, OidcError> {
        self.is_fresh(expires_at)?;
        self.is_not_of_provider(&account.name).await?;
        let known = self.provider(provider)?;
        let have = self.identities(account).await?;
        if have.iter().any(|one| one.issuer == known.provider.issuer()) {
            return Err(PeopleError::Linked.into());
        }
        let linking = Linking {
            account: account.name.clone(),
            generation: account.generation,
        };
        let way = (AFTER.to_owned(), Some(linking));
        self.begin_at(provider, way, (host, account.name.clone()))
            .await
    }

    pub(super) async fn end_link(
        &self,
        known: &Known,
        identity: &Identity,
        linking: Linking,
    ) -> Result<String, OidcError> {
        let bound = self.identity_of(known, identity, linking.account.clone());
        let identities = self.ground.store.identities();
        let linked = identities.link(&bound, linking.generation).await;
        let why = match linked {
            Ok(true) => return Ok(linking.account),
            Ok(false) => OidcRefusal::Changed,
            Err(StoreError::Conflict(_)) => OidcRefusal::LinkedElsewhere,
            Err(error) => return Err(error.into()),
        };
        Err(OidcError::Refused {
            who: linking.account,
            why,
            changes: Vec::new(),
        })
    }

    /// Takes the link with a provider from an account. All sessions of the account end, since it may be what one of them
    /// began with, and a new one begins.
    ///
    /// # Errors
    /// When there is no such link, or the account came to be by it and would have no way in.
    pub async fn unlink_oidc(
        &self,
        account: &Account,
        provider: &str,
        source: Option<IpAddr>,
    ) -> Result<Opened, PeopleError> {
        let have = self.identities(account).await?;
        // By name: the provider may not be there any more.
        let found = have.iter().find(|one| one.provider == provider);
        let found = found.ok_or(PeopleError::NotLinked)?;
        if found.is_made {
            return Err(PeopleError::OfProvider);
        }
        let identities = self.ground.store.identities();
        match identities.unlink(&account.name, &found.issuer).await? {
            true => self.open_anew(&account.name, source).await,
            false => Err(PeopleError::NotLinked),
        }
    }
}
