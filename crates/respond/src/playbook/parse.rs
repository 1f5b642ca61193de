//! Reading a playbook: a strict schema, bounded in every direction, and each error with its line.

use std::{collections::BTreeMap, fmt, sync::Arc};

use palisade_core::{Impact, port::Effector};
use serde::Serialize;
use serde_json::Value;

use super::{Playbook, Step};

/// The largest text of a playbook, in bytes.
pub const MAX_TEXT: usize = 64 * 1024;
const MAX_ACTIONS: usize = 16;
const MAX_PATTERNS: usize = 64;
const MAX_PATTERN: usize = 128;
const MAX_NAME: usize = 64;
const MAX_DESCRIPTION: usize = 500;
/// The largest parameters of one action: bytes as JSON, and objects within objects.
const MAX_PARAMETERS: usize = 8 * 1024;
const MAX_DEPTH: usize = 6;
/// The most brackets and braces that open, wherever they stand: reading takes as long as there are of them
/// times how deep they are.
const MAX_OPENED: usize = 1_000;

/// Actions by name.
pub(crate) type Effectors = BTreeMap<&'static str, Arc<dyn Effector>>;

/// What is wrong with a playbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct PlaybookProblem {
    /// In which file, where it comes from one.
    pub file: Option<String>,
    /// On which line, from 1, where that is known.
    pub line: Option<usize>,
    /// What, and what would be right.
    pub message: String,
}

