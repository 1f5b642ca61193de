//! A rule as people see it, and what can be wrong with one.

use std::{fmt, sync::Arc};

use palisade_core::{Confidence, Severity};
use serde::Serialize;

use super::Family;

/// From where a rule comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It is part of Palisade.
    Shipped,
    /// It is the operator's.
    Own,
}

/// A file of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFile {
    /// Its name, for people (`mqtt-topic-scan.yaml`).
    pub name: String,
    /// From where it comes.
    pub origin: Origin,
    /// What is in it.
    pub text: Arc<str>,
}

impl RuleFile {
    /// A file.
    #[must_use]
    pub fn new(name: impl Into<String>, origin: Origin, text: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            origin,
            text: text.into(),
        }
    }

    /// The name without folder and ending: what the rule in it is called.
    #[must_use]
    pub fn stem(&self) -> &str {
        let name = self.name.rsplit('/').next().unwrap_or_default();
        let ending = name
            .strip_suffix(".yaml")
            .or_else(|| name.strip_suffix(".yml"));
        ending.unwrap_or(name)
    }
}

/// What a rule counts, where it is a correlation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// It looks at one event.
    Detection,
    /// It counts events.
    EventCount,
    /// It counts different values.
    ValueCount,
    /// Several rules match within a time.
    Temporal,
    /// Several rules match one after the other within a time.
    TemporalOrdered,
}

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What it is called in findings, in the list and in switches: the name of its file without the
    /// ending, and `-<n>` where its file has several.
    pub id: String,
    /// The UUID, by which an operator's own rule replaces a shipped one.
    pub uuid: Option<String>,
    /// The name by which correlations refer to it.
    pub name: Option<String>,
    /// What it is called by people.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// What it counts.
    pub kind: RuleKind,
    /// Events of which family it looks at; `None` where it is all of them, or a correlation.
    pub family: Option<Family>,
    /// How bad what it finds would be.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
    /// ATT&CK techniques, as Sigma tags.
    pub techniques: Vec<String>,
    /// All its tags.
    pub tags: Vec<String>,
    /// What it may mistake for what it looks for.
    pub false_positives: Vec<String>,
    /// Where to read more.
    pub references: Vec<String>,
    /// How mature it is, by Sigma's word.
    pub status: Option<String>,
    /// Who wrote it.
    pub author: Option<String>,
    /// From where it comes.
    pub origin: Origin,
    /// In which file it is.
    pub file: String,
    /// At which line it begins.
    pub line: u32,
    /// Whether it speaks for itself; else it only serves correlations.
    pub speaks: bool,
    /// Whether it is switched on.
    pub enabled: bool,
    /// The file's text.
    pub text: Arc<str>,
}

impl Rule {
    /// Whether its matches are told.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.speaks && self.enabled
    }
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
pub struct RuleError {
    /// In which file.
    pub file: String,
    /// At which line, counted from 1.
    pub line: u32,
    /// What, and what would be right.
    pub reason: String,
}

impl RuleError {
    /// Something is wrong at a line of a file.
    #[must_use]
    pub fn new(file: impl Into<String>, line: u32, reason: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: line.max(1),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for RuleError {
    /// `<file>:<line>: <reason>`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}
