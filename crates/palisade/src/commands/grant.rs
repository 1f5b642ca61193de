//! `palisade grant`.

use std::num::NonZeroU16;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::PageArgs;
use crate::{
    client::{Act, Session, path},
    failure::Failure,
    output::{Column, column},
};

const COLUMNS: [Column; 5] = [
    column("GRANT", "/id"),
    column("FOR", "/scope"),
    column("TOPICS", "/pattern"),
    column("ACTIONS", "/actions"),
    column("LAST USED", "/last_used_at"),
];

/// Grants: which topics are whose.
#[derive(Debug, Subcommand)]
pub(crate) enum GrantCommand {
    /// List grants
    #[command(after_help = "Examples:\n  palisade grant list")]
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Add a grant
    #[command(after_help = "Examples:
  palisade grant add 'devices/{device}/telemetry/#' --product camera --allow publish,retain
  palisade grant add 'devices/{device}/commands/#' --fleet --allow subscribe,receive
  palisade grant add 'devices/{device}/telemetry/#' --product camera --allow publish --keep-days 90
  palisade grant add 'devices/{device}/private/#' --product camera --allow publish --keep-days 90 --sealed
  palisade grant add 'devices/+/telemetry/#' --service backend --allow subscribe,receive

Variables in the topics: {device}, {product}, {segment}, {label:NAME}.")]
    Add(AddArgs),
    /// Remove a grant
    #[command(after_help = "Examples:\n  palisade grant remove 01K0ZJ5D0G0000000000000000")]
    Remove {
        /// The grant's id
        id: String,
    },
}

/// What is granted to whom.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("scope").required(true))]
pub(crate) struct AddArgs {
    /// The topics, as an MQTT filter with variables
    topics: String,
    /// To every device
    #[arg(long, group = "scope")]
    fleet: bool,
    /// To every device of a product
    #[arg(long, value_name = "PRODUCT", group = "scope")]
    product: Option<String>,
    /// To every device of a segment
    #[arg(long, value_name = "SEGMENT", group = "scope")]
    segment: Option<String>,
    /// To one device
    #[arg(long, value_name = "DEVICE", group = "scope")]
    device: Option<String>,
    /// To a service
    #[arg(long, value_name = "SERVICE", group = "scope")]
    service: Option<String>,
    /// What it allows there
    #[arg(
        long,
        value_name = "ACTION,...",
        value_delimiter = ',',
        required = true
    )]
    allow: Vec<GrantAction>,
    /// Keep what devices publish there in the vault for so many days
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<NonZeroU16>,
    /// Take only what is sealed for its readers there (`palisade reader`): the server cannot read it
    #[arg(long)]
    sealed: bool,
}

/// What a grant may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GrantAction {
    /// To publish
    Publish,
    /// To hold a subscription
    Subscribe,
    /// To have a message delivered
    Receive,
    /// To set or clear the retained message
    Retain,
}

impl AddArgs {
    fn body(&self) -> serde_json::Value {
        let limited = [
            ("product", &self.product),
            ("segment", &self.segment),
            ("device", &self.device),
            ("service", &self.service),
        ];
        let scope = limited
            .iter()
            .find_map(|(kind, id)| id.as_ref().map(|id| json!({ "type": kind, "id": id })))
            .unwrap_or(json!({ "type": "fleet" }));
        let allows = |action| self.allow.contains(&action);
        let mut actions = json!({
            "publish": allows(GrantAction::Publish),
            "subscribe": allows(GrantAction::Subscribe),
            "receive": allows(GrantAction::Receive),
            "retain": allows(GrantAction::Retain),
        });
        if let Some(days) = self.keep_days {
            actions["keep_days"] = days.get().into();
        }
        if self.sealed {
            actions["sealed"] = true.into();
        }
        json!({ "scope": scope, "pattern": self.topics, "actions": actions })
    }
}

impl Act for GrantCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { page } => {
                let answer = page.read(|| session.get(path(&["grants"])))?;
                session.output.list(&answer, &COLUMNS)
            }
            Self::Add(args) => {
                let answer = session.post(path(&["grants"])).json(&args.body()).send()?;
                session.output.done(&answer, "The grant is in force.")
            }
            Self::Remove { id } => {
                let answer = session.delete(path(&["grants", &id])).send()?;
                session
                    .output
                    .done(&answer, &format!("Grant {id} is removed."))
            }
        }
    }
}
