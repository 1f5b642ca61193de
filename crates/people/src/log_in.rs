//! Logging in, and the sessions that come of it. Whatever is wrong, the answer is the same and takes as long:
//! an account that does not exist, one that is disabled, a password that is not right. That a second factor
//! is wanted is said only to whoever showed the right password.

use std::{net::IpAddr, sync::Arc};

use palisade_core::{Timestamp, TokenId};
use palisade_store::{Account, AccountSession};

use crate::{
    AccountName, Bond, PasswordHash, People, PeopleError, Role, Standing, attempts,
    notices::Attack, secret,
};

/// The prefix of a session's secret.
pub const SESSION_PREFIX: &str = "pss_";
/// A secret is far shorter; longer ones are not even hashed.
const MAX_SECRET: usize = 128;
/// Sessions that an account keeps besides the newest.
const KEPT: u32 = 31;
/// How often the use of a session is noted.
const NOTE_EVERY_S: i64 = 60;

/// What somebody shows who wants to log in.
pub struct LogIn {
    /// The account's name.
    pub account: String,
    /// Its password.
    pub password: String,
    /// A code of a second factor, if they have one at hand.
    pub code: Option<String>,
    /// From where they come.
    pub source: Option<IpAddr>,
}

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum LogInError {
    /// Something of it is not right; nobody is told what.
    #[error("the account or the password is not right")]
    NotRight,
    /// The password is right; a code of a second factor is wanted, or was not right.
    #[error(
        "a code of a second factor is wanted, and none came that is right and was not used before"
    )]
    SecondFactor(Wanted),
    /// Something else.
    #[error(transparent)]
    People(#[from] PeopleError),
}

impl From<palisade_store::StoreError> for LogInError {
    fn from(error: palisade_store::StoreError) -> Self {
        Self::People(error.into())
    }
}

/// From where a request with a session comes.
#[derive(Debug, Clone, Copy)]
pub struct CameFrom<'a> {
    /// The address.
    pub source: Option<IpAddr>,
    /// What the browser, or whatever speaks HTTP there, says of itself (`User-Agent`).
    pub browser: &'a str,
}

/// Why a secret is nobody's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRecognised {
    /// There is no such session, or it has ended.
    Unknown,
    /// It came from where it does not belong, and has ended for that.
    Moved {
        /// Whose it was.
        account: String,
        /// What it was bound to.
        bond: Bond,
    },
}

/// Which second factors an account has, for whoever showed its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// TOTP.
    pub totp: bool,
    /// A passkey: it logs in by itself.
    pub passkey: bool,
}

/// A session that just began.
pub struct Opened {
    /// Its secret: shown now and never again.
    pub secret: String,
    /// Whose it is, and what they may do.
    pub who: Recognised,
}

/// Whose session it is, and what they may do in it.
#[derive(Debug, Clone)]
pub struct Recognised {
    /// The session.
    pub session: TokenId,
    /// The account.
    pub account: Account,
    /// When the session ends, however much it is used.
    pub expires_at: Timestamp,
    /// What must be done before anything else may be.
    pub first: Option<MustFirst>,
    /// What the account may do now, once that is done.
    pub standing: Arc<Standing>,
}

/// What somebody must do before they may do anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MustFirst {
    /// Change the password, which somebody else chose.
    ChangePassword,
    /// Enrol a second factor, which their roles require.
    EnrolSecondFactor,
}

impl Recognised {
    /// The account's roles that count now.
    #[must_use]
    pub fn roles(&self) -> Vec<Role> {
        self.standing.roles()
    }

    /// The names of the scopes that the session may use now, at least on some devices.
    #[must_use]
    pub fn scopes(&self) -> Vec<String> {
        match self.first {
            Some(_) => Vec::new(),
            None => self.standing.scopes_somewhere(),
        }
    }
}

