//! What is about persons in entries of the ledger, until they are erased.

use palisade_core::EventId;
use sqlx::{AnyConnection, Connection, any::AnyRow};

use super::{Journal, ROWS_A_STATEMENT};
use crate::accounts::tables_about_persons;
use crate::{StoreError, query_builder::QueryBuilder, row};

/// A value that an entry holds the salted hash of.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonalRow {
    /// Of which entry.
    pub seq: u64,
    /// Where in the entry: a JSON pointer.
    pub field: String,
    /// Whose it is, by the name of the account; empty where the value itself says whom it names.
    pub subject: String,
    /// The salt.
    pub salt: Vec<u8>,
    /// The value.
    pub value: String,
}

impl std::fmt::Debug for PersonalRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PersonalRow")
            .field("seq", &self.seq)
            .field("field", &self.field)
            .finish_non_exhaustive()
    }
}

impl Journal<'_> {
    /// What is about persons in some entries, the last one included.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn personal(&self, first: u64, last: u64) -> Result<Vec<PersonalRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM ledger_personal WHERE seq >= $1 AND seq <= $2 ORDER BY seq, field",
        )
        .bind(i64::try_from(first).unwrap_or(i64::MAX))
        .bind(i64::try_from(last).unwrap_or(i64::MAX))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Destroys what is about persons in entries, and writes the events of these entries without it, as `events` has
    /// them. [`Journal::scrub`] sees that no copy is left.
    ///
    /// # Errors
    /// When the database fails; all is then as it was.
    pub async fn erase_personal(
        &self,
        personal: &[PersonalRow],
        events: &[(EventId, String)],
    ) -> Result<(), StoreError> {
        let mut connection = self.store.writer().acquire().await?;
        self.store.overwrite_deleted(&mut connection, true).await?;
        let erased = erase(&mut connection, personal, events).await;
        self.store.overwrite_deleted(&mut connection, false).await?;
        erased
    }

    /// Sees that no file of the database has in it what was erased: a database of up to 128 MiB is written anew (of PostgreSQL, the
    /// tables that it was in), and SQLite's log of pages is emptied. Says whether it was written anew; where it was not, free room in it may still hold copies
    /// of pages from when the database grew.
    ///
    /// # Errors
    /// When the database fails, or others read it all the time.
    pub async fn scrub(&self) -> Result<bool, StoreError> {
        let tables: Vec<_> = ["ledger_personal", "outbox"]
            .into_iter()
            .chain(tables_about_persons())
            .collect();
        let is_compacted = self.store.compact(&tables).await?;
        match self.store.empty_log().await? {
            true => Ok(is_compacted),
            false => Err(StoreError::Busy),
        }
    }
}

async fn erase(
    connection: &mut AnyConnection,
    personal: &[PersonalRow],
    events: &[(EventId, String)],
) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await?;
    for row in personal {
        sqlx::query("DELETE FROM ledger_personal WHERE seq = $1 AND field = $2")
            .bind(row.seq as i64)
            .bind(row.field.as_str())
            .execute(&mut *transaction)
            .await?;
    }
    for (id, body) in events {
        // An event's JSON begins with its id, and an index is on that part of it.
        sqlx::query("UPDATE outbox SET body = $1 WHERE SUBSTR(body, 8, 26) = $2")
            .bind(body.as_str())
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await?;
    }
    Ok(transaction.commit().await?)
}

pub(super) async fn insert_personal(
    connection: &mut AnyConnection,
    personal: &[PersonalRow],
) -> Result<(), StoreError> {
    for chunk in personal.chunks(ROWS_A_STATEMENT) {
        let mut query =
            QueryBuilder::new("INSERT INTO ledger_personal (seq, field, subject, salt, value) ");
        query.push_values(chunk, |mut values, row| {
            values
                .push_bind(row.seq as i64)
                .push_bind(row.field.as_str())
                .push_bind(row.subject.as_str())
                .push_bind(row.salt.as_slice())
                .push_bind(row.value.as_str());
        });
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn read(found: &AnyRow) -> Result<PersonalRow, StoreError> {
    Ok(PersonalRow {
        seq: row::unsigned(found, "seq")?,
        field: row::text(found, "field")?,
        subject: row::text(found, "subject")?,
        salt: row::bytes(found, "salt")?,
        value: row::text(found, "value")?,
    })
}
