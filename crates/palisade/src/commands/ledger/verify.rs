//! `palisade ledger verify`: what the server says of itself, and what is checked here whatever it says.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use clap::Args;
use palisade_tlog::{
    Believed, Checkpoint, Hash, Note, NoteKey, Receipt, Trust, check_bundle, check_consistency,
    parse_base64,
};
use serde_json::{Value, json};

use super::{super::read_text, log, text};
use crate::{
    client::{Session, path},
    failure::{Context, Exit, Failure},
    output::{Output, spinner},
};

/// What is checked, and against what.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Whether the ledger goes on from this checkpoint, which was kept elsewhere
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Check this bundle, without a server
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "checkpoint",
        requires = "key"
    )]
    bundle: Option<PathBuf>,
    /// Check this proof of an entry, without a server
    #[arg(long, value_name = "FILE", conflicts_with_all = ["checkpoint", "bundle"], requires = "key")]
    proof: Option<PathBuf>,
    /// A key of the log, as `palisade ledger key` prints it; may be repeated. Where there is none, the server is asked
    /// for its keys
    #[arg(long = "key", value_name = "KEY")]
    key: Vec<NoteKey>,
    /// A key of a witness that must have signed; may be repeated
    #[arg(long = "witness", value_name = "KEY", requires = "key")]
    witness: Vec<NoteKey>,
}

impl VerifyArgs {
    /// Whether no server is needed.
    pub(crate) fn is_offline(&self) -> bool {
        self.bundle.is_some() || self.proof.is_some()
    }

    /// Checks files alone.
    pub(crate) fn offline(&self, output: &Output) -> Result<(), Failure> {
        let trust = self.trust(self.key.clone());
        if let Some(file) = &self.bundle {
            let bundle = BufReader::new(File::open(file).context(file.display())?);
            let proved = check_bundle(bundle, &trust).map_err(|error| wrong(file, error))?;
            let (from, to) = (proved.from, proved.to);
            let said = under(&proved.believed);
            let answer = json!({ "from": from, "to": to, "checkpoint": facts(&proved.believed) });
            return output.done(
                &answer,
                &format!("Entries {from} to {to} are in the log {said}."),
            );
        }
        let Some(file) = &self.proof else {
            return Err(Failure::usage("nothing to check: --bundle or --proof"));
        };
        let receipt: Receipt = read_text(file)?
            .parse()
            .map_err(|error| wrong(file, error))?;
        let believed = receipt.check(&trust).map_err(|error| wrong(file, error))?;
        let seq = receipt.index + 1;
        let entry: Value = serde_json::from_slice(&receipt.entry).unwrap_or(Value::Null);
        let answer = json!({ "seq": seq, "entry": entry, "checkpoint": facts(&believed) });
        let sentence = format!("Entry {seq} is in the log {}:\n{entry}", under(&believed));
        output.done(&answer, &sentence)
    }

    /// Has the server read all of it again, and checks here that it goes on from what was kept.
    pub(crate) fn run(&self, session: &Session) -> Result<(), Failure> {
        let Some(file) = &self.checkpoint else {
            let answer = read_again(session, None)?;
            return good(session, &answer, "");
        };
        let kept = read_text(file)?;
        let note: Note = kept.parse().map_err(|error| wrong(file, error))?;
        let trust = match self.key.is_empty() {
            false => self.trust(self.key.clone()),
            true => self.trust(keys_of(session)?),
        };
        let kept = trust
            .open(&note)
            .map_err(|error| wrong(file, error))?
            .checkpoint;
        // First what the server cannot lie about.
        grew(session, &kept, &trust)?;
        let answer = read_again(session, Some(&note))?;
        let sentence = format!(
            " It goes on from the checkpoint over {} entries that was kept.",
            kept.size
        );
        good(session, &answer, &sentence)
    }

    fn trust(&self, keys: Vec<NoteKey>) -> Trust {
        Trust {
            keys,
            witnesses: self.witness.clone(),
            required: self.witness.len(),
        }
    }
}

