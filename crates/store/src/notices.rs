//! What the people of accounts are told: their addresses, what waits to be told, and from where they logged in before.
//! What happens again before it was told is one row with a count, and a mailbox has a bounded number of rows.

use palisade_core::Timestamp;
use sqlx::{AnyConnection, any::AnyRow};

use crate::{Store, StoreError, row, transaction::Lane};

/// The most rows that wait for one mailbox; what is more is one row that says so.
const MAX_WAITING: i64 = 40;

/// Something that happened to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountNotice {
    /// Which account.
    pub account: String,
    /// Where it is told.
    pub address: String,
    /// What it is told together with, at a pace of its own.
    pub track: String,
    /// What happened, in words.
    pub what: String,
    /// From where, the last time.
    pub source: Option<String>,
    /// How often.
    pub count: u64,
    /// When first.
    pub first_at: Timestamp,
    /// When last.
    pub last_at: Timestamp,
}

/// A mailbox that something waits for, and how often it was written to of late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Of which account.
    pub account: String,
    /// Its address.
    pub address: String,
    /// What is told.
    pub track: String,
    /// When the first of what waits happened.
    pub since: Timestamp,
    /// How many letters were sent in a row.
    pub sent: u64,
    /// When the last one was, if there was one.
    pub sent_at: Option<Timestamp>,
    /// How often the next one was tried in vain.
    pub tries: u64,
}

/// The repository of notices.
#[derive(Debug)]
pub struct Notices<'a> {
    store: &'a Store,
}

impl Store {
    /// What the people of accounts are told.
    #[must_use]
    pub fn notices(&self) -> Notices<'_> {
        Notices { store: self }
    }
}

impl Notices<'_> {
    /// The address of an account, if it has one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn email(&self, account: &str) -> Result<Option<String>, StoreError> {
        sqlx::query("SELECT address FROM account_emails WHERE account = $1")
            .bind(account)
            .fetch_optional(self.store.readers())
            .await?
            .map(|found| row::text(&found, "address"))
            .transpose()
    }

    /// The addresses of all accounts that have one, with the accounts' names.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn emails(&self) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query("SELECT * FROM account_emails ORDER BY account LIMIT 10000")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter()
            .map(|found| Ok((row::text(found, "account")?, row::text(found, "address")?)))
            .collect()
    }

    /// Gives an account an address, or takes it away.
    ///
    /// # Errors
    /// When there is no such account, or the database fails.
    pub async fn set_email(&self, account: &str, address: Option<&str>) -> Result<(), StoreError> {
        let set = match address {
            Some(address) => sqlx::query(
                "INSERT INTO account_emails VALUES ($1, $2) \
                 ON CONFLICT (account) DO UPDATE SET address = excluded.address",
            )
            .bind(account)
            .bind(address),
            None => sqlx::query("DELETE FROM account_emails WHERE account = $1").bind(account),
        };
        set.execute(self.store.writer()).await?;
        Ok(())
    }

    /// Writes down what is to be told.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add(&self, notices: &[AccountNotice]) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Notices).await?;
        for notice in notices {
            insert(&mut transaction, notice).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Notes from where an account was logged in to, and says which of these places are new; none where no place
    /// was known before. The `keep` that were seen last stay.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn seen(
        &self,
        account: &str,
        places: &[String],
        now: Timestamp,
        keep: u32,
    ) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.store.begin(Lane::Notices).await?;
        let known = sqlx::query("SELECT place FROM account_places WHERE account = $1")
            .bind(account)
            .fetch_all(&mut *transaction)
            .await?;
        let known: Vec<String> = known
            .iter()
            .map(|found| row::text(found, "place"))
            .collect::<Result<_, _>>()?;
        for place in places {
            sqlx::query(
                "INSERT INTO account_places VALUES ($1, $2, $3) \
                 ON CONFLICT (account, place) DO UPDATE SET seen_at = excluded.seen_at",
            )
            .bind(account)
            .bind(place.as_str())
            .bind(row::nanos(now))
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query(
            "DELETE FROM account_places WHERE account = $1 AND place NOT IN \
             (SELECT place FROM account_places WHERE account = $1 ORDER BY seen_at DESC LIMIT $2)",
        )
        .bind(account)
        .bind(i64::from(keep))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        let is_new = |place: &&String| !known.is_empty() && !known.contains(place);
        Ok(places.iter().filter(is_new).cloned().collect())
    }

    /// The mailboxes that may be written to now: those of `track` before others, and those that wait longest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn due(
        &self,
        track: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Mailbox>, StoreError> {
        let rows = sqlx::query(
            "SELECT n.account, n.address, n.track, MIN(n.first_at) AS since, \
             COALESCE(MAX(l.sent), 0) AS sent, MAX(l.sent_at) AS sent_at, \
             COALESCE(MAX(l.tries), 0) AS tries FROM account_notices n \
             LEFT JOIN account_letters l ON l.account = n.account AND l.address = n.address \
             AND l.track = n.track WHERE l.next_at IS NULL OR l.next_at <= $2 \
             GROUP BY n.account, n.address, n.track \
             ORDER BY CASE WHEN n.track = $1 THEN 0 ELSE 1 END, since LIMIT $3",
        )
        .bind(track)
        .bind(row::nanos(now))
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read_mailbox).collect()
    }

    /// What waits for a mailbox, in the order in which it happened.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn waiting(&self, mailbox: &Mailbox) -> Result<Vec<AccountNotice>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM account_notices WHERE account = $1 AND address = $2 AND track = $3 \
             ORDER BY first_at, what LIMIT 100",
        )
        .bind(mailbox.account.as_str())
        .bind(mailbox.address.as_str())
        .bind(mailbox.track.as_str())
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Notes that a mailbox was told these; what happened again meanwhile stays and waits.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn told(
        &self,
        mailbox: &Mailbox,
        notices: &[AccountNotice],
        (now, next_at): (Timestamp, Timestamp),
    ) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Notices).await?;
        remove(&mut transaction, notices).await?;
        let next = Mailbox {
            sent_at: Some(now),
            tries: 0,
            ..mailbox.clone()
        };
        note(&mut transaction, &next, next_at).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Notes that a letter to a mailbox was tried in vain, and when to try again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn failed(&self, mailbox: &Mailbox, next_at: Timestamp) -> Result<(), StoreError> {
        let mut connection = self.store.writer().acquire().await?;
        note(&mut connection, mailbox, next_at).await
    }

    /// Gives up on telling these.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn give_up(&self, notices: &[AccountNotice]) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Notices).await?;
        remove(&mut transaction, notices).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Forgets how often mailboxes were written to that nothing waits for, and that may be written to since `before`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_letters(&self, before: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM account_letters WHERE next_at < $1 AND NOT EXISTS (SELECT 1 FROM account_notices n \
             WHERE n.account = account_letters.account AND n.address = account_letters.address \
             AND n.track = account_letters.track)",
        )
        .bind(row::nanos(before))
        .execute(self.store.writer())
        .await?;
        Ok(())
    }
}

