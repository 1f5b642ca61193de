//! `palisade policy`.

mod explain;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{PageArgs, read_text};
use crate::{
    client::{Act, Session, confirm, path},
    failure::Failure,
    output::{Column, column},
};

use explain::ExplainArgs;

const VERSIONS: [Column; 4] = [
    column("VERSION", "/version"),
    column("WHEN", "/applied_at"),
    column("BY", "/author"),
    column("WHY", "/reason"),
];

const DIFFERENCES: [Column; 6] = [
    column("ACTION", "/action"),
    column("WHO", "/who"),
    column("NOW", "/from"),
    column("THEN", "/to"),
    column("COUNT", "/count"),
    column("EXAMPLE", "/example"),
];

/// Policies: when a grant counts.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Print the policies in force
    #[command(after_help = "Examples:\n  palisade policy show > policies.cedar")]
    Show,
    /// List the versions of the policies: who changed them, when and why
    #[command(after_help = "Examples:\n  palisade policy versions")]
    Versions {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Say whether policies fit the schema
    #[command(after_help = "Examples:\n  palisade policy check policies.cedar")]
    Check {
        /// The policies, in Cedar
        file: PathBuf,
    },
    /// Decide a table of requests and compare with what is expected
    #[command(after_help = "Examples:
  palisade policy test --tests policies.tests.toml
  palisade policy test policies.cedar --tests policies.tests.toml")]
    Test {
        /// The policies, instead of those in force
        file: Option<PathBuf>,
        /// The table, instead of the one that was applied with the policies
        #[arg(long, value_name = "FILE")]
        tests: Option<PathBuf>,
    },
    /// Run policies beside those in force: report what would change, enforce nothing
    #[command(subcommand)]
    Shadow(ShadowCommand),
    /// Put policies in force, as a new version
    #[command(after_help = "Examples:
  palisade policy apply policies.cedar --tests policies.tests.toml --reason 'close at night'")]
    Apply(ApplyArgs),
    /// Put an older version in force again, as a new version
    #[command(after_help = "Examples:\n  palisade policy rollback 3 --reason 'broke line 2'")]
    Rollback {
        /// Which version
        version: u64,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "by an operator")]
        reason: String,
    },
    /// Say what would be decided, and why
    #[command(after_help = "Examples:
  palisade policy explain device/cam-1 publish --topic devices/cam-1/telemetry/t
  palisade policy explain service/backend subscribe --topic 'devices/+/telemetry/#' --qos 1
  palisade policy explain device/cam-1 connect --source 10.0.0.7")]
    Explain(ExplainArgs),
}

/// A candidate beside the policies in force.
#[derive(Debug, Subcommand)]
pub(crate) enum ShadowCommand {
    /// Start a candidate
    #[command(after_help = "Examples:\n  palisade policy shadow start candidate.cedar")]
    Start {
        /// The candidate
        file: PathBuf,
    },
    /// Say what the candidate would have changed so far
    #[command(after_help = "Examples:\n  palisade policy shadow report")]
    Report,
    /// Stop the candidate, with a last report
    #[command(after_help = "Examples:\n  palisade policy shadow stop")]
    Stop,
}

/// What to put in force.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The policies, in Cedar
    file: PathBuf,
    /// A table of requests that they must decide as expected
    #[arg(long, value_name = "FILE")]
    tests: Option<PathBuf>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Do not ask whether you are sure
    #[arg(long, short)]
    yes: bool,
}

impl Act for PolicyCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Show => {
                let answer = session.get(path(&["policy"])).send()?;
                match answer.get("text").and_then(Value::as_str) {
                    Some(text) if !session.output.is_json() => session.output.text(text.trim_end()),
                    _ => session.output.json(&answer),
                }
            }
            Self::Versions { page } => {
                let answer = page.read(|| session.get(path(&["policy", "versions"])))?;
                session.output.list(&answer, &VERSIONS)
            }
            Self::Check { file } => check(&file, session),
            Self::Test { file, tests } => test(file.as_deref(), tests.as_deref(), session),
            Self::Shadow(command) => command.act(session),
            Self::Apply(args) => apply(&args, session),
            Self::Rollback { version, reason } => {
                let body = json!({ "version": version, "reason": reason });
                let path = path(&["policy", "rollback"]);
                let answer = session.post(path).json(&body).send()?;
                // What is rolled back to comes into force under a number of its own.
                match answer.get("version").and_then(Value::as_u64) == Some(version) {
                    true => session.output.done(
                        &answer,
                        &format!("Version {version} is in force already: nothing changed."),
                    ),
                    false => in_force(&answer, session),
                }
            }
            Self::Explain(args) => args.explain(session),
        }
    }
}

