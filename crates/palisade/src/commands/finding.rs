//! `palisade finding`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::PageArgs;
use crate::{
    client::{Act, Session, path},
    failure::Failure,
    output::{Column, column},
};

const COLUMNS: [Column; 9] = [
    column("FINDING", "/id"),
    column("SEVERITY", "/severity"),
    column("SURE", "/confidence"),
    column("DETECTOR", "/detector"),
    column("ABOUT", "/subject"),
    column("STATE", "/state"),
    column("VERDICT", "/verdict"),
    column("LAST SEEN", "/last_seen"),
    column("TITLE", "/title"),
];
const FIELDS: [Column; 11] = [
    column("title", "/title"),
    column("detail", "/detail"),
    column("about", "/subject"),
    column("detector", "/detector"),
    column("severity", "/severity"),
    column("confidence", "/confidence"),
    column("state", "/state"),
    column("count", "/count"),
    column("first seen", "/first_seen"),
    column("last seen", "/last_seen"),
    column("verdict", "/verdict"),
];
const EVENT_COLUMNS: [Column; 4] = [
    column("TIME", "/event/time"),
    column("KIND", "/event/kind"),
    column("SOURCE", "/event/source"),
    column("WHAT", "/what"),
];

/// Findings: what detection found, and what people made of it.
#[derive(Debug, Subcommand)]
pub(crate) enum FindingCommand {
    /// List findings, newest first
    #[command(after_help = "Examples:
  palisade finding list
  palisade finding list --unjudged --severity high
  palisade finding list --device cam-17 --state open
  palisade finding list --detector rule/mqtt-topic-scan --json")]
    List(ListArgs),
    /// Show a finding with the events that show it
    #[command(after_help = "Examples:\n  palisade finding show 01K0ZJ5D0G0000000000000000")]
    Show {
        /// The finding's id
        id: String,
    },
    /// Say what a finding is
    #[command(after_help = "Examples:
  palisade finding verdict 01K0ZJ5D0G0000000000000000 true-positive
  palisade finding verdict 01K0ZJ5D0G0000000000000000 false-positive --note 'a test of ours'

A finding that is declared false or expected costs its device no trust from then on.")]
    Verdict {
        /// The finding's id
        id: String,
        /// What it is
        verdict: Verdict,
        /// What there is to say about it
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
    },
    /// Show how detection is doing: what it looked at, found and had to skip
    #[command(after_help = "Examples:\n  palisade finding stats")]
    Stats,
}

/// Which findings are wanted.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Of this detector (`rule/ID`, `baseline/METRIC`, `audit/CHECK`)
    #[arg(long, value_name = "DETECTOR")]
    detector: Option<String>,
    /// About this device
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// About this subject (`service/ID`, `address/IP`, `api_token/NAME`, `account/NAME`, `fleet`)
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// At least this bad
    #[arg(long)]
    severity: Option<Severity>,
    /// In this state
    #[arg(long)]
    state: Option<FindingState>,
    /// Only those that nobody judged yet
    #[arg(long)]
    unjudged: bool,
    #[command(flatten)]
    page: PageArgs,
}

/// How bad a finding would be.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Severity {
    /// Worth knowing
    Informational,
    /// Seldom an incident
    Low,
    /// To be looked at by hand
    Medium,
    /// To be looked at soon
    High,
    /// An incident
    Critical,
}

/// Whether a finding still holds.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FindingState {
    /// It holds
    Open,
    /// What was seen has ended
    Cleared,
}

/// What a person makes of a finding.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Verdict {
    /// It is what the detector says
    TruePositive,
    /// It is not
    FalsePositive,
    /// It is, and it is meant to be
    BenignExpected,
}

/// A name of the command line as the REST API writes it.
pub(super) fn on_the_wire(value: impl ValueEnum) -> Option<String> {
    let name = value.to_possible_value()?;
    Some(name.get_name().replace('-', "_"))
}

impl Act for FindingCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List(args) => list(&args, session),
            Self::Show { id } => {
                let answer = session.get(path(&["findings", &id])).send()?;
                show(session, answer)
            }
            Self::Verdict { id, verdict, note } => {
                let body = json!({ "verdict": on_the_wire(verdict), "note": note });
                let call = session.post(path(&["findings", &id, "verdict"]));
                let answer = call.json(&body).send()?;
                let said = answer["verdict"].as_str().unwrap_or_default();
                let sentence = format!("Finding {id} is judged: {said}.");
                session.output.done(&answer, &sentence)
            }
            Self::Stats => {
                let answer = session.get(path(&["detect"])).send()?;
                session.output.record(&answer, &[])
            }
        }
    }
}

fn list(args: &ListArgs, session: &Session) -> Result<(), Failure> {
    let answer = args.page.read(|| {
        session
            .get(path(&["findings"]))
            .query("detector", args.detector.as_ref())
            .query("device", args.device.as_ref())
            .query("subject", args.subject.as_ref())
            .query("severity", args.severity.and_then(on_the_wire))
            .query("state", args.state.and_then(on_the_wire))
            .query("unjudged", args.unjudged.then_some(true))
    })?;
    session.output.list(&answer, &COLUMNS)
}

fn show(session: &Session, mut answer: Value) -> Result<(), Failure> {
    if session.output.is_json() {
        return session.output.json(&answer);
    }
    let events = answer
        .as_object_mut()
        .and_then(|finding| finding.remove("events"))
        .unwrap_or_default();
    session.output.record(&answer, &FIELDS)?;
    let events = events.as_array().cloned().unwrap_or_default();
    let events: Vec<Value> = events.into_iter().map(with_what).collect();
    session.output.text("")?;
    session.output.list(&events.into(), &EVENT_COLUMNS)
}

/// What an event says besides who, where and when.
fn with_what(mut item: Value) -> Value {
    let mut what = item["event"].clone();
    if let Some(members) = what.as_object_mut() {
        for known in ["id", "time", "door", "principal", "source", "kind"] {
            members.remove(known);
        }
    }
    item["what"] = what;
    item
}
