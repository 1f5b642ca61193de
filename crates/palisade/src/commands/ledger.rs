//! `palisade ledger`.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{PAGE, PageArgs, events::summarise};
use crate::{
    client::{Act, Session, path},
    failure::{Context, Failure},
    output::{Column, column, spinner},
};

const COLUMNS: [Column; 5] = [
    column("ENTRY", "/seq"),
    column("TIME", "/entry/time"),
    column("KIND", "/entry/kind"),
    column("PRINCIPAL", "/entry/principal"),
    column("WHAT", "/what"),
];

/// The audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// List entries
    #[command(after_help = "Examples:
  palisade ledger list --newest --limit 20
  palisade ledger list --after 1000 --limit 50 --json")]
    List {
        #[command(flatten)]
        page: PageArgs,
        /// The newest entries first, a thousand at most
        #[arg(long, conflicts_with = "after")]
        newest: bool,
    },
    /// Read all entries again and check every hash
    #[command(after_help = "Examples:\n  palisade ledger verify\n  palisade ledger verify --json")]
    Verify,
    /// Show how many entries there are, and the root hash over them
    #[command(after_help = "Examples:\n  palisade ledger head --json")]
    Head,
    /// Write entries out, one JSON object a line
    #[command(after_help = "Examples:
  palisade ledger export --format ocsf > events.ndjson
  palisade ledger export --format native --after 5000 --out ledger.ndjson")]
    Export(ExportArgs),
}

/// What to write where.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// OCSF, which SIEMs read, or entries as they are
    #[arg(long, value_parser = ["ocsf", "native"], default_value = "ocsf")]
    format: String,
    /// Only entries after this one
    #[arg(long, value_name = "ENTRY")]
    after: Option<u64>,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Act for LedgerCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { page, newest } => {
                let mut answer = match newest {
                    true => read_newest(&page, session)?,
                    false => page.read(|| session.get(path(&["ledger"])))?,
                };
                if !session.output.is_json() {
                    summarise(&mut answer, "entry");
                }
                session.output.list(&answer, &COLUMNS)
            }
            Self::Verify => verify(session),
            Self::Head => {
                let answer = session.get(path(&["ledger", "head"])).send()?;
                session
                    .output
                    .record(&answer, &[column("entries", "/entries")])
            }
            Self::Export(args) => export(&args, session),
        }
    }
}

fn read_newest(page: &PageArgs, session: &Session) -> Result<Value, Failure> {
    let head = session.get(path(&["ledger", "head"])).send()?;
    let entries = head.get("entries").and_then(Value::as_u64).unwrap_or(0);
    session
        .get(path(&["ledger"]))
        .query("before", Some(entries + 1))
        .query("limit", Some(page.limit.min(PAGE)))
        .send()
}

fn verify(session: &Session) -> Result<(), Failure> {
    let progress = spinner("reading the ledger");
    let answer = session.post(path(&["ledger", "verify"])).send();
    progress.finish_and_clear();
    let answer = answer?;
    let entries = answer.get("entries").and_then(Value::as_u64).unwrap_or(0);
    match answer.get("fault").filter(|fault| !fault.is_null()) {
        None => {
            let root = answer.get("root").and_then(Value::as_str).unwrap_or("");
            let sentence = format!("All {entries} entries are good; the root is {root}.");
            session.output.done(&answer, &sentence)
        }
        Some(fault) => {
            if session.output.is_json() {
                session.output.json(&answer)?;
            }
            let fault = fault.as_str().unwrap_or_default();
            let message = format!("the ledger was tampered with: {fault}");
            Err(Failure::new(message).next(format!("the {entries} entries before it are good")))
        }
    }
}

fn export(args: &ExportArgs, session: &Session) -> Result<(), Failure> {
    let answer = session
        .get(path(&["ledger", "export"]))
        .query("format", Some(&args.format))
        .query("after", args.after)
        .header("Accept", "application/x-ndjson")
        .open()?;
    let mut lines = BufReader::new(answer.into_body().into_reader());
    match &args.out {
        None => {
            let mut line = String::new();
            while lines.read_line(&mut line)? > 0 {
                session.output.text(line.trim_end())?;
                line.clear();
            }
            Ok(())
        }
        Some(path) => {
            let mut file = std::fs::File::create(path).context(path.display())?;
            let bytes = std::io::copy(&mut lines, &mut file).context(path.display())?;
            file.flush().context(path.display())?;
            let sentence = format!("Wrote {bytes} bytes to {}.", path.display());
            let answer = json!({ "file": path, "bytes": bytes });
            session.output.done(&answer, &sentence)
        }
    }
}
