//! The text of a mask.

use std::str::FromStr;

use palisade_core::TopicFilter;

use super::{Mask, Method, Rule, Step};

/// The most rules of a mask, and steps of a path.
const MAX_RULES: usize = 64;
const MAX_STEPS: usize = 16;
/// Decimals that a number can be rounded to, both ways; characters that can stay.
const MAX_DECIMALS: i8 = 15;
const MAX_LAST: u8 = 32;

/// What is wrong with a mask: in which rule, and how it is written right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("@mask, rule {number} (`{rule}`): {why}")]
pub struct MaskError {
    number: usize,
    rule: String,
    why: String,
}

impl FromStr for Mask {
    type Err = MaskError;

    fn from_str(text: &str) -> Result<Self, MaskError> {
        let mut mask = Self::default();
        for (at, rule) in text.split(',').enumerate() {
            let rule = rule.trim();
            let wrong = |why: String| MaskError {
                number: at + 1,
                rule: rule.chars().take(100).collect(),
                why,
            };
            if at >= MAX_RULES {
                return Err(wrong(format!("a mask has at most {MAX_RULES} rules")));
            }
            mask.rules.insert(rule_of(rule).map_err(wrong)?);
        }
        Ok(mask)
    }
}

fn rule_of(text: &str) -> Result<Rule, String> {
    let (left, method) = text
        .rsplit_once(':')
        .ok_or("write what and how, with a colon between them: payload.gps.lat:round(2)")?;
    let (path, topics) = match left.split_once('@') {
        Some((path, filter)) => {
            let filter = TopicFilter::parse(filter.trim())
                .map_err(|error| format!("behind @ stands a topic filter: {error}"))?;
            (path, Some(filter))
        }
        None => (left, None),
    };
    Ok(Rule {
        path: path_of(path.trim())?,
        topics,
        method: method_of(method.trim())?,
    })
}

fn path_of(text: &str) -> Result<Vec<Step>, String> {
    let rest = text
        .strip_prefix("payload")
        .filter(|rest| rest.is_empty() || rest.starts_with('.'));
    let rest = rest.ok_or("a path begins with `payload`: payload, payload.gps.lat, payload.*")?;
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let steps: Vec<&str> = rest.split('.').skip(1).collect();
    if steps.len() > MAX_STEPS {
        return Err(format!("a path has at most {MAX_STEPS} steps"));
    }
    let step = |step: &str| match step {
        "" => Err("between two dots stands a name, or *".to_owned()),
        "*" => Ok(Step::Any),
        name => Ok(Step::Name(name.to_owned())),
    };
    steps.into_iter().map(step).collect()
}

fn method_of(text: &str) -> Result<Method, String> {
    let (name, argument) = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        Some((name, argument)) => (name.trim(), Some(argument.trim())),
        None => (text, None),
    };
    match (name, argument) {
        ("drop", None) => Ok(Method::Drop),
        ("hash", None) => Ok(Method::Hash),
        ("round", Some(decimals)) => decimals
            .parse()
            .ok()
            .filter(|decimals| (-MAX_DECIMALS..=MAX_DECIMALS).contains(decimals))
            .map(Method::Round)
            .ok_or_else(|| format!("round({decimals}): decimals are a number from -{MAX_DECIMALS} to {MAX_DECIMALS}")),
        ("last", Some(count)) => count
            .parse()
            .ok()
            .filter(|count| (1..=MAX_LAST).contains(count))
            .map(Method::Last)
            .ok_or_else(|| format!("last({count}): say how many characters stay, 1 to {MAX_LAST}")),
        ("round", None) => Err("say how many decimals stay: round(2)".to_owned()),
        ("last", None) => Err("say how many characters stay: last(4)".to_owned()),
        ("drop" | "hash", Some(_)) => Err(format!("{name} takes nothing in brackets: {name}")),
        _ => {
            let known = ["round(2)", "last(4)", "hash", "drop"];
            Err(format!("there is no `{name}`; there is {}", known.join(", ")))
        }
    }
}