impl People {
    /// Logs somebody in.
    ///
    /// # Errors
    /// When something is not right, or too many attempts were made.
    pub async fn log_in(&self, who: LogIn) -> Result<Opened, LogInError> {
        let now = self.ground.clock.now();
        let name = who.account.to_ascii_lowercase();
        if let Err(seconds) = self.attempts.begin(name.as_str(), who.source, now) {
            self.note_attempt(&name, who.source, Attack::Password);
            return Err(PeopleError::TooMany(seconds).into());
        }
        let found = match AccountName::parse(&name) {
            Ok(name) => self.ground.store.accounts().find(name.as_str()).await?,
            Err(_) => None,
        };
        // Whoever does not exist takes as long as whoever does.
        let hash = found.as_ref().map_or_else(
            || self.decoy.clone(),
            |account| PasswordHash::stored(account.password.clone()),
        );
        let password = zeroize::Zeroizing::new(who.password);
        let work = move || hash.is_of(&password);
        let is_right = self.workshop.run(work).await.map_err(PeopleError::from)?;
        let Some(account) = found.filter(|account| is_right && !account.disabled) else {
            self.note_attempt(&name, who.source, Attack::Password);
            return Err(LogInError::NotRight);
        };
        let wanted = self.factors(&account.name).await?;
        let has_factor = wanted.totp || wanted.passkey;
        if has_factor {
            let Some(code) = who.code else {
                self.attempts.succeeded(name.as_str(), who.source, false);
                return Err(LogInError::SecondFactor(wanted));
            };
            if !self.take_code(&account.name, &code).await? {
                self.note_attempt(&name, who.source, Attack::Code);
                return Err(LogInError::SecondFactor(wanted));
            }
        }
        self.attempts.succeeded(name.as_str(), who.source, true);
        self.ground
            .store
            .accounts()
            .touch(&account.name, now)
            .await?;
        Ok(self.open_session(account, has_factor, who.source).await?)
    }

    /// Begins a session under a new secret, whoever had one before.
    pub(crate) async fn open_session(
        &self,
        account: Account,
        second_factor: bool,
        source: Option<IpAddr>,
    ) -> Result<Opened, PeopleError> {
        let now = self.ground.clock.now();
        let secret = secret::generate(SESSION_PREFIX)?;
        let life = std::time::Duration::from_secs(self.sessions.absolute_s);
        let session = AccountSession {
            id: TokenId::generate(),
            hash: secret::hash(&secret),
            account: account.name.clone(),
            generation: account.generation,
            second_factor,
            source: source.map(|source| source.to_string()),
            browser: None,
            created_at: now,
            seen_at: now,
            expires_at: now.checked_add(life).unwrap_or(Timestamp::MAX),
        };
        self.ground
            .store
            .account_sessions()
            .add(&session, KEPT)
            .await?;
        let who = self.recognised(account, &session).await?;
        Ok(Opened { secret, who })
    }

