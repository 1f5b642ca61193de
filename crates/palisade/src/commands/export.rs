//! `palisade export`.

use std::path::Path;

use clap::{Args, Subcommand};
use palisade_core::{Clock, SystemClock};
use palisade_export::Exports;
use serde_json::{Value, json};

use crate::{
    client::{ConnectionArgs, Session, path},
    data::ConfigArgs,
    failure::{Context, Failure},
    output::{Column, Output, column},
};

const COLUMNS: [Column; 9] = [
    column("EXPORT", "/name"),
    column("KIND", "/kind"),
    column("STATE", "/state"),
    column("LAG", "/lag"),
    column("SENT", "/sent"),
    column("REFUSED", "/dead_letters"),
    column("LOST", "/lost"),
    column("TO", "/target"),
    column("LAST ERROR", "/last_error"),
];
const CHECKED: [Column; 3] = [
    column("EXPORT", "/name"),
    column("TAKEN", "/taken"),
    column("WHAT", "/what"),
];

/// `palisade export`.
#[derive(Debug, Args)]
pub(crate) struct ExportCommand {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    verb: ExportVerb,
}

#[derive(Debug, Subcommand)]
enum ExportVerb {
    /// List the exports of the server, and how each is doing
    #[command(after_help = "Examples:
  palisade export list
  palisade export list --json")]
    List,
    /// Send a test event to the exports of a configuration, without a server
    #[command(after_help = "Examples:
  palisade export check --data /var/lib/palisade
  palisade export check siem --config ./palisade.toml
  palisade export check --offline --config ./palisade.toml

Run it as the user that the server runs as: a file that does not exist yet is made.")]
    Check {
        /// Only this export
        name: Option<String>,
        /// Only check the configuration; send nothing
        #[arg(long)]
        offline: bool,
        #[command(flatten)]
        from: ConfigArgs,
    },
}

impl ExportCommand {
    pub(crate) fn run(self, output: Output) -> Result<(), Failure> {
        match self.verb {
            ExportVerb::List => list(&Session::open(&self.connection, output)?),
            ExportVerb::Check {
                name,
                offline,
                from,
            } => check(name.as_deref(), offline, &from, &output),
        }
    }
}

fn list(session: &Session) -> Result<(), Failure> {
    let answer = session.get(path(&["exports"])).send()?;
    session.output.list(&answer, &COLUMNS)
}

fn check(
    name: Option<&str>,
    offline: bool,
    from: &ConfigArgs,
    output: &Output,
) -> Result<(), Failure> {
    let config = from.load()?;
    let names: Vec<&str> = match name {
        Some(name) => vec![name],
        None => config.exports.keys().map(String::as_str).collect(),
    };
    if let Some(unknown) = names
        .iter()
        .find(|name| !config.exports.contains_key(**name))
    {
        let message = format!("there is no export {unknown:?} in the configuration");
        return Err(Failure::new(message));
    }
    if offline || names.is_empty() {
        let count = names.len();
        let answer = json!({ "valid": true, "exports": names });
        return output.done(&answer, &format!("{count} exports are configured well."));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime")?;
    let data = from.data.clone().unwrap_or_default();
    let test = |name: &&str| runtime.block_on(test(&config.exports, &data, name));
    let items: Vec<Value> = names.iter().map(test).collect();
    let failed = items.iter().filter(|item| item["taken"] == false).count();
    output.list(&json!({ "items": items }), &CHECKED)?;
    match failed {
        0 => Ok(()),
        1 => Err(Failure::new("one export did not take the test event")),
        failed => Err(Failure::new(format!(
            "{failed} exports did not take the test event"
        ))),
    }
}

async fn test(exports: &palisade_export::ExportsConfig, data: &Path, name: &str) -> Value {
    let (taken, what) = match Exports::test(exports, data, name, SystemClock.now()).await {
        Ok(to) => (true, to),
        Err(error) => (false, error.to_string()),
    };
    json!({ "name": name, "taken": taken, "what": what })
}
