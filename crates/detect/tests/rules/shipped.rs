//! The rules that are part of Palisade: each finds what it must, and not what it must not.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use palisade_detect::rules::{RuleKind, RuleSet, Samples, shipped};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../rules"))
}

fn stems(folder: &std::path::Path) -> BTreeSet<String> {
    std::fs::read_dir(folder)
        .expect("a folder")
        .filter_map(|entry| {
            let path = entry.expect("an entry").path();
            let is_rule = path.extension().is_some_and(|ending| ending == "yaml");
            let stem = path.file_stem()?.to_str()?.to_owned();
            is_rule.then_some(stem)
        })
        .collect()
}

fn set() -> Arc<RuleSet> {
    match RuleSet::read(&shipped(), |_| true) {
        Ok(set) => Arc::new(set),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_file_in_the_folder_is_shipped() {
    let embedded: BTreeSet<String> = shipped()
        .iter()
        .map(|file| file.stem().to_owned())
        .collect();
    assert_eq!(embedded, stems(&folder()));
}

#[test]
fn every_rule_has_samples_and_does_what_they_say() {
    let set = set();
    let mut failures = Vec::new();
    for file in shipped() {
        let path = folder().join("tests").join(&file.name);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                failures.push(format!("{} has no samples: {error}", file.name));
                continue;
            }
        };
        let report = Samples::read(&text).and_then(|samples| samples.run(&file, &set));
        match report {
            Ok(report) => {
                let said = report.failures.into_iter();
                failures.extend(said.map(|failure| format!("{}: {failure}", file.name)));
            }
            Err(error) => failures.push(format!("{}: {error}", file.name)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(stems(&folder().join("tests")), stems(&folder()));
}

#[test]
fn every_rule_says_what_it_is() {
    let set = set();
    let rules: Vec<_> = set.rules().iter().filter(|rule| rule.speaks).collect();
    assert!(rules.len() >= 40, "{} rules", rules.len());
    for rule in &rules {
        assert!(rule.uuid.is_some(), "{} has no id", rule.id);
        assert!(rule.description.len() > 40, "{} says too little", rule.id);
        assert!(!rule.tags.is_empty(), "{} has no tags", rule.id);
        assert!(
            !rule.false_positives.is_empty(),
            "{} knows no error",
            rule.id
        );
        assert_eq!(rule.author.as_deref(), Some("Palisade"), "{}", rule.id);
    }
    let kinds = |kind| rules.iter().filter(|rule| rule.kind == kind).count();
    for kind in [
        RuleKind::EventCount,
        RuleKind::ValueCount,
        RuleKind::Temporal,
        RuleKind::TemporalOrdered,
    ] {
        assert!(kinds(kind) > 0, "no rule is of kind {kind:?}");
    }
    assert!(rules.len() - kinds(RuleKind::Detection) >= 8);
}
