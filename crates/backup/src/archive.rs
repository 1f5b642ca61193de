//! The file, written and read in one pass.

use std::{
    collections::HashSet,
    io::{self, Read, Write},
};

use aws_lc_rs::digest::{Context, SHA256};
use palisade_core::hex;
use tar::{Archive, Builder, EntryType, Header};

use crate::{About, Entry, FORMAT, Manifest, Name, NameError};

/// The name of the manifest.
const MANIFEST: &str = "MANIFEST.json";
/// The longest manifest that is read.
const MAX_MANIFEST: u64 = 64 * 1024 * 1024;
const CHUNK: usize = 64 * 1024;

/// Why a backup cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// What is written cannot be.
    #[error("the backup cannot be written: {0}")]
    Write(#[source] io::Error),
    /// A file cannot be read to its end.
    #[error("{name} cannot be read: {source}")]
    Read {
        /// Which.
        name: Name,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A name that does not fit.
    #[error("{0} has a name that is too long for a backup")]
    Long(Name),
}

/// Why a backup cannot be read, or is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is cut, or no backup at all.
    #[error("this is no whole backup: {0}")]
    Io(#[from] io::Error),
    /// A name that leads elsewhere.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Something else than a plain file.
    #[error("{0:?} is no plain file: a backup has nothing else")]
    Kind(String),
    /// The same name again.
    #[error("{0} is in it twice")]
    Twice(Name),
    /// There is no manifest at its end.
    #[error("it has no manifest: it was cut, or is no backup of Palisade")]
    NoManifest,
    /// The manifest cannot be read.
    #[error("its manifest cannot be read: {0}")]
    Manifest(String),
    /// The manifest is of a form that is not known here.
    #[error("it has the form {0:?}, and {FORMAT:?} is read: use another version of palisade")]
    Format(String),
    /// A file is not as the manifest says.
    #[error("{name} is not what was backed up: {why}")]
    Differs {
        /// Which.
        name: Name,
        /// How.
        why: &'static str,
    },
    /// Whoever takes the files failed.
    #[error("{name} cannot be written: {source}")]
    Take {
        /// Which.
        name: Name,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Writes a backup.
pub struct Writer<W: Write> {
    tar: Builder<W>,
    files: Vec<Entry>,
}

impl<W: Write> Writer<W> {
    /// An empty one.
    pub fn new(sink: W) -> Self {
        Self {
            tar: Builder::new(sink),
            files: Vec::new(),
        }
    }

    /// Adds a file: `bytes` of it, and not what it grew by since. `progress` hears of the bytes that are through.
    ///
    /// # Errors
    /// When it is shorter, cannot be read, or the backup cannot be written.
    pub fn add(
        &mut self,
        name: &Name,
        bytes: u64,
        content: impl Read,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), WriteError> {
        let header = header(name, bytes)?;
        let mut counted = Counted {
            inner: content.take(bytes),
            hash: Context::new(&SHA256),
            read: 0,
            failed: false,
            progress,
        };
        let written = self.tar.append(&header, &mut counted);
        if let Err(source) = written {
            let name = name.clone();
            return Err(match counted.failed {
                true => WriteError::Read { name, source },
                false => WriteError::Write(source),
            });
        }
        if counted.read != bytes {
            return Err(WriteError::Read {
                name: name.clone(),
                source: io::ErrorKind::UnexpectedEof.into(),
            });
        }
        self.files.push(Entry {
            name: name.clone(),
            bytes,
            sha256: hex(counted.hash.finish().as_ref()),
        });
        Ok(())
    }

    /// Writes the manifest, and gives back what was written to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self, about: About) -> Result<(W, Manifest), WriteError> {
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            about,
            files: self.files,
        };
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| WriteError::Write(error.into()))?;
        let mut header = plain(text.len() as u64);
        header.set_path(MANIFEST).map_err(WriteError::Write)?;
        header.set_cksum();
        self.tar
            .append(&header, &text[..])
            .map_err(WriteError::Write)?;
        let sink = self.tar.into_inner().map_err(WriteError::Write)?;
        Ok((sink, manifest))
    }
}