impl fmt::Display for PlaybookProblem {
    /// `<file>:<line>: <message>`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        match self.line {
            Some(line) if self.file.is_some() => write!(f, "{line}: {}", self.message),
            Some(line) => write!(f, "line {line}: {}", self.message),
            None if self.file.is_some() => write!(f, " {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl PlaybookProblem {
    pub(crate) fn new(line: Option<usize>, message: impl Into<String>) -> Self {
        Self {
            file: None,
            line,
            message: message.into(),
        }
    }

    pub(crate) fn in_file(mut self, file: &str) -> Self {
        self.file = Some(file.to_owned());
        self
    }
}

/// Reads a playbook and checks it against the actions that there are.
///
/// # Errors
/// Says what is wrong, with its line.
pub fn check_text(
    text: &str,
    effectors: &[Arc<dyn Effector>],
) -> Result<Playbook, PlaybookProblem> {
    let by_name = effectors.iter().map(|one| (one.name(), one.clone()));
    parse(text, &by_name.collect())
}

pub(crate) fn parse(text: &str, effectors: &Effectors) -> Result<Playbook, PlaybookProblem> {
    if text.len() > MAX_TEXT {
        let why = format!(
            "a playbook has at most {MAX_TEXT} bytes, this one has {}",
            text.len()
        );
        return Err(PlaybookProblem::new(None, why));
    }
    refuse_aliases(text)?;
    if text.matches(['[', '{']).nth(MAX_OPENED).is_some() {
        let why = format!("a playbook has at most {MAX_OPENED} opening brackets and braces");
        return Err(PlaybookProblem::new(None, why));
    }
    let playbook: Playbook = yaml_serde::from_str(text).map_err(|error| {
        let line = error.location().map(|place| place.line());
        let message: String = error.to_string().chars().take(500).collect();
        PlaybookProblem::new(line, message)
    })?;
    check(&playbook, text, effectors)?;
    Ok(playbook)
}

/// Anchors and aliases: no playbook needs them, and a few lines of them unfold to gigabytes. A mark that
/// begins a word is taken for one even within quotes, where this cannot tell.
fn refuse_aliases(text: &str) -> Result<(), PlaybookProblem> {
    for (index, line) in text.lines().enumerate() {
        let mut before = None;
        let mut rest = line.chars().peekable();
        while let Some(mark) = rest.next() {
            let begins = before.is_none_or(|c: char| c.is_whitespace() || "[,{:".contains(c));
            let names = rest
                .peek()
                .is_some_and(|c| c.is_alphanumeric() || "_-".contains(*c));
            if (mark == '&' || mark == '*') && begins && names {
                let why = "anchors and aliases are not used in playbooks: write it out, or put quotes right \
                           before a text that begins with & or *";
                return Err(PlaybookProblem::new(Some(index + 1), why));
            }
            before = Some(mark);
        }
    }
    Ok(())
}

fn check(playbook: &Playbook, text: &str, effectors: &Effectors) -> Result<(), PlaybookProblem> {
    let at = |key: &str| line_of(text, key, 0);
    let name = &playbook.name;
    let in_alphabet = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(in_alphabet) {
        let why = "name: 1 to 64 lower-case letters, digits and '-'";
        return Err(PlaybookProblem::new(at("name"), why));
    }
    let description = playbook.description.trim();
    if description.is_empty() || description.chars().count() > MAX_DESCRIPTION {
        let why = "description: say what it is for, in at most 500 characters";
        return Err(PlaybookProblem::new(at("description"), why));
    }
    let trigger = &playbook.trigger;
    let patterns = || trigger.detectors.iter().chain(&trigger.techniques);
    if patterns().next().is_none() {
        let why = "trigger: name detectors or techniques; detectors: [\"*\"] is every finding";
        return Err(PlaybookProblem::new(at("trigger"), why));
    }
    if patterns().count() > MAX_PATTERNS || patterns().any(|one| one.len() > MAX_PATTERN) {
        let why = "trigger: at most 64 detectors and techniques of 128 characters";
        return Err(PlaybookProblem::new(at("trigger"), why));
    }
    if trigger.min_confidence > 100 {
        let why = "min_confidence: 0 to 100";
        return Err(PlaybookProblem::new(at("min_confidence"), why));
    }
    if playbook
        .conditions
        .repeated
        .as_ref()
        .is_some_and(|repeated| repeated.count == 0)
    {
        return Err(PlaybookProblem::new(at("count"), "count: at least 1"));
    }
    if !(1..=MAX_ACTIONS).contains(&playbook.actions.len()) {
        let why = format!("actions: 1 to {MAX_ACTIONS} of them");
        return Err(PlaybookProblem::new(at("actions"), why));
    }
    for (index, step) in playbook.actions.iter().enumerate() {
        let line = line_of(text, "action", index);
        check_step(step, effectors)
            .map_err(|why| PlaybookProblem::new(line, format!("action {}: {why}", step.action)))?;
    }
    Ok(())
}

fn check_step(step: &Step, effectors: &Effectors) -> Result<(), String> {
    let Some(effector) = effectors.get(step.action.as_str()) else {
        let names: Vec<&str> = effectors.keys().copied().collect();
        return Err(format!(
            "there is no such action; there are {}",
            names.join(", ")
        ));
    };
    let size = serde_json::to_string(&step.parameters).map_or(usize::MAX, |text| text.len());
    if size > MAX_PARAMETERS
        || step
            .parameters
            .values()
            .any(|value| depth(value) > MAX_DEPTH)
    {
        return Err(format!(
            "parameters: at most {MAX_PARAMETERS} bytes and {MAX_DEPTH} levels"
        ));
    }
    effector
        .check(&step.parameters)
        .map_err(|error| error.to_string())?;
    if step.ttl.is_some() && matches!(effector.impact(), Impact::None | Impact::Permanent) {
        return Err("ttl: it leaves nothing that could be undone".to_owned());
    }
    Ok(())
}

/// How many levels of lists and objects a value has.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The line, from 1, on which a key stands for the `nth` time, from 0.
fn line_of(text: &str, key: &str, nth: usize) -> Option<usize> {
    let stands = |line: &str| {
        let line = line.trim_start().trim_start_matches("- ").trim_start();
        let rest = line.strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start().starts_with(':'))
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| stands(line))
        .nth(nth)
        .map(|(index, _)| index + 1)
}

#[cfg(test)]
mod tests;
