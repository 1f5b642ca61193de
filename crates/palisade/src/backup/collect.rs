//! What belongs into a backup: a state of the installation that a power cut could have left as well.
//!
//! The order is what makes it one. Files of the vault's log are opened before the database is copied and again
//! after: what a sealed file took over meanwhile is still held open, and what came meanwhile is there. The keystore must
//! be the same before and after, or the database may need a key that the copy of the keystore has not. Sealed files
//! never change; one that the database counts on and that is gone was taken away meanwhile, and all is begun anew.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use palisade_backup::Name;
use palisade_core::{Clock, SystemClock};
use palisade_store::Store;

use crate::{
    config::Config,
    data::DataDir,
    failure::{Context, Failure},
};

/// How often an installation that changes too fast is tried.
const TRIES: usize = 5;
const LOG: &str = "vault/log";
/// What holds nothing.
const LOCKS: [&str; 2] = ["palisade.lock", "lock"];

/// What is backed up.
pub(super) struct Collected {
    /// The copy of the database.
    pub(super) database: PathBuf,
    /// Files as they are, by their name in the backup; those of the vault's log are held open.
    pub(super) files: Vec<(Name, Source)>,
    pub(super) made_at: String,
    pub(super) schema: u64,
    pub(super) ledger_entries: u64,
    pub(super) left_out: Vec<String>,
}

/// Where a file is read from.
pub(super) enum Source {
    /// From there.
    Path(PathBuf),
    /// It is open, and counts up to this length.
    Open(File, u64),
    /// It was read.
    Bytes(Vec<u8>),
}

/// The database as it was copied.
struct Copied {
    schema: u64,
    ledger_entries: u64,
    objects: Vec<String>,
    /// The last file of the log that is in sealed files, and the newest.
    log: (u64, u64),
}

/// Collects it; the copy of the database is made in `aside`.
pub(super) async fn collect(
    config: &Config,
    data: &DataDir,
    aside: &Path,
) -> Result<Collected, Failure> {
    for _ in 0..TRIES {
        if let Some(collected) = try_once(config, data, aside).await? {
            return Ok(collected);
        }
    }
    let why = "the installation changed all the time while it was copied";
    Err(Failure::new(why).next("try again when no keys are rotated and no vault is erased"))
}

async fn try_once(
    config: &Config,
    data: &DataDir,
    aside: &Path,
) -> Result<Option<Collected>, Failure> {
    let database = aside.join("palisade.db");
    let mut log = open_log(data)?;
    let keystore = std::fs::read(data.keystore()).context(data.keystore().display())?;
    let made_at = SystemClock.now().to_string();
    let copied = copy(data, aside, &database).await?;
    log.extend(open_log(data)?);
    let is_same = std::fs::read(data.keystore()).is_ok_and(|now| now == keystore);
    if !is_same || !has_all(&log, copied.log) {
        return Ok(None);
    }
    let mut files = vec![(name("keys.json")?, Source::Bytes(keystore))];
    for (file, open) in log {
        let bytes = open.metadata().context(&file)?.len();
        files.push((name(&format!("{LOG}/{file}"))?, Source::Open(open, bytes)));
    }
    let mut left_out = Vec::new();
    match objects(config, data, &copied.objects, &mut left_out)? {
        Some(objects) => files.extend(objects),
        None => return Ok(None),
    }
    files.extend(of_people(config, data, &mut left_out)?);
    left_out.extend(others(data, &files)?);
    Ok(Some(Collected {
        database,
        files,
        made_at,
        schema: copied.schema,
        ledger_entries: copied.ledger_entries,
        left_out,
    }))
}

async fn copy(data: &DataDir, aside: &Path, to: &Path) -> Result<Copied, Failure> {
    match std::fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).context(to.display());
        }
        _ => {}
    }
    let running = Store::open_to_inspect(data.path()).await?;
    let copied = running.copy_to(to).await.context("the database");
    running.close().await;
    copied?;
    let store = Store::open_to_inspect(aside).await?;
    let looked_at = look_at(&store).await;
    store.close().await;
    looked_at
}

async fn look_at(store: &Store) -> Result<Copied, Failure> {
    let found = store.inspect().await?;
    if let Some(fault) = found.faults.first() {
        let why = format!("the database is damaged: {fault}");
        return Err(Failure::new(why).next("run `palisade doctor --data DIR`"));
    }
    if found.schema != found.known {
        let why = format!(
            "the database has schema {}, and this program knows {}",
            found.schema, found.known
        );
        return Err(Failure::new(why).next("use the version of palisade that the server has"));
    }
    let head = store.journal().ledger_head().await?;
    let mark = store.vault().mark().await?;
    Ok(Copied {
        schema: found.schema,
        ledger_entries: head.map_or(0, |entry| entry.seq),
        objects: store.live_objects().await?,
        log: (mark.rolled, mark.file),
    })
}

