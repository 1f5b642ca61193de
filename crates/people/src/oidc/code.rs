//! The code of a second factor that somebody owes who came back from a provider.

use std::net::IpAddr;

use palisade_store::Account;
use serde::{Deserialize, Serialize};

use crate::{LogInError, Opened, People, PeopleError, ceremony::Kind, notices::Attack};

/// What somebody owes a code for.
#[derive(Serialize, Deserialize)]
pub(super) struct Owing {
    /// The account may not have changed in between.
    generation: u64,
    next: String,
}

impl Owing {
    pub(super) fn of(account: &Account, next: String) -> Self {
        Self {
            generation: account.generation,
            next,
        }
    }
}

/// Why a code did not let anybody in.
#[derive(Debug)]
pub struct CodeError {
    /// What it can be tried again with; nothing where the sign-in is to be begun anew.
    pub again: Option<String>,
    /// Why.
    pub why: LogInError,
}

impl<E: Into<LogInError>> From<E> for CodeError {
    fn from(why: E) -> Self {
        Self {
            again: None,
            why: why.into(),
        }
    }
}

impl People {
    /// Lets somebody in who came back from a provider and shows a code of their second factor; returns where in the
    /// console they were on the way to as well.
    ///
    /// # Errors
    /// When nothing waits for it, the code is not right or was used before, or too many were tried.
    pub async fn finish_oidc_code(
        &self,
        secret: &str,
        code: &str,
        source: Option<IpAddr>,
    ) -> Result<(Opened, String), CodeError> {
        let now = self.ground.clock.now();
        let found = self.take::<Owing>(Kind::OidcCode, secret).await?;
        let (name, owing) = found.ok_or(LogInError::NotRight)?;
        let account = self.ground.store.accounts().find(&name).await?;
        let is_as_before =
            |account: &Account| !account.disabled && account.generation == owing.generation;
        let account = account.filter(is_as_before).ok_or(LogInError::NotRight)?;
        let tried = match self.attempts.begin(name.as_str(), source, now) {
            Err(seconds) => Err(PeopleError::TooMany(seconds).into()),
            Ok(()) if self.take_code(&name, code).await? => Ok(()),
            Ok(()) => Err(LogInError::SecondFactor(self.factors(&name).await?)),
        };
        if let Err(why) = tried {
            self.note_attempt(&name, source, Attack::Code);
            let again = self.begin(Kind::OidcCode, name, &owing).await?;
            return Err(CodeError {
                again: Some(again),
                why,
            });
        }
        self.attempts.succeeded(name.as_str(), source, true);
        self.ground.store.accounts().touch(&name, now).await?;
        let opened = self.open_session(account, true, source).await?;
        Ok((opened, owing.next))
    }
}
