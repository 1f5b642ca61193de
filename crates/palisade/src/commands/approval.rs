//! `palisade approval`.

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::PageArgs;
use crate::{
    client::{Act, Session, confirm, path},
    failure::{Exit, Failure},
    output::{Column, cell, column, sanitise},
};

const COLUMNS: [Column; 7] = [
    column("APPROVAL", "/id"),
    column("ACT", "/act"),
    column("ON", "/path"),
    column("ASKED BY", "/asker"),
    column("STATE", "/state"),
    column("DECIDED BY", "/decided_by"),
    column("UNTIL", "/expires_at"),
];

/// Acts that wait for a second person (four eyes), and what became of them.
#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalCommand {
    /// List the acts that you may decide and those that you asked for, newest first
    #[command(after_help = "Examples:
  palisade approval list
  palisade approval list --state waiting --json

What waits is done by who asked for it, by the same command once more with `--approval ID`.")]
    List {
        /// In this state
        #[arg(long)]
        state: Option<Decided>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show an act with what would be done, without its secrets
    #[command(after_help = "Examples:\n  palisade approval show 01K0ZJ5D0G0000000000000000")]
    Show {
        /// The approval
        id: String,
    },
    /// Approve an act that somebody else asked for
    #[command(after_help = "Examples:
  palisade approval approve 01K0ZJ5D0G0000000000000000
  palisade approval approve 01K0ZJ5D0G0000000000000000 --yes

You are logged in as a person (`palisade login --account NAME`) who may do the act, and did not ask for it.")]
    Approve {
        /// The approval
        id: String,
        /// Do not show the act and ask whether you are sure
        #[arg(long, short)]
        yes: bool,
    },
    /// Refuse an act that somebody else asked for
    #[command(
        visible_alias = "refuse",
        after_help = "Examples:\n  palisade approval reject 01K0ZJ5D0G0000000000000000"
    )]
    Reject {
        /// The approval
        id: String,
    },
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Decided {
    /// It waits
    Waiting,
    /// Somebody approved it
    Approved,
    /// Somebody refused it
    Rejected,
    /// It was approved and done
    Used,
}

impl Decided {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Used => "used",
        }
    }
}

impl Act for ApprovalCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        let output = &session.output;
        match self {
            Self::List { state, page } => {
                let answer = list(session, "approvals", state, &page)?;
                output.list(&answer, &COLUMNS)
            }
            Self::Show { id } => {
                let approval = find(session, "approvals", &id)?;
                match output.is_json() {
                    true => output.json(&approval),
                    false => show(session, &approval),
                }
            }
            Self::Approve { id, yes } => {
                if !yes {
                    let approval = find(session, "approvals", &id)?;
                    if !output.is_json() {
                        show(session, &approval)?;
                    }
                }
                confirm(yes, "Approve this act?")?;
                let call = session.post(path(&["approvals", &id, "approve"]));
                let answer = call.send()?;
                let sentence = format!(
                    "{} is approved: {} may do it once, until {}, with `--approval {id}`.",
                    cell(answer.get("act")),
                    cell(answer.get("asker")),
                    cell(answer.get("expires_at")),
                );
                output.done(&answer, &sentence)
            }
            Self::Reject { id } => {
                let answer = session.post(path(&["approvals", &id, "reject"])).send()?;
                output.done(&answer, &format!("{} is refused.", cell(answer.get("act"))))
            }
        }
    }
}

fn show(session: &Session, approval: &Value) -> Result<(), Failure> {
    let mut rest = approval.clone();
    let body = rest.as_object_mut().and_then(|map| map.remove("body"));
    session.output.record(&rest, &COLUMNS)?;
    let body = body.as_ref().and_then(Value::as_str).unwrap_or_default();
    let shown = match serde_json::from_str::<Value>(body) {
        Ok(value) => serde_json::to_string_pretty(&value)?,
        Err(_) => body.to_owned(),
    };
    for line in shown.lines() {
        session.output.text(&format!("  {}", sanitise(line)))?;
    }
    Ok(())
}

/// A list of what waits or waited for a decision, of one state only if one is named. The server gives all states.
pub(super) fn list(
    session: &Session,
    what: &str,
    state: Option<Decided>,
    page: &PageArgs,
) -> Result<Value, Failure> {
    let Some(state) = state else {
        return page.read(|| session.get(path(&[what])));
    };
    let everything = PageArgs {
        limit: usize::MAX,
        after: page.after.clone(),
    };
    let mut answer = everything.read(|| session.get(path(&[what])))?;
    let items = answer["items"].as_array_mut().map(std::mem::take);
    let mut items: Vec<Value> = items.unwrap_or_default();
    items.retain(|item| item["state"] == state.as_str());
    if items.len() > page.limit {
        items.truncate(page.limit);
        eprintln!("There are more: raise --limit.");
    }
    Ok(json!({ "items": items, "next": Value::Null }))
}

/// One of what waits or waited for a decision.
pub(super) fn find(session: &Session, what: &str, id: &str) -> Result<Value, Failure> {
    let everything = PageArgs {
        limit: usize::MAX,
        after: None,
    };
    let listed = everything.read(|| session.get(path(&[what])))?;
    let mut items = listed["items"].as_array().into_iter().flatten();
    let found = items.find(|item| {
        item["id"]
            .as_str()
            .is_some_and(|own| own.eq_ignore_ascii_case(id))
    });
    found.cloned().ok_or_else(|| {
        let noun = what.trim_end_matches('s');
        Failure::new(format!(
            "there is no {noun} {} that you asked for or may decide",
            sanitise(id)
        ))
        .exit(Exit::NotFound)
        .next(format!("`palisade {noun} list` shows those there are"))
    })
}
