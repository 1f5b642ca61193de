//! Passkeys (WebAuthn): each is bound to this server's domain and checked by the person's authenticator, so that it
//! is two factors in one. Only its public key is kept here.

use std::{net::IpAddr, time::Duration};

use palisade_core::{Timestamp, TokenId};
use palisade_store::{Account, PasskeyAdded, PasskeyRecord};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use webauthn_rs::prelude::{
    CreationChallengeResponse, Passkey, PasskeyRegistration, RegisterPublicKeyCredential, Uuid,
};

use crate::{Opened, People, PeopleError, ceremony::Kind, second_factor, secret};

/// Whoever adds a way to log in has logged in so short a time ago.
const FRESH: Duration = Duration::from_secs(60 * 60);
/// The longest name of a credential that WebAuthn knows.
const MAX_CREDENTIAL: usize = 1_023;

/// A ceremony that was begun.
pub struct Begun {
    /// The secret that it is ended with.
    pub ceremony: String,
    /// What the browser is to ask its authenticators, in WebAuthn's JSON.
    pub options: Value,
}

/// A passkey that was enrolled.
pub struct Enrolled {
    /// The passkey.
    pub passkey: PasskeyRecord,
    /// Codes that stand in for the second factor, each once: shown now and never again. None where the account
    /// has some.
    pub recovery_codes: Option<Vec<String>>,
    /// The session that takes the place of all that the account had, where this is its first second factor.
    pub opened: Option<Opened>,
}

#[derive(Serialize, Deserialize)]
struct Enrolling {
    state: PasskeyRegistration,
    /// The account may not have changed in between.
    generation: u64,
}

impl People {
    /// Begins to enrol a passkey.
    ///
    /// # Errors
    /// When the account has as many as it may, or the session, which ends at `expires_at`, began too long ago.
    pub async fn begin_passkey(
        &self,
        account: &Account,
        expires_at: Option<Timestamp>,
    ) -> Result<Begun, PeopleError> {
        self.is_fresh(expires_at)?;
        self.is_not_of_provider(&account.name).await?;
        let passkeys = self.ground.store.passkeys();
        let have = passkeys.of(&account.name).await?;
        if have.len() >= self.max_passkeys as usize {
            return Err(PeopleError::TooManyPasskeys);
        }
        let handle = passkeys
            .handle(&account.name, &secret::bytes::<16>()?)
            .await?;
        let handle = Uuid::from_slice(&handle).map_err(|_| PeopleError::Seal)?;
        let have = have.into_iter().map(|passkey| passkey.credential);
        let begun = self.relying_party()?.webauthn.start_passkey_registration(
            handle,
            &account.name,
            &account.name,
            Some(have.collect()),
        );
        let (options, state) = begun.map_err(|_| PeopleError::Seal)?;
        let generation = account.generation;
        let state = Enrolling { state, generation };
        let ceremony = self
            .begin(Kind::EnrolPasskey, account.name.clone(), &state)
            .await?;
        Ok(Begun {
            ceremony,
            options: discoverable(options)?,
        })
    }

    /// Ends the enrolment of a passkey with what the authenticator made. Where it is the account's first second
    /// factor, all its sessions end and a new one begins.
    ///
    /// # Errors
    /// When the ceremony was ended before, is too old or of another account, or the authenticator's answer is not
    /// right for it.
    pub async fn add_passkey(
        &self,
        account: &Account,
        ceremony: &str,
        name: String,
        credential: Value,
        source: Option<IpAddr>,
    ) -> Result<Enrolled, PeopleError> {
        let found = self.take::<Enrolling>(Kind::EnrolPasskey, ceremony).await?;
        let (_, begun) = found
            .filter(|(holder, begun)| {
                *holder == account.name && begun.generation == account.generation
            })
            .ok_or(PeopleError::Passkey)?;
        let answer: RegisterPublicKeyCredential =
            serde_json::from_value(credential).map_err(|_| PeopleError::Passkey)?;
        if answer.raw_id.len() > MAX_CREDENTIAL {
            return Err(PeopleError::Passkey);
        }
        let webauthn = &self.relying_party()?.webauthn;
        let made = webauthn.finish_passkey_registration(&answer, &begun.state);
        let made = made.map_err(|error| {
            tracing::info!(%error, account = account.name, "a passkey was not enrolled");
            PeopleError::Passkey
        })?;
        let passkey = self.record_of(account, name, &made)?;
        let (codes, hashes) = second_factor::recovery_codes()?;
        let passkeys = self.ground.store.passkeys();
        let added = passkeys.add(account, &passkey, self.max_passkeys, &hashes);
        match added.await? {
            PasskeyAdded::Full => Err(PeopleError::TooManyPasskeys),
            PasskeyAdded::Changed => Err(PeopleError::Changed),
            PasskeyAdded::Added {
                is_first,
                with_recovery,
            } => Ok(Enrolled {
                passkey,
                recovery_codes: with_recovery.then_some(codes),
                opened: match is_first {
                    true => Some(self.open_anew(&account.name, source).await?),
                    false => None,
                },
            }),
        }
    }

