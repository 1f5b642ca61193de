//! `palisade suppression`.

use clap::{Args, Subcommand};
use palisade_core::{Clock, SystemClock, Timestamp};
use serde_json::json;

use super::PageArgs;
use crate::{
    client::{Act, Session, path},
    config::Span,
    failure::Failure,
    output::{Column, column},
};

const COLUMNS: [Column; 6] = [
    column("SUPPRESSION", "/id"),
    column("DETECTOR", "/detector"),
    column("ABOUT", "/subject"),
    column("UNTIL", "/until"),
    column("BY", "/made_by"),
    column("REASON", "/reason"),
];

/// Suppressions: what is known and not to be reported.
#[derive(Debug, Subcommand)]
pub(crate) enum SuppressionCommand {
    /// List suppressions
    #[command(after_help = "Examples:\n  palisade suppression list")]
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Suppress what is known
    #[command(after_help = "Examples:
  palisade suppression add --detector rule/mqtt-topic-scan --subject segment/lab --for 7d \\
    --reason 'the laboratory scans on purpose'
  palisade suppression add --subject device/cam-17 --for 2h --reason 'it is being repaired'

Alarms that it covers are counted and not reported.")]
    Add(AddArgs),
    /// End a suppression
    #[command(after_help = "Examples:\n  palisade suppression remove 01K0ZJ5D0G0000000000000000")]
    Remove {
        /// The suppression's id
        id: String,
    },
}

/// What is not to be reported.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Which detector (`rule/ID`, `baseline/METRIC`, `audit/CHECK`), or `*` for all
    #[arg(long, value_name = "DETECTOR", default_value = "*")]
    detector: String,
    /// About whom (`device/ID`, `product/ID`, `segment/ID`, `service/ID`, `address/IP`), or `*` for all
    #[arg(long, value_name = "SUBJECT")]
    subject: String,
    /// For how long; without an end if left out
    #[arg(long = "for", value_name = "TIME")]
    life: Option<Span>,
    /// Why; it is recorded
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl Act for SuppressionCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { page } => {
                let answer = page.read(|| session.get(path(&["suppressions"])))?;
                session.output.list(&answer, &COLUMNS)
            }
            Self::Add(args) => {
                let now = SystemClock.now();
                let end = |life: Span| now.checked_add(life.duration()).unwrap_or(Timestamp::MAX);
                let body = json!({
                    "detector": args.detector,
                    "subject": args.subject,
                    "until": args.life.map(end),
                    "reason": args.reason,
                });
                let answer = session.post(path(&["suppressions"])).json(&body).send()?;
                session.output.done(&answer, "The suppression is in force.")
            }
            Self::Remove { id } => {
                let answer = session.delete(path(&["suppressions", &id])).send()?;
                session
                    .output
                    .done(&answer, &format!("Suppression {id} is ended."))
            }
        }
    }
}
