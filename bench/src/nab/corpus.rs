//! The corpus: series of values, and the windows in which something was out of the ordinary.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use jiff::{civil::DateTime, tz::TimeZone};
use palisade_core::Timestamp;

/// How many series there are.
pub const ALL: usize = 58;

/// One series.
#[derive(Debug, Clone)]
pub struct Recording {
    pub values: Vec<(Timestamp, f64)>,
    pub windows: Vec<Window>,
}

/// Rows in which an anomaly is to be found, the last included.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub first: usize,
    pub last: usize,
}

impl Recording {
    /// Rows at the beginning that are not scored: 15% of the first 5,000.
    pub fn probation(&self) -> usize {
        let part = (0.15 * self.values.len() as f64).floor();
        part.min(0.15 * 5_000.0) as usize
    }
}

/// Reads all series under `data/`, with the windows of `labels/combined_windows.json`.
pub fn read(directory: &Path) -> Result<Vec<Recording>> {
    let labels = directory.join("labels/combined_windows.json");
    let text = fs::read_to_string(&labels).with_context(|| labels.display().to_string())?;
    let labels: BTreeMap<String, Vec<[String; 2]>> = serde_json::from_str(&text)?;
    let recording = |(name, windows): (&String, &Vec<[String; 2]>)| {
        let path = directory.join("data").join(name);
        recording(&path, windows).with_context(|| path.display().to_string())
    };
    labels.iter().map(recording).collect()
}

fn recording(path: &Path, windows: &[[String; 2]]) -> Result<Recording> {
    let text = fs::read_to_string(path)?;
    let mut values = Vec::new();
    for line in text.lines().skip(1).filter(|line| !line.trim().is_empty()) {
        let (at, value) = line.split_once(',').context("a line without a comma")?;
        values.push((time(at)?, value.trim().parse()?));
    }
    let row = |at: &str| -> Result<usize> {
        let at = time(at)?;
        let found = values.iter().position(|(time, _)| *time == at);
        found.with_context(|| format!("no row is of {at}"))
    };
    let windows = windows
        .iter()
        .map(|[first, last]| {
            Ok(Window {
                first: row(first)?,
                last: row(last)?,
            })
        })
        .collect::<Result<_>>()?;
    Ok(Recording { values, windows })
}

fn time(text: &str) -> Result<Timestamp> {
    let time: DateTime = text.trim().parse()?;
    Ok(time.to_zoned(TimeZone::UTC)?.timestamp())
}
