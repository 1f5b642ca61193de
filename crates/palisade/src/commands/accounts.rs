//! `palisade account`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{PageArgs, team::BoundsArgs};
use crate::{
    client::{Act, Session, confirm, new_password, path},
    failure::Failure,
    output::{Column, column},
};

const COLUMNS: [Column; 6] = [
    column("ACCOUNT", "/name"),
    column("ROLES", "/roles"),
    column("DISABLED", "/disabled"),
    column("LAST LOG-IN", "/last_login_at"),
    column("PASSWORD OF", "/password_changed_at"),
    column("E-MAIL", "/email"),
];
const SESSIONS: [Column; 5] = [
    column("SESSION", "/id"),
    column("FROM", "/source"),
    column("SECOND FACTOR", "/second_factor"),
    column("BEGAN", "/created_at"),
    column("LAST USED", "/seen_at"),
];

/// Accounts of people: roles, passwords, log-in sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// List accounts
    #[command(after_help = "Examples:\n  palisade account list")]
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Make an account; its first password is asked for, or read from standard input
    #[command(after_help = "Examples:
  palisade account create anna --role operator
  palisade account create anna --role auditor < first-password
  palisade account create anna --role operator --email anna@example.org

Roles: owner, security-analyst, operator, release-manager, auditor, technician. Whose account it is
changes the password at the first log-in.")]
    Create(CreateArgs),
    /// Set an account's roles, everywhere or on some devices, for good or for a time; its sessions end
    #[command(after_help = "Examples:
  palisade account role anna operator technician
  palisade account role tina technician --label site=berlin --until 2027-01-31T18:00:00Z")]
    Role {
        /// The account
        name: String,
        /// Its roles from now on
        #[arg(value_name = "ROLE", required = true)]
        roles: Vec<String>,
        #[command(flatten)]
        bounds: BoundsArgs,
    },
    /// Disable an account, or enable it again; its sessions end
    #[command(after_help = "Examples:
  palisade account disable anna
  palisade account disable anna --undo")]
    Disable(DisableArgs),
    /// Erase a person: remove a disabled account, and destroy what the ledger says of it
    #[command(after_help = "Examples:
  palisade account disable anna
  palisade account erase anna

It cannot be undone. Entries of the ledger stay, without the names and addresses of the person, and verify as before.
What was exported before is where it was exported to.")]
    Erase {
        /// The account
        name: String,
        /// Do not ask whether you are sure
        #[arg(long, short)]
        yes: bool,
    },
    /// Set an account's password for who lost theirs; it is asked for, or read from standard input
    #[command(after_help = "Examples:\n  palisade account passwd anna")]
    Passwd {
        /// The account
        name: String,
        /// Remove its second factors and recovery codes too
        #[arg(long)]
        reset_second_factors: bool,
    },
    /// Show or set where an account's person is told what happens to it: log-ins, changes, attacks
    #[command(after_help = "Examples:
  palisade account email anna
  palisade account email anna anna@example.org
  palisade account email --own anna@example.org
  palisade account email anna --none

Whoever is told now is told that too. It needs [accounts.mail] in the server's configuration.")]
    Email(EmailArgs),
    /// List an account's log-in sessions, or end one
    #[command(after_help = "Examples:
  palisade account sessions anna
  palisade account sessions anna --end 01K0ZJ5D0G0000000000000000")]
    Sessions {
        /// The account
        name: String,
        /// End this session
        #[arg(long, value_name = "SESSION")]
        end: Option<String>,
    },
}

/// What an account is to be.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its name, which the audit log shows
    name: String,
    /// A role; may be repeated
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<String>,
    /// Where its person is told what happens to it
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
}

/// Whose address, and which.
#[derive(Debug, Args)]
pub(crate) struct EmailArgs {
    /// The account; your own with --own
    #[arg(value_name = "ACCOUNT", required_unless_present = "own")]
    name: Option<String>,
    /// The address from now on
    #[arg(value_name = "ADDRESS", conflicts_with = "none")]
    address: Option<String>,
    /// Your own account, which needs no right
    #[arg(long)]
    own: bool,
    /// Tell its person no longer
    #[arg(long)]
    none: bool,
}

