//! Reading columns back into values of `core`.

use palisade_core::Timestamp;
use sqlx::{Row, any::AnyRow};

use crate::StoreError;

pub(crate) fn text(row: &AnyRow, column: &'static str) -> Result<String, StoreError> {
    Ok(row.try_get::<String, _>(column)?)
}

pub(crate) fn optional_text(
    row: &AnyRow,
    column: &'static str,
) -> Result<Option<String>, StoreError> {
    Ok(row.try_get::<Option<String>, _>(column)?)
}

pub(crate) fn integer(row: &AnyRow, column: &'static str) -> Result<i64, StoreError> {
    Ok(row.try_get::<i64, _>(column)?)
}

pub(crate) fn optional_integer(
    row: &AnyRow,
    column: &'static str,
) -> Result<Option<i64>, StoreError> {
    Ok(row.try_get::<Option<i64>, _>(column)?)
}

pub(crate) fn unsigned(row: &AnyRow, column: &'static str) -> Result<u64, StoreError> {
    u64::try_from(integer(row, column)?).map_err(|error| StoreError::corrupt(column, error))
}

pub(crate) fn flag(row: &AnyRow, column: &'static str) -> Result<bool, StoreError> {
    Ok(integer(row, column)? != 0)
}

pub(crate) fn bytes(row: &AnyRow, column: &'static str) -> Result<Vec<u8>, StoreError> {
    Ok(row.try_get::<Vec<u8>, _>(column)?)
}

pub(crate) fn time(row: &AnyRow, column: &'static str) -> Result<Timestamp, StoreError> {
    from_nanos(column, integer(row, column)?)
}

pub(crate) fn optional_time(
    row: &AnyRow,
    column: &'static str,
) -> Result<Option<Timestamp>, StoreError> {
    row.try_get::<Option<i64>, _>(column)?
        .map(|nanos| from_nanos(column, nanos))
        .transpose()
}

fn from_nanos(column: &'static str, nanos: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_nanosecond(i128::from(nanos))
        .map_err(|error| StoreError::corrupt(column, error))
}

/// Parses a text column.
pub(crate) fn parse<T, E: ToString>(
    row: &AnyRow,
    column: &'static str,
    parser: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, StoreError> {
    parser(&text(row, column)?).map_err(|error| StoreError::corrupt(column, error.to_string()))
}

/// Reads a JSON text column.
pub(crate) fn json<T: serde::de::DeserializeOwned>(
    row: &AnyRow,
    column: &'static str,
) -> Result<T, StoreError> {
    parse(row, column, |text| serde_json::from_str(text))
}

/// Nanoseconds for a column; times outside the range of the column are brought to its ends.
pub(crate) fn nanos(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(if time < Timestamp::UNIX_EPOCH {
        i64::MIN
    } else {
        i64::MAX
    })
}

pub(crate) fn to_json(
    value: &impl serde::Serialize,
    what: &'static str,
) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::corrupt(what, error))
}

/// A member of a JSON object as it stands in the column that [`to_json`] wrote.
pub(crate) fn json_member(key: &str, value: &str) -> Result<String, StoreError> {
    Ok(format!(
        "{}:{}",
        to_json(&key, "label")?,
        to_json(&value, "label")?
    ))
}
