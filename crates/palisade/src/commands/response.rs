//! `palisade response`.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::{
    client::{Act, Session, path},
    failure::Failure,
    output::{Column, column},
};

const FIELDS: [Column; 5] = [
    column("stopped", "/kill_switch/stopped"),
    column("by", "/kill_switch/by"),
    column("why", "/kill_switch/reason"),
    column("waiting", "/waiting"),
    column("playbook problem", "/playbook_problem"),
];
const ACTIONS: [Column; 3] = [
    column("ACTION", "/name"),
    column("TAKES", "/impact"),
    column("WHAT IT DOES", "/summary"),
];
const BLOCKED: [Column; 4] = [
    column("NETWORK", "/network"),
    column("SINCE", "/since"),
    column("ACTION", "/action"),
    column("WHY", "/reason"),
];

/// Response as a whole: how it is doing, its guard rails, and the switch that stops it.
#[derive(Debug, Subcommand)]
pub(crate) enum ResponseCommand {
    /// Show how response is doing, and which actions there are
    #[command(after_help = "Examples:\n  palisade response status")]
    Status,
    /// Stop all automatic action at once; what playbooks order waits for a person
    #[command(after_help = "Examples:\n  palisade response stop --reason 'a detector went mad'")]
    Stop {
        /// Why; it is recorded
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Let automatic action go on; what waits goes on waiting
    #[command(after_help = "Examples:\n  palisade response start")]
    Start {
        /// Why; it is recorded
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Show the guard rails
    #[command(after_help = "Examples:\n  palisade response guard-rails --json")]
    GuardRails,
    /// List the addresses that are refused at the doors for devices
    #[command(after_help = "Examples:
  palisade response blocked

The action that blocks an address is undone to let it in: palisade action undo ACTION")]
    Blocked,
}

impl Act for ResponseCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Status => status(session),
            Self::Stop { reason } => turn(session, true, &reason),
            Self::Start { reason } => turn(session, false, &reason),
            Self::GuardRails => {
                let answer = session.get(path(&["guard-rails"])).send()?;
                session.output.record(&answer, &[])
            }
            Self::Blocked => {
                let answer = session.get(path(&["blocked-addresses"])).send()?;
                session.output.list(&answer, &BLOCKED)
            }
        }
    }
}

fn status(session: &Session) -> Result<(), Failure> {
    let mut answer = session.get(path(&["response"])).send()?;
    if session.output.is_json() {
        return session.output.json(&answer);
    }
    let actions = answer
        .as_object_mut()
        .and_then(|status| status.remove("actions"))
        .unwrap_or_default();
    session.output.record(&answer, &FIELDS)?;
    session.output.text("")?;
    session.output.list(&actions, &ACTIONS)
}

fn turn(session: &Session, stopped: bool, reason: &str) -> Result<(), Failure> {
    let body: Value = json!({ "stopped": stopped, "reason": reason });
    let call = session.put(path(&["response", "kill-switch"]));
    let answer = call.json(&body).send()?;
    let sentence = match stopped {
        true => "All automatic action is stopped: what playbooks order waits for a person.",
        false => "Automatic action goes on; what waits goes on waiting.",
    };
    session.output.done(&answer, sentence)
}
