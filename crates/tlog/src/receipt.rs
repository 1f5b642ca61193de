//! Proofs that an entry is in a log, as files (C2SP tlog-proof): the entry, its place, the hashes, and the
//! checkpoint that they lead to.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    hash::{Hash, base64, leaf, parse_base64},
    note::{Note, NoteError},
    proof::{ProofError, check_inclusion},
    trust::{Believed, Trust, TrustError},
};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// The largest file that is read, in bytes.
const MAX_FILE: usize = 4 * 1024 * 1024;
/// No tree of 2^64 leaves needs more hashes.
const MAX_HASHES: usize = 64;

/// Why a file proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// It is no proof.
    #[error("this is no proof of an entry ({FIRST_LINE}): {0}")]
    Form(&'static str),
    /// Its checkpoint is no note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Its checkpoint is not to be believed.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// It does not lead from the entry to the checkpoint.
    #[error("the entry is not in the log: {0}")]
    Proof(#[from] ProofError),
}

/// A proof that an entry is in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The entry itself.
    pub entry: Vec<u8>,
    /// Which it is, counted from 0.
    pub index: u64,
    /// The hashes that lead from it to the root.
    pub hashes: Vec<Hash>,
    /// The checkpoint.
    pub checkpoint: Note,
}

impl Receipt {
    /// Checks that the entry is in a log that is trusted.
    ///
    /// # Errors
    /// When it is not, or nothing shows it.
    pub fn check(&self, trust: &Trust) -> Result<Believed, ReceiptError> {
        let believed = trust.open(&self.checkpoint)?;
        let tree = (believed.checkpoint.size, &believed.checkpoint.root);
        check_inclusion((self.index, &leaf(&self.entry)), tree, &self.hashes)?;
        Ok(believed)
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        writeln!(f, "extra {}", STANDARD.encode(&self.entry))?;
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", base64(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for Receipt {
    type Err = ReceiptError;

    fn from_str(text: &str) -> Result<Self, ReceiptError> {
        use ReceiptError::Form;
        if text.len() > MAX_FILE {
            return Err(Form("it is too large"));
        }
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or(Form("it has no empty line"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FIRST_LINE) {
            return Err(Form("its first line says something else"));
        }
        let entry = lines.next().and_then(|line| line.strip_prefix("extra "));
        let entry = entry.and_then(|entry| STANDARD.decode(entry).ok());
        let entry = entry.ok_or(Form(
            "it does not hold the entry, in base 64 after `extra `",
        ))?;
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index =
            index.and_then(|text| text.parse::<u64>().ok().filter(|n| n.to_string() == text));
        let index = index.ok_or(Form("it does not say which entry, after `index `"))?;
        let hashes: Option<Vec<Hash>> = lines.take(MAX_HASHES + 1).map(parse_base64).collect();
        let hashes = hashes.ok_or(Form("a line is no hash in base 64"))?;
        Ok(Self {
            entry,
            index,
            hashes,
            checkpoint: checkpoint.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{key::Algorithm, tests::signer, tree::Tree};

    #[test]
    fn a_proof_reads_back_and_proves_that_entry_alone() {
        let log = signer("log", Algorithm::Ed25519);
        let entries: Vec<Vec<u8>> = (0..5u8).map(|n| vec![n; 3]).collect();
        let mut tree = Tree::default();
        entries.iter().for_each(|entry| tree.push(leaf(entry)));
        let of = |range: &[Vec<u8>]| {
            let mut tree = Tree::default();
            range.iter().for_each(|entry| tree.push(leaf(entry)));
            tree.root()
        };
        let receipt = Receipt {
            entry: entries[2].clone(),
            index: 2,
            hashes: vec![leaf(&entries[3]), of(&entries[..2]), leaf(&entries[4])],
            checkpoint: log.checkpoint("log", 5, tree.root()),
        };
        let trust = log.trust();
        let read: Receipt = receipt.to_string().parse().expect("reads back");
        assert_eq!(read, receipt);
        assert_eq!(read.check(&trust).expect("is proved").checkpoint.size, 5);
        let mut other = read.clone();
        other.entry = entries[1].clone();
        assert_eq!(
            other.check(&trust),
            Err(ReceiptError::Proof(ProofError::Root))
        );
        other = read.clone();
        other.index = 3;
        assert_eq!(
            other.check(&trust),
            Err(ReceiptError::Proof(ProofError::Root))
        );
        let stranger = signer("log", Algorithm::Ed25519).trust();
        assert!(matches!(read.check(&stranger), Err(ReceiptError::Trust(_))));
    }

    #[test]
    fn what_is_no_proof_is_refused_with_a_reason() {
        let good = signer("log", Algorithm::Ed25519).checkpoint("log", 1, [0; 32]);
        for head in [
            "",
            "c2sp.org/tlog-proof@v2\nextra AA==\nindex 0",
            "c2sp.org/tlog-proof@v1\nindex 0",
            "c2sp.org/tlog-proof@v1\nextra AA==\nindex 00",
            "c2sp.org/tlog-proof@v1\nextra AA==\nindex 0\nAAAA",
        ] {
            let read = format!("{head}\n\n{good}").parse::<Receipt>();
            assert!(
                matches!(read, Err(ReceiptError::Form(_))),
                "{head:?}: {read:?}"
            );
        }
    }
}
