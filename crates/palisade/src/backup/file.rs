//! The file of a backup, sealed or not.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek},
    path::Path,
};

use palisade_backup::{Identities, Manifest, Name, ReadError, is_sealed, open};

use crate::{
    failure::{Context, Exit, Failure},
    output::bar,
};

/// Reads a backup to its end, and hands over its files.
pub(super) fn read(
    path: &Path,
    identities: Option<&Identities>,
    take: impl FnMut(&Name, &mut dyn Read) -> io::Result<()>,
) -> Result<Manifest, Failure> {
    let mut file = File::open(path).context(path.display())?;
    let mut beginning = [0; 32];
    let begun = file.read(&mut beginning).context(path.display())?;
    file.rewind().context(path.display())?;
    let bar = bar("reading", file.metadata().context(path.display())?.len());
    let source = bar.wrap_read(BufReader::new(file));
    let found = match (is_sealed(&beginning[..begun]), identities) {
        (false, _) => palisade_backup::read(source, take),
        (true, Some(identities)) => {
            palisade_backup::read(open(source, identities).context(path.display())?, take)
        }
        (true, None) => {
            let next =
                "give the file with the secret key of age that it is sealed for: --identity FILE";
            return Err(Failure::usage(format!("{} is sealed", path.display())).next(next));
        }
    };
    bar.finish_and_clear();
    found.map_err(|error| {
        let exit = match error {
            ReadError::Take { .. } => Exit::Failure,
            _ => Exit::NotCompliant,
        };
        Failure::new(format!("{}: {error}", path.display())).exit(exit)
    })
}
