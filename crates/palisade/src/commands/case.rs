//! `palisade case`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{
    PageArgs,
    finding::{Severity, Verdict, on_the_wire},
};
use crate::{
    client::{Act, Session, path},
    failure::Failure,
    output::{Column, column},
};

const COLUMNS: [Column; 7] = [
    column("CASE", "/id"),
    column("SEVERITY", "/severity"),
    column("STATE", "/state"),
    column("ABOUT", "/subject"),
    column("OWNER", "/owner"),
    column("UPDATED", "/updated_at"),
    column("TITLE", "/title"),
];
const FIELDS: [Column; 9] = [
    column("title", "/title"),
    column("about", "/subject"),
    column("severity", "/severity"),
    column("state", "/state"),
    column("owner", "/owner"),
    column("verdict", "/verdict"),
    column("findings", "/findings"),
    column("opened", "/opened_at"),
    column("updated", "/updated_at"),
];
const TIMELINE: [Column; 4] = [
    column("TIME", "/at"),
    column("KIND", "/kind"),
    column("BY", "/by"),
    column("WHAT", "/text"),
];

/// Cases: what findings came to, and what was done about it.
#[derive(Debug, Subcommand)]
pub(crate) enum CaseCommand {
    /// List cases, newest first
    #[command(after_help = "Examples:
  palisade case list --open
  palisade case list --severity high --state contained
  palisade case list --subject device/cam-17")]
    List(ListArgs),
    /// Show a case with what happened to it
    #[command(after_help = "Examples:\n  palisade case show 01K0ZJ5D0G0000000000000000")]
    Show {
        /// The case's id
        id: String,
    },
    /// Say whose a case is
    #[command(after_help = "Examples:
  palisade case assign 01K0ZJ5D0G0000000000000000 --to ann
  palisade case assign 01K0ZJ5D0G0000000000000000")]
    Assign {
        /// The case's id
        id: String,
        /// Whose; nobody's if left out
        #[arg(long, value_name = "NAME")]
        to: Option<String>,
    },
    /// Add a note
    #[command(after_help = "Examples:
  palisade case note 01K0ZJ5D0G0000000000000000 'the installer confirms: it was not him'")]
    Note {
        /// The case's id
        id: String,
        /// The note
        text: String,
    },
    /// Take a case to another state
    #[command(after_help = "Examples:
  palisade case state 01K0ZJ5D0G0000000000000000 investigating")]
    State {
        /// The case's id
        id: String,
        /// The state
        state: CaseState,
        /// Why; it is recorded
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Close a case, with what it came to
    #[command(after_help = "Examples:
  palisade case close 01K0ZJ5D0G0000000000000000 --verdict true-positive --reason 'device replaced'
  palisade case close 01K0ZJ5D0G0000000000000000 --verdict false-positive

Playbooks answer no more findings of a case that is false or expected, and its findings cost no trust.")]
    Close {
        /// The case's id
        id: String,
        /// What it came to
        #[arg(long)]
        verdict: Option<Verdict>,
        /// Why; it is recorded
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Put all of a case into another
    #[command(after_help = "Examples:
  palisade case merge 01K0ZJ5D0G0000000000000000 --into 01K0ZJ5D0G0000000000000001")]
    Merge {
        /// The case that goes
        id: String,
        /// The case that takes it up
        #[arg(long, value_name = "CASE")]
        into: String,
    },
    /// Put findings of a case into a case of their own
    #[command(after_help = "Examples:
  palisade case split 01K0ZJ5D0G0000000000000000 --finding 01K0ZJ5D0G0000000000000002")]
    Split {
        /// The case that they are of
        id: String,
        /// A finding; can be given again
        #[arg(long = "finding", value_name = "FINDING", required = true)]
        findings: Vec<String>,
    },
}

/// Which cases are wanted.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// In this state
    #[arg(long)]
    state: Option<CaseState>,
    /// Only those that are not closed
    #[arg(long, conflicts_with = "state")]
    open: bool,
    /// About this subject (`device/ID`, `address/IP`, `api_token/NAME`, `account/NAME`, `campaign/DETECTOR`)
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// At least this bad
    #[arg(long)]
    severity: Option<Severity>,
    #[command(flatten)]
    page: PageArgs,
}

/// How far a case came.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum CaseState {
    /// Nobody has looked at it
    Open,
    /// Somebody looks at it
    Investigating,
    /// Its subject can do no more harm
    Contained,
    /// It is over
    Closed,
}

impl Act for CaseCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        let post = |id: &str, verb: &str, body: Value| {
            session.post(path(&["cases", id, verb])).json(&body).send()
        };
        match self {
            Self::List(args) => list(&args, session),
            Self::Show { id } => show(session, session.get(path(&["cases", &id])).send()?),
            Self::Assign { id, to } => {
                let answer = post(&id, "assign", json!({ "owner": to }))?;
                let whose = to.unwrap_or("nobody".to_owned());
                session
                    .output
                    .done(&answer, &format!("Case {id} is {whose}'s."))
            }
            Self::Note { id, text } => {
                let answer = post(&id, "note", json!({ "text": text }))?;
                session.output.done(&answer, "The note is added.")
            }
            Self::State { id, state, reason } => {
                let body = json!({ "state": on_the_wire(state), "reason": reason });
                let answer = post(&id, "state", body)?;
                let state = answer["state"].as_str().unwrap_or_default();
                session
                    .output
                    .done(&answer, &format!("Case {id} is {state}."))
            }
            Self::Close {
                id,
                verdict,
                reason,
            } => {
                if let Some(verdict) = verdict {
                    post(&id, "verdict", json!({ "verdict": on_the_wire(verdict) }))?;
                }
                let answer = post(&id, "state", json!({ "state": "closed", "reason": reason }))?;
                session
                    .output
                    .done(&answer, &format!("Case {id} is closed."))
            }
            Self::Merge { id, into } => {
                let answer = post(&id, "merge", json!({ "into": into }))?;
                let sentence = format!("Case {id} went into case {into}.");
                session.output.done(&answer, &sentence)
            }
            Self::Split { id, findings } => {
                let answer = post(&id, "split", json!({ "findings": findings }))?;
                let own = answer["id"].as_str().unwrap_or_default();
                session
                    .output
                    .done(&answer, &format!("They are in case {own}."))
            }
        }
    }
}

fn list(args: &ListArgs, session: &Session) -> Result<(), Failure> {
    let answer = args.page.read(|| {
        session
            .get(path(&["cases"]))
            .query("state", args.state.and_then(on_the_wire))
            .query("open", args.open.then_some(true))
            .query("subject", args.subject.as_ref())
            .query("severity", args.severity.and_then(on_the_wire))
    })?;
    session.output.list(&answer, &COLUMNS)
}

fn show(session: &Session, mut answer: Value) -> Result<(), Failure> {
    if session.output.is_json() {
        return session.output.json(&answer);
    }
    let timeline = answer
        .as_object_mut()
        .and_then(|case| case.remove("timeline"))
        .unwrap_or_default();
    session.output.record(&answer, &FIELDS)?;
    session.output.text("")?;
    session.output.list(&timeline, &TIMELINE)
}
