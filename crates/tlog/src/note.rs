//! Signed notes (C2SP signed-note): a text and who signed it.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::key::{Algorithm, NoteKey, is_name};

/// The largest note that is read, in bytes.
pub const MAX_NOTE: usize = 128 * 1024;
/// The most signatures of a note.
const MAX_SIGNATURES: usize = 64;
const DASH: &str = "\u{2014} ";

/// Why a text is no note, or not one to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is too large.
    #[error("a note has at most {MAX_NOTE} bytes and {MAX_SIGNATURES} signatures")]
    TooLarge,
    /// It does not have its form.
    #[error("this is no signed note: {0}")]
    Form(&'static str),
    /// A key that is known did not make the signature that has its name.
    #[error("the signature of {0} is not valid: the note was changed, or somebody else signed it")]
    Forged(String),
}

/// A signature under a note, believed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Whose it says that it is.
    pub name: String,
    /// Of which key.
    pub id: [u8; 4],
    /// The signature itself.
    pub bytes: Vec<u8>,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = STANDARD.encode([&self.id[..], &self.bytes].concat());
        write!(f, "{DASH}{} {bytes}", self.name)
    }
}

impl FromStr for Signature {
    type Err = NoteError;

    fn from_str(line: &str) -> Result<Self, NoteError> {
        let form = NoteError::Form("a line of signature is a dash, a name and base 64");
        let parts = line
            .strip_prefix(DASH)
            .and_then(|line| line.split_once(' '));
        let (name, bytes) = parts.ok_or(form.clone())?;
        let bytes = STANDARD.decode(bytes).map_err(|_| form.clone())?;
        match bytes.split_first_chunk() {
            Some((id, bytes)) if is_name(name) && !bytes.is_empty() => Ok(Self {
                name: name.to_owned(),
                id: *id,
                bytes: bytes.to_vec(),
            }),
            _ => Err(form),
        }
    }
}

/// A text and its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// A note of a text, which ends with a newline; nobody has signed it yet.
    #[must_use]
    pub fn new(text: String) -> Self {
        let signatures = Vec::new();
        Self { text, signatures }
    }

    /// Adds a signature; one of the same key gives way to it.
    pub fn sign(&mut self, signature: Signature) {
        self.signatures
            .retain(|other| (&other.name, other.id) != (&signature.name, signature.id));
        self.signatures.push(signature);
    }

    /// The text. Do not act on it before [`Note::signed_by`].
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its signatures, valid or not.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Whether the holder of a key signed it.
    ///
    /// # Errors
    /// When there is a signature that says so and is not the key's.
    pub fn signed_by(&self, key: &NoteKey) -> Result<bool, NoteError> {
        let id = key.id();
        let mut of_it = self.signatures.iter();
        let Some(signature) = of_it.find(|s| s.name == key.name() && s.id == id) else {
            return Ok(false);
        };
        let is_valid = match key.algorithm() {
            Algorithm::Ed25519 => key.verifies(self.text.as_bytes(), &signature.bytes),
            Algorithm::Cosignature => match signature.bytes.split_first_chunk() {
                Some((time, signature)) => {
                    let message = cosigned(u64::from_be_bytes(*time), &self.text);
                    key.verifies(message.as_bytes(), signature)
                }
                None => false,
            },
        };
        let forged = || NoteError::Forged(key.name().to_owned());
        is_valid.then_some(true).ok_or_else(forged)
    }
}

/// What a witness signs: that it saw a text at a time, in seconds since 1970 (C2SP tlog-cosignature).
fn cosigned(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE {
            return Err(NoteError::TooLarge);
        }
        if note.contains(|c: char| c < ' ' && c != '\n') {
            return Err(NoteError::Form("it has a control character"));
        }
        let parts = note.rsplit_once("\n\n");
        let (text, signatures) = parts.ok_or(NoteError::Form("it has no empty line"))?;
        let lines = signatures
            .strip_suffix('\n')
            .ok_or(NoteError::Form("its last line does not end"))?;
        let signatures = lines
            .split('\n')
            .take(MAX_SIGNATURES + 1)
            .map(Signature::from_str)
            .collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::TooLarge);
        }
        let text = format!("{text}\n");
        Ok(Self { text, signatures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The note of the documentation of golang.org/x/mod/sumdb/note.
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn a_note_of_another_implementation_reads_verifies_and_writes_back() {
        let (note, key): (Note, NoteKey) =
            (NOTE.parse().expect("reads"), PETER.parse().expect("reads"));
        assert_eq!(note.signed_by(&key), Ok(true));
        assert_eq!(note.to_string(), NOTE);
    }

    #[test]
    fn a_changed_text_is_not_believed() {
        let key: NoteKey = PETER.parse().expect("reads");
        let note: Note = NOTE
            .replace("the answer", "no answer")
            .parse()
            .expect("reads");
        assert_eq!(
            note.signed_by(&key),
            Err(NoteError::Forged("PeterNeumann".into()))
        );
        let stranger = PETER
            .parse::<NoteKey>()
            .map(|_| NoteKey::new("Other", Algorithm::Ed25519, [7; 32]));
        let stranger = stranger.expect("reads").expect("a key");
        assert_eq!(note.signed_by(&stranger), Ok(false));
    }

    #[test]
    fn what_is_no_note_is_refused_with_a_reason() {
        for text in [
            "",
            "\n\n",
            "text\n",
            "text\n\n",
            "text\n\nno dash\n",
            "t\r\n\n\u{2014} a AAAAAAAA\n",
            "text\n\n\u{2014} a AAAA\n",
            "text\n\n\u{2014} a b AAAAAAAA\n",
            "text\n\n\u{2014} a AAAAAAAA",
        ] {
            let error = text.parse::<Note>().expect_err(text);
            assert!(matches!(error, NoteError::Form(_)), "{text:?}: {error}");
        }
        let many = format!("text\n\n{}", "\u{2014} a AAAAAAAA\n".repeat(65));
        assert_eq!(many.parse::<Note>(), Err(NoteError::TooLarge));
        assert_eq!(
            "x".repeat(MAX_NOTE + 1).parse::<Note>(),
            Err(NoteError::TooLarge)
        );
    }
}
