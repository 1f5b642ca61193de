//! `palisade token`: enrolment tokens.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::PageArgs;
use crate::{
    client::{Act, Session, path},
    config::Span,
    failure::Failure,
    output::{Column, column},
};

const COLUMNS: [Column; 6] = [
    column("TOKEN", "/id"),
    column("FOR", "/scope"),
    column("USES LEFT", "/uses_left"),
    column("EXPIRES", "/expires_at"),
    column("REVOKED", "/revoked"),
    column("NOTE", "/note"),
];

/// Enrolment tokens, with which devices get their first certificate.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// List enrolment tokens
    #[command(after_help = "Examples:\n  palisade token list")]
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Make an enrolment token; its secret is shown once
    #[command(after_help = "Examples:
  palisade token create --device cam-1
  palisade token create --product camera --uses 50 --ttl 1d --note 'line 3'")]
    Create(CreateArgs),
    /// Revoke an enrolment token
    #[command(after_help = "Examples:\n  palisade token revoke 01K0ZJ5D0G0000000000000000")]
    Revoke {
        /// The token's id
        id: String,
    },
}

/// What a token is for.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("scope").required(true))]
pub(crate) struct CreateArgs {
    /// For this device only
    #[arg(long, value_name = "DEVICE", group = "scope")]
    device: Option<String>,
    /// For any device of this product
    #[arg(long, value_name = "PRODUCT", group = "scope")]
    product: Option<String>,
    /// How many times it may be used
    #[arg(long, value_name = "N", default_value_t = 1)]
    uses: u64,
    /// How long it is valid
    #[arg(long, value_name = "TIME", default_value = "1d")]
    ttl: Span,
    /// What people read
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

impl Act for TokenCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { page } => {
                let answer = page.read(|| session.get(path(&["enrolment-tokens"])))?;
                session.output.list(&answer, &COLUMNS)
            }
            Self::Create(args) => create(&args, session),
            Self::Revoke { id } => {
                let answer = session.delete(path(&["enrolment-tokens", &id])).send()?;
                session
                    .output
                    .done(&answer, &format!("Token {id} is revoked."))
            }
        }
    }
}

fn create(args: &CreateArgs, session: &Session) -> Result<(), Failure> {
    let mut body = json!({
        "uses": args.uses,
        "ttl_s": args.ttl.seconds(),
        "note": args.note,
    });
    match (&args.device, &args.product) {
        (Some(device), _) => body["device"] = json!(device),
        (None, product) => body["product"] = json!(product),
    }
    let answer = session
        .post(path(&["enrolment-tokens"]))
        .json(&body)
        .send()?;
    show_secret(session, &answer)
}

/// Shows a token that was just made: nobody sees its secret again.
pub(super) fn show_secret(session: &Session, answer: &Value) -> Result<(), Failure> {
    const FIELDS: [Column; 2] = [column("secret", "/secret"), column("id", "/id")];
    session.output.record(answer, &FIELDS)?;
    if !session.output.is_json() {
        eprintln!("The secret is shown this once.");
    }
    Ok(())
}
