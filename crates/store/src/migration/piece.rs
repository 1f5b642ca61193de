//! A piece of a table: so many rows in the order of its key, read from either side, compared, and copied.

use aws_lc_rs::digest::{Context, SHA256};
use sqlx::{AnyConnection, Connection};

use super::table::{Table, Value};
use crate::{Store, StoreError, query_builder::QueryBuilder};

/// Rows of a piece; fewer of a table whose rows are as large as messages.
const ROWS: i64 = 1_000;
const LARGE_ROWS: i64 = 32;
/// Bytes of a statement, unless a single row has more.
const BYTES: usize = 8 * 1024 * 1024;
/// Parameters of a statement, below what either engine takes.
const PARAMETERS: usize = 16_000;

/// A checksum in the making. What is added is told apart from what is added next.
pub(super) struct Digest(Context);

impl Default for Digest {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Digest {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    fn add_value(&mut self, value: &Value) {
        match value {
            Value::Number(Some(number)) => self.add(&number.to_be_bytes()),
            Value::Text(Some(text)) => self.add(text.as_bytes()),
            Value::Bytes(Some(bytes)) => self.add(bytes),
            // No length is as long as this.
            Value::Number(None) | Value::Text(None) | Value::Bytes(None) => {
                self.0.update(&u64::MAX.to_be_bytes());
            }
        }
    }

    pub(super) fn end(self) -> Vec<u8> {
        self.0.finish().as_ref().to_vec()
    }
}

/// Where a piece begins and ends in the order of the key.
#[derive(Debug, Clone, Copy)]
struct Range<'a> {
    /// Behind this key; from the first where there is none.
    after: Option<&'a [Value]>,
    /// Up to this key and with it; to the last where there is none.
    upto: Option<&'a [Value]>,
}

/// Some rows of a table, in the order of its key.
#[derive(Debug)]
pub(super) struct Piece(Vec<Vec<Value>>);

impl Piece {
    /// Reads the rows of a range; of one without an end, so many as a piece has.
    async fn read(
        table: &Table,
        range: Range<'_>,
        connection: &mut AnyConnection,
    ) -> Result<Self, StoreError> {
        let mut query = QueryBuilder::new(format!("SELECT {} FROM {}", table.names(), table.name));
        push_range(&mut query, table, range);
        query.push(format_args!(" ORDER BY {}", table.key_names()));
        if range.upto.is_none() {
            query.push(" LIMIT ").push_bind(rows_of(table));
        }
        let rows = query.build().fetch_all(connection).await?;
        let rows = rows.iter().map(|row| Value::row(table, row));
        Ok(Self(rows.collect::<Result<_, _>>()?))
    }

    /// The key of the last row.
    fn last_key(&self, table: &Table) -> Option<Vec<Value>> {
        let last = self.0.last()?;
        Some(
            table
                .key_places()
                .into_iter()
                .map(|place| last[place].clone())
                .collect(),
        )
    }

    /// How many rows a table has, and the checksum over all of them.
    pub(super) async fn digest_of(
        table: &Table,
        connection: &mut AnyConnection,
    ) -> Result<(u64, Vec<u8>), StoreError> {
        let (mut digest, mut rows) = (Digest::default(), 0);
        let mut after: Option<Vec<Value>> = None;
        loop {
            let range = Range {
                after: after.as_deref(),
                upto: None,
            };
            let piece = Self::read(table, range, connection).await?;
            for value in piece.0.iter().flatten() {
                digest.add_value(value);
            }
            rows += piece.0.len() as u64;
            match piece.last_key(table) {
                Some(last) => after = Some(last),
                None => return Ok((rows, digest.end())),
            }
        }
    }
}

/// Makes a table of the target what it is in the source; says how many rows were so already.
pub(super) async fn bring_over(
    table: &Table,
    source: &Store,
    target: &mut AnyConnection,
    done: &mut impl FnMut(u64),
) -> Result<u64, StoreError> {
    let mut reader = source.readers().acquire().await?;
    let mut unchanged = 0;
    let mut after: Option<Vec<Value>> = None;
    loop {
        let open = Range {
            after: after.as_deref(),
            upto: None,
        };
        let here = Piece::read(table, open, &mut reader).await?;
        let last = here.last_key(table);
        // Behind the last row of the source the target has nothing.
        let range = Range {
            upto: last.as_deref(),
            ..open
        };
        if last.is_none() {
            remove(table, range, target).await?;
            return Ok(unchanged);
        }
        let there = Piece::read(table, range, target).await?;
        if here.0 == there.0 {
            unchanged += here.0.len() as u64;
        } else {
            let mut transaction = target.begin().await?;
            remove(table, range, &mut transaction).await?;
            insert(table, &here, &mut transaction).await?;
            transaction.commit().await?;
        }
        done(here.0.len() as u64);
        after = last;
    }
}

async fn remove(
    table: &Table,
    range: Range<'_>,
    connection: &mut AnyConnection,
) -> Result<(), StoreError> {
    let mut query = QueryBuilder::new(format!("DELETE FROM {}", table.name));
    push_range(&mut query, table, range);
    query.build().execute(connection).await?;
    Ok(())
}

async fn insert(
    table: &Table,
    piece: &Piece,
    connection: &mut AnyConnection,
) -> Result<(), StoreError> {
    let rows_a_statement = (PARAMETERS / table.columns.len()).max(1);
    let mut rest = piece.0.as_slice();
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take(rows_a_statement).take_while(|row| {
            bytes += row.iter().map(Value::size).sum::<usize>();
            bytes <= BYTES
        });
        let (rows, others) = rest.split_at(fits.count().max(1));
        rest = others;
        let mut query =
            QueryBuilder::new(format!("INSERT INTO {} ({}) ", table.name, table.names()));
        query.push_values(rows, |mut values, row| {
            for value in row {
                match value {
                    Value::Number(number) => values.push_bind(*number),
                    Value::Text(text) => values.push_bind(text.as_deref()),
                    Value::Bytes(bytes) => values.push_bind(bytes.as_deref()),
                };
            }
        });
        let done = query.build().execute(&mut *connection).await;
        done.map_err(|error| {
            StoreError::Migration(format!(
                "a row of table {} cannot be kept there: {error}",
                table.name
            ))
        })?;
    }
    Ok(())
}

fn rows_of(table: &Table) -> i64 {
    match table.name.starts_with("mqtt_") || table.name.starts_with("baseline") {
        true => LARGE_ROWS,
        false => ROWS,
    }
}

fn push_range(query: &mut QueryBuilder, table: &Table, range: Range<'_>) {
    let key = table.key_names();
    let mut word = " WHERE ";
    for (sign, values) in [(">", range.after), ("<=", range.upto)] {
        let Some(values) = values else { continue };
        query.push(format_args!("{word}({key}) {sign} ("));
        let mut list = query.separated(", ");
        for value in values {
            match value {
                Value::Number(number) => list.push_bind(*number),
                Value::Text(text) => list.push_bind(text.as_deref()),
                Value::Bytes(bytes) => list.push_bind(bytes.as_deref()),
            };
        }
        list.push_unseparated(")");
        word = " AND ";
    }
}
