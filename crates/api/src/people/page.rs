//! Lists, in parts.

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

use palisade_core::{hex, unhex};

/// Where a list goes on; clients take it as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub(crate) struct Cursor(String);

/// Twice the longest key: no name here is longer than 1,024 bytes.
const MAX_CURSOR: usize = 2_048;

impl Cursor {
    /// After an item.
    pub(crate) fn after(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The id that a list goes on before, where its keys are ULIDs. What is none is a place at the end of
    /// such a list: nothing comes after it.
    pub(crate) fn ulid<T, E>(&self, parse: impl Fn(&str) -> Result<T, E>) -> Result<T, E> {
        const LEAST: &str = "00000000000000000000000000";
        parse(self.key()).or_else(|_| parse(LEAST))
    }

    /// The item's key.
    pub(crate) fn key(&self) -> &str {
        &self.0
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        hex(cursor.0.as_bytes())
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let decoded = match text.len() {
            2..=MAX_CURSOR => unhex(&text),
            _ => None,
        };
        // Whatever it says is a place in the list; what no list has is only not found there.
        decoded
            .map(|bytes| Self(String::from_utf8_lossy(&bytes).into_owned()))
            .ok_or_else(|| serde::de::Error::custom("this is no cursor: take `next` as it came"))
    }
}

impl PartialSchema for Cursor {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "Where a list goes on; opaque: take `next` as it came.",
            ))
            .pattern(Some("^([0-9a-f][0-9a-f])+$"))
            .min_length(Some(2))
            .max_length(Some(MAX_CURSOR))
            .into()
    }
}

impl ToSchema for Cursor {
    fn name() -> std::borrow::Cow<'static, str> {
        "Cursor".into()
    }
}

/// How many items a part has at most: 1 to 1,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub(crate) struct Limit(pub(crate) u32);

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<u32> for Limit {
    type Error = &'static str;

    fn try_from(value: u32) -> Result<Self, Self::Error> {
        match value {
            1..=1_000 => Ok(Self(value)),
            _ => Err("a limit is 1 to 1000"),
        }
    }
}

impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .description(Some("The most items wanted."))
            .minimum(Some(1))
            .maximum(Some(1_000))
            .default(Some(100.into()))
            .into()
    }
}

impl ToSchema for Limit {
    fn name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }
}

/// Which part of a list is wanted.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The `next` of the part before.
    #[param(inline, value_type = Option<Cursor>)]
    pub(crate) after: Option<Cursor>,
    /// The most items wanted.
    #[serde(default)]
    #[param(inline, value_type = Option<Limit>)]
    pub(crate) limit: Limit,
}

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Where the list goes on: `after` of the next request. Null where this was the end.
    #[schema(value_type = Option<String>)]
    pub(crate) next: Option<Cursor>,
}

impl<T> Page<T> {
    /// A page as the store gives it.
    pub(crate) fn of<U>(page: palisade_store::Page<U>, make: impl Fn(U) -> T) -> Self {
        Self {
            items: page.items.into_iter().map(make).collect(),
            next: page.next.map(Cursor::after),
        }
    }

    /// A page of items of which one more than `limit` was asked for, to see whether there are more.
    pub(crate) fn begin(mut items: Vec<T>, limit: u32, key: impl Fn(&T) -> String) -> Self {
        let limit = limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more);
        let next = last.map(|last| Cursor::after(key(last)));
        Self { items, next }
    }

    /// The part of a list that is held whole, in the order of its keys, which ascend.
    pub(crate) fn cut(
        all: impl IntoIterator<Item = T>,
        query: &PageQuery,
        key: impl Fn(&T) -> String,
    ) -> Self {
        Self::cut_where(all, query, &key, |key, after| key > after)
    }

    /// The part of a list that is held whole, in the order of its keys, which descend.
    pub(crate) fn cut_newest(
        all: impl IntoIterator<Item = T>,
        query: &PageQuery,
        key: impl Fn(&T) -> String,
    ) -> Self {
        Self::cut_where(all, query, &key, |key, after| key < after)
    }

    fn cut_where(
        all: impl IntoIterator<Item = T>,
        query: &PageQuery,
        key: &impl Fn(&T) -> String,
        is_behind: impl Fn(&str, &str) -> bool,
    ) -> Self {
        let after = query.after.as_ref().map(Cursor::key);
        let rest = all
            .into_iter()
            .filter(|item| after.is_none_or(|after| is_behind(&key(item), after)));
        let limit = query.limit.0;
        let items = rest.take(limit as usize + 1).collect();
        Self::begin(items, limit, key)
    }
}

/// A place in the stream of events or in the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub(crate) struct Position(pub(crate) u64);

impl Position {
    /// The largest that JSON readers everywhere take for what it is.
    const MAX: u64 = (1 << 53) - 1;
}

impl TryFrom<u64> for Position {
    type Error = &'static str;

    fn try_from(value: u64) -> Result<Self, Self::Error> {
        match value {
            0..=Self::MAX => Ok(Self(value)),
            _ => Err("a position is at most 2^53 - 1"),
        }
    }
}

impl PartialSchema for Position {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .description(Some("A place in the stream of events or in the ledger."))
            .minimum(Some(0))
            .maximum(Some(Self::MAX as f64))
            .into()
    }
}

impl ToSchema for Position {
    fn name() -> std::borrow::Cow<'static, str> {
        "Position".into()
    }
}
