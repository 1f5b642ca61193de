//! Moves an installation from SQLite to PostgreSQL. It works as a copy that is brought up to date: table by table, in pieces, each of
//! which is compared first and copied where it differs. So it can be stopped and run again at any point; a first run may copy most of it while the server
//! still works, and a second one, with the server stopped, copies what changed since. The source is only read.

mod piece;
mod table;

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use crate::{Engine, Store, StoreError};
use piece::Piece;
use table::Table;

/// How far a migration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The table that is worked at.
    pub table: String,
    /// Rows of all tables that are done.
    pub done: u64,
    /// Rows of all tables.
    pub rows: u64,
}

/// What a migration did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migrated {
    /// How many tables there are.
    pub tables: u64,
    /// How many rows they have.
    pub rows: u64,
    /// How many of these were there already as they are.
    pub unchanged: u64,
    /// SHA-256 over all rows of all tables, the same on both sides.
    pub digest: Vec<u8>,
}

impl Store {
    /// Makes this database, of PostgreSQL, hold what `source`, of SQLite, holds. With `last` both are then compared as a whole;
    /// nothing may write to the source meanwhile. No server starts on it before [`Store::end_migration`].
    ///
    /// # Errors
    /// When this is an installation of its own, the schemas differ, a row cannot be kept, or a database fails. What was copied by then stays.
    pub async fn migrate_from(
        &self,
        source: &Store,
        last: bool,
        mut progress: impl FnMut(&Progress),
    ) -> Result<Migrated, StoreError> {
        self.admit(source).await?;
        let tables = table::of(source).await?;
        let mut target = self.writer().acquire().await?;
        begin(&mut target).await?;
        let mut at = Progress {
            table: String::new(),
            done: 0,
            rows: 0,
        };
        for table in &tables {
            at.rows += table.count(source.readers()).await?;
        }
        let mut migrated = Migrated::default();
        for table in &tables {
            self.hold().await?;
            at.table.clone_from(&table.name);
            progress(&at);
            let mut done = |rows: u64| {
                at.done += rows;
                progress(&at);
            };
            let unchanged = piece::bring_over(table, source, &mut target, &mut done).await?;
            migrated.unchanged += unchanged;
            migrated.tables += 1;
        }
        if last {
            (migrated.rows, migrated.digest) = verify(&tables, source, &mut target).await?;
            set_counters(&tables, source, &mut target).await?;
        } else {
            migrated.rows = at.done;
        }
        Ok(migrated)
    }

    /// Ends a migration whose last run is done: servers may use the database from here on.
    ///
    /// # Errors
    /// When something refers to what is not there, or the database fails; the migration is not ended then.
    pub async fn end_migration(&self) -> Result<(), StoreError> {
        self.hold().await?;
        let mut connection = self.writer().acquire().await?;
        end(&mut connection).await
    }

    /// Refuses what would destroy an installation, or copy what does not fit.
    async fn admit(&self, source: &Store) -> Result<(), StoreError> {
        let refuse = |why: &str| Err(StoreError::Migration(why.to_owned()));
        if source.engine() != Engine::Sqlite || self.engine() != Engine::Postgres {
            return refuse("it goes from SQLite to PostgreSQL alone");
        }
        let (here, there) = (self.inspect().await?, source.schema().await?);
        if there != here.known {
            return refuse(
                "the source is of another version of the schema: start and stop this version of palisade on it once",
            );
        }
        if !self.is_being_filled().await? && !self.is_new().await? {
            return refuse("the target holds an installation of its own: name an empty database");
        }
        Ok(())
    }

    /// Whether a migration to here was begun and not ended.
    pub(crate) async fn is_being_filled(&self) -> Result<bool, StoreError> {
        let mut connection = self.writer().acquire().await?;
        is_being_filled(&mut connection).await
    }
}

/// Whether a migration to a database was begun and not ended.
pub(crate) async fn is_being_filled(connection: &mut AnyConnection) -> Result<bool, StoreError> {
    let there = sqlx::query("SELECT to_regclass('palisade_migration') IS NOT NULL")
        .fetch_one(connection)
        .await?;
    Ok(there.try_get(0)?)
}