    fn record_of(
        &self,
        account: &Account,
        name: String,
        made: &Passkey,
    ) -> Result<PasskeyRecord, PeopleError> {
        let credential: &[u8] = made.cred_id().as_ref();
        Ok(PasskeyRecord {
            id: TokenId::generate(),
            account: account.name.clone(),
            credential: credential.to_vec(),
            name,
            public_key: serde_json::to_string(made).map_err(|_| PeopleError::Seal)?,
            counter: 0,
            created_at: self.ground.clock.now(),
            last_used_at: None,
        })
    }

    /// An account's passkeys, the oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn passkeys(&self, account: &Account) -> Result<Vec<PasskeyRecord>, PeopleError> {
        Ok(self.ground.store.passkeys().of(&account.name).await?)
    }

    /// Removes a passkey. All sessions of the account end, since the passkey may be what one of them began with,
    /// and a new one begins.
    ///
    /// # Errors
    /// When there is no such passkey, or it is the last second factor of an account that needs one.
    pub async fn remove_passkey(
        &self,
        account: &Account,
        id: TokenId,
        source: Option<IpAddr>,
    ) -> Result<Opened, PeopleError> {
        let passkeys = self.ground.store.passkeys();
        let needs_factor = self.needs_factor(account).await?;
        if passkeys.remove(&account.name, id, needs_factor).await? {
            return self.open_anew(&account.name, source).await;
        }
        let is_there = passkeys.of(&account.name).await?;
        match is_there.iter().any(|passkey| passkey.id == id) {
            true => Err(PeopleError::LastFactor),
            false => Err(PeopleError::NoPasskey),
        }
    }

    /// Begins a session of an account whose sessions have all ended.
    pub(crate) async fn open_anew(
        &self,
        account: &str,
        source: Option<IpAddr>,
    ) -> Result<Opened, PeopleError> {
        let account = self.ground.store.accounts().find(account).await?;
        let account = account.ok_or(PeopleError::Changed)?;
        let has_factor = self.has_second_factor(&account.name).await?;
        self.open_session(account, has_factor, source).await
    }

    /// Whether a session, which ends at `expires_at`, began a short time ago.
    pub(crate) fn is_fresh(&self, expires_at: Option<Timestamp>) -> Result<(), PeopleError> {
        let life_s = i64::try_from(self.sessions.absolute_s).unwrap_or(i64::MAX);
        let began_s = expires_at.map(|end| end.as_second().saturating_sub(life_s));
        let oldest_s = self.ground.clock.now().as_second() - FRESH.as_secs() as i64;
        match began_s.is_some_and(|began_s| began_s >= oldest_s) {
            true => Ok(()),
            false => Err(PeopleError::Stale),
        }
    }
}

/// Asks for a passkey that its authenticator finds by itself: nobody names their account to log in with one.
fn discoverable(options: CreationChallengeResponse) -> Result<Value, PeopleError> {
    let mut options = serde_json::to_value(options).map_err(|_| PeopleError::Seal)?;
    let selection = &mut options["publicKey"]["authenticatorSelection"];
    selection["residentKey"] = "required".into();
    selection["requireResidentKey"] = true.into();
    Ok(options)
}