impl EmailArgs {
    fn act(self, session: &Session) -> Result<(), Failure> {
        let Self {
            name,
            address,
            own,
            none,
        } = self;
        // With --own the first word is the address.
        let (name, address) = match (own, name, address) {
            (true, Some(_), Some(_)) => {
                return Err(Failure::usage("--own takes an address and no account"));
            }
            (true, first, None) => (None, first),
            (_, name, address) => (name, address),
        };
        if none && address.is_some() {
            return Err(Failure::usage("give an address, or --none"));
        }
        let place = match &name {
            Some(name) => path(&["accounts", name, "email"]),
            None => path(&["account", "email"]),
        };
        let whose = name.as_deref().unwrap_or("your account");
        let answer = match (&address, none) {
            (None, false) => session.get(place).send()?,
            _ => session
                .put(place)
                .json(&json!({ "email": address }))
                .send()?,
        };
        session.output.done(&answer, &told(whose, &answer))
    }
}

/// Where somebody is told, in a sentence.
fn told(whose: &str, answer: &Value) -> String {
    let sentence = match answer["email"].as_str() {
        Some(address) => format!("What happens to {whose} is told at {address}."),
        None => format!("What happens to {whose} is told to nobody."),
    };
    match (answer["tells"].as_bool(), answer["email"].is_null()) {
        (Some(false), false) => format!(
            "{sentence} The server tells nobody yet: it has no [accounts.mail] in its configuration."
        ),
        _ => sentence,
    }
}

/// Which account.
#[derive(Debug, Args)]
pub(crate) struct DisableArgs {
    /// The account
    name: String,
    /// Enable it again
    #[arg(long)]
    undo: bool,
    /// Do not ask whether you are sure
    #[arg(long, short)]
    yes: bool,
}

impl Act for AccountCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        let output = &session.output;
        match self {
            Self::List { page } => {
                let answer = page.read(|| session.get(path(&["accounts"])))?;
                output.list(&answer, &COLUMNS)
            }
            Self::Create(args) => {
                let password = new_password()?;
                let mut body =
                    json!({ "name": args.name, "roles": args.roles, "password": password });
                if let Some(email) = &args.email {
                    body["email"] = email.as_str().into();
                }
                let answer = session.post(path(&["accounts"])).json(&body).send()?;
                output.done(&answer, &format!("Account {} is made.", args.name))
            }
            Self::Role {
                name,
                roles,
                bounds,
            } => {
                let call = session.put(path(&["accounts", &name, "roles"]));
                let body = json!({ "assignments": bounds.of(&roles) });
                let answer = call.json(&body).send()?;
                let roles = roles.join(", ");
                output.done(&answer, &format!("{name} is {roles}; its sessions ended."))
            }
            Self::Disable(args) => {
                let name = &args.name;
                if !args.undo {
                    confirm(args.yes, &format!("Disable {name} and end its sessions?"))?;
                }
                let call = session.patch(path(&["accounts", name]));
                let answer = call.json(&json!({ "disabled": !args.undo })).send()?;
                let sentence = match args.undo {
                    true => format!("Account {name} is enabled."),
                    false => format!("Account {name} is disabled; its sessions ended."),
                };
                output.done(&answer, &sentence)
            }
            Self::Erase { name, yes } => {
                confirm(yes, &format!("Erase {name} for good?"))?;
                let call = session.post(path(&["erasures"]));
                let answer = call.json(&json!({ "account": name })).send()?;
                let count = |field: &str| answer[field].as_u64().unwrap_or(0);
                let more = match answer["compacted"].as_bool() {
                    Some(false) => {
                        " The database is large: run VACUUM on it while the server is stopped, and no old copy of a page                          is left in it."
                    }
                    _ => "",
                };
                let sentence = format!(
                    "{name} is erased: {} values of {} entries are destroyed.{more}",
                    count("values"),
                    count("entries")
                );
                output.done(&answer, &sentence)
            }
            Self::Passwd {
                name,
                reset_second_factors,
            } => {
                let body = json!({ "password": new_password()? });
                let call = session.put(path(&["accounts", &name, "password"]));
                let answer = call.json(&body).send()?;
                if reset_second_factors {
                    session
                        .delete(path(&["accounts", &name, "second-factors"]))
                        .send()?;
                }
                output.done(
                    &answer,
                    &format!(
                        "The password of {name} is set; its person changes it at the next log-in."
                    ),
                )
            }
            Self::Email(args) => args.act(session),
            Self::Sessions { name, end: None } => {
                let answer = session.get(path(&["accounts", &name, "sessions"])).send()?;
                output.list(&answer, &SESSIONS)
            }
            Self::Sessions {
                name,
                end: Some(id),
            } => {
                let call = session.delete(path(&["accounts", &name, "sessions", &id]));
                let answer = call.send()?;
                output.done(&answer, &format!("Session {id} has ended."))
            }
        }
    }
}
