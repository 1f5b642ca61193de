//! Texts of roles, read with care: whoever may write roles may write hostile ones.

use std::{collections::BTreeSet, fmt, str::FromStr, thread};

use cedar_policy::{ActionConstraint, Effect, Policy, PolicySet, ValidationMode, Validator};
use miette::Diagnostic;
use serde_json::Value;

use super::{
    catalogue::Catalogue,
    compiled::{Compiled, MASK},
    mask::Mask,
};
use crate::Role;

/// The largest text of a role, in bytes.
pub(super) const MAX_TEXT: usize = 32 * 1024;
/// The most policies of a role.
const MAX_POLICIES: usize = 64;
/// The most problems that are listed.
const MAX_PROBLEMS: usize = 50;
/// The most brackets within brackets. Cedar recurses as deep as a text nests.
const MAX_BRACKETS: usize = 16;
/// The most signs of a policy that may make it deep: each of them nests at most once.
const MAX_SIGNS: usize = 1_000;
/// The deepest expression: the threads that decide have 2 MiB of stack.
const MAX_NESTING: usize = 32;
/// The actions, and the scopes of actions, that show what is in messages.
const PAYLOADS: [&str; 5] = [
    "telemetry:read",
    "telemetry.read",
    "telemetry.export",
    "messages:read",
    "message.read",
];
/// Stack for reading: several times what a text within these bounds takes.
const STACK: usize = 64 * 1024 * 1024;

/// A role as people write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleText {
    /// Its name.
    pub role: Role,
    /// What people read.
    pub description: String,
    /// Its policies.
    pub cedar: String,
}

/// What is wrong with a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RoleProblem {
    /// The line, counted from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for RoleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl RoleProblem {
    pub(super) fn of(error: &dyn fmt::Display) -> Self {
        Self {
            line: None,
            message: error.to_string().chars().take(500).collect(),
        }
    }

    fn at(text: &str, error: &dyn Diagnostic) -> Self {
        let offset = error
            .labels()
            .and_then(|mut labels| labels.next())
            .map(|label| label.offset());
        let line = offset.map(|offset| {
            let before = text.bytes().take(offset);
            before.filter(|byte| *byte == b'\n').count() + 1
        });
        let help = error.help().map(|help| format!(" ({help})"));
        let message = format!("{error}{}", help.unwrap_or_default());
        Self {
            line,
            ..Self::of(&message)
        }
    }
}

/// Reads a role, on a thread with a deep stack.
pub(super) fn compile(
    text: &RoleText,
    catalogue: &Catalogue,
) -> Result<Compiled, Vec<RoleProblem>> {
    let work = || {
        let set = parse(&text.cedar, catalogue)?;
        Compiled::new(&text.role, &set, catalogue).map_err(|problem| vec![problem])
    };
    let failed = || vec![RoleProblem::of(&"the role could not be read: try again")];
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("role-text".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .map_err(|_| failed())?;
        worker.join().unwrap_or_else(|_| Err(failed()))
    })
}

