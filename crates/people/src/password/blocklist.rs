//! Passwords that became known, imported from a file and kept as a filter of some 18 bits for each: small
//! enough for memory, and it never misses one. One password in 65,536 is refused that is not on the list.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use xorf::{BinaryFuse16, Filter};

/// The most lines: a filter is made from 8 bytes each.
const MAX_LINES: usize = 32_000_000;
const MAX_LINE: u64 = 1024;

/// Why a list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BlocklistError {
    /// The file cannot be read.
    #[error("the blocklist {path} cannot be read: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is too large.
    #[error("the blocklist {path} has more than {MAX_LINES} lines: keep the most frequent ones")]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// No filter can be made of it.
    #[error("no filter can be made of the blocklist: {0}")]
    Filter(&'static str),
}

/// A list of passwords that became known.
pub struct Blocklist {
    filter: BinaryFuse16,
    lines: usize,
}

impl std::fmt::Debug for Blocklist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocklist")
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

impl Blocklist {
    /// Reads a file with a password a line, plain or as SHA-1 in hexadecimal digits; of such a line what
    /// follows a colon is passed over.
    ///
    /// # Errors
    /// When the file cannot be read, or is too large.
    pub fn read(path: &Path) -> Result<Self, BlocklistError> {
        let failed = |source| BlocklistError::Io {
            path: path.to_owned(),
            source,
        };
        let mut reader = BufReader::new(File::open(path).map_err(failed)?);
        let (mut keys, mut line) = (Vec::new(), Vec::new());
        loop {
            line.clear();
            let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
            if read.map_err(failed)? == 0 {
                break;
            }
            if keys.len() >= MAX_LINES {
                let path = path.to_owned();
                return Err(BlocklistError::TooLarge { path });
            }
            keys.extend(key_of_line(&line));
        }
        Self::of(keys)
    }

    fn of(mut keys: Vec<u64>) -> Result<Self, BlocklistError> {
        keys.sort_unstable();
        keys.dedup();
        let filter = BinaryFuse16::try_from(&keys).map_err(BlocklistError::Filter)?;
        Ok(Self {
            filter,
            lines: keys.len(),
        })
    }

    /// How many passwords are on it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Whether a password is on it, written so or in small letters.
    pub(super) fn contains(&self, password: &str) -> bool {
        let holds = |text: &str| self.filter.contains(&key(text.as_bytes()));
        !self.is_empty() && (holds(password) || holds(&password.to_lowercase()))
    }
}

fn key_of_line(line: &[u8]) -> Option<u64> {
    let line = line.trim_ascii_end();
    let digits = line
        .get(..40)
        .filter(|_| matches!(line.get(40), None | Some(b':')));
    let hashed = digits
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .filter(|digits| digits.bytes().all(|one| one.is_ascii_hexdigit()))
        .and_then(|digits| u64::from_str_radix(&digits[..16], 16).ok());
    match hashed {
        Some(key) => Some(key),
        None => (!line.is_empty()).then(|| key(line)),
    }
}

/// The first half of SHA-1, which such lists are made of; it guards nothing here.
fn key(text: &[u8]) -> u64 {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, text);
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_ref()[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_plain_and_hashed_lines_knows_both_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("list");
        // SHA-1 of "Tr0ub4dor&3-horse".
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, b"Tr0ub4dor&3-horse");
        let hex: String = hash.as_ref().iter().map(|b| format!("{b:02X}")).collect();
        std::fs::write(&path, format!("purple-monkey-DISHWASHER\r\n{hex}:42\n\n")).expect("writes");
        let list = Blocklist::read(&path).expect("reads");
        assert_eq!(list.len(), 2);
        assert!(list.contains("purple-monkey-DISHWASHER"));
        assert!(list.contains("Tr0ub4dor&3-horse"));
        assert!(!list.contains("Tr0ub4dor&3-house"));
    }

    #[test]
    fn an_empty_list_refuses_nothing() {
        let list = Blocklist::of(Vec::new()).expect("makes");
        assert!(!list.contains("") && !list.contains("anything"));
    }
}
