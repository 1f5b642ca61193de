//! `palisade playbook`.

use std::{path::PathBuf, sync::Weak};

use clap::{Args, Subcommand};
use palisade_respond::{Playbook, PlaybookProblem};
use serde_json::{Value, json};

use super::{PageArgs, read_text};
use crate::{
    client::{Act, ConnectionArgs, Session, path},
    failure::Failure,
    output::{Column, Output, column},
};

const COLUMNS: [Column; 5] = [
    column("PLAYBOOK", "/name"),
    column("ON", "/enabled"),
    column("FROM", "/origin"),
    column("FROM SEVERITY", "/min_severity"),
    column("WHAT FOR", "/description"),
];

/// Playbooks: what is done about which findings.
#[derive(Debug, Args)]
pub(crate) struct PlaybookNoun {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: PlaybookCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlaybookCommand {
    /// List playbooks
    #[command(after_help = "Examples:\n  palisade playbook list")]
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Print a playbook
    #[command(after_help = "Examples:
  palisade playbook show identity-theft > playbooks/identity-theft.yaml")]
    Show {
        /// Its name
        name: String,
    },
    /// Say what is wrong with playbooks, without a server
    #[command(after_help = "Examples:
  palisade playbook check playbooks/*.yaml
  palisade playbook check --online playbooks/own.yaml

Without --online any webhook and any grant set is taken for one that the server has.")]
    Check {
        /// The playbooks
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Ask the server, which knows its webhooks and grant sets
        #[arg(long)]
        online: bool,
    },
    /// Switch a playbook on
    #[command(after_help = "Examples:\n  palisade playbook enable data-exfiltration")]
    Enable {
        /// Its name
        name: String,
    },
    /// Switch a playbook off; what it ordered before goes on
    #[command(after_help = "Examples:\n  palisade playbook disable data-exfiltration")]
    Disable {
        /// Its name
        name: String,
    },
}

impl PlaybookNoun {
    pub(crate) fn run(self, output: Output) -> Result<(), Failure> {
        match self.command {
            PlaybookCommand::Check {
                files,
                online: false,
            } => check(&files, &output),
            command => command.act(&Session::open(&self.connection, output)?),
        }
    }
}

impl Act for PlaybookCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { page } => {
                let answer = page.read(|| session.get(path(&["playbooks"])))?;
                session.output.list(&answer, &COLUMNS)
            }
            Self::Show { name } => {
                let answer = session.get(path(&["playbooks", &name])).send()?;
                match session.output.is_json() {
                    true => session.output.json(&answer),
                    false => {
                        let text = answer["text"].as_str().unwrap_or_default();
                        session.output.text(text.trim_end())
                    }
                }
            }
            Self::Check { files, .. } => check_online(&files, session),
            Self::Enable { name } => switch(session, &name, "enable"),
            Self::Disable { name } => switch(session, &name, "disable"),
        }
    }
}

fn switch(session: &Session, name: &str, verb: &str) -> Result<(), Failure> {
    let answer = session.post(path(&["playbooks", name, verb])).send()?;
    let sentence = format!(
        "Playbook {name} is {}.",
        if verb == "enable" { "on" } else { "off" }
    );
    session.output.done(&answer, &sentence)
}

/// Checks files against the actions that this program has.
fn check(files: &[PathBuf], output: &Output) -> Result<(), Failure> {
    let mut effectors = palisade_policy::effectors(&Weak::new(), None);
    effectors.extend(palisade_gateway::effectors(&Weak::new()));
    effectors.extend(palisade_identity::effectors(&Weak::new()));
    effectors.extend(palisade_respond::detached_effectors());
    let mut problems = Vec::new();
    let mut names = Vec::new();
    for file in files {
        let text = read_text(file)?;
        match palisade_respond::check_text(&text, &effectors) {
            Ok(Playbook { name, .. }) => names.push(name),
            Err(problem) => problems.push(PlaybookProblem {
                file: Some(file.display().to_string()),
                ..problem
            }),
        }
    }
    report(&names, &problems, output)
}

fn report(names: &[String], problems: &[PlaybookProblem], output: &Output) -> Result<(), Failure> {
    if problems.is_empty() {
        let answer = json!({ "valid": true, "playbooks": names });
        let sentence = match names.len() {
            1 => "The playbook is valid.".to_owned(),
            count => format!("All {count} playbooks are valid."),
        };
        return output.done(&answer, &sentence);
    }
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Err(Failure::new(lines.join("\n")))
}

fn check_online(files: &[PathBuf], session: &Session) -> Result<(), Failure> {
    let mut names = Vec::new();
    for file in files {
        let body = json!({ "text": read_text(file)? });
        let call = session.post(path(&["playbooks", "check"]));
        let answer: Value = call.json(&body).send()?;
        names.push(answer["name"].as_str().unwrap_or_default().to_owned());
    }
    report(&names, &[], &session.output)
}
