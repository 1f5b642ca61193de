//! What is wrong with a configuration, where, and what was probably meant.

use std::{fmt::Display, path::Path};

/// How alike two names must be (0 to 1) for one to be suggested for the other.
const ALIKE: f64 = 0.75;

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub(crate) struct ConfigError {
    place: String,
    what: String,
}

impl ConfigError {
    /// An error that is no matter of keys and values.
    pub(crate) fn plain(place: impl Display, what: impl Display) -> Self {
        Self {
            place: place.to_string(),
            what: what.to_string(),
        }
    }

    /// An error at a line of a file.
    pub(crate) fn in_file(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let place = match error.span() {
            Some(span) => {
                let before = &text.as_bytes()[..span.start.min(text.len())];
                let line = before.iter().filter(|byte| **byte == b'\n').count();
                let key = text.lines().nth(line).and_then(key).unwrap_or_default();
                format!("{}:{}{key}", path.display(), line + 1)
            }
            None => path.display().to_string(),
        };
        Self::plain(place, explain(error.message()))
    }

    /// An error in a value that stands in no file.
    pub(crate) fn unplaced(place: impl Display, error: &toml::de::Error) -> Self {
        Self::plain(place, explain(error.message()))
    }
}

/// `: key` where a line sets one: a message about a value does not say whose it is.
fn key(line: &str) -> Option<String> {
    let key = line.split_once('=')?.0.trim();
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (!key.is_empty() && key.chars().all(is_bare)).then(|| format!(": {key}"))
}

/// Whether a value should have been an address with its port.
pub(super) fn is_about_an_address(message: &str) -> bool {
    message.contains("invalid socket address")
}

/// Turns the deserialiser's words on unknown keys into ours; other messages stay.
fn explain(message: &str) -> String {
    let message = message.trim();
    if is_about_an_address(message) {
        return "this is no address to listen on: write IP:PORT, as 127.0.0.1:8883".to_owned();
    }
    let kind = match message.split_once(" `") {
        Some(("unknown field", _)) => "key",
        Some(("unknown variant", _)) => "value",
        _ => return message.to_owned(),
    };
    let mut names = message.split('`').skip(1).step_by(2);
    let Some(found) = names.next() else {
        return message.to_owned();
    };
    let known: Vec<&str> = names.collect();
    format!("unknown {kind} {found:?}{}", suggest(found, &known))
}

/// `; did you mean "x"?` where one of the names is like it; otherwise the names, where there are few.
pub(crate) fn suggest(found: &str, known: &[&str]) -> String {
    let alike = |name: &&&str| (strsim::jaro_winkler(found, name) * 1000.0) as u32;
    let best = known.iter().max_by_key(alike);
    match best {
        Some(name) if strsim::jaro_winkler(found, name) >= ALIKE => {
            format!("; did you mean {name:?}?")
        }
        _ if known.is_empty() => "; there are none here".to_owned(),
        _ => format!("; there are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_answered_with_the_one_that_was_meant() {
        let message = "unknown field `lisen`, expected one of `listen`, `max_sessions`";
        assert_eq!(
            explain(message),
            r#"unknown key "lisen"; did you mean "listen"?"#
        );
        let message = "unknown field `zzz`, expected `listen` or `max`";
        assert_eq!(
            explain(message),
            r#"unknown key "zzz"; there are listen, max"#
        );
        assert_eq!(explain("invalid type: map"), "invalid type: map");
    }
}
