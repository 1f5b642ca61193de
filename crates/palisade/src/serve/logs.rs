//! Structured logs on stderr.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use super::telemetry::Telemetry;
use crate::{
    config::{LogFormat, LogSection},
    failure::{Context, Failure},
};

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Refuses a level that would silently say nothing: the filter itself takes a mistyped level for the name
/// of a part.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let bad = text.split(',').map(str::trim).find(|item| {
        let (part, level) = item.split_once('=').unwrap_or(("all", item));
        let named = !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
        !named || !LEVELS.contains(&level)
    });
    match bad {
        None => Ok(()),
        Some(bad) => Err(format!(
            "{bad:?} is no level: use {}, or part=level",
            LEVELS.join(", ")
        )),
    }
}

/// Sends logs of this process to stderr from now on, and its traces to where telemetry sends them.
pub(crate) fn install(section: &LogSection, telemetry: Option<&Telemetry>) -> Result<(), Failure> {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match section.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Human => lines
            .with_ansi(!plain && std::io::stderr().is_terminal())
            .with_target(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(EnvFilter::try_new(&section.level)?))
        .with(telemetry.map(Telemetry::layer))
        .try_init()
        .context("logs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_checked_before_it_silences_the_server() {
        for good in ["info", "warn,palisade_gateway=debug", "off"] {
            assert_eq!(check(good), Ok(()));
        }
        for bad in [
            "",
            "verbose",
            "info,",
            "palisade=loud",
            "=info",
            "[span]=info",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
