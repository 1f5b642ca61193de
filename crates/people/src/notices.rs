//! What happens to an account is told to its person by e-mail: attempts that are held back, log-ins from new places,
//! and every change of what opens the account or of what it may do. A notice is in the database before the answer to
//! what it tells of leaves, and nobody waits for a mail server. Whoever attacks an account decides neither how many
//! letters its person gets nor that one about a change waits behind those about attempts (`pace`).

mod attacks;
mod letter;
mod pace;
mod place;
mod post;
mod words;

use std::net::IpAddr;

use palisade_core::{AdministrativeAct, Outcome};
use palisade_mail::{Address, NotAnAddress};
use palisade_store::AccountNotice;

pub(crate) use attacks::Attack;
pub use post::NoticeStats;
pub(crate) use post::Post;

use crate::{AccountName, CameFrom, People, PeopleError};

/// What is told together, at a pace of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Track {
    /// What changed, and who logged in.
    Changes,
    /// What somebody tried.
    Attempts,
}

impl Track {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Attempts => "attempts",
        }
    }
}

/// Places of log-ins that are remembered of an account.
const PLACES: u32 = 64;

impl People {
    /// Whether people are told by e-mail what happens to their accounts.
    #[must_use]
    pub fn tells(&self) -> bool {
        self.post.is_open()
    }

    /// Where an account's person is told what happens to it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn email(&self, account: &str) -> Result<Option<String>, PeopleError> {
        Ok(self.ground.store.notices().email(account).await?)
    }

    /// Gives an account an address, or takes it away. Whoever was told before is told that as well.
    ///
    /// # Errors
    /// When the text is no address, or the database fails.
    pub async fn set_email(
        &self,
        account: &AccountName,
        address: Option<&str>,
        by: &str,
        source: Option<IpAddr>,
    ) -> Result<Option<String>, PeopleError> {
        let address = address.map(Address::bare).transpose()?;
        let address = address.map(|address| address.email());
        let notices = self.ground.store.notices();
        let before = notices.email(account.as_str()).await?;
        if before == address {
            return Ok(address);
        }
        let what = words::email_set(by, account.as_str(), address.as_deref());
        let told = [before.as_deref(), address.as_deref()];
        let told = told.into_iter().flatten().map(|to| (to, what.clone()));
        // First: whoever takes an address away must not be able to do so in silence.
        self.tell(account.as_str(), told, source).await?;
        notices
            .set_email(account.as_str(), address.as_deref())
            .await?;
        Ok(address)
    }

    /// Tells whose account it was that an act was done to it, where it is of those that they are told of. What cannot
    /// be written down is logged: the act is done.
    pub async fn tell_of(&self, act: &AdministrativeAct, source: Option<IpAddr>) {
        if !self.tells() || act.outcome != Outcome::Done {
            return;
        }
        let Some((account, what)) = words::of(act) else {
            return;
        };
        if let Err(error) = self.tell_account(&account, what, source).await {
            tracing::error!(%error, account, act = act.act, "its person could not be told");
        }
    }

    /// Tells whose account it is that something happened which was no act of anybody's.
    pub async fn tell_that(&self, account: &str, what: &str, source: Option<IpAddr>) {
        if !self.tells() {
            return;
        }
        let what = words::happened(what);
        if let Err(error) = self.tell_account(account, what, source).await {
            tracing::error!(%error, account, "its person could not be told");
        }
    }

    /// Notes from where somebody logged in, and tells whose account it is where that is new.
    pub async fn tell_of_log_in(&self, account: &str, from: CameFrom<'_>) {
        if !self.tells() {
            return;
        }
        let places = place::all_of(from);
        let now = self.ground.clock.now();
        let notices = self.ground.store.notices();
        let told = match notices.seen(account, &places, now, PLACES).await {
            Ok(new) if new.is_empty() => return,
            Ok(new) => {
                let what = words::log_in(&new);
                self.tell_account(account, what, from.source).await
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = told {
            tracing::error!(%error, account, "its person could not be told of a log-in");
        }
    }

    async fn tell_account(
        &self,
        account: &str,
        what: String,
        source: Option<IpAddr>,
    ) -> Result<(), PeopleError> {
        match self.email(account).await? {
            Some(address) => self.tell(account, [(address.as_str(), what)], source).await,
            None => Ok(()),
        }
    }

    async fn tell(
        &self,
        account: &str,
        told: impl IntoIterator<Item = (&str, String)>,
        source: Option<IpAddr>,
    ) -> Result<(), PeopleError> {
        if !self.tells() {
            return Ok(());
        }
        let now = self.ground.clock.now();
        let notices = told.into_iter().map(|(address, what)| AccountNotice {
            account: account.to_owned(),
            address: address.to_owned(),
            track: Track::Changes.as_str().to_owned(),
            what,
            source: source.map(|source| source.to_string()),
            count: 1,
            first_at: now,
            last_at: now,
        });
        let notices: Vec<_> = notices.collect();
        self.ground.store.notices().add(&notices).await?;
        self.post.wake();
        Ok(())
    }

    /// Notes that somebody tried an account in vain, where that is held back by now. Whether there is such an account
    /// is looked up later: nobody can tell by how long this takes.
    pub(crate) fn note_attempt(&self, account: &str, source: Option<IpAddr>, attack: Attack) {
        if self.tells() && self.attempts.is_held_back(account) {
            let now = self.ground.clock.now();
            self.post.attacks().note(account, source, attack, now);
        }
    }
}

/// Refuses a text that is no address to tell somebody at.
///
/// # Errors
/// Says what would be right.
pub fn check_email(text: &str) -> Result<(), PeopleError> {
    Ok(Address::bare(text).map(drop)?)
}

impl From<NotAnAddress> for PeopleError {
    fn from(error: NotAnAddress) -> Self {
        Self::Address(error)
    }
}
