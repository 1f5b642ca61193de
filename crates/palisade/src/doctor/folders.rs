//! The folders of own rules and playbooks: whether the next start, or the next look at them, takes them.

use std::{path::Path, sync::Weak};

use palisade_api::doctor::Finding;
use palisade_detect::rules::{RuleSet, read_folder, shipped};

use crate::{config::Config, data::DataDir};

const RULES: &str = "rules";
const PLAYBOOKS: &str = "playbooks";

/// Reads both as the server does, and puts them nowhere.
pub(super) fn examine(config: &Config, data: &DataDir) -> Vec<Finding> {
    let place = |folder: &Option<std::path::PathBuf>| Some(data.path().join(folder.as_ref()?));
    let (rules_dir, playbooks_dir) = (&config.detect.rules_dir, &config.respond.playbooks_dir);
    let rules = match place(rules_dir) {
        Some(folder) => Some(rules(&folder)),
        None => unread(data, RULES, "detect.rules_dir"),
    };
    let playbooks = match place(playbooks_dir) {
        Some(folder) => Some(playbooks(config, &folder)),
        None => unread(data, PLAYBOOKS, "respond.playbooks_dir"),
    };
    rules.into_iter().chain(playbooks).collect()
}

fn rules(folder: &Path) -> Finding {
    let read = read_folder(folder).and_then(|own| {
        let count = own.len();
        let all: Vec<_> = shipped().into_iter().chain(own).collect();
        RuleSet::read(&all, |_| true).map(|_| count)
    });
    match read {
        Ok(count) => Finding::ok(
            RULES,
            format!("{count} files of {} are good", folder.display()),
        ),
        Err(error) => Finding::fail(
            RULES,
            error.to_string(),
            format!(
                "correct it, and try with `palisade rules check {}`; till then the server goes on with those that it \
                 has, and a start takes the shipped ones alone",
                folder.display()
            ),
        ),
    }
}

fn playbooks(config: &Config, folder: &Path) -> Finding {
    let mut effectors =
        palisade_policy::effectors(&Weak::new(), Some(config.respond.grant_sets.clone()));
    effectors.extend(palisade_gateway::effectors(&Weak::new()));
    effectors.extend(palisade_identity::effectors(&Weak::new()));
    effectors.extend(palisade_respond::detached_effectors());
    match palisade_respond::check_directory(folder, &effectors) {
        Ok(count) => Finding::ok(
            PLAYBOOKS,
            format!("{count} files of {} are good", folder.display()),
        ),
        Err(problem) => Finding::fail(
            PLAYBOOKS,
            problem.to_string(),
            format!(
                "correct it, and try with `palisade playbook check {}/*.yaml`; till then the server goes on with those \
                 that were last good",
                folder.display()
            ),
        ),
    }
}

/// A folder that looks as if it were meant, and that nobody reads.
fn unread(data: &DataDir, check: &'static str, key: &str) -> Option<Finding> {
    let folder = data.path().join(check);
    folder.is_dir().then(|| {
        Finding::warn(
            check,
            format!(
                "{} is there, and the server does not read it",
                folder.display()
            ),
            format!("set {key} = \"{check}\" in palisade.toml, or move it away"),
        )
    })
}