async fn insert(connection: &mut AnyConnection, notice: &AccountNotice) -> Result<(), StoreError> {
    const MORE: &str = "more happened than is told here";
    let found = sqlx::query(
        "SELECT COUNT(*) AS waiting, COALESCE(MAX(CASE WHEN what = $4 THEN 1 ELSE 0 END), 0) AS is_there \
         FROM account_notices WHERE account = $1 AND address = $2 AND track = $3",
    )
    .bind(notice.account.as_str())
    .bind(notice.address.as_str())
    .bind(notice.track.as_str())
    .bind(notice.what.as_str())
    .fetch_one(&mut *connection)
    .await?;
    let has_room = row::integer(&found, "waiting")? < MAX_WAITING;
    let what = match has_room || row::flag(&found, "is_there")? {
        true => notice.what.as_str(),
        false => MORE,
    };
    sqlx::query(
        "INSERT INTO account_notices VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (account, address, track, what) DO UPDATE SET source = excluded.source, \
         count = account_notices.count + excluded.count, last_at = excluded.last_at",
    )
    .bind(notice.account.as_str())
    .bind(notice.address.as_str())
    .bind(notice.track.as_str())
    .bind(what)
    .bind(notice.source.as_deref())
    .bind(i64::try_from(notice.count).unwrap_or(i64::MAX))
    .bind(row::nanos(notice.first_at))
    .bind(row::nanos(notice.last_at))
    .execute(connection)
    .await?;
    Ok(())
}

async fn remove(
    connection: &mut AnyConnection,
    notices: &[AccountNotice],
) -> Result<(), StoreError> {
    for notice in notices {
        sqlx::query(
            "DELETE FROM account_notices WHERE account = $1 AND address = $2 AND track = $3 AND what = $4 \
             AND count = $5",
        )
        .bind(notice.account.as_str())
        .bind(notice.address.as_str())
        .bind(notice.track.as_str())
        .bind(notice.what.as_str())
        .bind(i64::try_from(notice.count).unwrap_or(i64::MAX))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn note(
    connection: &mut AnyConnection,
    mailbox: &Mailbox,
    next_at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO account_letters VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (account, address, track) DO UPDATE SET sent = excluded.sent, \
         sent_at = excluded.sent_at, tries = excluded.tries, next_at = excluded.next_at",
    )
    .bind(mailbox.account.as_str())
    .bind(mailbox.address.as_str())
    .bind(mailbox.track.as_str())
    .bind(i64::try_from(mailbox.sent).unwrap_or(i64::MAX))
    .bind(mailbox.sent_at.map_or(0, row::nanos))
    .bind(i64::try_from(mailbox.tries).unwrap_or(i64::MAX))
    .bind(row::nanos(next_at))
    .execute(connection)
    .await?;
    Ok(())
}

fn read(found: &AnyRow) -> Result<AccountNotice, StoreError> {
    Ok(AccountNotice {
        account: row::text(found, "account")?,
        address: row::text(found, "address")?,
        track: row::text(found, "track")?,
        what: row::text(found, "what")?,
        source: row::optional_text(found, "source")?,
        count: row::unsigned(found, "count")?,
        first_at: row::time(found, "first_at")?,
        last_at: row::time(found, "last_at")?,
    })
}

fn read_mailbox(found: &AnyRow) -> Result<Mailbox, StoreError> {
    let sent_at = row::optional_time(found, "sent_at")?;
    Ok(Mailbox {
        account: row::text(found, "account")?,
        address: row::text(found, "address")?,
        track: row::text(found, "track")?,
        since: row::time(found, "since")?,
        sent: row::unsigned(found, "sent")?,
        sent_at: sent_at.filter(|time| *time > Timestamp::UNIX_EPOCH),
        tries: row::unsigned(found, "tries")?,
    })
}
