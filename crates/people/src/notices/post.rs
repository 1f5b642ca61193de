//! Brings what waits to the server that takes mail, one letter at a time, in the background.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use palisade_core::{Timestamp, hex};
use palisade_mail::{Address, Letter, Relay, SendError, SmtpConfig, Tls};
use palisade_oidc::files;
use palisade_store::{AccountNotice, Mailbox, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    Track,
    attacks::{Attack, Attacks},
    letter, pace,
};
use crate::{People, secret};

/// How often it is looked what waits, where nobody says that something does.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Mailboxes that are looked at together.
const AT_ONCE: u32 = 50;
/// The most letters of an hour, to whomever: relays shut out who sends without an end.
const MAX_AN_HOUR: u64 = 1_000;
const HOUR_S: i64 = 3_600;

/// The server that takes mail, and what waits for it in memory.
#[derive(Debug)]
pub(crate) struct Post {
    relay: Option<Relay>,
    attacks: Attacks,
    wake: Notify,
    pause: Mutex<Pause>,
    sent: AtomicU64,
    failed: AtomicU64,
    given_up: AtomicU64,
}

/// When the relay is left alone.
#[derive(Debug, Default)]
struct Pause {
    /// Failures in a row that are the relay's.
    failures: u64,
    until: Option<Timestamp>,
    hour: i64,
    in_this_hour: u64,
}

/// What became of letters to the people of accounts, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoticeStats {
    /// Letters that the mail server took.
    pub sent: u64,
    /// Tries in vain.
    pub failed: u64,
    /// Notices that nobody was told of: their letter was not taken for a week, or never will be.
    pub given_up: u64,
    /// Attempts to log in that are not counted in any letter, for want of room.
    pub uncounted: u64,
}

impl Post {
    /// Reads the password and the roots that the configuration names, relative to `data`.
    pub(crate) fn open(config: Option<&SmtpConfig>, data: &Path) -> Result<Self, String> {
        let relay = config.map(|config| {
            let password = config.password_file.as_ref();
            let password = password.map(|path| files::read_secret(&data.join(path)));
            let password = password.transpose()?;
            let ca = config.ca.as_ref().map(|path| data.join(path));
            let roots = match config.tls {
                Tls::InsecureLoopback => Vec::new(),
                Tls::Starttls | Tls::Implicit => files::read_roots(ca.as_deref())?,
            };
            let password = password.as_ref().map(|password| password.secret().as_str());
            Relay::open(config, password, roots).map_err(|error| error.to_string())
        });
        Ok(Self {
            relay: relay.transpose()?,
            attacks: Attacks::default(),
            wake: Notify::new(),
            pause: Mutex::default(),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
        })
    }

    pub(super) fn is_open(&self) -> bool {
        self.relay.is_some()
    }

    pub(super) fn attacks(&self) -> &Attacks {
        &self.attacks
    }

    /// Says that something waits.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Whether the relay may be asked now.
    fn may_send(&self, now: Timestamp) -> bool {
        let mut pause = self
            .pause
            .lock()
            .unwrap_or_else(|broken| broken.into_inner());
        let hour = now.as_second().div_euclid(HOUR_S);
        if pause.hour != hour {
            (pause.hour, pause.in_this_hour) = (hour, 0);
        }
        pause.in_this_hour < MAX_AN_HOUR && pause.until.is_none_or(|until| until <= now)
    }

    fn was_taken(&self) {
        let mut pause = self
            .pause
            .lock()
            .unwrap_or_else(|broken| broken.into_inner());
        pause.in_this_hour += 1;
        (pause.failures, pause.until) = (0, None);
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Leaves the relay alone for as long as it ever is.
    fn rest(&self, now: Timestamp) {
        let mut pause = self
            .pause
            .lock()
            .unwrap_or_else(|broken| broken.into_inner());
        pause.until = Some(pace::after_try(u64::MAX, now));
    }

    fn was_away(&self, now: Timestamp) {
        let mut pause = self
            .pause
            .lock()
            .unwrap_or_else(|broken| broken.into_inner());
        pause.failures += 1;
        // Short: a letter that the server does not want must not keep others from it for long.
        pause.until = Some(pace::after_try(pause.failures.min(4), now));
    }
}

impl People {
    /// What became of letters to the people of accounts.
    #[must_use]
    pub fn notice_stats(&self) -> NoticeStats {
        NoticeStats {
            sent: self.post.sent.load(Ordering::Relaxed),
            failed: self.post.failed.load(Ordering::Relaxed),
            given_up: self.post.given_up.load(Ordering::Relaxed),
            uncounted: self.post.attacks.lost(),
        }
    }

