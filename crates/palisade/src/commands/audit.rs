//! `palisade audit`.

mod report;

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::PageArgs;
use crate::{
    client::{Act, Session, confirm, path},
    failure::{Exit, Failure},
    output::{Column, column, spinner},
};

const CHECKS: [Column; 6] = [
    column("CHECK", "/check"),
    column("SEVERITY", "/severity"),
    column("ENABLED", "/enabled"),
    column("LAST", "/last/state"),
    column("FOUND", "/last/non_compliant"),
    column("WHAT", "/title"),
];
const RUNS: [Column; 5] = [
    column("RUN", "/id"),
    column("BY", "/started_by"),
    column("STARTED", "/started_at"),
    column("ENDED", "/ended_at"),
    column("INTERRUPTED", "/interrupted"),
];
const STEPS: [Column; 3] = [
    column("RESOURCE", "/resource"),
    column("OUTCOME", "/outcome"),
    column("WHAT", "/detail"),
];
/// How often it is asked whether a run has ended.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Audits: whether the fleet and the server are set up as they should be.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List the checks, and what each found last
    #[command(after_help = "Examples:
  palisade audit list
  palisade audit list --json")]
    List,
    /// List the runs
    #[command(after_help = "Examples:\n  palisade audit runs")]
    Runs {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Run checks now and show what they find; exit code 6 where something is not as it should be
    #[command(after_help = "Examples:
  palisade audit run
  palisade audit run --check permissive-grant --check permissive-policy
  palisade audit run --json > audit.json

Exit codes: 0 all is as it should be, 6 something is not, 1 a check could not look.")]
    Run(RunArgs),
    /// Show what a run found; exit code 6 where something is not as it should be
    #[command(after_help = "Examples:
  palisade audit report
  palisade audit report 01K0ZJ5D0G0000000000000000 --check dormant-device --limit 500")]
    Report(ReportArgs),
    /// Mend what a check found, by the one step that the check names
    #[command(after_help = "Examples:
  palisade audit mitigate permissive-grant grant/01K0ZJ5D0G0000000000000000 --reason 'not needed'
  palisade audit mitigate dormant-device --all --yes --reason 'thrown away in spring'

`palisade audit list --json` says what the step of each check is.")]
    Mitigate(MitigateArgs),
}

/// What is to be run.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Run this check; may be repeated. All that are not off if left out
    #[arg(long = "check", value_name = "CHECK")]
    checks: Vec<String>,
    /// Do not wait for the end
    #[arg(long)]
    no_wait: bool,
}

/// What is to be shown.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The run; the newest if left out
    run: Option<String>,
    /// Show all that this check found
    #[arg(long, value_name = "CHECK")]
    check: Option<String>,
    #[command(flatten)]
    page: PageArgs,
}

/// What is to be mended.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(crate) struct MitigateArgs {
    /// What this check found
    check: String,
    /// Which things, as the report names them
    #[arg(group = "what")]
    resources: Vec<String>,
    /// All that it found, a thousand at a time
    #[arg(long, group = "what")]
    all: bool,
    /// Found by this run; the newest if left out
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Do not ask whether you are sure
    #[arg(long, short)]
    yes: bool,
}

impl Act for AuditCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List => {
                let answer = session.get(path(&["audits"])).send()?;
                session.output.list(&answer, &CHECKS)
            }
            Self::Runs { page } => {
                let answer = page.read(|| session.get(path(&["audits", "runs"])))?;
                session.output.list(&answer, &RUNS)
            }
            Self::Run(args) => run(&args, session),
            Self::Report(args) => show(&args, session),
            Self::Mitigate(args) => mitigate(&args, session),
        }
    }
}

fn run(args: &RunArgs, session: &Session) -> Result<(), Failure> {
    let body = json!({ "checks": args.checks });
    let begun = session.post(path(&["audits", "run"])).json(&body).send()?;
    let id = begun["id"].as_str().unwrap_or_default().to_owned();
    if args.no_wait {
        return session.output.done(&begun, &format!("Run {id} has begun."));
    }
    let progress = spinner("looking");
    let ended = wait(session, &id);
    progress.finish_and_clear();
    report::show(session, &ended?)
}

fn wait(session: &Session, id: &str) -> Result<Value, Failure> {
    loop {
        let report = session.get(path(&["audits", "runs", id])).send()?;
        if !report["ended_at"].is_null() {
            return Ok(report);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The newest run, where none was named.
fn run_id(named: Option<&String>, session: &Session) -> Result<String, Failure> {
    if let Some(id) = named {
        return Ok(id.clone());
    }
    let runs = session
        .get(path(&["audits", "runs"]))
        .query("limit", Some(1))
        .send()?;
    let newest = runs.pointer("/items/0/id").and_then(Value::as_str);
    newest.map(str::to_owned).ok_or_else(|| {
        Failure::new("nothing was audited yet")
            .exit(Exit::NotFound)
            .next("run `palisade audit run`")
    })
}

fn show(args: &ReportArgs, session: &Session) -> Result<(), Failure> {
    let id = run_id(args.run.as_ref(), session)?;
    match &args.check {
        None => {
            let found = session.get(path(&["audits", "runs", &id])).send()?;
            report::show(session, &found)
        }
        Some(check) => {
            let found = args.page.read(|| {
                session
                    .get(path(&["audits", "runs", &id, "resources"]))
                    .query("check", Some(check))
            })?;
            session.output.list(&found, &report::RESOURCES)?;
            match found["items"].as_array().is_some_and(Vec::is_empty) {
                true => Ok(()),
                false => Err(report::not_compliant()),
            }
        }
    }
}

fn mitigate(args: &MitigateArgs, session: &Session) -> Result<(), Failure> {
    let id = run_id(args.run.as_ref(), session)?;
    let what = match args.all {
        true => "All".to_owned(),
        false => args.resources.len().to_string(),
    };
    let question = format!(
        "{what} that check {} found in run {id} will be mended by the step that it names. Go on?",
        args.check
    );
    confirm(args.yes, &question)?;
    let mut body = json!({ "check": args.check, "reason": args.reason });
    if !args.all {
        body["resources"] = json!(args.resources);
    }
    let call = session.post(path(&["audits", "runs", &id, "mitigate"]));
    let answer = call.json(&body).send()?;
    match session.output.is_json() {
        true => session.output.json(&answer)?,
        false => session.output.list(&answer["steps"], &STEPS)?,
    }
    match answer["failed"].as_u64().unwrap_or_default() {
        0 => Ok(()),
        failed => Err(Failure::new(format!("{failed} steps failed"))),
    }
}
