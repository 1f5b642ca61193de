//! Logging in with a passkey and nothing else. Nobody says which account is theirs: the passkey does. Whatever is
//! wrong, the answer is the same.

use std::net::IpAddr;

use palisade_store::{Account, PasskeyRecord};
use serde_json::Value;
use webauthn_rs::prelude::{
    AuthenticationResult, DiscoverableAuthentication, Passkey, PublicKeyCredential, WebauthnError,
};

use crate::{
    Begun, Opened, People, PeopleError,
    ceremony::{Kind, network_of},
};

/// Why nobody was logged in with a passkey.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyLogInError {
    /// Something of it is not right; nobody is told what.
    #[error("the passkey is not known here, or came too late: begin anew")]
    NotRight,
    /// It is right, and its authenticator counts less than before: there may be a copy of it.
    #[error("the passkey is not known here, or came too late: begin anew")]
    Copied {
        /// Whose it is.
        account: String,
        /// Which one, as its person calls it.
        name: String,
    },
    /// Something else.
    #[error(transparent)]
    People(#[from] PeopleError),
}

impl From<palisade_store::StoreError> for PasskeyLogInError {
    fn from(error: palisade_store::StoreError) -> Self {
        Self::People(error.into())
    }
}

impl People {
    /// Begins a log-in with a passkey.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_passkey_log_in(&self, source: Option<IpAddr>) -> Result<Begun, PeopleError> {
        let webauthn = &self.relying_party()?.webauthn;
        let begun = webauthn.start_discoverable_authentication();
        let (mut options, state) = begun.map_err(|_| PeopleError::Seal)?;
        // Whether to wait in a form's field or to ask at once is the page's to say.
        options.mediation = None;
        let ceremony = self
            .begin(Kind::Passkey, network_of(source), &state)
            .await?;
        Ok(Begun {
            ceremony,
            options: serde_json::to_value(options).map_err(|_| PeopleError::Seal)?,
        })
    }

    /// Logs somebody in with what their authenticator signed.
    ///
    /// # Errors
    /// When something is not right, or too many attempts came from there.
    pub async fn passkey_log_in(
        &self,
        ceremony: &str,
        credential: Value,
        source: Option<IpAddr>,
    ) -> Result<Opened, PasskeyLogInError> {
        let now = self.ground.clock.now();
        let begun = self.attempts.begin(None, source, now);
        begun.map_err(PeopleError::TooMany)?;
        let found = self
            .take::<DiscoverableAuthentication>(Kind::Passkey, ceremony)
            .await?;
        let (_, state) = found.ok_or(PasskeyLogInError::NotRight)?;
        let answer: PublicKeyCredential =
            serde_json::from_value(credential).map_err(|_| PasskeyLogInError::NotRight)?;
        let (passkey, account) = self.passkey_of(&answer).await?;
        let mut key: Passkey =
            serde_json::from_str(&passkey.public_key).map_err(|_| PeopleError::Seal)?;
        let result = self.verified(&answer, state, &key, &passkey)?;
        key.update_credential(&result);
        let public_key = serde_json::to_string(&key).map_err(|_| PeopleError::Seal)?;
        let passkeys = self.ground.store.passkeys();
        let used = passkeys.used(&passkey, result.counter(), &public_key, now);
        if !used.await? {
            return Err(copied(&passkey));
        }
        self.attempts.succeeded(None, source, true);
        let accounts = self.ground.store.accounts();
        accounts.touch(&account.name, now).await?;
        Ok(self.open_session(account, true, source).await?)
    }

    /// The passkey that was used and its account. Both ways to find the account must lead to the same one.
    async fn passkey_of(
        &self,
        answer: &PublicKeyCredential,
    ) -> Result<(PasskeyRecord, Account), PasskeyLogInError> {
        let webauthn = &self.relying_party()?.webauthn;
        let (handle, credential) = webauthn
            .identify_discoverable_authentication(answer)
            .map_err(|_| PasskeyLogInError::NotRight)?;
        let store = &self.ground.store;
        let owner = store.passkeys().account_of(handle.as_bytes()).await?;
        let passkey = store.passkeys().find(credential).await?;
        let passkey = passkey.filter(|passkey| Some(&passkey.account) == owner.as_ref());
        let passkey = passkey.ok_or(PasskeyLogInError::NotRight)?;
        let account = store.accounts().find(&passkey.account).await?;
        let account = account.filter(|account| !account.disabled);
        Ok((passkey, account.ok_or(PasskeyLogInError::NotRight)?))
    }

    fn verified(
        &self,
        answer: &PublicKeyCredential,
        state: DiscoverableAuthentication,
        key: &Passkey,
        passkey: &PasskeyRecord,
    ) -> Result<AuthenticationResult, PasskeyLogInError> {
        let webauthn = &self.relying_party()?.webauthn;
        let found = webauthn.finish_discoverable_authentication_v2(answer, state, key);
        let result = found.map_err(|error| match error {
            WebauthnError::CredentialPossibleCompromise => copied(passkey),
            _ => PasskeyLogInError::NotRight,
        })?;
        match result.user_verified() {
            true => Ok(result),
            false => Err(PasskeyLogInError::NotRight),
        }
    }
}

fn copied(passkey: &PasskeyRecord) -> PasskeyLogInError {
    PasskeyLogInError::Copied {
        account: passkey.account.clone(),
        name: passkey.name.clone(),
    }
}
