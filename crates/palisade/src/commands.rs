//! The nouns that a running server is asked about, one file each. They parse, ask and print; what they ask
//! for, the server does.

mod access;
mod account;
mod account_login;
mod accounts;
mod action;
mod api_token;
mod approval;
mod audit;
mod baseline;
mod ca;
mod case;
mod device;
mod elevation;
mod events;
mod export;
mod finding;
mod grant;
mod ledger;
mod message;
mod password;
mod playbook;
mod policy;
mod product;
mod reader;
mod response;
mod role;
mod rules;
mod segment;
mod service;
mod session;
mod suppression;
mod team;
mod token;
mod vault;

use clap::Args;

use crate::{client::Call, failure::Failure};

pub(crate) use access::AccessCommand;
pub(crate) use account::{LoginCommand, LogoutCommand, StatusCommand, WhoamiCommand};
pub(crate) use accounts::AccountCommand;
pub(crate) use action::ActionCommand;
pub(crate) use api_token::ApiTokenCommand;
pub(crate) use approval::ApprovalCommand;
pub(crate) use audit::AuditCommand;
pub(crate) use baseline::BaselineCommand;
pub(crate) use ca::CaCommand;
pub(crate) use case::CaseCommand;
pub(crate) use device::DeviceCommand;
pub(crate) use elevation::ElevationCommand;
pub(crate) use events::{EventsCommand, short_line};
pub(crate) use export::ExportCommand;
pub(crate) use finding::FindingCommand;
pub(crate) use grant::GrantCommand;
pub(crate) use ledger::LedgerNoun;
pub(crate) use message::MessageCommand;
pub(crate) use password::PasswordCommand;
pub(crate) use playbook::PlaybookNoun;
pub(crate) use policy::PolicyCommand;
pub(crate) use product::ProductCommand;
pub(crate) use reader::ReaderCommand;
pub(crate) use response::ResponseCommand;
pub(crate) use role::RoleCommand;
pub(crate) use rules::RulesCommand;
pub(crate) use segment::SegmentCommand;
pub(crate) use service::ServiceCommand;
pub(crate) use session::SessionCommand;
pub(crate) use suppression::SuppressionCommand;
pub(crate) use team::TeamCommand;
pub(crate) use token::TokenCommand;
pub(crate) use vault::VaultCommand;

/// The most that the server gives at once.
const PAGE: usize = 1000;

/// How much of a list to show.
#[derive(Debug, Clone, Args)]
pub(crate) struct PageArgs {
    /// Show at most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Go on where an earlier list ended (its `next`)
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
}

impl PageArgs {
    /// Reads a list page by page, until there is no more or there are enough. `call` makes the request
    /// anew for each page.
    pub(crate) fn read<'a>(
        &self,
        call: impl Fn() -> Call<'a>,
    ) -> Result<serde_json::Value, Failure> {
        let mut items = Vec::new();
        let mut after = self.after.clone();
        loop {
            let wanted = (self.limit - items.len()).min(PAGE);
            let mut page = call()
                .query("limit", Some(wanted))
                .query("after", after.as_ref())
                .send()?;
            if let Some(more) = page.get_mut("items").and_then(|items| items.as_array_mut()) {
                items.append(more);
            }
            after = page.get("next").and_then(cursor);
            if after.is_none() || items.len() >= self.limit {
                return Ok(serde_json::json!({ "items": items, "next": after }));
            }
        }
    }
}

fn cursor(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `key=value` pairs as a JSON object.
fn pairs(items: &[String]) -> Result<serde_json::Value, Failure> {
    let mut map = serde_json::Map::new();
    for item in items {
        let (key, value) = item
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("{item:?} is not of the form key=value")))?;
        map.insert(key.trim().to_owned(), value.trim().into());
    }
    Ok(map.into())
}

/// The text of a file, or of standard input where the file is `-`.
fn read_text(path: &std::path::Path) -> Result<String, Failure> {
    use crate::failure::Context;
    match path.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()).context("standard input"),
        false => std::fs::read_to_string(path).context(path.display()),
    }
}
