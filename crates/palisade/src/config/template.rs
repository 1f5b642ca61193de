//! The configuration with all its comments and defaults, as it is shown and as `palisade init` writes it.
//! A test makes it anew from the types and their doc comments and compares.

use serde::Serialize;
use toml::{Table, Value};

use super::Config;

/// Every section and key with its default, documented. A key that has no default stands as `#key =`.
pub(crate) const DEFAULTS: &str = include_str!("defaults.toml");

/// A line of the template.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    Section(&'a str),
    /// A key; the rest of its line follows after `=`.
    Key(&'a str),
    /// A comment or an empty line.
    Other,
}

fn read_line(line: &str) -> Line<'_> {
    if let Some(section) = line
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return Line::Section(section);
    }
    // Comments for people begin with `# `, keys without a default with `#` alone.
    let bare = line.strip_prefix('#').unwrap_or(line);
    match bare.split_once(" =") {
        Some((key, _)) if !key.is_empty() && !key.contains(' ') => Line::Key(key),
        _ => Line::Other,
    }
}

/// The top-level sections.
pub(crate) fn sections() -> impl Iterator<Item = &'static str> {
    DEFAULTS.lines().filter_map(|line| match read_line(line) {
        Line::Section(name) if !name.contains('.') => Some(name),
        _ => None,
    })
}

/// Every key, as its path.
pub(crate) fn keys() -> impl Iterator<Item = Vec<&'static str>> {
    let mut section = "";
    DEFAULTS
        .lines()
        .filter_map(move |line| match read_line(line) {
            Line::Section(name) => {
                section = name;
                None
            }
            Line::Key(key) => Some(section.split('.').chain([key]).collect()),
            Line::Other => None,
        })
}

/// The template with the values of a configuration in place of the defaults.
///
/// # Errors
/// When a value has no form in TOML.
pub(crate) fn render(config: &Config) -> Result<String, toml::ser::Error> {
    let table = Table::try_from(config)?;
    let mut section = "";
    let mut text = String::with_capacity(DEFAULTS.len());
    for line in DEFAULTS.lines() {
        match read_line(line) {
            Line::Key(key) => match find(&table, section, key) {
                Some(value) => text.push_str(&format!("{key} = {}", inline(value)?)),
                None => text.push_str(&format!("#{key} =")),
            },
            Line::Section(name) => {
                section = name;
                text.push_str(line);
            }
            Line::Other => text.push_str(line),
        }
        text.push('\n');
    }
    // Exports have the names that an operator gave them, and so no place in the template.
    if let Some(exports) = table.get("exports").and_then(Value::as_table) {
        for (name, export) in exports {
            text.push_str(&format!("\n[exports.{name}]\n{}", toml::to_string(export)?));
        }
    }
    Ok(text)
}

fn find<'a>(table: &'a Table, section: &str, key: &str) -> Option<&'a Value> {
    let mut at = table;
    for part in section.split('.') {
        at = at.get(part)?.as_table()?;
    }
    at.get(key)
}

/// A value on one line.
fn inline(value: &Value) -> Result<String, toml::ser::Error> {
    let mut text = String::new();
    value.serialize(toml::ser::ValueSerializer::new(&mut text))?;
    Ok(text)
}

#[cfg(test)]
mod tests;
