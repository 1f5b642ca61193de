//! A refusal of the server (RFC 9457) as a failure of the command.

use std::io::Read;

use serde_json::Value;
use ureq::{Body, http::Response};

use crate::{
    failure::{Exit, Failure},
    output::sanitise,
};

/// What is read of a refusal, in bytes.
const MAX_PROBLEM: u64 = 1024 * 1024;
/// Single errors of a refusal that are shown.
const MAX_ERRORS: usize = 20;

/// What the REST API is asked for, and the command that asks for it: the server speaks to programs.
const COMMANDS: [(&str, &str); 3] = [
    ("PUT /api/v1/products/", "palisade product put "),
    ("PUT /api/v1/services/", "palisade service put "),
    ("POST /api/v1/devices", "palisade device add"),
];

/// The JSON of an answer that is no larger than a refusal; `null` where it cannot be read.
pub(crate) fn body(answer: Response<Body>) -> Value {
    let mut text = String::new();
    let _ = answer
        .into_body()
        .into_reader()
        .take(MAX_PROBLEM)
        .read_to_string(&mut text);
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// Reads the refusal; `variable` is where the token came from, if it came from the environment.
pub(crate) fn read(answer: Response<Body>, variable: Option<&str>) -> Failure {
    let status = answer.status();
    // A refusal that cannot be read is a refusal all the same.
    let failure = describe(status.as_u16(), &body(answer));
    match variable {
        Some(name) if status.as_u16() == 401 => failure.next(format!(
            "the token is that of the environment variable {name}: set it to a valid one, or unset it to use \
             the login that is noted"
        )),
        _ => failure,
    }
}

/// A refusal as a failure.
pub(crate) fn describe(status: u16, problem: &Value) -> Failure {
    let text = |name: &str| {
        let found = problem.get(name).and_then(Value::as_str);
        found
            .map(|text| as_commands(&sanitise(text)))
            .filter(|text| !text.is_empty())
    };
    let message = match (text("title"), text("detail")) {
        (Some(title), Some(detail)) => format!("{title}: {detail}"),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => format!("the server answered with status {status}"),
    };
    if let Some(id) = text("approval") {
        let what = text("title").unwrap_or_else(|| "it waits for a second person".to_owned());
        return Failure::new(format!("{what}: approval {id}"))
            .exit(Exit::Denied)
            .next(format!(
                "somebody else who may do it says `palisade approval approve {id}`; then do the same again within \
                 the hour with `--approval {id}`"
            ));
    }
    let (exit, next) = match status {
        401 => (Exit::Denied, Some("log in anew: `palisade login`")),
        403 => (
            Exit::Denied,
            Some("`palisade whoami` shows what your token may do"),
        ),
        404 => (Exit::NotFound, None),
        429 => (Exit::Failure, Some("try again later")),
        _ => (Exit::Failure, None),
    };
    let single = errors(problem).filter(|errors| !message.ends_with(errors.as_str()));
    let failure = Failure::new(message).exit(exit);
    match single.or(next.map(str::to_owned)) {
        Some(next) => failure.next(next),
        None => failure,
    }
}

/// The text with commands in place of requests.
fn as_commands(text: &str) -> String {
    let mut text = text.to_owned();
    for (request, command) in COMMANDS {
        if let Some(at) = text.find(request) {
            let rest = at + request.len();
            let end = text[rest..]
                .find(char::is_whitespace)
                .map_or(text.len(), |length| rest + length);
            let named = format!("`{command}{}`", &text[rest..end]);
            text.replace_range(at..end, &named);
        }
    }
    text
}

/// The single errors of a request with many parts, a line each.
fn errors(problem: &Value) -> Option<String> {
    let errors = problem
        .get("errors")
        .and_then(Value::as_array)
        .filter(|errors| !errors.is_empty())?;
    let mut lines: Vec<String> = errors.iter().take(MAX_ERRORS).map(one_error).collect();
    if errors.len() > MAX_ERRORS {
        lines.push(format!("and {} more", errors.len() - MAX_ERRORS));
    }
    Some(lines.join("\n"))
}

fn one_error(error: &Value) -> String {
    let text = |name: &str| error.get(name).and_then(Value::as_str).map(sanitise);
    let Some(detail) = text("detail") else {
        return sanitise(&error.to_string());
    };
    match (error.get("line").and_then(Value::as_u64), text("field")) {
        (Some(line), _) => format!("line {line}: {detail}"),
        (None, Some(field)) => format!("{field}: {detail}"),
        (None, None) => detail,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_exit_code_says_of_what_kind_the_refusal_is() {
        for (status, exit) in [
            (400, Exit::Failure),
            (401, Exit::Denied),
            (403, Exit::Denied),
            (404, Exit::NotFound),
            (409, Exit::Failure),
            (503, Exit::Failure),
        ] {
            let failure = describe(status, &json!({"title": "no", "detail": "because"}));
            assert_eq!(failure.code(), exit, "{status}");
            assert_eq!(failure.message(), "no: because");
        }
        assert!(describe(500, &Value::Null).message().contains("500"));
    }

    #[test]
    fn a_request_that_would_help_is_named_as_a_command() {
        for (detail, expected) in [
            (
                "product lamp is not known: make it known with PUT /api/v1/products/lamp",
                "product lamp is not known: make it known with `palisade product put lamp`",
            ),
            (
                "register it with POST /api/v1/devices first",
                "register it with `palisade device add` first",
            ),
            ("nothing of the kind", "nothing of the kind"),
        ] {
            assert_eq!(as_commands(detail), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_said_once() {
        let error = json!({"field": "pattern", "detail": "no filter"});
        let problem = json!({"detail": "pattern: no filter", "errors": [error]});
        let failure = describe(422, &problem);
        assert_eq!(failure.message(), "pattern: no filter");
        assert_eq!(failure.what_next(), None);
    }

    #[test]
    fn each_bad_line_is_named() {
        let problem = json!({"errors": [
            {"line": 3, "field": "id", "detail": "bad id"},
            {"field": "uses", "detail": "too many"},
        ]});
        assert_eq!(
            errors(&problem).expect("some"),
            "line 3: bad id\nuses: too many"
        );
        assert_eq!(errors(&json!({"errors": []})), None);
    }
}
