//! Making a backup.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use indicatif::ProgressBar;
use palisade_backup::{About, Manifest, Name, Summed, WriteError, Writer, seal, sum};

use super::{
    collect::{Collected, Source, collect},
    file,
};
use crate::{
    config::Config,
    data::DataDir,
    failure::{Context, Failure},
    output::{bar, spinner},
};

/// Makes a backup in a file that is not there yet, and reads it back.
pub(super) async fn create(
    config: &Config,
    data: &Path,
    out: &Path,
    recipient: Option<&str>,
) -> Result<Manifest, Failure> {
    refuse_elsewhere(config)?;
    let data = existing(data)?;
    let folder = folder_of(out, &data)?;
    // The backup until it is whole; and the copy of the database, which nobody sealed yet: where the database is.
    let aside = beside(&folder)?;
    let copy = beside(data.path())?;
    let waiting = spinner("copying the database");
    let collected = collect(config, &data, copy.path()).await;
    waiting.finish_and_clear();
    let part = aside.path().join("backup");
    let manifest = write(collected?, &part, recipient)?;
    // Not every file system knows second names; where it does, nothing is written over that came meanwhile.
    match std::fs::hard_link(&part, out) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => std::fs::rename(&part, out),
        other => other,
    }
    .context(out.display())?;
    let folder = File::open(&folder).and_then(|folder| folder.sync_all());
    folder.context(out.display())?;
    Ok(manifest)
}

/// Refuses an installation whose records are not in the data directory: a file that was left there would be taken for them.
fn refuse_elsewhere(config: &Config) -> Result<(), Failure> {
    match config.database.url.as_deref() {
        None | Some("") => Ok(()),
        Some(_) => {
            let why =
                "the records of this installation are in PostgreSQL, and this backs up SQLite";
            Err(Failure::usage(why).next(
                "copy the data directory first, then back the database up with pg_dump: docs/postgres.md",
            ))
        }
    }
}

fn beside(folder: &Path) -> Result<tempfile::TempDir, Failure> {
    tempfile::Builder::new()
        .prefix(".palisade-backup-")
        .tempdir_in(folder)
        .context(folder.display())
}

/// The data directory, which has an installation.
fn existing(data: &Path) -> Result<DataDir, Failure> {
    let found = DataDir::at(&data.canonicalize().context(data.display())?);
    let database = found.database();
    if !database.try_exists().context(database.display())? {
        let why = format!(
            "{} is no data directory: it has no database",
            data.display()
        );
        return Err(Failure::usage(why));
    }
    Ok(found)
}

/// The folder that the backup is to stand in.
fn folder_of(out: &Path, data: &DataDir) -> Result<PathBuf, Failure> {
    if out.symlink_metadata().is_ok() {
        return Err(Failure::usage(format!(
            "{} is there already, and no backup is written over",
            out.display()
        )));
    }
    let folder = match out.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let folder = folder.canonicalize().context(folder.display())?;
    if folder.starts_with(data.path()) {
        let why = "a backup within the data directory goes with it";
        return Err(Failure::usage(why).next("name a file elsewhere, best on another disk"));
    }
    Ok(folder)
}

fn write(collected: Collected, part: &Path, recipient: Option<&str>) -> Result<Manifest, Failure> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(part);
    let file = file.context(part.display())?;
    let sink = Summed::new(BufWriter::new(file));
    let (sink, manifest) = match recipient {
        None => fill(collected, sink)?,
        Some(recipient) => {
            let sealed = seal(recipient, sink).context("the recipient")?;
            let (sealed, manifest) = fill(collected, sealed)?;
            (sealed.finish().map_err(WriteError::Write)?, manifest)
        }
    };
    let (written, sum_written) = sink.finish();
    let file = written
        .into_inner()
        .map_err(|error| WriteError::Write(error.into_error()))?;
    file.sync_all().context(part.display())?;
    match recipient {
        None => {
            file::read(part, None, |_, _| Ok(()))?;
        }
        // It cannot be opened here, which is what it is sealed for.
        Some(_) if read_back(part)? != sum_written => {
            return Err(Failure::new(
                "the disk does not give back what was written to it",
            ));
        }
        Some(_) => {}
    }
    Ok(manifest)
}

fn read_back(part: &Path) -> Result<String, Failure> {
    let file = File::open(part).context(part.display())?;
    sum(BufReader::new(file)).context(part.display())
}

/// Writes all of it.
fn fill<W: Write>(collected: Collected, sink: W) -> Result<(W, Manifest), Failure> {
    let mut files = vec![(
        "palisade.db".parse::<Name>()?,
        Source::Path(collected.database),
    )];
    files.extend(collected.files);
    let bar = bar("writing", total(&files));
    let mut writer = Writer::new(sink);
    for (name, source) in files {
        add(&mut writer, &name, source, &bar)?;
    }
    bar.finish_and_clear();
    let about = About {
        made_at: collected.made_at,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        schema: collected.schema,
        ledger_entries: collected.ledger_entries,
        left_out: collected.left_out,
    };
    Ok(writer.finish(about)?)
}

fn total(files: &[(Name, Source)]) -> u64 {
    let lengths = files.iter().map(|(_, source)| match source {
        Source::Path(path) => path.metadata().map_or(0, |found| found.len()),
        Source::Open(_, bytes) => *bytes,
        Source::Bytes(bytes) => bytes.len() as u64,
    });
    lengths.sum()
}

fn add<W: Write>(
    writer: &mut Writer<W>,
    name: &Name,
    source: Source,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let mut progress = |bytes| bar.inc(bytes);
    match source {
        Source::Bytes(bytes) => {
            writer.add(name, bytes.len() as u64, &bytes[..], &mut progress)?;
        }
        Source::Open(file, bytes) => {
            writer.add(name, bytes, BufReader::new(file), &mut progress)?;
        }
        Source::Path(path) => {
            let gone = "it was there a moment ago; if retention or an erasure took it away, make the backup again";
            let file = File::open(&path)
                .context(path.display())
                .map_err(|failure| failure.next(gone))?;
            let bytes = file.metadata().context(path.display())?.len();
            writer.add(name, bytes, BufReader::new(file), &mut progress)?;
        }
    }
    Ok(())
}
