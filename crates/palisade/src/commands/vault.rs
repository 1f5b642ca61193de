//! `palisade vault`.

mod export;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::export::{Form, Part, export};
use super::reader::{Identities, is_sealed};
use crate::{
    client::{Act, Session, confirm, path},
    failure::Failure,
    output::{Column, column, spinner},
};

const COLUMNS: [Column; 5] = [
    column("NUMBER", "/number"),
    column("TIME", "/at"),
    column("TOPIC", "/topic"),
    column("QOS", "/qos"),
    column("PAYLOAD", "/shown"),
];
const STATUS: [Column; 7] = [
    column("failing", "/is_failing"),
    column("messages", "/messages"),
    column("log files", "/log_files"),
    column("sealed files", "/sealed_files"),
    column("sealed messages", "/sealed_messages"),
    column("sealed bytes", "/sealed_bytes"),
    column("oldest", "/oldest_at"),
];
const HOLDS: [Column; 7] = [
    column("HOLD", "/id"),
    column("DEVICE", "/device"),
    column("FROM", "/from"),
    column("UNTIL", "/until"),
    column("REASON", "/reason"),
    column("BY", "/created_by"),
    column("RELEASED", "/released_at"),
];
/// The most that the server gives at once.
const PART: usize = 1_000;
/// How much of a payload stands in a table, in characters.
const SHOWN: usize = 60;

/// What devices sent and is kept, sealed.
#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Show what the vault holds, and how it is
    #[command(after_help = "Examples:\n  palisade vault status\n  palisade vault status --json")]
    Status,
    /// Show messages of a device; the purpose is recorded
    #[command(after_help = "Examples:
  palisade vault read --device cam-1 --purpose 'case 01K0ZJ5D0G0000000000000000'
  palisade vault read --device cam-1 --from 2027-01-31T00:00:00Z --topic 'devices/+/telemetry/#' \\
    --purpose 'customer asked' --limit 500 --json
  palisade vault read --device cam-1 --purpose 'case 7' --identity reader.key")]
    Read {
        #[command(flatten)]
        what: WhatArgs,
        /// Show at most so many
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        /// Go on where an earlier answer ended (its `next`)
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
        /// Open what devices sealed for a reader, with the keys in this file (`palisade reader key`)
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
    },
    /// List what is held, whatever its retention says
    #[command(after_help = "Examples:\n  palisade vault holds\n  palisade vault holds --json")]
    Holds,
    /// Hold messages: they stay whatever their retention says, and cannot be erased
    #[command(after_help = "Examples:
  palisade vault hold --device cam-1 --reason 'proceedings 7/2027'
  palisade vault hold --from 2027-01-01T00:00:00Z --until 2027-02-01T00:00:00Z --reason 'audit'")]
    Hold {
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Messages of this device; of all where none is named
        #[arg(long)]
        device: Option<String>,
        /// Messages that came at this time or later
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Messages that came before this time
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
    },
    /// Release a hold
    #[command(after_help = "Examples:\n  palisade vault release 01K0ZJ5D0G0000000000000000")]
    Release {
        /// The hold's id
        id: String,
    },
    /// Get the key of one sealed file out, for somebody who must read it without this server
    #[command(after_help = "Examples:
  palisade vault key default/20849/01JZX3R5W8Q2M4N6P7T9V0A1BC.parquet --reason 'for the expert' --out key.json

Whoever has the key and the file reads all messages in it, of whichever device. A second person approves that.")]
    Key {
        /// The file, by its path below the folder of sealed files
        file: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Write the key to this file, which only its owner may read
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Give the vault new keys and destroy the old ones; no message is sealed anew
    #[command(
        after_help = "Examples:\n  palisade vault rotate-keys\n  palisade vault rotate-keys --json"
    )]
    RotateKeys,
    /// Erase all messages of a device, for good
    #[command(after_help = "Examples:
  palisade vault erase cam-1 --reason 'the owner asked for it'
  palisade vault erase cam-1 --reason 'the owner asked for it' --yes

