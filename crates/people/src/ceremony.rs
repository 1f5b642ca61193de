//! What waits for a browser to come back: under a secret that counts once and for a short while, in the store, so
//! that it may come back to another process than the one that began it.

use std::{net::IpAddr, time::Duration};

use palisade_core::Timestamp;
use palisade_store::{Ceremony, CeremonyLimits};
use serde::{Serialize, de::DeserializeOwned};

use crate::{People, PeopleError, attempts, secret};

/// A secret is far shorter; longer ones are not even hashed.
const MAX_SECRET: usize = 128;
/// Who may wait at once.
const LIMITS: CeremonyLimits = CeremonyLimits {
    of_holder: 32,
    of_kind: 10_000,
};

/// What can be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A passkey is to be enrolled.
    EnrolPasskey,
    /// Somebody logs in with a passkey.
    Passkey,
    /// Somebody was sent to a provider.
    Oidc,
    /// Somebody came back from one, and owes a code of their second factor.
    OidcCode,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::EnrolPasskey => "enrol-passkey",
            Self::Passkey => "passkey",
            Self::Oidc => "oidc",
            Self::OidcCode => "oidc-code",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::EnrolPasskey | Self::Passkey => "pce_",
            Self::Oidc => "pos_",
            Self::OidcCode => "poc_",
        }
    }

    /// How long it may take: as long as WebAuthn tells browsers to wait for people; at a provider they may have to
    /// find their password first.
    fn life(self) -> Duration {
        match self {
            Self::EnrolPasskey | Self::Passkey | Self::OidcCode => Duration::from_secs(5 * 60),
            Self::Oidc => Duration::from_secs(10 * 60),
        }
    }
}

impl People {
    /// Writes down what was begun; returns the secret that it is taken with.
    pub(crate) async fn begin(
        &self,
        kind: Kind,
        holder: String,
        state: &impl Serialize,
    ) -> Result<String, PeopleError> {
        let now = self.ground.clock.now();
        let secret = secret::generate(kind.prefix())?;
        let ceremony = Ceremony {
            kind: kind.as_str().to_owned(),
            holder,
            state: serde_json::to_string(state).map_err(|_| PeopleError::Seal)?,
            expires_at: now.checked_add(kind.life()).unwrap_or(Timestamp::MAX),
        };
        let ceremonies = self.ground.store.ceremonies();
        ceremonies
            .begin(&secret::hash(&secret), &ceremony, LIMITS, now)
            .await?;
        Ok(secret)
    }

    /// Takes what was begun, with whom; nothing where it was taken before, has ended, or never was.
    pub(crate) async fn take<T: DeserializeOwned>(
        &self,
        kind: Kind,
        secret: &str,
    ) -> Result<Option<(String, T)>, PeopleError> {
        if secret.len() > MAX_SECRET || !secret.starts_with(kind.prefix()) {
            return Ok(None);
        }
        let now = self.ground.clock.now();
        let ceremonies = self.ground.store.ceremonies();
        let found = ceremonies
            .take(kind.as_str(), &secret::hash(secret), now)
            .await?;
        let Some(ceremony) = found else {
            return Ok(None);
        };
        let state = serde_json::from_str(&ceremony.state).map_err(|_| PeopleError::Seal)?;
        Ok(Some((ceremony.holder, state)))
    }
}

/// The holder of what nobody who is known begins: the network that it comes from.
pub(crate) fn network_of(source: Option<IpAddr>) -> String {
    source.map_or_else(String::new, |source| attempts::network(source).to_string())
}
