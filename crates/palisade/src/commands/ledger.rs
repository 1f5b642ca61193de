//! `palisade ledger`.

mod verify;

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::verify::VerifyArgs;
use super::{PAGE, PageArgs, events::summarise};
use crate::{
    client::{Act, ConnectionArgs, Session, path},
    failure::{Context, Failure},
    output::{Column, Output, column},
};

const COLUMNS: [Column; 5] = [
    column("ENTRY", "/seq"),
    column("TIME", "/entry/time"),
    column("KIND", "/entry/kind"),
    column("PRINCIPAL", "/entry/principal"),
    column("WHAT", "/what"),
];

const WITNESSES: [Column; 3] = [
    column("WITNESS", "/name"),
    column("SIGNED", "/signed"),
    column("ERROR", "/error"),
];

/// The audit log, on a server or in files.
#[derive(Debug, Args)]
pub(crate) struct LedgerNoun {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: LedgerCommand,
}

impl LedgerNoun {
    pub(crate) fn run(self, output: Output) -> Result<(), Failure> {
        match self.command {
            LedgerCommand::Verify(args) if args.is_offline() => args.offline(&output),
            command => command.act(&Session::open(&self.connection, output)?),
        }
    }
}

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
    /// Read all entries again and check every hash; or check a bundle or a proof without a server
    #[command(after_help = "Examples:
  palisade ledger verify
  palisade ledger verify --checkpoint monday.checkpoint
  palisade ledger verify --bundle evidence.ndjson \\
    --key fleet.example/ledger+5526466e+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea
  palisade ledger verify --proof entry-17.tlog-proof \\
    --key fleet.example/ledger+5526466e+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea

A checkpoint that was kept elsewhere shows what hashes alone do not: an entry that was rewritten with all hashes
after it, and a server that was rolled back. A key is what `palisade ledger key` printed.
Exit code 6 where something is not as it should be.")]
    Verify(VerifyArgs),
    /// Print a checkpoint over all entries, to be kept where who has the server cannot change it
    #[command(after_help = "Examples:
  palisade ledger checkpoint > monday.checkpoint
  palisade ledger checkpoint --json")]
    Checkpoint,
    /// Show which log the ledger is, how far it is signed, and what its witnesses say
    #[command(after_help = "Examples:\n  palisade ledger status\n  palisade ledger status --json")]
    Status,
    /// Print the keys that sign checkpoints, as verifiers take them
    #[command(after_help = "Examples:\n  palisade ledger key > ledger.key")]
    Key,
    /// Prove that an entry is in the ledger, in a file that verifies without a server
    #[command(after_help = "Examples:
  palisade ledger prove 17 --out entry-17.tlog-proof
  palisade ledger prove 17 --json")]
    Prove {
        /// The entry, counted from 1
        entry: u64,
        /// Write to this file instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show how many entries there are, and the root hash over them
    #[command(after_help = "Examples:\n  palisade ledger head --json")]
    Head,
    /// Write entries out, one JSON object a line
    #[command(after_help = "Examples:
  palisade ledger export --format ocsf > events.ndjson
  palisade ledger export --format native --after 5000 --out ledger.ndjson
  palisade ledger export --from 100 --to 250 --out evidence.ndjson

With --from or --to it is a bundle, which verifies without a server: palisade ledger verify --bundle FILE.")]
    Export(ExportArgs),
}

/// What to write where.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// OCSF, which SIEMs read; entries as they are; or a bundle that verifies without a server [default: ocsf, or
    /// bundle with --from or --to]
    #[arg(long, value_parser = ["ocsf", "native", "bundle"])]
    format: Option<String>,
    /// Only entries after this one
    #[arg(long, value_name = "ENTRY", conflicts_with_all = ["from", "to"])]
    after: Option<u64>,
    /// The first entry of a bundle
    #[arg(long, value_name = "ENTRY")]
    from: Option<u64>,
    /// The last entry of a bundle
    #[arg(long, value_name = "ENTRY")]
    to: Option<u64>,
    /// Leave out of a bundle what is about persons; it verifies all the same
    #[arg(long)]
    without_persons: bool,
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
            Self::Verify(args) => args.run(session),
            Self::Checkpoint => checkpoint(session),
            Self::Status => status(session),
            Self::Key => key(session),
            Self::Prove { entry, out } => prove(entry, out.as_deref(), session),
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

/// The ledger as a log.
pub(super) fn log(session: &Session) -> Result<Value, Failure> {
    session.get(path(&["ledger", "log"])).send()
}

/// The newest checkpoint, over all that there is now: one is made where the last does not cover it.
fn checkpoint(session: &Session) -> Result<(), Failure> {
    let head = session.get(path(&["ledger", "head"])).send()?;
    let entries = head.get("entries").and_then(Value::as_u64);
    let call = session.get(path(&["ledger", "consistency"]));
    let answer = call.query("from", entries).send()?;
    let found = &answer["checkpoint"];
    match session.output.is_json() {
        true => session.output.json(found),
        false => session.output.text(text(found, "note").trim_end()),
    }
}

fn status(session: &Session) -> Result<(), Failure> {
    let answer = log(session)?;
    if session.output.is_json() {
        return session.output.json(&answer);
    }
    session.output.record(
        &answer,
        &[
            column("origin", "/origin"),
            column("checkpoint over", "/checkpoint/entries"),
            column("signed at", "/checkpoint/signed_at"),
            column("withheld", "/withheld"),
            column("witnesses required", "/witnesses_required"),
        ],
    )?;
    let witnesses = json!({ "items": answer["witnesses"] });
    session.output.list(&witnesses, &WITNESSES)
}

fn key(session: &Session) -> Result<(), Failure> {
    let log = log(session)?;
    match session.output.is_json() {
        true => session
            .output
            .json(&json!({ "origin": log["origin"], "keys": log["keys"] })),
        false => {
            let keys = log["keys"].as_array().into_iter().flatten();
            let keys: Vec<&str> = keys.filter_map(Value::as_str).collect();
            session.output.text(&keys.join("\n"))
        }
    }
}

fn prove(entry: u64, out: Option<&Path>, session: &Session) -> Result<(), Failure> {
    let answer = session.get(path(&["ledger", "proofs", &entry.to_string()]));
    let answer = answer.send()?;
    let proof = text(&answer, "proof");
    let Some(file) = out else {
        return match session.output.is_json() {
            true => session.output.json(&answer),
            false => session.output.text(proof.trim_end()),
        };
    };
    std::fs::write(file, proof).context(file.display())?;
    let sentence = format!("The proof of entry {entry} is in {}.", file.display());
    session.output.done(&answer, &sentence)
}

fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn export(args: &ExportArgs, session: &Session) -> Result<(), Failure> {
    let ranged = args.from.is_some() || args.to.is_some();
    let format = match args.format.as_deref() {
        None | Some("bundle") if ranged => "bundle",
        None => "ocsf",
        Some(other) if ranged => {
            let why = format!("--from and --to are of a bundle, not of {other}: use --after");
            return Err(Failure::usage(why));
        }
        Some(format) => format,
    };
    let call = match format {
        "bundle" if args.after.is_some() => {
            return Err(Failure::usage("a bundle begins with --from, not --after"));
        }
        "bundle" => session
            .get(path(&["ledger", "bundle"]))
            .query("from", args.from)
            .query("to", args.to)
            .query("without_persons", args.without_persons.then_some(true)),
        format => session
            .get(path(&["ledger", "export"]))
            .query("format", Some(format))
            .query("after", args.after),
    };
    let answer = call.header("Accept", "application/x-ndjson").open()?;
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
