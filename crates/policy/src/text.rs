//! Policy texts: what is read of them, and what is said about a wrong one.

use std::{collections::BTreeSet, fmt, str::FromStr, thread};

use cedar_policy::{Policy, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;
use palisade_core::PolicyId;
use serde::Serialize;
use serde_json::Value;

use crate::text::outline::Outline;

mod outline;

/// The largest policy text, in bytes.
const MAX_TEXT: usize = 1024 * 1024;
/// The most policies in a text.
const MAX_POLICIES: usize = 1_000;
/// The most problems that are listed.
const MAX_PROBLEMS: usize = 100;
/// The deepest expression: Cedar's evaluator takes up to 50 KiB of stack a level in a debug build, and
/// the threads that decide have 2 MiB.
const MAX_NESTING: usize = 32;
/// Stack for parsing: `outline` bounds how deep it goes, and this is several times what that takes.
const STACK: usize = 64 * 1024 * 1024;

/// What is wrong with a policy text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyProblem {
    /// The line, counted from 1, where it is known.
    pub line: Option<usize>,
    /// The policy's `@id`, where it is known.
    pub policy: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(policy) = &self.policy {
            write!(f, "policy {policy}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl PolicyProblem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            line: None,
            policy: None,
            message: message.into(),
        }
    }

    fn at(line: usize, message: impl Into<String>) -> Self {
        Self {
            line: Some(line),
            policy: None,
            message: message.into(),
        }
    }
}

/// Reads a text, then does something with its policies. All of it runs on a thread with a deep stack,
/// since Cedar's parser, validator and conversions recurse.
pub(crate) fn with_policies<T: Send>(
    text: &str,
    schema: &Schema,
    then: impl FnOnce(&PolicySet) -> Result<T, Vec<PolicyProblem>> + Send,
) -> Result<T, Vec<PolicyProblem>> {
    let work = || {
        let set = parse(text)?;
        check_nesting(&set)?;
        validate(text, schema, &set)?;
        then(&set)
    };
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("policy-text".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, work);
        let failed = |_| {
            Err(vec![PolicyProblem::new(
                "the text could not be read: try again",
            )])
        };
        match worker {
            Ok(worker) => worker.join().unwrap_or_else(failed),
            Err(error) => failed(Box::new(error)),
        }
    })
}

/// Parses, and names each policy by its `@id`.
fn parse(text: &str) -> Result<PolicySet, Vec<PolicyProblem>> {
    if text.len() > MAX_TEXT {
        let message = format!(
            "the text has {} bytes, at most {MAX_TEXT} are read",
            text.len()
        );
        return Err(vec![PolicyProblem::new(message)]);
    }
    let outline = Outline::of(text).map_err(|problem| vec![problem])?;
    if outline.statements() > MAX_POLICIES {
        let message = format!("a text has at most {MAX_POLICIES} policies");
        return Err(vec![PolicyProblem::new(message)]);
    }
    let parsed = PolicySet::from_str(text).map_err(|errors| {
        let problems = errors.iter().take(MAX_PROBLEMS);
        problems
            .map(|error| PolicyProblem {
                line: line_of(text, error),
                policy: None,
                message: error.to_string(),
            })
            .collect::<Vec<_>>()
    })?;
    if parsed.templates().next().is_some() {
        let message = "templates are not used here: write the policy without slots";
        return Err(vec![PolicyProblem::new(message)]);
    }
    let mut named = PolicySet::new();
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for policy in parsed.policies() {
        match name(policy, &outline) {
            Ok(id) if !seen.insert(id.clone()) => {
                let line = outline.line_of_policy(policy);
                let message = format!("another policy has @id(\"{id}\") too");
                problems.push(PolicyProblem {
                    line,
                    policy: Some(id),
                    message,
                });
            }
            Ok(id) => {
                let renamed = policy.new_id(cedar_policy::PolicyId::new(&id));
                named
                    .add(renamed)
                    .map_err(|error| vec![PolicyProblem::new(error.to_string())])?;
            }
            Err(problem) => problems.push(problem),
        }
    }
    problems.truncate(MAX_PROBLEMS);
    if problems.is_empty() {
        Ok(named)
    } else {
        Err(problems)
    }
}

fn name(policy: &Policy, outline: &Outline) -> Result<String, PolicyProblem> {
    let id = policy.annotation("id").unwrap_or_default();
    match PolicyId::parse(id) {
        Ok(_) => Ok(id.to_owned()),
        Err(error) => Err(PolicyProblem {
            line: outline.line_of_policy(policy),
            policy: None,
            message: format!("each policy is named by an annotation @id(\"...\"): {error}"),
        }),
    }
}

fn check_nesting(set: &PolicySet) -> Result<(), Vec<PolicyProblem>> {
    let is_deep = |policy: &Policy| {
        policy
            .to_json()
            .map_or(true, |json| nesting_of_policy(&json) > MAX_NESTING)
    };
    let problem = |policy: &Policy| PolicyProblem {
        line: None,
        policy: Some(policy.id().to_string()),
        message: format!(
            "an expression nests at most {MAX_NESTING} operators deep: split the policy, which permits \
             or forbids the same"
        ),
    };
    let deep = set.policies().filter(|policy| is_deep(policy));
    let problems: Vec<PolicyProblem> = deep.take(MAX_PROBLEMS).map(problem).collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

/// Cedar joins the clauses of a policy by `&&`, which nests once a clause.
fn nesting_of_policy(json: &Value) -> usize {
    let clauses = json
        .get("conditions")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let bodies = clauses.iter().filter_map(|clause| clause.get("body"));
    clauses.len() + bodies.map(nesting).max().unwrap_or_default()
}

/// How deep operators nest in the JSON form of an expression, where an operator is an object that holds
/// its operands by name or in a list.
fn nesting(value: &Value) -> usize {
    match value {
        Value::Object(map) => {
            let operand = |operand: &Value| match operand {
                Value::Object(named) => named.values().map(nesting).max(),
                Value::Array(listed) => listed.iter().map(nesting).max(),
                _ => None,
            };
            1 + map.values().filter_map(operand).max().unwrap_or_default()
        }
        Value::Array(items) => items.iter().map(nesting).max().unwrap_or_default(),
        _ => 0,
    }
}

fn validate(text: &str, schema: &Schema, set: &PolicySet) -> Result<(), Vec<PolicyProblem>> {
    let result = Validator::new(schema.clone()).validate(set, ValidationMode::Strict);
    let problems: Vec<PolicyProblem> = result
        .validation_errors()
        .take(MAX_PROBLEMS)
        .map(|error| PolicyProblem {
            line: line_of(text, error),
            policy: Some(error.policy_id().to_string()),
            message: error.to_string(),
        })
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

fn line_of(text: &str, error: &dyn Diagnostic) -> Option<usize> {
    let offset = error.labels()?.next()?.offset();
    Some(
        text.bytes()
            .take(offset)
            .filter(|byte| *byte == b'\n')
            .count()
            + 1,
    )
}