    /// Says whose session a secret is of; nobody's where it is unknown or has ended, its account was
    /// disabled, its roles, password or factors were changed since, or it comes from where it does not belong:
    /// then it ends.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recognise(
        &self,
        secret: &str,
        from: CameFrom<'_>,
    ) -> Result<Result<Recognised, NotRecognised>, PeopleError> {
        const UNKNOWN: Result<Recognised, NotRecognised> = Err(NotRecognised::Unknown);
        if secret.len() > MAX_SECRET || !secret.starts_with(SESSION_PREFIX) {
            return Ok(UNKNOWN);
        }
        let now = self.ground.clock.now();
        let sessions = self.ground.store.account_sessions();
        // The hash is what is looked up: how long that takes says nothing about any secret.
        let Some(session) = sessions.find(&secret::hash(secret)).await? else {
            return Ok(UNKNOWN);
        };
        let idle_s = now.as_second() - session.seen_at.as_second();
        if session.expires_at <= now || idle_s >= self.sessions.idle_s as i64 {
            return Ok(UNKNOWN);
        }
        let account = self.ground.store.accounts().find(&session.account).await?;
        let is_valid =
            |account: &Account| !account.disabled && account.generation == session.generation;
        let Some(account) = account.filter(is_valid) else {
            return Ok(UNKNOWN);
        };
        if let Some(bond) = self.broken_bond(&session, from).await? {
            sessions.remove(&account.name, session.id).await?;
            let account = account.name;
            return Ok(Err(NotRecognised::Moved { account, bond }));
        }
        if idle_s >= NOTE_EVERY_S
            && let Err(error) = sessions.touch(session.id, now).await
        {
            tracing::warn!(%error, session = %session.id, "the use of a session could not be noted");
        }
        Ok(Ok(self.recognised(account, &session).await?))
    }

    /// Which bond of a session is broken, if one is. The first use makes the bond to a browser.
    async fn broken_bond(
        &self,
        session: &AccountSession,
        from: CameFrom<'_>,
    ) -> Result<Option<Bond>, PeopleError> {
        for bond in &self.sessions.bound_to {
            let holds = match bond {
                Bond::Browser => self.is_of_browser(session, from.browser).await?,
                Bond::Network => {
                    let began = session.source.as_ref().and_then(|text| text.parse().ok());
                    began.map(attempts::network) == from.source.map(attempts::network)
                }
            };
            if !holds {
                return Ok(Some(*bond));
            }
        }
        Ok(None)
    }

    async fn is_of_browser(
        &self,
        session: &AccountSession,
        browser: &str,
    ) -> Result<bool, PeopleError> {
        let browser = palisade_core::hex(&secret::hash(browser));
        if let Some(bound) = &session.browser {
            return Ok(*bound == browser);
        }
        let sessions = self.ground.store.account_sessions();
        let bound = sessions.bind(session.id, &browser).await?;
        Ok(bound.is_none_or(|bound| bound == browser))
    }

    async fn recognised(
        &self,
        account: Account,
        session: &AccountSession,
    ) -> Result<Recognised, PeopleError> {
        let now = self.ground.clock.now();
        let standing = self.roles().await?.standing(&account, now);
        let needs_factor = standing.held().any(|held| self.is_of_factor(&held.role));
        let first = match (account.must_change, session.second_factor) {
            (true, _) => Some(MustFirst::ChangePassword),
            (false, false) if needs_factor => Some(MustFirst::EnrolSecondFactor),
            (false, _) => None,
        };
        Ok(Recognised {
            session: session.id,
            account,
            expires_at: session.expires_at,
            first,
            standing: Arc::new(standing),
        })
    }

    /// Whether the roles of an account, those of its teams included, require a second factor.
    pub(crate) async fn needs_factor(&self, account: &Account) -> Result<bool, PeopleError> {
        let roles = self.roles().await?;
        let held = roles.directory().held_by(account, self.ground.clock.now());
        Ok(held.iter().any(|held| self.is_of_factor(&held.role)))
    }

    fn is_of_factor(&self, role: &Role) -> bool {
        *role == Role::Owner || self.factor_roles.contains(role)
    }

    /// The sessions of an account that are valid now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sessions(&self, account: &Account) -> Result<Vec<AccountSession>, PeopleError> {
        let now = self.ground.clock.now();
        let mut found = self
            .ground
            .store
            .account_sessions()
            .of(&account.name)
            .await?;
        found.retain(|session| {
            let idle_s = now.as_second() - session.seen_at.as_second();
            session.generation == account.generation
                && session.expires_at > now
                && idle_s < self.sessions.idle_s as i64
        });
        Ok(found)
    }

    /// Ends a session of an account; `false` where it has no such session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_session(&self, account: &str, id: TokenId) -> Result<bool, PeopleError> {
        Ok(self
            .ground
            .store
            .account_sessions()
            .remove(account, id)
            .await?)
    }
}
