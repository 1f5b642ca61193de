//! Keys that the environment or a flag sets over the file.

use serde::Deserialize;
use toml::{Table, Value};

use super::{Config, ConfigError, error::is_about_an_address, error::suggest, template};

/// The beginning of every variable that is ours.
const PREFIX: &str = "PALISADE_";
/// The deepest key, in parts.
const MAX_DEPTH: usize = 4;

/// One key that is set from outside the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Override {
    /// Where it was set, for people.
    place: String,
    path: Vec<String>,
    text: String,
}

/// The overrides in environment variables: `PALISADE_SECTION__KEY`, further parts after `__` again.
/// Variables without `__` are not configuration, but one that is a key but for its underscores is refused
/// rather than ignored.
///
/// # Errors
/// When a variable is nearly a key.
pub(crate) fn from_environment(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<Override>, ConfigError> {
    let mut found = Vec::new();
    for (name, text) in variables {
        let Some(key) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let place = format!("environment variable {name}");
        if !key.contains("__") {
            refuse_near_miss(&place, key)?;
            continue;
        }
        let path = key.split("__").map(str::to_ascii_lowercase).collect();
        found.push(Override { place, path, text });
    }
    // The order of the environment is not ours to rely on.
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn refuse_near_miss(place: &str, key: &str) -> Result<(), ConfigError> {
    let flat = key.to_ascii_lowercase();
    match template::keys().find(|path| path.join("_") == flat) {
        Some(path) => {
            let meant = path.join("__").to_ascii_uppercase();
            let why = format!("did you mean {PREFIX}{meant}, with two underscores?");
            Err(ConfigError::plain(place, why))
        }
        None => Ok(()),
    }
}

/// The overrides in flags: `section.key=value`.
///
/// # Errors
/// When one has another form.
pub(crate) fn from_flags(flags: &[String]) -> Result<Vec<Override>, ConfigError> {
    flags
        .iter()
        .map(|flag| {
            let place = format!("--set {}", flag.chars().take(80).collect::<String>());
            match flag.split_once('=') {
                Some((path, text)) if path.contains('.') => Ok(Override {
                    place,
                    path: path.trim().split('.').map(str::to_owned).collect(),
                    text: text.to_owned(),
                }),
                _ => Err(ConfigError::plain(place, "write section.key=value")),
            }
        })
        .collect()
}

impl Override {
    /// Sets the key. Its text is taken in the first of these forms that the key can hold: as it stands, as
    /// a TOML value, as a list separated by commas.
    ///
    /// # Errors
    /// When there is no such key or it holds nothing of the kind.
    pub(crate) fn apply(&self, table: &mut Table) -> Result<(), ConfigError> {
        let section = self.path.first().map_or("", String::as_str);
        let sections: Vec<&str> = template::sections().collect();
        if !sections.contains(&section) {
            let what = format!("unknown section {section:?}{}", suggest(section, &sections));
            return Err(ConfigError::plain(&self.place, what));
        }
        if self.path.len() > MAX_DEPTH || self.path.iter().any(String::is_empty) {
            return Err(ConfigError::plain(&self.place, "this is no key"));
        }
        let mut first_error = None;
        for value in readings(&self.text) {
            let mut candidate = table.clone();
            if !set(&mut candidate, &self.path, value) {
                let what = format!("{} is no section", self.path.join("."));
                return Err(ConfigError::plain(&self.place, what));
            }
            match Config::deserialize(candidate.clone()) {
                Ok(_) => {
                    *table = candidate;
                    return Ok(());
                }
                // A list of one address is what was meant, and the first reading knows nothing of it.
                Err(error) if is_about_an_address(error.message()) => first_error = Some(error),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        match first_error {
            Some(error) => Err(ConfigError::unplaced(&self.place, &error)),
            None => Ok(()),
        }
    }
}

fn readings(text: &str) -> Vec<Value> {
    let mut readings = vec![Value::String(text.to_owned())];
    let literal = |text: &str| {
        let table: Table = toml::from_str(&format!("value = {text}")).ok()?;
        // A text with a line break could set more than one key.
        (table.len() == 1)
            .then(|| table.get("value").cloned())
            .flatten()
    };
    readings.extend(literal(text));
    let items = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    let items = items.map(|item| Value::String(item.to_owned()));
    readings.push(Value::Array(items.collect()));
    readings
}

/// Sets a value at a path; `false` where something on the way is no table.
fn set(table: &mut Table, path: &[String], value: Value) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return false;
    };
    let mut at = table;
    for part in parents {
        let next = at
            .entry(part.clone())
            .or_insert_with(|| Value::Table(Table::new()));
        match next.as_table_mut() {
            Some(next) => at = next,
            None => return false,
        }
    }
    at.insert(last.clone(), value);
    true
}