fn parse(text: &str, catalogue: &Catalogue) -> Result<PolicySet, Vec<RoleProblem>> {
    if text.len() > MAX_TEXT {
        let message = format!(
            "the text has {} bytes, at most {MAX_TEXT} are read",
            text.len()
        );
        return Err(vec![RoleProblem::of(&message)]);
    }
    outline(text).map_err(|problem| vec![problem])?;
    let parsed = PolicySet::from_str(text).map_err(|errors| {
        let errors = errors.iter().take(MAX_PROBLEMS);
        errors
            .map(|error| RoleProblem::at(text, error))
            .collect::<Vec<_>>()
    })?;
    if parsed.templates().next().is_some() {
        return Err(vec![RoleProblem::of(
            &"templates are not used here: write the policy without slots",
        )]);
    }
    let (mut ids, mut problems) = (BTreeSet::new(), Vec::new());
    for policy in parsed.policies() {
        let id = policy.annotation("id").unwrap_or_default().to_owned();
        if id.is_empty() || id.len() > 64 || !ids.insert(id) {
            problems.push(RoleProblem::of(
                &"each policy has an annotation @id(\"...\") of its own, of 1 to 64 characters",
            ));
        }
        problems.extend(mask_problem(text, policy));
        let is_deep = policy
            .to_json()
            .map_or(true, |json| depth(&json) > 2 * MAX_NESTING);
        if is_deep {
            problems.push(RoleProblem::of(&format!(
                "an expression nests at most {MAX_NESTING} operators deep: split the policy"
            )));
        }
    }
    if problems.is_empty() {
        let validated =
            Validator::new(catalogue.schema().clone()).validate(&parsed, ValidationMode::Strict);
        let errors = validated.validation_errors().take(MAX_PROBLEMS);
        problems.extend(errors.map(|error| RoleProblem::at(text, error)));
    }
    problems.truncate(MAX_PROBLEMS);
    match problems.is_empty() {
        true => Ok(parsed),
        false => Err(problems),
    }
}

/// What is wrong with what a policy hides, where it says that it hides something.
fn mask_problem(text: &str, policy: &Policy) -> Option<RoleProblem> {
    let mask = policy.annotation(MASK)?;
    let message = match mask.parse::<Mask>() {
        Err(error) => error.to_string(),
        Ok(_) if policy.effect() == Effect::Forbid => {
            "@mask says what of a payload a permit does not show; a forbid shows nothing".to_owned()
        }
        Ok(_) if !reads_payloads(policy) => format!(
            "@mask stands on a permit of actions that show payloads, and of these alone ({}): put the others into a \
             permit of their own",
            PAYLOADS.join(", ")
        ),
        Ok(_) => return None,
    };
    Some(RoleProblem {
        line: line_of_mask(text, policy),
        ..RoleProblem::of(&message)
    })
}

fn reads_payloads(policy: &Policy) -> bool {
    let shows = |uid: &cedar_policy::EntityUid| PAYLOADS.contains(&uid.id().unescaped());
    match policy.action_constraint() {
        ActionConstraint::Any => false,
        ActionConstraint::Eq(uid) => shows(&uid),
        ActionConstraint::In(uids) => uids.iter().all(shows),
    }
}

/// The line of a policy's annotation, counted from 1.
fn line_of_mask(text: &str, policy: &Policy) -> Option<usize> {
    let own = policy.to_string();
    let start = text.find(&own)?;
    let offset = start + own.find("@mask").unwrap_or_default();
    Some(text[..offset].matches('\n').count() + 1)
}