/// Notes that a migration is under way, and takes references between tables away: pieces come in no order that keeps them. What they were
/// stands in the note.
async fn begin(target: &mut AnyConnection) -> Result<(), StoreError> {
    // A newer version may have brought more of them since the last run.
    let rows = sqlx::query(
        "SELECT CAST(conrelid::regclass AS TEXT) AS name, CAST(conname AS TEXT) AS reference, \
         pg_get_constraintdef(oid) AS definition FROM pg_constraint \
         WHERE contype = 'f' AND connamespace = current_schema()::regnamespace",
    )
    .fetch_all(&mut *target)
    .await?;
    let mut transaction = sqlx::Connection::begin(target).await?;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS palisade_migration (name TEXT NOT NULL, reference TEXT NOT NULL, definition TEXT NOT NULL)")
        .execute(&mut *transaction)
        .await?;
    for row in rows {
        let text = |column: &str| row.try_get::<String, _>(column);
        let (name, reference) = (text("name")?, text("reference")?);
        sqlx::query("INSERT INTO palisade_migration VALUES ($1, $2, $3)")
            .bind(name.as_str())
            .bind(reference.as_str())
            .bind(text("definition")?)
            .execute(&mut *transaction)
            .await?;
        let taken = format!("ALTER TABLE {name} DROP CONSTRAINT {reference}");
        sqlx::raw_sql(AssertSqlSafe(taken))
            .execute(&mut *transaction)
            .await?;
    }
    Ok(transaction.commit().await?)
}

/// Compares all tables as a whole: how many rows they have, and SHA-256 over them.
async fn verify(
    tables: &[Table],
    source: &Store,
    target: &mut AnyConnection,
) -> Result<(u64, Vec<u8>), StoreError> {
    let mut whole = piece::Digest::default();
    let mut rows = 0;
    let mut reader = source.readers().acquire().await?;
    for table in tables {
        let (here, there) = (
            Piece::digest_of(table, &mut reader).await?,
            Piece::digest_of(table, target).await?,
        );
        if here != there {
            return Err(StoreError::Migration(format!(
                "table {}: {} rows here and {} there are not the same: does something still write to the source?",
                table.name, here.0, there.0
            )));
        }
        rows += here.0;
        whole.add(&here.1);
    }
    Ok((rows, whole.end()))
}

/// Sets counters where the source has them.
async fn set_counters(
    tables: &[Table],
    source: &Store,
    target: &mut AnyConnection,
) -> Result<(), StoreError> {
    for table in tables.iter().filter(|table| table.counts) {
        // A number that was given and pruned is not given again.
        let last = sqlx::query("SELECT seq FROM sqlite_sequence WHERE name = $1")
            .bind(table.name.as_str())
            .fetch_optional(source.readers())
            .await?;
        let Some(last) = last else { continue };
        sqlx::query("SELECT setval(pg_get_serial_sequence($1, $2), $3)")
            .bind(table.name.as_str())
            .bind(table.key[0].as_str())
            .bind(last.try_get::<i64, _>(0)?)
            .execute(&mut *target)
            .await?;
    }
    Ok(())
}

/// Puts the references back, which checks them, and opens the database for use.
async fn end(target: &mut AnyConnection) -> Result<(), StoreError> {
    let mut transaction = sqlx::Connection::begin(target).await?;
    let references = sqlx::query("SELECT * FROM palisade_migration")
        .fetch_all(&mut *transaction)
        .await?;
    for row in references {
        let text = |column: &str| row.try_get::<String, _>(column);
        let (name, reference, definition) =
            (text("name")?, text("reference")?, text("definition")?);
        let put = format!("ALTER TABLE {name} ADD CONSTRAINT {reference} {definition}");
        sqlx::raw_sql(AssertSqlSafe(put))
            .execute(&mut *transaction)
            .await?;
    }
    sqlx::raw_sql("DROP TABLE palisade_migration")
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    // What was copied is new to the planner.
    sqlx::raw_sql("ANALYZE").execute(target).await?;
    Ok(())
}
