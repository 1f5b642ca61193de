//! What signs in tests.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use crate::{Algorithm, Checkpoint, Hash, Note, NoteKey, Signature, Trust};

pub(crate) struct Signer(pub(crate) Ed25519KeyPair, pub(crate) NoteKey);

pub(crate) fn signer(name: &str, algorithm: Algorithm) -> Signer {
    let pair = Ed25519KeyPair::generate().expect("a key");
    let public = pair.public_key().as_ref().try_into().expect("32 bytes");
    Signer(pair, NoteKey::new(name, algorithm, public).expect("a name"))
}

impl Signer {
    pub(crate) fn checkpoint(&self, origin: &str, size: u64, root: Hash) -> Note {
        let origin = origin.to_owned();
        let mut note = Note::new(Checkpoint { origin, size, root }.text());
        sign(&mut note, self);
        note
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust {
            keys: vec![self.1.clone()],
            ..Trust::default()
        }
    }
}

pub(crate) fn sign(note: &mut Note, Signer(pair, key): &Signer) {
    let bytes = match key.algorithm() {
        Algorithm::Ed25519 => pair.sign(note.text().as_bytes()).as_ref().to_vec(),
        Algorithm::Cosignature => {
            let message = format!("cosignature/v1\ntime 1679315147\n{}", note.text());
            let signature = pair.sign(message.as_bytes());
            [&1_679_315_147u64.to_be_bytes()[..], signature.as_ref()].concat()
        }
    };
    let (name, id) = (key.name().to_owned(), key.id());
    note.sign(Signature { name, id, bytes });
}
