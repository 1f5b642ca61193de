//! `palisade action`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::{PageArgs, finding::on_the_wire};
use crate::{
    client::{Act, Session, path},
    config::Span,
    failure::Failure,
    output::{Column, column},
};

const COLUMNS: [Column; 7] = [
    column("ACTION", "/id"),
    column("WHAT", "/action"),
    column("ON", "/target"),
    column("STATE", "/state"),
    column("PLAYBOOK", "/playbook"),
    column("UNTIL", "/until"),
    column("WHY", "/why"),
];

/// Actions: what is done about cases, and what waits for a person.
#[derive(Debug, Subcommand)]
pub(crate) enum ActionCommand {
    /// List actions, newest first
    #[command(after_help = "Examples:
  palisade action list --state waiting
  palisade action list --target device/cam-17
  palisade action list --case 01K0ZJ5D0G0000000000000000")]
    List(ListArgs),
    /// Show an action
    #[command(after_help = "Examples:\n  palisade action show 01K0ZJ5D0G0000000000000000")]
    Show {
        /// The action's id
        id: String,
    },
    /// Approve an action that waits
    #[command(after_help = "Examples:
  palisade action approve 01K0ZJ5D0G0000000000000000 --reason 'it is what it looks like'

Who ordered an action cannot approve it.")]
    Approve(DecideArgs),
    /// Reject an action that waits
    #[command(after_help = "Examples:
  palisade action reject 01K0ZJ5D0G0000000000000000 --reason 'a test of ours'")]
    Reject(DecideArgs),
    /// Take back an action that is in force
    #[command(after_help = "Examples:
  palisade action undo 01K0ZJ5D0G0000000000000000 --reason 'the device is mended'")]
    Undo(DecideArgs),
    /// Order an action for a case, by hand
    #[command(after_help = "Examples:
  palisade action order quarantine device/cam-17 --case 01K0ZJ5D0G0000000000000000 --for 1h
  palisade action order lower-trust device/cam-17 --case 01K0ZJ5D0G0000000000000000 \\
    --parameter points=30 --for 6h
  palisade action order revoke-certificate device/cam-17 --case 01K0ZJ5D0G0000000000000000

What cannot be undone waits for the approval of somebody else. `palisade response status` lists the
actions that there are.")]
    Order(OrderArgs),
}

/// Which actions are wanted.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// In this state
    #[arg(long)]
    state: Option<ActionState>,
    /// For this case
    #[arg(long, value_name = "CASE")]
    case: Option<String>,
    /// On this target (`device/ID`, `address/IP`)
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Of this name (`quarantine`)
    #[arg(long, value_name = "NAME")]
    action: Option<String>,
    #[command(flatten)]
    page: PageArgs,
}

/// How far an action came.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ActionState {
    /// The playbook only observes
    Observed,
    /// It only would have been done
    DryRun,
    /// It waits for a person
    Waiting,
    /// A person, time or a guard rail said no
    Rejected,
    /// It is being done
    Running,
    /// It is done
    Done,
    /// It could not be done
    Failed,
    /// It is being taken back
    Undoing,
    /// It was taken back
    Undone,
}

/// Which action, and why.
#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// The action's id
    id: String,
    /// Why; it is recorded
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// What is ordered.
#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    /// The name of the action
    action: String,
    /// On what (`device/ID`, `address/IP`)
    target: String,
    /// For which case
    #[arg(long, value_name = "CASE")]
    case: String,
    /// For how long; without an end if left out
    #[arg(long = "for", value_name = "TIME")]
    life: Option<Span>,
    /// A parameter; can be given again
    #[arg(long = "parameter", value_name = "KEY=VALUE")]
    parameters: Vec<String>,
    /// Why; it is recorded
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

impl Act for ActionCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List(args) => list(&args, session),
            Self::Show { id } => {
                let answer = session.get(path(&["actions", &id])).send()?;
                session.output.record(&answer, &COLUMNS)
            }
            Self::Approve(args) => decide(session, &args, "approve"),
            Self::Reject(args) => decide(session, &args, "reject"),
            Self::Undo(args) => decide(session, &args, "undo"),
            Self::Order(args) => order(&args, session),
        }
    }
}

fn list(args: &ListArgs, session: &Session) -> Result<(), Failure> {
    let answer = args.page.read(|| {
        session
            .get(path(&["actions"]))
            .query("state", args.state.and_then(on_the_wire))
            .query("case", args.case.as_ref())
            .query("target", args.target.as_ref())
            .query("action", args.action.as_ref())
    })?;
    session.output.list(&answer, &COLUMNS)
}

fn decide(session: &Session, args: &DecideArgs, verb: &str) -> Result<(), Failure> {
    let call = session.post(path(&["actions", &args.id, verb]));
    let answer = call.json(&json!({ "reason": args.reason })).send()?;
    say(session, &answer)
}

fn order(args: &OrderArgs, session: &Session) -> Result<(), Failure> {
    let mut parameters = Map::new();
    for item in &args.parameters {
        let (key, value) = item
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("{item:?} is not of the form key=value")))?;
        // A number is one where it reads as one.
        let value = serde_json::from_str::<Value>(value).unwrap_or_else(|_| value.into());
        parameters.insert(key.to_owned(), value);
    }
    let body = json!({
        "action": args.action,
        "target": args.target,
        "parameters": parameters,
        "ttl_s": args.life.map(|life| life.seconds()),
        "reason": args.reason,
    });
    let call = session.post(path(&["cases", &args.case, "actions"]));
    say(session, &call.json(&body).send()?)
}

fn say(session: &Session, answer: &Value) -> Result<(), Failure> {
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    let (what, on, state) = (text("action"), text("target"), text("state"));
    let sentence = format!("{what} on {on} is {state}: {}.", text("why"));
    session.output.done(answer, &sentence)
}
