//! `palisade reader`: keys of readers, made and used here. No server sees a secret one.

use std::{
    fs::OpenOptions,
    io::{Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Subcommand;
use palisade_envelope::{Envelope, OpenError, ReaderKey};
use serde_json::{Value, json};

use crate::{
    failure::{Context, Failure},
    output::Output,
};

/// The largest file of keys, and the largest message, in bytes.
const MAX_FILE: u64 = 64 * 1024;
const MAX_MESSAGE: u64 = 256 * 1024 * 1024;

/// Readers: keys for messages that devices seal, and that the server cannot read.
#[derive(Debug, Subcommand)]
pub(crate) enum ReaderCommand {
    /// Make a key; devices seal for the public one that is printed
    #[command(after_help = "Examples:
  palisade reader key --out reader.key
  echo 21.5 | palisade-agent publish devices/cam-1/private/t --seal-for prk_...

Whoever loses the file can open nothing any more, and nobody can help.")]
    Key {
        /// Write the secret key to this file, which only its owner may read
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Show the public keys of a file
    #[command(after_help = "Examples:\n  palisade reader public --identity reader.key")]
    Public {
        /// The file with the secret keys
        #[arg(long, value_name = "FILE")]
        identity: PathBuf,
    },
    /// Open one sealed message, from standard input to standard output
    #[command(after_help = "Examples:
  palisade reader open --identity reader.key --topic devices/cam-1/private/t < message > opened")]
    Open {
        /// The file with the secret keys
        #[arg(long, value_name = "FILE")]
        identity: PathBuf,
        /// The topic that the message came on: it opens for no other
        #[arg(long, value_name = "TOPIC")]
        topic: String,
    },
}

impl ReaderCommand {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Key { out } => make(&out, output),
            Self::Public { identity } => {
                let keys = Identities::read(&identity)?.0;
                let keys: Vec<String> = keys.iter().map(|key| key.public().to_string()).collect();
                output.done(&json!({ "public": keys }), &keys.join("\n"))
            }
            Self::Open { identity, topic } => open(&identity, &topic),
        }
    }
}

fn make(out: &Path, output: &Output) -> Result<(), Failure> {
    let key = ReaderKey::generate().context("the key")?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(out).context(out.display())?;
    let head = format!("# palisade reader key; devices seal for {}\n", key.public());
    let written = file
        .write_all(head.as_bytes())
        .and_then(|()| file.write_all(key.to_text().as_bytes()))
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all());
    written.context(out.display())?;
    let value = json!({ "public": key.public().to_string(), "file": out });
    output.done(&value, &key.public().to_string())
}

fn open(identity: &Path, topic: &str) -> Result<(), Failure> {
    let identities = Identities::read(identity)?;
    let mut message = Vec::new();
    let read = std::io::stdin().take(MAX_MESSAGE).read_to_end(&mut message);
    read.context("standard input")?;
    let envelope = Envelope::parse(&message)
        .map_err(|error| Failure::new(format!("this is no sealed message: {error}")))?;
    let opened = identities.open(&envelope, topic)?;
    std::io::stdout()
        .write_all(&opened)
        .context("standard output")
}

/// The secret keys of a reader.
pub(crate) struct Identities(Vec<ReaderKey>);

impl Identities {
    /// Reads them from a file: a key a line, and comments behind `#`.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let file = std::fs::File::open(path).context(path.display())?;
        let mode = file.metadata().context(path.display())?.mode() & 0o777;
        if mode & 0o077 != 0 {
            let message = format!("the file of keys {} has mode {mode:03o}", path.display());
            return Err(Failure::new(message).next(format!("run `chmod 600 {}`", path.display())));
        }
        let mut text = String::new();
        file.take(MAX_FILE)
            .read_to_string(&mut text)
            .context(path.display())?;
        let mut keys = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = line.parse();
            keys.push(key.context(format_args!("{}, line {}", path.display(), at + 1))?);
        }
        match keys.is_empty() {
            true => Err(Failure::new(format!("{} holds no key", path.display()))
                .next("make one: palisade reader key --out FILE")),
            false => Ok(Self(keys)),
        }
    }

    fn open(
        &self,
        envelope: &Envelope<'_>,
        topic: &str,
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, OpenError> {
        let mut error = OpenError::NotForUs;
        for key in &self.0 {
            match envelope.open(key, topic) {
                Ok(message) => return Ok(message),
                Err(OpenError::Changed) => error = OpenError::Changed,
                Err(OpenError::NotForUs) => {}
            }
        }
        Err(error)
    }

    /// Opens a message as the server gives it, where it is a sealed one; one that does not open stays, and says why.
    pub(crate) fn open_item(&self, item: &mut Value) {
        let text = |name| item.get(name).and_then(Value::as_str);
        let sealed = text("payload_base64").and_then(|text| STANDARD.decode(text).ok());
        let (Some(sealed), Some(topic)) = (sealed, text("topic").map(str::to_owned)) else {
            return;
        };
        let Ok(envelope) = Envelope::parse(&sealed) else {
            return;
        };
        match self.open(&envelope, &topic) {
            Ok(message) => {
                item["opened"] = true.into();
                let Some(members) = item.as_object_mut() else {
                    return;
                };
                members.remove("payload_base64");
                let (name, value) = match std::str::from_utf8(&message) {
                    Ok(text) => ("payload", text.to_owned()),
                    Err(_) => ("payload_base64", STANDARD.encode(&message)),
                };
                members.insert(name.to_owned(), value.into());
            }
            Err(error) => {
                item["opened"] = false.into();
                item["why"] = error.to_string().into();
            }
        }
    }
}

/// Whether a message as the server gives it is sealed for its readers.
pub(crate) fn is_sealed(item: &Value) -> bool {
    let text = item.get("payload_base64").and_then(Value::as_str);
    let bytes = text.and_then(|text| STANDARD.decode(text).ok());
    bytes.is_some_and(|bytes| Envelope::parse(&bytes).is_ok())
}