/// Reads a backup to its end, hands each file over as it comes, and says at the end whether all that was handed over is
/// what was backed up. Until then it is not to be believed.
///
/// # Errors
/// When it is cut, damaged, or holds what no backup holds; or `take` fails.
pub fn read(
    source: impl Read,
    mut take: impl FnMut(&Name, &mut dyn Read) -> io::Result<()>,
) -> Result<Manifest, ReadError> {
    let mut archive = Archive::new(source);
    let (mut found, mut names) = (Vec::new(), HashSet::new());
    let mut manifest = None;
    // Raw: what other programs add to the form of tar (long names, sparse files) is not read, but refused.
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type() != EntryType::Regular || manifest.is_some() {
            return Err(ReadError::Kind(path.chars().take(80).collect()));
        }
        if path == MANIFEST {
            manifest = Some(read_manifest(&mut entry)?);
            continue;
        }
        let name: Name = path.parse()?;
        if !names.insert(name.clone()) {
            return Err(ReadError::Twice(name));
        }
        found.push(read_file(&mut entry, name, &mut take)?);
    }
    let manifest = manifest.ok_or(ReadError::NoManifest)?;
    compare(&manifest, &found)?;
    Ok(manifest)
}

fn read_file(
    entry: &mut impl Read,
    name: Name,
    take: &mut impl FnMut(&Name, &mut dyn Read) -> io::Result<()>,
) -> Result<Entry, ReadError> {
    let mut counted = Counted {
        inner: entry,
        hash: Context::new(&SHA256),
        read: 0,
        failed: false,
        progress: &mut |_| {},
    };
    let taken = take(&name, &mut counted);
    // Whoever takes a file may not want all of it.
    let rest = io::copy(&mut counted, &mut io::sink());
    match (taken, rest) {
        (_, Err(source)) => Err(source.into()),
        (Err(source), _) if counted.failed => Err(source.into()),
        (Err(source), _) => Err(ReadError::Take { name, source }),
        _ => Ok(Entry {
            name,
            bytes: counted.read,
            sha256: hex(counted.hash.finish().as_ref()),
        }),
    }
}

fn read_manifest(entry: &mut impl Read) -> Result<Manifest, ReadError> {
    let mut text = Vec::new();
    entry.take(MAX_MANIFEST).read_to_end(&mut text)?;
    let unreadable = |error: serde_json::Error| ReadError::Manifest(error.to_string());
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(unreadable)?;
    match value["format"].as_str() {
        Some(FORMAT) => serde_json::from_value(value).map_err(unreadable),
        other => Err(ReadError::Format(
            other.unwrap_or_default().chars().take(40).collect(),
        )),
    }
}

fn compare(manifest: &Manifest, found: &[Entry]) -> Result<(), ReadError> {
    for (said, found) in manifest.files.iter().zip(found) {
        let why = match () {
            () if said.name != found.name => "another file stands in its place",
            () if said.bytes != found.bytes => "its length differs",
            () if said.sha256 != found.sha256 => "its checksum differs",
            () => continue,
        };
        return Err(ReadError::Differs {
            name: said.name.clone(),
            why,
        });
    }
    let (missing, added) = (
        manifest.files.get(found.len()),
        found.get(manifest.files.len()),
    );
    let (entry, why) = match (missing, added) {
        (Some(missing), _) => (missing, "it is missing"),
        (_, Some(added)) => (added, "the manifest does not know it"),
        _ => return Ok(()),
    };
    Err(ReadError::Differs {
        name: entry.name.clone(),
        why,
    })
}

fn header(name: &Name, bytes: u64) -> Result<Header, WriteError> {
    let mut header = plain(bytes);
    header
        .set_path(name.path())
        .map_err(|_| WriteError::Long(name.clone()))?;
    header.set_cksum();
    Ok(header)
}

/// A plain file of whoever unpacks it, for nobody else.
fn plain(bytes: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o600);
    header.set_size(bytes);
    header
}

/// Counts what is read, and its checksum.
struct Counted<'a, R> {
    inner: R,
    hash: Context,
    read: u64,
    failed: bool,
    progress: &'a mut dyn FnMut(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(CHUNK);
        let read = self.inner.read(&mut buffer[..room]);
        let read = read.inspect_err(|_| self.failed = true)?;
        self.hash.update(&buffer[..read]);
        self.read += read as u64;
        (self.progress)(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
