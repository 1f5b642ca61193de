//! What a table of the source consists of, as SQLite knows it.

use sqlx::{AnyPool, AssertSqlSafe, Row, any::AnyRow};

use crate::{Store, StoreError};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Text,
    Bytes,
}

/// A table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    /// All columns, in their order.
    pub(super) columns: Vec<(String, Kind)>,
    /// The columns of the primary key, in its order.
    pub(super) key: Vec<String>,
    /// Whether the key is a number that the database gives.
    pub(super) counts: bool,
}

/// All tables of records, by name.
pub(super) async fn of(source: &Store) -> Result<Vec<Table>, StoreError> {
    // What searches devices makes itself.
    let rows = sqlx::query(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
         AND name NOT LIKE 'device_search%' ORDER BY name",
    )
    .fetch_all(source.readers())
    .await?;
    let mut tables = Vec::with_capacity(rows.len());
    for row in rows {
        let name: String = row.try_get("name")?;
        let counts = row.try_get::<String, _>("sql")?.contains("AUTOINCREMENT");
        tables.push(read(source, name, counts).await?);
    }
    Ok(tables)
}

async fn read(source: &Store, name: String, counts: bool) -> Result<Table, StoreError> {
    let rows = sqlx::query("SELECT name, type, pk FROM pragma_table_info($1) ORDER BY cid")
        .bind(name.as_str())
        .fetch_all(source.readers())
        .await?;
    let mut columns = Vec::with_capacity(rows.len());
    let mut key = Vec::new();
    for row in rows {
        let column: String = row.try_get("name")?;
        let kind = match row.try_get::<String, _>("type")?.as_str() {
            "TEXT" => Kind::Text,
            "BLOB" => Kind::Bytes,
            "BIGINT" | "INTEGER" => Kind::Number,
            other => {
                return Err(StoreError::Migration(format!(
                    "{name}.{column} is of the type {other}, which is not known here"
                )));
            }
        };
        match row.try_get::<i64, _>("pk")? {
            0 => {}
            place => key.push((place, column.clone())),
        }
        columns.push((column, kind));
    }
    key.sort();
    let key: Vec<_> = key.into_iter().map(|(_, column)| column).collect();
    if key.is_empty() {
        return Err(StoreError::Migration(format!(
            "table {name} has no primary key"
        )));
    }
    Ok(Table {
        name,
        columns,
        key,
        counts,
    })
}

impl Table {
    /// How many rows it has.
    pub(super) async fn count(&self, pool: &AnyPool) -> Result<u64, StoreError> {
        let count = format!("SELECT COUNT(*) FROM {}", self.name);
        let found = sqlx::query(AssertSqlSafe(count)).fetch_one(pool).await?;
        Ok(found.try_get::<i64, _>(0)?.unsigned_abs())
    }

    /// Its columns, as a statement names them.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    }

    /// The columns of its key, as a statement names them.
    pub(super) fn key_names(&self) -> String {
        self.key.join(", ")
    }

    /// Where the columns of the key stand among all.
    pub(super) fn key_places(&self) -> Vec<usize> {
        let place = |key: &String| self.columns.iter().position(|(name, _)| name == key);
        self.key.iter().filter_map(place).collect()
    }
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Number(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

impl Value {
    /// How many bytes it takes, about.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Number(_) => 8,
            Self::Text(text) => text.as_ref().map_or(0, String::len),
            Self::Bytes(bytes) => bytes.as_ref().map_or(0, Vec::len),
        }
    }

    /// Reads the columns of a row.
    pub(super) fn row(table: &Table, row: &AnyRow) -> Result<Vec<Self>, StoreError> {
        let read = |(place, (_, kind)): (usize, &(String, Kind))| {
            Ok(match kind {
                Kind::Number => Self::Number(row.try_get(place)?),
                Kind::Text => Self::Text(row.try_get(place)?),
                Kind::Bytes => Self::Bytes(row.try_get(place)?),
            })
        };
        table.columns.iter().enumerate().map(read).collect()
    }
}
