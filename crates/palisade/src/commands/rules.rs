//! `palisade rules`.

mod offline;
mod replay;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::PageArgs;
use crate::{
    client::{ConnectionArgs, Session, path},
    failure::Failure,
    output::{Column, Output, column},
};

use replay::ReplayArgs;

const COLUMNS: [Column; 7] = [
    column("RULE", "/id"),
    column("SEVERITY", "/severity"),
    column("ON", "/enabled"),
    column("SOURCE", "/source"),
    column("FIRED", "/fired"),
    column("LAST", "/last_fired"),
    column("TITLE", "/title"),
];

/// Sigma rules: what detection looks for.
#[derive(Debug, Args)]
pub(crate) struct RulesCommand {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    verb: RulesVerb,
}

#[derive(Debug, Subcommand)]
enum RulesVerb {
    /// Say whether files of rules would be taken; no server is asked
    #[command(after_help = "Examples:
  palisade rules check mine.yaml
  palisade rules check rules/ --json")]
    Check {
        /// Files, or folders of files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Run rules over their samples (`tests/NAME.yaml` beside NAME.yaml); no server is asked
    #[command(after_help = "Examples:
  palisade rules test
  palisade rules test rules/mqtt-topic-scan.yaml")]
    Test {
        /// Files, or folders of files
        #[arg(default_value = "rules", value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// List the rules in force, and how often each matched since the server started
    #[command(after_help = "Examples:\n  palisade rules list\n  palisade rules list --json")]
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show how rules stand, and why newer ones are not in force, if so
    #[command(after_help = "Examples:\n  palisade rules status")]
    Status,
    /// Print a rule
    #[command(after_help = "Examples:
  palisade rules show mqtt-topic-scan
  palisade rules show mqtt-topic-scan > mine.yaml")]
    Show {
        /// The rule
        rule: String,
    },
    /// Switch a rule on
    #[command(after_help = "Examples:\n  palisade rules enable enrolment-burst")]
    Enable {
        /// The rule
        rule: String,
    },
    /// Switch a rule off: it finds nothing any more
    #[command(after_help = "Examples:\n  palisade rules disable enrolment-burst")]
    Disable {
        /// The rule
        rule: String,
    },
    /// Read the folder of your own rules again
    #[command(after_help = "Examples:\n  palisade rules reload")]
    Reload,
    /// Say what rules would have found in the events that are stored
    #[command(after_help = "Examples:
  palisade rules replay
  palisade rules replay --from 2030-01-30T00:00:00Z --to 2030-01-31T00:00:00Z
  palisade rules replay --rule mine.yaml --json")]
    Replay(ReplayArgs),
}

impl RulesCommand {
    pub(crate) fn run(self, output: Output) -> Result<(), Failure> {
        let session = || Session::open(&self.connection, output);
        match self.verb {
            RulesVerb::Check { files } => offline::check(&files, &output),
            RulesVerb::Test { files } => offline::test(&files, &output),
            RulesVerb::List { page } => {
                let session = session()?;
                let answer = page.read(|| session.get(path(&["rules"])))?;
                session.output.list(&answer, &COLUMNS)
            }
            RulesVerb::Status => {
                let answer = session()?.get(path(&["rules", "status"])).send()?;
                output.record(&answer, &[])
            }
            RulesVerb::Show { rule } => show(&session()?, &rule),
            RulesVerb::Enable { rule } => switch(&session()?, &rule, "enable", "on"),
            RulesVerb::Disable { rule } => switch(&session()?, &rule, "disable", "off"),
            RulesVerb::Reload => {
                let call = session()?;
                let answer = call
                    .post(path(&["rules", "reload"]))
                    .json(&json!({}))
                    .send()?;
                let rules = answer["rules"].as_u64().unwrap_or_default();
                output.done(&answer, &format!("{rules} rules are in force."))
            }
            RulesVerb::Replay(args) => replay::replay(&args, &session()?),
        }
    }
}

fn show(session: &Session, rule: &str) -> Result<(), Failure> {
    let answer = session.get(path(&["rules", rule])).send()?;
    match answer.get("text").and_then(Value::as_str) {
        Some(text) if !session.output.is_json() => session.output.text(text.trim_end()),
        _ => session.output.json(&answer),
    }
}

fn switch(session: &Session, rule: &str, verb: &str, state: &str) -> Result<(), Failure> {
    let call = session.post(path(&["rules", rule, verb]));
    let answer = call.json(&json!({})).send()?;
    let sentence = format!("Rule {rule} is {state}.");
    session.output.done(&answer, &sentence)
}
