//! `palisade elevation`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    PageArgs,
    approval::{Decided, find, list},
};
use crate::{
    client::{Act, Session, confirm, path},
    config::Span,
    failure::Failure,
    output::{Column, cell, column},
};

const COLUMNS: [Column; 8] = [
    column("ELEVATION", "/id"),
    column("ACCOUNT", "/account"),
    column("ROLE", "/role"),
    column("MINUTES", "/minutes"),
    column("STATE", "/state"),
    column("DECIDED BY", "/decided_by"),
    column("ENDS", "/ends_at"),
    column("REASON", "/reason"),
];
const ROLES: [Column; 2] = [
    column("ROLE", "/name"),
    column("DESCRIPTION", "/description"),
];

/// Roles for a time, on request: ask with a reason, somebody else approves, and it ends by itself.
#[derive(Debug, Subcommand)]
pub(crate) enum ElevationCommand {
    /// List your own and those that you may decide, newest first
    #[command(after_help = "Examples:
  palisade elevation list
  palisade elevation list --state waiting --json")]
    List {
        /// In this state
        #[arg(long)]
        state: Option<Decided>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// List the roles that you can ask for
    #[command(after_help = "Examples:\n  palisade elevation roles")]
    Roles,
    /// Show one
    #[command(after_help = "Examples:\n  palisade elevation show 01K0ZJ5D0G0000000000000000")]
    Show {
        /// The elevation
        id: String,
    },
    /// Ask for a role for a time
    #[command(after_help = "Examples:
  palisade elevation ask operator --for 1h --reason 'case 01K0: the gate must be replaced'

You are logged in as a person. The time begins when somebody else who may do all that the role may approves it.")]
    Ask(AskArgs),
    /// Give a role that somebody else asked for
    #[command(after_help = "Examples:
  palisade elevation approve 01K0ZJ5D0G0000000000000000
  palisade elevation approve 01K0ZJ5D0G0000000000000000 --yes")]
    Approve {
        /// The elevation
        id: String,
        /// Do not show it and ask whether you are sure
        #[arg(long, short)]
        yes: bool,
    },
    /// Refuse a role that somebody else asked for
    #[command(
        visible_alias = "refuse",
        after_help = "Examples:\n  palisade elevation reject 01K0ZJ5D0G0000000000000000"
    )]
    Reject {
        /// The elevation
        id: String,
    },
    /// End one before its time: your own, or one that you could have given
    #[command(after_help = "Examples:\n  palisade elevation end 01K0ZJ5D0G0000000000000000")]
    End {
        /// The elevation
        id: String,
    },
}

/// What is asked for.
#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    /// The role
    role: String,
    /// For how long from its approval on, a minute to a day
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    life: Span,
    /// Why; whoever decides reads it, and it is recorded
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl Act for ElevationCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        let output = &session.output;
        match self {
            Self::List { state, page } => {
                let answer = list(session, "elevations", state, &page)?;
                output.list(&answer, &COLUMNS)
            }
            Self::Roles => {
                let answer = session.get(path(&["elevations", "roles"])).send()?;
                output.list(&answer, &ROLES)
            }
            Self::Show { id } => output.record(&find(session, "elevations", &id)?, &COLUMNS),
            Self::Ask(args) => ask(&args, session),
            Self::Approve { id, yes } => {
                if !yes && !output.is_json() {
                    output.record(&find(session, "elevations", &id)?, &COLUMNS)?;
                }
                confirm(yes, "Give this role?")?;
                let answer = session.post(path(&["elevations", &id, "approve"])).send()?;
                let sentence = format!(
                    "{} is {} until {}.",
                    cell(answer.get("account")),
                    cell(answer.get("role")),
                    cell(answer.get("ends_at")),
                );
                output.done(&answer, &sentence)
            }
            Self::Reject { id } => {
                let answer = session.post(path(&["elevations", &id, "reject"])).send()?;
                let (who, role) = (cell(answer.get("account")), cell(answer.get("role")));
                output.done(&answer, &format!("{who} is not given {role}."))
            }
            Self::End { id } => {
                let answer = session.post(path(&["elevations", &id, "end"])).send()?;
                let (who, role) = (cell(answer.get("account")), cell(answer.get("role")));
                output.done(&answer, &format!("{who} is {role} no longer."))
            }
        }
    }
}

fn ask(args: &AskArgs, session: &Session) -> Result<(), Failure> {
    let seconds = args.life.seconds();
    if !(60..=86_400).contains(&seconds) || !seconds.is_multiple_of(60) {
        return Err(Failure::usage("--for is whole minutes, a minute to a day"));
    }
    let body = json!({ "role": args.role, "reason": args.reason, "minutes": seconds / 60 });
    let answer = session.post(path(&["elevations"])).json(&body).send()?;
    let sentence = format!(
        "It waits for somebody else: `palisade elevation approve {}`.",
        cell(answer.get("id"))
    );
    session.output.done(&answer, &sentence)
}
