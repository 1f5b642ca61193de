//! Which checkpoints are to be believed.

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    key::NoteKey,
    note::{Note, NoteError},
};

/// Why a checkpoint is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// It is no note, or a signature under it is forged.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// It is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// No key that is trusted signed it.
    #[error(
        "no key that is trusted signed this checkpoint of {origin}: it is of another log, or its key is \
         not the one given"
    )]
    Unsigned {
        /// Of which log it says that it is.
        origin: String,
    },
    /// The key of one log signed the checkpoint of another.
    #[error("this is a checkpoint of {found}, and the key is that of {expected}")]
    Origin {
        /// Of which log it says that it is.
        found: String,
        /// Whose key signed it.
        expected: String,
    },
    /// Too few witnesses saw it.
    #[error("{found} of the witnesses signed this checkpoint, {required} must")]
    Witnesses {
        /// How many did.
        found: usize,
        /// How many must.
        required: usize,
    },
}

/// A checkpoint that is to be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Believed {
    /// It.
    pub checkpoint: Checkpoint,
    /// The witnesses that saw it, by name.
    pub witnesses: Vec<String>,
}

/// Whose checkpoints are to be believed.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The keys of the log; one of them must have signed. A log has the name that its keys have.
    pub keys: Vec<NoteKey>,
    /// The keys of witnesses.
    pub witnesses: Vec<NoteKey>,
    /// How many witnesses must have signed.
    pub required: usize,
}

impl Trust {
    /// Reads a checkpoint with its signatures.
    ///
    /// # Errors
    /// When it is not to be believed.
    pub fn open(&self, note: &Note) -> Result<Believed, TrustError> {
        let checkpoint = Checkpoint::parse(note.text())?;
        let mut signer = None;
        for key in &self.keys {
            if note.signed_by(key)? {
                signer = Some(key.name());
            }
        }
        let origin = || checkpoint.origin.clone();
        match signer {
            None => return Err(TrustError::Unsigned { origin: origin() }),
            Some(name) if name != checkpoint.origin => {
                return Err(TrustError::Origin {
                    found: origin(),
                    expected: name.to_owned(),
                });
            }
            Some(_) => {}
        }
        let mut witnesses = Vec::new();
        for key in &self.witnesses {
            if note.signed_by(key)? && !witnesses.iter().any(|name| name == key.name()) {
                witnesses.push(key.name().to_owned());
            }
        }
        let (found, required) = (witnesses.len(), self.required);
        if found < required {
            return Err(TrustError::Witnesses { found, required });
        }
        Ok(Believed {
            checkpoint,
            witnesses,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        key::Algorithm,
        note::Signature,
        tests::{sign, signer},
    };

    fn note(origin: &str) -> Note {
        let root = [7; 32];
        let origin = origin.to_owned();
        Note::new(
            Checkpoint {
                origin,
                size: 5,
                root,
            }
            .text(),
        )
    }

    #[test]
    fn a_checkpoint_is_believed_of_its_own_log_under_its_own_key_alone() {
        let (log, other) = (
            signer("log", Algorithm::Ed25519),
            signer("log", Algorithm::Ed25519),
        );
        let trust = Trust {
            keys: vec![log.1.clone()],
            ..Trust::default()
        };
        let mut good = note("log");
        sign(&mut good, &log);
        sign(&mut good, &other);
        assert_eq!(trust.open(&good).expect("is believed").checkpoint.size, 5);
        let mut stranger = note("log");
        sign(&mut stranger, &other);
        assert!(matches!(
            trust.open(&stranger),
            Err(TrustError::Unsigned { .. })
        ));
        let mut elsewhere = note("elsewhere");
        sign(&mut elsewhere, &log);
        assert!(matches!(
            trust.open(&elsewhere),
            Err(TrustError::Origin { .. })
        ));
    }

    #[test]
    fn as_many_witnesses_as_are_required_must_have_signed_and_each_counts_once() {
        let log = signer("log", Algorithm::Ed25519);
        let witnesses = ["w1", "w2"].map(|name| signer(name, Algorithm::Cosignature));
        let second = signer("w1", Algorithm::Cosignature);
        let mut trust = Trust {
            keys: vec![log.1.clone()],
            // The same witness under two keys is one witness.
            witnesses: vec![
                witnesses[0].1.clone(),
                second.1.clone(),
                witnesses[1].1.clone(),
            ],
            required: 2,
        };
        let mut good = note("log");
        sign(&mut good, &log);
        sign(&mut good, &witnesses[0]);
        sign(&mut good, &second);
        let (found, required) = (1, 2);
        assert_eq!(
            trust.open(&good),
            Err(TrustError::Witnesses { found, required })
        );
        sign(&mut good, &witnesses[1]);
        assert_eq!(
            trust.open(&good).expect("is believed").witnesses,
            ["w1", "w2"]
        );
        // A signature over the text alone is no cosignature.
        trust.required = 1;
        let mut forged = note("log");
        sign(&mut forged, &log);
        let plain = witnesses[0].0.sign(forged.text().as_bytes());
        let (name, id) = ("w1".to_owned(), witnesses[0].1.id());
        let bytes = [&[0; 8][..], plain.as_ref()].concat();
        forged.sign(Signature { name, id, bytes });
        assert!(matches!(
            trust.open(&forged),
            Err(TrustError::Note(NoteError::Forged(_)))
        ));
    }
}
