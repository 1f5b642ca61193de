//! The folder of an operator's own playbooks.

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::{PlaybookProblem, parse::MAX_TEXT};

/// The most playbooks of a folder.
const MAX_FILES: usize = 200;

/// What changes when a file of the folder does: names, sizes and times.
pub(super) type Seen = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// A file of a playbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlaybookFile {
    /// Its name, for people.
    pub(super) name: String,
    /// What is in it.
    pub(super) text: String,
}

/// The playbooks of a folder by name, with what tells whether they changed.
pub(super) fn look(folder: &Path) -> Result<Seen, PlaybookProblem> {
    let unreadable = |error: std::io::Error| failed(folder, error.to_string());
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_playbook = path
            .extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml");
        if !is_playbook {
            continue;
        }
        let about = std::fs::metadata(&path).map_err(|error| failed(&path, error.to_string()))?;
        if about.len() > MAX_TEXT as u64 {
            let why = format!("a playbook has at most {MAX_TEXT} bytes");
            return Err(failed(&path, why));
        }
        seen.push((path, about.len(), about.modified().ok()));
        if seen.len() > MAX_FILES {
            let why = format!("at most {MAX_FILES} playbooks are read");
            return Err(failed(folder, why));
        }
    }
    seen.sort();
    Ok(seen)
}

/// Reads what was seen.
pub(super) fn read(seen: &Seen) -> Result<Vec<PlaybookFile>, PlaybookProblem> {
    let mut files = Vec::new();
    for (path, _, _) in seen {
        let unreadable =
            |error: std::io::Error| failed(path, format!("it cannot be read: {error}"));
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut text = String::new();
        // It may have grown since it was seen.
        let most = MAX_TEXT as u64 + 1;
        file.take(most)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        files.push(PlaybookFile {
            name: path.display().to_string(),
            text,
        });
    }
    Ok(files)
}

fn failed(path: &Path, why: String) -> PlaybookProblem {
    PlaybookProblem::new(None, why).in_file(&path.display().to_string())
}
