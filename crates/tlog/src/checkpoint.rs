//! Checkpoints (C2SP tlog-checkpoint): which tree a log had.

use crate::hash::{Hash, base64, parse_base64};

/// Why a text is no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// A line is missing or empty.
    #[error(
        "a checkpoint has three lines or more: an origin, a size and a root hash; this has not"
    )]
    Lines,
    /// The size is no number.
    #[error("the second line of a checkpoint is the number of entries, without zeros before it")]
    Size,
    /// The root is no hash.
    #[error("the third line of a checkpoint is a hash of 32 bytes in base 64")]
    Root,
}

/// Which tree a log had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, base64(&self.root))
    }

    /// Reads a text that was signed. What may follow the three lines says nothing about the tree.
    ///
    /// # Errors
    /// When it is no checkpoint.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let text = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?;
        let lines: Vec<&str> = text.split('\n').collect();
        let [origin, size, root, ..] = lines.as_slice() else {
            return Err(CheckpointError::Lines);
        };
        if lines.iter().any(|line| line.is_empty()) {
            return Err(CheckpointError::Lines);
        }
        let parsed: u64 = size.parse().map_err(|_| CheckpointError::Size)?;
        if parsed.to_string() != *size {
            return Err(CheckpointError::Size);
        }
        Ok(Self {
            origin: (*origin).to_owned(),
            size: parsed,
            root: parse_base64(root).ok_or(CheckpointError::Root)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_and_others_are_refused() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        let text = format!("example.com/behind-the-sofa\n20852163\n{root}\n");
        let read = Checkpoint::parse(&text).expect("reads");
        assert_eq!((read.size, read.text()), (20_852_163, text.clone()));
        assert_eq!(Checkpoint::parse(&format!("{text}more\n")), Ok(read));
        for (from, to, error) in [
            ("20852163", "020852163", CheckpointError::Size),
            ("20852163", "+5", CheckpointError::Size),
            ("20852163", "99999999999999999999", CheckpointError::Size),
            ("20852163\n", "", CheckpointError::Lines),
            ("example.com/behind-the-sofa", "", CheckpointError::Lines),
            ("CsUY", "Cs-Y", CheckpointError::Root),
            ("CsUY", "", CheckpointError::Root),
        ] {
            assert_eq!(
                Checkpoint::parse(&text.replace(from, to)),
                Err(error),
                "{to}"
            );
        }
    }
}
