//! What a run found, for people and for programs.

use serde_json::{Value, json};

use crate::{
    client::{Session, path},
    failure::{Exit, Failure},
    output::{Column, column},
};

const RESULTS: [Column; 5] = [
    column("CHECK", "/check"),
    column("RESULT", "/state"),
    column("LOOKED AT", "/looked_at"),
    column("FOUND", "/non_compliant"),
    column("NOTE", "/note"),
];
pub(super) const RESOURCES: [Column; 3] = [
    column("RESOURCE", "/resource"),
    column("MENDED", "/mitigated_at"),
    column("WHAT", "/detail"),
];
/// What of each check is shown; `--check` shows more.
const SHOWN: usize = 10;

/// That something is not as it should be, for scripts.
pub(super) fn not_compliant() -> Failure {
    Failure::new("").exit(Exit::NotCompliant)
}

/// Shows what a run found, with the first things of each check, and ends as the run did.
pub(super) fn show(session: &Session, report: &Value) -> Result<(), Failure> {
    let results = report["results"].as_array().cloned().unwrap_or_default();
    let state = |wanted: &'static str| {
        let is = move |result: &&Value| result["state"] == wanted;
        results.iter().filter(is).cloned().collect::<Vec<Value>>()
    };
    let (bad, failed) = (state("non_compliant"), state("failed"));
    let id = report["id"].as_str().unwrap_or_default();
    let mut found = Vec::new();
    for result in &bad {
        found.push((result, resources(session, id, result)?));
    }
    if session.output.is_json() {
        let mut whole = report.clone();
        whole["resources"] = found
            .iter()
            .map(|(result, resources)| json!({ "check": result["check"], "items": resources }))
            .collect();
        session.output.json(&whole)?;
    } else {
        session.output.list(&results.clone().into(), &RESULTS)?;
        let about = session.get(path(&["audits"])).send()?;
        for (result, resources) in &found {
            show_check(session, result, resources, &about)?;
        }
    }
    if !failed.is_empty() {
        return Err(Failure::new(format!(
            "{} checks could not look",
            failed.len()
        )));
    }
    match bad.is_empty() {
        true => Ok(()),
        false => Err(not_compliant()),
    }
}

fn resources(session: &Session, id: &str, result: &Value) -> Result<Value, Failure> {
    let page = session
        .get(path(&["audits", "runs", id, "resources"]))
        .query("check", result["check"].as_str())
        .query("limit", Some(SHOWN))
        .send()?;
    Ok(page["items"].clone())
}

fn show_check(
    session: &Session,
    result: &Value,
    resources: &Value,
    about: &Value,
) -> Result<(), Failure> {
    let checks = about["items"].as_array().map_or(&[][..], Vec::as_slice);
    let known = checks
        .iter()
        .find(|check| check["check"] == result["check"]);
    let text = |name: &str| {
        let value = known.and_then(|check| check[name].as_str());
        value.unwrap_or_default().to_owned()
    };
    let (severity, title) = (text("severity"), text("title"));
    let name = result["check"].as_str().unwrap_or_default();
    let output = &session.output;
    output.text(&format!("\n{name} ({severity}): {title}"))?;
    output.text(&format!("  {}", text("meaning")))?;
    output.list(resources, &RESOURCES)?;
    let count = result["non_compliant"].as_u64().unwrap_or_default();
    if count > SHOWN as u64 {
        output.text(&format!(
            "  {} more: palisade audit report --check {name}",
            count - SHOWN as u64
        ))?;
    }
    let command = with_names(&text("command"), &resources[0]);
    match text("mitigation").as_str() {
        "by_hand" => output.text(&format!("  mend it: {command}")),
        _ => output.text(&format!(
            "  mend it: {command}; or all at once: palisade audit mitigate {name} --all"
        )),
    }
}

/// The command for the first of the things that were found: its words in capitals are names.
fn with_names(command: &str, resource: &Value) -> String {
    let id = |name: &str| {
        let text = resource[name].as_str()?;
        text.split_once('/').map(|(_, id)| id.to_owned())
    };
    let word = |word: &str| match word {
        "DEVICE" => id("subject").unwrap_or_else(|| word.to_owned()),
        "SERIAL" | "GRANT" | "TOKEN" => id("resource").unwrap_or_else(|| word.to_owned()),
        word => word.to_owned(),
    };
    let words: Vec<String> = command.split(' ').map(word).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_what_was_found() {
        let found = json!({ "resource": "certificate/4f0c", "subject": "device/cam-17" });
        for (command, expected) in [
            (
                "palisade device retire DEVICE",
                "palisade device retire cam-17",
            ),
            ("palisade ca refresh-crl", "palisade ca refresh-crl"),
            ("palisade grant remove GRANT", "palisade grant remove 4f0c"),
        ] {
            assert_eq!(with_names(command, &found), expected);
        }
        let nothing = with_names("palisade grant remove GRANT", &Value::Null);
        assert_eq!(nothing, "palisade grant remove GRANT");
    }
}