/// The files of the vault's log, open.
fn open_log(data: &DataDir) -> Result<BTreeMap<String, File>, Failure> {
    let folder = data.path().join(LOG);
    let mut open = BTreeMap::new();
    for file in list(&folder)? {
        let name = file.to_string_lossy().into_owned();
        if LOCKS.contains(&name.as_str()) {
            continue;
        }
        let path = folder.join(&file);
        match File::open(&path) {
            Ok(file) => drop(open.insert(name, file)),
            // It was rolled into sealed files meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(path.display()),
        }
    }
    Ok(open)
}

/// Whether no file is missing between the last whose messages are in sealed files and the newest.
fn has_all(log: &BTreeMap<String, File>, (rolled, newest): (u64, u64)) -> bool {
    let number = |name: &String| name.strip_suffix(".wal")?.parse::<u64>().ok();
    let numbers: Vec<u64> = log.keys().filter_map(number).collect();
    let last = numbers.last().copied().unwrap_or(rolled).max(newest);
    (rolled + 1..=last).all(|wanted| numbers.contains(&wanted))
}

/// The sealed files in a folder of the data directory; nothing where one that counts is gone.
fn objects(
    config: &Config,
    data: &DataDir,
    live: &[String],
    left_out: &mut Vec<String>,
) -> Result<Option<Vec<(Name, Source)>>, Failure> {
    let vault = &config.vault;
    let folder = data.path().join(&vault.objects_dir);
    if let Some(url) = &vault.objects.url {
        left_out.push(format!(
            "{} sealed files of the vault, which stay in {url}",
            live.len()
        ));
        return Ok(Some(Vec::new()));
    }
    let Ok(within) = folder.strip_prefix(data.path()) else {
        left_out.push(format!(
            "{} sealed files of the vault, which stay in {}",
            live.len(),
            folder.display()
        ));
        return Ok(Some(Vec::new()));
    };
    let mut found = Vec::new();
    for path in live {
        let place = folder.join(path);
        if !place.try_exists().context(place.display())? {
            return Ok(None);
        }
        let within = within.join(path);
        found.push((name(&within.to_string_lossy())?, Source::Path(place)));
    }
    Ok(Some(found))
}

/// What people wrote: the configuration, roles, rules, playbooks; and the root's certificate.
fn of_people(
    config: &Config,
    data: &DataDir,
    left_out: &mut Vec<String>,
) -> Result<Vec<(Name, Source)>, Failure> {
    let mut found = Vec::new();
    for file in [data.config_file(), data.root_certificate()] {
        if file.try_exists().context(file.display())? {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            found.push((self::name(&name)?, Source::Path(file)));
        }
    }
    let rules = config.detect.rules_dir.as_deref();
    let playbooks = config.respond.playbooks_dir.as_deref();
    for folder in [Some(Path::new("roles")), rules, playbooks]
        .into_iter()
        .flatten()
    {
        let place = data.path().join(folder);
        let Ok(within) = place.strip_prefix(data.path()) else {
            left_out.push(format!(
                "{}, which is outside of the data directory",
                place.display()
            ));
            continue;
        };
        for file in list(&place)? {
            let path = place.join(&file);
            if path.is_file() {
                let within = within.join(&file);
                found.push((name(&within.to_string_lossy())?, Source::Path(path)));
            }
        }
    }
    Ok(found)
}

/// What else stands in the data directory: a secret, or nothing of ours.
fn others(data: &DataDir, files: &[(Name, Source)]) -> Result<Vec<String>, Failure> {
    let mut others = Vec::new();
    for file in list(data.path())? {
        let file = file.to_string_lossy().into_owned();
        let is_ours = LOCKS.contains(&file.as_str())
            || file.starts_with("palisade.db")
            || files.iter().any(|(name, _)| name.path().starts_with(&file));
        if !is_ours && file != "vault" {
            others.push(file);
        }
    }
    others.sort();
    Ok(others)
}

fn list(folder: &Path) -> Result<Vec<std::ffi::OsString>, Failure> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.context(folder.display())?,
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let names: io::Result<Vec<_>> = names.collect();
    names.context(folder.display())
}

fn name(text: &str) -> Result<Name, Failure> {
    Ok(text.parse::<Name>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_in_the_log_is_found() {
        let file = || File::open("/dev/null").expect("opens");
        let log = |numbers: &[u64]| -> BTreeMap<String, File> {
            let named = numbers
                .iter()
                .map(|number| (format!("{number:020}.wal"), file()));
            named
                .chain([("lock-of-others".to_owned(), file())])
                .collect()
        };
        for (numbers, mark, is_whole) in [
            (&[][..], (0, 0), true),
            (&[5], (4, 5), true),
            (&[3, 4, 5, 6], (4, 5), true),
            (&[6], (4, 5), false),
            (&[5, 7], (4, 5), false),
            (&[5], (4, 6), false),
            (&[], (4, 4), true),
            (&[], (4, 5), false),
        ] {
            assert_eq!(
                has_all(&log(numbers), mark),
                is_whole,
                "{numbers:?} {mark:?}"
            );
        }
    }
}
