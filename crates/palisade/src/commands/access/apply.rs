//! `palisade access review --apply`.

use serde_json::{Value, json};

use super::{list, read, text};
use crate::{
    client::{Session, confirm},
    failure::Failure,
};

/// The most steps of one run: each is followed by another look.
const STEPS: usize = 10_000;

/// Follows every suggestion of a review that a request follows. What a step changed may change the next one, so that
/// the review is read again after each; nothing is done that was not shown first.
pub(super) fn apply(
    session: &Session,
    days: u32,
    account: Option<&str>,
    yes: bool,
) -> Result<(), Failure> {
    let output = &session.output;
    let shown: Vec<String> = remedies(&read(session, days, account)?, account.is_some())
        .iter()
        .map(|remedy| text(remedy, "does").to_owned())
        .collect();
    if shown.is_empty() {
        return output.done(&json!({ "done": [] }), "There is nothing to take away.");
    }
    if !output.is_json() {
        output.text(&crate::output::sanitise(&shown.join("\n")))?;
    }
    confirm(yes, &format!("Do all {} of it?", shown.len()))?;
    let (mut done, mut failed): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    while done.len() + failed.len() < STEPS {
        let review = read(session, days, account)?;
        let left = remedies(&review, account.is_some());
        let next = left.iter().find(|remedy| {
            let does = text(remedy, "does").to_owned();
            let was_tried = done.contains(&does) || failed.iter().any(|one| one.starts_with(&does));
            shown.contains(&does) && !was_tried
        });
        let Some(remedy) = next else {
            break;
        };
        let does = text(remedy, "does").to_owned();
        // One that fails, or waits for a second person, keeps no other from being done.
        match follow(session, remedy) {
            Ok(()) => done.push(does),
            Err(failure) => failed.push(format!("{does}: {}", failure.message())),
        }
    }
    let sentence = format!("Done: {} of {}.", done.len(), shown.len());
    output.done(&json!({ "done": done, "failed": failed }), &sentence)?;
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(format!("not done: {}", failed.join("; ")))),
    }
}

fn follow(session: &Session, remedy: &Value) -> Result<(), Failure> {
    let at = text(remedy, "path").to_owned();
    let call = match text(remedy, "method") {
        "PUT" => session.put(at),
        "PATCH" => session.patch(at),
        "DELETE" => session.delete(at),
        other => {
            return Err(Failure::new(format!(
                "the server suggests a request that this version does not send ({other}): update palisade"
            )));
        }
    };
    let body = remedy.get("body").filter(|body| !body.is_null());
    let call = match body {
        Some(body) => call.json(body),
        None => call,
    };
    call.send().map(|_| ())
}

/// The remedies of a review, each once.
fn remedies(review: &Value, is_one: bool) -> Vec<&Value> {
    let accounts = list(review, "items");
    let of_nobody: &[Value] = match is_one {
        true => &[],
        false => list(review, "tokens"),
    };
    let tokens = accounts.iter().flat_map(|account| list(account, "tokens"));
    let holders = accounts.iter().chain(tokens).chain(of_nobody);
    let mut found: Vec<&Value> = Vec::new();
    for suggestion in holders.flat_map(|holder| list(holder, "suggestions")) {
        let remedy = suggestion.get("remedy").filter(|remedy| !remedy.is_null());
        if let Some(remedy) = remedy.filter(|remedy| !found.contains(remedy)) {
            found.push(remedy);
        }
    }
    found
}
