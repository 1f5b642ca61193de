//! `palisade api-token`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{PageArgs, token::show_secret};
use crate::{
    client::{Act, Session, path},
    config::Span,
    failure::Failure,
    output::{Column, column},
};

const COLUMNS: [Column; 7] = [
    column("TOKEN", "/id"),
    column("NAME", "/name"),
    column("SCOPES", "/scopes"),
    column("SERVICE", "/service"),
    column("EXPIRES", "/expires_at"),
    column("REVOKED", "/revoked"),
    column("LAST USED", "/last_used_at"),
];

/// API tokens, with which people and programs use the REST API.
#[derive(Debug, Subcommand)]
pub(crate) enum ApiTokenCommand {
    /// List API tokens
    #[command(after_help = "Examples:\n  palisade api-token list")]
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Make an API token; its secret is shown once
    #[command(after_help = "Examples:
  palisade api-token create ci --scope devices:read --scope tokens:write --ttl 30d
  palisade api-token create backend --scope messages:write --service backend")]
    Create(CreateArgs),
    /// Revoke an API token
    #[command(after_help = "Examples:\n  palisade api-token revoke 01K0ZJ5D0G0000000000000000")]
    Revoke {
        /// The token's id
        id: String,
    },
}

/// What a token may do.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its name, which the audit log shows
    name: String,
    /// What it may do (`devices:read`, `policy:write`, `*`); may be repeated
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<String>,
    /// As which service its bearer publishes messages
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// How long it is valid; without an end if left out
    #[arg(long, value_name = "TIME")]
    ttl: Option<Span>,
}

impl Act for ApiTokenCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { page } => {
                let answer = page.read(|| session.get(path(&["api-tokens"])))?;
                session.output.list(&answer, &COLUMNS)
            }
            Self::Create(args) => {
                let mut body = json!({ "name": args.name, "scopes": args.scopes });
                if let Some(service) = &args.service {
                    body["service"] = json!(service);
                }
                if let Some(ttl) = args.ttl {
                    body["ttl_s"] = json!(ttl.seconds());
                }
                let answer = session.post(path(&["api-tokens"])).json(&body).send()?;
                show_secret(session, &answer)
            }
            Self::Revoke { id } => {
                let answer = session.delete(path(&["api-tokens", &id])).send()?;
                session
                    .output
                    .done(&answer, &format!("Token {id} is revoked."))
            }
        }
    }
}
