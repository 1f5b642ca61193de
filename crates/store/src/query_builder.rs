//! Statements that are put together from parts. `sqlx` has such a builder, which numbers no parameters for `Any`: SQLite takes its
//! question marks, PostgreSQL does not.

use std::fmt::{Display, Write};

use sqlx::{Any, Arguments, AssertSqlSafe, Encode, Type, any::AnyArguments, query::Query};

/// A statement in the making, with its parameters.
pub(crate) struct QueryBuilder {
    text: String,
    values: AnyArguments,
}

impl QueryBuilder {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            values: AnyArguments::default(),
        }
    }

    /// Adds text: never what comes from outside.
    pub(crate) fn push(&mut self, text: impl Display) -> &mut Self {
        // Writing into a string does not fail.
        let _ = write!(self.text, "{text}");
        self
    }

    /// Adds a parameter.
    pub(crate) fn push_bind<'t, T: Encode<'t, Any> + Type<Any>>(&mut self, value: T) -> &mut Self {
        match self.values.add(value) {
            Ok(()) => {
                let number = self.values.len();
                self.push(format_args!("${number}"))
            }
            // The statement is refused for it.
            Err(error) => self.push(format_args!("<no parameter: {error}>")),
        }
    }

    /// Adds a list, with what stands between its members.
    pub(crate) fn separated(&mut self, separator: &'static str) -> Separated<'_> {
        Separated {
            query: self,
            separator,
            is_begun: false,
        }
    }

    /// Adds `VALUES (..), (..)`, a row for each of `rows`.
    pub(crate) fn push_values<R>(
        &mut self,
        rows: impl IntoIterator<Item = R>,
        mut push_row: impl FnMut(Separated<'_>, R),
    ) -> &mut Self {
        self.push("VALUES ");
        for (index, row) in rows.into_iter().enumerate() {
            self.push(if index == 0 { "(" } else { ", (" });
            push_row(self.separated(", "), row);
            self.push(")");
        }
        self
    }

    /// The statement.
    pub(crate) fn build(self) -> Query<'static, Any, AnyArguments> {
        sqlx::query_with(AssertSqlSafe(self.text), self.values)
    }
}

/// A list in the making.
pub(crate) struct Separated<'a> {
    query: &'a mut QueryBuilder,
    separator: &'static str,
    is_begun: bool,
}

impl Separated<'_> {
    /// Adds a parameter.
    pub(crate) fn push_bind<'t, T: Encode<'t, Any> + Type<Any>>(&mut self, value: T) -> &mut Self {
        if self.is_begun {
            self.query.push(self.separator);
        }
        self.is_begun = true;
        self.query.push_bind(value);
        self
    }

    /// Adds text behind the list.
    pub(crate) fn push_unseparated(&mut self, text: impl Display) -> &mut Self {
        self.query.push(text);
        self
    }
}
