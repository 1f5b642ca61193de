//! `palisade access plan`.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::{
    client::{Session, path},
    failure::Failure,
    output::{Column, column},
};

const PLAN: [Column; 6] = [
    column("owner", "/owner"),
    column("every days", "/every_days"),
    column("due", "/due_at"),
    column("overdue", "/overdue"),
    column("planned by", "/planned_by"),
    column("planned at", "/planned_at"),
];

/// The plan of reviews.
#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    /// Show the plan
    #[command(after_help = "Examples:\n  palisade access plan show")]
    Show,
    /// Plan reviews: one is due every so many days, and a finding tells when it was not signed in time
    #[command(after_help = "Examples:
  palisade access plan set anna --every 90
  palisade access plan set anna --every 90 --due 2027-01-31T00:00:00Z")]
    Set {
        /// The account whose review it is
        owner: String,
        /// How often, in days
        #[arg(long, value_name = "DAYS")]
        every: u32,
        /// Until when the first one is to be signed; after so many days, where nothing is said
        #[arg(long, value_name = "TIME")]
        due: Option<String>,
    },
    /// Plan no more reviews
    #[command(after_help = "Examples:\n  palisade access plan drop")]
    Drop,
}

impl PlanCommand {
    pub(super) fn run(self, session: &Session) -> Result<(), Failure> {
        let at = path(&["access", "review", "plan"]);
        match self {
            Self::Show => {
                let plan = session.get(at).send()?;
                session.output.record(&plan, &PLAN)
            }
            Self::Set { owner, every, due } => {
                let body = json!({ "owner": owner, "every_days": every, "due_at": due });
                let plan = session.put(at).json(&body).send()?;
                let due = plan.get("due_at").and_then(Value::as_str);
                let sentence = format!(
                    "{owner} reviews access every {every} days, the next time until {}.",
                    due.unwrap_or_default()
                );
                session.output.done(&plan, &sentence)
            }
            Self::Drop => {
                session.delete(at).send()?;
                let sentence = "No review of access is planned any more.";
                session.output.done(&json!({ "planned": false }), sentence)
            }
        }
    }
}
