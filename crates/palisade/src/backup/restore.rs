//! Bringing an installation back.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use palisade_backup::{Identities, Manifest, Name};
use palisade_store::Store;

use super::file;
use crate::{
    data::DataDir,
    failure::{Context, Exit, Failure},
};

const DATABASE: &str = "palisade.db";
/// The one file that others may read.
const ROOT: &str = "root.pem";
/// What a new file system has.
const LOST_AND_FOUND: &str = "lost+found";

/// Brings a backup back into a data directory that has nothing yet. It is all there afterwards, or nothing.
pub(super) async fn restore(
    backup: &Path,
    identities: Option<&Identities>,
    data: &Path,
) -> Result<Manifest, Failure> {
    check_empty(data)?;
    let data = DataDir::create(data)?;
    let aside = tempfile::Builder::new()
        .prefix(".restoring-")
        .tempdir_in(data.path())
        .context(data.path().display())?;
    let manifest = file::read(backup, identities, |name, content| {
        unpack(aside.path(), name, content)
    })?;
    check(aside.path()).await?;
    // The database comes last: a directory without it is no installation, however this ends.
    let mut parts = names(aside.path())?;
    parts.sort_by_key(|part| part == Path::new(DATABASE));
    for part in parts {
        let (from, to) = (aside.path().join(&part), data.path().join(&part));
        std::fs::rename(&from, &to).context(to.display())?;
    }
    let synced = File::open(data.path()).and_then(|folder| folder.sync_all());
    synced.context(data.path().display())?;
    Ok(manifest)
}

fn check_empty(data: &Path) -> Result<(), Failure> {
    if !data.try_exists().context(data.display())? {
        return Ok(());
    }
    let found = names(data)?;
    let Some(name) = found.iter().find(|name| *name != Path::new(LOST_AND_FOUND)) else {
        return Ok(());
    };
    let why = format!(
        "{} is not empty: {} is in it, and nothing is written over",
        data.display(),
        name.display()
    );
    Err(Failure::usage(why).next("name a directory that is empty, or not there yet"))
}

fn names(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder).context(folder.display())?;
    let names = entries.map(|entry| entry.map(|entry| PathBuf::from(entry.file_name())));
    let names: io::Result<Vec<_>> = names.collect();
    names.context(folder.display())
}

fn unpack(folder: &Path, name: &Name, content: &mut dyn Read) -> io::Result<()> {
    let path = folder.join(name.path());
    if let Some(parent) = path.parent() {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(parent)?;
    }
    let mode = if name.as_str() == ROOT { 0o644 } else { 0o600 };
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&path)?;
    io::copy(content, &mut file)?;
    file.sync_all()
}

/// Refuses what this program could not start.
async fn check(folder: &Path) -> Result<(), Failure> {
    let database = folder.join(DATABASE);
    if !database.try_exists().context(database.display())? {
        return Err(Failure::new("the backup has no database").exit(Exit::NotCompliant));
    }
    let store = Store::open_to_inspect(folder).await?;
    let inspected = store.inspect().await;
    store.close().await;
    let found = inspected.context("the database in the backup")?;
    if let Some(fault) = found.faults.first() {
        let why = format!("the database in the backup is damaged: {fault}");
        return Err(Failure::new(why).exit(Exit::NotCompliant));
    }
    if found.schema > found.known {
        let why = format!(
            "the backup has schema {}, and this program knows {}",
            found.schema, found.known
        );
        return Err(
            Failure::new(why).next("use the version of palisade that made it, or a newer one")
        );
    }
    Ok(())
}
