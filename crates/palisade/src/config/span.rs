//! Lengths of time as people write them: `90d`, `12h`, `1d 12h`, `30s`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

const UNITS: [(&str, u64); 5] = [
    ("w", 7 * 86_400),
    ("d", 86_400),
    ("h", 3_600),
    ("m", 60),
    ("s", 1),
];

/// A length of time of whole seconds, more than none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Span(Duration);

/// A text that is no length of time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no length of time: write a number and w, d, h, m or s, as 90d or 1d 12h")]
pub(crate) struct SpanError(String);

impl Span {
    pub(crate) const fn days(days: u64) -> Self {
        Self(Duration::from_secs(days * 86_400))
    }

    pub(crate) fn duration(self) -> Duration {
        self.0
    }

    pub(crate) fn seconds(self) -> u64 {
        self.0.as_secs()
    }

    /// Reads a span in seconds where none at all may be said too, as `0`.
    pub(crate) fn seconds_or_none(text: &str) -> Result<u64, SpanError> {
        match text.trim() {
            "0" => Ok(0),
            text if read(text) == Some(0) => Ok(0),
            text => text.parse().map(Self::seconds),
        }
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        read(text)
            .filter(|seconds| *seconds > 0)
            .map(|seconds| Self(Duration::from_secs(seconds)))
            .ok_or_else(|| SpanError(text.chars().take(40).collect()))
    }
}

fn read(text: &str) -> Option<u64> {
    let (mut rest, mut total) = (text.trim(), 0u64);
    if rest.is_empty() || rest.len() > 40 {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let (unit, seconds) = UNITS
            .iter()
            .find(|(unit, _)| rest[digits..].starts_with(unit))?;
        total = total.checked_add(number.checked_mul(*seconds)?)?;
        rest = rest[digits + unit.len()..].trim_start();
    }
    Some(total)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.seconds();
        let mut first = true;
        // Weeks are read, but days are what certificates are spoken of in.
        for (unit, seconds) in &UNITS[1..] {
            let number = left / seconds;
            left %= seconds;
            if number > 0 {
                let gap = if first { "" } else { " " };
                write!(f, "{gap}{number}{unit}")?;
                first = false;
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_reads_back_as_it_is_written() {
        for text in ["90d", "12h", "1d 12h", "30s", "2h 30m"] {
            let span: Span = text.parse().expect("valid");
            assert_eq!(span.to_string(), text);
        }
        assert_eq!("2w".parse::<Span>().expect("valid").to_string(), "14d");
    }

    #[test]
    fn no_time_at_all_is_one_only_where_it_may_be() {
        for (text, seconds) in [("0", 0), ("0s", 0), (" 0d ", 0), ("1h", 3_600)] {
            assert_eq!(Span::seconds_or_none(text).ok(), Some(seconds), "{text}");
        }
        for text in ["", "00x", "-1d", "1"] {
            assert!(Span::seconds_or_none(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_of_time_is_refused() {
        for text in [
            "",
            "0d",
            "90",
            "d",
            "9x",
            "-1d",
            "99999999999999999999d",
            "18446744073709551615w",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