The entry of this act in the ledger is the certificate of erasure (`palisade ledger list`).")]
    Erase {
        /// Which device
        device: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Do not ask whether you are sure
        #[arg(long, short)]
        yes: bool,
    },
    /// Write messages of a device out; the purpose is recorded
    #[command(after_help = "Examples:
  palisade vault export --device cam-1 --purpose 'case 01K0ZJ5D0G0000000000000000' --out cam-1.ndjson
  palisade vault export --device cam-1 --purpose 'data request' --format parquet --out cam-1.parquet
  palisade vault export --device cam-1 --purpose 'for the lab' --format csv --out cam-1.csv.age \\
    --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p")]
    Export {
        #[command(flatten)]
        what: WhatArgs,
        /// In which form
        #[arg(long, value_enum, default_value_t = Form::Ndjson)]
        format: Form,
        /// Seal the file for whoever holds the secret key of this one (age), before it leaves the server
        #[arg(long, value_name = "AGE1...")]
        recipient: Vec<String>,
        /// Write to this file, which only its owner may read, instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// Which messages, and for what.
#[derive(Debug, Args)]
pub(crate) struct WhatArgs {
    /// Of this device
    #[arg(long)]
    device: String,
    /// What you read them for
    #[arg(long, value_name = "TEXT")]
    purpose: String,
    /// At this time or later
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only those to topics that this filter matches
    #[arg(long, value_name = "FILTER")]
    topic: Option<String>,
}

impl WhatArgs {
    fn body(&self) -> Value {
        let mut body = json!({ "purpose": self.purpose });
        let given = [
            ("from", self.from.clone()),
            ("until", self.until.clone()),
            ("topics", self.topic.clone()),
        ];
        put(&mut body, &given);
        body
    }

    fn read(&self, session: &Session, limit: usize, after: Option<&str>) -> Result<Value, Failure> {
        let mut body = self.body();
        body["limit"] = limit.into();
        put(&mut body, &[("after", after.map(str::to_owned))]);
        let path = path(&["devices", &self.device, "telemetry"]);
        session.post(path).json(&body).send()
    }
}

impl Act for VaultCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Status => {
                let answer = session.get(path(&["telemetry"])).send()?;
                session.output.record(&answer, &STATUS)
            }
            Self::Read {
                what,
                limit,
                after,
                identity,
            } => read(&what, (limit, after), identity.as_deref(), session),
            Self::Holds => {
                let answer = session.get(path(&["telemetry", "holds"])).send()?;
                session.output.list(&answer, &HOLDS)
            }
            Self::Hold {
                reason,
                device,
                from,
                until,
            } => {
                let mut body = json!({ "reason": reason });
                put(
                    &mut body,
                    &[("device", device), ("from", from), ("until", until)],
                );
                let answer = session
                    .post(path(&["telemetry", "holds"]))
                    .json(&body)
                    .send()?;
                session.output.done(&answer, "The hold stands.")
            }
            Self::Release { id } => {
                let answer = session.delete(path(&["telemetry", "holds", &id])).send()?;
                session
                    .output
                    .done(&answer, &format!("Hold {id} is released."))
            }
            Self::Key { file, reason, out } => open_key(&file, &reason, &out, session),
            Self::RotateKeys => {
                let answer = session.post(path(&["telemetry", "rotate-keys"])).send()?;
                session.output.done(
                    &answer,
                    "The vault has new keys; the old ones are destroyed.",
                )
            }
            Self::Erase {
                device,
                reason,
                yes,
            } => erase(&device, &reason, yes, session),
            Self::Export {
                what,
                format,
                recipient,
                out,
            } => export(&what, (format, &recipient), out, session),
        }
    }
}

/// Puts what was given into a request.
fn put(body: &mut Value, given: &[(&str, Option<String>)]) {
    for (name, value) in given {
        if let Some(value) = value {
            body[*name] = value.as_str().into();
        }
    }
}

