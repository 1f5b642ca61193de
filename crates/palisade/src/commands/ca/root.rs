//! The root key's way out and back. Its passphrase never stands in an argument list.

use std::path::PathBuf;

use clap::Args;
use palisade_keys::Secret;
use serde_json::{Value, json};

use super::super::read_text;
use crate::{
    client::{Session, confirm, new_passphrase, passphrase, path},
    data::write_whole,
    failure::{Context, Failure},
};

/// Where the root key goes.
#[derive(Debug, Args)]
pub(crate) struct ExportRootArgs {
    /// Write it to this file, for you alone
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Read the passphrase from this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Where the root key comes from.
#[derive(Debug, Args)]
pub(crate) struct RootFileArgs {
    /// The file that `palisade ca export-root` wrote
    file: PathBuf,
    /// Read the passphrase from this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Do not ask whether you are sure
    #[arg(long, short)]
    yes: bool,
}

impl ExportRootArgs {
    pub(super) fn export(self, session: &Session) -> Result<(), Failure> {
        let passphrase = new_passphrase(self.passphrase_file.as_deref())?;
        let body = json!({ "passphrase": text(&passphrase)? });
        let answer = session
            .post(path(&["ca", "root", "export"]))
            .json(&body)
            .send()?;
        let exported = answer
            .get("exported")
            .and_then(Value::as_str)
            .ok_or_else(|| Failure::new("the server did not send the root key"))?;
        write_whole(&self.out, exported.as_bytes(), 0o600).context(self.out.display())?;
        let sentence = format!(
            "Wrote {}. Keep it and its passphrase apart and offline; then run `palisade ca detach-root {}`.",
            self.out.display(),
            self.out.display()
        );
        session.output.done(&json!({ "file": self.out }), &sentence)
    }
}

impl RootFileArgs {
    pub(super) fn detach(self, session: &Session) -> Result<(), Failure> {
        let question = "The root key will be removed from the server. Go on?";
        confirm(self.yes, question)?;
        self.send(
            "detach",
            "The root key is no longer on the server.",
            session,
        )
    }

    pub(super) fn import(self, session: &Session) -> Result<(), Failure> {
        self.send("import", "The root key is on the server again.", session)
    }

    fn send(&self, verb: &str, sentence: &str, session: &Session) -> Result<(), Failure> {
        let exported = read_text(&self.file)?;
        let passphrase = passphrase(self.passphrase_file.as_deref())?;
        let body = json!({ "exported": exported, "passphrase": text(&passphrase)? });
        let answer = session
            .post(path(&["ca", "root", verb]))
            .json(&body)
            .send()?;
        session.output.done(&answer, sentence)
    }
}

fn text(passphrase: &Secret) -> Result<&str, Failure> {
    std::str::from_utf8(passphrase.expose())
        .map_err(|_| Failure::usage("the passphrase is not text in UTF-8"))
}
