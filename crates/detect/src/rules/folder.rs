//! The folder of an operator's own rules.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::Read,
    path::{Path, PathBuf},
};

use super::{Origin, RuleError, RuleFile, sigma::MAX_FILE};

/// The most files in the folder.
const MAX_FILES: usize = 20_000;
/// The most bytes of all of them.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Reads all files of rules in a folder, in the order of their names.
///
/// # Errors
/// When the folder or a file cannot be read, or is too large.
pub fn read(folder: &Path) -> Result<Vec<RuleFile>, RuleError> {
    let mut files = Vec::new();
    let mut bytes = 0;
    for path in paths(folder)? {
        let name = path.display().to_string();
        let error = |reason: String| RuleError::new(&name, 1, reason);
        let file = std::fs::File::open(&path).map_err(|why| error(why.to_string()))?;
        let mut text = String::new();
        let most = MAX_FILE as u64 + 1;
        let read = file.take(most).read_to_string(&mut text);
        bytes += read.map_err(|why| error(format!("it cannot be read: {why}")))?;
        if bytes > MAX_BYTES {
            let reason = format!("the folder has more than {MAX_BYTES} bytes of rules");
            return Err(error(reason));
        }
        files.push(RuleFile::new(name.clone(), Origin::Own, text));
    }
    Ok(files)
}

/// What changes when a file of the folder does: names, sizes and times.
pub(super) fn fingerprint(folder: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in paths(folder).unwrap_or_default() {
        let found = std::fs::metadata(&path);
        let state = found.ok().map(|data| (data.len(), data.modified().ok()));
        (path, state).hash(&mut hasher);
    }
    hasher.finish()
}

/// The files of rules in a folder. Hidden ones are left out, and folders within it are not looked into.
fn paths(folder: &Path) -> Result<Vec<PathBuf>, RuleError> {
    let error = |why: std::io::Error| {
        let reason = format!("the folder of rules cannot be read: {why}");
        RuleError::new(folder.display().to_string(), 1, reason)
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let is_hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let ending = path.extension().and_then(|ending| ending.to_str());
        if is_hidden || !matches!(ending, Some("yaml" | "yml")) || !path.is_file() {
            continue;
        }
        if paths.len() >= MAX_FILES {
            let reason = format!("the folder has more than {MAX_FILES} files");
            return Err(RuleError::new(folder.display().to_string(), 1, reason));
        }
        paths.push(path);
    }
    paths.sort_unstable();
    Ok(paths)
}