    /// Tells people what happens to their accounts, until cancelled. What waits then is told after the next start.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let Some(relay) = &self.post.relay else {
            return cancel.cancelled().await;
        };
        while !cancel.is_cancelled() {
            let told = async {
                self.write_attacks().await?;
                self.tell_all(relay, &cancel).await
            };
            if let Err(error) = told.await {
                tracing::error!(%error, "people could not be told what happened to their accounts");
            }
            let waited = tokio::time::timeout(LOOK_EVERY, self.post.wake.notified());
            cancel.run_until_cancelled(waited).await;
        }
        if let Err(error) = self.write_attacks().await {
            tracing::error!(%error, "attempts to log in are told to nobody");
        }
    }

    /// Writes down which attempts were held back, of accounts that there are and whose people are told.
    async fn write_attacks(&self) -> Result<(), StoreError> {
        let taken = self.post.attacks.take();
        let store = self.ground.store.notices();
        let mut notices = Vec::new();
        for ((account, attack), tried) in taken {
            let Some(address) = store.email(&account).await? else {
                continue;
            };
            let what = match attack {
                Attack::Password => {
                    "attempts to log in that were not right, so many that further ones must wait"
                }
                Attack::Code => {
                    "attempts with the RIGHT PASSWORD and codes of a second factor that were not right"
                }
            };
            notices.push(AccountNotice {
                account,
                address,
                track: Track::Attempts.as_str().to_owned(),
                what: what.to_owned(),
                source: tried.source.map(|source| source.to_string()),
                count: tried.count,
                first_at: tried.first_at,
                last_at: tried.last_at,
            });
        }
        match notices.is_empty() {
            true => Ok(()),
            false => store.add(&notices).await,
        }
    }

    async fn tell_all(&self, relay: &Relay, cancel: &CancellationToken) -> Result<(), StoreError> {
        let store = self.ground.store.notices();
        let mut now = self.ground.clock.now();
        store.forget_letters(pace::forgotten(now)).await?;
        for mailbox in store.due(Track::Changes.as_str(), now, AT_ONCE).await? {
            now = self.ground.clock.now();
            if cancel.is_cancelled() || !self.post.may_send(now) {
                return Ok(());
            }
            // Whoever stops the server waits for no mail server: the letter is sent again after the next start.
            let told = cancel.run_until_cancelled(self.tell_one(relay, mailbox));
            told.await.unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    async fn tell_one(&self, relay: &Relay, mut mailbox: Mailbox) -> Result<(), StoreError> {
        let store = self.ground.store.notices();
        let notices = store.waiting(&mailbox).await?;
        let Ok(to) = Address::bare(&mailbox.address) else {
            return self.give_up(&notices).await;
        };
        let letter = Letter {
            id: &name_of(&mailbox, &notices),
            to: &[to],
            subject: &letter::subject(&mailbox),
            text: letter::text(&mailbox, &notices, &self.server_name()),
        };
        let sent = relay.send(&letter).await;
        let now = self.ground.clock.now();
        let error = match sent {
            Ok(()) => {
                self.post.was_taken();
                let (sent, next_at) = pace::after_letter(&mailbox, now);
                mailbox.sent = sent;
                let noted = store.told(&mailbox, &notices, (now, next_at)).await;
                if noted.is_err() {
                    // Otherwise the same letter would go out again and again.
                    self.post.rest(now);
                }
                return noted;
            }
            Err(error) => error,
        };
        self.post.failed.fetch_add(1, Ordering::Relaxed);
        let account = mailbox.account.as_str();
        tracing::warn!(%error, account, "a letter to the person of an account was not taken");
        mailbox.tries += 1;
        let is_over = match &error {
            // Some say so of people whom they take mail for a minute later.
            SendError::Recipients { is_final, .. } => *is_final && mailbox.tries >= 5,
            SendError::Relay(_) => {
                self.post.was_away(now);
                false
            }
        };
        if is_over || pace::is_given_up(&mailbox, now) {
            return self.give_up(&notices).await;
        }
        let next_at = pace::after_try(mailbox.tries, now);
        store.failed(&mailbox, next_at).await
    }

    async fn give_up(&self, notices: &[AccountNotice]) -> Result<(), StoreError> {
        let count = notices.len() as u64;
        self.post.given_up.fetch_add(count, Ordering::Relaxed);
        let account = notices.first().map(|notice| notice.account.as_str());
        tracing::error!(
            account,
            count,
            "the person of an account is not told what happened to it"
        );
        self.ground.store.notices().give_up(notices).await
    }

    /// What people call the server by.
    fn server_name(&self) -> String {
        let origin = self.relying_party().ok();
        let origin = origin.and_then(|party| party.origin_at(None));
        let host = origin.map(|origin| origin.authority().to_owned());
        host.unwrap_or_else(|| "(unnamed)".to_owned())
    }
}

/// The name of a letter: the same one where it is sent again after a crash.
fn name_of(mailbox: &Mailbox, notices: &[AccountNotice]) -> String {
    let first = notices.first().map(|notice| notice.first_at);
    let text = format!(
        "{}\n{}\n{}\n{}\n{first:?}",
        mailbox.account, mailbox.address, mailbox.track, mailbox.sent
    );
    hex(&secret::hash(&text)[..16])
}
