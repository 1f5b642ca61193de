//! The regression data of SigmaHQ: events that each of its rules must match, put to the engine that
//! evaluates ours. It measures no time: it tells whether Sigma is understood as its authors mean it.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use rsigma_eval::{Engine, event::JsonEvent};
use rsigma_parser::parse_sigma_yaml;
use serde_json::{Map, Value};

use crate::report::table;

/// Puts the samples to their rules and prints how many match.
pub fn measure(sigma: Option<&Path>) -> Result<()> {
    println!("## Regression data of SigmaHQ: samples that their rules match\n");
    let sigma = sigma.context("--sigma DIR is needed: a checkout of SigmaHQ/sigma")?;
    let rules = rules(sigma)?;
    let samples = samples(&sigma.join("regression_data"))?;
    ensure!(!samples.is_empty(), "no samples in {}", sigma.display());
    let (mut matched, mut missed) = (0, Vec::new());
    for sample in &samples {
        match sample.is_matched(&rules) {
            Ok(()) => matched += 1,
            Err(why) => missed.push((sample.rule.clone(), why)),
        }
    }
    let row = vec![samples.len().to_string(), matched.to_string()];
    println!("{}", table(&["samples", "matched"], &[row]));
    for (rule, why) in missed {
        println!("not matched: {rule}: {why}");
    }
    Ok(())
}

/// An event that a rule must match.
struct Sample {
    rule: String,
    event: PathBuf,
}

impl Sample {
    /// Says why not, where it is not.
    fn is_matched(&self, rules: &HashMap<String, String>) -> Result<(), String> {
        let text = rules.get(&self.rule).ok_or("there is no such rule")?;
        let parsed = parse_sigma_yaml(text).map_err(|error| error.to_string())?;
        let mut engine = Engine::new();
        engine
            .add_collection(&parsed)
            .map_err(|error| error.to_string())?;
        let text = fs::read_to_string(&self.event).map_err(|error| error.to_string())?;
        for event in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            let event = flat(&event.map_err(|error| error.to_string())?);
            if !engine.evaluate(&JsonEvent::borrow(&event)).is_empty() {
                return Ok(());
            }
        }
        Err("no event of the sample matches".to_owned())
    }
}

/// A Windows event as rules know it: what `EventData` and `UserData` hold, and what tells its kind.
fn flat(event: &Value) -> Value {
    let event = &event["Event"];
    let mut fields = Map::new();
    let system = event["System"].as_object();
    fields.extend(
        system
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    fields.insert(
        "Provider_Name".to_owned(),
        event["System"]["Provider"]["#attributes"]["Name"].clone(),
    );
    let data = event["EventData"].as_object();
    let user_data = event["UserData"].as_object();
    let user_data = user_data.into_iter().flatten();
    let user_data = user_data.filter_map(|(_, inner)| inner.as_object());
    for (name, value) in data.into_iter().chain(user_data).flatten() {
        fields.insert(name.clone(), value.clone());
    }
    Value::Object(fields)
}

/// All rules of a checkout, by id.
fn rules(sigma: &Path) -> Result<HashMap<String, String>> {
    let mut found = HashMap::new();
    for folder in fs::read_dir(sigma)? {
        let folder = folder?;
        if !folder.file_name().to_string_lossy().starts_with("rules") {
            continue;
        }
        for file in files(&folder.path(), "yml")? {
            let text = fs::read_to_string(file)?;
            let id = text.lines().find_map(|line| line.strip_prefix("id: "));
            if let Some(id) = id.map(|id| id.trim().to_owned()) {
                found.insert(id, text);
            }
        }
    }
    Ok(found)
}

/// The samples below a folder; those that are there as a Windows log alone are left out.
fn samples(folder: &Path) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for event in files(folder, "json")? {
        let rule = event.file_stem().context("a file without a name")?;
        let rule = rule.to_string_lossy().into_owned();
        samples.push(Sample { rule, event });
    }
    Ok(samples)
}

/// The files below a folder that end so, in order.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut entries: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            found.extend(files(&entry, ending)?);
        } else if entry.extension().is_some_and(|found| found == ending) {
            found.push(entry);
        }
    }
    Ok(found)
}
