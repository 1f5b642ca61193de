//! What a command prints: tables and sentences for people, JSON for programs. Tables are given by their
//! columns alone, so that every noun is shown in the same way.

mod cell;
mod progress;
mod spark;
mod table;

use std::io::{IsTerminal, Write};

use serde_json::Value;

use crate::failure::Failure;

pub(crate) use cell::{sanitise, text as cell};
pub(crate) use progress::{bar, rows_bar, spinner};
pub(crate) use spark::spark;

/// A column of a table: its heading, and where its value is in each item, as a JSON pointer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) heading: &'static str,
    pub(crate) pointer: &'static str,
}

/// A column.
pub(crate) const fn column(heading: &'static str, pointer: &'static str) -> Column {
    Column { heading, pointer }
}

/// Where and how a command prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    colour: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            json,
            colour: !json && !plain && std::io::stdout().is_terminal(),
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) fn colour(&self) -> bool {
        self.colour
    }

    /// One line, as it stands, for who has something left to do when nobody reads any longer.
    pub(crate) fn line(&self, text: &str) -> std::io::Result<()> {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{text}").and_then(|()| stdout.flush())
    }

    /// One line, as it stands.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        match self.line(text) {
            // Whoever read has seen enough (`palisade device list | head`).
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
            other => Ok(other?),
        }
    }

    /// A value for programs.
    pub(crate) fn json(&self, value: &Value) -> Result<(), Failure> {
        self.text(&serde_json::to_string_pretty(value)?)
    }

    /// A value for programs that read line by line.
    pub(crate) fn json_line(&self, value: &Value) -> Result<(), Failure> {
        self.text(&value.to_string())
    }

    /// A list: `{items, next}` or an array.
    pub(crate) fn list(&self, answer: &Value, columns: &[Column]) -> Result<(), Failure> {
        if self.json {
            return self.json(answer);
        }
        let items = answer
            .get("items")
            .unwrap_or(answer)
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        self.text(table::rows(items, columns, self.colour).trim_end())?;
        if answer.get("next").is_some_and(|next| !next.is_null()) {
            eprintln!("There are more: narrow the search or raise --limit.");
        }
        Ok(())
    }

    /// One thing, a line for each of its values; those that are named come first and in this order.
    pub(crate) fn record(&self, answer: &Value, first: &[Column]) -> Result<(), Failure> {
        match self.json {
            true => self.json(answer),
            false => self.text(table::record(answer, first, self.colour).trim_end()),
        }
    }

    /// What was done, in one sentence.
    pub(crate) fn done(&self, answer: &Value, sentence: &str) -> Result<(), Failure> {
        match self.json {
            true => self.json(answer),
            false => self.text(&sanitise(sentence)),
        }
    }
}
