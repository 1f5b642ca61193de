//! `palisade team`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::PageArgs;
use crate::{
    client::{Act, Session, confirm, path},
    failure::Failure,
    output::{Column, column},
};

const COLUMNS: [Column; 3] = [
    column("TEAM", "/name"),
    column("MEMBERS", "/members"),
    column("CREATED", "/created_at"),
];

/// Teams: what each of their members is.
#[derive(Debug, Subcommand)]
pub(crate) enum TeamCommand {
    /// List teams
    #[command(after_help = "Examples:\n  palisade team list\n  palisade team list --json")]
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Make a team, or set who is in it and what they are
    #[command(after_help = "Examples:
  palisade team put berlin --member anna --member bert --role technician --label site=berlin
  palisade team put berlin --member anna --role technician --until 2027-01-31T18:00:00Z")]
    Put {
        /// The team
        team: String,
        /// An account in it; may be repeated
        #[arg(long = "member", value_name = "ACCOUNT")]
        members: Vec<String>,
        /// What its members are; may be repeated
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        #[command(flatten)]
        bounds: BoundsArgs,
    },
    /// Remove a team; its members lose what it gave them
    #[command(after_help = "Examples:\n  palisade team delete berlin")]
    Delete {
        /// The team
        team: String,
        /// Do not ask whether you are sure
        #[arg(long, short)]
        yes: bool,
    },
}

/// On which devices roles count, and until when.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct BoundsArgs {
    /// On the devices of this segment only
    #[arg(long, value_name = "SEGMENT")]
    segment: Option<String>,
    /// On the devices of this product only
    #[arg(long, value_name = "PRODUCT")]
    product: Option<String>,
    /// On the devices with this label only
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    label: Option<(String, String)>,
    /// Until this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=');
    let parts = parts.map(|(key, value)| (key.to_owned(), value.to_owned()));
    parts.ok_or_else(|| "a label is written key=value".to_owned())
}

impl BoundsArgs {
    /// Roles within these bounds, as the server reads them.
    pub(crate) fn of(&self, roles: &[String]) -> Vec<Value> {
        let label = self.label.as_ref();
        let label = label.map(|(key, value)| json!({ "key": key, "value": value }));
        let given = [
            ("segment", self.segment.clone().map(Value::from)),
            ("product", self.product.clone().map(Value::from)),
            ("label", label),
        ];
        let bounds: serde_json::Map<_, _> = given
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect();
        let assignment = |role: &String| {
            let mut one = json!({ "role": role });
            if !bounds.is_empty() {
                one["bounds"] = bounds.clone().into();
            }
            if let Some(until) = &self.until {
                one["until"] = until.clone().into();
            }
            one
        };
        roles.iter().map(assignment).collect()
    }
}

impl Act for TeamCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        let output = &session.output;
        match self {
            Self::List { page } => {
                let answer = page.read(|| session.get(path(&["teams"])))?;
                output.list(&answer, &COLUMNS)
            }
            Self::Put {
                team,
                members,
                roles,
                bounds,
            } => {
                let known = page_of_teams(session)?;
                let mut body = json!({ "members": members, "assignments": bounds.of(&roles) });
                let call = match known.contains(&team) {
                    true => session.put(path(&["teams", &team])),
                    false => {
                        body["name"] = team.clone().into();
                        session.post(path(&["teams"]))
                    }
                };
                let answer = call.json(&body).send()?;
                output.done(&answer, &format!("Team {team} is set; it counts at once."))
            }
            Self::Delete { team, yes } => {
                confirm(yes, &format!("Remove team {team}?"))?;
                let answer = session.delete(path(&["teams", &team])).send()?;
                output.done(&answer, &format!("Team {team} is removed."))
            }
        }
    }
}

fn page_of_teams(session: &Session) -> Result<Vec<String>, Failure> {
    let answer = session
        .get(path(&["teams"]))
        .query("limit", Some(1000))
        .send()?;
    let items = answer.get("items").and_then(Value::as_array);
    let names = items
        .into_iter()
        .flatten()
        .filter_map(|team| team.get("name")?.as_str());
    Ok(names.map(str::to_owned).collect())
}
