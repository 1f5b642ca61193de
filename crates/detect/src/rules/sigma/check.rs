//! What is asked of a rule besides that it is Sigma: fields that exist, and patterns that cost little.

use regex::RegexBuilder;
use rsigma_parser::{
    Detection, DetectionItem, Modifier, SigmaRule, SigmaString, SigmaValue, SpecialChar, StringPart,
};

use super::super::view::{is_field, nearest_field};

/// The most bytes of a compiled regular expression. They run in time linear in the text; this bounds what
/// a step costs.
const MAX_REGEX: usize = 128 * 1024;
/// How deep groups of a regular expression may lie in each other.
const MAX_REGEX_DEPTH: u32 = 64;
/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 4 * 1024;
/// The most wildcards of a pattern.
const MAX_WILDCARDS: usize = 64;
/// The most dashes of a value under `windash`, which stands for five to the power of them.
const MAX_DASHES: usize = 3;

/// What is wrong, and a word near which it is to be found.
pub(super) struct Wrong {
    pub(super) near: String,
    pub(super) reason: String,
}

/// Checks a rule; says how many regular expressions it has.
pub(super) fn check(rule: &SigmaRule) -> Result<usize, Wrong> {
    let mut regexes = 0;
    for detection in rule.detection.named.values() {
        check_detection(detection, &mut regexes)?;
    }
    Ok(regexes)
}

/// Checks that events may have a field.
pub(super) fn check_field(name: &str) -> Result<(), Wrong> {
    if is_field(name) {
        return Ok(());
    }
    let hint = nearest_field(name).map_or_else(
        || "the book's chapter on rules lists them".to_owned(),
        |field| format!("did you mean {field:?}?"),
    );
    Err(Wrong {
        near: name.to_owned(),
        reason: format!("no event has a field {name:?}: {hint}"),
    })
}

/// Writes `startswith` and `endswith` as wildcards where their values have some already: `rsigma` 0.23 would
/// tie such a value to the wrong end of the text.
pub(super) fn anchor(detection: &mut Detection) {
    match detection {
        Detection::AllOf(items) => items.iter_mut().for_each(anchor_item),
        Detection::AnyOf(all) | Detection::And(all) => all.iter_mut().for_each(anchor),
        Detection::Conditional { named, .. } => named.values_mut().for_each(anchor),
        Detection::Keywords(_) | Detection::ArrayMatch { .. } => {}
    }
}

fn anchor_item(item: &mut DetectionItem) {
    let is_wild =
        |value: &SigmaValue| matches!(value, SigmaValue::String(text) if text.contains_wildcards());
    let begins = item.field.has_modifier(Modifier::StartsWith);
    let ends = item.field.has_modifier(Modifier::EndsWith);
    if !(begins || ends) || !item.values.iter().any(is_wild) {
        return;
    }
    let modifiers = &mut item.field.modifiers;
    modifiers.retain(|one| !matches!(one, Modifier::StartsWith | Modifier::EndsWith));
    for value in &mut item.values {
        let mut text = match &*value {
            SigmaValue::String(text) => text.clone(),
            other => SigmaString::from_raw(&other.to_string()),
        };
        let any = StringPart::Special(SpecialChar::WildcardMulti);
        match begins {
            true => text.parts.push(any),
            false => text.parts.insert(0, any),
        }
        *value = SigmaValue::String(text);
    }
}

fn check_detection(detection: &Detection, regexes: &mut usize) -> Result<(), Wrong> {
    match detection {
        Detection::AllOf(items) => items.iter().try_for_each(|item| check_item(item, regexes)),
        Detection::AnyOf(all) | Detection::And(all) => {
            all.iter().try_for_each(|one| check_detection(one, regexes))
        }
        Detection::Keywords(values) => values.iter().try_for_each(check_value),
        Detection::ArrayMatch { field, .. } => Err(Wrong {
            near: field.clone(),
            reason: format!("blocks over the members of a list ({field:?}) are not read"),
        }),
        Detection::Conditional { named, .. } => named
            .values()
            .try_for_each(|one| check_detection(one, regexes)),
    }
}

fn check_item(item: &DetectionItem, regexes: &mut usize) -> Result<(), Wrong> {
    if let Some(name) = &item.field.name {
        check_field(name)?;
    }
    item.values.iter().try_for_each(check_value)?;
    let has = |modifier| item.field.has_modifier(modifier);
    for value in &item.values {
        let SigmaValue::String(text) = value else {
            continue;
        };
        let text = text.original.as_str();
        if has(Modifier::Re) {
            *regexes += 1;
            check_regex(text, has(Modifier::IgnoreCase))?;
        }
        if has(Modifier::FieldRef) {
            check_field(text)?;
        }
        if has(Modifier::WindAsh) && text.matches('-').count() > MAX_DASHES {
            return Err(Wrong {
                near: text.to_owned(),
                reason: format!("a value under windash has at most {MAX_DASHES} dashes"),
            });
        }
    }
    Ok(())
}

fn check_value(value: &SigmaValue) -> Result<(), Wrong> {
    let SigmaValue::String(text) = value else {
        return Ok(());
    };
    let text = text.original.as_str();
    let wildcards = text.bytes().filter(|byte| matches!(byte, b'*' | b'?'));
    let reason = if text.len() > MAX_PATTERN {
        format!("a value has at most {MAX_PATTERN} bytes")
    } else if wildcards.count() > MAX_WILDCARDS {
        format!("a value has at most {MAX_WILDCARDS} wildcards")
    } else {
        return Ok(());
    };
    let near = text.chars().take(40).collect();
    Err(Wrong { near, reason })
}

fn check_regex(pattern: &str, ignores_case: bool) -> Result<(), Wrong> {
    let built = RegexBuilder::new(pattern)
        .case_insensitive(ignores_case)
        .size_limit(MAX_REGEX)
        .nest_limit(MAX_REGEX_DEPTH)
        .build();
    built.map(drop).map_err(|error| Wrong {
        near: pattern.chars().take(40).collect(),
        reason: match error {
            regex::Error::CompiledTooBig(_) => {
                "the regular expression is too large: write it with fewer or smaller repetitions"
                    .to_owned()
            }
            other => {
                let text = other.to_string();
                let last = text.lines().last().unwrap_or_default();
                format!("the regular expression cannot be read: {}", last.trim())
            }
        },
    })
}
