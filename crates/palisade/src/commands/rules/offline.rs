//! What is said of files of rules without a server.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use palisade_detect::rules::{Origin, RuleError, RuleFile, RuleSet, Samples, read_folder, shipped};
use serde_json::json;

use crate::{
    failure::{Context, Failure},
    output::{Output, column},
};

/// Reads files, and all files of folders.
fn read(paths: &[PathBuf]) -> Result<Vec<RuleFile>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(read_folder(path).map_err(Failure::new)?);
        } else {
            let text = std::fs::read_to_string(path).context(path.display())?;
            files.push(RuleFile::new(path.display().to_string(), Origin::Own, text));
        }
    }
    match files.is_empty() {
        true => Err(Failure::new("there is no file of rules (`*.yaml`) there")),
        false => Ok(files),
    }
}

/// The rules of files beside the shipped ones, which they may be about, and may replace.
fn set(files: &[RuleFile]) -> Result<Arc<RuleSet>, RuleError> {
    let all: Vec<RuleFile> = shipped().into_iter().chain(files.iter().cloned()).collect();
    RuleSet::read(&all, |_| true).map(Arc::new)
}

pub(super) fn check(paths: &[PathBuf], output: &Output) -> Result<(), Failure> {
    let files = read(paths)?;
    match set(&files) {
        Ok(set) => {
            let rules = set.rules().iter().filter(|rule| rule.speaks);
            let rules: Vec<&str> = rules
                .filter(|rule| files.iter().any(|file| file.name == rule.file))
                .map(|rule| rule.id.as_str())
                .collect();
            let sentence = format!("{} rules in {} files are good.", rules.len(), files.len());
            output.done(&json!({ "valid": true, "rules": rules }), &sentence)
        }
        Err(error) => {
            if output.is_json() {
                output.json(&json!({ "valid": false, "problem": error }))?;
            }
            Err(Failure::new(error))
        }
    }
}

pub(super) fn test(paths: &[PathBuf], output: &Output) -> Result<(), Failure> {
    let files = read(paths)?;
    let set = set(&files).map_err(Failure::new)?;
    let (mut samples, mut items) = (0, Vec::new());
    for file in &files {
        match test_file(file, &set) {
            Ok((count, failures)) => {
                samples += count;
                let failures = failures.into_iter();
                items.extend(failures.map(|why| json!({ "file": file.name, "failure": why })));
            }
            Err(why) => items.push(json!({ "file": file.name, "failure": why })),
        }
    }
    let failed = items.len();
    let answer = json!({ "files": files.len(), "samples": samples, "failures": items });
    if failed == 0 {
        let sentence = format!("{samples} samples of {} files pass.", files.len());
        return output.done(&answer, &sentence);
    }
    match output.is_json() {
        true => output.json(&answer)?,
        false => output.list(
            &answer["failures"],
            &[column("FILE", "/file"), column("FAILURE", "/failure")],
        )?,
    }
    Err(Failure::new(format!("{failed} samples fail")))
}

fn test_file(file: &RuleFile, set: &Arc<RuleSet>) -> Result<(usize, Vec<String>), String> {
    let path = Path::new(&file.name);
    let folder = path.parent().unwrap_or(Path::new("."));
    let path = folder.join("tests").join(format!("{}.yaml", file.stem()));
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("no samples at {}: {error}", path.display()))?;
    let report = Samples::read(&text).and_then(|samples| samples.run(file, set));
    let report = report.map_err(|error| error.to_string())?;
    Ok((report.samples, report.failures))
}