impl Act for ShadowCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        let shadow = path(&["policy", "shadow"]);
        match self {
            Self::Start { file } => {
                let body = json!({ "text": read_text(&file)? });
                let answer = session.put(shadow).json(&body).send()?;
                session
                    .output
                    .done(&answer, "The candidate runs in the shadow.")
            }
            Self::Report => report(&session.get(shadow).send()?, session),
            Self::Stop => report(&session.delete(shadow).send()?, session),
        }
    }
}

fn report(answer: &Value, session: &Session) -> Result<(), Failure> {
    if session.output.is_json() {
        return session.output.json(answer);
    }
    let count = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
    let sentence = format!(
        "Of {} decisions, {} would be others.",
        count("compared"),
        count("differing")
    );
    session.output.text(&sentence)?;
    session
        .output
        .list(&json!(array(answer, "differences")), &DIFFERENCES)
}

fn check(file: &Path, session: &Session) -> Result<(), Failure> {
    let body = json!({ "text": read_text(file)? });
    let answer = session
        .post(path(&["policy", "check"]))
        .json(&body)
        .send()?;
    let problems = array(&answer, "problems");
    if problems.is_empty() {
        return session.output.done(&answer, "The policies are valid.");
    }
    const COLUMNS: [Column; 3] = [
        column("LINE", "/line"),
        column("POLICY", "/policy"),
        column("PROBLEM", "/message"),
    ];
    show_items(session, &answer, problems, &COLUMNS)?;
    Err(Failure::new("the policies are not valid"))
}

fn test(file: Option<&Path>, tests: Option<&Path>, session: &Session) -> Result<(), Failure> {
    let mut body = json!({});
    if let Some(file) = file {
        body["text"] = json!(read_text(file)?);
    }
    if let Some(tests) = tests {
        body["tests"] = json!(read_text(tests)?);
    }
    let answer = session.post(path(&["policy", "test"])).json(&body).send()?;
    let outcomes = array(&answer, "tests");
    const COLUMNS: [Column; 5] = [
        column("TEST", "/name"),
        column("PASSED", "/passed"),
        column("EXPECTED", "/expected"),
        column("DECIDED", "/found"),
        column("REASON", "/reason"),
    ];
    show_items(session, &answer, outcomes, &COLUMNS)?;
    let failed = |item: &&Value| item.get("passed") == Some(&Value::Bool(false));
    match outcomes.iter().filter(failed).count() {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} tests failed"))),
    }
}

fn apply(args: &ApplyArgs, session: &Session) -> Result<(), Failure> {
    confirm(
        args.yes,
        "These policies will be in force for every device at once. Go on?",
    )?;
    let mut body = json!({ "text": read_text(&args.file)?, "reason": args.reason });
    if let Some(tests) = &args.tests {
        body["tests"] = json!(read_text(tests)?);
    }
    let answer = session
        .post(path(&["policy", "apply"]))
        .json(&body)
        .send()?;
    in_force(&answer, session)
}

fn in_force(answer: &Value, session: &Session) -> Result<(), Failure> {
    let version = answer.get("version").and_then(Value::as_u64).unwrap_or(0);
    session
        .output
        .done(answer, &format!("Version {version} is in force."))
}

fn array<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    let found = answer.get(name).and_then(Value::as_array);
    found.map_or(&[], Vec::as_slice)
}

/// The whole answer for programs, a table of some of it for people.
fn show_items(
    session: &Session,
    answer: &Value,
    items: &[Value],
    columns: &[Column],
) -> Result<(), Failure> {
    match session.output.is_json() {
        true => session.output.json(answer),
        false => session.output.list(&json!(items), columns),
    }
}
