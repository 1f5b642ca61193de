//! A file, one JSON object a line. A batch is on the disk when it was taken; a file that is full steps back
//! to `.1`, and those before it by one.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::{SinkError, Taken};
use crate::{plan::FileTarget, record::Record};

/// A line that a crash cut off is looked for in so many bytes at a time.
const LOOK_BACK: u64 = 64 * 1024;

#[derive(Debug)]
pub(crate) struct FileSink {
    target: FileTarget,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
    /// Device and inode: whether the path still names this file.
    identity: (u64, u64),
}

impl FileSink {
    pub(super) fn new(target: FileTarget) -> Self {
        Self { target, open: None }
    }

    pub(super) fn reset(&mut self) {
        self.open = None;
    }

    pub(super) async fn send(&mut self, records: &[Record]) -> Result<Taken, SinkError> {
        let mut lines = Vec::with_capacity(records.iter().map(|one| one.json.len() + 1).sum());
        for record in records {
            lines.extend_from_slice(record.json.as_bytes());
            lines.push(b'\n');
        }
        let (target, open) = (self.target.clone(), self.open.take());
        let path = target.path.clone();
        let write = tokio::task::spawn_blocking(move || append(&target, open, &lines));
        let failed = |source| SinkError::File {
            what: format!("cannot write {}", path.display()),
            source,
        };
        let open = write
            .await
            .map_err(|error| failed(io::Error::other(error)))?;
        self.open = Some(open.map_err(failed)?);
        Ok(Taken::default())
    }
}

fn append(target: &FileTarget, open: Option<Open>, lines: &[u8]) -> io::Result<Open> {
    let mut open = match open {
        Some(open) if names(&target.path, open.identity) => open,
        _ => open_at(&target.path)?,
    };
    if open.size > 0 && open.size + lines.len() as u64 > target.max_bytes {
        drop(open);
        step_back(target)?;
        open = open_at(&target.path)?;
    }
    let written = open
        .file
        .write_all(lines)
        .and_then(|()| open.file.sync_data());
    if let Err(error) = written {
        // Half a batch would be repeated in the middle of a line.
        let _ = open.file.set_len(open.size);
        return Err(error);
    }
    open.size += lines.len() as u64;
    Ok(open)
}

fn names(path: &Path, identity: (u64, u64)) -> bool {
    std::fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == identity)
}

fn open_at(path: &Path) -> io::Result<Open> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    let mut file = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    file.set_permissions(Permissions::from_mode(0o600))?;
    let size = whole_lines(&mut file, metadata.len())?;
    if size < metadata.len() {
        file.set_len(size)?;
    }
    sync_directory(path)?;
    Ok(Open {
        file,
        size,
        identity: (metadata.dev(), metadata.ino()),
    })
}

/// Where the last whole line ends: what follows was cut off by a crash and is written again.
fn whole_lines(file: &mut File, size: u64) -> io::Result<u64> {
    let mut end = size;
    while end > 0 {
        let from = end.saturating_sub(LOOK_BACK);
        let mut bytes = vec![0; usize::try_from(end - from).unwrap_or(0)];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut bytes)?;
        if let Some(at) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(from + at as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

fn step_back(target: &FileTarget) -> io::Result<()> {
    let numbered = |number: u32| {
        let mut name = target.path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    for number in (1..target.keep_files).rev() {
        rename(&numbered(number), &numbered(number + 1))?;
    }
    rename(&target.path, &numbered(1))?;
    sync_directory(&target.path)
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// A name is on the disk when its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use palisade_core::{EventId, Severity, Timestamp};

    use super::*;

    fn record(text: &str) -> Record {
        Record {
            id: EventId::generate(),
            time: Timestamp::UNIX_EPOCH,
            severity: Severity::Low,
            kind: "refused",
            json: text.to_owned(),
        }
    }

    fn sink(directory: &Path, max_bytes: u64) -> FileSink {
        FileSink::new(FileTarget {
            path: directory.join("events"),
            max_bytes,
            keep_files: 2,
        })
    }

    fn read(directory: &Path, name: &str) -> String {
        std::fs::read_to_string(directory.join(name)).expect("reads")
    }

    #[tokio::test]
    async fn a_full_file_steps_back_and_the_oldest_goes() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut sink = sink(directory.path(), 10);
        for text in ["1111111", "2222222", "3333333", "4444444"] {
            sink.send(&[record(text)]).await.expect("writes");
        }
        assert_eq!(read(directory.path(), "events"), "4444444\n");
        assert_eq!(read(directory.path(), "events.1"), "3333333\n");
        assert_eq!(read(directory.path(), "events.2"), "2222222\n");
        assert!(!directory.path().join("events.3").exists());
        let mode = std::fs::metadata(directory.path().join("events.1"));
        assert_eq!(mode.expect("there").mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn half_a_line_of_a_crash_is_cut_off_and_a_file_moved_away_is_begun_anew() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("events");
        std::fs::write(&path, "whole\nhal").expect("writes");
        let mut sink = sink(directory.path(), 1_000);
        sink.send(&[record("next")]).await.expect("writes");
        assert_eq!(read(directory.path(), "events"), "whole\nnext\n");
        std::fs::rename(&path, directory.path().join("away")).expect("moves");
        sink.send(&[record("new")]).await.expect("writes");
        assert_eq!(read(directory.path(), "events"), "new\n");
    }
}
