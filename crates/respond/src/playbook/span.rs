//! Lengths of time as people write them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A length of time in whole seconds: `30s`, `10m`, `2h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(u64);

/// Why a text is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no length of time: write it as 30s, 10m, 2h or 7d, and at most a year")]
pub struct SpanError(String);

const YEAR: u64 = 366 * 86_400;

impl Span {
    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let wrong = || SpanError(text.chars().take(40).collect());
        let unit = match text.chars().last() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            _ => return Err(wrong()),
        };
        let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
        match number.checked_mul(unit) {
            Some(seconds @ 1..=YEAR) => Ok(Self(seconds)),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = SpanError;

    fn try_from(text: String) -> Result<Self, SpanError> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];
        let whole = units
            .into_iter()
            .find(|(unit, _)| self.0.is_multiple_of(*unit));
        let (unit, name) = whole.unwrap_or((1, 's'));
        write!(f, "{}{name}", self.0 / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_reads_back_from_its_text() {
        for text in ["30s", "10m", "2h", "7d"] {
            let span: Span = text.parse().expect("valid");
            assert_eq!(span.to_string(), text);
        }
        for text in [
            "",
            "s",
            "10",
            "-1s",
            "0s",
            "1y",
            "9999d",
            "1 h",
            "99999999999999999999s",
            "é",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text:?} was accepted");
        }
    }
}
