//! Messages as a file. The server makes it, and seals it where recipients are named; here it is only put down, and
//! stands under its name when it is whole.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde_json::json;

use super::WhatArgs;
use crate::{
    client::{Answer, Session, path},
    failure::{Context, Failure},
    output::spinner,
};

/// In which form messages are written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// A JSON object a line
    Ndjson,
    /// Comma-separated values with a head (RFC 4180); payloads in base64
    Csv,
    /// A stream of Arrow IPC
    Arrow,
    /// Parquet
    Parquet,
}

impl Form {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
        }
    }

    fn is_text(self) -> bool {
        matches!(self, Self::Ndjson | Self::Csv)
    }
}

pub(super) fn export(
    what: &WhatArgs,
    (form, recipients): (Form, &[String]),
    out: Option<PathBuf>,
    session: &Session,
) -> Result<(), Failure> {
    let is_text = form.is_text() && recipients.is_empty();
    if out.is_none() && !is_text && io::stdout().is_terminal() {
        return Err(Failure::new("what comes is no text for a terminal")
            .next("give --out FILE, or send it on with a pipe"));
    }
    let mut body = what.body();
    body["format"] = form.as_str().into();
    body["recipients"] = recipients.into();
    let place = path(&["devices", &what.device, "telemetry", "export"]);
    let answer = session.post(place).json(&body).open()?;
    let name = answer.headers().get("palisade-export");
    let name = name.and_then(|name| name.to_str().ok()).map(str::to_owned);
    let Some(target) = out else {
        return take(answer, &mut io::stdout().lock());
    };
    let mut part = Part::create(&target)?;
    take(answer, &mut part.file)?;
    part.finish()?;
    let told = name.and_then(|name| {
        let place = path(&["devices", &what.device, "telemetry", "exports", &name]);
        // A server that has stopped meanwhile knows no more of it; the file is whole all the same.
        session.get(place).send().ok()
    });
    let count = |name: &str| told.as_ref().and_then(|told| told.get(name)?.as_u64());
    let mut sentence = match count("messages") {
        Some(messages) => format!("{messages} messages are in {}.", target.display()),
        None => format!("The messages are in {}.", target.display()),
    };
    if let Some(withheld @ 1..) = count("withheld") {
        sentence.push_str(&format!(
            " The payload of {withheld} was withheld: your role does not let you read it."
        ));
    }
    let value = json!({
        "messages": count("messages"), "withheld": count("withheld"), "file": target,
    });
    session.output.done(&value, &sentence)
}

/// Takes the file as it comes. Where the answer breaks off, that is an error.
fn take(answer: Answer, out: &mut dyn Write) -> Result<(), Failure> {
    let progress = spinner("reading the vault");
    let mut reader = answer.into_body().into_reader();
    let (mut piece, mut bytes) = (vec![0; 64 * 1024], 0_u64);
    loop {
        let read = reader.read(&mut piece).map_err(|error| {
            Failure::new(format!("the export was broken off: {error}"))
                .next("what came is no whole file; the server's log says why, then try again")
        })?;
        if read == 0 {
            break;
        }
        out.write_all(&piece[..read]).context("the export")?;
        bytes += read as u64;
        progress.set_message(format!("{} KiB", bytes / 1024));
    }
    out.flush().context("the export")?;
    progress.finish_and_clear();
    Ok(())
}

/// A file that is not whole yet: it has a name of its own, and goes where it does not come to its end.
pub(super) struct Part<'a> {
    target: &'a Path,
    path: PathBuf,
    file: File,
    is_whole: bool,
}

impl<'a> Part<'a> {
    pub(super) fn create(target: &'a Path) -> Result<Self, Failure> {
        if target.metadata().is_ok_and(|found| !found.is_file()) {
            return Err(Failure::new(format!("{} is no file", target.display()))
                .next("name a file, or leave --out away and send standard output there"));
        }
        let mut path = target.as_os_str().to_owned();
        path.push(format!(".part-{}", std::process::id()));
        let path = PathBuf::from(path);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(&path).context(path.display())?;
        Ok(Self {
            target,
            path,
            file,
            is_whole: false,
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).context(self.path.display())
    }

    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.file.sync_all().context(self.path.display())?;
        std::fs::rename(&self.path, self.target).context(self.target.display())?;
        self.is_whole = true;
        Ok(())
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("cam-1.csv");
        std::fs::write(&target, "of yesterday").expect("writes");
        let mut part = Part::create(&target).expect("begins");
        part.file.write_all(b"half").expect("writes");
        drop(part);
        let left: Vec<_> = std::fs::read_dir(folder.path()).expect("lists").collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(std::fs::read(&target).expect("reads"), b"of yesterday");
        let mut part = Part::create(&target).expect("begins");
        part.file.write_all(b"whole").expect("writes");
        part.finish().expect("ends");
        assert_eq!(std::fs::read(&target).expect("reads"), b"whole");
    }
}