/// Where a server is asked which keys it has, it can only be told from itself.
fn keys_of(session: &Session) -> Result<Vec<NoteKey>, Failure> {
    let log = log(session)?;
    let keys = log["keys"].as_array().into_iter().flatten();
    keys.filter_map(Value::as_str)
        .map(|key| key.parse().map_err(Failure::from))
        .collect()
}

/// Whether the tree of the server begins with that of a checkpoint.
fn grew(session: &Session, kept: &Checkpoint, trust: &Trust) -> Result<(), Failure> {
    let head = session.get(path(&["ledger", "head"])).send()?;
    let entries = head.get("entries").and_then(Value::as_u64).unwrap_or(0);
    if entries < kept.size {
        let why = format!(
            "the ledger has {entries} entries, and the checkpoint is over {}: its end was cut off, or it was rolled back",
            kept.size
        );
        return Err(tampered(why));
    }
    let call = session.get(path(&["ledger", "consistency"]));
    let answer = call.query("from", Some(kept.size)).send()?;
    let note: Note = text(&answer["checkpoint"], "note").parse()?;
    // Witnesses that signed what was kept may not have seen the newest yet.
    let trust = Trust {
        required: 0,
        ..trust.clone()
    };
    let newest = trust
        .open(&note)
        .map_err(|error| tampered(error.to_string()))?
        .checkpoint;
    let hashes = answer["hashes"].as_array().into_iter().flatten();
    let hashes: Option<Vec<Hash>> = hashes.map(|hash| parse_base64(hash.as_str()?)).collect();
    let (old, new) = ((kept.size, &kept.root), (newest.size, &newest.root));
    check_consistency(old, new, &hashes.unwrap_or_default()).map_err(|error| {
        let size = kept.size;
        tampered(format!(
            "entries 1 to {size} are not those that the checkpoint was signed for: one of them was rewritten, or this \
             is another copy of the log ({error})"
        ))
    })
}

fn read_again(session: &Session, kept: Option<&Note>) -> Result<Value, Failure> {
    let call = session.post(path(&["ledger", "verify"]));
    let call = match kept {
        Some(kept) => call.json(&json!({ "checkpoint": kept.to_string() })),
        None => call,
    };
    let progress = spinner("reading the ledger");
    let answer = call.send();
    progress.finish_and_clear();
    answer
}

fn good(session: &Session, answer: &Value, more: &str) -> Result<(), Failure> {
    let entries = answer.get("entries").and_then(Value::as_u64).unwrap_or(0);
    match answer.get("fault").filter(|fault| !fault.is_null()) {
        None => {
            let root = text(answer, "root");
            let sentence = format!("All {entries} entries are good; the root is {root}.{more}");
            session.output.done(answer, &sentence)
        }
        Some(fault) => {
            if session.output.is_json() {
                session.output.json(answer)?;
            }
            let fault = fault.as_str().unwrap_or_default();
            Err(tampered(fault.to_owned()))
        }
    }
}

fn tampered(why: String) -> Failure {
    let next = "keep this server and its data as evidence, and the checkpoint too";
    Failure::new(format!("the ledger was tampered with: {why}"))
        .exit(Exit::NotCompliant)
        .next(next)
}

fn wrong(file: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("{}: {why}", file.display())).exit(Exit::NotCompliant)
}

fn under(believed: &Believed) -> String {
    let Checkpoint { origin, size, .. } = &believed.checkpoint;
    let witnesses = match believed.witnesses.as_slice() {
        [] => String::new(),
        names => format!(", seen by {}", names.join(" and ")),
    };
    format!("{origin}, under its checkpoint over {size} entries{witnesses}")
}

fn facts(believed: &Believed) -> Value {
    json!({
        "origin": believed.checkpoint.origin,
        "entries": believed.checkpoint.size,
        "witnesses": believed.witnesses,
    })
}
