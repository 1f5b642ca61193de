//! `palisade role`.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::PageArgs;
use crate::{
    client::{Act, Session, confirm, path},
    failure::{Context, Failure},
    output::{Column, column},
};

const COLUMNS: [Column; 4] = [
    column("ROLE", "/name"),
    column("SHIPPED", "/shipped"),
    column("CHANGED BY", "/changed_by"),
    column("DESCRIPTION", "/description"),
];
const ACTIONS: [Column; 4] = [
    column("ACTION", "/name"),
    column("SCOPE", "/scope"),
    column("ON A DEVICE", "/on_device"),
    column("DESCRIPTION", "/description"),
];

/// Roles: what accounts may do, as Cedar policies over the actions of the server.
#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    /// List roles
    #[command(after_help = "Examples:\n  palisade role list\n  palisade role list --json")]
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// List the actions that roles may permit
    #[command(after_help = "Examples:\n  palisade role actions")]
    Actions,
    /// Show a role's policies
    #[command(after_help = "Examples:\n  palisade role show operator > night-watch.cedar")]
    Show {
        /// The role
        role: String,
    },
    /// Make a role of a file in Cedar, or write a new version of it
    #[command(after_help = "Examples:
  palisade role create night-watch night-watch.cedar --description 'Contains devices at night'
  palisade role create night-watch night-watch.cedar --replace")]
    Create {
        /// The role
        role: String,
        /// Its policies, in Cedar
        file: PathBuf,
        /// What people read
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// Write a new version of a role that is there
        #[arg(long)]
        replace: bool,
    },
    /// Remove a role that nobody has
    #[command(after_help = "Examples:\n  palisade role delete night-watch")]
    Delete {
        /// The role
        role: String,
        /// Do not ask whether you are sure
        #[arg(long, short)]
        yes: bool,
    },
}

impl Act for RoleCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        let output = &session.output;
        match self {
            Self::List { page } => {
                let answer = page.read(|| session.get(path(&["roles"])))?;
                output.list(&answer, &COLUMNS)
            }
            Self::Actions => {
                let answer = session.get(path(&["roles", "actions"])).send()?;
                output.list(&answer, &ACTIONS)
            }
            Self::Show { role } => {
                let answer = session.get(path(&["roles", &role])).send()?;
                if output.is_json() {
                    return output.json(&answer);
                }
                let cedar = answer.get("cedar").and_then(Value::as_str);
                output.text(cedar.unwrap_or_default())
            }
            Self::Create {
                role,
                file,
                description,
                replace,
            } => {
                let cedar = std::fs::read_to_string(&file).context(file.display())?;
                let mut body = json!({ "description": description, "cedar": cedar });
                let call = match replace {
                    true => session.put(path(&["roles", &role])),
                    false => {
                        body["name"] = role.clone().into();
                        session.post(path(&["roles"]))
                    }
                };
                let answer = call.json(&body).send()?;
                let permits = answer
                    .get("actions")
                    .and_then(Value::as_array)
                    .map_or(0, Vec::len);
                let sentence = format!("Role {role} is written; it may permit {permits} actions.");
                output.done(&answer, &sentence)
            }
            Self::Delete { role, yes } => {
                confirm(yes, &format!("Remove role {role}?"))?;
                let answer = session.delete(path(&["roles", &role])).send()?;
                output.done(
                    &answer,
                    &format!("Role {role} is removed; its versions are kept."),
                )
            }
        }
    }
}