fn erase(device: &str, reason: &str, yes: bool, session: &Session) -> Result<(), Failure> {
    confirm(
        yes,
        &format!("Erase all messages of {device} from the vault? Nobody can undo that."),
    )?;
    let progress = spinner("erasing");
    let path = path(&["devices", device, "telemetry", "erase"]);
    let answer = session.post(path).json(&json!({ "reason": reason })).send();
    progress.finish_and_clear();
    let answer = answer?;
    let count = |name| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
    let sentence = format!(
        "{} messages of {device} are erased; {} sealed files and their keys are destroyed, {} retained messages cleared.",
        count("messages"),
        count("files"),
        count("retained")
    );
    let damaged = match count("damaged_files") {
        0 => String::new(),
        damaged => {
            format!(
                " {damaged} of the files were damaged and are gone as a whole (`palisade ledger list`)."
            )
        }
    };
    let mut left = match count("files_left") {
        0 => String::new(),
        files => {
            format!(" {files} files without keys are still to be taken away; that is tried again.")
        }
    };
    if answer.get("keys_left").and_then(Value::as_bool) == Some(true) {
        left.push_str(
            " Wrapped keys are still to be overwritten in the database; that is tried again.",
        );
    }
    session
        .output
        .done(&answer, &format!("{sentence}{damaged}{left}"))
}

fn open_key(file: &str, reason: &str, out: &Path, session: &Session) -> Result<(), Failure> {
    let body = json!({ "file": file, "reason": reason });
    let place = path(&["telemetry", "file-key"]);
    let answer = session.post(place).json(&body).send()?;
    let mut part = Part::create(out)?;
    part.write(answer.to_string().as_bytes())?;
    part.finish()?;
    let sentence = format!("The key of {file} is in {}.", out.display());
    session
        .output
        .done(&json!({ "file": file, "key": out }), &sentence)
}

fn read(
    what: &WhatArgs,
    (limit, mut after): (usize, Option<String>),
    identity: Option<&Path>,
    session: &Session,
) -> Result<(), Failure> {
    let identities = identity.map(Identities::read).transpose()?;
    let mut items = Vec::new();
    loop {
        let wanted = (limit - items.len()).min(PART);
        let answer = what.read(session, wanted, after.as_deref())?;
        let page = answer.get("items").and_then(Value::as_array);
        items.extend(page.cloned().unwrap_or_default());
        after = answer
            .get("next")
            .and_then(Value::as_str)
            .map(str::to_owned);
        if after.is_none() || items.len() >= limit {
            break;
        }
    }
    if let Some(identities) = &identities {
        items.iter_mut().for_each(|item| identities.open_item(item));
    }
    if !session.output.is_json() {
        items.iter_mut().for_each(show);
    }
    let is_withheld = |item: &&Value| item.get("withheld") == Some(&Value::Bool(true));
    let withheld = items.iter().filter(is_withheld).count();
    let answer = json!({ "items": items, "next": after, "withheld": withheld });
    session.output.list(&answer, &COLUMNS)
}

/// What of a message stands in a table.
fn show(item: &mut Value) {
    let text = |name| item.get(name).and_then(Value::as_str);
    let shown = match (text("payload"), text("payload_base64")) {
        (Some(payload), _) => payload.escape_debug().to_string(),
        (None, Some(_)) if is_sealed(item) => match text("why") {
            Some(why) => format!("(sealed: {why})"),
            None => "(sealed for its readers: --identity FILE)".to_owned(),
        },
        (None, Some(bytes)) => format!("(base64) {bytes}"),
        (None, None) => match item.get("withheld") == Some(&Value::Bool(true)) {
            true => "(withheld: your role does not show it)".to_owned(),
            false => String::new(),
        },
    };
    let cut: String = shown.chars().take(SHOWN).collect();
    let is_cut = cut.len() < shown.len();
    item["shown"] = match is_cut {
        true => format!("{cut}…").into(),
        false => cut.into(),
    };
}