/// Refuses, without recursion, what would make Cedar recurse deeper than its thread has room for.
fn outline(text: &str) -> Result<(), RoleProblem> {
    let (mut line, mut brackets, mut signs, mut policies) = (1, 0_usize, 0_usize, 0_usize);
    let refuse = |line, message: String| RoleProblem {
        line: Some(line),
        message,
    };
    let mut bytes = text.bytes().peekable();
    let (mut in_string, mut in_comment, mut in_word) = (false, false, false);
    while let Some(byte) = bytes.next() {
        line += usize::from(byte == b'\n');
        if in_comment {
            in_comment = byte != b'\n';
            continue;
        }
        if in_string {
            match byte {
                b'\\' => drop(bytes.next()),
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        let is_word = byte.is_ascii_alphanumeric() || byte == b'_';
        let begins_word = is_word && !in_word;
        in_word = is_word;
        match byte {
            b'/' if bytes.peek() == Some(&b'/') => in_comment = true,
            b'"' => in_string = true,
            b';' => (brackets, signs, policies) = (0, 0, policies + 1),
            b'(' | b'[' | b'{' => (brackets, signs) = (brackets + 1, signs + 1),
            b')' | b']' | b'}' => brackets = brackets.saturating_sub(1),
            byte if byte.is_ascii_whitespace() || byte == b',' => {}
            // Words count: `if` and `has` nest as well.
            _ if is_word => signs += usize::from(begins_word),
            _ => signs += 1,
        }
        if brackets > MAX_BRACKETS {
            return Err(refuse(
                line,
                format!("brackets nest at most {MAX_BRACKETS} deep"),
            ));
        }
        if signs > MAX_SIGNS {
            return Err(refuse(
                line,
                format!("a policy has at most {MAX_SIGNS} words and signs: split it"),
            ));
        }
        if policies > MAX_POLICIES {
            return Err(refuse(
                line,
                format!("a role has at most {MAX_POLICIES} policies"),
            ));
        }
    }
    Ok(())
}

/// How deep the JSON form of a policy is; an operator is at most two levels of it.
fn depth(value: &Value) -> usize {
    match value {
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or_default(),
        Value::Array(items) => items.iter().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ActionInfo;

    fn read(cedar: &str) -> Result<Vec<bool>, Vec<RoleProblem>> {
        let action = ActionInfo {
            name: "device.list",
            scope: "devices:read",
            about: String::new(),
            on_device: false,
        };
        let catalogue = Catalogue::new(vec![action], ["devices:read", "ca:root"]).expect("reads");
        let text = RoleText {
            role: Role::Operator,
            description: String::new(),
            cedar: format!("@id(\"a\") permit (principal, action in [{cedar}], resource);"),
        };
        compile(&text, &catalogue).map(|role| vec![role.ever(0), role.always(0)])
    }

    #[test]
    fn a_scope_that_nothing_belongs_to_permits_nothing_and_leaves_the_rest_as_it_is() {
        let both = read(r#"Action::"devices:read", Action::"ca:root""#);
        assert_eq!(both, Ok(vec![true, true]));
        assert_eq!(read(r#"Action::"ca:root""#), Ok(vec![false, false]));
    }

    fn problem(cedar: &str) -> String {
        let action = |name, scope| ActionInfo {
            name,
            scope,
            about: String::new(),
            on_device: true,
        };
        let actions = vec![
            action("telemetry.read", "telemetry:read"),
            action("device.list", "devices:read"),
        ];
        let catalogue = Catalogue::new(actions, []).expect("reads");
        let text = RoleText {
            role: Role::Operator,
            description: String::new(),
            cedar: cedar.to_owned(),
        };
        match compile(&text, &catalogue) {
            Ok(_) => "good".to_owned(),
            Err(problems) => problems[0].to_string(),
        }
    }

    #[test]
    fn a_mask_that_is_wrong_is_an_error_with_its_line_and_what_to_write() {
        let read = r#"Action::"telemetry.read""#;
        let role = |mask: &str, effect: &str, action: &str| {
            format!(
                "// What @mask is.\n@id(\"b\") permit (principal, action == Action::\"device.list\", resource);\n\
                 @id(\"a\")\n@mask(\"{mask}\")\n{effect} (principal, action in [{action}], resource);"
            )
        };
        assert_eq!(
            problem(&role("payload.lat:round(2)", "permit", read)),
            "good"
        );
        let misspelt = problem(&role("payload.lat:blur", "permit", read));
        assert!(misspelt.starts_with("line 4: @mask, rule 1"), "{misspelt}");
        assert!(misspelt.contains("round(2)"), "{misspelt}");
        let forbids = problem(&role("payload.lat:drop", "forbid", read));
        assert!(
            forbids.starts_with("line 4:") && forbids.contains("forbid"),
            "{forbids}"
        );
        let both = format!("{read}, Action::\"device.list\"");
        let too_wide = problem(&role("payload.lat:drop", "permit", &both));
        assert!(too_wide.contains("permit of their own"), "{too_wide}");
    }

    #[test]
    fn a_scope_that_is_misspelt_is_an_error_that_names_the_right_one() {
        let problems = read(r#"Action::"devices:raed""#).expect_err("is refused");
        let text = problems[0].to_string();
        assert!(text.contains("devices:raed"), "{text}");
        assert!(text.contains("devices:read"), "{text}");
    }
}
