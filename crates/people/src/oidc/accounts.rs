//! Whose account an identity is, what it is to be, and whether its person gets in.

use std::net::IpAddr;

use palisade_oidc::Identity;
use palisade_store::{Account, AccountIdentity, RolesSet, StoreError};

use super::{
    claims::{has_second_factor, name_of, roles_of, stranger},
    code::Owing,
    providers::Known,
    sign_in::{Arrived, OidcError, OidcRefusal},
};
use crate::{PasswordHash, People, PeopleError, Role, ceremony::Kind, secret};

/// What a sign-in changed of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OidcChange {
    /// It was made.
    Made {
        /// Which.
        account: String,
        /// With these roles.
        roles: Vec<String>,
    },
    /// Its roles were set; its sessions have ended.
    Roles {
        /// Of which.
        account: String,
        /// What they were.
        before: Vec<String>,
        /// What they are.
        after: Vec<String>,
    },
}

/// Somebody who gets in.
pub(super) struct Admitted {
    account: Account,
    /// Whether the provider saw a second factor that counts.
    second_factor: bool,
    changes: Vec<OidcChange>,
}

impl People {
    /// The account of an identity, with the roles that it is to have.
    pub(super) async fn admit(
        &self,
        known: &Known,
        identity: &Identity,
    ) -> Result<Admitted, OidcError> {
        let roles = self.roles_given(known, identity).await?;
        let identities = self.ground.store.identities();
        let found = identities.find(&identity.issuer, &identity.subject).await?;
        let (bound, mut changes) = match found {
            Some(bound) => (bound, Vec::new()),
            None => self.make_account(known, identity, &roles).await?,
        };
        let refused = |why, changes| OidcError::Refused {
            who: bound.account.clone(),
            why,
            changes,
        };
        let Some(account) = self.ground.store.accounts().find(&bound.account).await? else {
            return Err(refused(OidcRefusal::Changed, changes));
        };
        if bound.is_made {
            let set = identities.set_roles(&account.name, &roles).await?;
            if set == RolesSet::Changed {
                let accounts = self.ground.store.accounts();
                let now = self.ground.clock.now();
                accounts.note_role_change(&account.name, now).await?;
                changes.push(OidcChange::Roles {
                    account: account.name.clone(),
                    before: account.roles,
                    after: roles.clone(),
                });
            }
            self.directory.changed();
            if set == RolesSet::LastOwner {
                return Err(refused(OidcRefusal::LastOwner, changes));
            }
            if roles.is_empty() {
                return Err(refused(OidcRefusal::NoRole, changes));
            }
        }
        // As it is now: its roles may have been set just before.
        let account = self.ground.store.accounts().find(&bound.account).await?;
        let Some(account) = account.filter(|account| !account.disabled) else {
            return Err(refused(OidcRefusal::Disabled, changes));
        };
        let now = self.ground.clock.now();
        let provider = known.config.name.clone();
        identities
            .used(&AccountIdentity { provider, ..bound }, now)
            .await?;
        Ok(Admitted {
            account,
            second_factor: has_second_factor(&known.config, &identity.claims),
            changes,
        })
    }

    /// Opens a session, or asks for a code where there is a second factor and the provider saw none that counts.
    pub(super) async fn let_in(
        &self,
        admitted: Admitted,
        next: String,
        source: Option<IpAddr>,
    ) -> Result<Arrived, OidcError> {
        let Admitted {
            account,
            second_factor,
            changes,
        } = admitted;
        let wanted = self.factors(&account.name).await?;
        if !second_factor && (wanted.totp || wanted.passkey) {
            let owing = Owing::of(&account, next.clone());
            let secret = self
                .begin(Kind::OidcCode, account.name.clone(), &owing)
                .await?;
            return Ok(Arrived::WantsCode {
                secret,
                wanted,
                next,
                changes,
            });
        }
        let now = self.ground.clock.now();
        self.ground
            .store
            .accounts()
            .touch(&account.name, now)
            .await?;
        Ok(Arrived::In {
            opened: self.open_session(account, second_factor, source).await?,
            next,
            changes,
        })
    }

    /// The names of the roles that the claims give, of those that there are.
    async fn roles_given(
        &self,
        known: &Known,
        identity: &Identity,
    ) -> Result<Vec<String>, OidcError> {
        let there_are = self.roles().await?;
        let is_there = |role: &Role| {
            let is_there = there_are.get(role).is_some();
            if !is_there {
                let provider = known.config.name.as_str();
                tracing::warn!(%role, provider, "accounts.oidc gives a role that there is not");
            }
            is_there
        };
        let given = roles_of(&known.config, &identity.claims).into_iter();
        let mut names: Vec<String> = given.filter(is_there).map(String::from).collect();
        names.sort_unstable();
        Ok(names)
    }

    async fn make_account(
        &self,
        known: &Known,
        identity: &Identity,
        roles: &[String],
    ) -> Result<(AccountIdentity, Vec<OidcChange>), OidcError> {
        let refused = |why| OidcError::Refused {
            who: stranger(&known.config, identity),
            why,
            changes: Vec::new(),
        };
        if !known.config.make_accounts {
            return Err(refused(OidcRefusal::NoAccount));
        }
        // Whoever has no role here does not learn which names are taken.
        if roles.is_empty() {
            return Err(refused(OidcRefusal::NoRole));
        }
        let name = name_of(&known.config, &identity.claims);
        let name = name.ok_or_else(|| refused(OidcRefusal::NoName))?;
        let now = self.ground.clock.now();
        let account = Account {
            name: name.to_string(),
            roles: roles.to_vec(),
            password: self.nobodys_password().await?,
            must_change: false,
            disabled: false,
            generation: 1,
            created_at: now,
            password_changed_at: now,
            last_login_at: None,
        };
        let bound = AccountIdentity {
            is_made: true,
            ..self.identity_of(known, identity, name.to_string())
        };
        let identities = self.ground.store.identities();
        match identities.make(&account, &bound).await {
            Ok(()) => {
                let made = OidcChange::Made {
                    account: account.name,
                    roles: account.roles,
                };
                Ok((bound, vec![made]))
            }
            // The name is taken, or they came in twice at once.
            Err(StoreError::Conflict(_)) => {
                let found = identities.find(&identity.issuer, &identity.subject).await?;
                let found = found.ok_or_else(|| refused(OidcRefusal::NameTaken))?;
                Ok((found, Vec::new()))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn identity_of(
        &self,
        known: &Known,
        identity: &Identity,
        account: String,
    ) -> AccountIdentity {
        AccountIdentity {
            issuer: identity.issuer.clone(),
            subject: identity.subject.clone(),
            account,
            provider: known.config.name.clone(),
            is_made: false,
            created_at: self.ground.clock.now(),
            last_used_at: None,
        }
    }

    /// The hash of a password that nobody knows: it takes as long to be wrong as any other.
    async fn nobodys_password(&self) -> Result<String, PeopleError> {
        let password = secret::generate("")?;
        let hash = self
            .workshop
            .run(move || PasswordHash::of(&password))
            .await??;
        Ok(hash.as_str().to_owned())
    }

    /// Refuses a way in besides the provider's for an account that it made: that would outlive the provider's word.
    pub(crate) async fn is_not_of_provider(&self, account: &str) -> Result<(), PeopleError> {
        let identities = self.ground.store.identities().of(account).await?;
        match identities.iter().any(|identity| identity.is_made) {
            true => Err(PeopleError::OfProvider),
            false => Ok(()),
        }
    }
}
